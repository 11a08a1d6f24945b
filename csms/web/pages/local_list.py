"""The local authorization list of a charge point, and bringing it to what it should be."""

from http import HTTPStatus

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    LocalListNotAssigned,
    LocalListSyncRunning,
)
from csms.web import charge_point_state, local_list_state
from csms.web.pages import query
from csms.web.pages.command_forms import Rejected
from csms.web.parts import parts

blueprint = Blueprint("local_list_page", __name__)

PER_PAGE = 50
# Most syncs are over within it, so that the page which follows shows the result already.
WAIT_S = 3.0


@blueprint.get("/charge-points/<charge_point:charge_point_id>/local-list")
def page(charge_point_id: str) -> str:
    return _page(charge_point_id, None)


def render_local_list(charge_point_id: str, rejected: Rejected) -> str:
    """Raises ChargePointUnknown."""
    return _page(charge_point_id, rejected.error)


def _page(charge_point_id: str, error: Exception | None) -> str:
    stores, now_ms = parts().stores, clock.now_ms()
    cursor = query.text("cursor", 100) or None
    entries = local_list_state.entries(stores, charge_point_id, cursor, PER_PAGE)
    next_query = query.address_with(cursor=entries.next_cursor, command=None)
    asked = query.text("command", 32)
    return render_template(
        "charge_point_local_list.html",
        state=charge_point_state.get(stores, charge_point_id),
        local_list=local_list_state.get(stores, charge_point_id, now_ms),
        entries=entries,
        next_query={**next_query, "charge_point_id": charge_point_id},
        is_first_page=cursor is None,
        command=stores.commands.find(charge_point_id, asked) if asked else None,
        error=error,
    )


@blueprint.post("/charge-points/<charge_point:charge_point_id>/local-list/sync")
def sync(charge_point_id: str) -> Response | tuple[str, int]:
    try:
        ended = local_list_state.sync(
            parts(),
            charge_point_id,
            g.requested_by,
            clock.now_ms(),
            full=request.form.get("full") == "yes",
            wait_s=WAIT_S,
        )
    except (
        ChargePointNotConnected,
        CommandForbidden,
        LocalListNotAssigned,
        LocalListSyncRunning,
    ) as error:
        return _page(charge_point_id, error), HTTPStatus.CONFLICT
    flash("The sync is over." if ended else "The sync has begun.")
    address = url_for("local_list_page.page", charge_point_id=charge_point_id)
    return redirect(address, HTTPStatus.SEE_OTHER)
