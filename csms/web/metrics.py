"""The fleet's figures for /metrics, read from the store whenever somebody asks.

A scrape reaches any one process, so that what concerns all of them can't come from its memory.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from csms import clock
from csms.errors import StoreRefused, StoreUnavailable
from csms.state.stores import Stores

JobCounts = Callable[[], Mapping[tuple[str, str], int]]


class FleetCollector(Collector):
    def __init__(self, stores: Stores, job_counts: JobCounts, version: str) -> None:
        self._stores = stores
        self._job_counts = job_counts
        self._version = version

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that to register costs no trip to the store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily("csms_build_info", "The version that runs.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        answers = GaugeMetricFamily("csms_store_up", "Whether the store answers.")
        now_ms = clock.now_ms()
        try:
            overview = self._stores.overviews.read(now_ms)
            oldest_ms = self._stores.commands.oldest_queued_ms()
        except (StoreUnavailable, StoreRefused):
            # Gaps say that nothing is known; zeros would say that all are gone.
            answers.add_metric([], 0)
            yield answers
            return
        answers.add_metric([], 1)
        yield answers
        yield GaugeMetricFamily(
            "csms_charge_points_connected",
            "Charge points connected, in all processes.",
            value=overview.connected,
        )
        yield GaugeMetricFamily(
            "csms_transactions_active",
            "Transactions that run.",
            value=overview.open_transactions,
        )
        connectors = GaugeMetricFamily(
            "csms_connectors", "Connectors by the status they reported last.", labels=["status"]
        )
        for status, count in overview.connectors.items():
            connectors.add_metric([status], count)
        yield connectors
        yield GaugeMetricFamily(
            "csms_outbox_oldest_seconds",
            "How long the oldest waiting command has waited.",
            value=0 if oldest_ms is None else (now_ms - oldest_ms) / 1000,
        )
        yield from self._jobs()

    def _jobs(self) -> Iterable[Metric]:
        """None where their server, which may be another one, does not answer."""
        try:
            job_counts = self._job_counts()
        except StoreUnavailable:
            return
        jobs = GaugeMetricFamily(
            "csms_jobs", "Jobs of the workers by queue and state.", labels=["queue", "state"]
        )
        for (queue, state), count in job_counts.items():
            jobs.add_metric([queue, state], count)
        yield jobs
