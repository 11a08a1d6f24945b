"""The message log of a charge point as people and programs ask for it: which Action, which way, or
what went wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from csms.state.messages import FRAME_MAX, Direction, Message, Messages
from csms.state.pages import Page
from csms.web.frames_shown import ShownFrame, read_frame

ACTION_MAX = 50


@dataclass(frozen=True, slots=True)
class LogQuery:
    """action: of a CALL, and of its answer; in any case of letters. errors_only: CALLERRORs, and
    what is no OCPP-J frame."""

    action: str = ""
    direction: Direction | None = None
    errors_only: bool = False


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """action: its own; that of its CALL where it is an answer; "" where neither is known."""

    message: Message
    frame: ShownFrame
    action: str


def page(
    log: Messages, charge_point_id: str, cursor: str | None, limit: int, query: LogQuery
) -> Page[LoggedMessage]:
    """Newest first; limit counts exchanges. Raises FieldError for a foreign cursor."""
    if query == LogQuery():
        found = log.page(charge_point_id, cursor, limit)
        return Page(_read(found.items, {}), found.next_cursor)
    # The CALL that an answer belongs to stands further back, or is one of those left out.
    calls = (read_frame(message.frame) for message in log.calls_sent(charge_point_id))
    asked = {call.unique_id: call.action for call in calls if call.action}

    def choose(exchange: Sequence[Message]) -> Sequence[LoggedMessage]:
        return [logged for logged in _read(exchange, asked) if _fits(logged, query)]

    return log.chosen(charge_point_id, cursor, limit, choose)


def _read(messages: Iterable[Message], asked: Mapping[str | None, str]) -> Sequence[LoggedMessage]:
    """asked: the actions of CALLs that are not among the messages, by their unique ids."""
    frames = [(message, read_frame(message.frame)) for message in messages]
    actions = {**asked, **{frame.unique_id: frame.action for _, frame in frames if frame.action}}
    return [
        LoggedMessage(message, frame, frame.action or actions.get(frame.unique_id, ""))
        for message, frame in frames
    ]


def _fits(logged: LoggedMessage, query: LogQuery) -> bool:
    return (
        query.action.casefold() in ("", logged.action.casefold())
        and query.direction in (None, logged.message.direction)
        and (_is_error(logged) or not query.errors_only)
    )


def _is_error(logged: LoggedMessage) -> bool:
    """What was cut is no frame any more, and no error either."""
    if logged.frame.message_type is None:
        return len(logged.message.frame) < FRAME_MAX
    return logged.frame.message_type == "CALLERROR"
