"""ChangeConfiguration of SecurityProfile (security white paper, A05): who may come afterwards."""

import pytest
from cast import NOON_MS

from csms.errors import FieldError

RAISE = {"key": "SecurityProfile", "value": "2"}
SILENT_AT_MS = NOON_MS + 60_000


@pytest.fixture
def change(desk, socket):
    """CP001 has profile 1, and is told to come with 2."""
    desk.stores.charge_points.update("CP001", security_profile=1)
    return desk.queue("ChangeConfiguration", RAISE)


def profiles(desk):
    record = desk.stores.charge_points.get("CP001")
    return record.security_profile, record.pending_security_profile


def events(desk):
    page = desk.stores.security_events.page(None, 10, charge_point_id="CP001")
    return [(kept.event.event_type, kept.event.actor) for kept in page.items]


def test_nothing_is_pending_before_it_is_answered(desk, socket, change):
    socket.next()

    assert profiles(desk) == (1, None)


@pytest.mark.parametrize(
    ("status", "pending"),
    [
        ("Accepted", 2),
        ("RebootRequired", 2),
        ("Rejected", None),
        ("NotSupported", None),
        ("Nonsense", 2),
    ],
)
def test_what_it_answers_decides_what_is_pending(desk, socket, change, status, pending):
    socket.answer(socket.next(), {"status": status})

    assert profiles(desk) == (1, pending)
    assert events(desk) == ([("SecurityProfilePending", "operator")] if pending else [])


def test_a_callerror_is_a_no(desk, socket, change):
    socket.refuse(socket.next(), "InternalError")

    assert profiles(desk) == (1, None)


def test_silence_may_be_a_yes(desk, socket, change):
    socket.next()
    socket.expire(SILENT_AT_MS)

    assert profiles(desk) == (1, 2)


def test_a_lost_connection_may_be_a_yes(desk, socket, change):
    socket.next()
    socket.lose()

    assert profiles(desk) == (1, 2)


def test_what_was_never_sent_is_a_no(desk, socket, change):
    socket.delivery.settle_undelivered("CP001", change.command_id, NOON_MS + 200_000)

    assert profiles(desk) == (1, None)


def test_following_up_again_lowers_nothing(desk, socket, change):
    """The sweep may, after the first success with the new profile."""
    socket.answer(socket.next(), {"status": "Accepted"})
    desk.stores.charge_points.promote_profile("CP001", 2)

    socket.delivery.settle_again("CP001", desk.look(change), NOON_MS)

    assert profiles(desk) == (2, None)


@pytest.mark.parametrize(("value", "rule"), [("0", "A00.FR.005"), ("4", "A00"), ("x", "A00")])
def test_a_wrong_profile_is_not_sent(desk, socket, value, rule):
    desk.stores.charge_points.update("CP001", security_profile=1)

    with pytest.raises(FieldError, match=rule) as problem:
        desk.queue("ChangeConfiguration", {"key": "SecurityProfile", "value": value})

    assert problem.value.field == "payload.value"
    assert socket.next() is None
