"""Requests of charge points as values, one Action after the other (OCPP 1.6 ed. 2, chapter 6)."""

import pytest

from csms.protocol import requests
from csms.protocol.requests import ACTIONS, RawMeterValue, read

TIME = "2026-11-22T12:00:00Z"
SAMPLE = {"value": "5", "unit": "Wh"}

READ = {
    "Authorize": ({"idTag": "ALICE"}, requests.Authorize("ALICE")),
    "BootNotification": (
        {"chargePointVendor": "V", "chargePointModel": "M", "iccid": ""},
        requests.BootNotification({"chargePointVendor": "V", "chargePointModel": "M", "iccid": ""}),
    ),
    "DataTransfer": (
        {"vendorId": "V", "messageId": "m", "data": "d"},
        requests.DataTransfer("V", "m", "d"),
    ),
    "DiagnosticsStatusNotification": (
        {"status": "Uploaded"},
        requests.DiagnosticsStatusNotification("Uploaded"),
    ),
    "FirmwareStatusNotification": (
        {"status": "Installing"},
        requests.FirmwareStatusNotification("Installing"),
    ),
    "Heartbeat": ({}, requests.Heartbeat()),
    "LogStatusNotification": (
        {"status": "Uploading", "requestId": 7},
        requests.LogStatusNotification("Uploading", 7),
    ),
    "MeterValues": (
        {
            "connectorId": 1,
            "transactionId": 7,
            "meterValue": [{"timestamp": TIME, "sampledValue": [SAMPLE]}],
        },
        requests.MeterValues(1, 7, [RawMeterValue(TIME, [SAMPLE])]),
    ),
    "StartTransaction": (
        {
            "connectorId": 1,
            "idTag": "ALICE",
            "meterStart": 5,
            "timestamp": TIME,
            "reservationId": 3,
        },
        requests.StartTransaction(1, "ALICE", 5, TIME, 3),
    ),
    "StatusNotification": (
        {
            "connectorId": 1,
            "status": "Faulted",
            "errorCode": "GroundFailure",
            "info": "i",
            "timestamp": TIME,
            "vendorId": "v",
            "vendorErrorCode": "e",
        },
        requests.StatusNotification(1, "Faulted", "GroundFailure", "i", TIME, "v", "e"),
    ),
    "SecurityEventNotification": (
        {"type": "FirmwareUpdated", "timestamp": TIME, "techInfo": "i"},
        requests.SecurityEventNotification("FirmwareUpdated", TIME, "i"),
    ),
    "SignedFirmwareStatusNotification": (
        {"status": "Installed", "requestId": 7},
        requests.SignedFirmwareStatusNotification("Installed", 7),
    ),
    "SignCertificate": ({"csr": "PEM"}, requests.SignCertificate("PEM")),
    "StopTransaction": (
        {
            "transactionId": 7,
            "meterStop": 9,
            "timestamp": TIME,
            "reason": "Remote",
            "idTag": "BOB",
            "transactionData": [{"timestamp": TIME, "sampledValue": [SAMPLE]}],
        },
        requests.StopTransaction(7, 9, TIME, "Remote", "BOB", [RawMeterValue(TIME, [SAMPLE])]),
    ),
}


@pytest.mark.parametrize(("action", "payload", "request_"), [(a, *r) for a, r in READ.items()])
def test_a_full_payload_is_read_without_a_deviation(action, payload, request_):
    assert read(action, payload) == (request_, ())


def test_every_action_of_a_charge_point_is_read():
    assert set(READ) == ACTIONS


SPARSE = {
    "DataTransfer": ({"vendorId": "V"}, requests.DataTransfer("V", "", "")),
    "LogStatusNotification": ({"status": "Idle"}, requests.LogStatusNotification("Idle", None)),
    "MeterValues": ({}, requests.MeterValues(0, None, [])),
    "SignedFirmwareStatusNotification": (
        {"status": "Idle"},
        requests.SignedFirmwareStatusNotification("Idle", None),
    ),
    "StartTransaction": (
        {"connectorId": 1, "idTag": "ALICE"},
        requests.StartTransaction(1, "ALICE", None, None, None),
    ),
    "StatusNotification": (
        {"connectorId": 1, "status": "Available"},
        requests.StatusNotification(1, "Available", "NoError", "", None, "", ""),
    ),
    "StopTransaction": ({}, requests.StopTransaction(None, None, None, "Local", "", [])),
    "BootNotification": (
        {},
        requests.BootNotification({"chargePointVendor": "", "chargePointModel": ""}),
    ),
}


@pytest.mark.parametrize(("action", "payload", "request_"), [(a, *r) for a, r in SPARSE.items()])
def test_what_is_left_out_has_a_meaning(action, payload, request_):
    """An absent reason means Local (errata EJ 2.6)."""
    assert read(action, payload)[0] == request_


def test_fields_nobody_knows_are_dropped_and_noted():
    request, deviations = read("Heartbeat", {"vendorField": 1})

    assert request == requests.Heartbeat()
    assert deviations == ["vendorField is not a field of this message"]


def test_over_long_serial_numbers_are_kept():
    request, deviations = read(
        "BootNotification",
        {"chargePointVendor": "v" * 60, "chargePointModel": "M", "meterSerialNumber": "1" * 80},
    )

    assert request.facts["chargePointVendor"] == "v" * 60
    assert request.facts["meterSerialNumber"] == "1" * 80
    assert deviations == ["chargePointVendor is too long", "meterSerialNumber is too long"]
