"""The first page: the figures of the fleet, and its charge points."""

from flask import Blueprint, render_template

from csms import clock
from csms.domain.connector import ChargePointStatus
from csms.web import charge_point_state
from csms.web.jobs import trouble
from csms.web.pages.charge_points import with_critical_events
from csms.web.parts import parts

blueprint = Blueprint("overview_page", __name__)

SHOWN = 50
EVENTS_SHOWN = 5


@blueprint.get("/")
def page() -> str:
    stores = parts().stores
    now_ms = clock.now_ms()
    figures = stores.overviews.read(now_ms)
    return render_template(
        "overview.html",
        figures=figures,
        charging=figures.connectors[ChargePointStatus.CHARGING],
        faulted=figures.connectors[ChargePointStatus.FAULTED],
        critical_events=stores.security_events.page(
            None, EVENTS_SHOWN, critical=True, acknowledged=False
        ),
        critical=with_critical_events(),
        critical_count=stores.security_events.open_count(),
        charge_points=charge_point_state.page(stores, None, SHOWN),
        ending_certificates=[c for c in parts().server_certificates() if c.ends_soon(now_ms)],
        jobs_trouble=trouble(parts().jobs, now_ms),
        now_ms=now_ms,
    )
