"""Commands in plain words: what each is called, what it is about, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csms.domain.command import Command, CommandState

TITLES: Mapping[str, str] = {
    "CancelReservation": "Cancel a reservation",
    "CertificateSigned": "Send a signed certificate",
    "ChangeAvailability": "Take in or out of service",
    "ChangeConfiguration": "Change its configuration",
    "ClearCache": "Clear its cache",
    "ClearChargingProfile": "Clear charging profiles",
    "DataTransfer": "Vendor's own message",
    "DeleteCertificate": "Delete a root certificate",
    "ExtendedTriggerMessage": "Ask for a message, extended",
    "GetCompositeSchedule": "Ask for the composite schedule",
    "GetConfiguration": "Read its configuration",
    "GetDiagnostics": "Fetch diagnostics",
    "GetInstalledCertificateIds": "Ask for its root certificates",
    "GetLocalListVersion": "Ask for the version of its local list",
    "GetLog": "Fetch a log",
    "InstallCertificate": "Install a root certificate",
    "RemoteStartTransaction": "Start a transaction",
    "RemoteStopTransaction": "Stop a transaction",
    "ReserveNow": "Reserve",
    "Reset": "Restart the charge point",
    "SendLocalList": "Send its local list",
    "SetChargingProfile": "Install a charging profile",
    "SignedUpdateFirmware": "Update the firmware",
    "TriggerMessage": "Ask for a message",
    "UnlockConnector": "Unlock a connector",
    "UpdateFirmware": "Update the firmware",
}
# The fields that say what a command is about, where its title does not.
_SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "CancelReservation": ("reservationId",),
    "ChangeAvailability": ("type", "connectorId"),
    "ChangeConfiguration": ("key",),
    "ClearChargingProfile": ("id", "chargingProfilePurpose", "connectorId"),
    "DataTransfer": ("vendorId", "messageId"),
    "ExtendedTriggerMessage": ("requestedMessage", "connectorId"),
    "GetCompositeSchedule": ("connectorId",),
    "GetInstalledCertificateIds": ("certificateType",),
    "GetLog": ("logType",),
    "InstallCertificate": ("certificateType",),
    "RemoteStartTransaction": ("idTag", "connectorId"),
    "RemoteStopTransaction": ("transactionId",),
    "ReserveNow": ("reservationId", "idTag", "connectorId"),
    "Reset": ("type",),
    "SendLocalList": ("updateType", "listVersion"),
    "SetChargingProfile": ("connectorId",),
    "TriggerMessage": ("requestedMessage", "connectorId"),
    "UnlockConnector": ("connectorId",),
}
_FIELDS = {
    "connectorId": "connector {}",
    "id": "profile {}",
    "listVersion": "version {}",
    "reservationId": "reservation {}",
    "transactionId": "transaction {}",
}
# Where the records are that a command asks for or changes: an endpoint, and the name of its page.
_RECORDS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("CancelReservation", "ReserveNow"), ("reservations_page.page", "Reservations")
    ),
    **dict.fromkeys(
        ("ChangeConfiguration", "GetConfiguration"), ("configuration_page.page", "Configuration")
    ),
    **dict.fromkeys(
        ("ClearChargingProfile", "GetCompositeSchedule", "SetChargingProfile"),
        ("charging_page.page", "Charging"),
    ),
    **dict.fromkeys(
        ("GetLocalListVersion", "SendLocalList"), ("local_list_page.page", "Local list")
    ),
    **dict.fromkeys(
        ("GetDiagnostics", "GetLog", "SignedUpdateFirmware", "UpdateFirmware"),
        ("transfers_page.page", "Firmware & logs"),
    ),
    **dict.fromkeys(
        (
            "CertificateSigned",
            "DeleteCertificate",
            "GetInstalledCertificateIds",
            "InstallCertificate",
        ),
        ("charge_point_security_page.page", "Security"),
    ),
}
# Statuses of confirmations that say more in a sentence than by their name (OCPP 1.6, chapter 7).
_ANSWERS: Mapping[str, tuple[str, str]] = {
    "Accepted": ("good", "Accepted"),
    "AcceptedCanceled": ("good", "Accepted; what ran before is cancelled"),
    "Rejected": (
        "bad",
        "The charge point answered Rejected: it may be busy, or not allow this now",
    ),
    "Scheduled": ("good", "Scheduled: it will be done when the running transaction has ended"),
    "Unlocked": ("good", "Unlocked"),
    "UnlockFailed": ("bad", "The charge point tried and could not unlock the connector"),
    "NotSupported": ("bad", "The charge point does not support this"),
    "NotImplemented": ("bad", "The charge point does not implement this message"),
    "RebootRequired": ("good", "Accepted; it takes effect after a reboot"),
    "UnknownMessageId": ("bad", "The charge point does not know this message id"),
    "UnknownVendorId": ("bad", "The charge point does not know this vendor id"),
    "Occupied": ("bad", "The connector is occupied"),
    "Faulted": ("bad", "The connector is faulted"),
    "Unavailable": ("bad", "The connector is unavailable"),
}
_ANSWERS_OF: Mapping[tuple[str, str], tuple[str, str]] = {
    ("CancelReservation", "Rejected"): ("bad", "The charge point keeps no such reservation"),
    ("CertificateSigned", "Rejected"): ("bad", "The charge point did not take the certificate"),
    ("ChangeConfiguration", "Rejected"): (
        "bad",
        "The charge point answered Rejected: the key may be read only, or the value wrong",
    ),
    ("ChangeConfiguration", "NotSupported"): ("bad", "The charge point does not know this key"),
    ("ClearChargingProfile", "Unknown"): ("bad", "The charge point had no such profile"),
    ("DeleteCertificate", "Failed"): ("bad", "The charge point could not delete it"),
    ("DeleteCertificate", "NotFound"): ("bad", "The charge point had no such certificate"),
    ("GetInstalledCertificateIds", "NotFound"): ("good", "It has none of this type"),
    ("InstallCertificate", "Failed"): ("bad", "The charge point could not install it"),
    ("InstallCertificate", "Rejected"): (
        "bad",
        "The charge point did not take it: it may not be valid, or there may be no room",
    ),
    ("RemoteStopTransaction", "Rejected"): (
        "bad",
        "The charge point answered Rejected: this transaction may be over",
    ),
    ("SendLocalList", "Failed"): ("bad", "The charge point could not take the list"),
    ("SendLocalList", "VersionMismatch"): ("bad", "The charge point has another version"),
    ("SignedUpdateFirmware", "InvalidCertificate"): (
        "bad",
        "The charge point holds the signing certificate to be invalid",
    ),
    ("SignedUpdateFirmware", "RevokedCertificate"): (
        "bad",
        "The charge point holds the signing certificate to be revoked",
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """tone: `good`, `bad` or `waiting`."""

    tone: str
    sentence: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Where what a command is about is kept: an endpoint, its values, and what the page is
    called."""

    endpoint: str
    values: Mapping[str, str]
    name: str


def title(command: Command) -> str:
    return TITLES.get(command.action, command.action)


def subject(command: Command) -> str:
    """`ALICE, connector 1`; "" where the title says it all."""
    named = (
        (name, command.payload[name])
        for name in _SUBJECTS.get(command.action, ())
        if name in command.payload
    )
    return ", ".join(_part(command.action, name, value) for name, value in named)


def _part(action: str, name: str, value: Any) -> str:
    if (name, value) == ("connectorId", 0):
        return "any connector" if action == "ReserveNow" else "whole charge point"
    return _FIELDS.get(name, "{}").format(value)


def record_page(command: Command) -> RecordPage | None:
    """None where the command is all there is."""
    found = _RECORDS.get(command.action)
    if found is None:
        return None
    endpoint, name = found
    values = {"charge_point_id": command.charge_point_id}
    if endpoint == "transfers_page.page":
        # A transfer is known by the id of its command.
        values["transfer"] = command.command_id
    return RecordPage(endpoint, values, name)


def outcome(command: Command) -> Outcome:
    """What came of a command, in one sentence."""
    match command.state:
        case CommandState.QUEUED:
            return Outcome("waiting", "Waits to be sent")
        case CommandState.SENT:
            return Outcome("waiting", "Sent; waits for the answer")
        case CommandState.TIMED_OUT:
            return Outcome(
                "bad", "The charge point did not answer in time; it may have been done or not"
            )
        case CommandState.UNDELIVERABLE:
            return Outcome("bad", f"Never sent: {command.reason or 'it could not be delivered'}")
        case CommandState.UNKNOWN:
            return Outcome(
                "bad", "Sent, then the connection was lost; it may have been done or not"
            )
        case CommandState.REFUSED:
            error = command.error
            said = ": ".join(filter(None, (error.code, error.description))) if error else ""
            return Outcome("bad", f"The charge point refused it. {said}".strip())
        case CommandState.ANSWERED:
            return _answered(command)


def _answered(command: Command) -> Outcome:
    answer = command.answer or {}
    status = answer.get("status")
    if status is None:
        return Outcome("good", _told(command.action, answer))
    status = str(status)
    tone, sentence = _ANSWERS_OF.get((command.action, status)) or _ANSWERS.get(
        status, ("bad", f"The charge point answered {status}")
    )
    return Outcome(tone, sentence)


def _told(action: str, answer: Mapping[str, Any]) -> str:
    """What an answer without a status says."""
    match action:
        case "GetConfiguration":
            told, unknown = (answer.get(n) or () for n in ("configurationKey", "unknownKey"))
            known = f"It told {len(told)} key{'' if len(told) == 1 else 's'}"
            return f"{known} and does not know {len(unknown)}" if unknown else known
        case "GetDiagnostics":
            name = answer.get("fileName")
            return f"It will upload {name}" if name else "It has nothing to upload"
        case "GetLocalListVersion":
            version = answer.get("listVersion")
            if version == -1:
                return "It says that it has no local list"
            return f"Its local list has version {version}" if version else "Its list is empty"
        case _:
            return "Answered"
