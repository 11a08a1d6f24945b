"""What becomes of a reservation, message by message (OCPP 1.6 ed. 2, 5.1 and 5.13)."""

from dataclasses import replace

import pytest
from cast import HOUR_MS, NOON_MS
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.command import FINAL_STATES, Command, CommandError, CommandState
from csms.domain.connector import ChargePointStatus, Connector
from csms.domain.reservation import (
    ACTIVE_STATES,
    CANCEL_NOT_ANSWERED,
    CHANGE_NOT_ANSWERED,
    NO_ANSWER,
    NOT_KNOWN,
    SET_FREE,
    TRANSITIONS,
    WISHES_MAX,
    ReservationState,
    Start,
    Terms,
    Wish,
    cancel_requested,
    effective,
    may_end_reservations,
    reported,
    requested,
    settled,
    used,
    used_by,
)

UNTIL_MS = NOON_MS + HOUR_MS
LATER_MS = NOON_MS + 60_000
TERMS = Terms(1, "ALICE", "FAMILY", UNTIL_MS)
ELSEWHERE = Terms(2, "BOB", None, UNTIL_MS + HOUR_MS)
FREE, FAULTED, OUT, RESERVED, PREPARING = (
    ChargePointStatus.AVAILABLE,
    ChargePointStatus.FAULTED,
    ChargePointStatus.UNAVAILABLE,
    ChargePointStatus.RESERVED,
    ChargePointStatus.PREPARING,
)


def command(command_id="c1", state=CommandState.ANSWERED, action="ReserveNow", **fields):
    return Command(
        command_id=command_id,
        charge_point_id="CP001",
        action=action,
        payload={},
        state=state,
        requested_by="operator",
        created_at_ms=NOON_MS,
        deadline_at_ms=UNTIL_MS,
        **fields,
    )


def connector(number, status, at_ms=LATER_MS):
    return Connector(number, status, "NoError", "", "", "", "", at_ms, at_ms)


def report(record, number, status, before, now_ms):
    """What a status makes of it; before: what the connector said just before."""
    said = None if before is None else connector(number, before, now_ms)
    return reported(record, connector(number, status, now_ms), said)


def answered(command_id, status="Accepted"):
    return command(command_id, answer={"status": status})


def silent(command_id, state=CommandState.TIMED_OUT):
    return command(command_id, state)


def late(command_id, status="Accepted"):
    return command(command_id, CommandState.TIMED_OUT, late_answer={"status": status})


def failed(command_id):
    return command(
        command_id, CommandState.REFUSED, error=CommandError("NotSupported", "no such thing", {})
    )


def ask(before, command_id, terms=TERMS, now_ms=NOON_MS):
    wish = Wish(command_id, terms, now_ms)
    return requested(before, 5, "CP001", wish, terms, "operator", now_ms)


REQUESTED = ask(None, "c1")
ACCEPTED = settled(REQUESTED, answered("c1"), NOON_MS)
REFUSED = settled(REQUESTED, answered("c1", "Occupied"), NOON_MS)
IN_DOUBT = settled(REQUESTED, silent("c1"), NOON_MS)
USED = used(ACCEPTED, 77, NOON_MS)
CANCELLED = settled(cancel_requested(ACCEPTED, "c2", NOON_MS), answered("c2"), NOON_MS)
EXPIRED = effective(ACCEPTED, UNTIL_MS)
LOST = report(ACCEPTED, 1, FAULTED, RESERVED, NOON_MS)
ALL = (REQUESTED, ACCEPTED, REFUSED, USED, CANCELLED, EXPIRED, LOST)


def seen(record):
    return record.state.value, record.reason


def test_every_state_is_reached_by_a_message_of_its_own():
    assert [record.state for record in ALL] == list(ReservationState)


# -- the answer to ReserveNow


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (answered("c1"), "accepted", ""),
        (answered("c1", "Faulted"), "refused", "Faulted"),
        (answered("c1", "Occupied"), "refused", "Occupied"),
        (answered("c1", "Rejected"), "refused", "Rejected"),
        (answered("c1", "Unavailable"), "refused", "Unavailable"),
        (failed("c1"), "refused", "NotSupported: no such thing"),
        (command("c1", CommandState.REFUSED), "refused", ""),
        (
            command("c1", CommandState.UNDELIVERABLE, reason="too late"),
            "refused",
            "never sent: too late",
        ),
        (silent("c1"), "requested", NO_ANSWER),
        (silent("c1", CommandState.UNKNOWN), "requested", NO_ANSWER),
        (late("c1"), "accepted", ""),
        (late("c1", "Occupied"), "refused", "Occupied"),
        (
            command("c1", CommandState.UNKNOWN, late_answer={"error": "InternalError"}),
            "refused",
            "InternalError",
        ),
    ],
)
def test_the_end_of_its_command_decides(end, state, reason):
    assert seen(settled(REQUESTED, end, LATER_MS)) == (state, reason)


def test_an_accepted_one_knows_since_when():
    accepted = settled(REQUESTED, answered("c1"), LATER_MS)

    assert (accepted.accepted_at_ms, accepted.changed_at_ms) == (LATER_MS, LATER_MS)
    assert accepted.wishes == ()


def test_the_end_of_another_command_changes_nothing():
    assert settled(REQUESTED, answered("c9"), LATER_MS) == REQUESTED


@pytest.mark.parametrize("status", ["Accepted", "Occupied"])
def test_an_answer_after_the_time_out_still_decides(status):
    assert settled(IN_DOUBT, late("c1", status), LATER_MS).state == (
        "accepted" if status == "Accepted" else "refused"
    )


def test_silence_told_twice_is_the_same_silence():
    assert settled(IN_DOUBT, silent("c1"), LATER_MS) == IN_DOUBT


def test_one_that_was_not_answered_may_stand_and_one_not_sent_does_not():
    assert IN_DOUBT.may_stand
    assert not REQUESTED.may_stand
    assert ACCEPTED.may_stand
    assert not EXPIRED.may_stand


def test_an_acceptance_that_comes_after_its_time_is_over_at_once():
    accepted = settled(REQUESTED, answered("c1"), UNTIL_MS)

    assert (accepted.state, accepted.changed_at_ms) == ("expired", UNTIL_MS)


# -- replacing by id (the same id again)


def test_a_change_replaces_when_it_is_accepted_and_not_before():
    asked = ask(ACCEPTED, "c2", ELSEWHERE)
    assert (asked.state, asked.terms) == ("accepted", TERMS)

    changed = settled(asked, answered("c2"), LATER_MS)
    assert (changed.state, changed.terms, changed.accepted_at_ms) == (
        "accepted",
        ELSEWHERE,
        LATER_MS,
    )


@pytest.mark.parametrize("end", [answered("c2", "Occupied"), failed("c2")])
def test_a_change_that_is_refused_leaves_it_as_it_was(end):
    left = settled(ask(ACCEPTED, "c2", ELSEWHERE), end, LATER_MS)

    assert (left.state, left.terms, left.wishes) == ("accepted", TERMS, ())
    assert left.reason.startswith("a change was refused: ")


def test_a_change_that_is_not_answered_leaves_a_doubt_which_a_late_answer_ends():
    left = settled(ask(ACCEPTED, "c2", ELSEWHERE), silent("c2"), LATER_MS)
    assert (*seen(left), left.terms) == ("accepted", CHANGE_NOT_ANSWERED, TERMS)

    changed = settled(left, late("c2"), LATER_MS)
    assert (*seen(changed), changed.terms) == ("accepted", "", ELSEWHERE)


def test_of_two_wishes_with_one_id_the_refusal_of_the_first_leaves_the_second():
    both = ask(REQUESTED, "c2", ELSEWHERE)
    first_refused = settled(both, answered("c1", "Occupied"), LATER_MS)
    assert (first_refused.state, first_refused.terms) == ("requested", ELSEWHERE)

    assert settled(first_refused, answered("c2", "Occupied"), LATER_MS).state == "refused"
    assert settled(first_refused, answered("c2"), LATER_MS).terms == ELSEWHERE


def test_a_refused_change_of_one_in_doubt_leaves_the_doubt():
    left = settled(ask(IN_DOUBT, "c2", ELSEWHERE), answered("c2", "Faulted"), LATER_MS)

    assert (*seen(left), left.terms) == ("requested", NO_ANSWER, TERMS)


def test_an_accepted_change_ends_what_was_open_before_it():
    changed = settled(ask(IN_DOUBT, "c2", ELSEWHERE), answered("c2"), LATER_MS)

    assert settled(changed, late("c1", "Occupied"), LATER_MS) == changed
    assert settled(changed, late("c1"), LATER_MS) == changed


@pytest.mark.parametrize("over", [REFUSED, USED, CANCELLED, EXPIRED, LOST])
def test_an_id_whose_reservation_is_over_may_be_used_again(over):
    again = ask(over, "c9", ELSEWHERE, UNTIL_MS)

    assert (again.state, again.terms, again.created_at_ms) == ("requested", ELSEWHERE, UNTIL_MS)
    assert (again.transaction_id, again.accepted_at_ms) == (None, None)


def test_one_whose_time_is_over_unnoticed_is_asked_for_anew():
    assert ask(ACCEPTED, "c9", ELSEWHERE, UNTIL_MS).state == "requested"


@pytest.mark.parametrize("over", [USED, EXPIRED, LOST])
def test_a_change_that_comes_through_after_the_end_stands(over):
    over = replace(over, wishes=(Wish("c9", ELSEWHERE, NOON_MS),))

    stands = settled(over, answered("c9"), LATER_MS)
    assert (stands.state, stands.terms, stands.transaction_id) == ("accepted", ELSEWHERE, None)
    assert settled(over, answered("c9", "Rejected"), LATER_MS) == replace(over, wishes=())
    doubted = settled(over, silent("c9"), LATER_MS)
    assert (*seen(doubted), doubted.terms) == ("requested", NO_ANSWER, ELSEWHERE)
    assert doubted.may_stand
    assert doubted.transaction_id is None


def test_wishes_do_not_pile_up():
    record = ACCEPTED
    for number in range(WISHES_MAX + 5):
        record = ask(record, f"r{number}")
        record = cancel_requested(record, f"x{number}", NOON_MS)

    assert len(record.wishes) == WISHES_MAX


# -- the answer to CancelReservation

CANCELLING = cancel_requested(ACCEPTED, "c2", NOON_MS)


def test_a_cancellation_on_its_way_changes_nothing_yet():
    assert (CANCELLING.state, CANCELLING.terms) == ("accepted", TERMS)


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (answered("c2"), "cancelled", ""),
        (answered("c2", "Rejected"), "lost", NOT_KNOWN),
        (failed("c2"), "accepted", "cancelling it failed: NotSupported: no such thing"),
        (
            command("c2", CommandState.UNDELIVERABLE, reason="too late"),
            "accepted",
            "cancelling it failed: never sent: too late",
        ),
        (silent("c2"), "accepted", CANCEL_NOT_ANSWERED),
        (silent("c2", CommandState.UNKNOWN), "accepted", CANCEL_NOT_ANSWERED),
        (late("c2"), "cancelled", ""),
        (late("c2", "Rejected"), "lost", NOT_KNOWN),
    ],
)
def test_the_answer_to_a_cancellation_decides(end, state, reason):
    ended = settled(CANCELLING, end, LATER_MS)

    assert seen(ended) == (state, reason)
    assert settled(ended, end, LATER_MS) == ended


def test_a_late_answer_to_a_cancellation_still_decides():
    doubted = settled(CANCELLING, silent("c2"), LATER_MS)

    assert settled(doubted, late("c2"), LATER_MS).state == "cancelled"


@pytest.mark.parametrize(
    ("before", "status", "state"),
    [
        (REQUESTED, "Accepted", "cancelled"),
        (IN_DOUBT, "Accepted", "cancelled"),
        (LOST, "Accepted", "cancelled"),
        (USED, "Accepted", "used"),
        (EXPIRED, "Accepted", "expired"),
        (REFUSED, "Accepted", "refused"),
        (CANCELLED, "Accepted", "cancelled"),
        (REQUESTED, "Rejected", "requested"),
        (IN_DOUBT, "Rejected", "lost"),
        (USED, "Rejected", "used"),
        (EXPIRED, "Rejected", "expired"),
        (REFUSED, "Rejected", "refused"),
        (CANCELLED, "Rejected", "cancelled"),
        (LOST, "Rejected", "lost"),
    ],
)
def test_cancelling_is_possible_in_every_state(before, status, state):
    """TC_052: the charge point may not know it any more."""
    asked = replace(before, wishes=(*before.wishes, Wish("c9", None, NOON_MS)))

    assert settled(asked, answered("c9", status), LATER_MS).state == state


@pytest.mark.parametrize("over", [USED, EXPIRED, LOST, CANCELLED, REFUSED])
@pytest.mark.parametrize("end", [failed("c9"), silent("c9")])
def test_a_cancellation_that_fails_says_nothing_of_what_is_over(over, end):
    assert settled(cancel_requested(over, "c9", NOON_MS), end, LATER_MS) == over


@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
def test_one_cancelled_and_asked_for_again_waits_for_the_second_answer(status):
    asked = ask(CANCELLING, "c3", ELSEWHERE)

    between = settled(asked, answered("c2", status), LATER_MS)
    assert (between.state, between.terms, between.accepted_at_ms) == ("requested", ELSEWHERE, None)
    assert settled(between, answered("c2", status), LATER_MS) == between
    assert settled(between, answered("c3"), LATER_MS).state == "accepted"


def test_a_cancelled_one_that_was_used_stays_used_whatever_is_on_its_way():
    on_its_way = replace(USED, wishes=(Wish("c2", None, NOON_MS), Wish("c3", ELSEWHERE, NOON_MS)))

    assert settled(on_its_way, answered("c2"), LATER_MS).state == "used"


# -- the clock


def test_the_time_is_over_at_its_expiry_and_not_before():
    assert effective(ACCEPTED, UNTIL_MS - 1) == ACCEPTED
    assert seen(EXPIRED) == ("expired", "")
    assert effective(ACCEPTED, UNTIL_MS + HOUR_MS).changed_at_ms == UNTIL_MS


@pytest.mark.parametrize("record", ALL)
def test_only_what_is_active_expires(record):
    expired = effective(record, UNTIL_MS)

    assert (expired.state == "expired") == (record.state in ACTIVE_STATES | {"expired"})
    assert effective(expired, UNTIL_MS + HOUR_MS) == expired


def test_one_that_was_never_answered_ends_with_its_time():
    expired = effective(IN_DOUBT, UNTIL_MS)

    assert expired.state == "expired"
    assert settled(expired, late("c1"), UNTIL_MS) == expired


# -- connectors


@pytest.mark.parametrize("record", [ACCEPTED, IN_DOUBT])
@pytest.mark.parametrize("status", [FAULTED, OUT])
def test_a_connector_that_fails_ends_its_reservation(record, status):
    lost = report(record, 1, status, RESERVED, LATER_MS)

    assert seen(lost) == ("lost", f"connector 1 reported {status}")


@pytest.mark.parametrize(
    ("reserved", "reports", "state"),
    [(1, 1, "lost"), (1, 2, "accepted"), (1, 0, "accepted"), (0, 0, "lost"), (0, 1, "accepted")],
)
def test_only_its_own_connector_ends_it(reserved, reports, state):
    record = replace(ACCEPTED, terms=replace(TERMS, connector_id=reserved))

    assert report(record, reports, FAULTED, None, LATER_MS).state == state


def test_the_charge_point_itself_is_named_as_such():
    record = replace(ACCEPTED, terms=replace(TERMS, connector_id=0))

    assert report(record, 0, OUT, None, LATER_MS).reason == "the charge point reported Unavailable"


@pytest.mark.parametrize("record", [REQUESTED, REFUSED, USED, CANCELLED, EXPIRED, LOST])
@pytest.mark.parametrize("status", [FAULTED, FREE])
def test_a_connector_says_nothing_of_what_does_not_stand(record, status):
    assert report(record, 1, status, RESERVED, LATER_MS) == record


def test_what_a_connector_said_before_does_not_end_it():
    assert report(ACCEPTED, 1, FAULTED, None, NOON_MS - 1) == ACCEPTED
    assert report(IN_DOUBT, 1, FAULTED, None, NOON_MS - 1) == IN_DOUBT


@pytest.mark.parametrize(
    ("status", "before", "may"),
    [
        (FAULTED, None, True),
        (OUT, FREE, True),
        (FREE, RESERVED, True),
        (FREE, None, False),
        (FREE, PREPARING, False),
        (RESERVED, FREE, False),
        (PREPARING, RESERVED, False),
    ],
)
def test_few_statuses_are_worth_a_look(status, before, may):
    said = None if before is None else connector(1, before)
    assert may_end_reservations(connector(1, status), said) == may


@pytest.mark.parametrize(
    ("before", "after"),
    [(RESERVED, PREPARING), (RESERVED, RESERVED), (FREE, FREE), (None, FREE), (FREE, RESERVED)],
)
def test_other_statuses_mean_nothing_to_a_reservation(before, after):
    """It is reserved after the answer, and Preparing before the start tells that it was used."""
    assert report(ACCEPTED, 1, after, before, LATER_MS) == ACCEPTED


@pytest.mark.parametrize(
    ("before_expiry_ms", "state", "reason"),
    [(1_000, "expired", ""), (60_000, "expired", ""), (60_001, "lost", SET_FREE)],
)
def test_a_connector_set_free_has_reached_its_time_or_lost_its_reservation(
    before_expiry_ms, state, reason
):
    freed = report(ACCEPTED, 1, FREE, RESERVED, UNTIL_MS - before_expiry_ms)

    assert seen(freed) == (state, reason)


def test_a_connector_that_was_reserved_for_another_before_says_nothing_of_this_one():
    """A status that waited while the charge point was asked to reserve anew."""
    said = connector(1, RESERVED, NOON_MS - 1)

    assert reported(ACCEPTED, connector(1, FREE), said) == ACCEPTED


def test_a_connector_set_free_while_an_answer_is_on_its_way_waits_for_that():
    for waits in (CANCELLING, ask(ACCEPTED, "c2", ELSEWHERE)):
        assert report(waits, 1, FREE, RESERVED, LATER_MS) == waits


def test_a_connector_set_free_after_a_cancellation_without_answer_was_cancelled():
    doubted = settled(CANCELLING, silent("c2"), LATER_MS)

    assert report(doubted, 1, FREE, RESERVED, LATER_MS).state == "cancelled"


# -- starts


def start(**fields):
    return replace(Start(77, 1, "ALICE", "FAMILY", None, LATER_MS, LATER_MS), **fields)


@pytest.mark.parametrize("record", ALL)
def test_the_reservation_a_start_names_is_used_where_that_can_be(record):
    named = start(reservation_id=5, transaction_id=78, connector_id=9, id_tag="X")
    found = used_by([record], named)

    usable = {"requested", "accepted", "expired", "lost"}
    assert found == (record if record.state in usable else None)


def test_an_id_used_again_is_not_meant_by_an_earlier_start():
    earlier = start(reservation_id=5, received_at_ms=NOON_MS - 1, started_at_ms=NOON_MS - HOUR_MS)

    assert used_by([ACCEPTED], earlier) is None


def test_a_start_that_was_here_before_it_was_asked_for_did_not_use_it():
    """The sweep looks at the latest starts again when the time of a reservation is over."""
    asked_for = replace(ACCEPTED, created_at_ms=NOON_MS, accepted_at_ms=NOON_MS + 2)
    before = start(received_at_ms=NOON_MS - 1, started_at_ms=NOON_MS - 5_000)

    assert used_by([asked_for], before) is None
    # The clock of a charge point may be slow, and a start be delivered later.
    assert used_by([asked_for], replace(before, received_at_ms=NOON_MS + 3)) == asked_for


def test_a_start_that_names_it_needs_no_good_clock():
    """It came in after the reservation was asked for; whatever it says of the hour."""
    wrong = start(reservation_id=5, started_at_ms=NOON_MS - HOUR_MS)

    assert used_by([ACCEPTED], wrong) == ACCEPTED


def test_a_used_one_knows_its_transaction():
    assert (USED.state, USED.transaction_id, USED.changed_at_ms) == ("used", 77, NOON_MS)


@pytest.mark.parametrize("record", [REFUSED, USED, CANCELLED])
def test_what_cannot_be_used_stays_as_it_is(record):
    assert used(record, 99, LATER_MS) == record


def test_an_answer_that_comes_behind_the_start_does_not_make_it_stand_again():
    ended = used(REQUESTED, 77, LATER_MS)

    assert ended.state == "used"
    assert settled(ended, answered("c1"), LATER_MS) == ended


def test_a_late_answer_after_the_start_does_not_make_it_stand_again():
    ended = used(IN_DOUBT, 77, LATER_MS)

    assert settled(ended, late("c1"), LATER_MS) == ended


def test_a_start_without_any_wish_on_record_uses_it_too():
    bare = replace(REQUESTED, wishes=())

    assert used(bare, 77, LATER_MS).state == "used"


@pytest.mark.parametrize(
    ("changes", "is_used"),
    [
        ({}, True),
        ({"id_tag": " alice"}, True),
        ({"id_tag": "BOB"}, True),  # of the same group
        ({"id_tag": "BOB", "parent_id_tag": "family"}, True),
        ({"id_tag": "BOB", "parent_id_tag": "OTHERS"}, False),
        ({"id_tag": "BOB", "parent_id_tag": None}, False),
        ({"id_tag": "FAMILY", "parent_id_tag": None}, False),
        ({"connector_id": 2}, False),
        ({"started_at_ms": UNTIL_MS - 1}, True),
        ({"started_at_ms": UNTIL_MS}, False),
        ({"started_at_ms": NOON_MS - 60_000}, True),
        ({"started_at_ms": NOON_MS - 60_001}, False),
        ({"reservation_id": 4711}, True),  # of none of ours: as if it named none
    ],
)
def test_a_start_that_names_none_uses_the_one_it_must_have_used(changes, is_used):
    """The charge point ends it at a start by its idTag or group on its connector (5.13)."""
    for record in (ACCEPTED, IN_DOUBT):
        assert used_by([record], start(**changes)) == (record if is_used else None)


def test_a_reservation_without_a_group_is_for_its_tag_alone():
    alone = replace(ACCEPTED, terms=replace(TERMS, parent_id_tag=None))

    assert used_by([alone], start(id_tag="BOB")) is None
    assert used_by([alone], start()) == alone


@pytest.mark.parametrize("record", [REQUESTED, REFUSED, USED, CANCELLED, EXPIRED, LOST])
def test_what_does_not_stand_is_used_by_no_start_that_does_not_name_it(record):
    assert used_by([record], start(transaction_id=78)) is None


def test_one_for_the_very_connector_goes_before_one_for_any():
    anywhere = replace(ACCEPTED, reservation_id=6, terms=replace(TERMS, connector_id=0))

    assert used_by([anywhere, ACCEPTED], start()) == ACCEPTED
    assert used_by([anywhere, ACCEPTED], start(connector_id=2)) == anywhere


def test_a_start_sent_again_uses_no_second_reservation():
    second = replace(ACCEPTED, reservation_id=6)

    assert used_by([USED, second], start()) is None
    assert used_by([USED, second], start(transaction_id=78)) == second


# -- the table


def events(record):
    """Everything that can happen to a record."""
    for state in FINAL_STATES:
        for command_id in ("c1", "c2", "c3", "c9"):
            for status in ("Accepted", "Rejected", "Occupied"):
                told = command(command_id, state, answer={"status": status})
                yield lambda r, told=told: settled(r, told, LATER_MS)
                yield lambda r, told=told, s=status: settled(
                    r, replace(told, late_answer={"status": s}), LATER_MS
                )
    for status in ChargePointStatus:
        yield lambda r, status=status: report(r, r.terms.connector_id, status, RESERVED, LATER_MS)
    yield lambda r: used(r, 77, LATER_MS)
    yield lambda r: effective(r, UNTIL_MS)


EVENTS = list(events(None))


@given(
    st.sampled_from(ALL),
    st.lists(
        st.sampled_from(
            [
                Wish("c1", TERMS, NOON_MS),
                Wish("c2", None, NOON_MS),
                Wish("c3", ELSEWHERE, NOON_MS),
                Wish("c9", TERMS, NOON_MS, True),
            ]
        ),
        unique_by=lambda wish: wish.command_id,
    ),
    st.lists(st.integers(0, len(EVENTS) - 1), max_size=12),
)
def test_whatever_happens_only_what_the_table_allows_follows(record, wishes, happenings):
    record = replace(record, wishes=tuple(wishes))
    for number in happenings:
        after = EVENTS[number](record)
        twice = EVENTS[number](after)

        # Over by an answer and asked for anew behind it are two steps in one.
        allowed = {record.state} | TRANSITIONS[record.state]
        allowed |= {"requested"} if after.wishes else set()
        # Accepted after its time: it was, for no time.
        allowed |= {"expired"} if record.wishes else set()
        assert after.state in allowed
        assert twice.state == after.state
        assert (after.state == "used") == (after.transaction_id is not None)
        record = after
