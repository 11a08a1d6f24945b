"""The OCPP message log of a charge point."""

from typing import Any

from marshmallow import Schema, fields

from csms.state.messages import Message
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, page_of
from csms.web.frames_shown import read_frame
from csms.web.parts import parts

blueprint = ApiBlueprint("messages", "The OCPP message log: both directions, secrets masked.")


class MessageSchema(Schema):
    """A frame; what it says is null where it is no OCPP-J frame or was cut at 8 KiB."""

    at = Instant()
    direction = fields.String(metadata={"enum": ["received", "sent"]})
    frame = fields.String(metadata={"description": "As on the wire, secrets masked."})
    message_type = fields.String(allow_none=True)
    unique_id = fields.String(allow_none=True)
    action = fields.String(allow_none=True)


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/messages",
    query=PageQuery,
    answers=(200, page_of(MessageSchema)),
    fails=(404,),
)
def list_messages(query: dict[str, Any], charge_point_id: str) -> Page[dict[str, Any]]:
    """List messages, newest first; `limit` counts a CALL and its answer as one."""
    parts().stores.charge_points.get(charge_point_id)
    page = parts().stores.messages.page(charge_point_id, query["cursor"], query["limit"])
    return Page([_shown(message) for message in page.items], page.next_cursor)


def _shown(message: Message) -> dict[str, Any]:
    frame = read_frame(message.frame)
    return {
        "at": message.at_ms,
        "direction": message.direction,
        "frame": message.frame,
        "message_type": frame.message_type,
        "unique_id": frame.unique_id,
        "action": frame.action,
    }
