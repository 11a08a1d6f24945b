"""What may be asked of a charge point: the rules of registration, and of each operation."""

import re
from dataclasses import replace

import pytest
from cast import CP001, NOON, NOON_MS, PEPPER, enter_the_cast
from cryptography.hazmat.primitives.asymmetric import ec

from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.dispatch import CommandDesk, CommandRequest, check_allowed
from csms.commands.requests import REQUESTS, Circumstances, check_payload, operation
from csms.commands.sealing import Sealer
from csms.domain.certificate_authority import (
    SignatureAlgorithm,
    make_root,
    pem_chain,
    subject,
)
from csms.domain.charge_point import RegistrationStatus
from csms.domain.configuration import Configuration, ConfigurationKey, fold_key
from csms.domain.secrets import LOCATIONS
from csms.errors import CommandForbidden, FieldError
from csms.protocol.schemas import REQUESTS_SENT

PENDING = replace(CP001, registration=RegistrationStatus.PENDING)
REJECTED = replace(CP001, registration=RegistrationStatus.REJECTED)
NEVER_BOOTED = replace(CP001, registration=None)
NOW = Circumstances(CP001, Configuration(), NOON_MS)
ASK_FOR_BOOT = {"requestedMessage": "BootNotification"}


def test_there_is_an_operation_for_every_schema():
    assert set(REQUESTS) == set(REQUESTS_SENT)


# -- registration (OCPP 1.6 ed. 2, 4.2)


@pytest.mark.parametrize("action", REQUESTS)
def test_a_rejected_charge_point_is_asked_nothing(action):
    with pytest.raises(CommandForbidden, match="Rejected"):
        check_allowed(REJECTED, action, {})


@pytest.mark.parametrize("action", REQUESTS)
def test_a_pending_charge_point_starts_and_stops_nothing(action):
    if action not in {"RemoteStartTransaction", "RemoteStopTransaction"}:
        check_allowed(PENDING, action, {})
        return
    with pytest.raises(CommandForbidden) as refusal:
        check_allowed(PENDING, action, {})

    assert refusal.value.charge_point_id == "CP001"
    assert refusal.value.action == action
    assert "Pending" in refusal.value.rule


def test_an_accepted_charge_point_is_not_asked_for_its_boot():
    """Errata 3.40."""
    with pytest.raises(CommandForbidden, match=r"3\.40"):
        check_allowed(CP001, "TriggerMessage", ASK_FOR_BOOT)


@pytest.mark.parametrize("record", [PENDING, NEVER_BOOTED])
def test_a_charge_point_not_accepted_may_be_asked_for_its_boot(record):
    check_allowed(record, "TriggerMessage", ASK_FOR_BOOT)


@pytest.mark.parametrize("action", REQUESTS)
@pytest.mark.parametrize("record", [CP001, NEVER_BOOTED])
def test_everything_else_may_be_asked(record, action):
    check_allowed(record, action, {"requestedMessage": "Heartbeat"})


# -- fields


CERTIFICATE = pem_chain(
    make_root(
        ec.generate_private_key(ec.SECP256R1()),
        subject("Root"),
        1,
        SignatureAlgorithm.ECDSA,
        NOON_MS,
        30,
    ).chain
)
MAX_CHAIN = "CertificateSignedMaxChainSize"
HASHES = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "ab" * 32,
    "issuerKeyHash": "cd" * 32,
    "serialNumber": "FFF",
}
FIRMWARE = {
    "location": "https://host/fw",
    "retrieveDateTime": "2026-11-22T12:00:00Z",
    "signingCertificate": "any text",
    "signature": "any text",
}
GOOD = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": CERTIFICATE},
    "DeleteCertificate": {"certificateHashData": HASHES},
    "ExtendedTriggerMessage": {"requestedMessage": "SignChargePointCertificate"},
    "GetInstalledCertificateIds": {"certificateType": "CentralSystemRootCertificate"},
    "GetLog": {
        "logType": "SecurityLog",
        "requestId": 1,
        "log": {"remoteLocation": "https://host/logs"},
    },
    "InstallCertificate": {
        "certificateType": "ManufacturerRootCertificate",
        "certificate": CERTIFICATE,
    },
    "SignedUpdateFirmware": {"requestId": 1, "firmware": FIRMWARE},
    "ChangeAvailability": {"connectorId": 0, "type": "Inoperative"},
    "ChangeConfiguration": {"key": "HeartbeatInterval", "value": "60"},
    "ClearCache": {},
    "ClearChargingProfile": {},
    "DataTransfer": {"vendorId": "V", "messageId": "m", "data": "d"},
    "GetCompositeSchedule": {"connectorId": 0, "duration": 60, "chargingRateUnit": "A"},
    "GetConfiguration": {"key": ["HeartbeatInterval"]},
    "GetDiagnostics": {"location": "ftp://host/dir", "retries": 3},
    "GetLocalListVersion": {},
    "RemoteStartTransaction": {"idTag": "ALICE", "connectorId": 1},
    "RemoteStopTransaction": {"transactionId": 5},
    "ReserveNow": {
        "connectorId": 0,
        "expiryDate": "2026-11-22T12:00:01Z",
        "idTag": "ALICE",
        "reservationId": 1,
    },
    "Reset": {"type": "Hard"},
    "SendLocalList": {"listVersion": 1, "updateType": "Full"},
    "SetChargingProfile": {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7.2}],
            },
        },
    },
    "TriggerMessage": {"requestedMessage": "StatusNotification", "connectorId": 0},
    "UnlockConnector": {"connectorId": 1},
    "UpdateFirmware": {"location": "ftp://host/fw", "retrieveDate": "2026-11-22T12:00:00Z"},
}


@pytest.mark.parametrize("action", GOOD)
def test_a_good_payload_is_let_through(action):
    check_payload(action, GOOD[action], NOW)


ENTRY = {"idTag": "ALICE", "idTagInfo": {"status": "Accepted"}}


def listing(update_type, *entries, version=1):
    return {
        "listVersion": version,
        "updateType": update_type,
        "localAuthorizationList": list(entries),
    }


PERIODS = "payload.csChargingProfiles.chargingSchedule.chargingSchedulePeriod"


def setting(connector_id, **period):
    """A SetChargingProfile with one period."""
    profile = GOOD["SetChargingProfile"]["csChargingProfiles"]
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6, **period}],
    }
    return {
        "connectorId": connector_id,
        "csChargingProfiles": {**profile, "chargingSchedule": schedule},
    }


WRONG = [
    ("CertificateSigned", {}, "payload.certificateChain"),
    ("CertificateSigned", {"certificateChain": "x" * 10_001}, "payload.certificateChain"),
    (
        "DeleteCertificate",
        {"certificateHashData": {**HASHES, "hashAlgorithm": "MD5"}},
        "payload.certificateHashData.hashAlgorithm",
    ),
    (
        "DeleteCertificate",
        {"certificateHashData": {**HASHES, "serialNumber": "F" * 41}},
        "payload.certificateHashData.serialNumber",
    ),
    ("ExtendedTriggerMessage", {"requestedMessage": "Nothing"}, "payload.requestedMessage"),
    (
        "ExtendedTriggerMessage",
        {"requestedMessage": "MeterValues", "connectorId": 0},
        "payload.connectorId",
    ),
    (
        "ExtendedTriggerMessage",
        {"requestedMessage": "SignChargePointCertificate", "connectorId": 1},
        "payload.connectorId",
    ),
    ("GetInstalledCertificateIds", {"certificateType": "Any"}, "payload.certificateType"),
    (
        "GetLog",
        {**GOOD["GetLog"], "log": {"remoteLocation": "gopher://host/"}},
        "payload.log.remoteLocation",
    ),
    ("GetLog", {"logType": "SecurityLog", "requestId": 1}, "payload.log"),
    (
        "InstallCertificate",
        {**GOOD["InstallCertificate"], "certificate": "x" * 5_501},
        "payload.certificate",
    ),
    ("InstallCertificate", {"certificate": CERTIFICATE}, "payload.certificateType"),
    (
        "SignedUpdateFirmware",
        {"requestId": 1, "firmware": {**FIRMWARE, "signature": "x" * 801}},
        "payload.firmware.signature",
    ),
    ("CancelReservation", {}, "payload.reservationId"),
    ("CancelReservation", {"reservationId": "1"}, "payload.reservationId"),
    ("ChangeAvailability", {"connectorId": 0}, "payload.type"),
    ("ChangeAvailability", {"connectorId": 0, "type": "Off"}, "payload.type"),
    ("ChangeAvailability", {"connectorId": -1, "type": "Operative"}, "payload.connectorId"),
    ("ChangeAvailability", {"connectorId": 1.5, "type": "Operative"}, "payload.connectorId"),
    ("ChangeConfiguration", {"key": "K"}, "payload.value"),
    ("ChangeConfiguration", {"key": "K" * 51, "value": ""}, "payload.key"),
    ("ChangeConfiguration", {"key": "K", "value": "v" * 501}, "payload.value"),
    ("ChangeConfiguration", {"key": "K", "value": 60}, "payload.value"),
    ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0" * 31}, "payload.value"),
    ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0" * 42}, "payload.value"),
    ("ChangeConfiguration", {"key": "AUTHORIZATIONKEY", "value": "g" * 32}, "payload.value"),
    ("ClearCache", {"now": True}, "payload"),
    ("ClearChargingProfile", {"id": "1"}, "payload.id"),
    ("DataTransfer", {}, "payload.vendorId"),
    ("DataTransfer", {"vendorId": "V", "data": {}}, "payload.data"),
    ("DataTransfer", {"vendorId": "V" * 256}, "payload.vendorId"),
    ("GetCompositeSchedule", {"connectorId": 0}, "payload.duration"),
    (
        "GetCompositeSchedule",
        {"connectorId": -1, "duration": 5},
        "payload.connectorId",
    ),
    ("GetConfiguration", {"key": "HeartbeatInterval"}, "payload.key"),
    ("GetConfiguration", {"key": ["A", 5]}, "payload.key.1"),
    ("GetDiagnostics", {}, "payload.location"),
    ("GetDiagnostics", {"location": "ftp://h", "startTime": "today"}, "payload.startTime"),
    ("GetLocalListVersion", {"version": 1}, "payload"),
    ("RemoteStartTransaction", {}, "payload.idTag"),
    ("RemoteStartTransaction", {"idTag": "T" * 21}, "payload.idTag"),
    ("RemoteStartTransaction", {"idTag": "A", "connectorId": 0}, "payload.connectorId"),
    ("RemoteStopTransaction", {"transactionId": "5"}, "payload.transactionId"),
    ("RemoteStopTransaction", {}, "payload.transactionId"),
    ("ReserveNow", {**GOOD["ReserveNow"], "expiryDate": "soon"}, "payload.expiryDate"),
    ("ReserveNow", {**GOOD["ReserveNow"], "connectorId": -1}, "payload.connectorId"),
    ("ReserveNow", {**GOOD["ReserveNow"], "expiryDate": NOON}, "payload.expiryDate"),
    (
        "ReserveNow",
        {**GOOD["ReserveNow"], "expiryDate": "2026-11-22T12:59:59+01:00"},
        "payload.expiryDate",
    ),
    (
        "ReserveNow",
        {**GOOD["ReserveNow"], "expiryDate": "2028-12-31T23:59:60Z"},
        "payload.expiryDate",
    ),
    ("ReserveNow", {**GOOD["ReserveNow"], "reservationId": 0}, "payload.reservationId"),
    ("ReserveNow", {**GOOD["ReserveNow"], "reservationId": -1}, "payload.reservationId"),
    ("ReserveNow", {**GOOD["ReserveNow"], "reservationId": 2**31}, "payload.reservationId"),
    ("ReserveNow", {**GOOD["ReserveNow"], "idTag": "T" * 21}, "payload.idTag"),
    ("ReserveNow", {**GOOD["ReserveNow"], "parentIdTag": "T" * 21}, "payload.parentIdTag"),
    ("Reset", {}, "payload.type"),
    ("Reset", {"type": "soft"}, "payload.type"),
    ("SendLocalList", {"listVersion": 1, "updateType": "Half"}, "payload.updateType"),
    ("SendLocalList", listing("Full", ENTRY, version=0), "payload.listVersion"),
    ("SendLocalList", listing("Differential", ENTRY, version=-1), "payload.listVersion"),
    (
        "SendLocalList",
        listing("Full", ENTRY, {"idTag": "BOB"}),
        "payload.localAuthorizationList.1.idTagInfo",
    ),
    (
        "SendLocalList",
        listing("Full", ENTRY, {**ENTRY, "idTag": "BOB"}, {**ENTRY, "idTag": "alice"}),
        "payload.localAuthorizationList.2.idTag",
    ),
    (
        "SendLocalList",
        listing("Differential", {"idTag": "a"}, {**ENTRY, "idTag": "A"}),
        "payload.localAuthorizationList.1.idTag",
    ),
    (
        "SendLocalList",
        listing("Differential", {"idTag": "a", "idTagInfo": {}}),
        "payload.localAuthorizationList.0.idTagInfo.status",
    ),
    (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                **GOOD["SetChargingProfile"]["csChargingProfiles"],
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": "6"}],
                },
            },
        },
        "payload.csChargingProfiles.chargingSchedule.chargingSchedulePeriod.0.limit",
    ),
    ("SetChargingProfile", setting(1, limit=6.15), f"{PERIODS}.0.limit"),
    ("SetChargingProfile", setting(1, startPeriod=1), f"{PERIODS}.0.startPeriod"),
    ("SetChargingProfile", setting(1, numberPhases=4), f"{PERIODS}.0.numberPhases"),
    ("SetChargingProfile", setting(-1), "payload.connectorId"),
    ("ClearChargingProfile", {"connectorId": -1}, "payload.connectorId"),
    ("ClearChargingProfile", {"stackLevel": -1}, "payload.stackLevel"),
    ("GetCompositeSchedule", {"connectorId": 0, "duration": 0}, "payload.duration"),
    (
        "RemoteStartTransaction",
        {"idTag": "A", "chargingProfile": setting(1)["csChargingProfiles"]},
        "payload.chargingProfile.chargingProfilePurpose",
    ),
    ("TriggerMessage", {"requestedMessage": "StartTransaction"}, "payload.requestedMessage"),
    (
        "TriggerMessage",
        {"requestedMessage": "MeterValues", "connectorId": -1},
        "payload.connectorId",
    ),
    ("UnlockConnector", {"connectorId": 0}, "payload.connectorId"),
    ("UnlockConnector", {}, "payload.connectorId"),
    ("UpdateFirmware", {"location": "ftp://host/fw"}, "payload.retrieveDate"),
    (
        "UpdateFirmware",
        {"location": "ftp://host/fw", "retrieveDate": "2026-11-22T12:00:00Z", "retries": "3"},
        "payload.retries",
    ),
    ("Reset", [], "payload"),
    ("Reset", None, "payload"),
    ("Reset", "Soft", "payload"),
]


@pytest.mark.parametrize(("action", "payload", "named"), WRONG)
def test_a_wrong_field_is_named(action, payload, named):
    with pytest.raises(FieldError) as refusal:
        check_payload(action, payload, NOW)

    assert refusal.value.field == named
    assert re.search(r"\(.*(OCPP 1\.6|ed\. 2|errata|white paper)", refusal.value.problem)


def test_every_operation_has_fields_that_can_be_wrong():
    assert {action for action, _, _ in WRONG} == set(REQUESTS)


def told(value, name="ReserveConnectorZeroSupported"):
    key = ConfigurationKey(name, value, readonly=True, at_ms=NOON_MS)
    return replace(NOW, configuration=Configuration({key.key.casefold(): key}))


def test_no_more_keys_are_asked_for_than_the_charge_point_has_told_that_it_answers():
    three = {"key": ["A", "B", "C"]}

    check_payload("GetConfiguration", three, told("3", "GetConfigurationMaxKeys"))
    check_payload("GetConfiguration", {}, told("0", "GetConfigurationMaxKeys"))
    with pytest.raises(FieldError, match="more than 2 keys, the GetConfigurationMaxKeys"):
        check_payload("GetConfiguration", three, told("2", "GetConfigurationMaxKeys"))


def test_no_longer_chain_is_sent_than_the_charge_point_has_told_that_it_takes():
    length = len(CERTIFICATE)

    for fits in (told(str(length), MAX_CHAIN), NOW):
        check_payload("CertificateSigned", {"certificateChain": CERTIFICATE}, fits)
    with pytest.raises(FieldError, match="CertificateSignedMaxChainSize"):
        short = told(str(length - 1), MAX_CHAIN)
        check_payload("CertificateSigned", {"certificateChain": CERTIFICATE}, short)


@pytest.mark.parametrize("pem", ["nonsense", CERTIFICATE.replace("\n", "\r\n"), f"x{CERTIFICATE}"])
@pytest.mark.parametrize(
    ("action", "field"),
    [("InstallCertificate", "certificate"), ("CertificateSigned", "certificateChain")],
)
def test_what_is_no_pem_is_not_sent_as_a_certificate(action, field, pem):
    payload = {**GOOD[action], field: pem}

    with pytest.raises(FieldError) as refusal:
        check_payload(action, payload, NOW)

    assert refusal.value.field == f"payload.{field}"


@pytest.mark.parametrize(("value", "connector_id"), [("true", 0), ("maybe", 0), ("false", 1)])
def test_any_connector_may_be_reserved_unless_the_charge_point_said_no(value, connector_id):
    payload = {**GOOD["ReserveNow"], "connectorId": connector_id}
    check_payload("ReserveNow", payload, told(value))


def test_connector_zero_is_refused_where_it_is_known_to_be_rejected():
    """OCPP 1.6 ed. 2, 5.13; what is known may be old, and the operator is told how to renew it."""
    with pytest.raises(FieldError, match="ask for its configuration first") as refusal:
        check_payload("ReserveNow", GOOD["ReserveNow"], told("false"))

    assert refusal.value.field == "payload.connectorId"


@pytest.mark.parametrize("action", LOCATIONS)
def test_no_charge_point_is_sent_to_a_host_that_is_not_listed(stores, action):
    """Whether somebody asks for a file or writes the request by hand."""
    enter_the_cast(stores)
    field = ".".join(("payload", *LOCATIONS[action]))
    request = CommandRequest("CP001", action, GOOD[action], "olga", deadline_s=60)

    def desk_for(*hosts):
        return CommandDesk(stores, Sealer(PEPPER), 60, BEFORE_QUEUEING, hosts)

    with pytest.raises(FieldError, match=r"FILE_HOSTS: files\.example$") as refusal:
        desk_for("files.example").queue(request, NOON_MS)
    listed = desk_for("files.example", "host").queue(request, NOON_MS)

    assert refusal.value.field == field
    assert listed.action == action


@pytest.mark.parametrize("key", ["00" * 16, "aB" * 20])
def test_a_key_of_16_to_20_bytes_is_let_through(key):
    """Security white paper, A01."""
    check_payload("ChangeConfiguration", {"key": "AuthorizationKey", "value": key}, NOW)


@pytest.mark.parametrize(
    "payload",
    [
        listing("Full"),
        listing("Full", ENTRY),
        listing("Differential", ENTRY, {"idTag": "BOB"}, version=2**31),
        {"listVersion": 5, "updateType": "Differential"},
    ],
)
def test_a_local_list_may_be_written_by_hand(payload):
    check_payload("SendLocalList", payload, NOW)


def test_the_fields_of_a_local_list_are_sent_in_the_order_a_conformance_tool_expects(desk, socket):
    payload = {"updateType": "Full", "localAuthorizationList": [ENTRY], "listVersion": 3}
    desk.queue("SendLocalList", payload)

    sent = socket.next().payload

    assert list(sent) == ["listVersion", "localAuthorizationList", "updateType"]
    assert sent == payload


@pytest.mark.parametrize("action", ["reset", "Authorize", "", "Reset ", "../Reset"])
def test_what_is_no_operation_is_told_with_those_there_are(action):
    with pytest.raises(FieldError, match="RemoteStartTransaction") as refusal:
        operation(action)

    assert refusal.value.field == "action"


def test_the_desk_checks_before_anything_is_recorded(desk, socket):
    for action, payload in [("Reset", {"type": "Now"}), ("Explode", {})]:
        with pytest.raises(FieldError):
            desk.queue(action, payload)
    desk.stores.charge_points.update("CP001", registration=RegistrationStatus.REJECTED)
    with pytest.raises(CommandForbidden):
        desk.queue("Reset", {"type": "Soft"})

    assert desk.stores.commands.page(None, 10).items == []
    assert socket.next() is None


@pytest.mark.parametrize("action", ["SetChargingProfile", "RemoteStartTransaction"])
def test_a_profile_is_held_against_what_the_charge_point_has_told(action):
    told = ConfigurationKey("ChargeProfileMaxStackLevel", "2", readonly=True, at_ms=NOON_MS)
    circumstances = replace(NOW, configuration=Configuration({fold_key(told.key): told}))
    profile = {**setting(1)["csChargingProfiles"], "stackLevel": 3}
    payload, field = {
        "SetChargingProfile": (
            {"connectorId": 1, "csChargingProfiles": profile},
            "csChargingProfiles",
        ),
        "RemoteStartTransaction": (
            {
                "idTag": "ALICE",
                "chargingProfile": {**profile, "chargingProfilePurpose": "TxProfile"},
            },
            "chargingProfile",
        ),
    }[action]

    check_payload(action, payload, NOW)
    with pytest.raises(FieldError, match="ChargeProfileMaxStackLevel is 2") as refusal:
        check_payload(action, payload, circumstances)

    assert refusal.value.field == f"payload.{field}.stackLevel"
