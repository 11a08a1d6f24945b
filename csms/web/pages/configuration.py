"""What a charge point has told of its configuration, to read and to change."""

from flask import Blueprint, render_template

from csms.web import charge_point_state
from csms.web.parts import parts

blueprint = Blueprint("configuration_page", __name__)


@blueprint.get("/charge-points/<charge_point:charge_point_id>/configuration")
def page(charge_point_id: str) -> str:
    stores = parts().stores
    state = charge_point_state.get(stores, charge_point_id)
    configuration = stores.configurations.find(charge_point_id)
    return render_template(
        "charge_point_configuration.html",
        state=state,
        keys=[key for _, key in sorted(configuration.keys.items())],
    )
