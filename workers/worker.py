"""A worker that recovers from killed ones within 90 s and keeps the house in order."""

import sys
import time
from collections.abc import Mapping

from redis.exceptions import ConnectionError as StoreConnectionError
from rq import Worker
from rq.serializers import JSONSerializer

from csms import jobs, logs
from csms.config import Settings
from csms.errors import ConfigurationError

log = logs.get_logger(__name__)

# RQ's defaults take over 240 s to run the job of a killed worker again; these take 76.
WORKER_TTL_S = 30
MAINTENANCE_INTERVAL_S = 10
JOB_MONITORING_INTERVAL_S = 5
HOUSEKEEPING_PERIOD_S = 30
CONFIGURATION_ERROR = 78


class HousekeepingWorker(Worker):
    """Asks for the housekeeping in its maintenance, which RQ gives it every few seconds."""

    _asked_at = 0.0

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        if time.monotonic() - self._asked_at >= HOUSEKEEPING_PERIOD_S:
            self._asked_at = time.monotonic()
            jobs.enqueue_housekeeping(self.connection)


def main(environ: Mapping[str, str]) -> int:
    """Work until SIGTERM; 78 where the settings are wrong."""
    try:
        settings = Settings.from_env(environ)
    except ConfigurationError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201  # logs are not set up yet
        return CONFIGURATION_ERROR
    logs.configure(settings.log_level, settings.log_format)
    connection = jobs.connect(settings.rq_redis_url)
    try:
        worker = HousekeepingWorker(
            [jobs.queue(name, connection) for name in jobs.QUEUES],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_INTERVAL_S,
            job_monitoring_interval=JOB_MONITORING_INTERVAL_S,
            log_job_description=False,
        )
        worker.work(with_scheduler=True, logging_level="WARNING")
    except StoreConnectionError as error:
        log.error("the store does not answer", reason=str(error))
        return 1
    return 0
