"""Runs cases one after the other: prepares each, lets it happen, and clears up after it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from chargepoint.conformance.arrival import Mutate, unchanged
from chargepoint.conformance.case import Case, CheckFailed, NotApplicable
from chargepoint.conformance.cast import Cast, dismiss_cast, enter_cast
from chargepoint.conformance.line import Frame
from chargepoint.conformance.operator import ApiUnusable, Operator, charge_point_path
from chargepoint.conformance.target import Target
from chargepoint.conformance.tool import Sample, Tool


class Outcome(StrEnum):
    PASSED = "Pass"
    FAILED = "Fail"
    NOT_RUN = "Not run"


@dataclass(frozen=True, slots=True)
class Result:
    """failure: where it failed; reason: why it was not run; steps: those begun, by their names;
    checks: those that held, as `step: check`."""

    case: Case
    outcome: Outcome
    duration_s: float
    failure: CheckFailed | None = None
    reason: str = ""
    steps: Sequence[str] = ()
    checks: Sequence[str] = ()
    samples: Sequence[Sample] = ()
    frames: Sequence[Frame] = ()


class Run:
    """Everything that cases of one run share."""

    def __init__(self, target: Target, operator: Operator, cast: Cast) -> None:
        self.target = target
        self.operator = operator
        self.cast = cast
        self.secrets: set[str] = {target.key}
        self._count = 0

    def run(self, case: Case, mutate: Mutate = unchanged) -> Result:
        """Raises ApiUnusable where the case could not even be prepared."""
        began_s = time.perf_counter()
        with self.prepared(case.case_id, mutate, **case.settings) as tool:
            failure, reason = None, ""
            try:
                case.flow(tool)
                tool.undisturbed()
                outcome = Outcome.PASSED
            except CheckFailed as error:
                outcome, failure = Outcome.FAILED, error
            except NotApplicable as error:
                outcome, reason = Outcome.NOT_RUN, str(error)
            except Exception as error:  # noqa: BLE001  # the edge: a case has a result
                outcome, failure = Outcome.FAILED, tool.stumbled(error)
            took_s = time.perf_counter() - began_s
            steps, samples = tuple(tool.steps), tuple(tool.samples)
        return Result(
            case,
            outcome,
            took_s,
            failure,
            reason,
            steps,
            tuple(tool.checks),
            samples,
            tuple(tool.line.frames),
        )

    @contextmanager
    def prepared(self, name: str, mutate: Mutate = unchanged, **settings: object) -> Iterator[Tool]:
        """A charge point of its own, entered before and deleted afterwards."""
        self._count += 1
        charge_point_id = f"{self.cast.suffix}-{name.removesuffix('_CSMS')}-{self._count}"
        body = {"id": charge_point_id, "security_profile": 1, "quiet": True, **settings}
        created = self.operator.must("POST", "/charge-points", body)
        key = str(created.get("authorization_key") or "")
        if key:
            self.secrets.add(key)
        tool = Tool(
            name,
            self.target,
            self.operator,
            self.cast,
            charge_point_id,
            key,
            mutate,
            self.secrets,
        )
        try:
            yield tool
        finally:
            tool.leave()
            self.operator.request("DELETE", charge_point_path(charge_point_id))

    def run_all(self, cases: Iterable[Case]) -> Iterator[Result]:
        """A case that cannot be prepared has failed; the next is tried all the same."""
        for case in cases:
            try:
                yield self.run(case)
            except ApiUnusable as error:
                failure = CheckFailed(
                    case.case_id, "0 preparation", "answered", "an answer of the API", str(error)
                )
                yield Result(case, Outcome.FAILED, 0.0, failure)


@contextmanager
def prepared_run(target: Target) -> Iterator[Run]:
    """Raises ApiUnusable."""
    operator = Operator(target.api, target.key, target.ca_file)
    cast = enter_cast(operator)
    try:
        yield Run(target, operator, cast)
    finally:
        dismiss_cast(operator, cast)
