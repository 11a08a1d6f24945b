"""Connections that were refused, so that a charge point in the field is found and entered."""

from flask import Blueprint, render_template

from csms.domain.charge_point import is_charge_point_id
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("refused_page", __name__)

PER_PAGE = 50


@blueprint.get("/refused-connections")
def listing() -> str:
    stores = parts().stores
    page = stores.refusals.page(query.text("cursor") or None, PER_PAGE)
    ids = {r.charge_point_id for r in page.items if is_charge_point_id(r.charge_point_id)}
    known = {record.charge_point_id for record in stores.charge_points.find_many(sorted(ids))}
    return render_template(
        "refused_connections.html",
        refusals=page,
        next_query=query.address_with(cursor=page.next_cursor),
        known=known,
        enterable=ids - known,
    )
