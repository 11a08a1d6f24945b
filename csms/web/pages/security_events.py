"""Security across charge points: events to be acknowledged, certificates to be seen to."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.domain.certificate_request import RequestState
from csms.domain.charge_point import is_charge_point_id
from csms.errors import NotFound
from csms.web import certificates
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("security_page", __name__)

PER_PAGE = 50
WAITING_SHOWN = 20
_CHOICES = {
    "": "all",
    "open": "critical, to be acknowledged",
    "critical": "critical",
}


@blueprint.get("/security")
def listing() -> str:
    shown, now_ms = query.text("shown", 20), clock.now_ms()
    charge_point_id = query.text("charge_point_id", 48)
    page = parts().stores.security_events.page(
        query.text("cursor") or None,
        PER_PAGE,
        charge_point_id=charge_point_id or None,
        critical=True if shown in {"open", "critical"} else None,
        acknowledged=False if shown == "open" else None,
    )
    return render_template(
        "security.html",
        events=page,
        shown=shown,
        choices=_CHOICES,
        charge_point_id=charge_point_id,
        waiting=parts().stores.certificate_requests.page(
            None, WAITING_SHOWN, state=RequestState.RECEIVED
        ),
        ending=parts().stores.certificates.ending_before(
            now_ms + certificates.ENDS_SOON_DAYS * certificates.DAY_MS, certificates.ENDING_SHOWN
        ),
        ends_soon_days=certificates.ENDS_SOON_DAYS,
        now_ms=now_ms,
        open_count=parts().stores.security_events.open_count(),
        next_query=query.address_with(cursor=page.next_cursor),
    )


@blueprint.post("/security/acknowledge")
def acknowledge() -> Response:
    """`back`, `shown` and `charge_point_id` of the form lead back to the list it stood in."""
    form = request.form
    try:
        parts().stores.security_events.acknowledge(
            form.get("event_id", "")[:64], g.requested_by, clock.now_ms()
        )
    except NotFound as error:
        flash(str(error))
    else:
        flash("Acknowledged.")
    return redirect(_list_of(form), HTTPStatus.SEE_OTHER)


def _list_of(form: Mapping[str, str]) -> str:
    charge_point_id = form.get("charge_point_id", "")
    if form.get("back") == "charge point" and is_charge_point_id(charge_point_id):
        return url_for(
            "charge_point_security_page.page", charge_point_id=charge_point_id, _anchor="events"
        )
    return url_for(
        "security_page.listing",
        shown=form.get("shown") or None,
        charge_point_id=charge_point_id or None,
    )
