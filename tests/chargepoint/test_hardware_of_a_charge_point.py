"""Connectors, meters and vehicles, without any network."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chargepoint.connector import Connector, Transaction, text_of
from chargepoint.errors import NotPossible
from chargepoint.hardware import Hardware
from chargepoint.options import Options

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Bench(Hardware):
    """Hardware on a workbench: what it would say is written down."""

    def __init__(self, **options: Any) -> None:
        self.now = NOON
        super().__init__(Options(**options), lambda: self.now)
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.statuses: list[str] = []

    def queue_message(
        self, action: str, payload: dict[str, Any], transaction: Transaction | None
    ) -> bool:
        self.said.append((action, payload))
        return True

    def tell_status(self, connector: Connector) -> None:
        self.statuses.append(f"{connector.connector_id} {connector.status}")

    def wake(self) -> None:
        pass


def test_session_takes_the_energy_of_its_power_and_time():
    bench = Bench(rated_w=22_000.0, meter_start_wh=5_000)

    bench.start_transaction(1, "ALICE")
    bench.now += timedelta(minutes=30)
    bench.meter_values(1)
    bench.now += timedelta(minutes=30)
    bench.stop_transaction(1)
    bench.unplug(1)

    start, meter, stop = (payload for _, payload in bench.said)
    assert start["meterStart"] == 5_000
    sampled = {one["measurand"]: one for one in meter["meterValue"][0]["sampledValue"]}
    assert sampled["Energy.Active.Import.Register"]["value"] == "16000"
    assert sampled["Power.Active.Import"]["value"] == "22000"
    assert stop["meterStop"] == 27_000
    assert stop["timestamp"] == "2026-11-22T13:00:00.000Z"
    assert bench.statuses == ["1 Preparing", "1 Charging", "1 Finishing", "1 Available"]


def test_next_session_starts_where_the_register_stood():
    bench = Bench()
    bench.start_transaction(1, "ALICE")
    bench.now += timedelta(hours=1)
    first = bench.stop_transaction(1)
    bench.now += timedelta(hours=5)

    assert bench.start_transaction(1, "DAVE").meter_start_wh == first.meter_stop_wh


def test_register_never_falls_when_the_clock_does():
    bench = Bench()
    bench.start_transaction(1, "ALICE")
    bench.now += timedelta(hours=1)
    bench.meter_values(1)
    bench.now -= timedelta(hours=3)

    assert bench.stop_transaction(1).meter_stop_wh == 11_000


def test_leaving_vehicle_ends_the_session():
    bench = Bench()
    bench.start_transaction(1, "ALICE")

    bench.unplug(1)

    assert bench.said[-1][1]["reason"] == "EVDisconnected"
    assert bench.statuses[-1] == "1 Available"


def test_leaving_vehicle_suspends_the_session_where_so_configured():
    bench = Bench(configuration={"StopTransactionOnEVSideDisconnect": "false"})
    bench.start_transaction(1, "ALICE")

    bench.unplug(1)
    bench.now += timedelta(hours=1)
    bench.plug_in(1)

    assert bench.statuses[-2:] == ["1 SuspendedEV", "1 Charging"]
    assert bench.stop_transaction(1).meter_stop_wh == 0


def test_fault_ends_the_session_and_keeps_the_connector_shut():
    bench = Bench()
    bench.start_transaction(1, "ALICE")

    bench.fault(1, "GroundFailure")

    assert bench.said[-1][0] == "StopTransaction"
    assert bench.statuses[-1] == "1 Faulted"
    assert bench.connectors[1].error_code == "GroundFailure"
    with pytest.raises(NotPossible):
        bench.start_transaction(1, "ALICE")
    bench.clear_fault(1)
    bench.start_transaction(1, "ALICE")


def test_one_connector_has_one_session():
    bench = Bench()
    bench.start_transaction(1, "ALICE")

    with pytest.raises(NotPossible):
        bench.start_transaction(1, "DAVE")
    with pytest.raises(NotPossible):
        bench.stop_transaction(2)
    with pytest.raises(NotPossible):
        bench.start_transaction(3, "DAVE")


def test_text_of_an_instant_is_utc_with_milliseconds():
    seoul = datetime.fromisoformat("2026-11-22T21:00:00.123999+09:00")

    assert text_of(seoul) == "2026-11-22T12:00:00.123Z"
