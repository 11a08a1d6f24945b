"""What is made of the requests that move files, and of what charge points report of them."""

from dataclasses import replace

import pytest
from cast import HOUR_MS, MINUTE_MS, NOON, NOON_MS, instant

from csms.domain.command import Command, CommandError, CommandState
from csms.domain.transfer import (
    BOOTED,
    FINAL_STATES,
    KINDS,
    LOST_AFTER_MS,
    REPORTABLE_STATES,
    REPORTED_BY,
    REQUEST_ID_MAX,
    RIVALS,
    STATUS_MESSAGES,
    SUBJECTS,
    Event,
    Remark,
    Transfer,
    TransferKind,
    TransferState,
    check_transfer,
    first_request_id,
    lacks,
    location_problem,
    outcome_of,
    protocol_warning,
    state_after,
    steps_of,
    transfer_of,
)
from csms.errors import FieldError
from csms.protocol.schemas import FROM_CHARGE_POINT, REQUESTS_RECEIVED, TO_CHARGE_POINT

LOCATION = "ftp://user:****@files.example/nw-5.bin"
PAYLOADS = {
    "UpdateFirmware": {
        "location": LOCATION,
        "retrieveDate": NOON,
        "retries": 2,
        "retryInterval": 60,
    },
    "SignedUpdateFirmware": {
        "requestId": 7,
        "retries": 2,
        "retryInterval": 60,
        "firmware": {
            "location": LOCATION,
            "retrieveDateTime": NOON,
            "installDateTime": instant(HOUR_MS),
            "signature": "c2ln",
            "signingCertificate": "PEM",
        },
    },
    "GetDiagnostics": {
        "location": LOCATION,
        "startTime": instant(-HOUR_MS),
        "stopTime": NOON,
        "retries": 2,
        "retryInterval": 60,
    },
    "GetLog": {
        "requestId": 7,
        "logType": "SecurityLog",
        "retries": 2,
        "retryInterval": 60,
        "log": {
            "remoteLocation": LOCATION,
            "oldestTimestamp": instant(-HOUR_MS),
            "latestTimestamp": NOON,
        },
    },
}
RETRIEVED = {"retrieve_at_ms": NOON_MS}
PERIOD = {"oldest_at_ms": NOON_MS - HOUR_MS, "latest_at_ms": NOON_MS}
FACTS = {
    "UpdateFirmware": RETRIEVED,
    "SignedUpdateFirmware": {
        **RETRIEVED,
        "install_at_ms": NOON_MS + HOUR_MS,
        "request_id": 7,
    },
    "GetDiagnostics": PERIOD,
    "GetLog": {**PERIOD, "request_id": 7, "log_type": "SecurityLog"},
}


def command(action="UpdateFirmware", state=CommandState.ANSWERED, **fields):
    return Command(
        "command-1",
        "CP001",
        action,
        PAYLOADS[action],
        state,
        "olga",
        NOON_MS,
        NOON_MS + MINUTE_MS,
        **fields,
    )


# -- what is asked for


def test_every_request_that_moves_a_file_has_a_kind():
    assert set(KINDS) <= TO_CHARGE_POINT
    assert set(KINDS.values()) == set(SUBJECTS) == set(RIVALS) == set(REPORTED_BY)
    assert set(STATUS_MESSAGES) == set(TransferKind)
    assert set(STATUS_MESSAGES.values()) <= FROM_CHARGE_POINT


@pytest.mark.parametrize("action", KINDS)
def test_a_request_becomes_a_record(action):
    transfer = transfer_of(command(action), ["odd"])

    assert transfer == Transfer(
        transfer_id="command-1",
        charge_point_id="CP001",
        kind=KINDS[action],
        state=TransferState.REQUESTED,
        location=LOCATION,
        requested_by="olga",
        created_at_ms=NOON_MS,
        deadline_at_ms=NOON_MS + MINUTE_MS,
        retries=2,
        retry_interval_s=60,
        warnings=("odd",),
        **FACTS[action],
    )
    assert not transfer.is_final
    assert transfer.steps == []


def test_the_address_of_a_file_that_is_kept_here_holds_the_id_of_its_transfer():
    elsewhere = transfer_of(command("GetDiagnostics"))
    here = replace(elsewhere, location="ftp://command-1:****@files.example/")

    assert not elsewhere.is_hosted
    assert here.is_hosted


def test_what_a_request_leaves_out_is_not_known():
    asked = replace(command("GetDiagnostics"), payload={"location": LOCATION})

    transfer = transfer_of(asked)

    assert (transfer.oldest_at_ms, transfer.latest_at_ms) == (None, None)
    assert (transfer.retries, transfer.retry_interval_s, transfer.request_id) == (None, None, None)


@pytest.mark.parametrize(
    ("state", "later_ms", "expected"),
    [
        (TransferState.REQUESTED, LOST_AFTER_MS, TransferState.REQUESTED),
        (TransferState.REQUESTED, LOST_AFTER_MS + 1, TransferState.UNSENT),
        (TransferState.TAKEN, LOST_AFTER_MS + 1, TransferState.TAKEN),
    ],
)
def test_a_record_whose_command_never_came_to_be_is_seen_by_its_age(state, later_ms, expected):
    transfer = replace(transfer_of(command()), state=state)

    seen = transfer.as_of(NOON_MS + MINUTE_MS + later_ms)

    assert seen.state is expected
    assert bool(seen.reason) is (expected is TransferState.UNSENT)


# -- what its command's end makes of it

OUTCOMES = [
    ("UpdateFirmware", {}, TransferState.TAKEN),
    ("GetDiagnostics", {"fileName": "diagnostics.log"}, TransferState.TAKEN),
    ("GetDiagnostics", {}, TransferState.NOTHING),
    ("GetDiagnostics", {"fileName": ""}, TransferState.NOTHING),
    ("GetLog", {"status": "Accepted"}, TransferState.TAKEN),
    ("GetLog", {"status": "Accepted", "filename": "diagnostics.log"}, TransferState.TAKEN),
    ("GetLog", {"status": "AcceptedCanceled"}, TransferState.TAKEN),
    ("GetLog", {"status": "Rejected"}, TransferState.REFUSED),
    ("SignedUpdateFirmware", {"status": "Accepted"}, TransferState.TAKEN),
    ("SignedUpdateFirmware", {"status": "AcceptedCanceled"}, TransferState.TAKEN),
    ("SignedUpdateFirmware", {"status": "Rejected"}, TransferState.REFUSED),
    ("SignedUpdateFirmware", {"status": "InvalidCertificate"}, TransferState.REFUSED),
    ("SignedUpdateFirmware", {"status": "RevokedCertificate"}, TransferState.REFUSED),
]


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("action", "answer", "state"), OUTCOMES)
def test_an_answer_decides_early_or_late(action, answer, state, is_late):
    """White paper, N01 and L01; a time-out before it changes nothing."""
    settled = (
        command(action, CommandState.TIMED_OUT, late_answer=answer)
        if is_late
        else command(action, answer=answer)
    )

    outcome = outcome_of(settled)

    assert outcome.state is state
    assert outcome.cancels_earlier is (answer.get("status") == "AcceptedCanceled")
    assert outcome.file_name == (answer.get("fileName") or answer.get("filename") or "")
    assert outcome.reason == (answer["status"] if state is TransferState.REFUSED else "")
    assert ("ManufacturerRootCertificate" in outcome.hint) is (
        "Certificate" in answer.get("status", "")
    )


OTHER_WAYS = {
    "UpdateFirmware": "SignedUpdateFirmware",
    "SignedUpdateFirmware": "UpdateFirmware",
    "GetDiagnostics": "GetLog",
    "GetLog": "GetDiagnostics",
}


@pytest.mark.parametrize("code", ["NotSupported", "NotImplemented"])
@pytest.mark.parametrize("action", OTHER_WAYS)
def test_one_that_does_not_know_the_request_is_to_be_asked_otherwise(action, code):
    """White paper, L01.FR.20."""
    refused = command(action, CommandState.REFUSED, error=CommandError(code, "sorry", {}))

    outcome = outcome_of(refused)

    assert outcome.state is TransferState.REFUSED
    assert outcome.reason == f"{code}: sorry"
    assert f"{OTHER_WAYS[action]}" in outcome.hint


def test_any_other_refusal_gives_no_such_hint():
    refused = command(state=CommandState.REFUSED, error=CommandError("InternalError", "", {}))

    assert outcome_of(refused).reason == "InternalError"
    assert outcome_of(refused).hint == ""
    assert outcome_of(replace(refused, error=None)).state is TransferState.REFUSED


def test_a_late_callerror_refuses_too():
    late = command(state=CommandState.TIMED_OUT, late_answer={"error": "NotSupported"})

    outcome = outcome_of(late)

    assert outcome.state is TransferState.REFUSED
    assert "SignedUpdateFirmware" in outcome.hint


@pytest.mark.parametrize("state", [CommandState.TIMED_OUT, CommandState.UNKNOWN])
def test_without_an_answer_nobody_knows(state):
    outcome = outcome_of(command(state=state, reason="silence"))

    assert (outcome.state, outcome.reason) == (TransferState.UNCONFIRMED, "silence")
    assert outcome.state not in FINAL_STATES


def test_a_command_that_was_never_sent_moves_nothing():
    outcome = outcome_of(command(state=CommandState.UNDELIVERABLE, reason="too late"))

    assert (outcome.state, outcome.reason) == (TransferState.UNSENT, "too late")


@pytest.mark.parametrize(
    ("kinds_and_hints", "expected"),
    [
        ([], False),
        ([("firmware", True)], True),
        ([("firmware", False)], False),
        # The newest answer counts: its firmware may be another by now.
        ([("firmware", False), ("firmware", True)], False),
        ([("signed-firmware", False), ("firmware", True)], True),
    ],
)
def test_what_a_charge_point_does_not_know_is_remembered(kinds_and_hints, expected):
    hint = outcome_of(
        command(state=CommandState.REFUSED, error=CommandError("NotSupported", "", {}))
    ).hint
    asked = [
        replace(
            transfer_of(command()),
            kind=TransferKind(kind),
            hint=hint if lacked else "",
            answered_at_ms=NOON_MS,
        )
        for kind, lacked in kinds_and_hints
    ]
    unanswered = replace(transfer_of(command()), answered_at_ms=None)

    assert lacks(TransferKind.FIRMWARE, [unanswered, *asked]) is expected


# -- what it reports

ENDS = {
    "Installed": TransferState.DONE,
    "Uploaded": TransferState.DONE,
    "DownloadFailed": TransferState.FAILED,
    "InstallationFailed": TransferState.FAILED,
    "InstallVerificationFailed": TransferState.FAILED,
    "InvalidSignature": TransferState.FAILED,
    "UploadFailed": TransferState.FAILED,
    "UploadFailure": TransferState.FAILED,
    "BadMessage": TransferState.FAILED,
    "PermissionDenied": TransferState.FAILED,
    "NotSupportedOperation": TransferState.FAILED,
}


def reportable():
    """Every status that a schema of the four messages has."""
    for action in STATUS_MESSAGES.values():
        yield from REQUESTS_RECEIVED[action].document["properties"]["status"]["enum"]


@pytest.mark.parametrize("status", sorted(set(reportable())))
def test_every_status_leads_somewhere_but_idle(status):
    expected = ENDS.get(status, None if status == "Idle" else TransferState.RUNNING)

    assert state_after(status) is expected
    assert (expected in FINAL_STATES) is (status in ENDS)


def test_what_is_over_for_good_no_report_changes():
    for_good = FINAL_STATES - REPORTABLE_STATES

    assert for_good == {
        TransferState.DONE,
        TransferState.REFUSED,
        TransferState.CANCELLED,
        TransferState.UNSENT,
    }


IN_ORDER = [
    # OCPP 1.6 ed. 2, 4.5; TC_044_1, 044_2, 044_3: reboots may come anywhere.
    f"Downloading Downloaded Installing {BOOTED} Installed",
    f"Downloading {BOOTED} Downloading Downloaded Installing Installed",
    "Downloading DownloadFailed",
    f"Downloading Downloaded Installing {BOOTED} InstallationFailed",
    "Installed",
    "Idle Downloading Downloaded Installing Installed Idle",
    "Downloading DownloadFailed Idle",
    # 4.4; TC_045_1, 045_2.
    "Uploading Uploaded",
    "Uploading UploadFailed",
    # White paper, L01; TC_080, 081.
    f"Downloading Downloaded SignatureVerified Installing InstallRebooting {BOOTED} Installed",
    f"Downloading Downloaded SignatureVerified InstallRebooting {BOOTED} Installing Installed",
    "DownloadScheduled Downloading DownloadPaused Downloading DownloadPaused Downloading Downloaded"
    " SignatureVerified InstallScheduled InstallRebooting Installed",
    "Downloading Downloaded InvalidSignature",
    "Downloading Downloaded SignatureVerified Installing InstallVerificationFailed",
    # N01; TC_079.
    "Uploading UploadFailure",
    "BadMessage",
    "PermissionDenied",
    "NotSupportedOperation",
]
ODD = [
    ("Installed Downloading", {1: Remark.AFTER_THE_END}),
    ("Installed InstallationFailed Installed", {1: Remark.AFTER_THE_END, 2: Remark.AFTER_THE_END}),
    ("Downloading DownloadFailed Downloading Downloaded", {2: Remark.TRIED_AGAIN}),
    ("UploadFailed Uploaded", {1: Remark.TRIED_AGAIN}),
    ("Downloaded Downloading Downloaded", {1: Remark.STEP_BACK}),
    ("Installing SignatureVerified", {1: Remark.STEP_BACK}),
    ("Downloading Idle Downloaded", {1: Remark.IDLE_WITHOUT_AN_END}),
    (f"Downloading {BOOTED} Idle", {2: Remark.IDLE_WITHOUT_AN_END}),
]


def history(text):
    return tuple(Event(status, NOON_MS + n) for n, status in enumerate(text.split()))


@pytest.mark.parametrize("chain", IN_ORDER)
def test_nothing_is_odd_about_a_chain_of_the_specification(chain):
    steps = steps_of(history(chain))

    assert [step.event.status for step in steps] == chain.split()
    assert [step.remark for step in steps] == [None] * len(steps)


@pytest.mark.parametrize(("chain", "remarks"), ODD)
def test_what_is_odd_is_kept_with_a_remark(chain, remarks):
    steps = replace(transfer_of(command()), history=history(chain)).steps

    assert {n: step.remark for n, step in enumerate(steps) if step.remark} == remarks
    assert len(steps) == len(chain.split())


# -- request ids


def test_request_ids_begin_where_none_of_before_can_be():
    assert first_request_id(NOON_MS) == NOON_MS // 1000 - 1_577_836_800
    assert first_request_id(NOON_MS + 1000) == first_request_id(NOON_MS) + 1
    assert 0 < first_request_id(NOON_MS) < REQUEST_ID_MAX
    assert first_request_id(0) == 1


# -- locations

GOOD_LOCATIONS = [
    "ftp://host/dir",
    "ftp://user:password@host:21/dir/",
    "ftps://user:p%40ss@host/dir",
    "sftp://user@host:22/dir",
    "http://host",
    "HTTP://HOST/",
    "https://files.example:8443/fw.bin?token=abc#x",
    # The charge point's own network is often a private one.
    "http://10.0.0.5/fw.bin",
    "http://127.0.0.1:8000/fw.bin",
    "http://[2001:db8::1]:8080/fw.bin",
    "https://xn--e1afmkfd.example/fw.bin",
]
BAD_LOCATIONS = [
    "",
    "fw.bin",
    "/fw.bin",
    "//host/fw.bin",
    "host/fw.bin",
    "host:21/fw.bin",
    "file:///etc/passwd",
    "file://host/fw.bin",
    "gopher://host/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "tftp://host/fw.bin",
    "ws://host/",
    "ftp:host/fw.bin",
    "ftp:/host/fw.bin",
    "http://",
    "http:///fw.bin",
    "http://user:password@/fw.bin",
    "http://:8080/fw.bin",
    "http://host:0/fw.bin",
    "http://host:65536/fw.bin",
    "http://host:port/fw.bin",
    "http://[2001:db8::1/fw.bin",
    "http://host/a b",
    " http://host/fw.bin",
    "http://host/fw.bin\n",
    "http://host/fw\r\nHost: other",
    "http://host/fw\x00.bin",
    "http://h\N{LATIN SMALL LETTER O WITH DIAERESIS}st/fw.bin",
]


@pytest.mark.parametrize("location", GOOD_LOCATIONS)
def test_a_charge_point_can_go_there(location):
    assert location_problem(location) is None


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_a_charge_point_can_t_go_there(location):
    assert location_problem(location).startswith("must ")


def test_where_hosts_are_listed_a_charge_point_can_go_to_them_only():
    hosts = ("files.example",)

    assert location_problem("https://files.example/fw.bin", hosts) is None
    assert "FILE_HOSTS" in location_problem("https://host/fw.bin", hosts)
    with pytest.raises(FieldError, match=r"payload\.location: .*FILE_HOSTS"):
        check_transfer("UpdateFirmware", PAYLOADS["UpdateFirmware"], ("other.example",))


@pytest.mark.parametrize(
    ("supported", "warned"),
    [
        (None, False),
        ((), False),
        (("FTP", "HTTPS"), False),
        (("ftp ",), False),
        (("HTTP", "HTTPS"), True),
    ],
)
def test_a_protocol_the_charge_point_does_not_name_is_warned_of(supported, warned):
    warning = protocol_warning("ftp://host/dir", supported)

    assert (warning is not None) is warned
    if warning:
        assert "HTTP, HTTPS" in warning
        assert "FTP" in warning


@pytest.mark.parametrize("action", KINDS)
def test_a_request_within_the_rules_passes(action):
    check_transfer(action, PAYLOADS[action])


@pytest.mark.parametrize(
    ("action", "changes", "field"),
    [
        ("UpdateFirmware", {"location": "file:///fw.bin"}, "payload.location"),
        ("UpdateFirmware", {"retries": -1}, "payload.retries"),
        ("GetDiagnostics", {"retryInterval": -1}, "payload.retryInterval"),
        ("GetDiagnostics", {"startTime": instant(1)}, "payload.stopTime"),
        ("GetDiagnostics", {"startTime": "2026-11-22t14:00:00+01:00"}, "payload.stopTime"),
        ("GetLog", {"log": {"remoteLocation": "host/dir"}}, "payload.log.remoteLocation"),
    ],
)
def test_a_broken_rule_names_its_field(action, changes, field):
    with pytest.raises(FieldError) as refusal:
        check_transfer(action, {**PAYLOADS[action], **changes})

    assert refusal.value.field == field
