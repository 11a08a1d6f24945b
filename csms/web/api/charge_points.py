"""The resource `charge-points`: entered, listed, read, changed and deleted."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import g, url_for
from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from csms import clock
from csms.domain.charge_point import (
    ID_RULE,
    SECURITY_PROFILES,
    Admission,
    RegistrationStatus,
    is_charge_point_id,
)
from csms.domain.connector import ChargePointStatus
from csms.domain.local_list import SOURCE_RULE, read_source
from csms.domain.traits import SITE_MAX, TAG_RULE, TAGS_MAX, TRAIT_MAX, Traits, each_once, is_tag
from csms.state.pages import Page
from csms.web import charge_point_settings, charge_point_state
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, Text, choice, page_of
from csms.web.charge_point_settings import Key
from csms.web.charge_point_state import ChargePointState
from csms.web.parts import parts

blueprint = ApiBlueprint("charge-points", "Charge points, entered by operators.")

DESCRIPTION_MAX = 500
SERIAL_NUMBER_MAX = 64


def _charge_point_id(text: str) -> None:
    if not is_charge_point_id(text):
        raise ValidationError(f"must have {ID_RULE}")


class LocalListSource(fields.String):
    """`none`, `all` or `group:<name>`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        source = read_source(super()._deserialize(value, *args, **kwargs) or "")
        if source is None:
            raise ValidationError(SOURCE_RULE)
        return source


class Tags(fields.List[str]):
    """Tags in the order given, each once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            fields.String(validate=_tag),
            validate=Length(max=TAGS_MAX, error=f"must be {TAGS_MAX} at most"),
            **kwargs,
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        tags: list[Any] = super()._deserialize(value, *args, **kwargs)
        return each_once(tags)


def _tag(text: str) -> None:
    if not is_tag(text):
        raise ValidationError(f"must have {TAG_RULE}")


def _seconds(low: int, high: int, meaning: str) -> fields.Integer:
    return fields.Integer(
        strict=True,
        allow_none=True,
        validate=Range(low, high, error=f"must be between {low} and {high}"),
        metadata={"description": f"{meaning} null takes the system's own."},
    )


class ChargePointSettingsSchema(Schema):
    """What an operator decides about a charge point."""

    security_profile = fields.Integer(
        strict=True,
        validate=OneOf(SECURITY_PROFILES, error="must be 0, 1, 2 or 3"),
        metadata={
            "description": "0: no credentials. 1 (when created): an authorization key. 2: the "
            "same, over TLS. 3: a client certificate, over TLS. Naming one ends a pending upgrade; "
            "to have the charge point itself change, send ChangeConfiguration SecurityProfile."
        },
    )
    authorization_key = fields.String(
        validate=Length(1, 40, error="must have at most 40 characters"),
        load_only=True,
        metadata={
            "description": "16 to 20 bytes: 32 to 40 hex digits or 16 to 20 ASCII characters; or "
            "`generate` to have one made, which the answer shows this once."
        },
    )
    admission = choice(
        Admission,
        metadata={"description": "What its BootNotification is answered."},
    )
    retry_interval_s = _seconds(0, 86_400, "When a Pending or Rejected one boots again.")
    heartbeat_interval_s = _seconds(1, 86_400, "How often an Accepted one says that it lives.")
    call_timeout_s = _seconds(1, 600, "How long a command waits for its answer.")
    description = Text(DESCRIPTION_MAX)
    site = Text(SITE_MAX, metadata={"description": "Where it stands, the same for all there."})
    tags = Tags(
        metadata={
            "description": f"Words to pick out many charge points by, {TAGS_MAX} at most: "
            f"{TAG_RULE}. They are compared without case.",
            "example": ["pilot", "row-7"],
        }
    )
    assume_ocpp16 = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "Let it in even if it names no subprotocol."},
    )
    quiet = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={
            "description": "Quiet mode: it is sent only what an operator or the charge point "
            "itself asked for, nothing by the system's own will."
        },
    )
    serial_number = Text(
        SERIAL_NUMBER_MAX,
        metadata={
            "description": "What its client certificates name it by. What it says in its boot is "
            "not taken for it, as it may be another's."
        },
    )

    local_list = LocalListSource(
        metadata={
            "description": "Which id tags make its local authorization list: `none`, `all`, or "
            "`group:<name>` for those of a tag group. Nothing is sent before a sync. `none` sends "
            "nothing any more; what the charge point has, it keeps.",
            "example": "group:staff",
        },
    )
    local_list_auto_sync = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={
            "description": "After a change of its tags the list is synced by itself, within some "
            "minutes, while the charge point is connected, accepted and not quiet."
        },
    )


class NewChargePointSchema(ChargePointSettingsSchema):
    """A charge point to be entered."""

    id = fields.String(
        required=True,
        attribute="charge_point_id",
        validate=_charge_point_id,
        metadata={"description": ID_RULE},
    )


class ReadingSchema(Schema):
    """The newest figures of a connector's meter."""

    read_at = Instant(attribute="at_ms")
    energy_wh = fields.Integer(allow_none=True)
    power_w = fields.Integer(allow_none=True)
    state_of_charge_percent = fields.Integer(allow_none=True)


class LastErrorSchema(Schema):
    """The last error a connector reported; it outlives the return to NoError."""

    error_code = fields.String()
    info = fields.String()
    vendor_error_code = fields.String()
    reported_at = Instant(attribute="at_ms")


class ConnectorSchema(Schema):
    """A connector; number 0 is the charge point itself."""

    connector_id = fields.Integer()
    status = fields.Enum(
        ChargePointStatus,
        by_value=True,
        attribute="notified.status",
        dump_default=None,
        allow_none=True,
    )
    status_at = Instant(attribute="notified.at_ms", dump_default=None, allow_none=True)
    received_at = Instant(attribute="notified.received_at_ms", dump_default=None, allow_none=True)
    clock_wrong = fields.Boolean(attribute="notified.clock_wrong", dump_default=False)
    error_code = fields.String(attribute="notified.error_code", dump_default=None, allow_none=True)
    reported_error_code = fields.String(
        attribute="notified.raw_error_code",
        dump_default="",
        metadata={"description": "What was sent, where OCPP 1.6 has no such error code."},
    )
    info = fields.String(attribute="notified.info", dump_default="")
    vendor_id = fields.String(attribute="notified.vendor_id", dump_default="")
    vendor_error_code = fields.String(attribute="notified.vendor_error_code", dump_default="")
    last_error = fields.Nested(
        LastErrorSchema, attribute="notified.last_error", allow_none=True, dump_default=None
    )
    transaction_id = fields.Integer(allow_none=True)
    reading = fields.Nested(ReadingSchema, allow_none=True)


class ClientCertificateSchema(Schema):
    """A client certificate; serial number and fingerprint (SHA-256) in hex."""

    common_name = fields.String()
    organisation = fields.String()
    issuer = fields.String()
    serial_number = fields.String()
    fingerprint = fields.String()
    not_before = Instant(attribute="not_before_ms")
    not_after = Instant(attribute="not_after_ms")


class ConnectionSchema(Schema):
    """Where it is connected and since when, or was last."""

    connected = fields.Boolean(attribute="is_connected")
    secure = fields.Boolean(attribute="presence.secure")
    remote_address = fields.String(attribute="presence.remote_address")
    process = fields.String(attribute="presence.process_id")
    connected_at = Instant(attribute="presence.connected_at_ms", allow_none=True)
    last_seen_at = Instant(attribute="presence.last_seen_ms", allow_none=True)
    disconnected_at = Instant(attribute="presence.disconnected_at_ms", allow_none=True)
    reason = fields.String(
        attribute="presence.reason",
        metadata={"description": "Why the last connection ended."},
    )


class ChargePointSchema(Schema):
    """A charge point: what was decided about it, what it said of itself, how it is."""

    id = fields.String(attribute="record.charge_point_id")
    description = fields.String(attribute="record.description")
    site = fields.String(attribute="record.site")
    tags = fields.List(fields.String(), attribute="record.tags")
    security_profile = fields.Integer(attribute="record.security_profile")
    pending_security_profile = fields.Integer(
        attribute="record.pending_security_profile",
        allow_none=True,
        metadata={
            "description": "A higher one with which it may come as well, since it was told to; "
            "with the first success it takes the place of the other."
        },
    )
    client_certificate = fields.Nested(
        ClientCertificateSchema,
        attribute="record.client_certificate",
        allow_none=True,
        metadata={"description": "With which it came last."},
    )
    admission = fields.Enum(Admission, by_value=True, attribute="record.admission")
    registration = fields.Enum(
        RegistrationStatus,
        by_value=True,
        attribute="record.registration",
        allow_none=True,
        metadata={"description": "What its last BootNotification was answered."},
    )
    retry_interval_s = fields.Integer(attribute="record.retry_interval_s", allow_none=True)
    heartbeat_interval_s = fields.Integer(attribute="record.heartbeat_interval_s", allow_none=True)
    call_timeout_s = fields.Integer(attribute="record.call_timeout_s", allow_none=True)
    assume_ocpp16 = fields.Boolean(attribute="record.assume_ocpp16")
    quiet = fields.Boolean(attribute="record.quiet")
    local_list = fields.String(attribute="record.local_list")
    local_list_auto_sync = fields.Boolean(attribute="record.local_list_auto_sync")
    serial_number = fields.String(attribute="record.serial_number")
    created_at = Instant(attribute="record.created_at_ms")
    booted_at = Instant(attribute="record.booted_at_ms", allow_none=True)
    facts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        attribute="record.facts",
        metadata={"description": "Its last BootNotification, under OCPP's names."},
    )
    firmware_status = fields.String(attribute="record.firmware_status")
    firmware_status_at = Instant(attribute="record.firmware_status_at_ms", allow_none=True)
    diagnostics_status = fields.String(attribute="record.diagnostics_status")
    diagnostics_status_at = Instant(attribute="record.diagnostics_status_at_ms", allow_none=True)
    connection = fields.Nested(ConnectionSchema)
    connectors = fields.List(fields.Nested(ConnectorSchema))
    authorization_key = fields.String(
        metadata={"description": "Only where it was generated just now; it is not shown again."}
    )


class TraitsSchema(Schema):
    """What charge points have in common; what is left out asks nothing."""

    vendor = Text(TRAIT_MAX, load_default="", metadata={"description": "As its boot said."})
    model = Text(TRAIT_MAX, load_default="", metadata={"description": "As its boot said."})
    firmware = Text(
        TRAIT_MAX, load_default="", metadata={"description": "The version its boot said."}
    )
    site = Text(TRAIT_MAX, load_default="", metadata={"description": "Its site."})
    tag = Text(TRAIT_MAX, load_default="", metadata={"description": "One of its tags."})


def traits_of(asked: Mapping[str, Any]) -> Traits:
    """Of what TraitsSchema has loaded."""
    return Traits(**{name: asked[name].strip() for name in TraitsSchema().fields})


class ChargePointsQuery(TraitsSchema, PageQuery):
    prefix = fields.String(load_default="", metadata={"description": "Ids that begin so."})
    connected = fields.Boolean(load_default=None, metadata={"description": "Only (not) connected."})


@blueprint.operation(
    "GET", "/charge-points", query=ChargePointsQuery, answers=(200, page_of(ChargePointSchema))
)
def list_charge_points(query: dict[str, Any]) -> Page[ChargePointState]:
    """List charge points, in the order of their ids.

    Vendor, model, firmware, site and tag are compared whole and without case.
    """
    connected: bool | None = query["connected"]
    return charge_point_state.page(
        parts().stores,
        query["cursor"],
        query["limit"],
        query["prefix"],
        None if connected is None else lambda state: state.is_connected is connected,
        traits_of(query),
    )


@blueprint.operation(
    "POST",
    "/charge-points",
    takes=NewChargePointSchema,
    answers=(201, ChargePointSchema),
    fails=(409,),
)
def create_charge_point(body: dict[str, Any]) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    """Enter a charge point.

    Under security profiles 1 and 2, without a key given, one is generated and answered this once.
    """
    record, key = charge_point_settings.create(parts(), body, clock.now_ms())
    location = url_for("charge-points.read_charge_point", charge_point_id=record.charge_point_id)
    return (
        _shown(record.charge_point_id, key),
        HTTPStatus.CREATED,
        {"Location": location},
    )


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>",
    answers=(200, ChargePointSchema),
    fails=(404,),
)
def read_charge_point(charge_point_id: str) -> ChargePointState:
    """Read a charge point, its connectors and its connection."""
    return charge_point_state.get(parts().stores, charge_point_id)


@blueprint.operation(
    "PATCH",
    "/charge-points/<charge_point:charge_point_id>",
    takes=ChargePointSettingsSchema,
    answers=(200, ChargePointSchema),
    fails=(404,),
)
def change_charge_point(body: dict[str, Any], charge_point_id: str) -> dict[str, Any]:
    """Change what an operator decides.

    A new key or security profile ends its connection at once; the rest takes effect with its next
    BootNotification.
    """
    key = charge_point_settings.change(
        parts(), charge_point_id, body, g.requested_by, clock.now_ms()
    )
    return _shown(charge_point_id, key)


@blueprint.operation(
    "DELETE",
    "/charge-points/<charge_point:charge_point_id>",
    answers=(204, None),
    fails=(404,),
)
def delete_charge_point(charge_point_id: str) -> None:
    """Delete a charge point with its commands and messages; its transactions stay."""
    charge_point_settings.delete(parts(), charge_point_id)


def _shown(charge_point_id: str, key: Key | None) -> dict[str, Any]:
    state = charge_point_state.get(parts().stores, charge_point_id)
    shown: dict[str, Any] = {name: getattr(state, name) for name in _STATE_FIELDS}
    if key is not None and key.shown is not None:
        shown["authorization_key"] = key.shown
    return shown


_STATE_FIELDS = tuple(ChargePointState.__dataclass_fields__)
