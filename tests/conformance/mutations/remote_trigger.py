"""Mutations for the cases of Remote Trigger."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, alter, drop, put

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_054_CSMS": (
        put("TriggerMessage.req", "requestedMessage", "Heartbeat"),
        put("TriggerMessage.req", "connectorId", 2),
        drop("TriggerMessage.req", "connectorId"),
        put("TriggerMessage.req 2", "requestedMessage", "StatusNotification"),
        put("TriggerMessage.req 3", "requestedMessage", "Heartbeat"),
        drop("TriggerMessage.req 3", "connectorId"),
        put("TriggerMessage.req 4", "requestedMessage", "FirmwareStatusNotification"),
        put("TriggerMessage.req 5", "requestedMessage", "DiagnosticsStatusNotification"),
        *(
            alter(step, lambda shown: {**shown, "triggered": []}, fails="triggered.0.action")
            for step in ("triggered", *(f"triggered {n}" for n in range(2, 6)))
        ),
        put("charge point", "diagnostics_status", "Uploading"),
        put("charge point", "firmware_status", ""),
    ),
    "TC_055_CSMS": (
        put("TriggerMessage.req", "requestedMessage", "Heartbeat"),
        put("TriggerMessage.command", "triggered", [{"action": "MeterValues"}]),
    ),
}
