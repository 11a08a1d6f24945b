"""The queues of the workers, and the one place where jobs are put into them; RQ wakes, the records
are the truth.

So whoever puts a job off or loses it loses nothing but time, and what asks for one never fails.
"""

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry as LinkRetry
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job
from rq.serializers import JSONSerializer

from csms.logs import get_logger

log = get_logger(__name__)

TIMERS: Final = "timers"
FIRMWARE: Final = "firmware"
DIAGNOSTICS: Final = "diagnostics"
DEFAULT: Final = "default"
# In the order in which a worker empties them.
QUEUES: Final = (TIMERS, FIRMWARE, DIAGNOSTICS, DEFAULT)
_CAMPAIGN_QUEUES: Final = {"firmware": FIRMWARE, "logs": DIAGNOSTICS}

SWEEP: Final = "workers.timers.sweep"
DO_DUTY: Final = "workers.housekeeping.run"
EXPIRE_RESERVATION: Final = "workers.reservations.expire"
ADVANCE_CAMPAIGN: Final = "workers.campaigns.advance"
# What a worker runs; a job that names anything else is refused.
FUNCTIONS: Final = frozenset({SWEEP, DO_DUTY, EXPIRE_RESERVATION, ADVANCE_CAMPAIGN})

# What RQ says of a job that somebody else than RQ has written.
UNREADABLE: Final = (ValueError, TypeError, AssertionError)

# A job that failed is tried again after so many seconds, as often as there are.
RETRY_AFTER_S: Final = (5, 30)
FAILURES_KEPT_S: Final = 7 * 86_400
# One of a campaign, which is due all the time: that its worker was killed is the usual cause.
CAMPAIGN_RETRY_AFTER_S: Final = (0, 30)
# What recurs is begun anew so long after it failed for good.
AGAIN_AFTER_FAILURE: Final = timedelta(minutes=5)
# A job that stands nowhere for so long was lost by a worker that was killed between two steps.
LOST_AFTER_MS: Final = 10_000
LOST_KEPT_MS: Final = 120_000
# A charge point's socket waits for it: a server that hangs may cost it no more.
LINK_TIMEOUT_S: Final = 1.0
# A sweep that asks for hundreds of jobs must not wait for each of them.
LEFT_ALONE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job; job_id is that of the work: however often it is asked for, it stands there once.

    again_after: how long after it has failed for good it is put there anew when it is asked for;
    None where only a person may say so.
    """

    queue: str
    function: str
    arguments: tuple[str | int, ...]
    job_id: str
    timeout_s: int
    again_after: timedelta | None = None
    retry_after_s: tuple[int, ...] = RETRY_AFTER_S


class Executions(ExecutionRegistry):
    """Those of a job that are still there. RQ 3.0.0 keeps the id of one for a minute longer than
    the record of it, and raises ValueError over that when its worker was killed: it took a job for
    failed that was run again and had done its work, and could not delete one."""

    def get_executions(self, start: int = 0, end: int = -1) -> list[Execution]:
        found = []
        for execution_id in self.get_execution_ids(start, end):
            with suppress(ValueError):
                found.append(Execution.fetch(execution_id, self.job_id, self.connection))
        return found


class SteadyJob(Job):
    """A job whose worker may have been killed before."""

    @property
    def execution_registry(self) -> Executions:
        return Executions(self.id, connection=self.connection)


def connect(url: str, timeout_s: float | None = None) -> "Redis":
    """A client for RQ: it never sends a command twice by itself. timeout_s: None is redis-py's."""
    timeouts = {} if timeout_s is None else dict.fromkeys(_TIMEOUTS, timeout_s)
    return Redis.from_url(url, retry=LinkRetry(NoBackoff(), 0), **timeouts)


_TIMEOUTS: Final = ("socket_timeout", "socket_connect_timeout")


def queue(name: str, connection: "Redis") -> Queue:
    """A queue that takes JSON only: what can write to the store can't run code by a pickle."""
    return Queue(name, connection=connection, serializer=JSONSerializer)


def enqueue_sweep(url: str) -> None:
    """Have a worker look for what is due."""
    job = Wanted(TIMERS, SWEEP, (), "sweep", 60, AGAIN_AFTER_FAILURE)
    _ask(url, job)


def enqueue_duty(url: str, name: str) -> None:
    """Have a duty of the housekeeping done."""
    job = Wanted(DEFAULT, DO_DUTY, (name,), f"duty-{name}", 110, AGAIN_AFTER_FAILURE)
    _ask(url, job)


def wake_at_expiry(url: str, charge_point_id: str, reservation_id: int, at_ms: int) -> None:
    """Have a worker look at a reservation when its time is over; a changed one moves its timer."""
    name = f"{reservation_id}/{charge_point_id}"
    digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
    job = Wanted(
        TIMERS,
        EXPIRE_RESERVATION,
        (charge_point_id, reservation_id),
        f"reservation-{digest}",
        30,
        timedelta(0),
    )
    _ask(url, job, at_ms, moves=True)


def wake_campaign(url: str, campaign_id: str, kind: str) -> None:
    """Have a worker bring a campaign forward now. One that runs at this moment is not asked twice:
    whoever finds the campaign due afterwards asks again."""
    _ask(url, _campaign(campaign_id, kind))


def wake_campaign_at(url: str, campaign_id: str, kind: str, at_ms: int) -> None:
    """The same at an instant, unless a worker looks at it before."""
    _ask(url, _campaign(campaign_id, kind), at_ms)


def _campaign(campaign_id: str, kind: str) -> Wanted:
    """kind: firmware, logs, or another."""
    return Wanted(
        _CAMPAIGN_QUEUES.get(kind, DEFAULT),
        ADVANCE_CAMPAIGN,
        (campaign_id,),
        f"campaign-{campaign_id}",
        120,
        retry_after_s=CAMPAIGN_RETRY_AFTER_S,
    )


def _ask(url: str, job: Wanted, at_ms: int | None = None, *, moves: bool = False) -> None:
    """Never fails: it is a wake-up only, and what is due is found without it."""
    server = _server(url)
    if time.monotonic() < server.left_alone_until:
        log.debug("job not asked for", job=job.job_id, queue=job.queue, reason="as before")
        return
    try:
        ask(server.connection, job, at_ms, moves=moves)
    except RedisError as error:
        server.left_alone_until = time.monotonic() + LEFT_ALONE_S
        log.warning("job not asked for", job=job.job_id, queue=job.queue, reason=str(error))


def ask(connection: "Redis", job: Wanted, at_ms: int | None = None, *, moves: bool = False) -> bool:
    """Put a job there, or nothing where it stands already; whether it was put there.

    at_ms: not before then. moves: a later instant than that it stands there for counts, too.
    """
    # Timers are kept by the second; one that comes too early would find nothing to do.
    at = None if at_ms is None else datetime.fromtimestamp(at_ms // 1000 + 1, UTC)
    if _put(connection, job, at):
        return True
    return _makes_way(connection, job, at, moves=moves) and _put(connection, job, at)


def _put(connection: "Redis", job: Wanted, at: datetime | None) -> bool:
    """RQ takes a job id once for as long as anything of that job stands there; of one that ended
    well nothing does."""
    options = {
        "job_id": job.job_id,
        "unique": True,
        "job_timeout": job.timeout_s,
        "retry": Retry(max=len(job.retry_after_s), interval=list(job.retry_after_s)),
        "result_ttl": 0,
        "failure_ttl": FAILURES_KEPT_S,
    }
    jobs = queue(job.queue, connection)
    try:
        if at is None:
            jobs.enqueue(job.function, *job.arguments, **options)
        else:
            jobs.enqueue_at(at, job.function, *job.arguments, **options)
    except DuplicateJobError:
        return False
    return True


def _makes_way(connection: "Redis", wanted: Wanted, at: datetime | None, *, moves: bool) -> bool:
    """Whether the job that stands there is one to be replaced; it is gone then."""
    jobs = queue(wanted.queue, connection)
    try:
        job = SteadyJob.fetch(wanted.job_id, connection=connection, serializer=JSONSerializer)
    except NoSuchJobError:
        # It has just ended; or a worker that was killed left a stump of it behind.
        connection.delete(Job.key_for(wanted.job_id))
        return True
    if job.is_failed or job.is_stopped:
        ended_at = job.ended_at or datetime.now(UTC)
        is_over = wanted.again_after is not None and (
            datetime.now(UTC) - ended_at >= wanted.again_after
        )
        return is_over and _forget(job, jobs.failed_job_registry.key)
    timer = connection.zscore(jobs.scheduled_job_registry.key, job.id)
    if timer is not None:
        # One that waits to be tried again is let wait.
        is_timer = job.retries_left == len(wanted.retry_after_s)
        is_earlier = at is None or at.timestamp() < timer
        return is_timer and (is_earlier or moves) and _forget(job, jobs.scheduled_job_registry.key)
    return _is_lost(connection, jobs, job) and _forget(job)


def _forget(job: Job, registry_key: str | None = None) -> bool:
    """Whether it was still there, and is the caller's to replace."""
    if registry_key is not None and not job.connection.zrem(registry_key, job.id):
        return False  # somebody else was quicker
    job.delete()
    return True


def _is_lost(connection: "Redis", jobs: Queue, job: Job) -> bool:
    """Whether it stands in no list, and has not for a while: RQ's own moves take two steps, and a
    worker that is killed in between leaves a job behind that nobody would ever run."""
    stands = (
        connection.lpos(jobs.key, job.id) is not None
        or job.id in jobs.started_job_registry.get_job_ids(cleanup=False)
        or job.id in jobs.scheduled_job_registry.get_job_ids(cleanup=False)
    )
    mark = f"{job.key}:lost"
    if stands:
        connection.delete(mark)
        return False
    if connection.set(mark, "1", px=LOST_KEPT_MS, nx=True):
        return False
    left_ms: int = connection.pttl(mark)
    return left_ms <= LOST_KEPT_MS - LOST_AFTER_MS and bool(connection.delete(mark))


@dataclass(slots=True)
class _Server:
    """left_alone_until: on the monotonic clock; it has just not answered."""

    connection: "Redis"
    left_alone_until: float = 0.0


@cache
def _server(url: str) -> _Server:
    return _Server(connect(url, LINK_TIMEOUT_S))
