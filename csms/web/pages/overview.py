"""The first page: the figures of the fleet, and its charge points."""

from flask import Blueprint, render_template

from csms import clock
from csms.domain.connector import ChargePointStatus
from csms.web import charge_point_state
from csms.web.parts import parts

blueprint = Blueprint("overview_page", __name__)

SHOWN = 50


@blueprint.get("/")
def page() -> str:
    stores = parts().stores
    figures = stores.overviews.read(clock.now_ms())
    return render_template(
        "overview.html",
        figures=figures,
        charging=figures.connectors[ChargePointStatus.CHARGING],
        faulted=figures.connectors[ChargePointStatus.FAULTED],
        charge_points=charge_point_state.page(stores, None, SHOWN),
    )
