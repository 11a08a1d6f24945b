"""The resource `reservations`: what is reserved, for whom, and what came of it."""

from http import HTTPStatus
from typing import Any

from flask import g, url_for
from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, Range

from csms import clock
from csms.commands.dispatch import CommandRequest
from csms.domain.command import Command
from csms.domain.connector import CONNECTOR_MAX
from csms.domain.reservation import RESERVATION_ID_MAX, Reservation, ReservationState, effective
from csms.state.pages import Page
from csms.web import reserving
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.commands import CommandSchema, WaitQuery, deadline_field, waited_for
from csms.web.api.fields import Instant, PageQuery, choice, page_of, printable
from csms.web.parts import parts

blueprint = ApiBlueprint("reservations", "Connectors kept for an id tag until an instant.")

LONGEST_S = 366 * 86_400
_CI_STRING_20 = Length(1, 20, error="must have 1 to 20 characters")


class WishSchema(Schema):
    """A command about it whose answer has not come."""

    command_id = fields.String()
    asks_for = fields.Function(
        lambda wish: "cancellation" if wish.terms is None else "reservation",
        metadata={"type": "string", "enum": ["reservation", "cancellation"]},
    )
    asked_at = Instant(attribute="asked_at_ms")
    is_unanswered = fields.Boolean(
        metadata={"description": "It ended without an answer; one may come late."}
    )


class ReservationSchema(Schema):
    """A reservation, as it is now."""

    id = fields.Integer(attribute="reservation_id")
    charge_point_id = fields.String()
    connector_id = fields.Integer(
        attribute="terms.connector_id", metadata={"description": "0: any one connector."}
    )
    id_tag = fields.String(attribute="terms.id_tag")
    parent_id_tag = fields.String(
        attribute="terms.parent_id_tag",
        allow_none=True,
        metadata={"description": "The group whose members may use it too."},
    )
    expires_at = Instant(attribute="terms.expires_at_ms")
    state = fields.Enum(
        ReservationState,
        by_value=True,
        metadata={
            "description": "requested: no answer is known; see `reason` for whether one is still "
            "to come. used: `transaction_id` began with it. lost: the charge point keeps it no "
            "longer."
        },
    )
    reason = fields.String(
        metadata={"description": "Why, in plain words, where the state does not say it."}
    )
    requested_by = fields.String()
    created_at = Instant(attribute="created_at_ms")
    changed_at = Instant(attribute="changed_at_ms", metadata={"description": "Of its state."})
    accepted_at = Instant(attribute="accepted_at_ms", allow_none=True)
    transaction_id = fields.Integer(allow_none=True)
    wishes = fields.List(fields.Nested(WishSchema))


class AskedSchema(Schema):
    """A reservation, and the command that was sent about it just now."""

    reservation = fields.Nested(ReservationSchema)
    command = fields.Nested(CommandSchema)


class NewReservationSchema(Schema):
    """What to reserve; `expires_at` or `expires_in_s` says until when."""

    connector_id = fields.Integer(
        required=True,
        strict=True,
        validate=Range(0, CONNECTOR_MAX, error=f"must be between 0 and {CONNECTOR_MAX}"),
        metadata={"description": "0: any one, where the charge point supports that."},
    )
    id_tag = fields.String(required=True, validate=[_CI_STRING_20, printable])
    expires_at = Instant(attribute="expires_at_ms", load_default=None)
    expires_in_s = fields.Integer(
        strict=True,
        load_default=None,
        validate=Range(1, LONGEST_S, error=f"must be between 1 and {LONGEST_S}"),
    )
    parent_id_tag = fields.String(
        validate=[_CI_STRING_20, printable],
        allow_none=True,
        metadata={"description": "The id tag's own group unless said otherwise; null: none."},
    )
    reservation_id = fields.Integer(
        strict=True,
        load_default=None,
        validate=Range(1, RESERVATION_ID_MAX, error=f"must be between 1 and {RESERVATION_ID_MAX}"),
        metadata={"description": "One that stands, to change it; a new one unless given."},
    )
    deadline_s = deadline_field()

    @validates_schema
    def one_end(self, data: dict[str, Any], **_: Any) -> None:
        if (data["expires_at_ms"] is None) == (data["expires_in_s"] is None):
            raise ValidationError("give one of expires_at and expires_in_s", "expires_at")


class ReservationsQuery(PageQuery):
    state = choice(ReservationState, load_default=None)


class AllReservationsQuery(ReservationsQuery):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 48))


ReservationPageSchema = page_of(ReservationSchema)


@blueprint.operation(
    "GET", "/reservations", query=AllReservationsQuery, answers=(200, ReservationPageSchema)
)
def list_reservations(query: dict[str, Any]) -> Page[Reservation]:
    """List reservations, those asked for last first."""
    return _page(query, query["charge_point_id"])


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/reservations",
    query=ReservationsQuery,
    answers=(200, ReservationPageSchema),
    fails=(404,),
)
def list_reservations_of_charge_point(
    query: dict[str, Any], charge_point_id: str
) -> Page[Reservation]:
    """List a charge point's reservations, those asked for last first."""
    parts().stores.charge_points.get(charge_point_id)
    return _page(query, charge_point_id)


def _page(query: dict[str, Any], charge_point_id: str | None) -> Page[Reservation]:
    return parts().stores.reservations.page(
        query["cursor"],
        query["limit"],
        clock.now_ms(),
        charge_point_id=charge_point_id,
        state=query["state"],
    )


@blueprint.operation(
    "POST",
    "/charge-points/<charge_point:charge_point_id>/reservations",
    query=WaitQuery,
    takes=NewReservationSchema,
    answers=(202, AskedSchema),
    also=(200, "Its command has ended within `wait`"),
    fails=(404, 409),
)
def reserve(
    query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    """Reserve a connector, or change a reservation, with ReserveNow.

    The charge point decides: see `state` when its command has ended. A reservation that is to be
    changed stays as it is until the charge point accepts the change.
    """
    wait_s: float = query["wait"]
    now_ms = clock.now_ms()
    expires_at_ms = body["expires_at_ms"]
    if expires_at_ms is None:
        expires_at_ms = now_ms + body["expires_in_s"] * 1000
    wanted = reserving.Wanted(
        connector_id=body["connector_id"],
        id_tag=body["id_tag"],
        expires_at_ms=expires_at_ms,
        reservation_id=body["reservation_id"],
        parent_id_tag=body.get("parent_id_tag", reserving.OWN_GROUP),
    )
    payload = reserving.payload_of(parts().stores, charge_point_id, wanted, now_ms)
    return _ask(charge_point_id, "ReserveNow", payload, wait_s, body["deadline_s"])


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/reservations/<reservation:reservation_id>",
    answers=(200, ReservationSchema),
    fails=(404,),
)
def read_reservation(charge_point_id: str, reservation_id: int) -> Reservation:
    """Read a reservation."""
    parts().stores.charge_points.get(charge_point_id)
    record = parts().stores.reservations.get(charge_point_id, reservation_id)
    return effective(record, clock.now_ms())


@blueprint.operation(
    "DELETE",
    "/charge-points/<charge_point:charge_point_id>/reservations/<reservation:reservation_id>",
    query=WaitQuery,
    answers=(202, AskedSchema),
    also=(200, "Its command has ended within `wait`"),
    fails=(404, 409),
)
def cancel_reservation(
    query: dict[str, Any], charge_point_id: str, reservation_id: int
) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    """Cancel a reservation with CancelReservation, whatever state it is in here.

    One that is not on record can be cancelled by a command only.
    """
    parts().stores.charge_points.get(charge_point_id)
    parts().stores.reservations.get(charge_point_id, reservation_id)
    payload = {"reservationId": reservation_id}
    return _ask(charge_point_id, "CancelReservation", payload, query["wait"], None)


def _ask(
    charge_point_id: str,
    action: str,
    payload: dict[str, Any],
    wait_s: float,
    deadline_s: int | None,
) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    given = parts()
    command: Command = reserving.named_as_asked(
        lambda: given.desk.queue(
            CommandRequest(
                charge_point_id=charge_point_id,
                action=action,
                payload=payload,
                requested_by=g.requested_by,
                deadline_s=deadline_s,
                reply_to=given.process_id if wait_s else "",
            ),
            clock.now_ms(),
        )
    )
    command, status = waited_for(command, wait_s)
    reservation_id = payload["reservationId"]
    record = given.stores.reservations.get(charge_point_id, reservation_id)
    asked = {"reservation": effective(record, clock.now_ms()), "command": command}
    location = url_for(
        "reservations.read_reservation",
        charge_point_id=charge_point_id,
        reservation_id=reservation_id,
    )
    return asked, status, {"Location": location}
