"""The queues of the workers and what is put into them; RQ wakes, the records are the truth."""

from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from csms.errors import StoreUnavailable

DEFAULT: Final = "default"
# In the order in which a worker empties them.
QUEUES: Final = ("timers", "firmware", "diagnostics", DEFAULT)
HOUSEKEEPING: Final = "workers.housekeeping.run"
HOUSEKEEPING_TIMEOUT_S: Final = 300
FAILURE_KEPT_S: Final = 60


def connect(url: str) -> "Redis":
    """A client for RQ: it never sends a command twice by itself."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def queue(name: str, connection: "Redis") -> Queue:
    """A queue that takes JSON only: what can write to the store can't run code by a pickle."""
    return Queue(name, connection=connection, serializer=JSONSerializer)


def counts(connection: "Redis") -> dict[tuple[str, str], int]:
    """How many jobs there are by (queue, state): queued, started, scheduled, failed.

    Raises StoreUnavailable.
    """
    found: dict[tuple[str, str], int] = {}
    try:
        for name in QUEUES:
            jobs = queue(name, connection)
            found[name, "queued"] = jobs.count
            found[name, "started"] = jobs.started_job_registry.count
            found[name, "scheduled"] = jobs.scheduled_job_registry.count
            found[name, "failed"] = jobs.failed_job_registry.count
    except RedisError as error:
        raise StoreUnavailable(str(error)) from None
    return found


def enqueue_housekeeping(connection: "Redis") -> None:
    """Have the housekeeping done once, however often this is asked for meanwhile."""
    try:
        queue(DEFAULT, connection).enqueue(
            HOUSEKEEPING,
            job_id="housekeeping",
            unique=True,
            job_timeout=HOUSEKEEPING_TIMEOUT_S,
            result_ttl=0,
            # A failed one stands in the way of the next for so long.
            failure_ttl=FAILURE_KEPT_S,
        )
    except DuplicateJobError:
        pass  # it waits or runs already
