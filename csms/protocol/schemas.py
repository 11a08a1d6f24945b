"""The JSON schemas of OCPP 1.6 and its security extension, compiled once.

The schema files are those of the `ocpp` package. Actions are a closed list: nothing that comes
off a socket is ever used as a file name.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import jsonschema_rs

# What a charge point may ask of us (OCPP 1.6 ed. 2, chapter 4; security white paper, chapter 5).
FROM_CHARGE_POINT = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
# What we may ask of a charge point (chapter 5; white paper, chapter 5).
TO_CHARGE_POINT = frozenset(
    {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DataTransfer",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    }
)


class Violation:
    """One broken rule: where (`meterValue/0/timestamp`), which rule, and what it says."""

    __slots__ = ("message", "path", "rule")

    def __init__(self, path: str, rule: str, message: str) -> None:
        self.path = path
        self.rule = rule
        self.message = message


class Schema:
    """A compiled schema, and the document it came from (for reading leniently)."""

    __slots__ = ("_validator", "document")

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validator = jsonschema_rs.Draft4Validator(document, validate_formats=True)

    def is_valid(self, payload: Any) -> bool:
        return self._validator.is_valid(payload)

    def violations(self, payload: Any) -> Iterator[Violation]:
        for error in self._validator.iter_errors(payload):
            path = [str(part) for part in error.instance_path]
            if error.kind.name == "required":
                path.append(getattr(error.kind, "property", ""))
            yield Violation("/".join(path), error.kind.name, _plain(error))


def _plain(error: Any) -> str:
    kind = error.kind
    match kind.name:
        case "required":
            return "is required"
        case "additionalProperties":
            return f"has unknown fields: {', '.join(kind.unexpected)}"
        case "enum":
            return f"must be one of {', '.join(str(option) for option in kind.options)}"
        case "type":
            return f"must be of type {' or '.join(kind.types)}"
        case "maxLength":
            return f"must have at most {kind.limit} characters"
        case "format":
            return f"must be a {kind.format}"
        case "multipleOf":  # of 0.1, in charging schedules only
            return "must have one decimal at most (OCPP 1.6 ed. 2, 7.13, 7.14)"
        case _:
            return str(error.message)[:200]


def _load(name: str, *, strict: bool) -> Schema:
    text = (files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig")
    document = json.loads(text)
    document = _resolved(document, document.get("definitions", {}))
    return Schema(document if strict else _without_formats(document))


def _resolved(node: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with what it refers to in place: those of the security extension keep their
    enumerations and objects apart."""
    if isinstance(node, dict):
        if "$ref" in node:
            return _resolved(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {
            key: _resolved(value, definitions)
            for key, value in node.items()
            if key != "definitions"
        }
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    return node


def _without_formats(document: Any) -> Any:
    """The schema less its date-time formats: charge points leave out the zone, and what a
    timestamp means is decided in domain/timestamps.py."""
    if isinstance(document, dict):
        return {
            key: _without_formats(value)
            for key, value in document.items()
            if not (key == "format" and isinstance(value, str))
        }
    if isinstance(document, list):
        return [_without_formats(item) for item in document]
    return document


# Strict is what we send, lenient what we receive.
REQUESTS_RECEIVED: Mapping[str, Schema] = {
    action: _load(action, strict=False) for action in sorted(FROM_CHARGE_POINT)
}
CONFIRMATIONS_SENT: Mapping[str, Schema] = {
    action: _load(f"{action}Response", strict=True) for action in sorted(FROM_CHARGE_POINT)
}
REQUESTS_SENT: Mapping[str, Schema] = {
    action: _load(action, strict=True) for action in sorted(TO_CHARGE_POINT)
}
CONFIRMATIONS_RECEIVED: Mapping[str, Schema] = {
    action: _load(f"{action}Response", strict=False) for action in sorted(TO_CHARGE_POINT)
}
