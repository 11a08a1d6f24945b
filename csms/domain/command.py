"""What an operator wants of a charge point, from the wish to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CommandState(StrEnum):
    QUEUED = "queued"
    # Written to the socket, or about to be: from here on it is never sent again.
    SENT = "sent"
    # The charge point's CALLRESULT is in `answer`, Rejected included.
    ANSWERED = "answered"
    # A CALLERROR, or an answer that makes no sense; both are kept in `error`.
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    # Never sent: its deadline passed first.
    UNDELIVERABLE = "undeliverable"
    # Sent, and the socket was lost before an answer: it may have been done or not.
    UNKNOWN = "unknown"


FINAL_STATES = frozenset(CommandState) - {CommandState.QUEUED, CommandState.SENT}
# After these no answer comes any more that would have to be understood by what was sent.
OVER = frozenset({CommandState.ANSWERED, CommandState.REFUSED, CommandState.UNDELIVERABLE})
# Of a long list in a payload that is over so many entries are kept: a local list has thousands.
ENTRIES_KEPT = 20


INVALID_ANSWER = "InvalidAnswer"
"""The code of an error that is none of the charge point's: its answer makes no sense."""


@dataclass(frozen=True, slots=True)
class CommandError:
    """A CALLERROR as received, or what was wrong with the answer."""

    code: str
    description: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TriggeredMessage:
    """A message that a charge point sent because a command asked for it.

    connector_id: None where the message names none.
    """

    action: str
    unique_id: str
    connector_id: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Command:
    """payload is as on the wire with secrets masked; answer likewise.

    late_answer: what came after the time-out; the state stays what it was.
    triggered: the messages that a TriggerMessage or ExtendedTriggerMessage has brought.
    payload_cut: long lists in payload were cut to their first entries once it was over.
    """

    command_id: str
    charge_point_id: str
    action: str
    payload: Mapping[str, Any]
    state: CommandState
    requested_by: str
    created_at_ms: int
    deadline_at_ms: int
    sent_at_ms: int | None = None
    settled_at_ms: int | None = None
    unique_id: str = ""
    answer: Mapping[str, Any] | None = None
    error: CommandError | None = None
    late_answer: Mapping[str, Any] | None = None
    reason: str = ""
    triggered: tuple[TriggeredMessage, ...] = ()
    payload_cut: bool = False

    @property
    def status(self) -> str | None:
        """What the charge point said in its answer, in time or late; None where it said nothing."""
        answer = self.answer if self.answer is not None else self.late_answer
        status = None if answer is None else answer.get("status")
        return status if isinstance(status, str) else None


def shortened(command: Command) -> Mapping[str, Any] | None:
    """The payload as it is kept for good once the command is over; None where it stays."""
    payload = command.payload
    too_long = [
        name
        for name, value in payload.items()
        if isinstance(value, list) and len(value) > ENTRIES_KEPT
    ]
    if command.state not in OVER or not too_long:
        return None
    return {**payload, **{name: payload[name][:ENTRIES_KEPT] for name in too_long}}
