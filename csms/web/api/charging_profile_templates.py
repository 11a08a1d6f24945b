"""The resource `charging-profile-templates`: charging profiles under a name."""

from http import HTTPStatus
from typing import Any

from flask import url_for
from marshmallow import Schema, ValidationError, fields

from csms import clock
from csms.domain.charging_template import NAME_RULE, ChargingTemplate, is_template_name
from csms.state.pages import Page
from csms.web import charging
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, Text, page_of
from csms.web.parts import parts

blueprint = ApiBlueprint(
    "charging-profile-templates", "Charging profiles under a name, to be installed anywhere."
)

DESCRIPTION_MAX = 500
_URL = "/charging-profile-templates/<name>"


def _name(text: str) -> None:
    if not is_template_name(text):
        raise ValidationError(f"must have {NAME_RULE}")


class ChargingTemplateChangesSchema(Schema):
    """What may be changed of a template. What was installed of it before stays as it is."""

    description = Text(DESCRIPTION_MAX)
    profile = fields.Dict(
        keys=fields.String(),
        metadata={
            "description": "A ChargingProfile as on the wire (OCPP 1.6 ed. 2, 7.8), without "
            "chargingProfileId and transactionId, which it gets when it is installed.",
            "example": {
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Recurring",
                "recurrencyKind": "Daily",
                "chargingSchedule": {
                    "startSchedule": "2026-01-01T00:00:00Z",
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [
                        {"startPeriod": 0, "limit": 32},
                        {"startPeriod": 61200, "limit": 10, "numberPhases": 3},
                    ],
                },
            },
        },
    )


class ChargingTemplateSchema(ChargingTemplateChangesSchema):
    """A charging profile under a name."""

    name = fields.String(required=True, validate=_name)
    profile = fields.Dict(keys=fields.String(), required=True)
    changed_at = Instant(attribute="changed_at_ms", dump_only=True)


@blueprint.operation(
    "GET",
    "/charging-profile-templates",
    query=PageQuery,
    answers=(200, page_of(ChargingTemplateSchema)),
)
def list_charging_profile_templates(query: dict[str, Any]) -> Page[ChargingTemplate]:
    """List templates, in the order of their names."""
    return parts().stores.charging_profile_templates.page(query["cursor"], query["limit"])


@blueprint.operation(
    "POST",
    "/charging-profile-templates",
    takes=ChargingTemplateSchema,
    answers=(201, ChargingTemplateSchema),
    fails=(409,),
)
def create_charging_profile_template(
    body: dict[str, Any],
) -> tuple[ChargingTemplate, HTTPStatus, dict[str, str]]:
    """Keep a charging profile under a name; it is checked by every rule that holds anywhere."""
    template = charging.checked_template(ChargingTemplate(**body, changed_at_ms=clock.now_ms()))
    parts().stores.charging_profile_templates.create(template)
    location = url_for(
        "charging-profile-templates.read_charging_profile_template", name=template.name
    )
    return template, HTTPStatus.CREATED, {"Location": location}


@blueprint.operation("GET", _URL, answers=(200, ChargingTemplateSchema), fails=(404,))
def read_charging_profile_template(name: str) -> ChargingTemplate:
    """Read a template."""
    return parts().stores.charging_profile_templates.get(name)


@blueprint.operation(
    "PATCH",
    _URL,
    takes=ChargingTemplateChangesSchema,
    answers=(200, ChargingTemplateSchema),
    fails=(404,),
)
def change_charging_profile_template(body: dict[str, Any], name: str) -> ChargingTemplate:
    """Change a template; a profile is replaced as a whole."""
    templates = parts().stores.charging_profile_templates
    templates.get(name)
    if "profile" in body:
        charging.checked_template(ChargingTemplate(name, body["profile"]))
    templates.update(name, **body, changed_at_ms=clock.now_ms())
    return templates.get(name)


@blueprint.operation("DELETE", _URL, answers=(204, None), fails=(404,))
def delete_charging_profile_template(name: str) -> None:
    """Delete a template; what was installed of it stays installed."""
    parts().stores.charging_profile_templates.delete(name)
