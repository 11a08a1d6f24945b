"""How fast the central system answers: what a certificate's performance table says, and more."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from statistics import fmean

import gevent

from chargepoint.conformance.case import CheckFailed
from chargepoint.conformance.run import Run
from chargepoint.conformance.states import booted, charging
from chargepoint.conformance.tool import Sample, Tool, meter_value

LIMIT_S = 5.0
# Central systems limit how much one charge point may say at once; nobody charges faster than this.
PAUSE_S = 0.01
# How often a busy charge point sends its meter values.
BUSY_EVERY_S = 0.2
RESPONSE, AUTHORIZE = "OCPP response time", "Response time Authorize"
HOW = (
    "Each sample is the time from when the kit gives a CALL to its socket, all bytes in one write, "
    "to when it has read the CALLRESULT, the network between included. The clock is read just "
    "before that write and not after its last byte: read afterwards it may be late, and the answer "
    "would seem faster than it was. So a figure may be too long by the time of the write, and is "
    "never too short. p99 is the smallest sample that 99 % do not exceed. OCPP response time is "
    "that of every CALL of the cases, over TLS where the case wants it. Authorize is asked for a "
    f"valid idTag, one after the other on one connection with {PAUSE_S * 1000:g} ms between, after "
    "the cases. The reference certificate's figures are those of another system over another "
    "network, in a laboratory."
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one kind of answers, in seconds."""

    samples: int
    min_s: float
    max_s: float
    average_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """name: as a certificate has it; load: what else went on. figures: None without a sample."""

    name: str
    load: str
    figures: Figures | None


# What the certificate of the reference system prints: min, max, average, in seconds.
REFERENCE: dict[str, tuple[float, float, float]] = {
    RESPONSE: (0.28, 0.44, 0.30),
    AUTHORIZE: (0.29, 0.47, 0.33),
}


def figures(seconds: Sequence[float]) -> Figures | None:
    """None without a sample."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    return Figures(
        samples=len(ranked),
        min_s=ranked[0],
        max_s=ranked[-1],
        average_s=fmean(ranked),
        p99_s=ranked[ceil(len(ranked) * 0.99) - 1],
    )


def of_cases(samples: Sequence[Sample]) -> Measurement:
    return Measurement(
        RESPONSE, "one case after the other", figures([sample.seconds for sample in samples])
    )


def of_authorize(run: Run, count: int) -> Measurement:
    """Raises ApiUnusable, CheckFailed."""
    samples = measure_authorize(run, count)
    return Measurement(
        AUTHORIZE, "one charge point alone", figures([one.seconds for one in samples])
    )


def of_authorize_under_load(run: Run, count: int, busy_count: int) -> Measurement:
    """Raises ApiUnusable, CheckFailed."""
    with _busy(run, busy_count) as busy:
        began_s, calls_before = time.perf_counter(), busy.calls
        samples = measure_authorize(run, count)
        rate = (busy.calls - calls_before) / (time.perf_counter() - began_s)
        if busy.failure is not None:
            raise busy.failure
    return Measurement(
        AUTHORIZE,
        f"while {busy_count} others charge and send {rate:.0f} MeterValues a second in all",
        figures([one.seconds for one in samples]),
    )


def measure_authorize(run: Run, count: int) -> Sequence[Sample]:
    """So many Authorize for the valid idTag, one after the other on one connection.

    Raises ApiUnusable, CheckFailed.
    """
    with run.prepared("PERFORMANCE") as tool:
        booted(tool)
        for _ in range(count):
            tool.pause(PAUSE_S)
            tool.authorize(tool.cast.valid)
            tool.has("idTagInfo.status", "Accepted")
        return [sample for sample in tool.samples if sample.action == "Authorize"]


@dataclass(slots=True)
class _Busy:
    """What the others have done so far; failure: why one of them gave up."""

    calls: int = 0
    failure: CheckFailed | None = None
    charging: list[Tool] = field(default_factory=list)


@contextmanager
def _busy(run: Run, count: int) -> Iterator[_Busy]:
    """So many charge points that charge, each entered for it, sending meter values all the time."""
    busy = _Busy()
    with ExitStack() as stack:
        tools = [
            stack.enter_context(run.prepared("BUSY", charge_points=run.own_charge_points))
            for _ in range(count)
        ]
        greenlets = [gevent.spawn(_charge, tool, busy) for tool in tools]
        try:
            while len(busy.charging) < count and busy.failure is None:
                gevent.sleep(0.01)
            yield busy
        finally:
            gevent.killall(greenlets)


def _charge(tool: Tool, busy: _Busy) -> None:
    try:
        booted(tool)
        transaction_id = charging(tool)
        busy.charging.append(tool)
        while True:
            gevent.sleep(BUSY_EVERY_S)
            tool.call(
                "MeterValues",
                {
                    "connectorId": 1,
                    "transactionId": transaction_id,
                    "meterValue": [meter_value()],
                },
            )
            busy.calls += 1
    except CheckFailed as error:
        busy.failure = error
