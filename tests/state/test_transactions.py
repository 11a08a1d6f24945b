"""Transactions as recorded: lists, indexes across charge points, packing and forgetting."""

from dataclasses import replace

import pytest
from cast import CP002, DAY_MS, HOUR_MS, NOON_MS, Line, enter_the_cast, instant

from csms.domain.transaction import TRANSACTION_ID_MAX, TransactionState
from csms.errors import NotFound, StoreRefused
from csms.state import keys
from csms.state.transactions import ID_BLOCK, TransactionIds, started_commands, stopped_commands


@pytest.fixture
def line(stores):
    enter_the_cast(stores)
    return Line(stores)


@pytest.fixture
def sessions(line):
    """Three of ALICE, one of BOB on CP002; the newest of ALICE's still runs."""
    line.stores.charge_points.create(CP002)
    ids = []
    for hour in range(3):
        ids.append(line.start(timestamp=instant(hour * HOUR_MS))["transactionId"])
        if hour < 2:
            line.stop(ids[-1])
    other = Line(line.stores, CP002)
    ids.append(other.start(idTag="BOB", timestamp=instant(-HOUR_MS))["transactionId"])
    return ids


def ids_of(page):
    return [transaction.transaction_id for transaction in page.items]


def test_a_list_has_the_newest_start_first(line, sessions):
    first, second, third, of_bob = sessions

    assert ids_of(line.stores.transactions.page(None, 10)) == [third, second, first, of_bob]


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({"charge_point_id": "CP001"}, [2, 1, 0]),
        ({"charge_point_id": "CP002"}, [3]),
        ({"charge_point_id": "CP404"}, []),
        ({"id_tag": "alice"}, [2, 1, 0]),
        ({"id_tag": "MALLORY"}, []),
        ({"state": TransactionState.OPEN}, [2, 3]),
        ({"state": TransactionState.STOPPED}, [1, 0]),
        ({"state": TransactionState.OPEN, "charge_point_id": "CP001"}, [2]),
        ({"since_ms": NOON_MS}, [2, 1, 0]),
        ({"until_ms": NOON_MS}, [0, 3]),
        ({"since_ms": NOON_MS + 1, "until_ms": NOON_MS + HOUR_MS}, [1]),
    ],
)
def test_a_list_may_be_narrowed(line, sessions, filters, positions):
    expected = [sessions[position] for position in positions]

    assert ids_of(line.stores.transactions.page(None, 10, **filters)) == expected
    first = line.stores.transactions.page(None, 1, **filters)
    assert ids_of(first) == expected[:1]


def test_a_transaction_is_its_charge_point_s(line, sessions):
    transactions = line.stores.transactions

    assert transactions.owner(sessions[3]) == "CP002"
    assert transactions.find("CP001", sessions[3]) is None
    with pytest.raises(NotFound, match=f"transaction {sessions[3]}"):
        transactions.get("CP001", sessions[3])
    assert transactions.owner(1) is None


# -- the indexes across charge points


def snapshot(stores):
    """All keys that are no charge point's own, with what they hold."""
    names = [name for name in sorted(stores.link.call("KEYS", "*")) if ":{CP" not in name]
    return {name: stores.link.call("DUMP", name) for name in names}


def test_the_commands_of_the_indexes_may_be_repeated(line, sessions):
    before = {
        name: sorted(line.stores.link.call("ZRANGE", name, 0, -1))
        for name in (keys.TRANSACTIONS, keys.OPEN_TRANSACTIONS)
    }
    for transaction in line.stores.transactions.page(None, 10).items:
        is_open = transaction.state is TransactionState.OPEN
        for command in started_commands(
            transaction.charge_point_id,
            transaction.transaction_id,
            transaction.started_at_ms,
            is_open=is_open,
        ):
            line.stores.link.call(*command)
        if not is_open:
            for command in stopped_commands(
                transaction.charge_point_id, transaction.transaction_id
            ):
                line.stores.link.call(*command)

    for name, members in before.items():
        assert sorted(line.stores.link.call("ZRANGE", name, 0, -1)) == members


def test_a_resend_mends_the_indexes_of_a_crash(line):
    """The process died between the record and its index; the charge point sends again."""
    started = line.start()
    before = snapshot(line.stores)
    for name in (keys.TRANSACTIONS, keys.OPEN_TRANSACTIONS, keys.TRANSACTION_OWNERS):
        line.stores.link.call("DEL", name)

    assert line.start() == started

    after = snapshot(line.stores)
    assert {name for name in before if before[name] != after.get(name)} == set()


def test_a_resent_stop_mends_the_indexes_of_a_crash(line):
    started = line.start()["transactionId"]
    member = line.stores.link.call("ZRANGE", keys.OPEN_TRANSACTIONS, 0, -1)[0]
    line.stop(started)
    line.stores.link.call("ZADD", keys.OPEN_TRANSACTIONS, NOON_MS, member)

    line.stop(started)

    assert line.stores.overviews.read(NOON_MS).open_transactions == 0


# -- ids


def test_ids_end_with_31_bits(line):
    line.stores.link.call("SET", keys.TRANSACTION_IDS, TRANSACTION_ID_MAX - ID_BLOCK)
    ids = TransactionIds(line.stores.link)

    last = [ids.take(NOON_MS) for _ in range(ID_BLOCK)][-1]

    assert last == TRANSACTION_ID_MAX
    with pytest.raises(StoreRefused, match="used up"):
        ids.take(NOON_MS)


def test_used_up_ids_are_answered_with_an_error_and_no_record(line):
    line.stores.link.call("SET", keys.TRANSACTION_IDS, TRANSACTION_ID_MAX)

    payload = {"connectorId": 1, "idTag": "ALICE", "meterStart": 1, "timestamp": instant(0)}
    assert line.refused("StartTransaction", payload) == "InternalError"
    assert line.stores.transactions.page(None, 10).items == []


def test_an_id_counter_never_goes_back(line):
    ids = TransactionIds(line.stores.link)
    first = ids.take(NOON_MS)

    assert TransactionIds(line.stores.link).take(NOON_MS - 30 * DAY_MS) > first


# -- packing


def test_packed_values_are_the_same_values(line):
    started = line.start()["transactionId"]
    samples = [{"value": str(n), "measurand": "Voltage", "unit": "V"} for n in range(6)]
    for second in range(200):
        line.meter(timestamp=instant(second * 1000), samples=samples)
    line.stop(started)
    before = line.stores.meter_values.of("CP001", started)
    values_key = keys.meter_values("CP001", started)
    size = line.stores.link.call("MEMORY", "USAGE", values_key)

    assert line.stores.meter_values.pack("CP001", started)

    assert line.stores.meter_values.of("CP001", started) == before
    assert len(before) == 200
    assert line.stores.link.call("EXISTS", values_key) == 0
    packed = line.stores.link.call("MEMORY", "USAGE", keys.packed_meter_values("CP001", started))
    assert packed * 10 < size


def test_packing_again_or_nothing_changes_nothing(line):
    started = line.start()["transactionId"]
    line.meter()
    line.stop(started)
    meter_values = line.stores.meter_values
    assert meter_values.unpacked(10) == [("CP001", started)]

    assert meter_values.pack("CP001", started)
    meter_values.mark_packed("CP001", started)

    assert meter_values.pack("CP001", started)
    assert meter_values.pack("CP001", 4711)
    assert line.values_of(started) == [{"value": "2000"}]
    assert meter_values.unpacked(10) == []


# -- forgetting


def test_a_forgotten_transaction_leaves_nothing(line):
    transactions, meter_values = line.stores.transactions, line.stores.meter_values
    kept = line.start(timestamp=instant(DAY_MS), connectorId=2)["transactionId"]
    before = set(line.stores.link.call("KEYS", "*"))
    old = line.start(timestamp=instant(-9 * DAY_MS))["transactionId"]
    line.meter()
    line.stop(old)
    meter_values.pack("CP001", old)

    assert transactions.started_before(NOON_MS, 10) == [("CP001", old)]
    transactions.forget("CP001", old)

    assert transactions.find("CP001", old) is None
    assert transactions.owner(old) is None
    assert meter_values.of("CP001", old) == []
    assert ids_of(transactions.page(None, 10)) == [kept]
    assert transactions.started_before(NOON_MS, 10) == []
    left = set(line.stores.link.call("KEYS", "*")) - before
    assert {name for name in left if str(old) in name} == set()


def test_a_forgotten_transaction_may_have_been_open(line):
    transactions = line.stores.transactions
    old = line.start()["transactionId"]

    transactions.forget("CP001", old)

    assert transactions.open_of("CP001") == {}
    assert line.stores.id_tags.active("ALICE") == []
    newer = line.start(timestamp=instant(HOUR_MS))["transactionId"]
    assert transactions.find("CP001", old) is None
    assert line.transaction(newer).state == "open"


def test_the_same_start_after_forgetting_is_a_new_transaction(line):
    old = line.start()["transactionId"]
    line.stores.transactions.forget("CP001", old)

    assert line.start()["transactionId"] != old


# -- what is kept of what fits nothing


def test_orphans_and_loose_values_are_bounded(line):
    many = {"connectorId": 0, "meterValue": []}
    many["meterValue"] = [
        {"timestamp": instant(n), "sampledValue": [{"value": str(n)}]} for n in range(1_005)
    ]
    line.call("MeterValues", many)
    for number in range(1_005):
        line.stores.link.call("ZADD", keys.orphans("CP001"), number, f"{number}")
    line.stop(4711)

    assert line.stores.link.call("ZCARD", keys.loose_meter_values("CP001")) == 1_000
    assert line.stores.link.call("ZCARD", keys.orphans("CP001")) == 1_000
    assert line.stores.transactions.orphans("CP001")[0]["transaction_id"] == 4711
    assert line.loose_values()[0] == {"value": "1004"}


def test_figures_and_open_transactions_of_many_are_read_in_one_trip(line, sessions):
    line.meter()
    transactions, meter_values = line.stores.transactions, line.stores.meter_values
    charge_points = ["CP002", "CP404", "CP001"]

    assert transactions.open_of_many(charge_points) == [
        transactions.open_of(charge_point_id) for charge_point_id in charge_points
    ]
    assert meter_values.readings_of_many(charge_points) == [
        meter_values.readings_of(charge_point_id) for charge_point_id in charge_points
    ]
    assert transactions.open_of_many([]) == meter_values.readings_of_many([]) == []


def test_every_field_is_read_back_as_written(line):
    started = line.start(reservationId=7, timestamp="never", meterStart=None)["transactionId"]
    line.stop(started, timestamp="soon", reason="Other", idTag="BOB", meterStop=None)

    transaction = line.transaction(started)
    assert transaction.reservation_id == 7
    assert transaction.flags == (
        "clock wrong",
        "meter start missing",
        "clock wrong",
        "meter stop missing",
    )
    assert (transaction.meter_stop_wh, transaction.stop_timestamp) == (None, "soon")
    assert replace(transaction) == transaction
