"""What recurs is done by one, once each time, and again where whoever took it has died."""

import pytest
from cast import HOUR_MS, NOON_MS, SECOND_MS

from csms.state.duties import TAKEN_MS

EVERY = {"packing": 30 * SECOND_MS, "retention": HOUR_MS}


@pytest.fixture
def duties(stores):
    return stores.duties


def take(duties, name, now_ms=NOON_MS):
    return duties.take(name, EVERY[name], now_ms)


def test_everything_is_due_at_first(duties):
    assert duties.due(EVERY, NOON_MS) == ["packing", "retention"]


def test_a_duty_is_taken_by_one(duties):
    assert [take(duties, "packing") for _ in range(3)] == [True, False, False]
    assert duties.due(EVERY, NOON_MS) == ["retention"]


def test_what_is_done_is_due_when_its_time_comes_again(duties):
    take(duties, "retention")
    duties.done("retention", NOON_MS + HOUR_MS)

    assert not take(duties, "retention", NOON_MS + HOUR_MS - 1)
    assert "retention" not in duties.due(EVERY, NOON_MS + HOUR_MS - 1)
    assert "retention" in duties.due(EVERY, NOON_MS + HOUR_MS)
    assert take(duties, "retention", NOON_MS + HOUR_MS)


def test_a_duty_whose_worker_died_is_due_again(duties):
    take(duties, "packing")

    assert not take(duties, "packing", NOON_MS + TAKEN_MS - 1)
    assert take(duties, "packing", NOON_MS + TAKEN_MS)


@pytest.mark.parametrize("name", EVERY)
def test_a_clock_that_was_years_ahead_puts_nothing_off(duties, name):
    duties.done(name, NOON_MS + 50_000 * HOUR_MS)

    assert name in duties.due(EVERY, NOON_MS)
    assert take(duties, name)
    assert not take(duties, name)
