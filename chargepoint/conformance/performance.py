"""How fast the central system answers: what a certificate's performance table says, and more."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from chargepoint.conformance.run import Run
from chargepoint.conformance.states import booted
from chargepoint.conformance.tool import Sample

LIMIT_S = 5.0
# Central systems limit how much one charge point may say at once; nobody charges faster than this.
PAUSE_S = 0.01
HOW = (
    "Each sample is the time from when the kit gives a CALL to its socket (all bytes in one write) "
    "to when it has read the CALLRESULT, the network between included; p99 is the smallest sample "
    "that 99 % do not exceed. OCPP response time: every CALL of the cases. Response time "
    "Authorize: Authorize for a valid idTag, one after the other on one connection with "
    f"{PAUSE_S * 1000:g} ms between, after the cases."
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one kind of answers, in seconds."""

    samples: int
    min_s: float
    max_s: float
    average_s: float
    p99_s: float


# What the certificate of the reference system prints: min, max, average, in seconds.
REFERENCE: dict[str, tuple[float, float, float]] = {
    "OCPP response time": (0.28, 0.44, 0.30),
    "Response time Authorize": (0.29, 0.47, 0.33),
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
