"""Runs cases one after the other: prepares each, lets it happen, and clears up after it."""

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from chargepoint.conformance.arrival import Mutate, unchanged
from chargepoint.conformance.case import Case, CheckFailed, NotApplicable
from chargepoint.conformance.cast import Cast, check_cast, dismiss_cast, enter_cast, make_cast
from chargepoint.conformance.line import Frame
from chargepoint.conformance.operator import ApiUnusable, Operator
from chargepoint.conformance.played import ChargePoints, EnteredForEach, OneForAll
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
    """Everything that cases of one run share. name: with which begins what it enters."""

    def __init__(
        self,
        target: Target,
        operator: Operator,
        cast: Cast,
        name: str,
        charge_points: ChargePoints | None = None,
    ) -> None:
        self.target = target
        self.operator = operator
        self.cast = cast
        self.name = name
        self.secrets: set[str] = {target.key}
        self.own_charge_points: ChargePoints = EnteredForEach(operator, name)
        self.charge_points = charge_points or self.own_charge_points

    def run(self, case: Case, mutate: Mutate = unchanged) -> Result:
        """Raises ApiUnusable where the case could not even be prepared."""
        missing = [name for name in case.needs if getattr(self.target, name) is None]
        if missing:
            reason = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
            return Result(case, Outcome.NOT_RUN, 0.0, reason=f"without {reason}")
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
    def prepared(
        self,
        name: str,
        mutate: Mutate = unchanged,
        charge_points: ChargePoints | None = None,
        **settings: object,
    ) -> Iterator[Tool]:
        """A charge point to play, ready to connect or connected. charge_points: who lends it, where
        it is not the run's own. Raises ApiUnusable."""
        lender = charge_points or self.charge_points
        with lender.lend(name.removesuffix("_CSMS"), settings) as played:
            if played.authorization_key:
                self.secrets.add(played.authorization_key)
            tool = Tool(name, self.target, self.operator, self.cast, played, mutate, self.secrets)
            try:
                yield tool
            finally:
                tool.leave()

    def stop_transactions(self) -> None:
        """Those that cases have left open. Raises ApiUnusable."""
        with self.prepared("END") as tool:
            if not tool.line.is_open:
                tool.upgrade()
            tool.stop_transactions()

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
    """With charge points and id tags of its own, deleted afterwards. Raises ApiUnusable."""
    operator = Operator(target.api, target.key, target.ca_file)
    name = _name()
    cast = make_cast(name)
    try:
        enter_cast(operator, cast)
        yield Run(target, operator, cast, name)
    finally:
        dismiss_cast(operator, cast)


@contextmanager
def given_run(
    target: Target, cast: Cast, charge_point_id: str, authorization_key: str
) -> Iterator[Run]:
    """With a charge point and id tags that an operator has entered; as with the official tool it
    goes from case to case as the one before left it. authorization_key: in hex.

    Raises ApiUnusable, CannotBegin.
    """
    operator = Operator(target.api, target.key, target.ca_file)
    check_cast(operator, cast)
    one = OneForAll(operator, charge_point_id, authorization_key)
    run = Run(target, operator, cast, _name(), one)
    try:
        yield run
        run.stop_transactions()
    finally:
        one.give_back()


def _name() -> str:
    return f"CT-{secrets.token_hex(4).upper()}"
