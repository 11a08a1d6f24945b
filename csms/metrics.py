"""The counters of /metrics: base units, low cardinality, no charge point ids.

Values of this process; those of the whole system are read from the store when scraped
(web/metrics.py).
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

connections = Counter(
    "csms_connections", "Upgrades, by how they ended.", ["result"], registry=REGISTRY
)
disconnections = Counter(
    "csms_disconnections", "Sockets that ended, by reason.", ["reason"], registry=REGISTRY
)


_DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BOUNDS = (*map(str, _DURATIONS_S), "+Inf")


@dataclass(slots=True)
class CallTally:
    """CALLs of one action, and how they were answered."""

    results: int = 0
    errors: int = 0
    seconds: float = 0.0
    _buckets: list[int] = field(default_factory=lambda: [0] * (len(_DURATIONS_S) + 1))

    def add(self, seconds: float, *, is_error: bool) -> None:
        """seconds: from the CALL's arrival to its answer."""
        if is_error:
            self.errors += 1
        else:
            self.results += 1
        self.seconds += seconds
        self._buckets[bisect_left(_DURATIONS_S, seconds)] += 1

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus wants them: each holds those below it too."""
        total = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip(_BOUNDS, self._buckets, strict=True):
            total += count
            rows.append((bound, total))
        return rows


class FrameTallies(Collector):
    """Frames by action, in plain numbers.

    Only one greenlet runs at a time, and none gives way while it counts. The library's own
    counters take a lock for each number, which was 7 % of a frame's whole cost.
    """

    def __init__(self) -> None:
        self.received: dict[str, CallTally] = {}
        self.sent: dict[str, int] = {}

    def collect(self) -> Iterator[Metric]:
        messages = CounterMetricFamily(
            "csms_ocpp_messages", "Frames.", labels=["direction", "action", "type"]
        )
        durations = HistogramMetricFamily(
            "csms_ocpp_message_duration_seconds",
            "From a CALL's arrival to its answer.",
            labels=["action"],
        )
        for action, tally in self.received.items():
            messages.add_metric(["received", action, "call"], tally.results + tally.errors)
            messages.add_metric(["sent", action, "result"], tally.results)
            messages.add_metric(["sent", action, "error"], tally.errors)
            durations.add_metric([action], tally.cumulative(), tally.seconds)
        for action, count in self.sent.items():
            messages.add_metric(["sent", action, "call"], count)
        yield messages
        yield durations

    def count_sent(self, action: str) -> None:
        """A CALL of ours."""
        self.sent[action] = self.sent.get(action, 0) + 1


frames = FrameTallies()
REGISTRY.register(frames)

call_errors = Counter("csms_ocpp_errors", "CALLERRORs we sent.", ["code"], registry=REGISTRY)
commands = Counter(
    "csms_commands", "Commands, by how they ended.", ["action", "result"], registry=REGISTRY
)
command_duration = Histogram(
    "csms_command_duration_seconds",
    "From a command's creation to its end.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120),
    registry=REGISTRY,
)
security_events = Counter(
    "csms_security_events", "Security events.", ["source", "critical"], registry=REGISTRY
)
commands_pending = Gauge("csms_commands_pending", "CALLs waiting for an answer.", registry=REGISTRY)
transactions = Counter(
    "csms_transactions", "Transactions that ended, by reason.", ["reason"], registry=REGISTRY
)
energy_delivered = Counter(
    "csms_energy_delivered_watthours", "Energy metered in transactions.", registry=REGISTRY
)
auth_failures = Counter("csms_auth_failures", "Refused credentials.", ["kind"], registry=REGISTRY)
tls_handshake_failures = Counter(
    "csms_tls_handshake_failures", "TLS handshakes that failed.", registry=REGISTRY
)
certificate_days_left = Gauge(
    "csms_tls_certificate_days_left",
    "How long a certificate of the TLS ports is valid.",
    ["common_name", "algorithm"],
    registry=REGISTRY,
)
duplicate_connections = Counter(
    "csms_duplicate_connections", "Sockets displaced by a newer one.", registry=REGISTRY
)
store_errors = Counter("csms_redis_errors", "Failures of the store.", ["kind"], registry=REGISTRY)
store_call_duration = Histogram(
    "csms_redis_call_duration_seconds",
    "A write to the store and back: the lease, every 5 s.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
sse_clients = Gauge("csms_sse_clients", "Pages that listen for events.", registry=REGISTRY)
event_loop_lag = Gauge(
    "csms_event_loop_lag_seconds", "How late the last timer was.", registry=REGISTRY
)
