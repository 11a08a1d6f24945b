"""Every case of the kit passes against our system, and each of its checks can fail."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from mutations import MUTATIONS
from mutations.mutation import (
    Mutation,
    cut_off,
    drop,
    followed,
    interrupted,
    late,
    put,
    refused,
    silent,
    unschematic,
    untold,
)
from mutations.shared import shared_mutation

from chargepoint.conformance.case import CERTIFICATION, Case, NotApplicable, Profile
from chargepoint.conformance.cases import CASES
from chargepoint.conformance.run import Outcome, Result, Run
from chargepoint.conformance.states import booted
from chargepoint.conformance.tool import Tool

pytestmark = pytest.mark.e2e

FOR_EVERY: Mapping[str, tuple[Callable[[str], Mutation], ...]] = {
    "conf": (late, unschematic, refused, interrupted, cut_off),
    "req": (late, unschematic, interrupted, cut_off),
    "of the API": (untold,),
}


def of_case(case_key: str, result: Result) -> list[Mutation]:
    """Those of its table, and for checks not named there those that cases share."""
    own = list(MUTATIONS[case_key])
    named = {mutation.fails for mutation in own}
    shared = [shared_mutation(key) for key in dict.fromkeys(result.checks) if key not in named]
    return own + [mutation for mutation in shared if mutation is not None]


def of_every_message(result: Result) -> list[Mutation]:
    """What no message may be, tried on the last of each kind: the case runs through to there."""
    last: dict[str, str] = {}
    for step in result.steps:
        name = step.rstrip(" 0123456789")
        if name not in {"upgrade", "tls"}:
            kind = name.rpartition(".")[2]
            last[kind if kind in FOR_EVERY else "of the API"] = step
    return [make(step) for kind, step in last.items() for make in FOR_EVERY[kind]]


def run_with(run: Run, case_key: str, mutation: Mutation) -> str:
    """What failed, as `step: check`."""
    result = run.run(CASES[case_key], mutation.hook())
    if result.failure is None:
        return "nothing"
    return f"{result.failure.step.partition(' ')[2]}: {result.failure.check}"


def test_every_case_has_a_table_of_mutations_and_every_table_a_case() -> None:
    assert set(MUTATIONS) == set(CASES)


def test_every_case_of_the_certification_is_there_and_no_other() -> None:
    there = Counter(case.profile for case in CASES.values() if not case.variant)

    assert sum(CERTIFICATION.values()) == 77
    assert there == Counter(CERTIFICATION)


def test_variants_follow_their_cases() -> None:
    keys = list(CASES)

    for case in CASES.values():
        assert keys.index(case.case_id) <= keys.index(case.key)


@pytest.mark.parametrize("case_key", CASES)
def test_case_passes(honest: Callable[[str], Result], case_key: str) -> None:
    result = honest(case_key)

    assert result.failure is None
    assert result.outcome is Outcome.PASSED


@pytest.mark.parametrize("case_key", CASES)
def test_every_check_has_its_mutation(honest: Callable[[str], Result], case_key: str) -> None:
    result = honest(case_key)

    covered = {mutation.fails for mutation in of_case(case_key, result)}

    assert set(result.checks) - covered == set()


@pytest.mark.parametrize("case_key", CASES)
def test_every_check_fails_where_its_mutation_lies(
    honest: Callable[[str], Result], run: Run, case_key: str
) -> None:
    mutations = of_case(case_key, honest(case_key))

    found = [(m.fails, run_with(run, case_key, m)) for m in mutations]

    assert found == [(fails, fails) for fails, _ in found]


@pytest.mark.parametrize("case_key", CASES)
def test_every_kind_of_message_is_checked_as_such(
    honest: Callable[[str], Result], run: Run, case_key: str
) -> None:
    mutations = of_every_message(honest(case_key))

    found = [(m.fails, run_with(run, case_key, m)) for m in mutations]

    assert found == [(fails, fails) for fails, _ in found]


def test_silence_fails_a_case_when_the_time_is_over(run: Run) -> None:
    target = replace(run.target, answer_limit_s=1.0, patience_s=1.0)
    short = Run(target, run.operator, run.cast, run.name)
    mutations = [silent("StatusNotification.conf"), silent("RemoteStopTransaction.req")]

    found = [run_with(short, "TC_012_CSMS", mutation) for mutation in mutations]

    assert found == [mutation.fails for mutation in mutations]


@pytest.mark.parametrize(
    ("case_id", "mutation"),
    [
        ("TC_003_CSMS", followed("StatusNotification.conf 4", "the end: no other CALL")),
        ("TC_003_CSMS", followed("Authorize.conf", "StartTransaction.conf: no other CALL")),
        ("TC_012_CSMS", drop("connector", "transaction_id", fails="usable")),
        ("TC_012_CSMS", put("StopTransaction.conf", "idTagInfo", "Accepted", fails="schema")),
    ],
)
def test_what_belongs_to_no_check_of_a_case_fails_it_too(
    run: Run, case_id: str, mutation: Mutation
) -> None:
    found = run_with(run, case_id, mutation)

    assert found == mutation.fails


def test_a_refusal_of_the_api_fails_the_case_at_once_and_with_its_reason(run: Run) -> None:
    def ask_nonsense(tool: Tool) -> None:
        booted(tool)
        tool.operate("Reset", {"type": "Gentle"})
        tool.expect("Reset")

    result = run.run(Case("TC_000_CSMS", "", Profile.CORE, True, ask_nonsense, {}))

    assert result.failure is not None
    assert (result.failure.step, result.failure.check) == ("5 Reset.req", "answered")
    assert "payload.type" in result.failure.received


def test_a_case_that_needs_what_is_not_there_is_not_run(run: Run) -> None:
    def give_up(tool: Tool) -> None:
        raise NotApplicable("no --tls-url")

    result = run.run(Case("TC_000_CSMS", "", Profile.CORE, True, give_up, {}))

    assert (result.outcome, result.reason) == (Outcome.NOT_RUN, "no --tls-url")


def test_what_cannot_be_prepared_fails_and_the_next_is_tried_all_the_same(run: Run) -> None:
    flow = CASES["TC_003_CSMS"].flow
    unpreparable = Case("TC_000_CSMS", "", Profile.CORE, True, flow, {"colour": "green"})

    first, second = run.run_all([unpreparable, CASES["TC_003_CSMS"]])

    assert first.failure is not None
    assert first.failure.step == "0 preparation"
    assert "422" in first.failure.received
    assert second.outcome is Outcome.PASSED
