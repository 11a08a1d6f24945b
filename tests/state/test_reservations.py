"""Reservations as records: each change once, whoever makes it; lists that stay bounded."""

from dataclasses import replace
from threading import Barrier, Thread

import pytest
from cast import CP001, HOUR_MS, MINUTE_MS, NOON_MS, Line, enter_the_cast

from csms.domain.connector import ChargePointStatus, Connector
from csms.domain.reservation import (
    RESERVATION_ID_MAX,
    Reservation,
    ReservationState,
    Start,
    Terms,
    Wish,
    effective,
    used,
)
from csms.errors import FieldError, NotFound, StaleEpoch, StoreRefused
from csms.state import keys
from csms.state.reservations import (
    KEPT_ENDED_S,
    KEPT_PER_CHARGE_POINT,
    LOOK_AGAIN_MS,
    TRIES,
    Due,
)

UNTIL_MS = NOON_MS + HOUR_MS


def reservation(number=5, state=ReservationState.ACCEPTED, charge_point_id="CP001", **fields):
    terms = fields.pop("terms", Terms(1, "ALICE", "FAMILY", UNTIL_MS))
    return Reservation(
        number,
        charge_point_id,
        terms,
        state,
        "operator",
        fields.pop("created_at_ms", NOON_MS + number),
        NOON_MS,
        **fields,
    )


def keep(stores, record, now_ms=NOON_MS, **given):
    return stores.reservations.change(
        record.charge_point_id, record.reservation_id, lambda _: record, now_ms, **given
    )


def due(stores, at_ms):
    return [one.reservation_id for one in stores.reservations.due(at_ms, 100)]


def test_it_is_read_as_it_was_kept(stores):
    record = reservation(
        reason="ünusual",
        accepted_at_ms=NOON_MS,
        transaction_id=7,
        wishes=(Wish("c1", None, NOON_MS), Wish("c2", Terms(0, "BOB", None, 5), NOON_MS, True)),
    )

    assert keep(stores, record) == record
    assert stores.reservations.get("CP001", 5) == record


def test_one_that_is_not_there_is_said_so(stores):
    assert stores.reservations.find("CP001", 5) is None
    with pytest.raises(NotFound, match="no reservation 5"):
        stores.reservations.get("CP001", 5)


def test_what_is_nothing_new_is_not_written(stores):
    record = reservation()
    assert keep(stores, record) == record
    stores.link.call("DEL", keys.RESERVATIONS_DUE)

    assert keep(stores, record) is None
    assert stores.reservations.change("CP001", 5, lambda before: None, NOON_MS) is None
    assert stores.link.call("EXISTS", keys.RESERVATIONS_DUE) == 0


def test_a_rule_is_asked_again_of_what_somebody_else_has_made_of_it(stores):
    keep(stores, reservation())
    seen = []

    def rule(before):
        seen.append(before.reason)
        if len(seen) == 1:
            keep(stores, replace(before, reason="other"))
        return replace(before, requested_by="me")

    changed = stores.reservations.change("CP001", 5, rule, NOON_MS)

    assert seen == ["", "other"]
    assert (changed.reason, changed.requested_by) == ("other", "me")
    assert stores.reservations.get("CP001", 5) == changed


def test_one_that_never_holds_still_is_given_up(stores):
    count = 0

    def rule(before):
        nonlocal count
        count += 1
        keep(stores, reservation(reason=str(count)))
        return reservation(reason="mine")

    with pytest.raises(StoreRefused, match="changed all the time"):
        stores.reservations.change("CP001", 5, rule, NOON_MS)
    assert count == TRIES


def test_of_many_that_end_it_at_once_one_has_done_it(stores):
    keep(stores, reservation())
    barrier = Barrier(8)
    done = []

    def expire():
        barrier.wait()
        done.append(
            stores.reservations.change(
                "CP001", 5, lambda before: effective(before, UNTIL_MS), UNTIL_MS
            )
        )

    threads = [Thread(target=expire) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [one.state for one in done if one is not None] == ["expired"]


def test_a_connection_that_has_been_taken_over_changes_nothing(stores):
    enter_the_cast(stores)
    old, new = Line(stores), Line(stores)
    keep(stores, reservation())

    with pytest.raises(StaleEpoch):
        keep(stores, reservation(reason="stale"), epoch=old.epoch)
    assert stores.reservations.get("CP001", 5).reason == ""
    assert keep(stores, reservation(reason="newest"), epoch=new.epoch).reason == "newest"


# -- the lists


def test_the_active_ones_are_those_asked_for_and_accepted(stores):
    for number, state in enumerate(ReservationState, 1):
        keep(stores, reservation(number, state))

    found = [record.state for record in stores.reservations.active("CP001")]
    assert found == ["requested", "accepted"]
    assert stores.reservations.active("CP404") == []


def test_an_ended_one_leaves_after_a_while_and_one_used_again_stays(stores):
    key = keys.reservation("CP001", 5)
    keep(stores, reservation())
    assert stores.link.call("TTL", key) == -1

    keep(stores, reservation(state=ReservationState.USED, transaction_id=7))
    assert 0 < stores.link.call("TTL", key) <= KEPT_ENDED_S
    assert stores.reservations.active("CP001") == []

    keep(stores, reservation(state=ReservationState.REQUESTED))
    assert stores.link.call("TTL", key) == -1


def test_pages_show_the_latest_first_and_as_they_are_now(stores):
    keep(stores, reservation(1))
    keep(stores, reservation(2, charge_point_id="CP002"))
    keep(stores, reservation(3, terms=Terms(1, "ALICE", None, UNTIL_MS + HOUR_MS)))
    page = stores.reservations.page

    first = page(None, 2, NOON_MS)
    rest = page(first.next_cursor, 2, NOON_MS)
    assert [one.reservation_id for one in (*first.items, *rest.items)] == [3, 2, 1]
    assert rest.next_cursor is None
    of_one = page(None, 10, UNTIL_MS, charge_point_id="CP001").items
    assert [(one.reservation_id, one.state) for one in of_one] == [(3, "accepted"), (1, "expired")]
    expired = page(None, 10, UNTIL_MS, state=ReservationState.EXPIRED).items
    assert [one.reservation_id for one in expired] == [2, 1]
    with pytest.raises(FieldError, match="is not one this list gave out"):
        page("x", 2, NOON_MS)


def test_the_history_of_a_charge_point_is_bounded_and_what_stands_stays(stores):
    keep(stores, reservation(1))
    for number in range(2, KEPT_PER_CHARGE_POINT + 5):
        keep(stores, reservation(number, ReservationState.REFUSED))

    assert stores.link.call("ZCARD", keys.reservations_of("CP001")) <= KEPT_PER_CHARGE_POINT + 1
    assert stores.reservations.find("CP001", 1) is not None
    assert stores.reservations.find("CP001", 2) is None


def test_even_active_ones_are_bounded(stores):
    for number in range(1, KEPT_PER_CHARGE_POINT + 5):
        keep(stores, reservation(number))

    assert len(stores.reservations.active("CP001")) == KEPT_PER_CHARGE_POINT


def test_the_list_of_all_is_trimmed(stores, monkeypatch):
    monkeypatch.setattr("csms.state.reservations.KEPT_IN_ALL", 3)
    for number in range(1, 8):
        keep(stores, reservation(number))

    stores.reservations.trim()

    found = stores.reservations.page(None, 10, NOON_MS).items
    assert [one.reservation_id for one in found] == [7, 6, 5]


def test_a_deleted_charge_point_takes_its_reservations_along(stores):
    enter_the_cast(stores)
    keep(stores, reservation(1))
    keep(stores, reservation(2, ReservationState.EXPIRED))

    stores.charge_points.delete("CP001")

    assert stores.reservations.page(None, 10, NOON_MS).items == []
    assert stores.reservations.due(UNTIL_MS, 10) == []
    left = stores.link.call("KEYS", "csms:{CP001}*")
    assert left == [keys.live("CP001")]
    stores.charge_points.create(CP001)
    stores.charge_points.delete("CP001")


# -- what is due


def test_an_accepted_one_is_due_at_its_expiry(stores):
    keep(stores, reservation())

    assert due(stores, UNTIL_MS - 1) == []
    assert due(stores, UNTIL_MS) == [5]


def test_one_with_a_command_on_its_way_is_due_before(stores):
    asked = reservation(state=ReservationState.REQUESTED, wishes=(Wish("c1", None, NOON_MS),))
    keep(stores, asked)

    assert due(stores, NOON_MS + LOOK_AGAIN_MS) == [5]
    stores.reservations.looked_at(Due("CP001", 5), NOON_MS + LOOK_AGAIN_MS)
    assert due(stores, NOON_MS + LOOK_AGAIN_MS) == []
    assert due(stores, NOON_MS + 2 * LOOK_AGAIN_MS) == [5]


def test_one_whose_command_was_not_answered_waits_for_its_expiry(stores):
    keep(stores, reservation(wishes=(Wish("c1", None, NOON_MS, True),)))

    assert due(stores, UNTIL_MS - 1) == []


def test_what_is_over_or_gone_is_looked_at_once_more_and_no_longer(stores):
    keep(stores, reservation(1, ReservationState.USED))
    keep(stores, reservation(2))
    stores.link.call("DEL", keys.reservation("CP001", 2))
    assert due(stores, UNTIL_MS) == [1, 2]

    for number in (1, 2):
        stores.reservations.looked_at(Due("CP001", number), UNTIL_MS)

    assert stores.link.call("ZCARD", keys.RESERVATIONS_DUE) == 0


def test_a_look_that_comes_late_leaves_alone_what_was_put_off_meanwhile(stores):
    """Two sweepers: one has looked at it, and its id is in use again."""
    keep(stores, reservation(state=ReservationState.EXPIRED), NOON_MS)
    keep(stores, reservation())
    stores.link.call("DEL", keys.reservation("CP001", 5))  # what the late one has read

    stores.reservations.looked_at(Due("CP001", 5), UNTIL_MS - 1)

    assert due(stores, UNTIL_MS) == [5]


# -- ids


def test_ids_are_positive_rise_and_are_handed_out_once(stores):
    ids = [stores.reservations.new_id("CP001", NOON_MS) for _ in range(5)]

    assert ids == sorted(set(ids))
    assert all(0 < one <= RESERVATION_ID_MAX for one in ids)


def test_an_id_that_somebody_chose_by_hand_is_left_out(stores):
    taken = stores.reservations.new_id("CP001", NOON_MS) + 1
    keep(stores, reservation(taken))

    assert stores.reservations.new_id("CP001", NOON_MS) == taken + 1


def test_the_end_of_the_range_is_said_so(stores):
    stores.link.call("SET", keys.RESERVATION_IDS, RESERVATION_ID_MAX - 1)

    assert stores.reservations.new_id("CP001", NOON_MS) == RESERVATION_ID_MAX
    with pytest.raises(StoreRefused, match="used up"):
        stores.reservations.new_id("CP001", NOON_MS)


# -- starts and statuses


def start(transaction_id=77, **fields):
    at_ms = NOON_MS + MINUTE_MS
    return replace(Start(transaction_id, 1, "ALICE", None, None, at_ms, at_ms), **fields)


def test_a_start_uses_one_reservation_however_often_it_is_sent(stores):
    for number in (1, 2):
        keep(stores, reservation(number, accepted_at_ms=NOON_MS))

    used_first = stores.reservations.use("CP001", None, start(), NOON_MS)
    assert (used_first.reservation_id, used_first.transaction_id) == (1, 77)
    assert stores.reservations.use("CP001", None, start(), NOON_MS) is None
    assert stores.reservations.use("CP001", None, start(78), NOON_MS).reservation_id == 2
    assert stores.reservations.use("CP001", None, start(79), NOON_MS) is None


def test_one_that_is_used_by_another_meanwhile_is_left_to_that(stores):
    keep(stores, reservation(1))
    read = stores.reservations._load

    def load(*given):
        found = read(*given)
        stores.reservations.change("CP001", 1, lambda before: used(before, 99, NOON_MS), NOON_MS)
        return found

    stores.reservations._load = load
    assert stores.reservations.use("CP001", None, start(), NOON_MS) is None
    assert stores.reservations.get("CP001", 1).transaction_id == 99


def test_a_named_one_is_used_although_it_is_not_active_any_more(stores):
    keep(stores, reservation(1, ReservationState.EXPIRED))

    assert stores.reservations.use("CP001", None, start(reservation_id=1), NOON_MS).state == "used"
    assert stores.reservations.use("CP001", None, start(78, reservation_id=9), NOON_MS) is None


def test_a_failing_connector_ends_what_is_reserved_there(stores):
    keep(stores, reservation(1))
    keep(stores, reservation(2, terms=Terms(2, "ALICE", None, UNTIL_MS)))

    faulted = Connector(
        1, ChargePointStatus.FAULTED, "NoError", "", "", "", "", UNTIL_MS - 1, UNTIL_MS - 1
    )
    for _ in range(2):
        stores.reservations.report("CP001", None, faulted, None)

    assert stores.reservations.get("CP001", 1).state == "lost"
    assert stores.reservations.get("CP001", 2).state == "accepted"
