"""What there is to see of the workers: jobs by queue and state, who works, and what has failed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from csms import jobs
from csms.domain.secrets import mask_text
from csms.errors import NotFound, StoreUnavailable
from csms.state.pages import Page

# Of each queue; the oldest are forgotten beyond.
FAILED_KEPT: Final = 500
TEXT_MAX: Final = 300
# A worker says every few seconds that it is alive.
ALIVE_S: Final = 60


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that was tried as often as it may be. function and arguments are "" where nobody can
    read them; failure: the last line of what went wrong, without secrets."""

    job_id: str
    queue: str
    function: str
    arguments: str
    failed_at_ms: int
    failure: str


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """job: what it does at present, or ""."""

    name: str
    host: str
    pid: int | None
    state: str
    job: str
    last_heartbeat_ms: int

    def is_alive(self, now_ms: int) -> bool:
        return now_ms - self.last_heartbeat_ms < ALIVE_S * 1_000


class JobLists:
    """Everything raises StoreUnavailable, and nothing where only the records' store is gone."""

    def __init__(self, connection: "Redis") -> None:
        self._connection = connection

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many jobs there are by (queue, state): queued, started, scheduled, failed."""
        found: dict[tuple[str, str], int] = {}
        with _our_errors():
            pipeline = self._connection.pipeline(transaction=False)
            queues = self._queues()
            for one in queues:
                pipeline.llen(one.key)
                pipeline.zcard(one.started_job_registry.key)
                pipeline.zcard(one.scheduled_job_registry.key)
                pipeline.zcard(one.failed_job_registry.key)
            replies = pipeline.execute()
        states = ("queued", "started", "scheduled", "failed")
        for number, reply in enumerate(replies):
            found[queues[number // 4].name, states[number % 4]] = reply
        return found

    def workers(self) -> list[WorkerSeen]:
        """Those that have not said goodbye, the latest sign of life first."""
        with _our_errors():
            found = [
                WorkerSeen(
                    name=worker.name,
                    host=worker.hostname or "",
                    pid=worker.pid,
                    state=str(worker.get_state()),
                    job=worker.get_current_job_id() or "",
                    last_heartbeat_ms=_ms(worker.last_heartbeat),
                )
                for worker in Worker.all(connection=self._connection, serializer=JSONSerializer)
            ]
        return sorted(found, key=lambda worker: -worker.last_heartbeat_ms)

    def failed(self, cursor: str | None, limit: int) -> Page[FailedJob]:
        """Newest first; cursor: the job after which the page begins."""
        with _our_errors():
            entries = sorted(
                (entry for one in self._queues() for entry in self._failed_of(one)),
                key=lambda entry: (-entry[0], entry[1]),
            )
            ids = [job_id for _, job_id, _ in entries]
            start = ids.index(cursor) + 1 if cursor in ids else 0
            page = entries[start : start + limit]
            found = [self._failed_job(job_id, one) for _, job_id, one in page]
        is_last = start + limit >= len(entries)
        return Page([job for job in found if job is not None], None if is_last else page[-1][1])

    def retry(self, job_id: str) -> None:
        """Try a failed job again, as often as one that is new. Raises NotFound."""
        with _our_errors():
            job, one = self._find_failed(job_id)
            job.retries_left = len(jobs.RETRY_AFTER_S)
            job.retry_intervals = list(jobs.RETRY_AFTER_S)
            try:
                one.failed_job_registry.requeue(job)
            except InvalidJobOperation:  # somebody else was quicker
                raise NotFound("failed job", job_id) from None

    def delete(self, job_id: str) -> None:
        """Forget a failed job. Raises NotFound."""
        with _our_errors():
            job, one = self._find_failed(job_id)
            one.failed_job_registry.remove(job.id)
            job.delete()

    def _queues(self) -> list[Queue]:
        return [jobs.queue(name, self._connection) for name in jobs.QUEUES]

    def _failed_of(self, one: Queue) -> list[tuple[float, str, Queue]]:
        """By the instant at which it is forgotten, which is a fixed time after it failed."""
        key = one.failed_job_registry.key
        found: Any = self._connection.zrevrange(key, 0, FAILED_KEPT - 1, withscores=True)
        return [(score, member.decode("utf-8", "replace"), one) for member, score in found]

    def _find_failed(self, job_id: str) -> tuple[Job, Queue]:
        for one in self._queues():
            if self._connection.zscore(one.failed_job_registry.key, job_id) is not None:
                job = _fetch(self._connection, job_id)
                if job is not None:
                    return job, one
        raise NotFound("failed job", job_id)

    def _failed_job(self, job_id: str, one: Queue) -> FailedJob | None:
        job = _fetch(self._connection, job_id)
        if job is None:
            return None
        function, arguments = _call(job)
        result = job.latest_result()
        return FailedJob(
            job_id=job_id,
            queue=one.name,
            function=function,
            arguments=arguments,
            failed_at_ms=_ms(result.created_at if result else job.ended_at),
            failure=_last_line((result.exc_string if result else None) or ""),
        )


def trim_failed(connection: "Redis") -> None:
    """Forget the oldest failed jobs of a queue beyond those that are kept."""
    for name in jobs.QUEUES:
        registry = jobs.queue(name, connection).failed_job_registry
        for job_id in registry.get_job_ids(0, -1 - FAILED_KEPT):
            job = _fetch(connection, job_id)
            connection.zrem(registry.key, job_id)
            if job is not None:
                job.delete()


def _fetch(connection: "Redis", job_id: str) -> Job | None:
    """None also for one that can't be read."""
    try:
        return jobs.SteadyJob.fetch(job_id, connection=connection, serializer=JSONSerializer)
    except (NoSuchJobError, *jobs.UNREADABLE):
        return None


def _call(job: Job) -> tuple[str, str]:
    """What it runs and with what; nothing where it is no job of ours, but a pickle, say."""
    try:
        function, arguments = str(job.func_name), orjson.dumps(job.args).decode()
    except (DeserializationError, TypeError):
        return "", ""
    return function[:TEXT_MAX], mask_text(arguments)[:TEXT_MAX]


def _last_line(trace: str) -> str:
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    return mask_text(lines[-1])[:TEXT_MAX] if lines else ""


def _ms(instant: datetime | None) -> int:
    """RQ's instants are UTC, with or without saying so."""
    if instant is None:
        return 0
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise StoreUnavailable(f"The server of the jobs does not answer: {error}") from None
