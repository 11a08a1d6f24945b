"""MeterValues.req (OCPP 1.6 ed. 2, 4.7): kept once, whatever transaction it names."""

import pytest
from cast import CP002, DAY_MS, HOUR_MS, NOON_MS, Line, instant

from csms.domain.metering import Reading
from csms.errors import StaleEpoch


@pytest.mark.parametrize("transaction_id", [None, 0, -1, 2**63 - 1, "x"])
def test_values_without_an_id_belong_to_what_runs_on_the_connector(line, transaction_id):
    started = line.start()["transactionId"]

    line.meter(transactionId=transaction_id)

    assert line.values_of(started) == [{"value": "2000"}]
    assert line.loose_values() == []


def test_values_with_the_id_belong_to_it(line):
    started = line.start()["transactionId"]
    line.meter(connector_id=2, transactionId=started)

    assert line.values_of(started) == [{"value": "2000"}]


@pytest.mark.parametrize(
    "fields",
    [
        {"transactionId": 4711},
        {"connector_id": 2},
        {"connector_id": 0},
        {"connector_id": -1},
        {"connector_id": 2**62},
    ],
)
def test_values_of_no_transaction_are_kept_loose(line, fields):
    """Connector 0 is the main meter (errata 3.16)."""
    started = line.start()["transactionId"]
    line.meter(**fields)

    assert line.values_of(started) == []
    assert line.loose_values() == [{"value": "2000"}]


def test_values_for_a_foreign_transaction_are_kept_loose(line):
    line.stores.charge_points.create(CP002)
    started = line.start()["transactionId"]
    other = Line(line.stores, CP002)
    other.meter(transactionId=started)

    assert line.values_of(started) == []
    assert other.loose_values() == [{"value": "2000"}]


def test_values_sent_again_are_stored_once(line):
    started = line.start()["transactionId"]
    for _ in range(3):
        line.meter()
        line.meter(transactionId=4711)

    assert line.values_of(started) == [{"value": "2000"}]
    assert line.loose_values() == [{"value": "2000"}]


def test_values_sent_again_after_packing_are_stored_once(line):
    meter_values = line.stores.meter_values
    started = line.start()["transactionId"]
    for number in range(5):
        line.meter(timestamp=instant(number), samples=[{"value": str(number)}])
    line.stop(started)
    before = meter_values.of("CP001", started)
    assert meter_values.pack("CP001", started)
    assert meter_values.of("CP001", started) == before

    line.meter(timestamp=instant(3), samples=[{"value": "3"}], transactionId=started)
    line.meter(timestamp=instant(9), samples=[{"value": "9"}], transactionId=started)

    assert [sample["value"] for sample in line.values_of(started)] == list("012349")
    assert meter_values.pack("CP001", started)
    assert [sample["value"] for sample in line.values_of(started)] == list("012349")


def test_values_after_the_stop_are_kept_with_the_transaction_and_packed_again(line):
    """Quirk 15: some charge points keep an old transactionId."""
    meter_values = line.stores.meter_values
    started = line.start()["transactionId"]
    line.stop(started, meterStop=5_000)
    meter_values.pack("CP001", started)
    meter_values.mark_packed("CP001", started)

    line.meter(transactionId=started, samples=[{"value": "9000"}])

    assert line.values_of(started) == [{"value": "9000"}]
    assert line.transaction(started).energy_wh == 4_000
    assert meter_values.unpacked(10) == [("CP001", started)]


def test_values_are_read_back_as_on_the_wire(line):
    started = line.start()["transactionId"]
    samples = [
        {"value": "50.010", "context": "Sample.Periodic", "measurand": "Frequency"},
        {"value": "16.0", "context": "CurrentMax", "unit": "A"},
        {"value": "OCMF|{}", "format": "SignedData"},
    ]
    line.meter(samples=samples)

    assert line.stores.meter_values.of("CP001", started) == [
        {"connector_id": 1, "timestamp": "2026-11-22T12:00:00Z", "sampled_value": samples}
    ]


def test_values_are_in_the_order_of_their_timestamps(line):
    started = line.start()["transactionId"]
    for ms in (3_000, 1_000, 2_000):
        line.meter(timestamp=instant(ms), samples=[{"value": str(ms)}])

    assert [sample["value"] for sample in line.values_of(started)] == ["1000", "2000", "3000"]


@pytest.mark.parametrize("timestamp", ["", "never", "1970-01-01T00:00:00Z"])
def test_values_of_a_wrong_clock_are_of_now(line, timestamp):
    started = line.start()["transactionId"]
    line.meter(timestamp=timestamp)

    assert line.values_of(started) == [{"value": "2000"}]
    assert line.stores.meter_values.readings_of("CP001")[1].at_ms == NOON_MS


# -- energy


def energy_of(line, transaction_id):
    return line.transaction(transaction_id).energy_wh


def test_energy_grows_with_the_register(line):
    started = line.start(meterStart=1_000)["transactionId"]
    line.meter(timestamp=instant(1), samples=[{"value": "1500"}])
    assert energy_of(line, started) == 500
    line.meter(timestamp=instant(2), samples=[{"value": "2.5", "unit": "kWh"}])

    assert energy_of(line, started) == 1_500
    assert line.energy_today_wh() == 1_500


def test_an_older_register_does_not_take_energy_back(line):
    """Quirk 25: a flood of queued values after a reconnect."""
    started = line.start(meterStart=1_000)["transactionId"]
    line.meter(timestamp=instant(2_000), samples=[{"value": "2500"}])
    line.meter(timestamp=instant(1_000), samples=[{"value": "1500"}])

    assert energy_of(line, started) == 1_500


def test_a_register_that_counts_from_0_in_every_session_adds_nothing(line):
    started = line.start(meterStart=1_000)["transactionId"]
    line.meter(samples=[{"value": "203"}])

    assert energy_of(line, started) == 0
    assert line.energy_today_wh() == 0


def test_a_superseded_transaction_still_grows(line):
    first = line.start(meterStart=1_000)["transactionId"]
    line.start(timestamp=instant(HOUR_MS))
    line.meter(transactionId=first, samples=[{"value": "1200"}])

    assert energy_of(line, first) == 200


def test_the_latest_figures_of_a_connector_are_shown(line):
    line.meter(
        connector_id=2,
        samples=[{"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW"}],
    )

    assert line.stores.meter_values.readings_of("CP001") == {2: Reading(NOON_MS, power_w=7_400)}


def test_a_connector_that_cannot_be_shows_no_figures(line):
    """Else every number would fill the store."""
    for connector_id in (-1, 101, 2**40):
        line.meter(connector_id=connector_id)

    assert line.stores.meter_values.readings_of("CP001") == {}
    assert len(line.loose_values()) == 3


HOSTILE_SAMPLES = [
    [{"value": "1e308", "measurand": "Power.Active.Import", "unit": "kW"}],
    [{"value": "1e300", "measurand": "Power.Active.Import"}],
    [{"value": "9" * 400}],
    [{"value": "-1"}],
    [{"value": "NaN"}],
    [{"value": "\n"}],
    [{"value": "1_000"}],
]


@pytest.mark.parametrize("samples", HOSTILE_SAMPLES, ids=range(len(HOSTILE_SAMPLES)))
def test_no_figure_is_too_odd_to_be_answered_and_kept(line, samples):
    started = line.start()["transactionId"]
    line.meter(samples=samples)

    assert line.values_of(started) == samples
    assert line.energy_today_wh() == 0


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"connectorId": 1},
        {"connectorId": 1, "meterValue": []},
        {"connectorId": 1, "meterValue": None},
        {"connectorId": 1, "meterValue": "x"},
        {"connectorId": 1, "meterValue": [{"timestamp": "x"}]},
        {"connectorId": 1, "meterValue": [{"timestamp": "x", "sampledValue": []}]},
        {"connectorId": 1, "meterValue": [{"sampledValue": [{"unit": "Wh"}]}]},
    ],
)
def test_what_holds_no_sample_is_answered_and_nothing_is_kept(line, payload):
    started = line.start()["transactionId"]

    assert line.call("MeterValues", payload) == {}
    assert line.values_of(started) == []
    assert line.loose_values() == []


def test_a_queue_of_many_values_is_stored_whole(line):
    started = line.start()["transactionId"]
    values = [
        {"timestamp": instant(n * 1000), "sampledValue": [{"value": str(2_000 + n)}]}
        for n in range(3_000)
    ]
    line.call("MeterValues", {"connectorId": 1, "meterValue": values}, NOON_MS + DAY_MS)

    assert len(line.values_of(started)) == 3_000
    assert energy_of(line, started) == 3_999


def test_a_displaced_connection_changes_no_figure_and_what_is_sent_again_is_kept_once(line):
    """Its values may be there already when its fence closes: content is their name."""
    started = line.start()["transactionId"]
    newer = Line(line.stores)

    with pytest.raises(StaleEpoch):
        line.meter(transactionId=started, samples=[{"value": "2500"}])
    assert energy_of(line, started) is None
    assert line.stores.meter_values.readings_of("CP001") == {}
    newer.owned.registration = line.owned.registration
    newer.meter(transactionId=started, samples=[{"value": "2500"}])

    assert line.values_of(started) == [{"value": "2500"}]
    assert energy_of(line, started) == 1_500


def test_older_values_do_not_overwrite_the_latest_figures(line):
    """Quirk 25: the live view goes by timestamp, not by arrival."""
    line.meter(timestamp=instant(2_000), samples=[{"value": "2500"}])
    line.meter(timestamp=instant(1_000), samples=[{"value": "1500"}])

    assert line.stores.meter_values.readings_of("CP001") == {1: Reading(NOON_MS + 2_000, 2_500)}


def test_values_older_than_the_session_do_not_belong_to_it(line):
    """Quirk 26: by connector and time (state/meter_values.py)."""
    started = line.start()["transactionId"]
    line.meter(timestamp=instant(-HOUR_MS))

    assert line.values_of(started) == []
    assert line.loose_values() == [{"value": "2000"}]


def test_late_values_stay_in_the_order_of_their_timestamps_after_packing(line):
    """state/meter_values.py _merged."""
    started = line.start()["transactionId"]
    for ms in (1_000, 3_000):
        line.meter(timestamp=instant(ms), samples=[{"value": str(ms)}])
    line.stop(started)
    line.stores.meter_values.pack("CP001", started)
    line.meter(timestamp=instant(2_000), samples=[{"value": "2000"}], transactionId=started)

    assert [s["value"] for s in line.values_of(started)] == ["1000", "2000", "3000"]


def test_an_implausible_start_counts_no_energy(line):
    """state/meter_values.py METER_CLOSED and state/transactions.py STOP."""
    started = line.start(meterStart=-(10**12))["transactionId"]
    line.meter(samples=[{"value": "2000"}])
    line.stop(started, meterStop=5_000)

    assert line.transaction(started).energy_wh == 0
    assert line.energy_today_wh() == 0
