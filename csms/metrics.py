"""The counters of /metrics: base units, low cardinality, no charge point ids.

Values of this process; those of the whole system are read from the store when scraped
(web/metrics.py).
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

connections = Counter(
    "csms_connections", "Upgrades, by how they ended.", ["result"], registry=REGISTRY
)
disconnections = Counter(
    "csms_disconnections", "Sockets that ended, by reason.", ["reason"], registry=REGISTRY
)
messages = Counter(
    "csms_ocpp_messages", "Frames.", ["direction", "action", "type"], registry=REGISTRY
)
message_duration = Histogram(
    "csms_ocpp_message_duration_seconds",
    "From a CALL's arrival to its answer.",
    ["action"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
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
commands_pending = Gauge("csms_commands_pending", "CALLs waiting for an answer.", registry=REGISTRY)
transactions = Counter(
    "csms_transactions", "Transactions that ended, by reason.", ["reason"], registry=REGISTRY
)
energy_delivered = Counter(
    "csms_energy_delivered_watthours", "Energy metered in transactions.", registry=REGISTRY
)
auth_failures = Counter("csms_auth_failures", "Refused credentials.", ["kind"], registry=REGISTRY)
duplicate_connections = Counter(
    "csms_duplicate_connections", "Sockets displaced by a newer one.", registry=REGISTRY
)
store_errors = Counter("csms_redis_errors", "Failures of the store.", ["kind"], registry=REGISTRY)
sse_clients = Gauge("csms_sse_clients", "Pages that listen for events.", registry=REGISTRY)
event_loop_lag = Gauge(
    "csms_event_loop_lag_seconds", "How late the last timer was.", registry=REGISTRY
)
