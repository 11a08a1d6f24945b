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


@pytest.mark.parametrize("told", ["1970-01-01T00:00:07Z", "2106-02-07T06:28:15Z"])
def test_a_charge_point_whose_clock_is_wrong_ends_no_reservation_and_keeps_none(world, told):
    """C34: it tells instants that are years off, and ours counts."""
    reserve(world)
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Reserved", "timestamp": told}
    value = {"timestamp": told, "sampledValue": [{"value": "1"}]}

    for minutes in (0, 59):
        world.later(minutes * 60_000)
        world.tell("StatusNotification", status)
        world.tell("MeterValues", {"connectorId": 1, "meterValue": [value]})
        world.sweep()
        assert reservation(world).state == "accepted"

    world.later(2 * 60_000)
    world.tell("StatusNotification", status)
    world.sweep()
    ended = reservation(world)
    assert ended.state == "expired"
    assert ended.changed_at_ms == ended.terms.expires_at_ms
