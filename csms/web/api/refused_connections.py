"""The resource `refused-connections`: who was turned away at the door."""

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Length

from csms.state.pages import Page
from csms.state.refusals import RefusedConnection
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, page_of
from csms.web.parts import parts

blueprint = ApiBlueprint("refused-connections", "Charge points that were turned away, and why.")


class RefusedConnectionSchema(Schema):
    """All refusals of one id from one address for one reason."""

    charge_point_id = fields.String(metadata={"description": "As presented; it need not exist."})
    reason = fields.String()
    remote_address = fields.String()
    count = fields.Integer()
    first_at = Instant(attribute="first_at_ms")
    last_at = Instant(attribute="last_at_ms")


class RefusedConnectionsQuery(PageQuery):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 64))


@blueprint.operation(
    "GET",
    "/refused-connections",
    query=RefusedConnectionsQuery,
    answers=(200, page_of(RefusedConnectionSchema)),
)
def list_refused_connections(query: dict[str, Any]) -> Page[RefusedConnection]:
    """List refused connections, newest first."""
    return parts().stores.refusals.page(query["cursor"], query["limit"], query["charge_point_id"])
