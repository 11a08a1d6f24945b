"""Our books of a charge point's profiles: each answer and each transaction, told once or twice."""

from dataclasses import replace

import pytest
from cast import NOON_MS, SECOND_MS

from csms.domain.authorization import AuthorizationStatus
from csms.domain.charging_books import (
    MAYBE_CLEARED,
    MAYBE_REPLACED,
    START_WITHIN_MS,
    ClearCriteria,
    ProfileRecord,
    ProfileState,
    after_answer,
    after_clear,
    after_transactions,
    after_unanswered_clear,
    installed_with,
    placed,
)
from csms.domain.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    Kind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from csms.domain.charging_schedule import Placed
from csms.domain.transaction import Transaction, TransactionState

INSTALLED, CLEARED, REPLACED = ProfileState.INSTALLED, ProfileState.CLEARED, ProfileState.REPLACED
REQUESTED, UNCERTAIN, REFUSED = (
    ProfileState.REQUESTED,
    ProfileState.UNCERTAIN,
    ProfileState.REFUSED,
)
ENDED = ProfileState.ENDED
LATER_MS = NOON_MS + SECOND_MS


def record(
    name, purpose=Purpose.TX_DEFAULT, level=0, connector_id=1, state=INSTALLED, at=0, **fields
):
    """Profile number `name`, sent `at` seconds after NOON."""
    number = fields.pop("charging_profile_id", int(name))
    sent_at_ms = NOON_MS + at * SECOND_MS
    return ProfileRecord(
        name,
        ChargingProfile(
            number,
            level,
            purpose,
            Kind.RELATIVE,
            ChargingSchedule(RateUnit.A, (SchedulePeriod(0, 16),)),
        ),
        connector_id,
        state,
        "olga",
        sent_at_ms,
        sent_at_ms,
        **{"sent_at_ms": sent_at_ms, **fields},
    )


def states(changes):
    return {
        change.before.command_id: change.after.state
        for change in changes
        if change.before.state is not change.after.state
    }


NEW = record("9", state=REQUESTED, at=10)


def test_an_accepted_profile_is_installed():
    (change,) = after_answer(NEW, [], INSTALLED, "", LATER_MS)

    assert change.before == NEW
    assert change.after == replace(NEW, state=INSTALLED, changed_at_ms=LATER_MS)


def test_a_profile_that_was_not_taken_replaces_nothing():
    changes = after_answer(NEW, [record("1")], REFUSED, "why", LATER_MS)

    assert states(changes) == {"9": REFUSED}
    assert changes[0].after.reason == "why"


def test_a_profile_that_was_not_answered_makes_uncertain_what_it_would_replace():
    others = [record("1"), record("2", level=1), record("3", state=UNCERTAIN)]
    changes = after_answer(NEW, others, UNCERTAIN, "why", LATER_MS)

    assert states(changes) == {"9": UNCERTAIN, "1": UNCERTAIN}
    assert [change.after.reason for change in changes] == ["why", MAYBE_REPLACED]


@pytest.mark.parametrize(
    ("other", "is_replaced"),
    [
        (record("1"), True),
        (record("1", state=UNCERTAIN), True),
        (record("1", Purpose.TX, level=5, connector_id=2, charging_profile_id=9), True),
        (record("1", level=1), False),
        (record("1", connector_id=0), False),
        (record("1", Purpose.TX), False),
        (record("1", state=CLEARED), False),
        (record("1", state=REQUESTED), False),
    ],
)
def test_a_profile_replaces_its_like_and_its_id(other, is_replaced):
    """The same purpose, stack level and connector, or the same chargingProfileId (3.13.2)."""
    changes = after_answer(NEW, [other, NEW], INSTALLED, "", LATER_MS)

    assert states(changes) == {"9": INSTALLED, **({"1": REPLACED} if is_replaced else {})}


def test_an_answer_told_late_does_not_replace_what_came_after():
    later = record("1", at=20)

    assert states(after_answer(NEW, [later], INSTALLED, "", LATER_MS)) == {"9": REPLACED}


@pytest.mark.parametrize("state", [INSTALLED, CLEARED, REPLACED, REFUSED, ENDED])
def test_an_answer_told_twice_changes_nothing(state):
    told = replace(NEW, state=state)

    assert after_answer(told, [record("1")], INSTALLED, "", LATER_MS) == []


def test_an_answer_that_comes_late_settles_what_was_uncertain():
    waiting = replace(NEW, state=UNCERTAIN)

    assert after_answer(waiting, [], UNCERTAIN, "", LATER_MS) == []
    assert states(after_answer(waiting, [], REFUSED, "", LATER_MS)) == {"9": REFUSED}
    assert states(after_answer(waiting, [record("1")], INSTALLED, "", LATER_MS)) == {
        "9": INSTALLED,
        "1": REPLACED,
    }


def test_remote_starts_that_leave_the_connector_open_do_not_collide():
    first = record("1", Purpose.TX, connector_id=None)
    second = record("9", Purpose.TX, connector_id=None, state=REQUESTED, at=10)

    assert states(after_answer(second, [first], INSTALLED, "", LATER_MS)) == {"9": INSTALLED}


# -- clearing (errata 3.25, 3.26)

BOOKS = [
    record("1", Purpose.CHARGE_POINT_MAX, connector_id=0),
    record("2", Purpose.TX_DEFAULT, connector_id=0, level=1),
    record("3", Purpose.TX_DEFAULT, connector_id=1),
    record("4", Purpose.TX, connector_id=1, level=1),
    record("5", Purpose.TX, connector_id=None, state=UNCERTAIN),
]


@pytest.mark.parametrize(
    ("payload", "cleared"),
    [
        ({}, "12345"),
        ({"id": 3}, "3"),
        ({"id": 99}, ""),
        # An id overrides the rest.
        ({"id": 3, "connectorId": 9, "chargingProfilePurpose": "TxProfile", "stackLevel": 9}, "3"),
        ({"connectorId": 0}, "12"),
        ({"connectorId": 1}, "34"),
        ({"chargingProfilePurpose": "TxDefaultProfile"}, "23"),
        ({"stackLevel": 1}, "24"),
        ({"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}, "3"),
        ({"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}, ""),
    ],
)
def test_a_clear_takes_out_what_fits_all_it_names(payload, cleared):
    sent_at_ms = NOON_MS + 30 * SECOND_MS

    changes = after_clear(BOOKS, ClearCriteria.of_payload(payload), sent_at_ms, "why", LATER_MS)

    assert states(changes) == dict.fromkeys(cleared, CLEARED)
    assert {change.after.reason for change in changes} <= {"why"}


def test_a_clear_takes_out_only_what_was_there_when_it_was_sent():
    """It may be told late, and a profile's own answer later still."""
    earlier = record("1", at=0, state=REQUESTED)
    books = [
        earlier,
        record("2", at=20),
        record("3", state=REQUESTED, sent_at_ms=None),
        record("4", state=REFUSED),
    ]

    changes = after_clear(books, ClearCriteria(), NOON_MS + 10 * SECOND_MS, "", LATER_MS)

    assert states(changes) == {"1": CLEARED}


# -- transactions


def transaction(transaction_id=7, connector_id=1, id_tag="ALICE", received=5):
    return Transaction(
        transaction_id=transaction_id,
        charge_point_id="CP001",
        connector_id=connector_id,
        id_tag=id_tag,
        authorization=AuthorizationStatus.ACCEPTED,
        state=TransactionState.OPEN,
        meter_start_wh=0,
        started_at_ms=NOON_MS,
        start_timestamp="",
        start_received_at_ms=NOON_MS + received * SECOND_MS,
    )


REMOTE = record("1", Purpose.TX, id_tag="alice")


@pytest.mark.parametrize(
    ("before", "running", "is_bound"),
    [
        (REMOTE, transaction(), True),
        (replace(REMOTE, connector_id=None), transaction(connector_id=2), True),
        (replace(REMOTE, state=UNCERTAIN), transaction(), True),
        (REMOTE, transaction(connector_id=2), False),
        (REMOTE, transaction(id_tag="BOB"), False),
        (REMOTE, transaction(received=-1), False),
        (replace(REMOTE, sent_at_ms=None), transaction(), False),
        (replace(REMOTE, state=REQUESTED), transaction(), False),
        (record("1"), transaction(), False),
    ],
)
def test_the_profile_of_a_remote_start_is_bound_to_its_transaction(before, running, is_bound):
    changes = after_transactions([before], [running], (), LATER_MS)

    assert [(change.after.transaction_id, change.after.connector_id) for change in changes] == (
        [(7, running.connector_id)] if is_bound else []
    )
    assert states(changes) == {}


def test_a_remote_start_that_nothing_follows_is_given_up():
    late_ms = NOON_MS + START_WITHIN_MS + 1

    assert after_transactions([REMOTE], [], (), late_ms - 1) == []
    assert states(after_transactions([REMOTE], [], (), late_ms)) == {"1": ENDED}


def test_the_profile_of_a_transaction_ends_with_it():
    bound = replace(REMOTE, transaction_id=7)

    assert after_transactions([bound], [transaction()], (), LATER_MS) == []
    assert after_transactions([bound], [], {8}, NOON_MS + 2 * START_WITHIN_MS) == []
    assert states(after_transactions([bound], [], {7}, LATER_MS)) == {"1": ENDED}
    gone = replace(bound, state=CLEARED)
    assert after_transactions([gone], [], {7}, LATER_MS) == []


def test_what_is_known_to_be_installed_makes_the_composite_schedule():
    bound = replace(REMOTE, transaction_id=7)
    books = [
        bound,
        record("2", state=UNCERTAIN),
        record("3", connector_id=0),
        record("4", Purpose.TX, connector_id=None),
    ]

    assert placed(books) == [
        Placed(1, replace(bound.profile, transaction_id=7)),
        Placed(0, books[2].profile),
    ]


def test_room_is_needed_for_what_does_not_replace_another():
    assert installed_with(BOOKS, record("9", connector_id=2)) == 5
    assert installed_with(BOOKS, record("9", connector_id=1)) == 4
    assert installed_with([], NEW) == 1


def test_a_clear_that_was_not_answered_leaves_what_it_meant_uncertain():
    changes = after_unanswered_clear(
        BOOKS, ClearCriteria(connector_id=1), NOON_MS + 30 * SECOND_MS, LATER_MS
    )

    assert states(changes) == {"3": UNCERTAIN, "4": UNCERTAIN}
    assert {change.after.reason for change in changes} == {MAYBE_CLEARED}
