"""A command given on the page of a charge point."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.dispatch import CommandRequest
from csms.errors import ChargePointNotConnected, CommandForbidden, FieldError
from csms.web.api.commands import wait_for_end
from csms.web.pages.charge_points import render_charge_point
from csms.web.pages.command_forms import FORMS, payload_of, payload_of_json
from csms.web.parts import parts

blueprint = Blueprint("commands_page", __name__)

# Most charge points answer within it, so that the page which follows shows the result already.
WAIT_S = 3.0
FREE = "json"


@blueprint.post("/charge-points/<charge_point:charge_point_id>/commands")
def give(charge_point_id: str) -> Response | tuple[str, int]:
    """Queue it, and show the page anew; what is wrong with it is shown beside its form."""
    form = request.form
    action = form.get("action", "")
    try:
        payload = _payload(action)
        command = parts().desk.queue(
            CommandRequest(
                charge_point_id=charge_point_id,
                action=action,
                payload=payload,
                requested_by=g.requested_by,
                idempotency_key=once_key(action, payload),
                reply_to=parts().process_id,
            ),
            clock.now_ms(),
        )
    except (FieldError, ChargePointNotConnected, CommandForbidden) as error:
        status = (
            HTTPStatus.UNPROCESSABLE_ENTITY
            if isinstance(error, FieldError)
            else HTTPStatus.CONFLICT
        )
        page = render_charge_point(
            charge_point_id, action=action, kind=form.get("kind"), error=error, values=form
        )
        return page, status
    wait_for_end(parts(), command, WAIT_S)
    address = url_for(
        "charge_points_page.page",
        charge_point_id=charge_point_id,
        command=command.command_id,
        _anchor="results",
    )
    return redirect(address, HTTPStatus.SEE_OTHER)


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
