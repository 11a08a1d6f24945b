"""The figures of the whole fleet."""

from marshmallow import Schema, fields

from csms import clock
from csms.state.overview import Overview
from csms.web.api.blueprint import ApiBlueprint
from csms.web.parts import parts

blueprint = ApiBlueprint("overview", "The figures of the whole fleet.")


class OverviewSchema(Schema):
    """Counts; connectors by the status they reported last."""

    charge_points = fields.Integer()
    connected = fields.Integer()
    connectors = fields.Dict(keys=fields.String(), values=fields.Integer())
    open_transactions = fields.Integer()
    energy_today_wh = fields.Integer(metadata={"description": "Since midnight UTC."})


@blueprint.operation("GET", "/overview", answers=(200, OverviewSchema))
def read_overview() -> Overview:
    """Read the figures of the whole fleet."""
    return parts().stores.overviews.read(clock.now_ms())
