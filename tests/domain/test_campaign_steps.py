"""What a campaign does next to a target, by what the records say of it."""

from dataclasses import replace

import pytest
from cast import CP001, HOUR_MS, MINUTE_MS, NOON_MS, SECOND_MS

from csms.domain.campaign import (
    HISTORY_KEPT,
    Campaign,
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    ResetWork,
    Rules,
    Selection,
    Step,
    Target,
    TargetState,
)
from csms.domain.campaign_steps import (
    BEHIND_MS,
    LOOK_MS,
    LOST_MS,
    PROOF_MS,
    WAIT_MS,
    Asks,
    Begins,
    Ends,
    Fails,
    FallsBack,
    Goes,
    Returns,
    Seen,
    SyncSeen,
    Waits,
    begun,
    cancelled,
    decided,
    next_for,
    retried,
)
from csms.domain.charge_point import RegistrationStatus
from csms.domain.command import Command, CommandError, CommandState
from csms.domain.local_list import SyncEnd
from csms.domain.transfer import LogKind, Outcome, Transfer, TransferKind, TransferState, outcome_of

RULES = Rules()
CP = replace(CP001, facts={"firmwareVersion": "1.0"}, local_list="all")
WAITING = Target("CP001")
BEGAN = begun(WAITING, NOON_MS)
LATER_MS = NOON_MS + 10 * SECOND_MS

FIRMWARE = FirmwareWork("image", version="2.0")
LOGS = LogsWork()
CONFIGURATION = ConfigurationWork("HeartbeatInterval", "60")
RESET = ResetWork("Soft")
LOCAL_LIST = LocalListWork()
ONE_COMMAND = (FIRMWARE, LOGS, CONFIGURATION, RESET)
FILES = (FIRMWARE, LOGS)


def campaign(work, **rules):
    return Campaign(
        campaign_id="c" * 32,
        name="Nightly",
        kind=CampaignKind.RESET,
        work=work,
        selection=Selection(everything=True),
        rules=Rules(**rules),
        state=CampaignState.RUNNING,
        created_by="user:olga",
        created_at_ms=NOON_MS,
    )


def command(state=CommandState.ANSWERED, answer=None, error=None, **fields):
    given = {
        "command_id": "c1",
        "charge_point_id": "CP001",
        "action": "Reset",
        "payload": {},
        "state": state,
        "requested_by": "olga",
        "created_at_ms": NOON_MS,
        "deadline_at_ms": NOON_MS + MINUTE_MS,
        "sent_at_ms": NOON_MS + SECOND_MS,
        "settled_at_ms": LATER_MS,
        "answer": answer if answer is not None or error else {},
        "error": CommandError(error, "", {}) if error else None,
    }
    return Command(**{**given, **fields})


ACCEPTED = command(answer={"status": "Accepted"})
SILENT = command(CommandState.TIMED_OUT, answer=None)
LOST = command(CommandState.UNKNOWN, answer=None)


def step(work, seen, target=BEGAN, now_ms=LATER_MS, **rules):
    return next_for(campaign(work, **rules), target, seen, now_ms)


def at(one_step, since_ms=NOON_MS, **fields):
    """The target in another step."""
    return replace(BEGAN, step=one_step, step_at_ms=since_ms, **fields)


# -- before its turn


def test_what_may_begin_begins():
    assert step(RESET, Seen(CP), WAITING) == Begins()


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen(CP, is_connected=False), "it is not connected"),
        (
            Seen(replace(CP, registration=RegistrationStatus.PENDING)),
            "its boot is not accepted",
        ),
        (Seen(CP, is_charging=True), "a transaction runs"),
        (Seen(CP, held_by="other"), "another campaign works on it: other"),
    ],
)
def test_what_may_not_yet_waits(seen, reason):
    assert step(RESET, seen, WAITING) == Waits(reason)


def test_a_transaction_keeps_nobody_where_the_rules_say_so():
    assert step(RESET, Seen(CP, is_charging=True), WAITING, only_idle=False) == Begins()


@pytest.mark.parametrize(
    ("work", "record", "reason"),
    [
        (RESET, None, "there is no such charge point"),
        (replace(FIRMWARE, version=" 1.0"), CP, "it runs 1.0 already"),
        (
            replace(FIRMWARE, vendor="Nordwerk", model="NW-5"),
            replace(CP, facts={"chargePointVendor": "nordwerk", "chargePointModel": "NW-6"}),
            "the firmware is for the model NW-5, and the charge point has told NW-6",
        ),
        (LOCAL_LIST, replace(CP, local_list="none"), "no local list is assigned to it"),
    ],
)
def test_where_there_is_nothing_to_do_it_is_skipped(work, record, reason):
    assert step(work, Seen(record), WAITING) == Ends(TargetState.SKIPPED, reason)


def test_an_attempt_that_was_given_up_may_have_done_it_after_all():
    gave_up = replace(BEGAN, state=TargetState.WAITING, step=None)
    runs_it = replace(CP, facts={"firmwareVersion": "2.0"})

    done = step(FIRMWARE, Seen(replace(runs_it, booted_at_ms=NOON_MS + 1)), gave_up)
    before = step(FIRMWARE, Seen(replace(runs_it, booted_at_ms=NOON_MS - 1)), gave_up)

    assert done == Ends(TargetState.DONE, "it runs 2.0")
    assert before == Ends(TargetState.SKIPPED, "it runs 2.0 already")


def test_another_version_is_reason_enough():
    assert step(FIRMWARE, Seen(CP), WAITING) == Begins()
    assert step(replace(FIRMWARE, version=""), Seen(CP), WAITING) == Begins()
    assert step(replace(FIRMWARE, vendor="Nordwerk"), Seen(CP), WAITING) == Begins()
    assert step(LOCAL_LIST, Seen(CP), WAITING) == Begins()


# -- the command


@pytest.mark.parametrize("work", [*ONE_COMMAND, LOCAL_LIST])
def test_what_is_not_queued_is_asked(work):
    assert step(work, Seen(CP)) == Asks(Step.ASK)
    assert step(work, Seen(CP, is_connected=False)) == Returns("it is not connected")


@pytest.mark.parametrize("work", ONE_COMMAND)
def test_what_nobody_has_queued_for_long_waits_for_another_attempt(work):
    late = step(work, Seen(CP), now_ms=NOON_MS + LOST_MS + 1)

    assert late == Returns("its command was lost before it could be queued")


@pytest.mark.parametrize(
    ("work", "seen", "one_step", "decision"),
    [
        (RESET, Seen(CP), Step.BOOT, Goes(Step.BOOT)),
        (CONFIGURATION, Seen(CP), Step.CHECK, Asks(Step.CHECK)),
        (LOGS, Seen(CP, has_upload=True), Step.UPLOAD, Ends(TargetState.DONE)),
    ],
)
def test_what_was_sent_is_not_asked_again_once_its_command_is_not_kept_any_more(
    work, seen, one_step, decision
):
    """A charge point that gets many commands keeps the newest; a step may take a month."""
    assert step(work, seen, at(one_step)) == decision


def test_an_update_goes_on_without_its_command():
    seen = Seen(CP, transfer=transfer(TransferState.RUNNING, reported="Downloading"))

    assert step(FIRMWARE, seen, at(Step.DOWNLOAD)) == Goes(Step.DOWNLOAD)


@pytest.mark.parametrize("work", FILES)
def test_what_the_sweep_has_given_up_waits_for_another_attempt_at_once(work):
    seen = Seen(CP, transfer=transfer(TransferState.UNSENT, reason="never"))

    assert step(work, seen) == Returns("never")


@pytest.mark.parametrize("work", ONE_COMMAND)
@pytest.mark.parametrize("state", [CommandState.QUEUED, CommandState.SENT])
def test_what_waits_for_its_answer_goes_on(work, state):
    assert step(work, Seen(CP, command=command(state, answer=None))) == Goes(Step.ASK)


@pytest.mark.parametrize("work", ONE_COMMAND)
def test_what_was_never_sent_costs_no_try(work):
    unsent = command(CommandState.UNDELIVERABLE, answer=None, reason="its deadline passed")

    assert step(work, Seen(CP, command=unsent)) == Returns("its deadline passed")


@pytest.mark.parametrize("work", [*ONE_COMMAND, LOCAL_LIST])
def test_a_charge_point_that_is_deleted_leaves_it_open(work):
    gone = step(work, Seen(None, command=ACCEPTED))

    assert gone == Ends(TargetState.UNCLEAR, "the charge point was deleted meanwhile")


# -- a reset


BOOTED = replace(CP, booted_at_ms=LATER_MS)


def test_a_reset_is_done_when_it_boots():
    assert step(RESET, Seen(CP, command=ACCEPTED)) == Goes(Step.BOOT)
    assert step(RESET, Seen(BOOTED, command=ACCEPTED)) == Ends(TargetState.DONE)


def test_a_boot_before_the_reset_was_sent_is_none_of_its():
    earlier = replace(CP, booted_at_ms=NOON_MS + SECOND_MS)

    assert step(RESET, Seen(earlier, command=ACCEPTED)) == Goes(Step.BOOT)


@pytest.mark.parametrize("silence", [SILENT, LOST])
def test_a_boot_proves_a_reset_whose_answer_was_lost(silence):
    proven = step(RESET, Seen(BOOTED, command=silence))

    assert proven == Ends(TargetState.DONE, "its answer was lost, but it booted")


@pytest.mark.parametrize("silence", [SILENT, LOST])
def test_a_reset_that_may_have_been_done_is_not_repeated(silence):
    """failures-and-attacks C16."""
    seen = Seen(CP, command=silence)

    assert step(RESET, seen, at(Step.BOOT)) == Goes(Step.BOOT)
    assert step(RESET, seen, at(Step.BOOT), NOON_MS + HOUR_MS) == Ends(
        TargetState.UNCLEAR, "neither an answer nor a boot came"
    )


def test_a_reset_that_was_accepted_and_not_done_failed():
    failed = step(RESET, Seen(CP, command=ACCEPTED), at(Step.BOOT), NOON_MS + HOUR_MS)

    assert failed == Fails("it accepted, but did not boot in time", may_retry=False)


def test_a_late_answer_is_an_answer():
    late = replace(SILENT, late_answer={"status": "Rejected"})

    assert step(RESET, Seen(CP, command=late)) == Fails("it answered Rejected")


def test_a_late_error_is_one():
    late = replace(LOST, late_answer={"error": "InternalError"})

    assert step(RESET, Seen(CP, command=late)) == Fails("it answered InternalError")


@pytest.mark.parametrize("work", [RESET, CONFIGURATION])
@pytest.mark.parametrize(("code", "may_retry"), [("InternalError", True), ("NotSupported", False)])
def test_what_is_not_supported_is_not_tried_again(work, code, may_retry):
    refused = command(CommandState.REFUSED, error=code)

    assert step(work, Seen(CP, command=refused)) == Fails(f"it answered {code}", may_retry)


def test_an_answer_that_makes_no_sense_is_an_error():
    refused = command(CommandState.REFUSED, answer=None, error=None)

    assert step(RESET, Seen(CP, command=replace(refused, answer=None))) == Fails(
        "it answered CALLERROR"
    )


# -- a configuration key


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ("Accepted", Ends(TargetState.DONE)),
        ("RebootRequired", Ends(TargetState.DONE, "it takes effect with the next boot")),
        ("Rejected", Fails("it answered Rejected")),
        ("NotSupported", Fails("it answered NotSupported", may_retry=False)),
        ("", Fails("it answered ")),
    ],
)
def test_the_answer_says_what_became_of_a_key(status, decision):
    seen = Seen(CP, command=command(answer={"status": status} if status else {}))

    assert step(CONFIGURATION, seen) == decision


@pytest.mark.parametrize("silence", [SILENT, LOST])
def test_without_an_answer_it_is_asked_what_it_holds(silence):
    seen = Seen(CP, command=silence)

    assert step(CONFIGURATION, seen) == Asks(Step.CHECK)
    assert step(CONFIGURATION, replace(seen, is_connected=False)) == Goes(Step.CHECK)
    waits = replace(seen, check=command(CommandState.SENT, answer=None))
    assert step(CONFIGURATION, waits) == Goes(Step.CHECK)


def told(*entries):
    return command(answer={"configurationKey": list(entries)})


@pytest.mark.parametrize(
    ("check", "decision"),
    [
        (
            told({"key": "other", "value": "60"}, {"key": "heartbeatINTERVAL", "value": " 60"}),
            Ends(TargetState.DONE, "its answer was lost, but it holds the value"),
        ),
        (
            told({"key": "HeartbeatInterval", "value": "300"}),
            Fails("its answer was lost, and it does not hold the value"),
        ),
        (
            told({"key": "HeartbeatInterval"}),
            Fails("its answer was lost, and it does not hold the value"),
        ),
        (
            command(answer={"unknownKey": ["HeartbeatInterval"]}),
            Fails("its answer was lost, and it does not know the key", may_retry=False),
        ),
    ],
)
def test_what_it_holds_tells_whether_the_change_has_arrived(check, decision):
    assert step(CONFIGURATION, Seen(CP, command=LOST, check=check)) == decision


@pytest.mark.parametrize("check", [SILENT, LOST, command(CommandState.UNDELIVERABLE, answer=None)])
def test_what_can_not_be_found_out_stays_open(check):
    reason = "the connection was lost before its answer, and what it holds was not told either"

    seen = Seen(CP, command=LOST, check=check)

    assert step(CONFIGURATION, seen) == Ends(TargetState.UNCLEAR, reason)


def test_one_that_stays_away_leaves_it_open():
    seen = Seen(CP, is_connected=False, command=SILENT)

    gone = step(CONFIGURATION, seen, now_ms=LATER_MS + PROOF_MS + 1)

    assert gone == Fails("it did not answer, and what it holds could not be asked")


# -- files: what firmware and logs have in common


def transfer(state, kind=TransferKind.FIRMWARE, **fields):
    given = {
        "transfer_id": "c1",
        "charge_point_id": "CP001",
        "kind": kind,
        "state": state,
        "location": "https://files.example/files/****/",
        "requested_by": "olga",
        "created_at_ms": NOON_MS,
        "answered_at_ms": LATER_MS,
        "ended_at_ms": LATER_MS,
    }
    return Transfer(**{**given, **fields})


def moving(state, answered=ACCEPTED, **fields):
    return Seen(CP, command=answered, transfer=transfer(state, **fields))


@pytest.mark.parametrize("work", FILES)
@pytest.mark.parametrize(
    ("state", "decision"),
    [
        (TransferState.FAILED, Fails("it reports DownloadFailed")),
        (
            TransferState.CANCELLED,
            Fails("another request has taken its place", may_retry=False),
        ),
        (
            TransferState.SUPERSEDED,
            Fails("another request has taken its place", may_retry=False),
        ),
        (TransferState.UNSENT, Returns("because")),
        (TransferState.REFUSED, Fails("it answered because")),
        (TransferState.REQUESTED, Goes(Step.ASK)),
    ],
)
def test_a_transfer_that_came_to_nothing_is_told(work, state, decision):
    seen = moving(state, reported="DownloadFailed", reason="because")

    assert step(work, seen) == decision


@pytest.mark.parametrize("work", FILES)
def test_a_transfer_that_is_not_kept_any_more_leaves_it_open(work):
    assert step(work, Seen(CP, command=ACCEPTED)) == Ends(
        TargetState.UNCLEAR, "its record is not kept any more"
    )


@pytest.mark.parametrize("work", FILES)
@pytest.mark.parametrize(
    ("silence", "decision"),
    [
        (SILENT, Fails("it did not answer, and it reports nothing")),
        (
            LOST,
            Ends(
                TargetState.UNCLEAR,
                "the connection was lost before its answer, and it reports nothing",
            ),
        ),
    ],
)
def test_a_report_may_prove_a_request_that_got_no_answer(work, silence, decision):
    seen = moving(TransferState.UNCONFIRMED, silence)

    assert step(work, seen) == Goes(Step.ASK)
    assert step(work, seen, now_ms=LATER_MS + PROOF_MS + 1) == decision


@pytest.mark.parametrize("work", FILES)
def test_no_proof_is_waited_for_longer_than_the_step_may_take(work):
    seen = moving(TransferState.UNCONFIRMED, LOST)
    limits = {"download_limit_s": 20, "upload_limit_s": 20}

    assert step(work, seen, now_ms=LATER_MS + 20 * SECOND_MS, **limits) == Goes(Step.ASK)
    ended = step(work, seen, now_ms=LATER_MS + 20 * SECOND_MS + 1, **limits)
    assert isinstance(ended, Ends)


@pytest.mark.parametrize("work", FILES)
def test_a_charge_point_that_tries_again_itself_is_given_the_time(work):
    seen = moving(TransferState.FAILED, reported="X", retries=2, retry_interval_s=30)
    over_ms = LATER_MS + 30 * SECOND_MS + BEHIND_MS

    assert step(work, seen, at(Step.DOWNLOAD), over_ms) == Goes(Step.DOWNLOAD)
    assert step(work, seen, replace(BEGAN, step=None), over_ms) == Goes(Step.ASK)
    assert step(work, seen, now_ms=over_ms + 1) == Fails("it reports X")


def unsupported(kind):
    """As the end of its command makes it."""
    action = {
        TransferKind.FIRMWARE: "UpdateFirmware",
        TransferKind.LOG: "GetLog",
    }[kind]
    ended = command(CommandState.REFUSED, error="NotSupported", action=action)
    outcome: Outcome = outcome_of(ended)
    refused = transfer(outcome.state, kind, reason=outcome.reason, hint=outcome.hint)
    return Seen(CP, command=ended, transfer=refused)


@pytest.mark.parametrize(
    ("work", "kind"), [(FIRMWARE, TransferKind.FIRMWARE), (LOGS, TransferKind.LOG)]
)
def test_what_it_does_not_know_is_asked_the_other_way_once(work, kind):
    seen = unsupported(kind)

    assert step(work, seen) == FallsBack("it answered NotSupported")
    assert step(work, seen, replace(BEGAN, fell_back=True)) == Fails(
        "it answered NotSupported", may_retry=False
    )


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (replace(FIRMWARE, signed="true"), TransferKind.FIRMWARE),
        (replace(LOGS, kind=LogKind.SECURITY_LOG), TransferKind.LOG),
    ],
)
def test_there_is_no_other_way_where_one_was_chosen(work, kind):
    assert step(work, unsupported(kind)) == Fails("it answered NotSupported", may_retry=False)


def test_a_certificate_it_does_not_trust_is_not_sent_again():
    answered = command(answer={"status": "InvalidCertificate"})
    seen = moving(TransferState.REFUSED, answered, reason="InvalidCertificate")

    assert step(FIRMWARE, seen) == Fails("it answered InvalidCertificate", may_retry=False)


# -- logs


def test_a_file_that_is_here_is_done_whatever_was_reported():
    assert step(LOGS, Seen(CP, has_upload=True)) == Ends(TargetState.DONE)


def test_nothing_to_upload_is_no_failure():
    seen = moving(TransferState.NOTHING, kind=TransferKind.DIAGNOSTICS)

    assert step(LOGS, seen) == Ends(TargetState.SKIPPED, "it has nothing to upload")


@pytest.mark.parametrize("state", [TransferState.TAKEN, TransferState.RUNNING])
def test_an_upload_has_its_time(state):
    seen = moving(state, kind=TransferKind.LOG)

    assert step(LOGS, seen) == Goes(Step.UPLOAD)
    assert step(LOGS, seen, at(Step.UPLOAD), NOON_MS + HOUR_MS) == Goes(Step.UPLOAD)
    assert step(LOGS, seen, at(Step.UPLOAD), NOON_MS + HOUR_MS + 1) == Fails(
        "no file has arrived in time"
    )


def test_a_report_without_a_file_is_believed_for_a_minute():
    seen = moving(TransferState.DONE, kind=TransferKind.LOG, reported="Uploaded")

    assert step(LOGS, seen, now_ms=LATER_MS + BEHIND_MS) == Goes(Step.UPLOAD)
    assert step(LOGS, seen, now_ms=LATER_MS + BEHIND_MS + 1) == Fails(
        "it reports the upload as done, but no file has arrived"
    )


# -- firmware


@pytest.mark.parametrize(
    ("state", "reported", "one_step"),
    [
        (TransferState.TAKEN, "", Step.DOWNLOAD),
        (TransferState.RUNNING, "Downloading", Step.DOWNLOAD),
        (TransferState.RUNNING, "Downloaded", Step.INSTALL),
        (TransferState.RUNNING, "InstallRebooting", Step.INSTALL),
    ],
)
def test_an_update_goes_through_its_steps(state, reported, one_step):
    seen = moving(state, reported=reported)
    last = f"its last report is {reported}" if reported else "it reports none"

    assert step(FIRMWARE, seen) == Goes(one_step)
    assert step(FIRMWARE, seen, at(one_step), NOON_MS + HOUR_MS + 1) == Fails(
        f"it did not come to an end in time: {last}"
    )


def test_a_step_begins_with_the_look_that_finds_it():
    seen = moving(TransferState.RUNNING, reported="Installing")

    assert step(FIRMWARE, seen, at(Step.DOWNLOAD), NOON_MS + 9 * HOUR_MS) == Goes(Step.INSTALL)


def test_a_boot_with_the_version_is_the_end_before_anything_is_reported():
    updated = replace(CP, facts={"firmwareVersion": "2.0 "}, booted_at_ms=LATER_MS)

    assert step(FIRMWARE, Seen(updated, command=LOST)) == Ends(TargetState.DONE, "it runs 2.0")


def test_installed_is_not_enough_where_a_version_is_to_come():
    seen = moving(TransferState.DONE, reported="Installed")

    assert step(FIRMWARE, seen) == Goes(Step.VERIFY)
    assert step(FIRMWARE, seen, at(Step.VERIFY), NOON_MS + HOUR_MS) == Ends(
        TargetState.UNCLEAR,
        "it reports the update as installed, but no boot has told its version",
    )


@pytest.mark.parametrize("facts", [{"firmwareVersion": "1.0"}, {}])
def test_another_version_after_installed_is_a_failure(facts):
    booted = replace(CP, facts=facts, booted_at_ms=LATER_MS + 1)
    seen = replace(moving(TransferState.DONE, reported="Installed"), record=booted)

    failed = step(FIRMWARE, seen)

    told_version = facts.get("firmwareVersion", "no version")
    assert failed == Fails(f"it reports the update as installed, but booted with {told_version}")


def test_the_last_boot_counts_where_none_follows_installed():
    booted = replace(CP, booted_at_ms=NOON_MS + 5 * SECOND_MS)
    seen = replace(moving(TransferState.DONE, reported="Installed"), record=booted)

    assert step(FIRMWARE, seen) == Goes(Step.VERIFY)
    assert step(FIRMWARE, seen, at(Step.VERIFY), NOON_MS + HOUR_MS) == Fails(
        "it reports the update as installed, but runs 1.0"
    )


def test_without_a_version_the_report_is_the_end():
    seen = moving(TransferState.DONE, reported="Installed")

    done = step(replace(FIRMWARE, version=""), seen)

    assert done == Ends(TargetState.DONE, "as it reports; no version was given to compare with")


# -- local lists


def sync(runs=False, end=None, ended_at_ms=LATER_MS, reason="because"):
    return Seen(CP, sync=SyncSeen(runs, end, ended_at_ms, reason))


def test_a_sync_has_its_time():
    assert step(LOCAL_LIST, sync(runs=True)) == Goes(Step.SYNC)
    assert step(LOCAL_LIST, sync(runs=True), at(Step.SYNC), NOON_MS + HOUR_MS) == Fails(
        "its sync did not come to an end in time"
    )


@pytest.mark.parametrize(
    "seen", [sync(), sync(end=SyncEnd.DONE, ended_at_ms=NOON_MS - 1), Seen(CP, sync=None)]
)
def test_a_sync_that_is_not_of_this_attempt_is_begun(seen):
    assert step(LOCAL_LIST, seen) == Asks(Step.ASK)
    assert step(LOCAL_LIST, replace(seen, is_connected=False)) == Returns("it is not connected")


@pytest.mark.parametrize(
    ("end", "decision"),
    [
        (SyncEnd.DONE, Ends(TargetState.DONE)),
        (
            SyncEnd.NOT_SUPPORTED,
            Fails("it does not support local lists", may_retry=False),
        ),
        (SyncEnd.FAILED, Fails("because", may_retry=False)),
        (SyncEnd.INTERRUPTED, Fails("because")),
    ],
)
def test_the_end_of_a_sync_is_that_of_its_target(end, decision):
    assert step(LOCAL_LIST, sync(end=end)) == decision


# -- what a decision makes of a target


def words(target):
    return [event.what for event in target.history]


def test_an_attempt_has_a_number_of_its_own():
    assert (BEGAN.state, BEGAN.attempt, BEGAN.step) == (TargetState.UNDER_WAY, 1, Step.ASK)
    assert BEGAN.began_at_ms == BEGAN.step_at_ms == NOON_MS
    assert words(BEGAN) == ["asked"]


def test_beginning_is_looked_at_at_once():
    assert decided(WAITING, Begins(), RULES, NOON_MS) == (BEGAN, NOON_MS)


def test_what_waits_says_why():
    waits, look_at_ms = decided(WAITING, Waits("a transaction runs"), RULES, NOON_MS)

    assert (waits.state, waits.reason) == (TargetState.WAITING, "a transaction runs")
    assert look_at_ms == NOON_MS + WAIT_MS
    assert waits.history == ()


@pytest.mark.parametrize("decision", [Goes(Step.BOOT), Asks(Step.BOOT)])
def test_a_new_step_has_its_own_beginning(decision):
    moved, look_at_ms = decided(BEGAN, decision, RULES, LATER_MS)

    assert (moved.step, moved.step_at_ms) == (Step.BOOT, LATER_MS)
    assert look_at_ms == LATER_MS + LOOK_MS
    assert words(moved) == ["asked", "resets"]
    assert decided(moved, decision, RULES, LATER_MS + 5) == (moved, LATER_MS + 5 + LOOK_MS)


def test_what_returns_has_lost_no_try():
    back, look_at_ms = decided(BEGAN, Returns("it is not connected"), RULES, LATER_MS)

    assert (back.state, back.step, back.tries) == (TargetState.WAITING, None, 0)
    assert back.attempt == 1
    assert look_at_ms == LATER_MS + WAIT_MS
    assert begun(back, LATER_MS).attempt == 2


def test_falling_back_is_a_new_attempt_and_no_try():
    other, look_at_ms = decided(BEGAN, FallsBack("it answered NotSupported"), RULES, LATER_MS)

    assert (other.state, other.attempt, other.tries) == (TargetState.UNDER_WAY, 2, 0)
    assert other.fell_back
    assert look_at_ms == LATER_MS
    assert words(other) == [
        "asked",
        "it answered NotSupported: it is asked the other way",
        "asked",
    ]


def test_a_failure_is_tried_again_as_often_as_the_rules_say():
    rules = Rules(retries=1, retry_pause_s=60)

    first, look_at_ms = decided(BEGAN, Fails("it answered Rejected"), rules, LATER_MS)
    second, _ = decided(begun(first, LATER_MS), Fails("it answered Rejected"), rules, LATER_MS)

    assert (first.state, first.reason) == (TargetState.WAITING, "it answered Rejected")
    assert look_at_ms == LATER_MS + MINUTE_MS
    assert (second.state, second.tries, second.ended_at_ms) == (TargetState.FAILED, 2, LATER_MS)


def test_a_lasting_failure_is_not_tried_again():
    failed, _ = decided(BEGAN, Fails("never", may_retry=False), Rules(retries=9), LATER_MS)

    assert (failed.state, failed.reason) == (TargetState.FAILED, "never")


def test_an_outcome_is_the_end():
    done, _ = decided(BEGAN, Ends(TargetState.DONE), RULES, LATER_MS)
    open_end, _ = decided(BEGAN, Ends(TargetState.UNCLEAR, "lost"), RULES, LATER_MS)

    assert (done.state, done.step, done.ended_at_ms) == (TargetState.DONE, None, LATER_MS)
    assert words(done) == ["asked", "done"]
    assert words(open_end) == ["asked", "unclear: lost"]


def test_what_an_operator_takes_up_again_has_all_its_tries():
    failed, _ = decided(BEGAN, Fails("no", may_retry=False), RULES, LATER_MS)

    again = retried(replace(failed, fell_back=True), LATER_MS)

    assert (again.state, again.tries, again.attempt) == (TargetState.WAITING, 0, 1)
    assert again.ended_at_ms is None
    assert not again.fell_back
    assert words(again)[-1] == "taken up again by an operator"


def test_what_waits_when_all_is_over_is_cancelled():
    over = cancelled(WAITING, "the campaign was aborted", LATER_MS)

    assert (over.state, over.ended_at_ms) == (TargetState.CANCELLED, LATER_MS)
    assert words(over) == ["cancelled: the campaign was aborted"]


def test_what_failed_and_can_not_be_tried_again_has_failed():
    failed, _ = decided(BEGAN, Fails("because"), RULES, LATER_MS)
    assert failed.state is TargetState.WAITING

    over = cancelled(failed, "the campaign was aborted", LATER_MS)

    assert over.state is TargetState.FAILED
    assert over.reason == "not tried again: the campaign was aborted"


def test_the_history_is_bounded():
    target = WAITING
    for number in range(HISTORY_KEPT):
        target = begun(target, NOON_MS + number)
        target, _ = decided(target, Returns("gone"), RULES, NOON_MS)

    assert len(target.history) == HISTORY_KEPT
    assert target.history[-1].attempt == HISTORY_KEPT
