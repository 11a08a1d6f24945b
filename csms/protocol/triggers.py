"""Which message of a charge point a TriggerMessage has brought (OCPP 1.6 ed. 2, 5.17; white paper).

No id links the two: the message is of the kind asked for, of the connector asked for, and follows
the acceptance soon.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Charge points send at once; a slow link, or a queue of others before it, takes a while.
WINDOW_MS = 60_000
# Asked for without a connector, these come for each of them.
_OF_EACH_CONNECTOR = frozenset({"MeterValues", "StatusNotification"})
_EXTENDED = {
    # ExtendedTriggerMessage asks for the signed one (white paper, L01), and names no message here.
    "FirmwareStatusNotification": "SignedFirmwareStatusNotification",
    "SignChargePointCertificate": "SignCertificate",
}


def triggered_action(action: str, payload: Mapping[str, Any]) -> str | None:
    """The Action that a command of ours asks a charge point to send; None where it asks for none.

    payload: of the command, as sent.
    """
    if action == "TriggerMessage":
        return str(payload["requestedMessage"])
    if action == "ExtendedTriggerMessage":
        message = str(payload["requestedMessage"])
        return _EXTENDED.get(message, message)
    return None


def connector_of(payload: Any) -> int | None:
    """The connector a message names; None where it names none, or nonsense."""
    connector_id = payload.get("connectorId") if isinstance(payload, dict) else None
    return connector_id if isinstance(connector_id, int) else None


@dataclass(slots=True)
class _Expected:
    command_id: str
    action: str
    connector_id: int | None
    until_ms: int


class Triggers:
    """What one connection still waits for, in the order in which it was accepted."""

    def __init__(self) -> None:
        self.waiting: list[_Expected] = []

    def expect(self, command_id: str, action: str, payload: Mapping[str, Any], now_ms: int) -> None:
        """A trigger was accepted: its message may come from now on."""
        expected = _Expected(command_id, action, connector_of(payload), now_ms + WINDOW_MS)
        self.waiting.append(expected)

    def claim(self, action: str, payload: Any, now_ms: int) -> str | None:
        """The command that asked for this message, None where none did."""
        self.waiting = [expected for expected in self.waiting if expected.until_ms > now_ms]
        connector_id = connector_of(payload)
        for expected in self.waiting:
            if expected.action != action:
                continue
            if expected.connector_id not in (None, connector_id):
                continue
            if expected.connector_id is not None or action not in _OF_EACH_CONNECTOR:
                self.waiting.remove(expected)
            return expected.command_id
        return None
