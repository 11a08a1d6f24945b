"""States in which cases begin, as the steps that lead there."""

from collections.abc import Mapping
from typing import Any

from chargepoint.conformance.tool import Tool

CONNECTORS = (0, 1)


def booted(tool: Tool, url: str | None = None, **how: Any) -> None:
    """Connected, accepted, and every connector Available: or connected and accepted by a case
    before, with the connectors as that left them. url, how: see Tool.upgrade."""
    if tool.played.is_booted:
        return
    tool.connect(url, **how)
    boot(tool)


def boot(tool: Tool, statuses: Mapping[int, str] | None = None) -> None:
    """BootNotification and the statuses, over the connection that is open; all Available, unless
    said otherwise."""
    tool.boot()
    tool.has("status", "Accepted")
    for connector_id in CONNECTORS:
        tool.status((statuses or {}).get(connector_id, "Available"), connector_id)


def rebooted(tool: Tool) -> None:
    """Gone, and come back."""
    tool.disconnect()
    booted(tool)


def authorized(tool: Tool, id_tag: str | None = None) -> None:
    """The driver has been let in."""
    tool.authorize(id_tag or tool.cast.valid)
    tool.has("idTagInfo.status", "Accepted")


def started(tool: Tool, id_tag: str | None = None, **more: Any) -> int:
    """A transaction that was accepted: its id."""
    transaction_id = tool.start_transaction(id_tag or tool.cast.valid, **more)
    tool.has("idTagInfo.status", "Accepted")
    return transaction_id


def charging(tool: Tool, **more: Any) -> int:
    """Authorized, plugged in and charging on connector 1: the transactionId. more: fields of
    StartTransaction.req."""
    authorized(tool)
    tool.status("Preparing")
    transaction_id = started(tool, **more)
    tool.status("Charging")
    return transaction_id
