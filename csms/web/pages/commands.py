"""Commands: given on the pages of a charge point, listed, and one in full."""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.dispatch import CommandRequest
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    FieldError,
    IdempotencyConflict,
    NotFound,
)
from csms.web import charge_point_state, charging
from csms.web.api.commands import wait_for_end
from csms.web.charging import Asker
from csms.web.pages import query
from csms.web.pages.charge_points import render_charge_point
from csms.web.pages.command_forms import FORMS, Place, Rejected, payload_of, payload_of_json
from csms.web.pages.configuration import render_configuration
from csms.web.pages.local_list import render_local_list
from csms.web.parts import parts

blueprint = Blueprint("commands_page", __name__)

# Most charge points answer within it, so that the page which follows shows the result already.
WAIT_S = 3.0
FREE = "json"
PER_PAGE = 50
_URL = "/charge-points/<charge_point:charge_point_id>/commands"
# Where a form stands, and how that page is shown with what was rejected.
_PLACES: Mapping[Place, tuple[str, Callable[[str, Rejected], str]]] = {
    Place.NOW: ("charge_points_page.page", render_charge_point),
    Place.CONFIGURATION: ("configuration_page.page", render_configuration),
    Place.LOCAL_LIST: ("local_list_page.page", render_local_list),
}


@blueprint.get(_URL)
def listing(charge_point_id: str) -> str:
    stores = parts().stores
    state = charge_point_state.get(stores, charge_point_id)
    cursor = query.text("cursor") or None
    page = stores.commands.page(cursor, PER_PAGE, charge_point_id=charge_point_id)
    return render_template(
        "charge_point_commands.html",
        state=state,
        commands=page,
        is_first=cursor is None,
        next_query={"charge_point_id": charge_point_id, "cursor": page.next_cursor},
    )


@blueprint.get(f"{_URL}/<command_id>")
def page(charge_point_id: str, command_id: str) -> str:
    stores = parts().stores
    state = charge_point_state.get(stores, charge_point_id)
    command = stores.commands.find(charge_point_id, command_id)
    if command is None:
        raise NotFound("command", command_id)
    return render_template("command.html", state=state, command=command)


@blueprint.post(_URL)
def give(charge_point_id: str) -> Response | tuple[str, int]:
    """Queue it, and show the page anew; what is wrong with it is shown beside its form."""
    action = request.form.get("action", "")
    is_json = request.form.get("kind") == FREE
    form = None if is_json else FORMS.get(action)
    endpoint, render = _PLACES[form.place if form else Place.NOW]
    try:
        payload = _payload(action)
        once = once_key(action, {**payload, "template": request.form.get("template", "")})
        command = parts().desk.queue(
            CommandRequest(
                charge_point_id=charge_point_id,
                action=action,
                payload={**payload, **_profile(charge_point_id, once)},
                requested_by=g.requested_by,
                idempotency_key=once,
                reply_to=parts().process_id,
            ),
            clock.now_ms(),
        )
    except (FieldError, ChargePointNotConnected, CommandForbidden, IdempotencyConflict) as error:
        is_input = isinstance(error, FieldError)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_input else HTTPStatus.CONFLICT
        return render(charge_point_id, Rejected(action, is_json, error, request.form)), status
    wait_for_end(parts(), command, WAIT_S)
    address = url_for(
        endpoint,
        charge_point_id=charge_point_id,
        command=command.command_id,
        _anchor="results" if endpoint == "charge_points_page.page" else None,
    )
    return redirect(address, HTTPStatus.SEE_OTHER)


def _profile(charge_point_id: str, once: str | None) -> dict[str, Any]:
    """The charging profile of a start that names a template."""
    template = request.form.get("template", "")
    if not template or request.form.get("action") != "RemoteStartTransaction":
        return {}
    profile = charging.start_profile(
        parts(), charge_point_id, template, Asker(g.requested_by, once), clock.now_ms()
    )
    return {"chargingProfile": profile}


def once_key(action: str, payload: Mapping[str, Any]) -> str | None:
    """Recognises a form that a double click or a reload sends again."""
    rendering = request.form.get("once", "")[:64]
    content = orjson.dumps([rendering, action, payload])
    return hashlib.blake2b(content, digest_size=16).hexdigest() if rendering else None


def _payload(action: str) -> dict[str, Any]:
    if request.form.get("kind") == FREE:
        return payload_of_json(request.form.get("payload", ""))
    form = FORMS.get(action)
    if form is None:
        raise FieldError("action", f"must be one of {', '.join(FORMS)}")
    return payload_of(form, request.form)
