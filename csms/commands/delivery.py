"""Sends what waits in a charge point's outbox, and settles what comes back.

For the process that holds the socket. A command is marked as sent before it is written, so that
whatever dies afterwards nobody sends it again.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from csms import metrics
from csms.commands import authorization_key
from csms.commands.sealing import Sealer, Unsealable
from csms.commands.sequels import Sequels
from csms.commands.waiting import Waiting
from csms.domain.charge_point import ChargePoint
from csms.domain.command import INVALID_ANSWER, Command, CommandError, CommandState
from csms.domain.secrets import mask_values
from csms.errors import StoreUnavailable
from csms.logs import get_logger
from csms.protocol.call_errors import OCPPError
from csms.protocol.frames import Call, CallError, CallResult
from csms.protocol.pending_calls import LateAnswer, PendingCall, PendingCalls
from csms.protocol.salvage import Policy, salvage
from csms.protocol.schemas import CONFIRMATIONS_RECEIVED
from csms.state import inbox
from csms.state.commands import Ended, Taken
from csms.state.inbox import Note, NoteKind
from csms.state.stores import Stores

log = get_logger(__name__)
T = TypeVar("T")

# Beyond the answer's own time: for the sweep, which settles what the owner could not.
GRACE_MS = 15_000
SETTLE_TRIES = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """process_id: this process; waiting: who waits here."""

    stores: Stores
    sealer: Sealer
    waiting: Waiting
    process_id: str
    pepper: str
    default_call_timeout_s: int
    sequels: Sequels

    def next_call(
        self, record: ChargePoint, epoch: int, pending: PendingCalls, now_ms: int
    ) -> Call | None:
        """The next CALL to write to the socket, noted as sent; None while there is none to send.

        Raises StaleEpoch, StoreUnavailable.
        """
        if pending.outstanding is not None:
            return None
        charge_point_id = record.charge_point_id
        unique_id = pending.next_id(str(uuid.uuid4()))
        taken, expired = self.stores.commands.take(charge_point_id, epoch, unique_id, now_ms)
        for ended in expired:
            self._conclude(charge_point_id, ended, _TOO_LATE, now_ms)
        if taken is None:
            return None
        timeout_s = record.call_timeout_s or self.default_call_timeout_s
        deadline_at_ms = now_ms + timeout_s * 1000
        self.stores.commands.due_again(taken.command_id, deadline_at_ms + GRACE_MS)
        try:
            payload = self._payload(charge_point_id, taken)
        except Unsealable as problem:
            pending.give_up_id()
            outcome = _Outcome(CommandState.UNDELIVERABLE, reason=str(problem))
            self._finish(charge_point_id, taken.command_id, outcome, now_ms)
            return None
        call = Call(unique_id, taken.action, payload)
        pending.send(PendingCall(call, taken.command_id, deadline_at_ms))
        metrics.commands_pending.inc()
        return call

    def _payload(self, charge_point_id: str, taken: Taken) -> Mapping[str, Any]:
        if not taken.sealed:
            return taken.payload
        payload = self.sealer.unseal(taken.sealed)
        if authorization_key.is_key_change(taken.action, payload):
            authorization_key.before_sending(
                self.stores.charge_points, charge_point_id, payload, self.pepper
            )
        return payload

    def settle(
        self,
        charge_point_id: str,
        pending: PendingCalls,
        answer: CallResult | CallError,
        now_ms: int,
    ) -> PendingCall | None:
        """Settle the command an answer belongs to; the CALL it answered, None for a stranger's."""
        if isinstance(answer, CallResult):
            # Some tell their keys when asked for their configuration: nothing keeps them.
            answer = CallResult(answer.unique_id, mask_values(answer.payload))
        found = pending.settle(answer.unique_id)
        if found is None:
            log.warning("answer to no call of ours", unique_id=answer.unique_id)
            return None
        if isinstance(found, LateAnswer):
            self._record_late(charge_point_id, found, answer, now_ms)
            return None
        metrics.commands_pending.dec()
        outcome = _Outcome(*_judge(found.call.action, answer))
        ended = self._record(charge_point_id, found.command_id, outcome, now_ms, CommandState.SENT)
        if authorization_key.is_key_change(found.call.action, found.call.payload):
            # Where this fails both keys admit, until the first login with one of them.
            authorization_key.after_answer(
                self.stores.charge_points,
                charge_point_id,
                found.call.payload,
                (outcome.answer or {}).get("status"),
                self.pepper,
            )
        if ended is not None:
            self._conclude(charge_point_id, ended, outcome, now_ms)
        else:
            # The sweep was quicker: what came is kept beside what it decided.
            late = LateAnswer(found.command_id, found.call.action)
            self._record_late(charge_point_id, late, answer, now_ms)
        return found

    def expire(self, charge_point_id: str, pending: PendingCalls, now_ms: int) -> bool:
        """Settle the CALL whose time is over; False while there is none."""
        expired = pending.expire(now_ms)
        if expired is None:
            return False
        metrics.commands_pending.dec()
        self._finish(charge_point_id, expired.command_id, _SILENCE, now_ms)
        return True

    def lose(self, charge_point_id: str, pending: PendingCalls, now_ms: int) -> None:
        """The socket is gone: what was on its way may have been done or not."""
        lost = pending.lose()
        if lost is not None:
            metrics.commands_pending.dec()
            self._finish(charge_point_id, lost.command_id, _LOST, now_ms)

    def settle_left_behind(self, charge_point_id: str, command_id: str, now_ms: int) -> None:
        """A command that was in flight on a connection that ended without settling it."""
        self._finish(charge_point_id, command_id, _LOST, now_ms)

    def settle_undelivered(self, charge_point_id: str, command_id: str, now_ms: int) -> None:
        """A command whose deadline passed while it waited for its charge point."""
        self._finish(charge_point_id, command_id, _TOO_LATE, now_ms, CommandState.QUEUED)

    def _finish(
        self,
        charge_point_id: str,
        command_id: str,
        outcome: "_Outcome",
        now_ms: int,
        was: CommandState = CommandState.SENT,
    ) -> bool:
        """Record the end of a command and tell who waits for it; False where it had one."""
        ended = self._record(charge_point_id, command_id, outcome, now_ms, was)
        if ended is None:
            return False
        self._conclude(charge_point_id, ended, outcome, now_ms)
        return True

    def _conclude(
        self, charge_point_id: str, ended: Ended, outcome: "_Outcome", now_ms: int
    ) -> None:
        """What follows from it comes first, so that whoever waits finds it done."""
        self.sequels.after_command(charge_point_id, ended.command_id, ended.action, now_ms)
        self._announce(charge_point_id, ended, outcome, now_ms)

    def settle_again(self, charge_point_id: str, command: Command, now_ms: int) -> None:
        """A command that is due although it has its end: what follows from it was not done."""
        self.sequels.after_command(charge_point_id, command.command_id, command.action, now_ms)

    def _announce(
        self, charge_point_id: str, ended: Ended, outcome: "_Outcome", now_ms: int
    ) -> None:
        metrics.commands.labels(ended.action, outcome.state).inc()
        metrics.command_duration.observe((now_ms - ended.created_at_ms) / 1000)
        log.info(
            "command settled",
            charge_point_id=charge_point_id,
            command_id=ended.command_id,
            action=ended.action,
            state=str(outcome.state),
            status=(outcome.answer or {}).get("status"),
            error=outcome.error.code if outcome.error else None,
        )
        self.stores.changed.add(charge_point_id)
        if ended.reply_to == self.process_id:
            self.waiting.wake(ended.command_id)
        elif ended.reply_to:
            note = Note(NoteKind.SETTLED, ended.command_id)
            inbox.send(self.stores.link, ended.reply_to, note)

    def _record(
        self,
        charge_point_id: str,
        command_id: str,
        outcome: "_Outcome",
        now_ms: int,
        was: CommandState,
    ) -> Ended | None:
        """A settled command stays as it is, so that trying again is harmless."""
        return _insist(
            lambda: self.stores.commands.settle(
                charge_point_id,
                command_id,
                outcome.state,
                now_ms,
                was=was,
                answer=outcome.answer,
                error=outcome.error,
                reason=outcome.reason,
            )
        )

    def _record_late(
        self, charge_point_id: str, late: LateAnswer, answer: CallResult | CallError, now_ms: int
    ) -> None:
        log.warning("late answer", command_id=late.command_id, action=late.action)
        payload = (
            answer.payload
            if isinstance(answer, CallResult) and isinstance(answer.payload, dict)
            else {"error": getattr(answer, "code", INVALID_ANSWER)}
        )
        _insist(
            lambda: self.stores.commands.record_late_answer(
                charge_point_id, late.command_id, payload, now_ms + GRACE_MS
            )
        )
        self.sequels.after_command(charge_point_id, late.command_id, late.action, now_ms)


def _insist(record: Callable[[], T]) -> T:
    """What a charge point answered must not be lost to a store that restarts: every try waits some
    seconds for it. Raises StoreUnavailable in the end."""
    for _ in range(SETTLE_TRIES - 1):
        try:
            return record()
        except StoreUnavailable:
            pass  # it may have been done: whatever is recorded so may be recorded again
    return record()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a command ends; reason is for the ends that no answer explains."""

    state: CommandState
    answer: Mapping[str, Any] | None = None
    error: CommandError | None = None
    reason: str = ""


_SILENCE = _Outcome(CommandState.TIMED_OUT, reason="the charge point did not answer in time")
_LOST = _Outcome(CommandState.UNKNOWN, reason="the connection was lost before an answer came")
_TOO_LATE = _Outcome(
    CommandState.UNDELIVERABLE, reason="its deadline passed before it could be sent"
)


def _judge(
    action: str, answer: CallResult | CallError
) -> tuple[CommandState, Mapping[str, Any] | None, CommandError | None]:
    """What an answer makes of a command. An answer that makes no sense is a refusal with the raw
    answer kept; small deviations (numbers for texts …) are not worth one."""
    if isinstance(answer, CallError):
        error = CommandError(answer.code, answer.description, answer.details)
        return CommandState.REFUSED, None, error
    schema = CONFIRMATIONS_RECEIVED[action]
    if schema.is_valid(answer.payload):
        return CommandState.ANSWERED, answer.payload, None
    statuses = schema.document.get("properties", {}).get("status", {}).get("enum")
    policy = Policy(defaults={}, strict_enums=frozenset({"status"} if statuses else ()))
    try:
        salvage(schema.document, answer.payload, policy)
    except OCPPError as problem:
        raw = answer.payload if isinstance(answer.payload, dict) else {"payload": answer.payload}
        return (
            CommandState.REFUSED,
            None,
            CommandError(INVALID_ANSWER, problem.description, {"answer": raw}),
        )
    return CommandState.ANSWERED, answer.payload, None
