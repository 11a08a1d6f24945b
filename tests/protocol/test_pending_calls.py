"""Our CALLs on one link: one at a time, each settled once (OCPP-J 1.6, 4.1.1)."""

import pytest
from cast import NOON_MS

from csms.protocol.frames import Call
from csms.protocol.pending_calls import LateAnswer, PendingCall, PendingCalls

MINUTE_MS = 60_000


def pending_call(unique_id, deadline_at_ms=NOON_MS + MINUTE_MS):
    return PendingCall(Call(unique_id, "Reset", {}), f"command-{unique_id}", deadline_at_ms)


RESET = pending_call("1")
CLEAR_CACHE = pending_call("2")


def test_a_second_call_waits_for_the_first_answer():
    calls = PendingCalls()
    calls.send(RESET)

    with pytest.raises(RuntimeError, match="one CALL is outstanding"):
        calls.send(CLEAR_CACHE)

    assert calls.outstanding == RESET


def test_an_answer_makes_way_for_the_next_call():
    calls = PendingCalls()
    calls.send(RESET)

    assert calls.settle("1") == RESET
    assert calls.outstanding is None
    calls.send(CLEAR_CACHE)


def test_an_answer_settles_once():
    calls = PendingCalls()
    calls.send(RESET)
    calls.settle("1")

    assert calls.settle("1") is None


def test_a_stranger_s_answer_settles_nothing():
    calls = PendingCalls()
    assert calls.settle("1") is None
    calls.send(RESET)

    assert calls.settle("2") is None
    assert calls.outstanding == RESET


def test_a_call_expires_at_its_deadline_and_not_before():
    calls = PendingCalls()
    assert calls.expire(NOON_MS) is None
    calls.send(RESET)

    assert calls.expire(NOON_MS + MINUTE_MS - 1) is None
    assert calls.expire(NOON_MS + MINUTE_MS) == RESET
    assert calls.expire(NOON_MS + MINUTE_MS) is None
    assert calls.outstanding is None


def test_a_late_answer_is_known_once():
    calls = PendingCalls()
    calls.send(RESET)
    calls.expire(NOON_MS + MINUTE_MS)
    calls.send(CLEAR_CACHE)

    assert calls.settle("1") == LateAnswer("command-1", "Reset")
    assert calls.settle("1") is None
    assert calls.outstanding == CLEAR_CACHE


def test_unanswered_calls_in_a_row_are_counted_until_an_answer_comes():
    calls = PendingCalls()
    for number in range(3):
        calls.send(pending_call(str(number)))
        calls.expire(NOON_MS + MINUTE_MS)
    assert calls.consecutive_timeouts == 3

    calls.send(RESET)
    calls.settle("1")

    assert calls.consecutive_timeouts == 0


def test_only_the_last_twenty_late_calls_are_remembered():
    calls = PendingCalls()
    for number in range(21):
        calls.send(pending_call(str(number)))
        calls.expire(NOON_MS + MINUTE_MS)

    assert calls.settle("0") is None
    assert calls.settle("1") == LateAnswer("command-1", "Reset")


def test_a_lost_link_gives_back_what_was_on_its_way():
    calls = PendingCalls()
    assert calls.lose() is None
    calls.send(RESET)

    assert calls.lose() == RESET
    assert calls.outstanding is None
    assert calls.settle("1") is None


def test_the_id_of_the_next_call_stays_until_it_is_sent():
    """What the store gave out without a confirmation is asked for again by it."""
    calls = PendingCalls()

    assert [calls.next_id("1"), calls.next_id("2")] == ["1", "1"]
    calls.send(RESET)
    assert calls.next_id("3") == "3"
    calls.give_up_id()
    assert calls.next_id("4") == "4"
