"""StopTransaction.req (OCPP 1.6 ed. 2, 4.10): always answered, and kept whatever it names."""

import pytest
from cast import CP002, HOUR_MS, NOON_MS, Line, instant

from csms.errors import StaleEpoch
from csms.state.transactions import TransactionIds


def test_a_stop_closes_its_transaction(line):
    transaction_id = line.start()["transactionId"]

    confirmation = line.stop(
        transaction_id, meterStop=5_000, reason="Remote", idTag="BOB", now_ms=NOON_MS + HOUR_MS
    )

    assert confirmation == {"idTagInfo": {"status": "Blocked"}}
    transaction = line.transaction(transaction_id)
    assert transaction.state == "stopped"
    assert (transaction.meter_stop_wh, transaction.energy_wh) == (5_000, 4_000)
    assert (transaction.stopped_at_ms, transaction.stop_timestamp) == (
        NOON_MS + HOUR_MS,
        instant(HOUR_MS),
    )
    assert (transaction.stop_reason, transaction.stop_id_tag) == ("Remote", "BOB")
    assert transaction.stop_received_at_ms == NOON_MS + HOUR_MS
    assert transaction.flags == ()
    assert line.stores.transactions.open_of("CP001") == {}
    assert line.stores.overviews.read(NOON_MS).open_transactions == 0


def test_without_an_id_tag_nothing_is_said_of_one(line):
    assert line.stop(line.start()["transactionId"]) == {}


def test_an_absent_reason_means_local(line):
    """Errata EJ 2.6."""
    transaction_id = line.start()["transactionId"]
    line.stop(transaction_id)

    assert line.transaction(transaction_id).stop_reason == "Local"


def test_a_reason_nobody_knows_is_kept(line):
    transaction_id = line.start()["transactionId"]
    line.stop(transaction_id, reason="CableCut" + "!" * 100)

    assert line.transaction(transaction_id).stop_reason == ("CableCut" + "!" * 100)[:50]


def test_a_stop_sent_again_changes_nothing(line):
    transaction_id = line.start()["transactionId"]
    line.stop(transaction_id, meterStop=5_000)
    before = line.transaction(transaction_id)

    line.stop(transaction_id, meterStop=5_000, now_ms=NOON_MS + HOUR_MS)
    line.stop(transaction_id, meterStop=9_000, reason="Other", now_ms=NOON_MS + HOUR_MS)

    assert line.transaction(transaction_id) == before
    assert line.energy_today_wh() == 4_000


def test_the_energy_of_a_session_is_counted_once(line):
    transaction_id = line.start()["transactionId"]
    line.meter(samples=[{"value": "3000"}])
    line.meter(samples=[{"value": "3000"}])
    line.stop(transaction_id, meterStop=5_000)
    line.stop(transaction_id, meterStop=5_000)

    assert line.transaction(transaction_id).energy_wh == 4_000
    assert line.energy_today_wh() == 4_000


ENERGY = {
    "a register that stood still": (5_000, 5_000, 0, ()),
    "one watt-hour back": (5_000, 4_999, 0, ("meter ran backwards",)),
    "a register that began anew": (5_000, 20, 0, ("meter ran backwards",)),
    "a register beyond life": (5_000, 10**13, 0, ("meter ran backwards",)),
    "no register": (5_000, None, 0, ("meter stop missing",)),
    "no number": (5_000, "n/a", 0, ("meter stop missing",)),
    "a fraction": (5_000, "6000.4", 1_000, ()),
    "a number in a text": (5_000, "6000", 1_000, ()),
    "infinite": (5_000, 1e308, 0, ("meter stop missing",)),
}


@pytest.mark.parametrize(("start", "stop", "energy_wh", "flags"), ENERGY.values(), ids=list(ENERGY))
def test_energy_is_the_difference_and_never_negative(line, start, stop, energy_wh, flags):
    transaction_id = line.start(meterStart=start)["transactionId"]
    line.stop(transaction_id, meterStop=stop)

    transaction = line.transaction(transaction_id)
    assert transaction.energy_wh == energy_wh
    assert transaction.flags == flags


@pytest.mark.parametrize("stop", [20, None])
def test_without_a_usable_stop_the_metered_energy_stays(line, stop):
    transaction_id = line.start()["transactionId"]
    line.meter(samples=[{"value": "3500"}])
    line.stop(transaction_id, meterStop=stop)

    assert line.transaction(transaction_id).energy_wh == 2_500


# -- ids


NONE = [None, 0, -1, -7, 2**63 - 1, "none", [], 1.5e300]


@pytest.mark.parametrize("none", NONE)
def test_a_stop_without_an_id_belongs_to_the_only_open_transaction(line, none):
    """Errata 3.18: answered as if valid."""
    transaction_id = line.start()["transactionId"]

    line.stop(none)

    transaction = line.transaction(transaction_id)
    assert transaction.state == "stopped"
    assert transaction.flags == ("stopped without its id",)
    assert line.stores.transactions.orphans("CP001") == []


@pytest.mark.parametrize("none", NONE)
def test_a_stop_without_an_id_among_two_open_transactions_is_kept_as_an_orphan(line, none):
    first, second = line.start(), line.start(connectorId=2)

    line.stop(none, idTag="ALICE")

    assert line.transaction(first["transactionId"]).state == "open"
    assert line.transaction(second["transactionId"]).state == "open"
    assert len(line.stores.transactions.orphans("CP001")) == 1


def test_an_unknown_id_is_answered_and_kept(line):
    running = line.start()["transactionId"]

    assert line.stop(4711, meterStop=77, reason="EVDisconnected", idTag="ALICE") == {
        "idTagInfo": {"status": "Accepted"}
    }
    assert line.stores.transactions.orphans("CP001") == [
        {
            "transaction_id": 4711,
            "meter_stop_wh": 77,
            "timestamp": instant(HOUR_MS),
            "reason": "EVDisconnected",
            "id_tag": "ALICE",
        }
    ]
    assert line.transaction(running).state == "open"


def test_an_orphan_sent_again_is_kept_once(line):
    for _ in range(3):
        line.stop(4711)

    assert len(line.stores.transactions.orphans("CP001")) == 1


def test_the_meter_values_of_an_orphan_are_kept(line):
    data = [{"timestamp": instant(0), "sampledValue": [{"value": "9", "context": "Trigger"}]}]
    for _ in range(2):
        line.stop(4711, transactionData=data)

    assert line.loose_values() == [{"value": "9", "context": "Trigger"}]


def test_a_foreign_transaction_cannot_be_stopped(line):
    """CVE-2026-28230: an id is looked up with its charge point."""
    line.stores.charge_points.create(CP002)
    transaction_id = line.start()["transactionId"]
    other = Line(line.stores, CP002)

    assert other.stop(transaction_id) == {}

    assert line.transaction(transaction_id).state == "open"
    assert len(line.stores.transactions.orphans("CP002")) == 1


def test_a_superseded_transaction_can_still_be_stopped(line):
    first = line.start()["transactionId"]
    second = line.start(timestamp=instant(HOUR_MS))["transactionId"]

    line.stop(first, meterStop=1_500)

    assert line.transaction(first).state == "stopped"
    assert line.transaction(first).energy_wh == 500
    assert line.stores.transactions.open_of("CP001") == {1: second}


def test_ids_are_positive_31_bit_numbers_that_rise_and_are_not_guessed_from_1(line):
    ids = [line.start(timestamp=instant(n * 1000))["transactionId"] for n in range(120)]

    assert ids == sorted(set(ids))
    assert all(100_000 < transaction_id < 2**31 for transaction_id in ids)


def test_two_processes_never_hand_out_the_same_id(line):
    other = TransactionIds(line.stores.link)
    ids = [
        handed.take(NOON_MS) for _ in range(120) for handed in (line.stores.transaction_ids, other)
    ]

    assert len(set(ids)) == 240


def test_a_store_that_lost_its_data_hands_out_higher_ids_than_before(line):
    before = [TransactionIds(line.stores.link).take(NOON_MS) for _ in range(3)][-1]
    line.stores.link.call("FLUSHDB")

    after = TransactionIds(line.stores.link).take(NOON_MS + HOUR_MS)

    assert after > before


# -- what hangs on a stop


def test_transaction_data_is_stored_once(line):
    transaction_id = line.start()["transactionId"]
    data = [
        {"timestamp": instant(0), "sampledValue": [{"value": "1", "context": "Transaction.Begin"}]},
        {"timestamp": instant(9), "sampledValue": [{"value": "2", "context": "Transaction.End"}]},
    ]
    for _ in range(2):
        line.stop(transaction_id, transactionData=data)

    assert [sample["value"] for sample in line.values_of(transaction_id)] == ["1", "2"]


@pytest.mark.parametrize("data", [[], None, "x", [None], [{"sampledValue": []}], {"a": 1}])
def test_unusable_transaction_data_stops_no_stop(line, data):
    transaction_id = line.start()["transactionId"]
    line.stop(transaction_id, transactionData=data)

    assert line.transaction(transaction_id).state == "stopped"
    assert line.values_of(transaction_id) == []


def test_a_wrong_clock_is_flagged(line):
    transaction_id = line.start()["transactionId"]
    line.stop(transaction_id, timestamp="1970-01-01T00:00:00Z")

    transaction = line.transaction(transaction_id)
    assert transaction.flags == ("clock wrong",)
    assert transaction.stopped_at_ms == NOON_MS


def test_an_empty_payload_is_answered(line):
    assert line.call("StopTransaction", {}) == {}


def test_a_stopped_transaction_runs_for_its_tag_no_longer(line):
    line.stop(line.start()["transactionId"])

    assert line.stores.id_tags.active("ALICE") == []


def test_a_displaced_connection_stops_nothing(line):
    transaction_id = line.start()["transactionId"]
    Line(line.stores)

    with pytest.raises(StaleEpoch):
        line.stop(transaction_id)
    with pytest.raises(StaleEpoch):
        line.stop(4711, idTag="ALICE")

    assert line.transaction(transaction_id).state == "open"
    assert line.stores.transactions.orphans("CP001") == []
