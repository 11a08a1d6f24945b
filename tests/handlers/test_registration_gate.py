"""What a charge point may send before it is accepted (OCPP 1.6 ed. 2, 4.2)."""

import pytest
from cast import CP001, Line, start_payload
from structlog.testing import capture_logs

from csms.domain.charge_point import RegistrationStatus
from csms.handlers.dispatch import ROUTES
from csms.protocol.schemas import FROM_CHARGE_POINT

PAYLOADS = {
    "Authorize": {"idTag": "ALICE"},
    "DataTransfer": {"vendorId": "V"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Idle"},
    "MeterValues": {"connectorId": 1, "meterValue": []},
    "SecurityEventNotification": {"type": "T", "timestamp": "2026-11-22T12:00:00Z"},
    "SignedFirmwareStatusNotification": {"status": "Idle"},
    "SignCertificate": {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
    "StartTransaction": start_payload(),
    "StatusNotification": {"connectorId": 1, "status": "Available", "errorCode": "NoError"},
    "StopTransaction": {"transactionId": 1, "meterStop": 1, "timestamp": "2026-11-22T12:00:00Z"},
}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
NOT_ACCEPTED = [None, RegistrationStatus.PENDING, RegistrationStatus.REJECTED]


def test_there_is_a_payload_for_every_route():
    assert set(PAYLOADS) | {"BootNotification"} == set(ROUTES)


@pytest.mark.parametrize("registration", NOT_ACCEPTED)
@pytest.mark.parametrize("action", PAYLOADS)
def test_nothing_but_a_boot_is_heard_before_it_is_accepted(line, action, registration):
    line.owned.registration = registration

    assert line.refused(action, PAYLOADS[action]) == "SecurityError"
    assert line.stores.transactions.open_of("CP001") == {}
    assert line.connector() is None


@pytest.mark.parametrize("registration", NOT_ACCEPTED)
def test_a_boot_is_always_heard(line, registration):
    line.owned.registration = registration

    assert line.call("BootNotification", BOOT)["status"] == "Accepted"
    assert line.call("Heartbeat", {})


@pytest.mark.parametrize("action", PAYLOADS)
def test_an_accepted_charge_point_is_heard_without_a_boot(line, action):
    """Registration outlives the link (OCPP-J 1.6, 5.4; quirks 12 and 31)."""
    again = Line(line.stores, line.stores.charge_points.get("CP001"))

    again.call(action, PAYLOADS[action])


def test_a_pending_charge_point_may_send_what_it_was_asked_for(line):
    line.owned.registration = RegistrationStatus.PENDING
    line.owned.triggered.add("StatusNotification")

    line.call("StatusNotification", PAYLOADS["StatusNotification"])
    assert line.refused("Heartbeat", {}) == "SecurityError"


def test_a_rejected_charge_point_may_not_send_even_what_it_was_asked_for(line):
    line.owned.registration = RegistrationStatus.REJECTED
    line.owned.triggered.add("Heartbeat")

    assert line.refused("Heartbeat", {}) == "SecurityError"


@pytest.mark.parametrize("registration", [*NOT_ACCEPTED, RegistrationStatus.ACCEPTED])
@pytest.mark.parametrize(
    "action",
    [
        "CustomOperation",
        "TransactionStarted",
        "HeartBeat",
        "heartbeat",
        "",
        "../../etc/passwd",
        "RemoteStartTransaction",
    ],
)
def test_an_unknown_action_is_not_implemented(line, action, registration):
    line.owned.registration = registration

    assert line.refused(action, {}) == "NotImplemented"


def test_every_action_of_a_charge_point_is_offered():
    assert set(ROUTES) == FROM_CHARGE_POINT


def test_refusals_are_logged_without_a_traceback(line):
    with capture_logs() as logged:
        line.refused("CustomOperation", {})

    assert [entry["log_level"] for entry in logged] == ["warning"]


def test_the_registration_is_that_of_the_last_boot(line):
    line.call("BootNotification", BOOT)

    assert line.stores.charge_points.get("CP001").registration is RegistrationStatus.ACCEPTED
    assert CP001.booted_at_ms is None
