"""Mutations for the cases of Remote Trigger."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, alter, drop, put


def _untriggered(step: str) -> Mutation:
    return alter(step, lambda shown: {**shown, "triggered": []}, fails="triggered.0.action")


ALL_BUT_FIRMWARE = (
    put("TriggerMessage.req", "requestedMessage", "Heartbeat"),
    put("TriggerMessage.req", "connectorId", 2),
    drop("TriggerMessage.req", "connectorId"),
    put("TriggerMessage.req 2", "requestedMessage", "StatusNotification"),
    put("TriggerMessage.req 3", "requestedMessage", "Heartbeat"),
    drop("TriggerMessage.req 3", "connectorId"),
    put("TriggerMessage.req 4", "requestedMessage", "FirmwareStatusNotification"),
    put("TriggerMessage.req 5", "requestedMessage", "DiagnosticsStatusNotification"),
    _untriggered("triggered"),
    *(_untriggered(f"triggered {nth}") for nth in (2, 3, 4)),
)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_054_CSMS": (
        *ALL_BUT_FIRMWARE,
        _untriggered("triggered 5"),
        put("charge point", "diagnostics_status", "Uploading"),
        put("charge point", "firmware_status", ""),
    ),
    "TC_054_CSMS (FirmwareStatusNotification is not implemented)": (
        *ALL_BUT_FIRMWARE,
        put("TriggerMessage.command 5", "triggered", [{"action": "FirmwareStatusNotification"}]),
    ),
    "TC_055_CSMS": (
        put("TriggerMessage.req", "requestedMessage", "Heartbeat"),
        put("TriggerMessage.req", "connectorId", 2),
        put("TriggerMessage.command", "triggered", [{"action": "MeterValues"}]),
    ),
}
