"""StartTransaction.req (OCPP 1.6 ed. 2, 3.7 and 4.8): one transaction for every resend."""

import threading
from dataclasses import replace

import pytest
from cast import ALICE, CP002, DAY_MS, HOUR_MS, NOON, NOON_MS, Line, instant

from csms.errors import StaleEpoch


def test_a_start_is_answered_with_an_id_and_the_tag_s_status(line):
    confirmation = line.start()

    transaction = line.transaction(confirmation["transactionId"])
    assert confirmation["idTagInfo"] == {"status": "Accepted"}
    assert transaction.state == "open"
    assert transaction.charge_point_id == "CP001"
    assert (transaction.connector_id, transaction.id_tag) == (1, "ALICE")
    assert (transaction.meter_start_wh, transaction.start_timestamp) == (1_000, NOON)
    assert (transaction.started_at_ms, transaction.start_received_at_ms) == (NOON_MS, NOON_MS)
    assert transaction.flags == ()


@pytest.mark.parametrize(
    ("id_tag", "status"), [("BOB", "Blocked"), ("CAROL", "Expired"), ("MALLORY", "Invalid")]
)
def test_whatever_the_tag_s_status_there_is_a_transaction(line, id_tag, status):
    """It may have begun offline (ed. 2, 4.8)."""
    confirmation = line.start(idTag=id_tag)

    assert confirmation["idTagInfo"]["status"] == status
    transaction = line.transaction(confirmation["transactionId"])
    assert (transaction.state, transaction.authorization) == ("open", status)


# -- resends


@pytest.mark.parametrize("unique_id", ["same", "another"])
def test_a_resend_has_the_same_transaction(line, unique_id):
    first = line.start(unique_id="same")
    again = line.start(unique_id=unique_id, now_ms=NOON_MS + 5)

    assert again == first
    assert len(line.stores.transactions.page(None, 10).items) == 1


def test_a_resend_after_the_stop_has_the_same_transaction(line):
    first = line.start()
    line.stop(first["transactionId"])

    assert line.start(now_ms=NOON_MS + 2 * HOUR_MS) == first
    assert line.transaction(first["transactionId"]).state == "stopped"
    assert line.stores.transactions.open_of("CP001") == {}


def test_a_resend_over_a_new_connection_has_the_same_transaction(line):
    first = line.start()

    assert Line(line.stores, process_id="process-2").start() == first


def test_a_resend_days_later_has_the_same_transaction(line):
    first = line.start()
    line.stop(first["transactionId"])

    assert line.start(now_ms=NOON_MS + 9 * DAY_MS) == first


def test_a_resend_is_judged_anew(line):
    line.start()
    line.stores.id_tags.update("ALICE", status="Blocked")

    assert line.start()["idTagInfo"]["status"] == "Blocked"


def test_concurrent_resends_have_the_same_transaction(line):
    """Eight connections at once, as far as the store can tell."""
    answers = []
    begin = threading.Barrier(8)

    def resend(number):
        begin.wait()
        answers.append(line.start(unique_id=f"resend-{number}")["transactionId"])

    threads = [threading.Thread(target=resend, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert len(line.stores.transactions.page(None, 10).items) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"connectorId": 2},
        {"idTag": "BOB"},
        {"timestamp": instant(1000)},
        {"meterStart": 1_001},
        {"reservationId": 5},
    ],
)
def test_other_content_is_another_transaction(line, other):
    first = line.start(unique_id="same")
    second = line.start(unique_id="same", **other)

    assert second["transactionId"] != first["transactionId"]


@pytest.mark.parametrize("reservation_id", [0, -1])
def test_a_reservation_of_none_is_the_same_as_no_reservation(line, reservation_id):
    first = line.start()

    assert line.start(reservationId=reservation_id) == first
    assert line.transaction(first["transactionId"]).reservation_id is None


def test_the_same_content_of_another_charge_point_is_another_transaction(line):
    line.stores.charge_points.create(CP002)
    other = Line(line.stores, CP002)

    assert other.start()["transactionId"] != line.start()["transactionId"]


# -- clocks


BROKEN_CLOCK = "1970-01-01T00:00:12Z"


def test_a_wrong_clock_is_flagged_and_the_time_of_receipt_counts(line):
    transaction = line.transaction(line.start(timestamp=BROKEN_CLOCK)["transactionId"])

    assert transaction.flags == ("clock wrong",)
    assert transaction.start_timestamp == BROKEN_CLOCK
    assert transaction.started_at_ms == NOON_MS


def test_with_a_wrong_clock_the_same_start_hours_after_the_stop_is_another_session(line):
    first = line.start(timestamp=BROKEN_CLOCK)
    line.stop(first["transactionId"], meterStop=1_000)

    soon = line.start(timestamp=BROKEN_CLOCK, now_ms=NOON_MS + 6 * HOUR_MS)
    later = line.start(timestamp=BROKEN_CLOCK, now_ms=NOON_MS + 6 * HOUR_MS + 1)

    assert soon == first
    assert later["transactionId"] != first["transactionId"]
    assert line.transaction(later["transactionId"]).state == "open"


def test_with_a_wrong_clock_a_start_that_still_runs_is_a_resend_however_late(line):
    first = line.start(timestamp=BROKEN_CLOCK)

    assert line.start(timestamp=BROKEN_CLOCK, now_ms=NOON_MS + DAY_MS) == first


def test_a_start_that_comes_days_late_keeps_its_own_time(line):
    started = line.start(timestamp=instant(-9 * DAY_MS))

    transaction = line.transaction(started["transactionId"])
    assert transaction.started_at_ms == NOON_MS - 9 * DAY_MS
    assert transaction.start_received_at_ms == NOON_MS
    assert transaction.flags == ()


# -- what is missing or odd


@pytest.mark.parametrize(
    ("fields", "flags", "meter_start_wh"),
    [
        ({"meterStart": None}, ("meter start missing",), 0),
        ({"meterStart": "n/a"}, ("meter start missing",), 0),
        ({"meterStart": "1234.6"}, (), 1_235),
        ({"meterStart": -5}, ("meter start implausible",), -5),
        ({"meterStart": 10**13}, ("meter start implausible",), 10**13),
        ({"timestamp": None}, ("clock wrong",), 1_000),
        ({"timestamp": "soon", "meterStart": None}, ("clock wrong", "meter start missing"), 0),
    ],
)
def test_what_is_missing_or_odd_is_flagged_and_never_refused(line, fields, flags, meter_start_wh):
    transaction = line.transaction(line.start(**fields)["transactionId"])

    assert transaction.flags == flags
    assert transaction.meter_start_wh == meter_start_wh


def test_a_tag_without_end_is_cut(line):
    transaction = line.transaction(line.start(idTag="x" * 9_000)["transactionId"])

    assert transaction.id_tag == "x" * 255


# -- superseding


def test_a_new_start_on_the_connector_supersedes_the_open_transaction(line):
    first = line.start()["transactionId"]
    second = line.start(timestamp=instant(HOUR_MS))["transactionId"]

    assert line.transaction(first).state == "superseded"
    assert line.transaction(second).state == "open"
    assert line.stores.transactions.open_of("CP001") == {1: second}
    assert line.stores.overviews.read(NOON_MS).open_transactions == 1


def test_connectors_do_not_supersede_each_other(line):
    first = line.start()["transactionId"]
    second = line.start(connectorId=2)["transactionId"]

    assert line.stores.transactions.open_of("CP001") == {1: first, 2: second}


def test_a_resend_of_a_superseded_start_supersedes_nothing(line):
    first = line.start()
    second = line.start(timestamp=instant(HOUR_MS))

    assert line.start() == first
    assert line.transaction(first["transactionId"]).state == "superseded"
    assert line.transaction(second["transactionId"]).state == "open"


# -- ConcurrentTx (ed. 2, 4.8)


@pytest.fixture
def one_at_a_time(line):
    line.stores.id_tags.create(replace(ALICE, id_tag="ONE", max_active_transactions=1))
    return line


def status_of(confirmation):
    return confirmation["idTagInfo"]["status"]


def test_a_second_transaction_on_another_connector_is_concurrent(one_at_a_time):
    line = one_at_a_time
    line.start(idTag="ONE")

    second = line.start(idTag="one", connectorId=2)

    assert status_of(second) == "ConcurrentTx"
    assert line.transaction(second["transactionId"]).state == "open"


def test_a_second_transaction_on_another_charge_point_is_concurrent(one_at_a_time):
    one_at_a_time.stores.charge_points.create(CP002)
    one_at_a_time.start(idTag="ONE")

    assert status_of(Line(one_at_a_time.stores, CP002).start(idTag="ONE")) == "ConcurrentTx"


def test_a_resend_is_not_concurrent_with_itself(one_at_a_time):
    one_at_a_time.start(idTag="ONE")

    assert status_of(one_at_a_time.start(idTag="ONE")) == "Accepted"


def test_a_stopped_transaction_is_not_counted(one_at_a_time):
    line = one_at_a_time
    line.stop(line.start(idTag="ONE")["transactionId"])

    assert status_of(line.start(idTag="ONE", connectorId=2)) == "Accepted"


def test_a_superseded_transaction_is_not_counted(one_at_a_time):
    line = one_at_a_time
    line.start(idTag="ONE")
    line.start(idTag="BOB", timestamp=instant(HOUR_MS))

    assert status_of(line.start(idTag="ONE", connectorId=2)) == "Accepted"


def test_a_transaction_that_was_refused_is_not_counted(one_at_a_time):
    line = one_at_a_time
    line.start(idTag="ONE")
    line.start(idTag="ONE", connectorId=2)
    line.stop(line.start(idTag="ONE")["transactionId"])

    assert status_of(line.start(idTag="ONE", connectorId=3)) == "Accepted"


# -- the epoch, and the indexes


def test_a_displaced_connection_starts_nothing(line):
    Line(line.stores)

    with pytest.raises(StaleEpoch):
        line.start()

    assert line.stores.transactions.page(None, 10).items == []
    assert line.stores.transactions.open_of("CP001") == {}
    assert line.stores.id_tags.active("ALICE") == []


def test_a_start_is_found_by_its_id_and_counted(line):
    transaction_id = line.start()["transactionId"]

    assert line.stores.transactions.owner(transaction_id) == "CP001"
    assert line.stores.overviews.read(NOON_MS).open_transactions == 1
    assert [a.transaction_id for a in line.stores.id_tags.active("alice")] == [transaction_id]
