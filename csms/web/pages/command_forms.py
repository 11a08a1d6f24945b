"""The forms of the commands people give most, and how each becomes an OCPP payload."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from csms.commands.requests import REQUESTS
from csms.errors import FieldError
from csms.web.pages.command_words import TITLES


class Kind(Enum):
    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    LIST = "list"
    # As it was typed, nothing included.
    VALUE = "value"
    # The name of a charging profile template, which the payload has the profile of.
    TEMPLATE = "template"


class Place(Enum):
    """The page on which a form stands, and to which it leads back."""

    NOW = "now"
    CONFIGURATION = "configuration"
    LOCAL_LIST = "local list"


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
    hint: str
    fields: tuple[FormField, ...] = ()
    is_grave: bool = False
    place: Place = Place.NOW

    @property
    def title(self) -> str:
        return TITLES[self.action]


def _connector(hint: str, *, is_required: bool) -> FormField:
    return FormField("connectorId", "Connector", Kind.NUMBER, (), is_required, hint)


def _message(*options: str) -> FormField:
    return FormField("requestedMessage", "Message", Kind.CHOICE, options, is_required=True)


_CHARGING = (
    CommandForm(
        "RemoteStartTransaction",
        "Asks the charge point to start charging for an id tag.",
        (
            FormField("idTag", "Id tag", is_required=True, longest=20),
            _connector("Empty: whichever it chooses.", is_required=False),
            FormField(
                "template",
                "Charging profile",
                Kind.TEMPLATE,
                hint="A template for one transaction (TxProfile), which it charges by.",
            ),
        ),
    ),
    CommandForm(
        "RemoteStopTransaction",
        "Ends a running transaction.",
        (FormField("transactionId", "Transaction", Kind.NUMBER, is_required=True),),
        is_grave=True,
    ),
    CommandForm(
        "UnlockConnector",
        "For a cable that is stuck; a running transaction ends first.",
        (_connector("", is_required=True),),
        is_grave=True,
    ),
)
_OPERATION = (
    CommandForm(
        "Reset",
        "Soft ends transactions in good order first; Hard does not wait.",
        (FormField("type", "Kind", Kind.CHOICE, ("Soft", "Hard"), is_required=True),),
        is_grave=True,
    ),
    CommandForm(
        "ChangeAvailability",
        "Inoperative: nobody can charge, even after a restart.",
        (
            FormField("type", "To", Kind.CHOICE, ("Operative", "Inoperative"), is_required=True),
            _connector("0: the whole charge point.", is_required=True),
        ),
        is_grave=True,
    ),
    CommandForm("ClearCache", "Makes it forget the id tags it has let charge before."),
)
_MESSAGES = (
    CommandForm(
        "TriggerMessage",
        "Asks the charge point to report now. What it then sends is shown with the command.",
        (
            _message(
                "StatusNotification",
                "MeterValues",
                "Heartbeat",
                "BootNotification",
                "DiagnosticsStatusNotification",
                "FirmwareStatusNotification",
            ),
            _connector("Empty: all that apply.", is_required=False),
        ),
    ),
    CommandForm(
        "ExtendedTriggerMessage",
        "The same, for charge points with the security extension.",
        (
            _message(
                "LogStatusNotification",
                "FirmwareStatusNotification",
                "SignChargePointCertificate",
                "StatusNotification",
                "MeterValues",
                "Heartbeat",
                "BootNotification",
            ),
            _connector("Empty: all that apply.", is_required=False),
        ),
    ),
    CommandForm(
        "DataTransfer",
        "What it means is between you and the vendor.",
        (
            FormField("vendorId", "Vendor id", is_required=True),
            FormField("messageId", "Message id", longest=50),
            FormField("data", "Data", longest=4000),
        ),
    ),
)
GROUPS: Mapping[str, tuple[CommandForm, ...]] = {
    "Charging": _CHARGING,
    "The charge point": _OPERATION,
    "Messages": _MESSAGES,
}
_ELSEWHERE = (
    CommandForm(
        "ChangeConfiguration",
        "A new AuthorizationKey or SecurityProfile is kept here too, once the charge point uses "
        "it.",
        (
            FormField("key", "Key", is_required=True, longest=50),
            FormField("value", "Value", Kind.VALUE, longest=500),
        ),
        place=Place.CONFIGURATION,
    ),
    CommandForm(
        "GetConfiguration",
        "Leave the keys empty to read all of them.",
        (FormField("key", "Keys", Kind.LIST, hint="Separated by commas.", longest=2000),),
        place=Place.CONFIGURATION,
    ),
    CommandForm("GetLocalListVersion", "Asks which version it has now.", place=Place.LOCAL_LIST),
)
FORMS: Mapping[str, CommandForm] = {
    form.action: form for form in (*_CHARGING, *_OPERATION, *_MESSAGES, *_ELSEWHERE)
}
OTHER_ACTIONS = tuple(REQUESTS)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A form that was not taken, to be shown again as it was filled in. is_json: that for any
    operation. error: None where no form was rejected."""

    action: str = ""
    is_json: bool = False
    error: Exception | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_place(self) -> bool:
        """Whether there is a form to show the error beside."""
        return self.is_json or self.action in FORMS


def payload_of(form: CommandForm, values: Mapping[str, str]) -> dict[str, Any]:
    """But for what a template brings. Raises FieldError; what only the schema knows is left to
    it."""
    payload: dict[str, Any] = {}
    for one in form.fields:
        text = values.get(one.name, "").strip()
        if one.kind is Kind.TEMPLATE:
            continue
        if one.kind is Kind.VALUE:
            payload[one.name] = values.get(one.name, "")
        elif text:
            payload[one.name] = _value(one, text)
        elif one.is_required:
            raise FieldError(f"payload.{one.name}", "is required")
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
