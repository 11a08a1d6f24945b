"""The cases of the Core profile."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import (
    CONNECTORS,
    authorized,
    boot,
    booted,
    charging,
    rebooted,
    started,
)
from chargepoint.conformance.tool import Tool, instant

cases = Cases(Profile.CORE)

CLOCK_TOLERANCE_S = 300.0
CONNECTION_TIMEOUT_S = 1.0
UNKNOWN_TRANSACTION_ID = 2_000_000_000
UNKNOWN_CONNECTOR_ID = 99
ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}


# --- from the boot to the end of a session ---


@cases.add("TC_001_CSMS", "Cold boot", settings={"heartbeat_interval_s": 1})
def cold_boot(tool: Tool) -> None:
    tool.disconnect()
    tool.connect()
    answer = tool.boot()
    tool.has("status", "Accepted")
    _check_current_time(tool)
    wait_max_s = tool.target.heartbeat_wait_s
    interval_s = answer["interval"]
    tool.require("interval", 0 < interval_s <= wait_max_s, f"1 to {wait_max_s:g} s")
    for connector_id in CONNECTORS:
        tool.status("Available", connector_id)
    for _ in range(2):
        tool.pause(interval_s)
        tool.heartbeat()
        _check_current_time(tool)


@cases.add("TC_003_CSMS", "Regular charging session: plug-in first")
def plug_in_first(tool: Tool) -> None:
    booted(tool)
    tool.status("Preparing")
    authorized(tool)
    started(tool)
    tool.status("Charging")


@cases.add("TC_004_1_CSMS", "Regular charging session: identification first")
def identification_first(tool: Tool) -> None:
    booted(tool)
    charging(tool)


@cases.variant("TC_004_1_CSMS", "the transaction before was never stopped")
def identification_first_again(tool: Tool) -> None:
    booted(tool)
    before_id = charging(tool)
    authorized(tool)
    tool.status("Preparing")
    transaction_id = started(tool)
    tool.require("another transactionId", transaction_id != before_id, f"not {before_id} again")
    tool.status("Charging")
    tool.look_at_connector()
    tool.has("transaction_id", transaction_id)
    # Its stop may come all the same, and ends no other.
    tool.stop_transaction(before_id, "Local")
    _check_stopped(tool, before_id, "Local")
    tool.look_at_transaction(transaction_id)
    tool.has("state", "open")


@cases.add("TC_004_2_CSMS", "Identification first: ConnectionTimeOut")
def identification_times_out(tool: Tool) -> None:
    booted(tool)
    authorized(tool)
    tool.status("Preparing")
    tool.pause(CONNECTION_TIMEOUT_S)
    tool.status("Available")
    _check_nothing_runs(tool)


@cases.add("TC_005_1_CSMS", "EV side disconnected: the transaction stops", mandatory=False)
def ev_side_disconnected(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    tool.status("SuspendedEV")
    tool.stop_transaction(transaction_id, "EVDisconnected")
    tool.status("Finishing")
    tool.status("Available")
    _check_stopped(tool, transaction_id, "EVDisconnected")


@cases.add("TC_007_CSMS", "Regular start with a cached idTag")
def cached_id(tool: Tool) -> None:
    booted(tool)
    tool.status("Preparing")
    started(tool)  # no Authorize: the central system judges the idTag now
    tool.status("Charging")


@cases.add("TC_061_CSMS", "Clear the authorization cache", mandatory=False)
def clear_cache(tool: Tool) -> None:
    booted(tool)
    tool.operation("ClearCache", {}, ACCEPTED)  # that it is empty, the schema says


# --- remote start and stop ---


@cases.add("TC_010_CSMS", "Remote start: cable plugged in first", mandatory=False)
def remote_start_cable_first(tool: Tool) -> None:
    booted(tool)
    tool.status("Preparing")
    id_tag = _remote_start(tool, ACCEPTED)
    authorized(tool, id_tag)
    started(tool, id_tag)
    tool.status("Charging")


@cases.add("TC_011_1_CSMS", "Remote start: remote start first")
def remote_start_first(tool: Tool) -> None:
    booted(tool)
    id_tag = _remote_start(tool, ACCEPTED)
    authorized(tool, id_tag)
    tool.status("Preparing")
    started(tool, id_tag)
    tool.status("Charging")


@cases.add("TC_011_2_CSMS", "Remote start: time-out")
def remote_start_times_out(tool: Tool) -> None:
    booted(tool)
    id_tag = _remote_start(tool, ACCEPTED)
    authorized(tool, id_tag)
    tool.status("Preparing")
    tool.pause(CONNECTION_TIMEOUT_S)
    tool.status("Available")
    _check_nothing_runs(tool)


@cases.add("TC_012_CSMS", "Remote stop of a charging session")
def remote_stop(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    # The operator knows the transaction from the central system, not from the charge point.
    shown = tool.look_at_connector()
    command = tool.operate("RemoteStopTransaction", {"transactionId": shown["transaction_id"]})
    tool.expect("RemoteStopTransaction")
    tool.has("transactionId", transaction_id)
    tool.answer(ACCEPTED)
    tool.settled(command, ACCEPTED)
    tool.stop_transaction(transaction_id, "Remote")
    tool.status("Finishing")
    tool.status("Available")
    _check_stopped(tool, transaction_id, "Remote")


@cases.add("TC_026_CSMS", "Remote start: rejected")
def remote_start_rejected(tool: Tool) -> None:
    booted(tool)
    _remote_start(tool, REJECTED)


@cases.add("TC_028_CSMS", "Remote stop: rejected")
def remote_stop_rejected(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    tool.operation("RemoteStopTransaction", {"transactionId": UNKNOWN_TRANSACTION_ID}, REJECTED)
    tool.has("transactionId", UNKNOWN_TRANSACTION_ID)
    tool.look_at_transaction(transaction_id)
    tool.has("state", "open")


# --- reset and unlock ---


@cases.add("TC_013_CSMS", "Hard reset")
def hard_reset(tool: Tool) -> None:
    _reset(tool, "Hard")


@cases.variant("TC_013_CSMS", "it stops a transaction and is gone")
def hard_reset_while_charging(tool: Tool) -> None:
    """Nobody is there any more to be told that the transaction has ended; it is sent again."""
    booted(tool)
    transaction_id = charging(tool)
    tool.operation("Reset", {"type": "Hard"}, ACCEPTED)
    tool.has("type", "Hard")
    stop = {
        "transactionId": transaction_id,
        "meterStop": 2000,
        "timestamp": instant(),
        "reason": "HardReset",
    }
    tool.send("StopTransaction", stop)
    tool.vanish()
    booted(tool)
    tool.stop_transaction(transaction_id, "HardReset", timestamp=stop["timestamp"])
    _check_stopped(tool, transaction_id, "HardReset")


@cases.add("TC_014_CSMS", "Soft reset")
def soft_reset(tool: Tool) -> None:
    _reset(tool, "Soft")


@cases.add("TC_017_1_CSMS", "Unlock connector: no session, loose cable")
def unlock_loose_cable(tool: Tool) -> None:
    booted(tool)
    _unlock(tool, "Unlocked")


@cases.add("TC_017_2_CSMS", "Unlock connector: no session, fixed cable")
def unlock_fixed_cable(tool: Tool) -> None:
    booted(tool)
    _unlock(tool, "NotSupported")


@cases.add("TC_018_1_CSMS", "Unlock connector: during a session", mandatory=False)
def unlock_during_session(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    _unlock(tool, "Unlocked")
    tool.status("Finishing")  # before the StopTransaction, as the official tool has it
    tool.stop_transaction(transaction_id, "UnlockCommand")
    tool.status("Available")
    _check_stopped(tool, transaction_id, "UnlockCommand")


@cases.add("TC_030_CSMS", "Unlock connector: unlock failure")
def unlock_failure(tool: Tool) -> None:
    booted(tool)
    _unlock(tool, "UnlockFailed")


@cases.add("TC_031_CSMS", "Unlock connector: unknown connector")
def unlock_unknown_connector(tool: Tool) -> None:
    booted(tool)
    tool.operation(
        "UnlockConnector", {"connectorId": UNKNOWN_CONNECTOR_ID}, {"status": "NotSupported"}
    )
    tool.has("connectorId", UNKNOWN_CONNECTOR_ID)


# --- configuration ---


@cases.add("TC_019_1_CSMS", "Retrieve all configuration keys", mandatory=False)
def all_configuration_keys(tool: Tool) -> None:
    booted(tool)
    keys = [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        {"key": "NumberOfConnectors", "readonly": True, "value": "1"},
        {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,RemoteTrigger"},
    ]
    asked = tool.operation("GetConfiguration", {}, {"configurationKey": keys, "unknownKey": []})
    tool.require("key", not asked.get("key"), "to be left out or empty")


@cases.add("TC_019_2_CSMS", "Retrieve one configuration key", mandatory=False)
def one_configuration_key(tool: Tool) -> None:
    booted(tool)
    key = {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,RemoteTrigger"}
    tool.operation(
        "GetConfiguration",
        {"key": ["SupportedFeatureProfiles"]},
        {"configurationKey": [key], "unknownKey": []},
    )
    tool.has("key", ["SupportedFeatureProfiles"])


@cases.add("TC_021_CSMS", "Change configuration")
def change_configuration(tool: Tool) -> None:
    booted(tool)
    _change_configuration(tool, "MeterValueSampleInterval", "60", "Accepted")


@cases.add("TC_040_1_CSMS", "Change configuration: key not supported")
def key_not_supported(tool: Tool) -> None:
    booted(tool)
    _change_configuration(tool, "ConformanceKitUnknownKey", "1", "NotSupported")


@cases.add("TC_040_2_CSMS", "Change configuration: invalid value")
def invalid_value(tool: Tool) -> None:
    booted(tool)
    _change_configuration(tool, "MeterValueSampleInterval", "-1", "Rejected")


# --- who may not charge, and what breaks ---


@cases.add("TC_023_1_CSMS", "Authorize: an invalid idTag")
def authorize_invalid(tool: Tool) -> None:
    booted(tool)
    tool.authorize(tool.cast.unknown)
    tool.has("idTagInfo.status", "Invalid")


@cases.add("TC_023_2_CSMS", "Authorize: an expired idTag")
def authorize_expired(tool: Tool) -> None:
    booted(tool)
    tool.authorize(tool.cast.expired)
    tool.has("idTagInfo.status", "Expired")


@cases.add("TC_023_3_CSMS", "Authorize: a blocked idTag")
def authorize_blocked(tool: Tool) -> None:
    booted(tool)
    tool.authorize(tool.cast.blocked)
    tool.has("idTagInfo.status", "Blocked")


@cases.add("TC_024_CSMS", "Connector lock failure")
def lock_failure(tool: Tool) -> None:
    booted(tool)
    authorized(tool)
    tool.status("Preparing")
    tool.status("Faulted", error_code="ConnectorLockFailure")
    tool.look_at_connector()
    tool.has("status", "Faulted")
    tool.has("error_code", "ConnectorLockFailure")


@cases.add("TC_032_1_CSMS", "Power failure: transactions are stopped afterwards")
def power_failure(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    tool.vanish()
    tool.connect()
    boot(tool, statuses={0: "Available", 1: "Finishing"})
    tool.look_at_transaction(transaction_id)
    tool.has("state", "open")
    tool.stop_transaction(transaction_id, "PowerLoss")
    _check_stopped(tool, transaction_id, "PowerLoss")


# --- offline ---


@cases.add("TC_037_1_CSMS", "Offline start with a valid idTag", mandatory=False)
def offline_start(tool: Tool) -> None:
    booted(tool)
    tool.disconnect()
    began = instant(timedelta(minutes=10))
    tool.connect()
    transaction_id = started(tool, timestamp=began)
    tool.status("Charging")
    tool.look_at_transaction(transaction_id)
    tool.has("start_timestamp", began)


@cases.add(
    "TC_037_3_CSMS", "Offline start with an invalid idTag: the transaction stops", mandatory=False
)
def offline_start_invalid(tool: Tool) -> None:
    booted(tool)
    tool.disconnect()
    tool.connect()
    began = instant(timedelta(minutes=10))
    transaction_id = tool.start_transaction(tool.cast.unknown, timestamp=began)
    tool.has("idTagInfo.status", "Invalid")
    tool.require("transactionId", transaction_id > 0, "an id for the transaction all the same")
    tool.status("Charging")
    tool.stop_transaction(transaction_id, "DeAuthorized")
    tool.status("Finishing")
    _check_stopped(tool, transaction_id, "DeAuthorized")


@cases.add("TC_039_CSMS", "Offline transaction", mandatory=False)
def offline_transaction(tool: Tool) -> None:
    booted(tool)
    tool.disconnect()
    tool.connect()
    began, ended = instant(timedelta(minutes=30)), instant(timedelta(minutes=10))
    transaction_id = started(tool, timestamp=began)
    tool.stop_transaction(
        transaction_id, "Local", timestamp=ended, idTag=tool.cast.valid, meterStop=8000
    )
    _check_stopped(tool, transaction_id, "Local")
    tool.has("start_timestamp", began)
    tool.has("stop_timestamp", ended)


@cases.add("TC_064_CSMS", "Data transfer to the central system")
def data_transfer(tool: Tool) -> None:
    booted(tool)
    tool.call("DataTransfer", {"vendorId": "org.example.conformance", "messageId": "hello"})
    # The official tool lets Accepted pass, with a warning; no vendor of ours has this name.
    tool.one_of("status", ("Rejected", "UnknownMessageId", "UnknownVendorId"))
    tool.absent("data")


# --- what several of them do ---


def _remote_start(tool: Tool, answer: dict[str, Any]) -> str:
    """The idTag to start with."""
    wished = {"connectorId": 1, "idTag": tool.cast.valid}
    asked = tool.operation("RemoteStartTransaction", wished, answer)
    tool.has("idTag", tool.cast.valid)
    tool.has("connectorId", 1)
    return str(asked["idTag"])


def _reset(tool: Tool, kind: str) -> None:
    booted(tool)
    tool.operation("Reset", {"type": kind}, ACCEPTED)
    tool.has("type", kind)
    rebooted(tool)


def _unlock(tool: Tool, status: str) -> None:
    asked = tool.operation("UnlockConnector", {"connectorId": 1}, {"status": status})
    tool.require("connectorId", asked["connectorId"] > 0, "above 0")


def _change_configuration(tool: Tool, key: str, value: str, status: str) -> None:
    tool.operation("ChangeConfiguration", {"key": key, "value": value}, {"status": status})
    tool.has("key", key)
    tool.has("value", value)


def _check_nothing_runs(tool: Tool) -> None:
    """No transaction was invented, and the connector is as it was told. One that a case before has
    left open is none of this one's business."""
    tool.look_at_connector()
    tool.has("status", "Available")
    tool.has("transaction_id", tool.played.running.get(1))


def _check_stopped(tool: Tool, transaction_id: int, reason: str) -> None:
    tool.look_at_transaction(transaction_id)
    tool.has("state", "stopped")
    tool.has("stop_reason", reason)


def _check_current_time(tool: Tool) -> None:
    """Of this moment, with its zone; the schema allows other forms."""
    told = str(tool.field("currentTime"))
    try:
        off_s = abs((datetime.now(UTC) - datetime.fromisoformat(told)).total_seconds())
    except (ValueError, TypeError):
        off_s = float("inf")
    tool.require(
        "currentTime", off_s <= CLOCK_TOLERANCE_S, f"now, give or take {CLOCK_TOLERANCE_S:g} s"
    )
