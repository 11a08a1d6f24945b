"""The queues of the workers and what is put into them; RQ wakes, the records are the truth."""

from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

DEFAULT: Final = "default"
# In the order in which a worker empties them.
QUEUES: Final = ("timers", "firmware", "diagnostics", DEFAULT)
HOUSEKEEPING: Final = "workers.housekeeping.run"
HOUSEKEEPING_TIMEOUT_S: Final = 300
FAILURE_KEPT_S: Final = 7 * 86_400


def connect(url: str) -> "Redis":
    """A client for RQ: it never sends a command twice by itself."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def queue(name: str, connection: "Redis") -> Queue:
    """A queue that takes JSON only: what can write to the store can't run code by a pickle."""
    return Queue(name, connection=connection, serializer=JSONSerializer)


def enqueue_housekeeping(connection: "Redis") -> None:
    """Have the housekeeping done once, however often this is asked for meanwhile."""
    queue(DEFAULT, connection).enqueue(
        HOUSEKEEPING,
        job_id="housekeeping",
        job_timeout=HOUSEKEEPING_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=FAILURE_KEPT_S,
    )
