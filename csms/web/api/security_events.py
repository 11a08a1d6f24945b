"""The resource `security-events`: what charge points reported and what we saw ourselves."""

from typing import Any

from flask import g
from marshmallow import Schema, fields
from marshmallow.validate import Length

from csms import clock
from csms.domain.security_event import EventSource
from csms.state.pages import Page
from csms.state.security_events import KeptEvent
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, page_of
from csms.web.parts import parts

blueprint = ApiBlueprint(
    "security-events", "Security events, of charge points and of this system; some are critical."
)


class SecurityEventSchema(Schema):
    """A security event."""

    id = fields.String(attribute="event_id")
    charge_point_id = fields.String(metadata={"description": "Empty where it concerns none."})
    type = fields.String(
        attribute="event.event_type",
        metadata={"description": "One of the security white paper's, or any other text."},
    )
    source = fields.Enum(EventSource, by_value=True, attribute="event.source")
    critical = fields.Boolean(
        attribute="event.critical", metadata={"description": "Somebody must look at it."}
    )
    at = Instant(
        attribute="event.at_ms",
        metadata={"description": "As its source states it; charge points keep events for days."},
    )
    received_at = Instant(attribute="event.received_at_ms")
    tech_info = fields.String(attribute="event.tech_info")
    actor = fields.String(
        attribute="event.actor", metadata={"description": "The operator who did it, if one did."}
    )
    count = fields.Integer(
        metadata={"description": "How often this system saw it within an hour; 1 for others."}
    )
    last_at = Instant(attribute="last_at_ms")
    acknowledged_by = fields.String()
    acknowledged_at = Instant(attribute="acknowledged_at_ms", allow_none=True)


class SecurityEventsQuery(PageQuery):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 48))
    critical = fields.Boolean(load_default=None, metadata={"description": "Only (not) critical."})
    acknowledged = fields.Boolean(
        load_default=None, metadata={"description": "Only (not) acknowledged."}
    )


@blueprint.operation(
    "GET",
    "/security-events",
    query=SecurityEventsQuery,
    answers=(200, page_of(SecurityEventSchema)),
)
def list_security_events(query: dict[str, Any]) -> Page[KeptEvent]:
    """List security events, newest first."""
    return parts().stores.security_events.page(
        query["cursor"],
        query["limit"],
        charge_point_id=query["charge_point_id"],
        critical=query["critical"],
        acknowledged=query["acknowledged"],
    )


@blueprint.operation(
    "POST",
    "/security-events/<event_id>/acknowledge",
    answers=(200, SecurityEventSchema),
    fails=(404,),
)
def acknowledge_security_event(event_id: str) -> KeptEvent:
    """Say that somebody has looked at it; the first who does is kept."""
    return parts().stores.security_events.acknowledge(event_id, g.requested_by, clock.now_ms())
