"""Runs many charge points, each with its scenario, until a signal or a time ends them."""

import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import gevent
from gevent.event import Event

from chargepoint.charge_point import ChargePoint
from chargepoint.scenarios import Scenario

LINE = 160


def line_printer(charge_point_id: str) -> Callable[[str], None]:
    """A `say` for the terminal: one cut line an event, with the time and who it was."""

    def say(line: str) -> None:
        now = datetime.now(UTC)
        print(f"{now:%H:%M:%S} {charge_point_id:<10} {line[:LINE]}", flush=True)

    return say


def run(
    fleet: Sequence[tuple[ChargePoint, Scenario]], *, spread_s: float, duration_s: float | None
) -> None:
    """Start all within `spread_s`, and stop all on SIGTERM, SIGINT or after `duration_s`."""
    over = Event()
    handlers = [
        gevent.signal_handler(number, over.set) for number in (signal.SIGTERM, signal.SIGINT)
    ]
    lives = [
        gevent.spawn_later(spread_s * number / max(1, len(fleet)), _live, charge_point, scenario)
        for number, (charge_point, scenario) in enumerate(fleet)
    ]
    try:
        over.wait(duration_s)
    finally:
        gevent.killall(lives)
        farewells = [gevent.spawn(charge_point.stop) for charge_point, _ in fleet]
        gevent.joinall(farewells, timeout=5.0)
        for handler in handlers:
            handler.cancel()
    print(f"{len(fleet)} charge points stopped", file=sys.stderr)


def _live(charge_point: ChargePoint, scenario: Scenario) -> None:
    charge_point.start()
    scenario(charge_point)
