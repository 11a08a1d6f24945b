"""Mutations for the cases of Core."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, again, drop, put

LONG_AGO = "2011-01-01T00:00:00Z"

NOTHING_RUNS = (put("connector", "status", "Preparing"), put("connector", "transaction_id", 7))
STOPPED = (put("transaction", "state", "open"), put("transaction", "stop_reason", "Other"))
REMOTE_START = (
    put("RemoteStartTransaction.req", "idTag", "SOMEBODY-ELSE"),
    put("RemoteStartTransaction.req", "connectorId", 2),
    drop("RemoteStartTransaction.req", "connectorId"),
)
UNLOCK = (put("UnlockConnector.req", "connectorId", 0),)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_001_CSMS": (
        put("BootNotification.conf", "currentTime", LONG_AGO),
        put("BootNotification.conf", "interval", 0),
        put("BootNotification.conf", "interval", 86_400),
        put("Heartbeat.conf", "currentTime", LONG_AGO),
        put("Heartbeat.conf 2", "currentTime", LONG_AGO),
    ),
    "TC_003_CSMS": (),
    "TC_004_1_CSMS": (),
    "TC_004_1_CSMS (the transaction before was never stopped)": (
        again("StartTransaction.conf 2", "transactionId", fails="another transactionId"),
        put("connector", "transaction_id", None),
        *STOPPED,
        put("transaction 2", "state", "stopped"),
    ),
    "TC_004_2_CSMS": NOTHING_RUNS,
    "TC_005_1_CSMS": STOPPED,
    "TC_007_CSMS": (put("StartTransaction.conf", "idTagInfo.status", "Invalid"),),
    "TC_061_CSMS": (),
    "TC_010_CSMS": REMOTE_START,
    "TC_011_1_CSMS": REMOTE_START,
    "TC_011_2_CSMS": (*REMOTE_START, *NOTHING_RUNS),
    "TC_012_CSMS": (put("RemoteStopTransaction.req", "transactionId", 999_999), *STOPPED),
    "TC_026_CSMS": REMOTE_START,
    "TC_028_CSMS": (
        put("RemoteStopTransaction.req", "transactionId", 999_999),
        put("transaction", "state", "stopped"),
    ),
    "TC_013_CSMS": (put("Reset.req", "type", "Soft"),),
    "TC_013_CSMS (it stops a transaction and is gone)": (
        put("Reset.req", "type", "Soft"),
        *STOPPED,
    ),
    "TC_014_CSMS": (put("Reset.req", "type", "Hard"),),
    "TC_017_1_CSMS": UNLOCK,
    "TC_017_2_CSMS": UNLOCK,
    "TC_018_1_CSMS": (*UNLOCK, *STOPPED),
    "TC_030_CSMS": UNLOCK,
    "TC_031_CSMS": (put("UnlockConnector.req", "connectorId", 1),),
    "TC_019_1_CSMS": (put("GetConfiguration.req", "key", ["HeartbeatInterval"]),),
    "TC_019_2_CSMS": (
        put("GetConfiguration.req", "key", ["supportedfeatureprofiles"]),
        put("GetConfiguration.req", "key.1", "HeartbeatInterval", fails="key"),
        drop("GetConfiguration.req", "key"),
    ),
    "TC_021_CSMS": (
        put("ChangeConfiguration.req", "key", "HeartbeatInterval"),
        put("ChangeConfiguration.req", "value", "61"),
    ),
    "TC_040_1_CSMS": (
        put("ChangeConfiguration.req", "key", "HeartbeatInterval"),
        put("ChangeConfiguration.req", "value", ""),
    ),
    "TC_040_2_CSMS": (
        put("ChangeConfiguration.req", "key", "HeartbeatInterval"),
        put("ChangeConfiguration.req", "value", "1"),
    ),
    "TC_023_1_CSMS": (
        put("Authorize.conf", "idTagInfo.status", "Accepted"),
        put("Authorize.conf", "idTagInfo.status", "Blocked"),
    ),
    "TC_023_2_CSMS": (
        put("Authorize.conf", "idTagInfo.status", "Accepted"),
        put("Authorize.conf", "idTagInfo.status", "Invalid"),
    ),
    "TC_023_3_CSMS": (
        put("Authorize.conf", "idTagInfo.status", "Accepted"),
        put("Authorize.conf", "idTagInfo.status", "Invalid"),
    ),
    "TC_024_CSMS": (
        put("connector", "status", "Preparing"),
        put("connector", "error_code", "NoError"),
    ),
    "TC_032_1_CSMS": (
        put("transaction", "state", "stopped"),
        put("transaction 2", "state", "open"),
        put("transaction 2", "stop_reason", "Other"),
    ),
    "TC_037_1_CSMS": (put("transaction", "start_timestamp", LONG_AGO),),
    "TC_037_3_CSMS": (
        put("StartTransaction.conf", "idTagInfo.status", "Accepted"),
        put("StartTransaction.conf", "transactionId", 0),
        *STOPPED,
    ),
    "TC_039_CSMS": (
        *STOPPED,
        put("transaction", "start_timestamp", LONG_AGO),
        put("transaction", "stop_timestamp", LONG_AGO),
    ),
    "TC_064_CSMS": (
        put("DataTransfer.conf", "status", "Accepted"),
        put("DataTransfer.conf", "data", "you are welcome", fails="no data"),
    ),
}
