"""The cases of the Core profile."""

from datetime import UTC, datetime

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import (
    CONNECTORS,
    authorized,
    booted,
    charging,
    started,
)
from chargepoint.conformance.tool import Tool

cases = Cases(Profile.CORE)

CLOCK_TOLERANCE_S = 300.0


@cases.add("TC_001_CSMS", "Cold boot", settings={"heartbeat_interval_s": 1})
def cold_boot(tool: Tool) -> None:
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


@cases.add("TC_012_CSMS", "Remote stop of a charging session")
def remote_stop(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    # The operator knows the transaction from the central system, not from the charge point.
    shown = tool.look_at_connector()
    command = tool.operate("RemoteStopTransaction", {"transactionId": shown["transaction_id"]})
    tool.expect("RemoteStopTransaction")
    tool.has("transactionId", transaction_id)
    tool.answer({"status": "Accepted"})
    tool.settled(command, {"status": "Accepted"})
    tool.stop_transaction(transaction_id, "Remote")
    tool.status("Finishing")
    tool.status("Available")
    tool.look_at_transaction(transaction_id)
    tool.has("state", "stopped")
    tool.has("stop_reason", "Remote")


@cases.add("TC_019_2_CSMS", "Retrieve one configuration key", mandatory=False)
def one_configuration_key(tool: Tool) -> None:
    booted(tool)
    command = tool.operate("GetConfiguration", {"key": ["SupportedFeatureProfiles"]})
    tool.expect("GetConfiguration")
    tool.has("key", ["SupportedFeatureProfiles"])
    answer = {
        "configurationKey": [
            {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,RemoteTrigger"}
        ],
        "unknownKey": [],
    }
    tool.answer(answer)
    tool.settled(command, answer)


@cases.add("TC_023_1_CSMS", "Authorize: an invalid idTag")
def authorize_invalid(tool: Tool) -> None:
    booted(tool)
    tool.authorize(tool.cast.unknown)
    tool.has("idTagInfo.status", "Invalid")


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
