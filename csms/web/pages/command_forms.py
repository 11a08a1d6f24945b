"""The forms of the commands people give most, and how each becomes an OCPP payload."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from csms.commands.requests import REQUESTS
from csms.errors import FieldError


class Kind(Enum):
    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class FormField:
    """name: as in the payload. options: of a CHOICE; an empty field is left out of the payload."""

    name: str
    label: str
    kind: Kind = Kind.TEXT
    options: tuple[str, ...] = ()
    is_required: bool = False
    hint: str = ""
    longest: int = 255


@dataclass(frozen=True, slots=True)
class CommandForm:
    """is_grave: it may end what people are doing."""

    action: str
    title: str
    hint: str
    fields: tuple[FormField, ...] = ()
    is_grave: bool = False


def _connector(hint: str, *, is_required: bool) -> FormField:
    return FormField("connectorId", "Connector", Kind.NUMBER, (), is_required, hint)


_CORE = (
    CommandForm(
        "RemoteStartTransaction",
        "Start a transaction",
        "Asks the charge point to start charging for an id tag.",
        (
            FormField("idTag", "Id tag", is_required=True, longest=20),
            _connector("Empty: whichever it chooses.", is_required=False),
        ),
    ),
    CommandForm(
        "RemoteStopTransaction",
        "Stop a transaction",
        "Ends a running transaction.",
        (FormField("transactionId", "Transaction", Kind.NUMBER, is_required=True),),
        is_grave=True,
    ),
    CommandForm(
        "UnlockConnector",
        "Unlock a connector",
        "For a cable that is stuck; a running transaction ends first.",
        (_connector("", is_required=True),),
        is_grave=True,
    ),
    CommandForm(
        "Reset",
        "Restart the charge point",
        "Soft ends transactions in good order first; Hard does not wait.",
        (FormField("type", "Kind", Kind.CHOICE, ("Soft", "Hard"), is_required=True),),
        is_grave=True,
    ),
    CommandForm(
        "ChangeAvailability",
        "Take in or out of service",
        "Inoperative: nobody can charge, even after a restart.",
        (
            FormField("type", "To", Kind.CHOICE, ("Operative", "Inoperative"), is_required=True),
            _connector("0: the whole charge point.", is_required=True),
        ),
        is_grave=True,
    ),
    CommandForm(
        "GetConfiguration",
        "Read its configuration",
        "Leave the keys empty to read all of them.",
        (FormField("key", "Keys", Kind.LIST, hint="Separated by commas.", longest=2000),),
    ),
    CommandForm(
        "ChangeConfiguration",
        "Change its configuration",
        "Sets one configuration key.",
        (
            FormField("key", "Key", is_required=True, longest=50),
            FormField("value", "Value", is_required=True, longest=500),
        ),
    ),
    CommandForm(
        "ClearCache", "Clear its cache", "Makes it forget the id tags it has let charge before."
    ),
    CommandForm(
        "DataTransfer",
        "Vendor's own message",
        "What it means is between you and the vendor.",
        (
            FormField("vendorId", "Vendor id", is_required=True),
            FormField("messageId", "Message id", longest=50),
            FormField("data", "Data", longest=4000),
        ),
    ),
)
_TRIGGER = CommandForm(
    "TriggerMessage",
    "Ask for a message",
    "Asks the charge point to report now.",
    (
        FormField(
            "requestedMessage",
            "Message",
            Kind.CHOICE,
            (
                "StatusNotification",
                "MeterValues",
                "Heartbeat",
                "BootNotification",
                "DiagnosticsStatusNotification",
                "FirmwareStatusNotification",
            ),
            is_required=True,
        ),
        _connector("Empty: all that apply.", is_required=False),
    ),
)
FORMS: Mapping[str, CommandForm] = {form.action: form for form in (*_CORE, _TRIGGER)}
OTHER_ACTIONS = tuple(REQUESTS)


def payload_of(form: CommandForm, values: Mapping[str, str]) -> dict[str, Any]:
    """Raises FieldError; what only the schema knows is left to it."""
    payload: dict[str, Any] = {}
    for field in form.fields:
        text = values.get(field.name, "").strip()
        if text:
            payload[field.name] = _value(field, text)
        elif field.is_required:
            raise FieldError(f"payload.{field.name}", "is required")
    return payload


def _value(field: FormField, text: str) -> Any:
    if field.kind is Kind.NUMBER:
        # As many digits as any field of OCPP may have; int() itself takes far more than sense.
        if len(text) > 10 or not text.lstrip("-").isdecimal():
            raise FieldError(f"payload.{field.name}", "must be an integer")
        return int(text)
    if field.kind is Kind.LIST:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def payload_of_json(text: str) -> dict[str, Any]:
    """A payload written by hand; nothing means the empty one. Raises FieldError."""
    if not text.strip():
        return {}
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FieldError(
            "payload", f"is not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    if not isinstance(payload, dict):
        raise FieldError("payload", "must be an object")
    return payload
