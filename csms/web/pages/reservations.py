"""A charge point's reservations: what stands, asking for one, cancelling, and what came before."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.dispatch import CommandRequest
from csms.domain.command import Command
from csms.domain.connector import CONNECTOR_MAX
from csms.domain.reservation import ACTIVE_STATES, RESERVATION_ID_MAX
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    FieldError,
    IdempotencyConflict,
)
from csms.web import charge_point_state, reserving
from csms.web.api.commands import wait_for_end
from csms.web.pages import query
from csms.web.pages.commands import WAIT_S, once_key
from csms.web.parts import parts

blueprint = Blueprint("reservations_page", __name__)

PER_PAGE = 50
MINUTES_MAX = 366 * 24 * 60
ID_TAG_MAX = 20


@blueprint.get("/charge-points/<charge_point:charge_point_id>/reservations")
def page(charge_point_id: str) -> str:
    return _page(charge_point_id, {}, None)


def _page(charge_point_id: str, values: Any, error: Exception | None) -> str:
    stores, now_ms = parts().stores, clock.now_ms()
    state = charge_point_state.get(stores, charge_point_id)
    listed = stores.reservations.page(
        query.text("cursor") or None, PER_PAGE, now_ms, charge_point_id=charge_point_id
    )
    asked = query.text("command", 32)
    command = stores.commands.find(charge_point_id, asked) if asked else None
    return render_template(
        "charge_point_reservations.html",
        state=state,
        active=stores.reservations.standing(charge_point_id, now_ms),
        over=[one for one in listed.items if one.state not in ACTIVE_STATES],
        older=listed.next_cursor,
        is_first=not query.text("cursor"),
        command=command,
        connector_ids=[one.connector_id for one in state.connectors if one.connector_id],
        values=values,
        error=error,
    )


@blueprint.post("/charge-points/<charge_point:charge_point_id>/reservations")
def reserve(charge_point_id: str) -> Response | tuple[str, int]:
    """What is wrong with it is shown beside the form."""
    form = request.form
    now_ms = clock.now_ms()
    try:
        wanted = reserving.Wanted(
            connector_id=_number("connector_id", 0, CONNECTOR_MAX),
            id_tag=_id_tag(form.get("id_tag", "")),
            expires_at_ms=now_ms + _number("minutes", 1, MINUTES_MAX) * 60_000,
            reservation_id=(
                _number("reservation_id", 1, RESERVATION_ID_MAX)
                if form.get("reservation_id")
                else None
            ),
        )
        payload = reserving.payload_of(parts().stores, charge_point_id, wanted, now_ms)
        filled_in = {name: text for name, text in form.items() if name != "csrf_token"}
        key = once_key("ReserveNow", filled_in)
        command = reserving.named_as_asked(
            lambda: _queue(charge_point_id, "ReserveNow", payload, key)
        )
    except IdempotencyConflict:
        # The same form again, by a double click or a reload: it has been done, under another id.
        return _to(charge_point_id, None)
    except (FieldError, ChargePointNotConnected, CommandForbidden) as error:
        return _refused(charge_point_id, error)
    return _to(charge_point_id, command)


@blueprint.post(
    "/charge-points/<charge_point:charge_point_id>/reservations/<reservation:reservation_id>/cancel"
)
def cancel(charge_point_id: str, reservation_id: int) -> Response | tuple[str, int]:
    payload = {"reservationId": reservation_id}
    try:
        key = once_key("CancelReservation", payload)
        command = _queue(charge_point_id, "CancelReservation", payload, key)
    except (ChargePointNotConnected, CommandForbidden) as error:
        return _refused(charge_point_id, error)
    return _to(charge_point_id, command)


def _queue(charge_point_id: str, action: str, payload: dict[str, Any], key: str | None) -> Command:
    command = parts().desk.queue(
        CommandRequest(
            charge_point_id=charge_point_id,
            action=action,
            payload=payload,
            requested_by=g.requested_by,
            idempotency_key=key,
            reply_to=parts().process_id,
        ),
        clock.now_ms(),
    )
    return wait_for_end(parts(), command, WAIT_S)


def _refused(charge_point_id: str, error: Exception) -> tuple[str, int]:
    is_input = isinstance(error, FieldError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_input else HTTPStatus.CONFLICT
    return _page(charge_point_id, request.form, error), status


def _to(charge_point_id: str, command: Command | None) -> Response:
    address = url_for(
        "reservations_page.page",
        charge_point_id=charge_point_id,
        command=command.command_id if command is not None else None,
    )
    return redirect(address, HTTPStatus.SEE_OTHER)


def _number(name: str, least: int, most: int) -> int:
    text = request.form.get(name, "").strip()
    number = int(text) if text.isdecimal() and len(text) <= 10 else -1
    if not least <= number <= most:
        raise FieldError(name, f"must be a whole number between {least} and {most}")
    return number


def _id_tag(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= ID_TAG_MAX or not text.isprintable():
        raise FieldError("id_tag", f"must have 1 to {ID_TAG_MAX} characters")
    return text
