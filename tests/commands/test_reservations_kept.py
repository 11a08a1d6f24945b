"""The books of reservations, from ReserveNow to the end, as commands and the clock make them."""

from dataclasses import replace
from threading import Barrier, Thread

import pytest
from cast import (
    ALICE,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    SECOND_MS,
    SETTINGS,
    instant,
)
from memory_storage import NO_FILES

from csms.commands import reservations
from csms.commands.sequel import Sequel
from csms.commands.sequels import Sequels
from csms.domain.reservation import CANCEL_NOT_ANSWERED, NO_ANSWER, NOT_KNOWN
from csms.errors import ChargePointNotConnected, FieldError, IdempotencyConflict
from csms.state import keys
from csms.state.commands import NEVER_WAS
from csms.state.reservations import LOOK_AGAIN_MS, Due

UNTIL_MS = NOON_MS + HOUR_MS


def wanted(reservation_id=5, connector_id=1, id_tag="ALICE", until_ms=HOUR_MS, **fields):
    return {
        "reservationId": reservation_id,
        "connectorId": connector_id,
        "idTag": id_tag,
        "expiryDate": instant(until_ms),
        **fields,
    }


class Books:
    """CP001's reservations, with the desk and the socket that make them."""

    def __init__(self, desk, socket):
        self.desk, self.socket = desk, socket
        self.stores = desk.stores

    def ask(self, now_ms=NOON_MS, deadline_s=None, **fields):
        return self.desk.queue("ReserveNow", wanted(**fields), now_ms, deadline_s=deadline_s)

    def cancel(self, reservation_id=5, now_ms=NOON_MS):
        return self.desk.queue("CancelReservation", {"reservationId": reservation_id}, now_ms)

    def answer(self, status="Accepted", now_ms=NOON_MS):
        self.socket.answer(self.socket.next(now_ms), {"status": status}, now_ms)

    def reserve(self, reservation_id=5, **fields):
        self.ask(reservation_id=reservation_id, **fields)
        self.answer()
        return self.look(reservation_id)

    def look(self, reservation_id=5):
        return self.stores.reservations.get("CP001", reservation_id)

    def seen(self, reservation_id=5):
        found = self.look(reservation_id)
        return found.state.value, found.reason

    def sweep(self, now_ms):
        reservations.sweep(Sequel(self.stores, self.desk.requests, SETTINGS, NO_FILES, now_ms))


@pytest.fixture
def books(desk, socket):
    return Books(desk, socket)


def test_it_is_requested_while_its_command_waits(books):
    command = books.ask(parentIdTag="FAMILY")

    record = books.look()
    assert (record.state, record.requested_by) == ("requested", "operator")
    assert (record.terms.connector_id, record.terms.id_tag) == (1, "ALICE")
    assert (record.terms.parent_id_tag, record.terms.expires_at_ms) == ("FAMILY", UNTIL_MS)
    assert [wish.command_id for wish in record.wishes] == [command.command_id]


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("Accepted", "accepted", ""),
        ("Faulted", "refused", "Faulted"),
        ("Occupied", "refused", "Occupied"),
        ("Rejected", "refused", "Rejected"),
        ("Unavailable", "refused", "Unavailable"),
    ],
)
def test_the_answer_decides(books, status, state, reason):
    books.ask()
    books.answer(status)

    assert books.seen() == (state, reason)
    assert books.look().wishes == ()


def test_it_is_asked_for_whatever_the_connector_is_doing(books):
    """TC_048_2: the charge point knows best."""
    books.socket.line.status("Preparing")
    books.ask()

    assert books.socket.next().payload == wanted()


def test_a_callerror_and_nonsense_are_refusals_with_their_reason(books):
    books.ask()
    books.socket.refuse(books.socket.next(), "NotSupported", "no reservations here")
    assert books.seen() == ("refused", "NotSupported: no reservations here")

    books.ask()
    books.answer("Perhaps")
    state, reason = books.seen()
    assert (state, reason[:13]) == ("refused", "InvalidAnswer")


def test_silence_leaves_a_doubt_until_a_late_answer_or_the_expiry(books):
    books.ask()
    call = books.socket.next()
    books.socket.expire(NOON_MS + MINUTE_MS)
    assert books.seen() == ("requested", NO_ANSWER)

    books.socket.answer(call, {"status": "Accepted"}, NOON_MS + 2 * MINUTE_MS)
    assert books.seen() == ("accepted", "")
    assert books.look().accepted_at_ms == NOON_MS + 2 * MINUTE_MS


def test_a_broken_link_leaves_the_same_doubt(books):
    books.ask()
    books.socket.next()
    books.socket.lose()

    assert books.seen() == ("requested", NO_ANSWER)
    books.sweep(UNTIL_MS)
    assert books.seen() == ("expired", "")


def test_one_that_could_not_be_sent_was_refused_by_nobody_but_the_time(books):
    books.stores.presences.disconnect("CP001", "process-1", books.socket.line.epoch, NOON_MS, "")
    books.ask(deadline_s=60)
    books.socket.delivery.settle_undelivered(
        "CP001", books.look().wishes[0].command_id, NOON_MS + 61 * SECOND_MS
    )

    state, reason = books.seen()
    assert (state, reason[:10]) == ("refused", "never sent")


def test_what_is_not_queued_is_in_no_book(books):
    with pytest.raises(FieldError):
        books.ask(until_ms=0)
    books.stores.presences.disconnect("CP001", "process-1", books.socket.line.epoch, NOON_MS, "")
    with pytest.raises(ChargePointNotConnected):
        books.ask()

    assert books.stores.reservations.find("CP001", 5) is None


# -- replacing by id


def test_the_same_id_again_replaces_once_it_is_accepted(books):
    books.reserve()
    books.ask(connector_id=2, id_tag="CAROL", until_ms=2 * HOUR_MS)
    assert books.look().terms.connector_id == 1

    books.answer()
    changed = books.look()
    assert (changed.terms.connector_id, changed.terms.id_tag) == (2, "CAROL")
    assert books.stores.reservations.due(UNTIL_MS, 10) == []


def test_a_change_that_is_refused_leaves_what_stands(books):
    books.reserve()
    books.ask(connector_id=2)
    books.answer("Occupied")

    assert books.seen() == ("accepted", "a change was refused: Occupied")
    assert books.look().terms.connector_id == 1


# -- cancelling


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [("Accepted", "cancelled", ""), ("Rejected", "lost", NOT_KNOWN)],
)
def test_cancelling_ends_it(books, status, state, reason):
    """TC_051, TC_052."""
    books.reserve()
    books.cancel()
    assert books.seen() == ("accepted", "")

    books.answer(status)
    assert books.seen() == (state, reason)


def test_a_cancellation_without_an_answer_leaves_a_doubt(books):
    books.reserve()
    books.cancel()
    books.socket.next()
    books.socket.expire(NOON_MS + MINUTE_MS)

    assert books.seen() == ("accepted", CANCEL_NOT_ANSWERED)


def test_a_reservation_unknown_to_us_may_be_cancelled(books):
    books.cancel(4711)
    books.answer()

    assert books.stores.reservations.find("CP001", 4711) is None


def test_a_cancelled_one_may_be_cancelled_again(books):
    books.reserve()
    for status in ("Accepted", "Rejected"):
        books.cancel()
        books.answer(status)

    assert books.seen() == ("cancelled", "")


# -- follow-ups that are repeated


def test_an_answer_told_again_after_the_use_does_not_bring_it_back(books):
    command = books.ask()
    books.answer()
    books.socket.line.start(reservationId=5)
    assert books.look().state == "used"

    sequels = Sequels(books.stores, books.desk.requests, SETTINGS, NO_FILES)
    sequels.after_command("CP001", command.command_id, "ReserveNow", NOON_MS)
    assert books.look().state == "used"


# -- the clock (C32, C33)


def test_its_time_is_over_on_reading_before_anybody_wrote_it(books):
    books.reserve()

    [shown] = books.stores.reservations.page(None, 10, UNTIL_MS).items
    assert shown.state == "expired"
    assert books.look().state == "accepted"


def test_the_sweep_writes_down_what_is_over_once(books):
    books.reserve()
    books.sweep(UNTIL_MS - 1)
    assert books.look().state == "accepted"

    for now_ms in (UNTIL_MS + 1, UNTIL_MS + HOUR_MS):
        books.sweep(now_ms)
    assert (books.look().state, books.look().changed_at_ms) == ("expired", UNTIL_MS)
    assert books.stores.link.call("ZCARD", keys.RESERVATIONS_DUE) == 0


def test_two_sweepers_at_once_leave_one_end(books):
    for number in range(1, 21):
        books.reserve(reservation_id=number)
    barrier = Barrier(2)

    def sweep():
        barrier.wait()
        books.sweep(UNTIL_MS)

    sweepers = [Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()

    states = {record.state for record in books.stores.reservations.page(None, 50, NOON_MS).items}
    assert states == {"expired"}
    assert books.stores.reservations.active("CP001") == []
    books.sweep(UNTIL_MS + LOOK_AGAIN_MS + HOUR_MS)
    assert books.stores.link.call("ZCARD", keys.RESERVATIONS_DUE) == 0


def test_a_store_that_lost_its_timers_loses_no_expiry(books):
    """No timer is set in these tests at all: RQ's server does not answer."""
    books.reserve()

    books.sweep(UNTIL_MS)
    assert books.look().state == "expired"


def test_one_whose_command_never_came_to_be_is_found_by_its_age(books):
    """The process died between the note and the outbox."""
    command = books.ask()
    books.stores.link.call("DEL", keys.command("CP001", command.command_id))

    books.sweep(NOON_MS + LOOK_AGAIN_MS - 1)
    assert books.seen() == ("requested", "")
    books.sweep(NOON_MS + LOOK_AGAIN_MS)
    assert books.seen() == ("refused", f"never sent: {NEVER_WAS}")


def test_one_whose_answer_was_not_followed_up_is_found_too(books):
    books.ask()
    call = books.socket.next()
    object.__setattr__(
        books.socket.delivery,
        "sequels",
        Sequels(books.stores, books.desk.requests, SETTINGS, NO_FILES, follow_ups={}),
    )
    books.socket.answer(call, {"status": "Accepted"})
    assert books.look().state == "requested"

    books.sweep(NOON_MS + LOOK_AGAIN_MS)
    assert books.look().state == "accepted"


def test_a_command_that_still_waits_is_waited_for(books):
    books.ask()

    books.sweep(NOON_MS + LOOK_AGAIN_MS)
    assert books.seen() == ("requested", "")
    assert books.stores.reservations.due(NOON_MS + LOOK_AGAIN_MS, 10) == []


def test_a_key_used_for_two_requests_leaves_the_books_as_they_were(books):
    books.desk.queue("ReserveNow", wanted(), idempotency_key="once")
    before = books.look()

    books.desk.queue("ReserveNow", wanted(), idempotency_key="once")
    with pytest.raises(IdempotencyConflict):
        books.desk.queue("ReserveNow", wanted(connector_id=2), idempotency_key="once")
    assert books.look() == before


# -- crashes on the way to its use


@pytest.mark.parametrize("fields", [{"reservationId": 5}, {}], ids=["named", "not named"])
def test_a_use_that_nobody_wrote_down_is_found_when_its_time_is_over(books, fields):
    """The process died between the transaction and the reservation, and nothing was sent again."""
    record = books.reserve()
    started = books.socket.line.start(**fields, timestamp=instant(MINUTE_MS))["transactionId"]
    assert books.look().state == "used"
    books.stores.reservations.change("CP001", 5, lambda _: record, NOON_MS)

    reservations.look_at(books.stores, Due("CP001", 5), UNTIL_MS)

    assert (books.look().state, books.look().transaction_id) == ("used", started)


def test_looking_at_what_is_gone_changes_nothing(books):
    reservations.look_at(books.stores, Due("CP001", 4711), NOON_MS)

    assert books.stores.reservations.page(None, 10, NOON_MS).items == []


def test_a_reservation_of_a_group_is_used_by_another_of_its_tags(books):
    """TC_053."""
    stores = books.stores
    stores.id_tags.update("ALICE", parent_id_tag="FAMILY")
    stores.id_tags.create(replace(ALICE, id_tag="AMY", parent_id_tag="FAMILY"))
    books.reserve(parentIdTag="FAMILY")

    info = books.socket.line.call("Authorize", {"idTag": "AMY"})["idTagInfo"]
    started = books.socket.line.start(idTag="AMY", reservationId=5)

    assert info == {"status": "Accepted", "parentIdTag": "FAMILY"}
    assert started["idTagInfo"] == info
    assert (books.look().state, books.look().transaction_id) == ("used", started["transactionId"])
