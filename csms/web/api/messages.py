"""The OCPP message log of a charge point."""

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import Length

from csms.state.messages import Direction
from csms.state.pages import Page
from csms.web import message_log
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.message_log import ACTION_MAX, LoggedMessage, LogQuery
from csms.web.parts import parts

blueprint = ApiBlueprint("messages", "The OCPP message log: both directions, secrets masked.")


class MessageSchema(Schema):
    """A frame; what it says is null where it is no OCPP-J frame or was cut at 8 KiB."""

    at = Instant()
    direction = fields.Enum(Direction, by_value=True)
    frame = fields.String(metadata={"description": "As on the wire, secrets masked."})
    message_type = fields.String(allow_none=True)
    unique_id = fields.String(allow_none=True)
    action = fields.String(allow_none=True)


class MessagesQuery(PageQuery):
    action = fields.String(
        load_default="",
        validate=Length(0, ACTION_MAX),
        metadata={"description": "Only CALLs of this Action and their answers."},
    )
    direction = choice(
        Direction,
        load_default=None,
        metadata={"description": "Only what the charge point, or this system, has sent."},
    )
    errors_only = fields.Boolean(
        load_default=False,
        metadata={"description": "Only CALLERRORs and what is no OCPP-J frame."},
    )


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/messages",
    query=MessagesQuery,
    answers=(200, page_of(MessageSchema)),
    fails=(404,),
)
def list_messages(query: dict[str, Any], charge_point_id: str) -> Page[dict[str, Any]]:
    """List messages, newest first; `limit` counts a CALL and its answer as one."""
    parts().stores.charge_points.get(charge_point_id)
    page = message_log.page(
        parts().stores.messages,
        charge_point_id,
        query["cursor"],
        query["limit"],
        LogQuery(query["action"], query["direction"], query["errors_only"]),
    )
    return Page([_shown(logged) for logged in page.items], page.next_cursor)


def _shown(logged: LoggedMessage) -> dict[str, Any]:
    message, frame = logged.message, logged.frame
    return {
        "at": message.at_ms,
        "direction": message.direction,
        "frame": message.frame,
        "message_type": frame.message_type,
        "unique_id": frame.unique_id,
        "action": frame.action,
    }
