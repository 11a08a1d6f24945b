"""Mutations for the cases of Core."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, put

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_001_CSMS": (
        put("BootNotification.conf", "currentTime", "2011-01-01T00:00:00Z"),
        put("BootNotification.conf", "interval", 0),
        put("BootNotification.conf", "interval", 86_400),
        put("Heartbeat.conf", "currentTime", "2011-01-01T00:00:00Z"),
        put("Heartbeat.conf 2", "currentTime", "2011-01-01T00:00:00Z"),
    ),
    "TC_003_CSMS": (),
    "TC_004_1_CSMS": (),
    "TC_012_CSMS": (
        put("RemoteStopTransaction.req", "transactionId", 999_999),
        put("transaction", "state", "open"),
        put("transaction", "stop_reason", "Local"),
    ),
    "TC_019_2_CSMS": (
        put("GetConfiguration.req", "key", ["supportedfeatureprofiles"]),
        put("GetConfiguration.req", "key.1", "HeartbeatInterval", fails="key"),
    ),
    "TC_023_1_CSMS": (
        put("Authorize.conf", "idTagInfo.status", "Accepted"),
        put("Authorize.conf", "idTagInfo.status", "Blocked"),
    ),
}
