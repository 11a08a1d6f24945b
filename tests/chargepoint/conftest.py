"""The cast of the tests about virtual charge points."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from honest_central_system import HonestCentralSystem

from chargepoint.charge_point import ChargePoint
from chargepoint.options import Options

# Times a person would call immediate, so that no test waits for a pause.
QUICK = Options(
    call_timeout_s=20.0,
    boot_retry_s=0.05,
    reconnect_first_s=0.02,
    reconnect_max_s=0.05,
    retry_interval_s=0.02,
    step_s=0.01,
)


@pytest.fixture
def central_system() -> Iterator[HonestCentralSystem]:
    with HonestCentralSystem() as system:
        yield system


@pytest.fixture
def power_up(
    central_system: HonestCentralSystem,
) -> Iterator[Callable[..., ChargePoint]]:
    """Starts CP001, by default waiting until it is accepted and has told its statuses."""
    running: list[ChargePoint] = []

    def start(*, settled: bool = True, **arguments: Any) -> ChargePoint:
        fields = set(Options.__dataclass_fields__)
        options = {name: arguments.pop(name) for name in list(arguments) if name in fields}
        charge_point = ChargePoint(
            central_system.url, "CP001", options=replace(QUICK, **options), **arguments
        )
        running.append(charge_point.start())
        if settled:
            charge_point.wait_accepted()
            charge_point.wait_delivered()
        return charge_point

    yield start
    gevent.joinall([gevent.spawn(charge_point.stop) for charge_point in running])
