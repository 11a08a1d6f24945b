"""Machines whose clocks are wrong: every process goes by the store's (C35)."""

import pytest
from stories import reservation, reserve
from world import World

from csms import clock

HOUR_MS = 3_600_000


@pytest.fixture
def world(link, given):
    world = World(link, given)
    yield world
    world.end()


@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, -2 * HOUR_MS])
def test_a_process_that_is_ahead_expires_nobody_s_reservation(world, monkeypatch, ahead_ms):
    reserve(world)
    monkeypatch.setattr(clock, "_behind_ms", ahead_ms)

    world.process.process._renew()
    world.sweep()

    assert reservation(world).state == "accepted"
    assert abs(reservation(world).terms.expires_at_ms - clock.now_ms() - HOUR_MS) < 60_000
