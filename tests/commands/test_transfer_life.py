"""Requests that move files, from the wish to the last report: what the record says of each."""

import pytest
from cast import CP001, DAY_MS, MINUTE_MS, NOON, NOON_MS, SECOND_MS, SETTINGS, instant
from cryptography.hazmat.primitives.asymmetric import ec
from memory_storage import NO_FILES

from csms.commands import transfers
from csms.commands.sequel import Sequel
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.charge_point import Admission
from csms.domain.command import CommandState
from csms.domain.configuration import ConfigurationKey
from csms.domain.firmware_signature import certify
from csms.domain.transfer import (
    BOOTED,
    KINDS,
    STATUS_MESSAGES,
    Remark,
    Subject,
    TransferKind,
    TransferState,
)
from csms.errors import FieldError
from csms.state import keys
from csms.state.commands import NEVER_WAS
from csms.state.transfers import EVENTS_KEPT, KEPT_PER_SUBJECT, LATE_MS, LOOK_MS

LOCATION = "ftp://user:secret@files.example/nw-5.bin"
MASKED = "ftp://user:****@files.example/nw-5.bin"
BOOT = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "4"}


def payload(action, request_id=1):
    return {
        "UpdateFirmware": {"location": LOCATION, "retrieveDate": NOON},
        "GetDiagnostics": {"location": LOCATION},
        "GetLog": {
            "requestId": request_id,
            "logType": "SecurityLog",
            "log": {"remoteLocation": LOCATION},
        },
        "SignedUpdateFirmware": {
            "requestId": request_id,
            "firmware": {
                "location": LOCATION,
                "retrieveDateTime": NOON,
                "signature": "c2lnbmF0dXJl",
                "signingCertificate": "text",
            },
        },
    }[action]


ANSWERS = {
    "UpdateFirmware": {},
    "GetDiagnostics": {"fileName": "diagnostics.log"},
    "GetLog": {"status": "Accepted", "filename": "security.log"},
    "SignedUpdateFirmware": {"status": "Accepted"},
}
MESSAGES = {action: STATUS_MESSAGES[kind] for action, kind in KINDS.items()}
HAS_ID = {"GetLog", "SignedUpdateFirmware"}


class Story:
    """What is asked of CP001, what it answers and what it reports, a minute apart each."""

    def __init__(self, desk, socket):
        self.desk = desk
        self.socket = socket
        self.stores = desk.stores
        self.now_ms = NOON_MS

    def ask(self, action, request_id=1):
        """Queue it; the record's id."""
        self.now_ms += MINUTE_MS
        return self.desk.queue(action, payload(action, request_id), self.now_ms).command_id

    def answer(self, answer=None):
        self.now_ms += MINUTE_MS
        call = self.socket.next(self.now_ms)
        given = ANSWERS[call.action] if answer is None else answer
        self.socket.answer(call, given, self.now_ms)

    def refuse(self, code):
        self.now_ms += MINUTE_MS
        self.socket.refuse(self.socket.next(self.now_ms), code, now_ms=self.now_ms)

    def lose(self):
        self.socket.next(self.now_ms)
        self.socket.lose(self.now_ms)

    def start(self, action, request_id=1, answer=None):
        transfer_id = self.ask(action, request_id)
        self.answer(answer)
        return transfer_id

    def report(self, action, *statuses, request_id=None):
        for status in statuses:
            self.now_ms += MINUTE_MS
            fields = {} if request_id is None else {"requestId": request_id}
            told = self.socket.line.call(
                MESSAGES[action], {"status": status, **fields}, self.now_ms
            )
            assert told == {}

    def boot(self, version="5"):
        self.now_ms += MINUTE_MS
        boot = {**BOOT, "firmwareVersion": version}
        assert self.socket.line.call("BootNotification", boot, self.now_ms)["status"] == "Accepted"

    def of(self, transfer_id):
        return self.stores.transfers.find("CP001", transfer_id)

    def state(self, transfer_id):
        return self.of(transfer_id).state

    def heard(self, transfer_id):
        return [event.status for event in self.of(transfer_id).history]

    def open_ids(self):
        return set(self.stores.link.call("HKEYS", keys.open_transfers("CP001")))


@pytest.fixture
def story(desk, socket):
    return Story(desk, socket)


# -- asked for


@pytest.mark.parametrize("action", MESSAGES)
def test_a_record_stands_while_the_request_waits(story, action):
    transfer_id = story.ask(action)

    transfer = story.of(transfer_id)
    assert transfer.state is TransferState.REQUESTED
    assert transfer.location == MASKED
    assert transfer.requested_by == "operator"
    assert transfer.request_id == (1 if action in HAS_ID else None)
    assert story.stores.commands.get(transfer_id).state is CommandState.QUEUED
    assert story.open_ids() == {transfer_id}


def test_what_is_queued_twice_is_one_record(desk, socket):
    first = desk.queue("GetLog", payload("GetLog"), idempotency_key="once")
    second = desk.queue("GetLog", payload("GetLog"), idempotency_key="once")

    assert first == second
    assert len(desk.stores.transfers.page("CP001", Subject.LOGS, None, 10).items) == 1


def test_what_is_noted_twice_is_as_it_was(story):
    """Whoever asks again with the same id, since a confirmation was lost, forgets nothing."""
    transfer_id = story.start("GetDiagnostics")
    noted = story.of(transfer_id)

    story.stores.transfers.record(noted)

    assert story.state(transfer_id) is TransferState.TAKEN
    assert story.of(transfer_id) == noted


@pytest.mark.parametrize("action", MESSAGES)
def test_the_charge_point_gets_the_password_nobody_else_sees(story, action):
    story.ask(action)

    sent = story.socket.next(story.now_ms)

    assert sent.payload == payload(action)


def test_a_protocol_it_does_not_support_is_warned_of_and_sent(story):
    told = ConfigurationKey("SupportedFileTransferProtocols", "HTTP,HTTPS", True, NOON_MS)
    story.stores.configurations.record("CP001", [told], is_all=False)

    transfer_id = story.start("UpdateFirmware")

    [warning] = story.of(transfer_id).warnings
    assert "HTTP, HTTPS" in warning


def test_a_wrong_signature_is_warned_of_and_sent(story):
    """TC_081."""
    transfer_id = story.start("SignedUpdateFirmware")

    assert story.of(transfer_id).warnings == (
        "the signing certificate is not one certificate in PEM",
    )
    assert story.state(transfer_id) is TransferState.TAKEN


def test_a_right_signature_is_not_warned_of(desk, socket):
    key = certify(
        ec.generate_private_key(ec.SECP256R1()),
        "Nordwerk",
        "",
        1,
        SignatureAlgorithm.ECDSA,
        NOON_MS,
        365,
    )
    asked = payload("SignedUpdateFirmware")
    asked["firmware"] |= {
        "signature": key.sign(bytes(32)),
        "signingCertificate": key.certificate_pem,
    }

    command = desk.queue("SignedUpdateFirmware", asked)

    assert desk.stores.transfers.find("CP001", command.command_id).warnings == ()


# -- answered


@pytest.mark.parametrize("action", MESSAGES)
def test_a_request_that_is_taken_waits_for_its_first_report(story, action):
    transfer_id = story.start(action)

    transfer = story.of(transfer_id)
    assert transfer.state is TransferState.TAKEN
    assert transfer.answered_at_ms == story.now_ms
    assert transfer.file_name == (
        ANSWERS[action].get("fileName") or ANSWERS[action].get("filename") or ""
    )


def test_nothing_to_upload_is_an_end(story):
    transfer_id = story.start("GetDiagnostics", answer={})

    assert story.state(transfer_id) is TransferState.NOTHING
    assert story.open_ids() == set()


@pytest.mark.parametrize("status", ["Rejected", "InvalidCertificate", "RevokedCertificate"])
def test_a_refusal_is_an_end_with_its_reason(story, status):
    transfer_id = story.start("SignedUpdateFirmware", answer={"status": status})

    transfer = story.of(transfer_id)
    assert (transfer.state, transfer.reason) == (TransferState.REFUSED, status)
    assert transfer.ended_at_ms == story.now_ms
    assert story.open_ids() == set()


def test_one_that_takes_signed_firmware_only_is_to_be_sent_some(story):
    """White paper, L01.FR.20."""
    transfer_id = story.ask("UpdateFirmware")
    story.refuse("NotSupported")

    transfer = story.of(transfer_id)
    assert transfer.state is TransferState.REFUSED
    assert "SignedUpdateFirmware" in transfer.hint


def test_nonsense_in_answer_is_a_refusal(story):
    transfer_id = story.start("GetLog", answer={"status": "Maybe"})

    assert story.state(transfer_id) is TransferState.REFUSED
    assert "InvalidAnswer" in story.of(transfer_id).reason


def test_a_request_nobody_answered_may_have_arrived(story):
    transfer_id = story.ask("UpdateFirmware")
    story.lose()

    assert story.state(transfer_id) is TransferState.UNCONFIRMED
    story.report("UpdateFirmware", "Downloading")
    assert story.state(transfer_id) is TransferState.RUNNING


def test_a_late_answer_counts(story):
    transfer_id = story.ask("GetLog")
    call = story.socket.next(story.now_ms)
    story.socket.expire(story.now_ms + 61 * SECOND_MS)
    assert story.state(transfer_id) is TransferState.UNCONFIRMED

    story.socket.answer(call, {"status": "Rejected"}, story.now_ms + 90 * SECOND_MS)

    assert story.state(transfer_id) is TransferState.REFUSED


def test_a_request_never_sent_is_an_end(story):
    transfer_id = story.ask("UpdateFirmware")

    story.socket.next(story.now_ms + 121 * SECOND_MS)

    assert story.state(transfer_id) is TransferState.UNSENT
    assert "deadline" in story.of(transfer_id).reason


@pytest.mark.parametrize("action", MESSAGES)
def test_what_follows_an_answer_may_be_done_twice(story, action):
    """The process died in between: the sweep calls again, by now after the next request."""
    earlier = story.start(action)
    later = story.start(action, request_id=2)
    story.report(action, "Downloading" if "Firmware" in action else "Uploading")
    before = [story.of(earlier), story.of(later)]

    for transfer_id in (earlier, later):
        command = story.stores.commands.get(transfer_id)
        story.socket.delivery.settle_again("CP001", command, story.now_ms + DAY_MS)

    assert [story.of(earlier), story.of(later)] == before


def test_a_report_that_is_quicker_than_what_follows_the_answer_stands(story):
    transfer_id = story.ask("GetDiagnostics")
    call = story.socket.next(story.now_ms)
    story.report("GetDiagnostics", "Uploading", "Uploaded")
    assert story.state(transfer_id) is TransferState.DONE

    story.socket.answer(call, ANSWERS["GetDiagnostics"], story.now_ms)

    transfer = story.of(transfer_id)
    assert transfer.state is TransferState.DONE
    assert transfer.file_name == "diagnostics.log"


@pytest.mark.parametrize("action", ["GetLog", "SignedUpdateFirmware"])
def test_a_request_that_cancels_another_ends_it(story, action):
    """White paper, N01 and L01."""
    earlier = story.start(action)
    story.report(action, "Uploading" if action == "GetLog" else "Downloading", request_id=1)

    later = story.start(action, request_id=2, answer={"status": "AcceptedCanceled"})

    assert story.state(earlier) is TransferState.CANCELLED
    assert story.of(earlier).ended_at_ms == story.now_ms
    assert story.state(later) is TransferState.TAKEN
    assert story.open_ids() == {later}


@pytest.mark.parametrize("action", MESSAGES)
def test_a_request_that_is_taken_ends_one_of_which_nothing_was_heard(story, action):
    earlier = story.start(action)

    later = story.start(action, request_id=2)

    assert story.state(earlier) is TransferState.SUPERSEDED
    assert story.open_ids() == {later}


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, {"status": "InvalidCertificate"}])
def test_a_request_that_is_refused_leaves_the_other_alone(story, answer):
    earlier = story.start("SignedUpdateFirmware")
    story.report("SignedUpdateFirmware", "Downloading", request_id=1)

    story.start("SignedUpdateFirmware", request_id=2, answer=answer)

    assert story.state(earlier) is TransferState.RUNNING


def test_a_log_and_an_update_do_not_end_each_other(story):
    started = [story.start(action) for action in ("UpdateFirmware", "GetLog", "GetDiagnostics")]

    assert {story.state(transfer_id) for transfer_id in started} == {TransferState.TAKEN}


# -- reported: what the chains of OCPP 1.6 and of the white paper end in

CHAINS = [
    ("UpdateFirmware", "Downloading Downloaded Installing boot Installed", "done"),
    ("UpdateFirmware", "Downloading boot Downloading Downloaded Installing Installed", "done"),
    ("UpdateFirmware", "Downloading DownloadFailed", "failed"),
    ("UpdateFirmware", "Downloading Downloaded Installing boot InstallationFailed", "failed"),
    ("UpdateFirmware", "Installed", "done"),
    ("UpdateFirmware", "Downloading Downloaded Installing boot boot", "running"),
    ("UpdateFirmware", "Idle", "taken"),
    ("UpdateFirmware", "Downloading Idle", "running"),
    ("UpdateFirmware", "Downloading DownloadFailed Downloading Downloaded", "running"),
    ("UpdateFirmware", "Downloading DownloadFailed Downloading Downloaded Installed", "done"),
    ("UpdateFirmware", "Installing Downloading", "running"),
    ("UpdateFirmware", "Installed Downloading InstallationFailed", "done"),
    ("UpdateFirmware", "Downloading Downloading Downloading", "running"),
    ("GetDiagnostics", "Uploading Uploaded", "done"),
    ("GetDiagnostics", "Uploading UploadFailed", "failed"),
    ("GetDiagnostics", "Uploading UploadFailed Uploading Uploaded", "done"),
    ("GetDiagnostics", "Uploading boot Idle", "running"),
    ("GetLog", "Uploading Uploaded", "done"),
    ("GetLog", "Uploading UploadFailure", "failed"),
    ("GetLog", "BadMessage", "failed"),
    ("GetLog", "PermissionDenied", "failed"),
    ("GetLog", "NotSupportedOperation", "failed"),
    (
        "SignedUpdateFirmware",
        "Downloading Downloaded SignatureVerified Installing InstallRebooting boot Installed",
        "done",
    ),
    (
        "SignedUpdateFirmware",
        "DownloadScheduled Downloading DownloadPaused Downloading Downloaded SignatureVerified "
        "InstallScheduled InstallRebooting boot Installed",
        "done",
    ),
    ("SignedUpdateFirmware", "Downloading Downloaded InvalidSignature", "failed"),
    (
        "SignedUpdateFirmware",
        "Downloading Downloaded SignatureVerified Installing InstallVerificationFailed",
        "failed",
    ),
    ("SignedUpdateFirmware", "Downloading DownloadFailed", "failed"),
]


@pytest.mark.parametrize("names_request", [True, False])
@pytest.mark.parametrize(("action", "chain", "state"), CHAINS)
def test_reports_lead_to_the_state_they_tell(story, action, chain, state, names_request):
    transfer_id = story.start(action)
    request_id = 1 if names_request and action in HAS_ID else None

    for word in chain.split():
        if word == "boot":
            story.boot()
        else:
            story.report(action, word, request_id=request_id)

    transfer = story.of(transfer_id)
    assert transfer.state == state
    assert (transfer.ended_at_ms is not None) is transfer.is_final
    assert story.open_ids() == (set() if transfer.is_final else {transfer_id})
    said = [word for word in chain.split() if word != "boot"]
    assert transfer.reported == said[-1]
    told = [status for status in story.heard(transfer_id) if status != BOOTED]
    # The same again adds nothing, unless a boot came between.
    words = chain.split()
    assert told == [w for n, w in enumerate(words) if w != "boot" and (n == 0 or w != words[n - 1])]


def test_reports_are_kept_with_the_time_they_came(story):
    transfer_id = story.start("GetDiagnostics")
    taken_ms = story.now_ms
    story.report("GetDiagnostics", "Uploading", "Uploading", "Uploaded")

    transfer = story.of(transfer_id)
    assert [(event.status, event.at_ms - taken_ms) for event in transfer.history] == [
        ("Uploading", MINUTE_MS),
        ("Uploaded", 3 * MINUTE_MS),
    ]
    assert transfer.reported_at_ms == transfer.ended_at_ms == story.now_ms


@pytest.mark.parametrize("action", ["UpdateFirmware", "SignedUpdateFirmware"])
def test_a_boot_in_an_update_says_which_version_came_of_it(story, action):
    """TC_044_1, TC_080: it is answered and the update goes on."""
    story.boot("4")
    transfer_id = story.start(action)
    story.report(action, "Installing")

    story.boot("5")

    *_, boot = story.of(transfer_id).history
    assert (boot.status, boot.firmware_before, boot.firmware_after) == (BOOTED, "4", "5")
    assert boot.at_ms == story.now_ms
    story.report(action, "Installing", "Installed")
    assert story.heard(transfer_id) == ["Installing", BOOTED, "Installing", "Installed"]


def test_a_boot_says_nothing_of_an_upload_or_of_what_was_not_sent(story):
    uploads = [story.start("GetLog"), story.start("GetDiagnostics")]
    waiting = story.ask("UpdateFirmware")

    story.boot()

    assert [story.heard(transfer_id) for transfer_id in (*uploads, waiting)] == [[], [], []]


def test_an_update_survives_a_new_connection(story):
    transfer_id = story.start("UpdateFirmware")
    story.report("UpdateFirmware", "Downloading")

    record = story.stores.charge_points.get("CP001")
    story.socket = type(story.socket)(story.stores, "process-2", record)
    story.boot()
    story.report("UpdateFirmware", "Installed")

    assert story.state(transfer_id) is TransferState.DONE


@pytest.mark.parametrize("action", ["UpdateFirmware", "SignedUpdateFirmware"])
def test_a_pending_charge_point_goes_on_telling_after_its_reboot(story, action):
    story.stores.charge_points.update("CP001", admission=Admission.PENDING)
    transfer_id = story.start(action)

    record = story.stores.charge_points.get("CP001")
    story.socket = type(story.socket)(story.stores, "process-2", record)
    line = story.socket.line
    boot = line.call("BootNotification", BOOT, story.now_ms)
    assert boot["status"] == "Pending"
    story.report(action, "Installed")

    assert story.state(transfer_id) is TransferState.DONE
    assert line.refused("Heartbeat", {}) == "SecurityError"
    assert line.refused("LogStatusNotification", {"status": "Idle"}) == "SecurityError"


def test_what_is_odd_is_said_of_the_report(story):
    transfer_id = story.start("UpdateFirmware")
    story.report("UpdateFirmware", "Installing", "Downloading", "Idle", "Installed", "Downloading")

    assert [step.remark for step in story.of(transfer_id).steps] == [
        None,
        Remark.STEP_BACK,
        Remark.IDLE_WITHOUT_AN_END,
        None,
        Remark.AFTER_THE_END,
    ]


# -- which of several is meant


def test_a_request_that_waits_is_not_what_a_report_is_about(story):
    running = story.start("UpdateFirmware")
    waiting = story.ask("UpdateFirmware")

    story.report("UpdateFirmware", "Downloading")

    assert story.state(running) is TransferState.RUNNING
    assert story.state(waiting) is TransferState.REQUESTED


def test_what_runs_is_meant_before_what_may_not_have_arrived(story):
    running = story.start("UpdateFirmware")
    unconfirmed = story.ask("UpdateFirmware")
    story.lose()

    story.report("UpdateFirmware", "Downloading", "Installed")
    assert story.state(running) is TransferState.DONE
    story.report("UpdateFirmware", "Downloading")

    assert story.state(unconfirmed) is TransferState.RUNNING


def test_of_those_that_wait_the_first_is_meant(story):
    first, second = story.ask("UpdateFirmware"), story.ask("UpdateFirmware")

    story.report("UpdateFirmware", "Downloading")

    assert (story.state(first), story.state(second)) == ("running", "requested")


@pytest.mark.parametrize("action", ["GetLog", "SignedUpdateFirmware"])
def test_the_request_a_report_names_is_meant(story, action):
    begun = "Uploading" if action == "GetLog" else "Downloading"
    first = story.start(action, request_id=1)
    second = story.start(action, request_id=2)
    assert story.state(first) is TransferState.SUPERSEDED

    story.report(action, begun, request_id=1)

    # That it was over was our guess: the charge point knows better.
    assert (story.state(first), story.state(second)) == ("running", "taken")


def test_a_report_of_a_cancelled_request_is_kept_and_changes_nothing(story):
    first = story.start("GetLog", request_id=1)
    story.start("GetLog", request_id=2, answer={"status": "AcceptedCanceled"})

    story.report("GetLog", "Uploaded", request_id=1)

    assert story.state(first) is TransferState.CANCELLED
    assert story.heard(first) == ["Uploaded"]


def test_a_report_that_names_a_stranger_s_request_is_about_none_of_ours(story):
    transfer_id = story.start("GetLog", request_id=1)

    story.report("GetLog", "Uploaded", request_id=99)

    assert story.state(transfer_id) is TransferState.TAKEN


def test_the_same_id_in_the_other_message_is_another_request(story):
    log = story.start("GetLog", request_id=1)
    update = story.start("SignedUpdateFirmware", request_id=1)

    story.report("SignedUpdateFirmware", "Downloading", request_id=1)

    assert (story.state(log), story.state(update)) == ("taken", "running")


@pytest.mark.parametrize(
    ("action", "reports_with"),
    [
        ("SignedUpdateFirmware", "UpdateFirmware"),
        ("UpdateFirmware", "SignedUpdateFirmware"),
        ("GetLog", "GetDiagnostics"),
        ("GetDiagnostics", "GetLog"),
    ],
)
def test_one_kind_may_be_reported_with_the_message_of_the_other(story, action, reports_with):
    transfer_id = story.start(action)

    story.report(reports_with, "Installed" if "Firmware" in action else "Uploaded")

    assert story.state(transfer_id) is TransferState.DONE


def test_an_upload_begun_though_there_was_nothing_to_upload_is_believed(story):
    transfer_id = story.start("GetDiagnostics", answer={})

    story.report("GetDiagnostics", "Uploading")

    assert story.state(transfer_id) is TransferState.RUNNING
    assert story.open_ids() == {transfer_id}


@pytest.mark.parametrize("action", MESSAGES)
def test_a_report_of_nothing_we_asked_for_is_answered(story, action):
    story.report(action, "Idle", "Installed" if "Firmware" in action else "Uploaded")

    for subject in Subject:
        assert story.stores.transfers.page("CP001", subject, None, 10).items == []


def test_idle_belongs_to_nothing_that_is_over(story):
    transfer_id = story.start("GetDiagnostics")
    story.report("GetDiagnostics", "Uploaded", "Idle")

    assert story.heard(transfer_id) == ["Uploaded"]


def test_a_report_long_after_the_end_is_about_something_else(story):
    transfer_id = story.start("UpdateFirmware")
    story.report("UpdateFirmware", "DownloadFailed")
    story.now_ms += LATE_MS

    story.report("UpdateFirmware", "Downloading")

    assert story.state(transfer_id) is TransferState.FAILED
    assert story.heard(transfer_id) == ["DownloadFailed"]


def test_a_refused_request_is_not_what_a_report_is_about(story):
    done = story.start("UpdateFirmware")
    story.report("UpdateFirmware", "Installing", "InstallationFailed")
    refused = story.ask("UpdateFirmware")
    story.refuse("InternalError")

    story.report("UpdateFirmware", "Installing")

    assert (story.state(done), story.state(refused)) == ("running", "refused")


# -- kept


def test_the_oldest_leave_but_not_those_that_are_open(story):
    asked = []
    for _ in range(KEPT_PER_SUBJECT + 5):
        story.now_ms += MINUTE_MS
        asked.append(story.desk.queue("GetDiagnostics", payload("GetDiagnostics"), story.now_ms))
    ids = [command.command_id for command in asked]
    assert all(story.of(transfer_id) for transfer_id in ids)

    # The last one is taken, so that those before it are over.
    for _ in ids:
        story.socket.answer(story.socket.next(NOON_MS), ANSWERS["GetDiagnostics"], story.now_ms)
    newest = story.ask("GetDiagnostics")

    kept = [*ids, newest][-KEPT_PER_SUBJECT:]
    assert [t for t in [*ids, newest] if story.of(t)] == kept
    page = story.stores.transfers.page("CP001", Subject.LOGS, None, 10)
    assert [t.transfer_id for t in page.items] == kept[::-1][:10]


def test_a_history_has_an_end(story):
    transfer_id = story.start("GetDiagnostics")
    for _ in range(EVENTS_KEPT):
        story.report("GetDiagnostics", "Uploading", "UploadFailed")

    history = story.of(transfer_id).history
    assert len(history) == EVENTS_KEPT
    assert history[-1].at_ms == story.now_ms


def test_a_record_that_has_left_keeps_nothing_open(story):
    gone = story.start("UpdateFirmware")
    story.stores.link.call("DEL", keys.transfer("CP001", gone))

    story.report("UpdateFirmware", "Downloading")
    assert story.open_ids() == set()
    story.start("UpdateFirmware")
    story.boot()


def test_everything_leaves_with_its_charge_point(story):
    story.start("UpdateFirmware")
    story.report("UpdateFirmware", "Downloading")
    story.stores.transfers.take_request_id("CP001", NOON_MS)

    story.stores.charge_points.delete("CP001")

    left = story.stores.link.call("KEYS", "csms:{CP001}*transfer*")
    assert left == []
    assert story.stores.link.call("EXISTS", keys.request_ids("CP001")) == 0
    story.stores.charge_points.create(CP001)


# -- request ids


def test_request_ids_are_positive_and_never_the_same(stores):
    taken = [stores.transfers.take_request_id("CP001", NOON_MS) for _ in range(5)]

    assert len(set(taken)) == 5
    assert min(taken) > 0
    assert stores.transfers.take_request_id("CP001", NOON_MS + DAY_MS) > max(taken)


def test_a_request_id_that_an_operator_chose_is_not_handed_out(story):
    first = story.stores.transfers.take_request_id("CP001", NOON_MS)
    story.start("GetLog", request_id=first + 1)
    story.start("SignedUpdateFirmware", request_id=first + 2)

    assert story.stores.transfers.take_request_id("CP001", NOON_MS) == first + 3


# -- what may be asked

GOOD = [
    ("GetDiagnostics", {"location": LOCATION, "startTime": NOON, "stopTime": NOON}),
    ("GetDiagnostics", {"location": LOCATION, "stopTime": instant(-1)}),
    (
        "GetDiagnostics",
        {
            "location": LOCATION,
            "startTime": "2026-11-22T12:00:00+02:00",
            "stopTime": "2026-11-22t11:00:00z",
        },
    ),
    ("UpdateFirmware", {**payload("UpdateFirmware"), "retries": 0, "retryInterval": 0}),
    ("GetLog", {**payload("GetLog"), "requestId": 0}),
    (
        "SignedUpdateFirmware",
        {
            "requestId": 1,
            "firmware": {
                **payload("SignedUpdateFirmware")["firmware"],
                "signature": "any text",
                "signingCertificate": "",
            },
        },
    ),
]
BAD = [
    ("UpdateFirmware", {"location": "file:///fw.bin"}, "payload.location"),
    ("UpdateFirmware", {"location": "tftp://host/fw.bin"}, "payload.location"),
    ("UpdateFirmware", {"location": "http:///fw.bin"}, "payload.location"),
    ("UpdateFirmware", {"retrieveDate": "tomorrow"}, "payload.retrieveDate"),
    ("UpdateFirmware", {"retrieveDate": "2026-11-22"}, "payload.retrieveDate"),
    ("UpdateFirmware", {"retries": -1}, "payload.retries"),
    ("UpdateFirmware", {"retryInterval": -1}, "payload.retryInterval"),
    ("UpdateFirmware", {"retries": 1.5}, "payload.retries"),
    ("GetDiagnostics", {"location": "ws://host/"}, "payload.location"),
    ("GetDiagnostics", {"startTime": NOON, "stopTime": instant(-1)}, "payload.stopTime"),
    ("GetDiagnostics", {"startTime": "now"}, "payload.startTime"),
    ("GetLog", {"requestId": "1"}, "payload.requestId"),
    ("GetLog", {"logType": "Log"}, "payload.logType"),
    ("GetLog", {"log": {"remoteLocation": "host/dir"}}, "payload.log.remoteLocation"),
    (
        "GetLog",
        {"log": {"remoteLocation": f"ftp://host/{'d' * 502}"}},
        "payload.log.remoteLocation",
    ),
    (
        "GetLog",
        {
            "log": {
                "remoteLocation": LOCATION,
                "oldestTimestamp": NOON,
                "latestTimestamp": instant(-1),
            }
        },
        "payload.log.latestTimestamp",
    ),
    ("GetLog", {"retries": -1}, "payload.retries"),
    ("SignedUpdateFirmware", {"requestId": None}, "payload.requestId"),
    (
        "SignedUpdateFirmware",
        {"firmware": {**payload("SignedUpdateFirmware")["firmware"], "location": "gopher://host"}},
        "payload.firmware.location",
    ),
    (
        "SignedUpdateFirmware",
        {"firmware": {**payload("SignedUpdateFirmware")["firmware"], "signature": "s" * 801}},
        "payload.firmware.signature",
    ),
]


@pytest.mark.parametrize(("action", "asked"), GOOD)
def test_whatever_the_specification_allows_is_sent(desk, socket, action, asked):
    desk.queue(action, asked)

    assert socket.next().payload == asked


@pytest.mark.parametrize(("action", "changes", "field"), BAD)
def test_what_breaks_a_rule_names_its_field_and_leaves_nothing(
    desk, socket, action, changes, field
):
    with pytest.raises(FieldError) as refusal:
        desk.queue(action, {**payload(action), **changes})

    assert refusal.value.field == field
    assert socket.next() is None
    assert desk.stores.link.call("KEYS", "csms:{CP001}:transfer*") == []


def test_there_are_four_kinds_of_requests():
    assert len(MESSAGES) == len(TransferKind)


# -- what a crash leaves


@pytest.mark.parametrize("action", KINDS)
def test_a_request_that_was_noted_and_never_queued_is_unsent(stores, desk, socket, action):
    """The process died between the note and the outbox."""
    asked = desk.queue(action, payload(action))
    stores.link.call("DEL", keys.command("CP001", asked.command_id))

    def swept(now_ms):
        transfers.sweep(Sequel(stores, desk.requests, SETTINGS, NO_FILES, now_ms))
        return stores.transfers.find("CP001", asked.command_id)

    assert swept(NOON_MS + LOOK_MS - 1).state == "requested"
    found = swept(NOON_MS + LOOK_MS)
    assert (found.state, found.reason) == ("unsent", NEVER_WAS)
    assert found.ended_at_ms == NOON_MS + LOOK_MS
    assert stores.transfers.due(NOON_MS + DAY_MS, 10) == []


def test_one_that_a_later_one_took_over_from_was_unsent_all_the_same(stores, desk, socket):
    asked = desk.queue("GetDiagnostics", payload("GetDiagnostics"))
    stores.link.call("DEL", keys.command("CP001", asked.command_id))
    desk.queue("GetDiagnostics", payload("GetDiagnostics"), NOON_MS + 1)
    socket.answer(socket.next(), ANSWERS["GetDiagnostics"])
    assert stores.transfers.find("CP001", asked.command_id).state == "superseded"

    transfers.sweep(Sequel(stores, desk.requests, SETTINGS, NO_FILES, NOON_MS + LOOK_MS))

    assert stores.transfers.find("CP001", asked.command_id).state == "unsent"


def test_those_on_their_way_or_no_longer_kept_are_left_alone(stores, desk, socket):
    asked = desk.queue("UpdateFirmware", payload("UpdateFirmware"))
    gone = desk.queue("GetDiagnostics", payload("GetDiagnostics"))
    stores.link.call("DEL", keys.transfer("CP001", gone.command_id))

    transfers.sweep(Sequel(stores, desk.requests, SETTINGS, NO_FILES, NOON_MS + LOOK_MS))

    assert stores.transfers.find("CP001", asked.command_id).state == "requested"
    assert stores.transfers.find("CP001", gone.command_id) is None
    assert stores.transfers.due(NOON_MS + DAY_MS, 10) == []
