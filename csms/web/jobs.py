"""The workers and their jobs, as the API and the page show them."""

from collections.abc import Mapping
from dataclasses import dataclass

from csms.errors import StoreUnavailable
from csms.job_lists import JobLists


@dataclass(frozen=True, slots=True)
class QueueState:
    queue: str
    queued: int
    started: int
    scheduled: int
    failed: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """What somebody should know of the workers. is_reachable: of their server."""

    is_reachable: bool
    is_worked: bool
    failed: int


def queue_states(counts: Mapping[tuple[str, str], int]) -> list[QueueState]:
    """In the order in which workers empty the queues."""
    return [
        QueueState(
            queue,
            counts[queue, "queued"],
            counts[queue, "started"],
            counts[queue, "scheduled"],
            counts[queue, "failed"],
        )
        for queue in dict.fromkeys(queue for queue, _ in counts)
    ]


def trouble(lists: JobLists, now_ms: int) -> Trouble | None:
    """None where all is well: somebody works, and nothing has failed."""
    try:
        failed = sum(state.failed for state in queue_states(lists.counts()))
        is_worked = any(worker.is_alive(now_ms) for worker in lists.workers())
    except StoreUnavailable:
        return Trouble(is_reachable=False, is_worked=False, failed=0)
    if is_worked and not failed:
        return None
    return Trouble(is_reachable=True, is_worked=is_worked, failed=failed)
