"""The resource `configuration`: what a charge point has told of its keys."""

from typing import Any

from marshmallow import Schema, fields

from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant
from csms.web.parts import parts

blueprint = ApiBlueprint("configuration", "What charge points have told of their configuration.")


class ConfigurationKeySchema(Schema):
    """A key as the charge point last told it; it may have been changed there since."""

    key = fields.String()
    value = fields.String(allow_none=True, metadata={"description": "null: it has none to tell."})
    readonly = fields.Boolean()
    is_known = fields.Boolean(
        metadata={"description": "false: the charge point said that it does not know the key."}
    )
    told_at = Instant(attribute="at_ms")


class ConfigurationSchema(Schema):
    """Empty until GetConfiguration was sent and answered. AuthorizationKey is never in it."""

    charge_point_id = fields.String()
    keys = fields.List(fields.Nested(ConfigurationKeySchema))


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/configuration",
    answers=(200, ConfigurationSchema),
    fails=(404,),
)
def read_configuration(charge_point_id: str) -> dict[str, Any]:
    """Read what is known of a charge point's configuration.

    It is kept from the answers to GetConfiguration and ChangeConfiguration, which are commands.
    """
    stores = parts().stores
    stores.charge_points.get(charge_point_id)
    configuration = stores.configurations.find(charge_point_id)
    known = sorted(configuration.keys.items())
    return {"charge_point_id": charge_point_id, "keys": [key for _, key in known]}
