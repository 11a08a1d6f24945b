"""The cases of the Remote Trigger profile."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import booted
from chargepoint.conformance.tool import Tool, meter_value

cases = Cases(Profile.REMOTE_TRIGGER)


@cases.add("TC_054_CSMS", "Trigger message")
def trigger_message(tool: Tool) -> None:
    booted(tool)
    _all_but_firmware(tool)
    _triggered(
        tool,
        {"requestedMessage": "FirmwareStatusNotification"},
        partial(tool.call, "FirmwareStatusNotification", {"status": "Idle"}),
    )
    tool.look_at_charge_point()
    tool.has("diagnostics_status", "Idle")
    tool.has("firmware_status", "Idle")


@cases.variant("TC_054_CSMS", "FirmwareStatusNotification is not implemented")
def trigger_not_implemented(tool: Tool) -> None:
    booted(tool)
    _all_but_firmware(tool)
    _triggers_nothing(tool, {"requestedMessage": "FirmwareStatusNotification"}, "NotImplemented")


@cases.add("TC_055_CSMS", "Trigger message: rejected", mandatory=False)
def trigger_rejected(tool: Tool) -> None:
    booted(tool)
    _triggers_nothing(tool, {"requestedMessage": "MeterValues", "connectorId": 1}, "Rejected")


def _all_but_firmware(tool: Tool) -> None:
    _triggered(
        tool,
        {"requestedMessage": "MeterValues", "connectorId": 1},
        lambda: tool.call("MeterValues", {"connectorId": 1, "meterValue": [meter_value()]}),
    )
    _triggered(tool, {"requestedMessage": "Heartbeat"}, tool.heartbeat)
    _triggered(
        tool,
        {"requestedMessage": "StatusNotification", "connectorId": 1},
        lambda: tool.status("Available"),
    )
    _triggered(
        tool,
        {"requestedMessage": "DiagnosticsStatusNotification"},
        partial(tool.call, "DiagnosticsStatusNotification", {"status": "Idle"}),
    )


def _triggered(tool: Tool, asked: Payload, send: Callable[[], Any]) -> None:
    """One TriggerMessage, and the message that it triggers: the operator sees both as one."""
    _asked(tool, asked, "Accepted")
    send()
    tool.look("triggered", f"/commands/{tool.command_id}", until=lambda shown: shown["triggered"])
    tool.has("triggered.0.action", asked["requestedMessage"])


def _triggers_nothing(tool: Tool, asked: Payload, status: str) -> None:
    _asked(tool, asked, status)
    tool.has("triggered", [])


def _asked(tool: Tool, asked: Payload, status: str) -> None:
    command = tool.operate("TriggerMessage", asked)
    tool.expect("TriggerMessage")
    for name, value in asked.items():
        tool.has(name, value)
    tool.answer({"status": status})
    tool.settled(command, {"status": status})
