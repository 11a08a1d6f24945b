"""Every process goes by the store's clock, however wrong its own machine's is (C35)."""

import time

import pytest
from cast import HOUR_MS

from csms import clock
from csms.errors import StoreUnavailable
from csms.state import shared_clock


@pytest.fixture
def machine_ahead(monkeypatch):
    """A machine whose clock is two hours ahead of the store's."""
    monkeypatch.setattr(clock, "_behind_ms", 2 * HOUR_MS)


def off_ms():
    """How far the clock of this process is from the store's, which is this machine's."""
    return clock.now_ms() - time.time() * 1000


def test_a_machine_that_is_ahead_is_set_right(machine_ahead, sync_link):
    assert off_ms() > HOUR_MS

    shared_clock.follow(sync_link)

    assert abs(off_ms()) < 1_000


def test_the_clock_stays_while_the_store_does_not_answer(machine_ahead):
    class Gone:
        def call(self, *_):
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        shared_clock.follow(Gone())

    assert off_ms() > HOUR_MS
