"""What a charge point answers when it is called, and what it does about it."""

import json
import threading
from datetime import UTC, datetime, timedelta

import gevent
import pytest
from honest_central_system import SILENCE, wait_until

from chargepoint.charge_point import ChargePoint
from chargepoint.conversation import delayed, ignore, refuse

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = "00112233445566778899aabbccddeeff00112233"


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def test_calls_of_both_sides_cross(central_system, power_up):
    charge_point = power_up()
    central_system.next_answers("DataTransfer", SILENCE)
    waiting = gevent.spawn(charge_point.call, "DataTransfer", {"vendorId": "x"})
    wait_until(lambda: central_system.payloads("DataTransfer"))

    answer = central_system.call("ClearCache", {})

    assert answer[2] == {"status": "Accepted"}
    assert not waiting.ready()
    sent = next(one for one in central_system.received if one.action == "DataTransfer")
    central_system.say(json.dumps([3, sent.unique_id, {"status": "Accepted"}]))
    assert waiting.get() == {"status": "Accepted"}


def test_second_own_call_waits_for_the_first_answer(central_system, power_up):
    charge_point = power_up()
    central_system.next_answers("DataTransfer", SILENCE)
    first = gevent.spawn(charge_point.call, "DataTransfer", {"vendorId": "x"})
    wait_until(lambda: central_system.payloads("DataTransfer"))
    second = gevent.spawn(charge_point.call, "Heartbeat", {})
    central_system.call("ClearCache", {})  # a whole round trip later nothing has overtaken

    assert central_system.payloads("Heartbeat") == []
    sent = next(one for one in central_system.received if one.action == "DataTransfer")
    central_system.say(json.dumps([3, sent.unique_id, {"status": "Accepted"}]))
    first.get()
    assert "currentTime" in second.get()


def test_unknown_action_is_not_implemented(central_system, power_up):
    power_up()

    answer = central_system.call("CustomOperation", {})

    assert answer[0] == 4
    assert answer[2] == "NotImplemented"


def test_table_of_answers_takes_refusal_silence_and_delay(central_system, power_up):
    charge_point = power_up(
        answers={
            "Reset": refuse("InternalError", "no"),
            "ClearCache": ignore,
            "UnlockConnector": delayed(0.05, {"status": "UnlockFailed"}),
        }
    )

    assert central_system.call("Reset", {"type": "Soft"})[2:] == ["InternalError", "no", {}]
    central_system.say('[2,"ignored","ClearCache",{}]')
    unlock = central_system.call("UnlockConnector", {"connectorId": 1})
    assert unlock[2] == {"status": "UnlockFailed"}
    assert [action for action, _ in charge_point.conversation.received] == [
        "Reset",
        "ClearCache",
        "UnlockConnector",
    ]


def test_call_with_a_missing_field_is_a_callerror_and_the_link_stays(central_system, power_up):
    charge_point = power_up()

    assert central_system.call("Reset", {})[2] == "OccurenceConstraintViolation"
    assert central_system.call("Reset", {"type": "Lukewarm"})[2] == "PropertyConstraintViolation"
    central_system.say("{broken")
    central_system.say('[9,"x"]')
    assert central_system.call("ClearCache", {})[2] == {"status": "Accepted"}
    assert charge_point.is_linked


def test_remote_start_and_stop_make_a_session(central_system, power_up):
    power_up()

    started = central_system.call("RemoteStartTransaction", {"idTag": "ALICE", "connectorId": 2})
    wait_until(lambda: central_system.statuses(2)[-1:] == ["Charging"])
    stopped = central_system.call("RemoteStopTransaction", {"transactionId": 42})
    wait_until(lambda: central_system.statuses(2)[-1:] == ["Finishing"])

    assert started[2] == stopped[2] == {"status": "Accepted"}
    assert central_system.payloads("Authorize") == [{"idTag": "ALICE"}]
    assert central_system.payloads("StartTransaction")[0]["connectorId"] == 2
    stop = central_system.payloads("StopTransaction")[0]
    assert (stop["transactionId"], stop["reason"]) == (42, "Remote")
    assert central_system.statuses(2) == ["Available", "Preparing", "Charging", "Finishing"]


def test_remote_start_without_a_vehicle_runs_into_its_time_out(central_system, power_up):
    power_up(plug_in_after_remote_start_s=None, configuration={"ConnectionTimeOut": "1"})

    central_system.call("RemoteStartTransaction", {"idTag": "ALICE", "connectorId": 1})

    wait_until(lambda: central_system.statuses(1) == ["Available", "Preparing", "Available"])
    assert central_system.payloads("StartTransaction") == []


def test_remote_start_of_a_tag_that_is_not_accepted_starts_nothing(central_system, power_up):
    central_system.id_tag_status["BOB"] = "Blocked"
    charge_point = power_up()

    central_system.call("RemoteStartTransaction", {"idTag": "BOB", "connectorId": 1})
    wait_until(lambda: central_system.payloads("Authorize"))
    central_system.call("ClearCache", {})

    assert charge_point.busy() == []


def test_remote_stop_of_an_unknown_transaction_is_rejected(central_system, power_up):
    power_up()

    assert central_system.call("RemoteStopTransaction", {"transactionId": 7})[2] == {
        "status": "Rejected"
    }


@pytest.mark.parametrize(("form", "password"), [("raw", bytes.fromhex(KEY)), ("hex", KEY.encode())])
def test_new_authorization_key_is_used_on_a_new_link(central_system, power_up, form, password):
    power_up(authorization_key="ab" * 20, password_form=form)
    old = central_system.links[-1]["password"]

    change = {"key": "AuthorizationKey", "value": KEY}
    answer = central_system.call("ChangeConfiguration", change)

    assert answer[2] == {"status": "Accepted"}
    wait_until(lambda: len(central_system.links) == 2)
    assert old == (b"\xab" * 20 if form == "raw" else b"ab" * 20)
    assert central_system.links[-1]["password"] == password


def test_authorization_key_is_write_only_and_checked(central_system, power_up):
    power_up()

    keys = central_system.call("GetConfiguration", {})[2]["configurationKey"]
    named = central_system.call("GetConfiguration", {"key": ["authorizationkey", "Nonsense"]})
    short = {"key": "AuthorizationKey", "value": "abcd"}

    assert "AuthorizationKey" not in [one["key"] for one in keys]
    assert named[2]["unknownKey"] == ["authorizationkey", "Nonsense"]
    assert central_system.call("ChangeConfiguration", short)[2] == {"status": "Rejected"}


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("MeterValueSampleInterval", "15", "Accepted"),
        ("metervaluesampleinterval", "15", "Accepted"),
        ("MeterValueSampleInterval", "-1", "Rejected"),
        ("MeterValuesSampledData", "Energy.Active.Import.Register,SoC", "Accepted"),
        ("MeterValuesSampledData", "Happiness", "Rejected"),
        ("NumberOfConnectors", "9", "Rejected"),
        ("Nonsense", "1", "NotSupported"),
    ],
)
def test_configuration_keys_know_what_they_take(central_system, power_up, key, value, status):
    power_up()

    answer = central_system.call("ChangeConfiguration", {"key": key, "value": value})

    assert answer[2] == {"status": status}


def test_availability_waits_for_the_end_of_the_transaction(central_system, power_up):
    charge_point = power_up()
    charge_point.start_transaction(1, "ALICE")

    answer = central_system.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
    charge_point.stop_transaction(1)
    charge_point.wait_delivered()

    assert answer[2] == {"status": "Scheduled"}
    assert central_system.statuses(1)[-1] == "Unavailable"
    assert central_system.call("ChangeAvailability", {"connectorId": 0, "type": "Operative"})[
        2
    ] == {"status": "Accepted"}
    wait_until(lambda: central_system.statuses(1)[-1] == "Preparing")


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
def test_reset_boots_again_and_reports_sessions(central_system, power_up, kind, reason):
    charge_point = power_up()
    charge_point.start_transaction(1, "ALICE").wait_answered()

    assert central_system.call("Reset", {"type": kind})[2] == {"status": "Accepted"}
    wait_until(lambda: len(central_system.payloads("BootNotification")) == 2)
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    actions = [one.action for one in central_system.received]
    second_boot = len(actions) - 1 - actions[::-1].index("BootNotification")
    assert (actions.index("StopTransaction") < second_boot) == (kind == "Soft")
    assert central_system.payloads("StopTransaction")[0]["reason"] == reason


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        ("Heartbeat", "Heartbeat"),
        ("MeterValues", "MeterValues"),
        ("StatusNotification", "StatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
    ],
)
def test_triggered_message_comes(central_system, power_up, wanted, action):
    charge_point = power_up()
    before = len(central_system.payloads(action))

    answer = central_system.call("TriggerMessage", {"requestedMessage": wanted, "connectorId": 1})

    assert answer[2] == {"status": "Accepted"}
    wait_until(lambda: len(central_system.payloads(action)) > before)
    charge_point.wait_delivered()


def test_boot_is_not_triggered_once_accepted(central_system, power_up):
    power_up()

    answer = central_system.call("TriggerMessage", {"requestedMessage": "BootNotification"})

    assert answer[2] == {"status": "Rejected"}


def test_reservation_is_used_by_its_tag_and_closed_to_others(central_system, power_up):
    charge_point = power_up()
    wanted = {
        "connectorId": 1,
        "idTag": "ALICE",
        "reservationId": 5,
        "expiryDate": "2099-01-01T00:00:00Z",
    }

    assert central_system.call("ReserveNow", wanted)[2] == {"status": "Accepted"}
    other = central_system.call("RemoteStartTransaction", {"idTag": "DAVE", "connectorId": 1})
    again = central_system.call("ReserveNow", {**wanted, "reservationId": 6})
    charge_point.start_transaction(1, "alice")
    charge_point.wait_delivered()

    assert other[2] == {"status": "Rejected"}
    assert again[2] == {"status": "Occupied"}
    assert central_system.payloads("StartTransaction")[0]["reservationId"] == 5
    assert central_system.call("CancelReservation", {"reservationId": 5})[2] == {
        "status": "Rejected"
    }
    assert central_system.statuses(1) == ["Available", "Reserved", "Preparing", "Charging"]


def test_reservation_expires_by_the_clock_of_the_charge_point(central_system, power_up):
    clock = Clock()
    charge_point = power_up(clock=clock)
    central_system.call(
        "ReserveNow",
        {
            "connectorId": 1,
            "idTag": "ALICE",
            "reservationId": 5,
            "expiryDate": "2026-11-22T12:10:00Z",
        },
    )
    wait_until(lambda: central_system.statuses(1)[-1] == "Reserved")

    clock.now = NOON + timedelta(minutes=10)
    charge_point.wake()

    wait_until(lambda: central_system.statuses(1)[-1] == "Available")


def test_local_list_keeps_versions_and_is_used_offline(central_system, power_up):
    charge_point = power_up()
    entries = [
        {"idTag": "BOB", "idTagInfo": {"status": "Blocked"}},
        {"idTag": "ALICE", "idTagInfo": {"status": "Accepted"}},
    ]
    full = {"listVersion": 3, "localAuthorizationList": entries, "updateType": "Full"}
    removal = {
        "listVersion": 4,
        "localAuthorizationList": [{"idTag": "alice"}],
        "updateType": "Differential",
    }

    assert central_system.call("SendLocalList", full)[2] == {"status": "Accepted"}
    assert central_system.call("SendLocalList", removal)[2] == {"status": "Accepted"}
    assert central_system.call("SendLocalList", removal)[2] == {"status": "VersionMismatch"}
    assert central_system.call("GetLocalListVersion", {})[2] == {"listVersion": 4}
    charge_point.go_offline()
    assert charge_point.authorize("bob") == "Blocked"
    assert charge_point.known_id_tags.find("ALICE") is None


def test_charging_profile_limits_what_the_meter_counts(central_system, power_up):
    clock = Clock()
    charge_point = power_up(clock=clock, rated_w=20_000.0)
    charge_point.start_transaction(1, "ALICE")
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "W",
            "startSchedule": "2026-11-22T12:00:00Z",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 6000.0},
                {"startPeriod": 1800, "limit": 12000.0},
            ],
        },
    }

    set_one = {"connectorId": 0, "csChargingProfiles": profile}
    assert central_system.call("SetChargingProfile", set_one)[2] == {"status": "Accepted"}
    schedule = central_system.call("GetCompositeSchedule", {"connectorId": 1, "duration": 3600})[2]
    clock.now = NOON + timedelta(minutes=30)
    transaction = charge_point.stop_transaction(1)

    assert transaction.meter_stop_wh - transaction.meter_start_wh == 3000
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 6000.0},
        {"startPeriod": 1800, "limit": 12000.0},
    ]
    assert central_system.call("ClearChargingProfile", {"id": 1})[2] == {"status": "Accepted"}
    assert central_system.call("ClearChargingProfile", {})[2] == {"status": "Unknown"}


def test_charging_profile_for_an_unknown_connector_is_a_callerror(central_system, power_up):
    power_up()

    answer = central_system.call("SetChargingProfile", {"connectorId": 9, "csChargingProfiles": {}})

    assert answer[2] == "PropertyConstraintViolation"


def test_firmware_update_tells_its_steps_and_boots_with_the_new_version(central_system, power_up):
    charge_point = power_up()

    answer = central_system.call(
        "UpdateFirmware",
        {"location": "http://127.0.0.1/NW-5.0", "retrieveDate": "2026-01-01T00:00:00Z"},
    )

    assert answer[2] == {}
    wait_until(
        lambda: (
            [one["status"] for one in central_system.payloads("FirmwareStatusNotification")]
            == ["Downloading", "Downloaded", "Installing", "Installed"]
        )
    )
    assert central_system.payloads("BootNotification")[-1]["firmwareVersion"] == "NW-5.0"
    charge_point.wait_delivered()


def test_diagnostics_are_named_and_their_upload_told(central_system, power_up):
    power_up()

    answer = central_system.call("GetDiagnostics", {"location": "ftp://127.0.0.1/in"})

    assert answer[2]["fileName"].startswith("CP001-")
    wait_until(
        lambda: (
            [one["status"] for one in central_system.payloads("DiagnosticsStatusNotification")]
            == ["Uploading", "Uploaded"]
        )
    )


LOG = {"requestId": 7, "logType": "SecurityLog", "log": {"remoteLocation": "ftp://127.0.0.1/in"}}
SIGNED = {
    "location": "http://127.0.0.1/NW-5.0",
    "retrieveDateTime": "2026-01-01T00:00:00Z",
    "signature": "c2lnbmF0dXJl",
    "signingCertificate": "-----BEGIN CERTIFICATE-----",
}


def told(central_system, action):
    return [(one["status"], one.get("requestId")) for one in central_system.payloads(action)]


def test_the_upload_of_a_log_is_told_with_its_request(central_system, power_up):
    power_up()

    answer = central_system.call("GetLog", LOG)

    assert answer[2] == {"status": "Accepted", "filename": "CP001-SecurityLog.log"}
    wait_until(
        lambda: told(central_system, "LogStatusNotification") == [("Uploading", 7), ("Uploaded", 7)]
    )


def test_another_log_cancels_the_upload_that_runs(central_system, power_up):
    power_up(step_s=30.0)
    central_system.call("GetLog", LOG)
    wait_until(lambda: told(central_system, "LogStatusNotification") == [("Uploading", 7)])

    answer = central_system.call("GetLog", {**LOG, "requestId": 8})

    assert answer[2]["status"] == "AcceptedCanceled"
    wait_until(lambda: ("Uploading", 8) in told(central_system, "LogStatusNotification"))


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("LogStatusNotification", "LogStatusNotification"),
        ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
    ],
)
def test_asked_while_it_does_nothing_it_is_idle(central_system, power_up, message, action):
    power_up()

    answer = central_system.call("ExtendedTriggerMessage", {"requestedMessage": message})

    assert answer[2] == {"status": "Accepted"}
    wait_until(lambda: told(central_system, action) == [("Idle", None)])


def test_a_signed_update_tells_its_steps_and_boots_with_the_new_version(central_system, power_up):
    power_up()

    answer = central_system.call("SignedUpdateFirmware", {"requestId": 7, "firmware": SIGNED})

    assert answer[2] == {"status": "Accepted"}
    steps = [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "InstallRebooting",
        "Installed",
    ]
    wait_until(
        lambda: (
            told(central_system, "SignedFirmwareStatusNotification")
            == [(status, 7) for status in steps]
        )
    )
    assert central_system.payloads("BootNotification")[-1]["firmwareVersion"] == "NW-5.0"
    wait_until(
        lambda: (
            [one["type"] for one in central_system.payloads("SecurityEventNotification")]
            == ["FirmwareUpdated"]
        )
    )


def test_what_is_no_signature_shows_after_the_download(central_system, power_up):
    power_up()

    unsigned = {**SIGNED, "signature": "none!"}
    central_system.call("SignedUpdateFirmware", {"requestId": 7, "firmware": unsigned})

    wait_until(
        lambda: (
            told(central_system, "SignedFirmwareStatusNotification")
            == [(status, 7) for status in ("Downloading", "Downloaded", "InvalidSignature")]
        )
    )


def test_what_is_no_certificate_is_refused(central_system, power_up):
    power_up()

    firmware = {**SIGNED, "signingCertificate": "none"}
    answer = central_system.call("SignedUpdateFirmware", {"requestId": 7, "firmware": firmware})

    assert answer[2] == {"status": "InvalidCertificate"}


def test_unlocking_ends_the_session(central_system, power_up):
    charge_point = power_up()
    charge_point.start_transaction(1, "ALICE")

    assert central_system.call("UnlockConnector", {"connectorId": 1})[2] == {"status": "Unlocked"}
    assert central_system.call("UnlockConnector", {"connectorId": 8})[2] == {
        "status": "NotSupported"
    }
    charge_point.wait_delivered()
    assert central_system.payloads("StopTransaction")[0]["reason"] == "UnlockCommand"


def test_many_charge_points_share_one_process_without_threads(central_system):
    before = threading.active_count()
    fleet = [ChargePoint(central_system.url, f"CP{n:03d}").start() for n in range(30)]
    for charge_point in fleet:
        charge_point.wait_accepted()

    assert threading.active_count() == before
    gevent.joinall([gevent.spawn(charge_point.stop) for charge_point in fleet])
