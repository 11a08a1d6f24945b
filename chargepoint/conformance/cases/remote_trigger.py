"""The cases of the Remote Trigger profile."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import booted
from chargepoint.conformance.tool import Tool, instant

cases = Cases(Profile.REMOTE_TRIGGER)


@cases.add("TC_054_CSMS", "Trigger message")
def trigger_message(tool: Tool) -> None:
    booted(tool)
    _triggered(
        tool,
        {"requestedMessage": "MeterValues", "connectorId": 1},
        lambda: tool.call("MeterValues", {"connectorId": 1, "meterValue": [_meter_value()]}),
    )
    _triggered(tool, {"requestedMessage": "Heartbeat"}, tool.heartbeat)
    _triggered(
        tool,
        {"requestedMessage": "StatusNotification", "connectorId": 1},
        lambda: tool.status("Available"),
    )
    for message in ("DiagnosticsStatusNotification", "FirmwareStatusNotification"):
        _triggered(
            tool,
            {"requestedMessage": message},
            partial(tool.call, message, {"status": "Idle"}),
        )
    tool.look_at_charge_point()
    tool.has("diagnostics_status", "Idle")
    tool.has("firmware_status", "Idle")


@cases.add("TC_055_CSMS", "Trigger message: rejected", mandatory=False)
def trigger_rejected(tool: Tool) -> None:
    booted(tool)
    command = tool.operate("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
    tool.expect("TriggerMessage")
    tool.has("requestedMessage", "MeterValues")
    tool.answer({"status": "Rejected"})
    tool.settled(command, {"status": "Rejected"})
    tool.has("triggered", [])


def _triggered(tool: Tool, asked: Payload, send: Callable[[], Any]) -> None:
    """One TriggerMessage, and the message that it triggers: the operator sees both as one."""
    command = tool.operate("TriggerMessage", asked)
    tool.expect("TriggerMessage")
    for name, value in asked.items():
        tool.has(name, value)
    tool.answer({"status": "Accepted"})
    tool.settled(command, {"status": "Accepted"})
    send()
    tool.look("triggered", f"/commands/{tool.command_id}", until=lambda shown: shown["triggered"])
    tool.has("triggered.0.action", asked["requestedMessage"])


def _meter_value() -> Payload:
    sampled = {"value": "1000", "measurand": "Energy.Active.Import.Register"}
    return {"timestamp": instant(), "sampledValue": [sampled]}
