"""The resource `commands`: what operators want of charge points, and what came of it."""

from http import HTTPStatus
from typing import Any

from flask import g, url_for
from marshmallow import Schema, fields
from marshmallow.validate import Length, Range, Regexp

from csms import clock
from csms.commands.dispatch import CommandRequest
from csms.domain.command import FINAL_STATES, Command, CommandState
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.parts import WebParts, parts

blueprint = ApiBlueprint("commands", "Commands to charge points, from the wish to its end.")

WAIT_MAX_S = 120
IDEMPOTENCY_KEY_MAX = 255


def deadline_field() -> fields.Integer:
    """Of every operation that sends a command."""
    return fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=Range(1, 30 * 86_400, error="must be between 1 and 2592000"),
        metadata={
            "description": "Let it wait so long for the charge point to connect. Without it, one "
            "that is not connected is a 409 at once."
        },
    )


class NewCommandSchema(Schema):
    """An OCPP 1.6 operation of a central system, with its request's fields as on the wire."""

    action = fields.String(required=True, metadata={"example": "RemoteStartTransaction"})
    payload = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"example": {"connectorId": 1, "idTag": "ALICE"}},
    )
    deadline_s = deadline_field()


class CommandErrorSchema(Schema):
    """A CALLERROR as received, or what was wrong with the answer (InvalidAnswer)."""

    code = fields.String()
    description = fields.String()
    details = fields.Dict()


class TriggeredMessageSchema(Schema):
    """A message that the charge point sent because this command asked for it; the message log has
    it under its unique_id."""

    action = fields.String()
    unique_id = fields.String()
    connector_id = fields.Integer(allow_none=True)
    received_at = Instant(attribute="at_ms")


class CommandSchema(Schema):
    """A command. Secrets in payload and answer are masked."""

    id = fields.String(attribute="command_id")
    charge_point_id = fields.String()
    action = fields.String()
    payload = fields.Dict()
    payload_cut = fields.Boolean(
        metadata={"description": "Long lists in payload were cut once the command had ended."}
    )
    state = fields.Enum(
        CommandState,
        by_value=True,
        metadata={
            "description": "answered: see `answer`, which may say Rejected. refused: see `error`. "
            "unknown: it was sent and the connection lost, so that it may have been done or not."
        },
    )
    requested_by = fields.String()
    created_at = Instant(attribute="created_at_ms")
    deadline_at = Instant(attribute="deadline_at_ms")
    sent_at = Instant(attribute="sent_at_ms", allow_none=True)
    settled_at = Instant(attribute="settled_at_ms", allow_none=True)
    unique_id = fields.String()
    answer = fields.Dict(allow_none=True)
    error = fields.Nested(CommandErrorSchema, allow_none=True)
    late_answer = fields.Dict(
        allow_none=True, metadata={"description": "What came after the time-out."}
    )
    reason = fields.String()
    triggered = fields.List(
        fields.Nested(TriggeredMessageSchema),
        metadata={"description": "What a TriggerMessage or ExtendedTriggerMessage has brought."},
    )


def idempotency_field(said: str) -> fields.String:
    """The header Idempotency-Key."""
    return fields.String(
        data_key="Idempotency-Key",
        load_default=None,
        validate=[
            Length(
                1, IDEMPOTENCY_KEY_MAX, error=f"must have 1 to {IDEMPOTENCY_KEY_MAX} characters"
            ),
            Regexp(r"[ -~]*\Z", error="must be printable ASCII"),
        ],
        metadata={"description": said},
    )


class IdempotencyHeader(Schema):
    idempotency_key = idempotency_field(
        "The same key with the same body answers the same command, for 24 h."
    )


class WaitQuery(Schema):
    wait = fields.Float(
        load_default=0.0,
        validate=Range(0, WAIT_MAX_S, error=f"must be between 0 and {WAIT_MAX_S}"),
        metadata={"description": "Seconds to wait for the end of the command."},
    )


class CommandsQuery(PageQuery):
    state = choice(CommandState, load_default=None)


class AllCommandsQuery(CommandsQuery):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 48))


CommandPageSchema = page_of(CommandSchema)


@blueprint.operation(
    "POST",
    "/charge-points/<charge_point:charge_point_id>/commands",
    query=WaitQuery,
    takes=NewCommandSchema,
    answers=(202, CommandSchema),
    also=(200, "It has ended within `wait`"),
    fails=(404, 409),
    headers=IdempotencyHeader,
)
def queue_command(
    headers: dict[str, Any], query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> tuple[Command, HTTPStatus, dict[str, str]]:
    """Send a command.

    Answers at once with the command as recorded, or with `wait` when it has ended.
    """
    wait_s: float = query["wait"]
    command = parts().desk.queue(
        CommandRequest(
            charge_point_id=charge_point_id,
            action=body["action"],
            payload=body["payload"],
            requested_by=g.requested_by,
            deadline_s=body["deadline_s"],
            idempotency_key=headers["idempotency_key"],
            reply_to=parts().process_id if wait_s else "",
        ),
        clock.now_ms(),
    )
    command, status = waited_for(command, wait_s)
    location = url_for("commands.read_command", command_id=command.command_id)
    return command, status, {"Location": location}


def waited_for(command: Command, wait_s: float) -> tuple[Command, HTTPStatus]:
    """A command just queued, after `wait`: 200 where it has ended within that, else 202."""
    if not wait_s:
        return command, HTTPStatus.ACCEPTED
    command = wait_for_end(parts(), command, wait_s)
    ended = command.state in FINAL_STATES
    return command, HTTPStatus.OK if ended else HTTPStatus.ACCEPTED


def wait_for_end(given: WebParts, command: Command, wait_s: float) -> Command:
    """The command as it is at its end, with all that follows from it done, so that whoever reads
    other records next finds them changed; or after wait_s, or when this process must end."""
    commands = given.stores.commands
    latest = command

    def has_ended() -> bool:
        nonlocal latest
        found, is_over = commands.look(command.charge_point_id, command.command_id)
        latest = found or latest
        return is_over or given.is_draining()

    given.waiting.wait(command.command_id, wait_s, has_ended)
    if latest.state not in FINAL_STATES:
        has_ended()
    return latest


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/commands",
    query=CommandsQuery,
    answers=(200, CommandPageSchema),
    fails=(404,),
)
def list_commands_of_charge_point(query: dict[str, Any], charge_point_id: str) -> Page[Command]:
    """List a charge point's commands, newest first."""
    parts().stores.charge_points.get(charge_point_id)
    return parts().stores.commands.page(
        query["cursor"], query["limit"], charge_point_id=charge_point_id, state=query["state"]
    )


@blueprint.operation("GET", "/commands", query=AllCommandsQuery, answers=(200, CommandPageSchema))
def list_commands(query: dict[str, Any]) -> Page[Command]:
    """List commands, newest first."""
    return parts().stores.commands.page(
        query["cursor"],
        query["limit"],
        charge_point_id=query["charge_point_id"],
        state=query["state"],
    )


@blueprint.operation("GET", "/commands/<command_id>", answers=(200, CommandSchema), fails=(404,))
def read_command(command_id: str) -> Command:
    """Read a command."""
    return parts().stores.commands.get(command_id)
