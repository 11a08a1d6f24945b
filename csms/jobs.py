"""The queues of the workers and what is put into them; RQ wakes, the records are the truth."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from csms.errors import StoreUnavailable
from csms.logs import get_logger

log = get_logger(__name__)

DEFAULT: Final = "default"
TIMERS: Final = "timers"
# In the order in which a worker empties them.
QUEUES: Final = (TIMERS, "firmware", "diagnostics", DEFAULT)
HOUSEKEEPING: Final = "workers.housekeeping.run"
HOUSEKEEPING_TIMEOUT_S: Final = 300
FAILURE_KEPT_S: Final = 60
EXPIRE_RESERVATION: Final = "workers.reservations.expire"
TIMER_TIMEOUT_S: Final = 30
# A charge point's socket waits for it: a server that hangs may cost it no more.
TIMER_LINK_TIMEOUT_S: Final = 1.0


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


def wake_at_expiry(url: str, charge_point_id: str, reservation_id: int, at_ms: int) -> None:
    """Have a worker look at a reservation when its time is over.

    A wake-up only: expiry is data, which the sweep finds without it. So it never fails.
    """
    name = f"{reservation_id}/{charge_point_id}"
    # Timers are kept by the second; one that comes too early would find nothing to do.
    at = datetime.fromtimestamp(at_ms // 1000 + 1, UTC)
    try:
        _timers(url).enqueue_at(
            at,
            EXPIRE_RESERVATION,
            charge_point_id,
            reservation_id,
            # The same for each reservation: a changed one moves its timer.
            job_id=f"reservation-{hashlib.blake2b(name.encode(), digest_size=12).hexdigest()}",
            job_timeout=TIMER_TIMEOUT_S,
            result_ttl=0,
            failure_ttl=FAILURE_KEPT_S,
        )
    except RedisError as error:
        log.warning(
            "timer not set",
            charge_point_id=charge_point_id,
            reservation_id=reservation_id,
            reason=str(error),
        )


@cache
def _timers(url: str) -> Queue:
    connection = Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=TIMER_LINK_TIMEOUT_S,
        socket_connect_timeout=TIMER_LINK_TIMEOUT_S,
    )
    return queue(TIMERS, connection)
