"""The schemas: what we accept, what we send, and how a broken rule is told."""

import json

import pytest

from csms.protocol.schemas import (
    CONFIRMATIONS_RECEIVED,
    CONFIRMATIONS_SENT,
    FROM_CHARGE_POINT,
    REQUESTS_RECEIVED,
    REQUESTS_SENT,
    TO_CHARGE_POINT,
    Schema,
)


def violations(action, payload):
    return [(v.path, v.rule, v.message) for v in REQUESTS_SENT[action].violations(payload)]


BROKEN = {
    "required": ("Reset", {}, ("type", "required", "is required")),
    "enum": ("Reset", {"type": "Now"}, ("type", "enum", "must be one of Hard, Soft")),
    "type": (
        "UnlockConnector",
        {"connectorId": "1"},
        ("connectorId", "type", "must be of type integer"),
    ),
    "length": (
        "RemoteStartTransaction",
        {"idTag": "x" * 21},
        ("idTag", "maxLength", "must have at most 20 characters"),
    ),
    "unknown field": (
        "Reset",
        {"type": "Soft", "at": 5},
        ("", "additionalProperties", "has unknown fields: at"),
    ),
    "format": (
        "UpdateFirmware",
        {"location": "ftp://host/fw", "retrieveDate": "tomorrow"},
        ("retrieveDate", "format", "must be a date-time"),
    ),
    "a path of names and numbers": (
        "SendLocalList",
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": "A", "idTagInfo": {"status": "Maybe"}}],
        },
        (
            "localAuthorizationList/0/idTagInfo/status",
            "enum",
            "must be one of Accepted, Blocked, Expired, Invalid, ConcurrentTx",
        ),
    ),
}


@pytest.mark.parametrize(("action", "payload", "violation"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_names_the_field_and_says_what_it_wants(action, payload, violation):
    assert violations(action, payload) == [violation]


def test_a_rule_without_a_sentence_of_its_own_is_told_in_the_checker_s():
    [violation] = Schema({"properties": {"retries": {"maximum": 3}}}).violations({"retries": 4})

    assert violation.path == "retries"
    assert violation.rule == "maximum"
    assert "3" in violation.message


def test_a_limit_with_two_decimals_is_told_the_rule():
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.25}],
        },
    }

    [(path, rule, message)] = violations(
        "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}
    )

    assert path.endswith("chargingSchedulePeriod/0/limit")
    assert rule == "multipleOf"
    assert "one decimal at most (OCPP 1.6 ed. 2" in message


def test_what_we_receive_may_have_any_date():
    """Charge points leave out the zone: what a timestamp means is decided elsewhere."""
    status = {"connectorId": 1, "status": "Available", "errorCode": "NoError"}

    assert REQUESTS_RECEIVED["StatusNotification"].is_valid({**status, "timestamp": "2026-11-22"})


def test_what_we_send_must_have_a_whole_date():
    assert not CONFIRMATIONS_SENT["Heartbeat"].is_valid({"currentTime": "2026-11-22T12:00:00"})
    assert CONFIRMATIONS_SENT["Heartbeat"].is_valid({"currentTime": "2026-11-22T12:00:00.000Z"})


def test_both_spellings_of_celsius_are_received():
    """Errata EJ 2.1."""
    for unit in ("Celcius", "Celsius"):
        sample = {"value": "38", "measurand": "Temperature", "unit": unit}
        payload = {
            "connectorId": 1,
            "meterValue": [{"timestamp": "2026-11-22T12:00:00Z", "sampledValue": [sample]}],
        }

        assert REQUESTS_RECEIVED["MeterValues"].is_valid(payload)


def test_there_is_a_schema_for_each_direction_of_every_action():
    assert set(REQUESTS_RECEIVED) == set(CONFIRMATIONS_SENT) == FROM_CHARGE_POINT
    assert set(REQUESTS_SENT) == set(CONFIRMATIONS_RECEIVED) == TO_CHARGE_POINT
    assert {"DataTransfer"} == FROM_CHARGE_POINT & TO_CHARGE_POINT


@pytest.mark.parametrize(
    "schemas", [REQUESTS_RECEIVED, REQUESTS_SENT, CONFIRMATIONS_RECEIVED, CONFIRMATIONS_SENT]
)
def test_no_schema_points_elsewhere(schemas):
    """Who reads a document leniently finds its enumerations in place."""
    for schema in schemas.values():
        assert "$ref" not in json.dumps(schema.document)
