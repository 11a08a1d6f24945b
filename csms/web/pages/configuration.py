"""What a charge point has told of its configuration, to read and to change."""

from flask import Blueprint, render_template

from csms.domain.secrets import is_secret_key
from csms.web import charge_point_state
from csms.web.pages import query
from csms.web.pages.command_forms import FORMS, Rejected
from csms.web.parts import parts

blueprint = Blueprint("configuration_page", __name__)


@blueprint.get("/charge-points/<charge_point:charge_point_id>/configuration")
def page(charge_point_id: str) -> str:
    return render_configuration(charge_point_id, Rejected())


def render_configuration(charge_point_id: str, rejected: Rejected) -> str:
    """A key that the address names is filled in, with its value. Raises ChargePointUnknown."""
    stores = parts().stores
    state = charge_point_state.get(stores, charge_point_id)
    configuration = stores.configurations.find(charge_point_id)
    asked, named = query.text("command", 32), query.text("key", 50)
    known = configuration.find(named)
    value = known.value if known is not None and not is_secret_key(named) else None
    return render_template(
        "charge_point_configuration.html",
        state=state,
        keys=[key for _, key in sorted(configuration.keys.items())],
        forms=FORMS,
        filled_in={"key": known.key if known is not None else named, "value": value or ""},
        command=stores.commands.find(charge_point_id, asked) if asked else None,
        rejected=rejected,
    )
