"""StatusNotification.req (OCPP 1.6 ed. 2, 4.9): the state of connectors, never of transactions."""

import pytest
from cast import HOUR_MS, MINUTE_MS, NOON_MS, Line, instant
from structlog.testing import capture_logs

from csms.domain.connector import ChargePointStatus, LastError
from csms.errors import StaleEpoch


@pytest.mark.parametrize("status", list(ChargePointStatus))
@pytest.mark.parametrize("connector_id", [0, 1, 100])
def test_every_status_of_every_connector_is_recorded(line, status, connector_id):
    """Any transition must be digestible: short ones are skipped (ed. 2, 4.9)."""
    line.status("Available", connector_id)
    line.status(status, connector_id, errorCode="NoError", now_ms=NOON_MS + 1)

    connector = line.connector(connector_id)
    assert connector.status is status
    assert connector.at_ms == NOON_MS + 1
    assert not connector.clock_wrong


def test_all_that_was_said_is_kept(line):
    line.call(
        "StatusNotification",
        {
            "connectorId": 2,
            "status": "Faulted",
            "errorCode": "GroundFailure",
            "info": "residual current",
            "vendorId": "V",
            "vendorErrorCode": "E7",
            "timestamp": instant(-MINUTE_MS),
        },
    )

    connector = line.connector(2)
    assert (connector.info, connector.vendor_id, connector.vendor_error_code) == (
        "residual current",
        "V",
        "E7",
    )
    assert connector.last_error == LastError(
        "GroundFailure", "residual current", "E7", NOON_MS - MINUTE_MS
    )
    assert connector.received_at_ms == NOON_MS


def test_where_a_charge_point_was_sent_for_a_file_is_not_kept(line):
    grant_id, secret = "a" * 32, "b" * 32
    line.call(
        "StatusNotification",
        {
            **{"connectorId": 1, "errorCode": "NoError", "status": "Available"},
            "vendorId": f"ftp://{grant_id}:{secret}@files.example/",
        },
    )

    assert line.connector(1).vendor_id == f"ftp://{grant_id}:****@files.example/"


def test_the_last_error_outlives_the_return_to_no_error(line):
    line.status("Faulted", errorCode="OverVoltage")
    line.status("Available", now_ms=NOON_MS + 1)

    assert line.connector().error_code == "NoError"
    assert line.connector().last_error.error_code == "OverVoltage"


def test_without_a_timestamp_it_is_now(line):
    line.status("Charging", timestamp=None)

    assert line.connector().at_ms == NOON_MS
    assert not line.connector().clock_wrong


def test_an_older_notification_does_not_overwrite_a_newer_state(line):
    line.status("Charging", timestamp=instant(0))

    line.status("Available", timestamp=instant(-HOUR_MS))

    assert line.connector().status == "Charging"


def test_a_clock_that_is_wrong_is_judged_by_arrival(line):
    line.status("Charging", timestamp=instant(0))
    line.status("Finishing", timestamp="1970-01-01T00:00:10Z", now_ms=NOON_MS + 5)
    assert line.connector().status == "Finishing"
    assert line.connector().clock_wrong

    line.status("Available", timestamp=instant(-HOUR_MS), now_ms=NOON_MS + 6)

    assert line.connector().status == "Available"


def test_a_new_connection_knows_the_state_of_the_last(line):
    line.status("Charging", timestamp=instant(0))

    again = Line(line.stores)
    again.status("Available", timestamp=instant(-HOUR_MS))

    assert again.connector().status == "Charging"


def test_the_index_of_statuses_follows(line):
    for number, status in enumerate(["Available", "Charging", "Charging", "Faulted"]):
        line.status(status, now_ms=NOON_MS + number)
    line.status("Available", 2)

    overview = line.stores.overviews.read(NOON_MS)
    assert {s: n for s, n in overview.connectors.items() if n} == {"Faulted": 1, "Available": 1}


def test_a_status_begins_and_ends_no_transaction(line):
    transaction_id = line.start()["transactionId"]
    line.status("Available")
    line.status("Charging", 2)

    assert line.transaction(transaction_id).state == "open"
    assert list(line.stores.transactions.open_of("CP001")) == [1]


@pytest.mark.parametrize("connector_id", [-1, 101, 2**62])
def test_a_connector_that_cannot_be_is_refused(line, connector_id):
    payload = {"connectorId": connector_id, "status": "Available", "errorCode": "NoError"}

    assert line.refused("StatusNotification", payload) == "PropertyConstraintViolation"
    assert line.stores.charge_points.connectors("CP001") == []


def test_an_error_is_logged_once(line):
    with capture_logs() as logged:
        for _ in range(2):
            line.status("Faulted", errorCode="GroundFailure")

    assert [e["event"] for e in logged] == ["connector reports an error"]


def test_a_displaced_connection_changes_no_connector(line):
    line.status("Available")
    Line(line.stores)

    with pytest.raises(StaleEpoch):
        line.status("Charging", now_ms=NOON_MS + 1)

    assert line.connector().status == "Available"
    assert line.owned.connectors[1].status == "Available"
