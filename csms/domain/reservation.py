"""Reservations: their states, and what each message and each hour makes of them (OCPP 1.6 ed. 2,
5.1 and 5.13).

What stands is known by the charge point alone, and it tells little: its answers, the reservationId
of a start, a connector that fails. So the books follow from those, and from the clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from csms.domain.authorization import fold
from csms.domain.command import Command, CommandState
from csms.domain.connector import ChargePointStatus, Connector

RESERVATION_ID_MAX = 2**31 - 1
# A connector that is free again so shortly before the time is over was set free by that: no two
# clocks are equal.
EARLY_MS = 60_000
# Nor does a start come before its reservation but by the difference of the clocks.
BEFORE_ACCEPTED_MS = 60_000
WISHES_MAX = 20

NO_ANSWER = "no answer came: the charge point may keep it or not"
CHANGE_NOT_ANSWERED = "a change was not answered: it may have been made or not"
CANCEL_NOT_ANSWERED = "cancelling it was not answered: it may be cancelled or not"
NOT_KNOWN = "the charge point does not know it"
SET_FREE = "the charge point has set the connector free before the time was over"


class ReservationState(StrEnum):
    # Asked for. While no answer is known, it may stand or not.
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    # A transaction has begun with it.
    USED = "used"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    # The charge point keeps it no longer: a connector failed, or it does not know it.
    LOST = "lost"


ACTIVE_STATES = frozenset({ReservationState.REQUESTED, ReservationState.ACCEPTED})
_ANEW = frozenset({ReservationState.REQUESTED, ReservationState.ACCEPTED})
# Every state, and the states that may follow. An id may be used anew once its reservation is over.
TRANSITIONS: Mapping[ReservationState, frozenset[ReservationState]] = {
    ReservationState.REQUESTED: frozenset(ReservationState) - {ReservationState.REQUESTED},
    ReservationState.ACCEPTED: frozenset(
        {
            ReservationState.USED,
            ReservationState.CANCELLED,
            ReservationState.EXPIRED,
            ReservationState.LOST,
        }
    ),
    ReservationState.REFUSED: _ANEW,
    ReservationState.USED: _ANEW,
    ReservationState.CANCELLED: _ANEW,
    # A start that was delivered late says what really became of it.
    ReservationState.EXPIRED: _ANEW | {ReservationState.USED},
    ReservationState.LOST: _ANEW | {ReservationState.USED, ReservationState.CANCELLED},
}


_FAILING = frozenset({ChargePointStatus.FAULTED, ChargePointStatus.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Terms:
    """What is reserved. connector_id 0: any one connector."""

    connector_id: int
    id_tag: str
    parent_id_tag: str | None
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A command on its way that is to make, change or (terms None) cancel a reservation.

    is_unanswered: it ended without an answer; one may come late.
    """

    command_id: str
    terms: Terms | None
    asked_at_ms: int
    is_unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation as recorded. terms: those in force; before any are, those asked for.

    reason: why it is as it is, where the state does not say it. changed_at_ms: since when it is in
    its state. transaction_id: the one that used it. wishes: in the order in which they are sent.
    """

    reservation_id: int
    charge_point_id: str
    terms: Terms
    state: ReservationState
    requested_by: str
    created_at_ms: int
    changed_at_ms: int
    reason: str = ""
    accepted_at_ms: int | None = None
    transaction_id: int | None = None
    wishes: tuple[Wish, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def may_stand(self) -> bool:
        """Whether the charge point keeps it, as far as anybody can know."""
        return self.state is ReservationState.ACCEPTED or (
            self.state is ReservationState.REQUESTED and _in_doubt(self.wishes)
        )


@dataclass(frozen=True, slots=True)
class Start:
    """An accepted start of a transaction. reservation_id: as stated, None where none was.

    started_at_ms: by the charge point's clock; received_at_ms: by ours.
    """

    transaction_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None
    reservation_id: int | None
    started_at_ms: int
    received_at_ms: int


def requested(
    before: Reservation | None,
    reservation_id: int,
    charge_point_id: str,
    wish: Wish,
    terms: Terms,
    requested_by: str,
    now_ms: int,
) -> Reservation:
    """What ReserveNow.req makes of the reservation with its id, before it is sent.

    One that is active stays as it is until the answer says that it is replaced.
    """
    wishes = () if before is None else before.wishes
    wishes = (*wishes, wish)[-WISHES_MAX:]
    if before is not None and effective(before, now_ms).is_active:
        return replace(before, wishes=wishes)
    return Reservation(
        reservation_id=reservation_id,
        charge_point_id=charge_point_id,
        terms=terms,
        state=ReservationState.REQUESTED,
        requested_by=requested_by,
        created_at_ms=now_ms,
        changed_at_ms=now_ms,
        wishes=wishes,
    )


def cancel_requested(before: Reservation, command_id: str, now_ms: int) -> Reservation:
    """What CancelReservation.req makes of a reservation, before it is sent."""
    wishes = (*before.wishes, Wish(command_id, None, now_ms))
    return replace(before, wishes=wishes[-WISHES_MAX:])


def may_end_reservations(connector: Connector, before: Connector | None) -> bool:
    """Whether reported() can say anything, so that most statuses cost nobody a look."""
    return connector.status in _FAILING or _is_freed(connector, before)


def effective(record: Reservation, now_ms: int) -> Reservation:
    """As it is now: its time may be over although nobody has written it down yet."""
    if not record.is_active or record.terms.expires_at_ms > now_ms:
        return record
    return _moved(record, ReservationState.EXPIRED, "", record.terms.expires_at_ms)


def settled(record: Reservation, command: Command, now_ms: int) -> Reservation:
    """What the end of a command makes of the reservation it was about.

    Each command counts once: what is told again changes nothing.
    """
    wish = next((wish for wish in record.wishes if wish.command_id == command.command_id), None)
    answer = _answer(command)
    if wish is None or (wish.is_unanswered and answer is None):
        return record
    if wish.terms is None:
        return _cancel_settled(record, wish, answer, now_ms)
    return _reserve_settled(record, wish, wish.terms, answer, now_ms)


@dataclass(frozen=True, slots=True)
class _Answer:
    """status: of the confirmation; "" for a CALLERROR and for what was never sent."""

    status: str
    problem: str


def _answer(command: Command) -> _Answer | None:
    """What the charge point said, None where it said nothing."""
    if command.late_answer is not None:
        status = str(command.late_answer.get("status", ""))
        return _Answer(status, status or str(command.late_answer.get("error", "")))
    if command.state is CommandState.ANSWERED:
        status = str((command.answer or {}).get("status", ""))
        return _Answer(status, status)
    if command.state is CommandState.REFUSED:
        error = command.error
        said = (error.code, error.description) if error is not None else ()
        return _Answer("", ": ".join(filter(None, said)))
    if command.state is CommandState.UNDELIVERABLE:
        return _Answer("", f"never sent: {command.reason}")
    return None


def _reserve_settled(
    record: Reservation, wish: Wish, terms: Terms, answer: _Answer | None, now_ms: int
) -> Reservation:
    if answer is None:
        return _reserve_unanswered(record, wish, terms, now_ms)
    if answer.status == "Accepted":
        accepted = replace(
            record,
            terms=terms,
            state=ReservationState.ACCEPTED,
            reason="",
            accepted_at_ms=now_ms,
            changed_at_ms=now_ms,
            transaction_id=None,
            # What was sent before it is of no weight any more, answered or not.
            wishes=_after(record.wishes, wish),
        )
        return effective(accepted, now_ms)
    left = replace(record, wishes=_without(record.wishes, wish))
    if record.state is ReservationState.ACCEPTED:
        return replace(left, reason=f"a change was refused: {answer.problem}")
    if record.state is not ReservationState.REQUESTED or _in_doubt(left.wishes):
        return left
    return _ended(left, ReservationState.REFUSED, answer.problem, now_ms)


def _reserve_unanswered(record: Reservation, wish: Wish, terms: Terms, now_ms: int) -> Reservation:
    marked = replace(record, wishes=_marked(record.wishes, wish))
    if record.state is ReservationState.ACCEPTED:
        return replace(marked, reason=CHANGE_NOT_ANSWERED)
    if record.state is ReservationState.REQUESTED:
        return replace(marked, reason=NO_ANSWER)
    # It was over when this was sent, and may stand anew.
    return effective(replace(_anew(marked, terms, now_ms), reason=NO_ANSWER), now_ms)


def _cancel_settled(
    record: Reservation, wish: Wish, answer: _Answer | None, now_ms: int
) -> Reservation:
    if answer is None:
        if not record.is_active:
            return replace(record, wishes=_without(record.wishes, wish))
        marked = replace(record, wishes=_marked(record.wishes, wish))
        return replace(marked, reason=CANCEL_NOT_ANSWERED)
    if not answer.status:
        left = replace(record, wishes=_without(record.wishes, wish))
        problem = f"cancelling it failed: {answer.problem}"
        return replace(left, reason=problem) if record.is_active else left
    left = replace(record, wishes=_after(record.wishes, wish))
    if answer.status == "Accepted":
        return _ended(left, ReservationState.CANCELLED, "", now_ms)
    return _ended(left, ReservationState.LOST, NOT_KNOWN, now_ms) if record.may_stand else left


def _ended(record: Reservation, state: ReservationState, reason: str, now_ms: int) -> Reservation:
    """Over by an answer, or asked for anew where a command behind it does that."""
    moved = _moved(record, state, reason, now_ms)
    terms = next((wish.terms for wish in moved.wishes if wish.terms is not None), None)
    return moved if moved is record or terms is None else _anew(moved, terms, now_ms)


def _anew(record: Reservation, terms: Terms, now_ms: int) -> Reservation:
    """Asked for after it was over."""
    return replace(
        record,
        terms=terms,
        state=ReservationState.REQUESTED,
        reason="",
        changed_at_ms=now_ms,
        accepted_at_ms=None,
        transaction_id=None,
    )


def reported(record: Reservation, connector: Connector, before: Connector | None) -> Reservation:
    """What a StatusNotification makes of it. A failing connector ends its reservation; one for any
    connector (0) ends when the charge point itself fails (5.13).

    before: what the connector reported last.
    """
    now_ms = connector.received_at_ms
    if record.terms.connector_id != connector.connector_id or not record.may_stand:
        return record
    if now_ms < (record.accepted_at_ms or record.created_at_ms):
        return record
    if connector.status in _FAILING:
        number = connector.connector_id
        whose = f"connector {number}" if number else "the charge point"
        said = f"{whose} reported {connector.status}"
        return _moved(record, ReservationState.LOST, said, now_ms)
    # A change or a cancellation on its way may be the cause: its answer will tell. And Reserved
    # must have been said of this reservation: statuses may wait while commands overtake them.
    if (
        before is None
        or not _is_freed(connector, before)
        or before.received_at_ms < record.created_at_ms
        or not all(wish.is_unanswered for wish in record.wishes)
    ):
        return record
    if any(wish.terms is None for wish in record.wishes):
        return _moved(record, ReservationState.CANCELLED, "", now_ms)
    if record.terms.expires_at_ms - now_ms <= EARLY_MS:
        return _moved(record, ReservationState.EXPIRED, "", now_ms)
    return _moved(record, ReservationState.LOST, SET_FREE, now_ms)


def _is_freed(connector: Connector, before: Connector | None) -> bool:
    return (
        before is not None
        and before.status is ChargePointStatus.RESERVED
        and connector.status is ChargePointStatus.AVAILABLE
    )


def used_by(records: Iterable[Reservation], start: Start) -> Reservation | None:
    """The reservation that a start uses up, if any; records: those of its charge point.

    The one it names, if that can be; else the one it must have used: of its idTag or group, for
    its connector or any. None where the start has used one before: it was sent again.
    """
    known = list(records)
    if any(record.transaction_id == start.transaction_id for record in known):
        return None
    # By our own clock: a start that was here before it was asked for had none of it, though it may
    # name the same id, meant for an earlier one.
    known = [record for record in known if record.created_at_ms <= start.received_at_ms]
    for record in known:
        named = record.reservation_id == start.reservation_id
        if named and ReservationState.USED in TRANSITIONS[record.state]:
            return record
    return min((record for record in known if _fits(record, start)), key=_narrowness, default=None)


def used(record: Reservation, transaction_id: int, now_ms: int) -> Reservation:
    """A transaction has begun with it."""
    if record.state is ReservationState.REQUESTED:
        # Its answer is on its way, behind the start; it must not make it stand again.
        first = next((wish for wish in record.wishes if wish.terms is not None), None)
        record = replace(record, wishes=tuple(wish for wish in record.wishes if wish is not first))
    moved = _moved(record, ReservationState.USED, "", now_ms)
    return moved if moved is record else replace(moved, transaction_id=transaction_id)


def _fits(record: Reservation, start: Start) -> bool:
    terms = record.terms
    since_ms = record.accepted_at_ms or record.created_at_ms
    same_group = (
        terms.parent_id_tag is not None
        and start.parent_id_tag is not None
        and fold(terms.parent_id_tag) == fold(start.parent_id_tag)
    )
    return (
        record.may_stand
        and terms.connector_id in {0, start.connector_id}
        and (same_group or fold(terms.id_tag) == fold(start.id_tag))
        and since_ms - BEFORE_ACCEPTED_MS <= start.started_at_ms < terms.expires_at_ms
    )


def _narrowness(record: Reservation) -> tuple[bool, int]:
    """One for the very connector first, then the one that ends first."""
    return record.terms.connector_id == 0, record.terms.expires_at_ms


def _moved(record: Reservation, state: ReservationState, reason: str, at_ms: int) -> Reservation:
    """In another state, where that may follow. What is over hears no late answers."""
    if state not in TRANSITIONS[record.state]:
        return record
    wishes = tuple(wish for wish in record.wishes if not wish.is_unanswered)
    return replace(record, state=state, reason=reason, changed_at_ms=at_ms, wishes=wishes)


def _in_doubt(wishes: Sequence[Wish]) -> bool:
    return any(wish.is_unanswered and wish.terms is not None for wish in wishes)


def _without(wishes: Sequence[Wish], one: Wish) -> tuple[Wish, ...]:
    return tuple(wish for wish in wishes if wish is not one)


def _after(wishes: Sequence[Wish], one: Wish) -> tuple[Wish, ...]:
    return tuple(wishes[wishes.index(one) + 1 :])


def _marked(wishes: Sequence[Wish], one: Wish) -> tuple[Wish, ...]:
    return tuple(replace(one, is_unanswered=True) if wish is one else wish for wish in wishes)
