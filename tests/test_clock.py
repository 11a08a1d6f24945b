"""Instants leave this system in one form only."""

import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms import clock
from csms.clock import follow, now, now_ms, text_of

HOUR_MS = 3_600_000


@pytest.fixture
def own_clock(monkeypatch):
    """What follows another clock here does so for one test."""
    monkeypatch.setattr(clock, "_behind_ms", 0)


def test_an_instant_is_written_in_utc_with_milliseconds():
    assert text_of(0) == "1970-01-01T00:00:00.000Z"
    assert text_of(1_795_348_800_123) == "2026-11-22T12:00:00.123Z"


@given(st.lists(st.integers(0, 253_402_300_799_999), max_size=5))
def test_what_is_written_is_the_instant(instants):
    for instant_ms in instants:
        written = datetime.fromisoformat(text_of(instant_ms))

        assert round(written.timestamp() * 1000) == instant_ms
        assert len(text_of(instant_ms)) == 24


def test_threads_never_see_each_other_s_instants():
    wrong = []

    def write(start_ms):
        for instant_ms in range(start_ms, start_ms + 20_000):
            text = text_of(instant_ms)
            if int(text[20:23]) != instant_ms % 1000:
                wrong.append((instant_ms, text))

    threads = [threading.Thread(target=write, args=(n * 1_000_007,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_the_clock_is_that_of_the_wall():
    before = time.time()
    read, read_ms = now(), now_ms()
    after = time.time()

    assert before - 1 <= read.timestamp() <= after + 1
    assert (before - 1) * 1000 <= read_ms <= (after + 1) * 1000
    assert read.tzinfo is UTC


@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, -2 * HOUR_MS, 600])
def test_another_clock_is_followed(own_clock, ahead_ms):
    asked_ms = now_ms()

    changed_by_ms = follow(asked_ms + ahead_ms, asked_ms)

    assert abs(changed_by_ms - ahead_ms) < 50
    assert abs(now_ms() - (time.time() * 1000 + ahead_ms)) < 100
    assert abs(now().timestamp() * 1000 - now_ms()) < 100
    assert follow(now_ms(), now_ms()) == 0


@pytest.mark.parametrize("ahead_ms", [0, 400, -400])
def test_a_clock_that_is_near_enough_changes_nothing(own_clock, ahead_ms):
    asked_ms = now_ms()

    assert follow(asked_ms + ahead_ms, asked_ms) == 0
    assert abs(now_ms() - time.time() * 1000) < 100


def test_a_clock_that_answered_late_is_followed_only_where_that_does_not_explain_it(own_clock):
    """Asked ten seconds ago: what it answered may be ten seconds old."""
    asked_ms = now_ms() - 10_000

    assert follow(asked_ms, asked_ms) == 0
    assert follow(asked_ms + 10_000, asked_ms) == 0
    assert follow(asked_ms + HOUR_MS, asked_ms) > HOUR_MS - 20_000
