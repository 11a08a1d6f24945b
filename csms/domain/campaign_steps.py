"""What a campaign does next to a target: decided from what the records say, whoever looks, however
often, so that nothing is lost with whoever looked last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from csms.domain.campaign import (
    HISTORY_KEPT,
    Campaign,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    ResetWork,
    Rules,
    Step,
    Target,
    TargetEvent,
    TargetState,
)
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.command import Command, CommandState
from csms.domain.configuration import fold_key
from csms.domain.file_hosting import mismatches
from csms.domain.local_list import NO_LIST, SyncEnd
from csms.domain.transfer import LogKind, Transfer, TransferState, lacks

# An attempt under way is looked at so often; a target that can't begin so often.
LOOK_MS = 2_000
WAIT_MS = 20_000
# Where a command has not been queued by then, whoever was to do it has died.
LOST_MS = 120_000
# How long a report may prove a command that got no answer, unless its step may take less.
PROOF_MS = 300_000
# How long a file may be behind the report that it was uploaded, and a further try of the charge
# point's own behind the report of a failure.
BEHIND_MS = 60_000

_UNSUPPORTED = frozenset({"NotSupported", "NotImplemented"})
_DOWNLOADING = frozenset({"DownloadScheduled", "Downloading", "DownloadPaused"})
_WORDS: Mapping[Step, str] = {
    Step.ASK: "asked",
    Step.CHECK: "asked what it holds, since its answer was lost",
    Step.DOWNLOAD: "downloads",
    Step.INSTALL: "installs",
    Step.VERIFY: "is installed; its version is awaited",
    Step.UPLOAD: "uploads",
    Step.BOOT: "resets",
    Step.SYNC: "is synced",
}


@dataclass(frozen=True, slots=True)
class SyncSeen:
    """What the record of a local list says of its last sync."""

    runs: bool
    end: SyncEnd | None
    ended_at_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the records say of a target now. command, check, transfer: those of its newest attempt.
    held_by: the name of another campaign that works on it, or ""."""

    record: ChargePoint | None
    is_connected: bool = True
    is_charging: bool = False
    held_by: str = ""
    command: Command | None = None
    check: Command | None = None
    transfer: Transfer | None = None
    has_upload: bool = False
    sync: SyncSeen | None = None


@dataclass(frozen=True, slots=True)
class Begins:
    """Its turn."""


@dataclass(frozen=True, slots=True)
class Waits:
    reason: str


@dataclass(frozen=True, slots=True)
class Goes:
    """On, in this step."""

    step: Step


@dataclass(frozen=True, slots=True)
class Asks:
    """The command of this step is to be queued; that may be repeated."""

    step: Step


@dataclass(frozen=True, slots=True)
class Returns:
    """Nothing was sent: it waits for its turn again, and no try is lost."""

    reason: str


@dataclass(frozen=True, slots=True)
class FallsBack:
    """It does not know what it was asked: it is asked the other way at once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fails:
    """This attempt."""

    reason: str
    may_retry: bool = True


@dataclass(frozen=True, slots=True)
class Ends:
    state: TargetState
    reason: str = ""


Decision = Begins | Waits | Goes | Asks | Returns | FallsBack | Fails | Ends


def next_for(campaign: Campaign, target: Target, seen: Seen, now_ms: int) -> Decision:
    """For a target that waits or is under way."""
    if target.state is TargetState.WAITING:
        return _before(campaign, target, seen)
    if seen.record is None:
        return Ends(TargetState.UNCLEAR, "the charge point was deleted meanwhile")
    match campaign.work:
        case FirmwareWork() as work:
            return _firmware(work, campaign.rules, target, seen, seen.record, now_ms)
        case LogsWork() as work:
            return _logs(work, campaign.rules, target, seen, now_ms)
        case ConfigurationWork() as work:
            return _configuration(work, target, seen, now_ms)
        case ResetWork():
            return _reset(campaign.rules, target, seen, seen.record, now_ms)
    return _local_list(campaign.rules, target, seen, now_ms)


# -- before an attempt


def _before(campaign: Campaign, target: Target, seen: Seen) -> Begins | Waits | Ends:
    record = seen.record
    if record is None:
        return Ends(TargetState.SKIPPED, "there is no such charge point")
    match campaign.work:
        case FirmwareWork(version=version) if version and _runs(record, version):
            if target.attempt and (record.booted_at_ms or 0) > target.began_at_ms:
                # By an attempt that was given up too early.
                return Ends(TargetState.DONE, f"it runs {_version(record)}")
            return Ends(TargetState.SKIPPED, f"it runs {_version(record)} already")
        case FirmwareWork(vendor=vendor, model=model) if misfits := mismatches(
            vendor, model, record
        ):
            return Ends(TargetState.SKIPPED, "; ".join(misfits))
        case LocalListWork() if record.local_list == NO_LIST:
            return Ends(TargetState.SKIPPED, "no local list is assigned to it")
    if not seen.is_connected:
        return Waits("it is not connected")
    if record.registration is not RegistrationStatus.ACCEPTED:
        return Waits("its boot is not accepted")
    if campaign.rules.only_idle and seen.is_charging:
        return Waits("a transaction runs")
    if seen.held_by:
        return Waits(f"another campaign works on it: {seen.held_by}")
    return Begins()


def _runs(record: ChargePoint, version: str) -> bool:
    return _version(record).casefold() == version.strip().casefold()


def _version(record: ChargePoint) -> str:
    return record.facts.get("firmwareVersion", "").strip()


# -- what became of the command


@dataclass(frozen=True, slots=True)
class _Reply:
    """answer: its payload; error: a CALLERROR; neither: none came, and was_lost says that the
    socket was lost, so that it may have answered."""

    at_ms: int
    sent_at_ms: int
    answer: Mapping[str, Any] | None = None
    error: str | None = None
    was_lost: bool = False

    @property
    def status(self) -> str:
        return str((self.answer or {}).get("status", ""))

    @property
    def is_silence(self) -> bool:
        return self.answer is None and self.error is None


def _reply(target: Target, seen: Seen, now_ms: int) -> _Reply | Goes | Asks | Returns:
    command = seen.command
    if command is None:
        if target.step is not Step.ASK:
            # It was sent, and is not kept any more: as if its answer had been lost.
            return _Reply(target.step_at_ms, target.began_at_ms, was_lost=True)
        if seen.transfer is not None and seen.transfer.state is TransferState.UNSENT:
            return Returns(seen.transfer.reason)
        if now_ms - target.step_at_ms > LOST_MS:
            return Returns("its command was lost before it could be queued")
        return Asks(Step.ASK) if seen.is_connected else Returns("it is not connected")
    if command.state in {CommandState.QUEUED, CommandState.SENT}:
        return Goes(Step.ASK)
    if command.state is CommandState.UNDELIVERABLE:
        return Returns(command.reason)
    return _reply_of(command)


def _reply_of(command: Command) -> _Reply:
    at_ms, sent_at_ms = command.settled_at_ms or 0, command.sent_at_ms or command.created_at_ms
    if command.state is CommandState.ANSWERED:
        return _Reply(at_ms, sent_at_ms, answer=command.answer or {})
    if command.state is CommandState.REFUSED:
        return _Reply(at_ms, sent_at_ms, error=command.error.code if command.error else "CALLERROR")
    late = command.late_answer
    if late is not None and "error" in late:
        return _Reply(at_ms, sent_at_ms, error=str(late["error"]))
    was_lost = command.state is CommandState.UNKNOWN
    return _Reply(at_ms, sent_at_ms, answer=late, was_lost=was_lost)


def _refused(error: str) -> Fails:
    return Fails(f"it answered {error}", may_retry=error not in _UNSUPPORTED)


def _without_answer(reply: _Reply, waited_for: str) -> Fails | Ends:
    """Where the socket was lost it may have done what it was asked, and have answered: it is not
    asked again by itself."""
    if reply.was_lost:
        what = f"the connection was lost before its answer, and {waited_for}"
        return Ends(TargetState.UNCLEAR, what)
    return Fails(f"it did not answer, and {waited_for}")


def _limit(target: Target, step: Step, limit_s: int, now_ms: int) -> bool:
    """Whether a step has taken too long; that it begins with this look is not too long."""
    return target.step is step and now_ms - target.step_at_ms > limit_s * 1000


# -- the five kinds


def _reset(rules: Rules, target: Target, seen: Seen, record: ChargePoint, now_ms: int) -> Decision:
    reply = _reply(target, seen, now_ms)
    if not isinstance(reply, _Reply):
        return reply
    if reply.error is not None:
        return _refused(reply.error)
    if reply.answer is not None and reply.status != "Accepted":
        return Fails(f"it answered {reply.status}")
    if (record.booted_at_ms or 0) > reply.sent_at_ms:
        lost = "its answer was lost, but it booted" if reply.is_silence else ""
        return Ends(TargetState.DONE, lost)
    if not _limit(target, Step.BOOT, rules.boot_limit_s, now_ms):
        return Goes(Step.BOOT)
    if reply.is_silence:
        # A reset is never repeated by itself: it may have been done (C16).
        return Ends(TargetState.UNCLEAR, "neither an answer nor a boot came")
    return Fails("it accepted, but did not boot in time", may_retry=False)


def _configuration(work: ConfigurationWork, target: Target, seen: Seen, now_ms: int) -> Decision:
    reply = _reply(target, seen, now_ms)
    if not isinstance(reply, _Reply):
        return reply
    if reply.error is not None:
        return _refused(reply.error)
    match reply.status:
        case "Accepted":
            return Ends(TargetState.DONE)
        case "RebootRequired":
            return Ends(TargetState.DONE, "it takes effect with the next boot")
        case "" if reply.is_silence:
            return _looked_up(work, seen, reply, now_ms)
    return Fails(f"it answered {reply.status}", may_retry=reply.status != "NotSupported")


def _looked_up(work: ConfigurationWork, seen: Seen, reply: _Reply, now_ms: int) -> Decision:
    """No answer came: what it holds tells whether the change has arrived."""
    check = seen.check
    if check is None:
        if now_ms - reply.at_ms > PROOF_MS:
            return _without_answer(reply, "what it holds could not be asked")
        return Asks(Step.CHECK) if seen.is_connected else Goes(Step.CHECK)
    if check.state in {CommandState.QUEUED, CommandState.SENT}:
        return Goes(Step.CHECK)
    told = _reply_of(check).answer
    if told is None:
        return _without_answer(reply, "what it holds was not told either")
    for entry in told.get("configurationKey") or ():
        if fold_key(str(entry.get("key", ""))) == fold_key(work.key):
            if str(entry.get("value", "")).strip().casefold() == work.value.strip().casefold():
                return Ends(TargetState.DONE, "its answer was lost, but it holds the value")
            return Fails("its answer was lost, and it does not hold the value")
    return Fails("its answer was lost, and it does not know the key", may_retry=False)


def _logs(work: LogsWork, rules: Rules, target: Target, seen: Seen, now_ms: int) -> Decision:
    if seen.has_upload:
        return Ends(TargetState.DONE)
    reply = _reply(target, seen, now_ms)
    if not isinstance(reply, _Reply):
        return reply
    transfer = seen.transfer
    match transfer.state if transfer is not None else None:
        case TransferState.NOTHING:
            return Ends(TargetState.SKIPPED, "it has nothing to upload")
        case TransferState.DONE:
            assert transfer is not None  # noqa: S101  # by its state
            if now_ms - (transfer.ended_at_ms or 0) > BEHIND_MS:
                return Fails("it reports the upload as done, but no file has arrived")
            return Goes(Step.UPLOAD)
        case TransferState.TAKEN | TransferState.RUNNING:
            if _limit(target, Step.UPLOAD, rules.upload_limit_s, now_ms):
                return Fails("no file has arrived in time")
            return Goes(Step.UPLOAD)
    return _moved_file(
        transfer,
        reply,
        target,
        rules.upload_limit_s,
        now_ms,
        may_fall_back=work.kind is LogKind.AUTO,
    )


def _firmware(
    work: FirmwareWork,
    rules: Rules,
    target: Target,
    seen: Seen,
    record: ChargePoint,
    now_ms: int,
) -> Decision:
    has_booted = (record.booted_at_ms or 0) > target.began_at_ms
    if work.version and has_booted and _runs(record, work.version):
        return Ends(TargetState.DONE, f"it runs {_version(record)}")
    reply = _reply(target, seen, now_ms)
    if not isinstance(reply, _Reply):
        return reply
    transfer = seen.transfer
    match transfer.state if transfer is not None else None:
        case TransferState.DONE:
            assert transfer is not None  # noqa: S101  # by its state
            return _verified(work, rules, target, record, transfer, now_ms)
        case TransferState.TAKEN | TransferState.RUNNING:
            assert transfer is not None  # noqa: S101  # by its state
            return _updating(rules, target, transfer, now_ms)
    return _moved_file(
        transfer,
        reply,
        target,
        rules.download_limit_s,
        now_ms,
        may_fall_back=work.signed == "auto",
    )


def _updating(rules: Rules, target: Target, transfer: Transfer, now_ms: int) -> Decision:
    downloads = transfer.state is TransferState.TAKEN or transfer.reported in _DOWNLOADING
    step = Step.DOWNLOAD if downloads else Step.INSTALL
    limit_s = rules.download_limit_s if downloads else rules.install_limit_s
    if _limit(target, step, limit_s, now_ms):
        last = f"its last report is {transfer.reported}" if transfer.reported else "it reports none"
        return Fails(f"it did not come to an end in time: {last}")
    return Goes(step)


def _verified(
    work: FirmwareWork,
    rules: Rules,
    target: Target,
    record: ChargePoint,
    transfer: Transfer,
    now_ms: int,
) -> Decision:
    if not work.version:
        return Ends(TargetState.DONE, "as it reports; no version was given to compare with")
    installed_at_ms = transfer.ended_at_ms or 0
    if (record.booted_at_ms or 0) > installed_at_ms:
        told = _version(record) or "no version"
        return Fails(f"it reports the update as installed, but booted with {told}")
    if _limit(target, Step.VERIFY, rules.verify_limit_s, now_ms):
        if (record.booted_at_ms or 0) > target.began_at_ms:
            return Fails(f"it reports the update as installed, but runs {_version(record)}")
        what = "it reports the update as installed, but no boot has told its version"
        return Ends(TargetState.UNCLEAR, what)
    return Goes(Step.VERIFY)


def _moved_file(
    transfer: Transfer | None,
    reply: _Reply,
    target: Target,
    limit_s: int,
    now_ms: int,
    *,
    may_fall_back: bool,
) -> Decision:
    """The ends that firmware and logs have in common; None: it is not kept any more."""
    if transfer is None:
        return Ends(TargetState.UNCLEAR, "its record is not kept any more")
    match transfer.state:
        case TransferState.REFUSED:
            if lacks(transfer.kind, [transfer]):
                if may_fall_back and not target.fell_back:
                    return FallsBack(f"it answered {transfer.reason}")
                return Fails(f"it answered {transfer.reason}", may_retry=False)
            is_lasting = reply.status.endswith("Certificate")
            return Fails(f"it answered {transfer.reason}", may_retry=not is_lasting)
        case TransferState.FAILED:
            ended_at_ms = transfer.ended_at_ms or 0
            pause_ms = (transfer.retry_interval_s or 0) * 1000 + BEHIND_MS
            if transfer.retries and now_ms - ended_at_ms <= pause_ms:
                return Goes(target.step or Step.ASK)
            return Fails(f"it reports {transfer.reported}")
        case TransferState.CANCELLED | TransferState.SUPERSEDED:
            return Fails("another request has taken its place", may_retry=False)
        case TransferState.UNSENT:
            return Returns(transfer.reason)
    # The answer is known, but not what it means for the transfer; or none has come.
    if not reply.is_silence or now_ms - reply.at_ms <= min(PROOF_MS, limit_s * 1000):
        return Goes(Step.ASK)
    return _without_answer(reply, "it reports nothing")


def _local_list(rules: Rules, target: Target, seen: Seen, now_ms: int) -> Decision:
    sync = seen.sync
    if sync is not None and sync.runs:
        if _limit(target, Step.SYNC, rules.sync_limit_s, now_ms):
            return Fails("its sync did not come to an end in time")
        return Goes(Step.SYNC)
    if sync is None or sync.end is None or sync.ended_at_ms < target.began_at_ms:
        return Asks(Step.ASK) if seen.is_connected else Returns("it is not connected")
    match sync.end:
        case SyncEnd.DONE:
            return Ends(TargetState.DONE)
        case SyncEnd.NOT_SUPPORTED:
            return Fails("it does not support local lists", may_retry=False)
        case SyncEnd.FAILED:
            return Fails(sync.reason, may_retry=False)
    return Fails(sync.reason)


# -- what a decision makes of a target


def begun(target: Target, now_ms: int, *, fell_back: bool = False) -> Target:
    """The next attempt."""
    return _noted(
        replace(
            target,
            state=TargetState.UNDER_WAY,
            attempt=target.attempt + 1,
            step=Step.ASK,
            step_at_ms=now_ms,
            began_at_ms=now_ms,
            reason="",
            fell_back=fell_back,
        ),
        now_ms,
        _WORDS[Step.ASK],
    )


def decided(target: Target, decision: Decision, rules: Rules, now_ms: int) -> tuple[Target, int]:
    """The target after a decision, and when to look at it again."""
    match decision:
        case Waits(reason):
            return replace(target, reason=reason), now_ms + WAIT_MS
        case Goes(step) | Asks(step):
            if step is target.step:
                return target, now_ms + LOOK_MS
            moved = replace(target, step=step, step_at_ms=now_ms)
            return _noted(moved, now_ms, _WORDS[step]), now_ms + LOOK_MS
        case Returns(reason):
            return _waiting(target, reason, now_ms), now_ms + WAIT_MS
        case FallsBack(reason):
            noted = _noted(target, now_ms, f"{reason}: it is asked the other way")
            return begun(noted, now_ms, fell_back=True), now_ms
        case Fails(reason, may_retry):
            tried = replace(target, tries=target.tries + 1)
            if may_retry and tried.tries <= rules.retries:
                return _waiting(tried, reason, now_ms), now_ms + rules.retry_pause_s * 1000
            return _ended(tried, Ends(TargetState.FAILED, reason), now_ms), now_ms
        case Ends():
            return _ended(target, decision, now_ms), now_ms
    return begun(target, now_ms), now_ms


def retried(target: Target, now_ms: int) -> Target:
    """Taken up again by an operator, with all its tries."""
    waiting = replace(_waiting(target, "", now_ms), ended_at_ms=None, tries=0, fell_back=False)
    return _noted(waiting, now_ms, "taken up again by an operator")


def cancelled(target: Target, reason: str, now_ms: int) -> Target:
    """One that waits when the campaign is over; one that failed, and was to be tried again, has
    failed."""
    if target.tries:
        return _ended(target, Ends(TargetState.FAILED, f"not tried again: {reason}"), now_ms)
    return _ended(target, Ends(TargetState.CANCELLED, reason), now_ms)


def _waiting(target: Target, reason: str, now_ms: int) -> Target:
    waiting = replace(target, state=TargetState.WAITING, step=None, reason=reason)
    return _noted(waiting, now_ms, f"waits again: {reason}") if reason else waiting


def _ended(target: Target, end: Ends, now_ms: int) -> Target:
    ended = replace(target, state=end.state, step=None, ended_at_ms=now_ms, reason=end.reason)
    return _noted(ended, now_ms, f"{end.state}: {end.reason}" if end.reason else end.state)


def _noted(target: Target, now_ms: int, what: str) -> Target:
    event = TargetEvent(now_ms, target.attempt, what)
    return replace(target, history=(*target.history, event)[-HISTORY_KEPT:])
