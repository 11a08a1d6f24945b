"""A worker that recovers from killed ones within 90 s, and asks for the sweep."""

import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from csms import job_lists, jobs, logs
from csms.config import Settings
from csms.errors import ConfigurationError
from workers import campaigns, housekeeping, reservations, timers

log = logs.get_logger(__name__)

CONFIGURATION_ERROR = 78
TRY_AGAIN_S = 2.0
# Imported here, so that the process of each job need not do it: it took longer than most jobs.
JOB_MODULES = (campaigns, housekeeping, reservations, timers)


@dataclass(frozen=True, slots=True)
class Pace:
    """RQ's defaults take over 240 s to run the job of a killed worker again; these under 90.

    worker_ttl_s: how long a worker without work waits, and 15 s more. maintenance_s: how often it
    looks for what others left behind. heartbeat_s, grace_s: a job that runs says so each
    heartbeat_s, and is thought abandoned grace_s after it should have.
    """

    worker_ttl_s: int = 25
    maintenance_s: int = 10
    heartbeat_s: int = 5
    grace_s: int = 25


class RefusedJob(Exception):
    """Nobody of us has asked for it."""


class KnownJob(jobs.SteadyJob):
    """A job runs a function of ours, and nothing else: what can write to the store must not be able
    to choose what a worker runs."""

    functions = jobs.FUNCTIONS

    def restore(self, raw_data: Any) -> Any:
        """Without what else RQ would run or call for whoever wrote the job."""
        return super().restore(
            {
                name: value
                for name, value in raw_data.items()
                if name != b"webhooks" and not name.endswith(b"_callback_name")
            }
        )

    def perform(self) -> Any:
        if self.func_name not in self.functions or self.instance is not None:
            raise RefusedJob(f"{self.func_name} is no job of ours")
        return super().perform()


class CsmsWorker(Worker):
    """url: of the server it works for."""

    url: str
    pace: Pace

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """One that can't even be read is dropped; RQ would end the worker for it."""
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except jobs.UNREADABLE as error:
                log.error("job can't be read", reason=repr(error)[:200])

    def run_maintenance_tasks(self) -> None:
        """RQ gives it these every few seconds, and at its start."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        job_lists.trim_failed(self.connection)
        jobs.enqueue_sweep(self.url)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return self.pace.heartbeat_s + self.pace.grace_s


def main(environ: Mapping[str, str]) -> int:
    """Work until SIGTERM; 78 where the settings are wrong."""
    try:
        settings = Settings.from_env(environ)
    except ConfigurationError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201  # logs are not set up yet
        return CONFIGURATION_ERROR
    logs.configure(settings.log_level, settings.log_format)
    while not work(settings.rq_redis_url, Pace()):
        # RQ leaves its own, which end nothing any more.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        time.sleep(TRY_AGAIN_S)
    return 0


def work(url: str, pace: Pace, job_class: type[Job] = KnownJob) -> bool:
    """Until SIGTERM; False where the store does not answer, upon which RQ gives up. To end the
    process for that would end the others, too, where one runner looks after all."""
    connection = jobs.connect(url)
    try:
        worker = CsmsWorker(
            [jobs.queue(name, connection) for name in jobs.QUEUES],
            connection=connection,
            job_class=job_class,
            serializer=JSONSerializer,
            worker_ttl=pace.worker_ttl_s,
            maintenance_interval=pace.maintenance_s,
            job_monitoring_interval=pace.heartbeat_s,
            log_job_description=False,
        )
        worker.url, worker.pace = url, pace
        worker.work(with_scheduler=True, logging_level="WARNING")
    except RedisError as error:
        log.error("the store does not answer", reason=str(error))
        return False
    return True
