"""The additional questions of a certificate, answered by trying it out."""

from dataclasses import dataclass

from chargepoint.conformance.arrival import Mutate, unchanged
from chargepoint.conformance.case import CheckFailed
from chargepoint.conformance.operator import ApiUnusable
from chargepoint.conformance.run import Run


@dataclass(frozen=True, slots=True)
class Question:
    """evidence: what was tried, and what came."""

    number: str
    text: str
    answer: str
    evidence: str


def ask(run: Run, mutate: Mutate = unchanged) -> list[Question]:
    """All of them."""
    return [_first_boot(run, mutate)]


def _first_boot(run: Run, mutate: Mutate) -> Question:
    found: list[str] = []
    answer = "Yes"
    for admission, status in (("pending", "Pending"), ("rejected", "Rejected")):
        try:
            with run.prepared("AQ1", mutate, admission=admission) as tool:
                tool.connect()
                answered = tool.boot()["status"]
                tool.has("status", status)
            found.append(f"admission {admission}: answered {answered}")
        except (ApiUnusable, CheckFailed) as error:
            answer = "No"
            found.append(f"admission {admission}: {error}")
    return Question(
        "AQ-1",
        "Can the Central System be configured to first respond to a BootNotification with status "
        "Pending or Rejected?",
        answer,
        "; ".join(found),
    )
