"""Files that travel because we asked: firmware to a charge point, diagnostics and logs from it.

The messages that tell how far it is carry little: those of OCPP 1.6 no id, none of them a time. So
every report is kept as it came, and what is odd about it is said beside it, never held against it
(OCPP 1.6 ed. 2, 4.4, 4.5, 5.9, 5.19; security white paper, L01, N01).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

from csms.domain.command import Command, CommandError, CommandState
from csms.domain.file_hosting import host_problem
from csms.domain.secrets import LOCATIONS
from csms.domain.timestamps import epoch_ms
from csms.domain.transaction import first_transaction_id
from csms.errors import FieldError

REQUEST_ID_MAX = 2**31 - 1
# Of GetLog and SignedUpdateFirmware; the older two name no limit.
LOCATION_MAX = 512
SCHEMES = ("ftp", "ftps", "http", "https", "sftp")


class TransferKind(StrEnum):
    """Which of the four requests it is about."""

    FIRMWARE = "firmware"
    SIGNED_FIRMWARE = "signed-firmware"
    DIAGNOSTICS = "diagnostics"
    LOG = "log"


class Subject(StrEnum):
    """What travels: the two kinds of a subject are two generations of the same wish."""

    FIRMWARE = "firmware"
    LOGS = "logs"


class LogKind(StrEnum):
    """GetDiagnostics of OCPP 1.6, or one of the two logs of GetLog; AUTO: the diagnostics log, or
    the diagnostics where the charge point has said that it does not know GetLog."""

    AUTO = "auto"
    DIAGNOSTICS = "diagnostics"
    DIAGNOSTICS_LOG = "diagnostics-log"
    SECURITY_LOG = "security-log"


class TransferState(StrEnum):
    """From the wish to its end."""

    # The command has not been answered yet.
    REQUESTED = "requested"
    # The command got no answer: the charge point may have it or not, a report will tell.
    UNCONFIRMED = "unconfirmed"
    # The charge point has answered, and reported nothing yet. UpdateFirmware's answer is empty, so
    # that it promises nothing.
    TAKEN = "taken"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    # Rejected, InvalidCertificate, RevokedCertificate, a CALLERROR.
    REFUSED = "refused"
    # GetDiagnostics.conf without a file name: there is nothing to upload.
    NOTHING = "nothing"
    # A later request was answered AcceptedCanceled.
    CANCELLED = "cancelled"
    # A later request was taken, and nothing was heard of this one's end.
    SUPERSEDED = "superseded"
    # The command was never sent.
    UNSENT = "unsent"


FINAL_STATES = frozenset(
    {
        TransferState.DONE,
        TransferState.FAILED,
        TransferState.REFUSED,
        TransferState.NOTHING,
        TransferState.CANCELLED,
        TransferState.SUPERSEDED,
        TransferState.UNSENT,
    }
)
# What a report may change. A failure may be followed by another try; that a later request took
# over, or that there is nothing to upload, is our guess, which a report corrects.
REPORTABLE_STATES = frozenset(
    {
        TransferState.REQUESTED,
        TransferState.UNCONFIRMED,
        TransferState.TAKEN,
        TransferState.RUNNING,
        TransferState.FAILED,
        TransferState.NOTHING,
        TransferState.SUPERSEDED,
    }
)
KINDS: Mapping[str, TransferKind] = {
    "GetDiagnostics": TransferKind.DIAGNOSTICS,
    "GetLog": TransferKind.LOG,
    "SignedUpdateFirmware": TransferKind.SIGNED_FIRMWARE,
    "UpdateFirmware": TransferKind.FIRMWARE,
}
SUBJECTS: Mapping[TransferKind, Subject] = {
    TransferKind.FIRMWARE: Subject.FIRMWARE,
    TransferKind.SIGNED_FIRMWARE: Subject.FIRMWARE,
    TransferKind.DIAGNOSTICS: Subject.LOGS,
    TransferKind.LOG: Subject.LOGS,
}


# The message that tells how far each has come.
STATUS_MESSAGES: Mapping[TransferKind, str] = {
    TransferKind.DIAGNOSTICS: "DiagnosticsStatusNotification",
    TransferKind.FIRMWARE: "FirmwareStatusNotification",
    TransferKind.LOG: "LogStatusNotification",
    TransferKind.SIGNED_FIRMWARE: "SignedFirmwareStatusNotification",
}
# The kinds of which a charge point does one at a time: a new one means that the old one is over.
RIVALS: Mapping[TransferKind, tuple[TransferKind, ...]] = {
    TransferKind.FIRMWARE: (TransferKind.FIRMWARE, TransferKind.SIGNED_FIRMWARE),
    TransferKind.SIGNED_FIRMWARE: (TransferKind.SIGNED_FIRMWARE, TransferKind.FIRMWARE),
    TransferKind.DIAGNOSTICS: (TransferKind.DIAGNOSTICS,),
    TransferKind.LOG: (TransferKind.LOG,),
}
# Which kinds a report may be about, where it names no request: some charge points report one kind
# with the message of the other.
REPORTED_BY: Mapping[TransferKind, tuple[TransferKind, ...]] = {
    **RIVALS,
    TransferKind.DIAGNOSTICS: (TransferKind.DIAGNOSTICS, TransferKind.LOG),
    TransferKind.LOG: (TransferKind.LOG, TransferKind.DIAGNOSTICS),
}


# Longer than any command goes on after its deadline, by which it is sent: it waits for its answer.
LOST_AFTER_MS = 3_600_000
# What a charge point says when it is asked while it does nothing.
IDLE = "Idle"
# The BootNotification in the midst of an update, among what was reported.
BOOTED = "BootNotification"


@dataclass(frozen=True, slots=True)
class _Step:
    """rank: a report of a lower one than before is a step back; those of one rank alternate."""

    rank: int
    state: TransferState


_RUNNING, _DONE, _FAILED = TransferState.RUNNING, TransferState.DONE, TransferState.FAILED
# No status means one thing in one message and another in the next.
_STEPS: Mapping[str, _Step] = {
    "DownloadScheduled": _Step(1, _RUNNING),
    "Downloading": _Step(2, _RUNNING),
    "DownloadPaused": _Step(2, _RUNNING),
    "DownloadFailed": _Step(3, _FAILED),
    "Downloaded": _Step(3, _RUNNING),
    "InvalidSignature": _Step(4, _FAILED),
    "SignatureVerified": _Step(4, _RUNNING),
    "InstallScheduled": _Step(5, _RUNNING),
    # Which of the two comes first differs between charge points; either may be left out.
    "InstallRebooting": _Step(6, _RUNNING),
    "Installing": _Step(6, _RUNNING),
    "InstallVerificationFailed": _Step(7, _FAILED),
    "InstallationFailed": _Step(7, _FAILED),
    "Installed": _Step(7, _DONE),
    "Uploading": _Step(1, _RUNNING),
    "Uploaded": _Step(2, _DONE),
    "UploadFailed": _Step(2, _FAILED),
    "UploadFailure": _Step(2, _FAILED),
    "BadMessage": _Step(2, _FAILED),
    "PermissionDenied": _Step(2, _FAILED),
    "NotSupportedOperation": _Step(2, _FAILED),
}


def state_after(status: str) -> TransferState | None:
    """The state a report leads to; None for Idle, which ends nothing: a charge point that waits
    for its retrieveDate is idle too, and one that lost its task in a reboot does not say so."""
    step = _STEPS.get(status)
    return step.state if step else None


@dataclass(frozen=True, slots=True)
class Event:
    """Something heard of a transfer. at_ms: when it arrived, since no message says when it was.

    status: as reported, or BOOTED with the firmware's version before and after.
    """

    status: str
    at_ms: int
    firmware_before: str = ""
    firmware_after: str = ""


class Remark(StrEnum):
    """What is odd about a report."""

    AFTER_THE_END = "after the end"
    IDLE_WITHOUT_AN_END = "idle without an end"
    STEP_BACK = "step back"
    TRIED_AGAIN = "tried again"


@dataclass(frozen=True, slots=True)
class HeardStep:
    event: Event
    remark: Remark | None = None


def steps_of(history: Iterable[Event]) -> list[HeardStep]:
    """The history with a remark on each report that does not follow from those before it."""
    steps: list[HeardStep] = []
    before: _Step | None = None
    for event in history:
        step = _STEPS.get(event.status)
        if step is not None:
            steps.append(HeardStep(event, _remark(before, step)))
            if before is None or before.state is not _DONE:
                before = step
        elif event.status == IDLE and before is not None and before.state is _RUNNING:
            steps.append(HeardStep(event, Remark.IDLE_WITHOUT_AN_END))
        else:
            steps.append(HeardStep(event))
    return steps


def _remark(before: _Step | None, step: _Step) -> Remark | None:
    if before is None:
        return None
    if before.state is _DONE:
        return Remark.AFTER_THE_END
    if before.state is _FAILED:
        return Remark.TRIED_AGAIN
    return Remark.STEP_BACK if step.rank < before.rank else None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A request to move a file, and what came of it.

    transfer_id, deadline_at_ms: those of its command. location: its password is masked.
    file_name: what the charge point says it uploads. reason: why it was refused or never sent.
    hint: what to do instead. warnings: what is odd about the request; it is sent all the same.
    sha256, signing_key: of the firmware and of who signed it, where they were given with it.
    """

    transfer_id: str
    charge_point_id: str
    kind: TransferKind
    state: TransferState
    location: str
    requested_by: str
    created_at_ms: int
    deadline_at_ms: int = 0
    request_id: int | None = None
    log_type: str = ""
    retrieve_at_ms: int | None = None
    install_at_ms: int | None = None
    oldest_at_ms: int | None = None
    latest_at_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    file_name: str = ""
    reason: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    sha256: str = ""
    signing_key: str = ""
    answered_at_ms: int | None = None
    reported: str = ""
    reported_at_ms: int | None = None
    ended_at_ms: int | None = None
    history: tuple[Event, ...] = ()

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_hosted(self) -> bool:
        """Whether the file is or will be kept here: the addresses of grants hold their id, and
        nobody knows that of a transfer before."""
        return self.transfer_id in self.location

    def as_of(self, now_ms: int) -> "Transfer":
        """Itself; unsent where its command must have come to an end long ago, and has not: the
        process died before it could queue it."""
        if self.state is TransferState.REQUESTED and now_ms > self.deadline_at_ms + LOST_AFTER_MS:
            reason = "it was lost before it could be queued"
            return replace(self, state=TransferState.UNSENT, reason=reason)
        return self

    @property
    def steps(self) -> list[HeardStep]:
        return steps_of(self.history)


class Request(Protocol):
    """What a command says of itself before it is one."""

    @property
    def command_id(self) -> str: ...
    @property
    def charge_point_id(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def requested_by(self) -> str: ...
    @property
    def created_at_ms(self) -> int: ...
    @property
    def deadline_at_ms(self) -> int: ...


def transfer_of(command: Request, warnings: Sequence[str] = ()) -> Transfer:
    """The record of a command that asks for one; its action must be one of KINDS."""
    payload = command.payload
    *above, name = LOCATIONS[command.action]
    what = _at(payload, above)
    return Transfer(
        transfer_id=command.command_id,
        charge_point_id=command.charge_point_id,
        kind=KINDS[command.action],
        state=TransferState.REQUESTED,
        location=what[name],
        requested_by=command.requested_by,
        created_at_ms=command.created_at_ms,
        deadline_at_ms=command.deadline_at_ms,
        request_id=payload.get("requestId"),
        log_type=str(payload.get("logType", "")),
        retrieve_at_ms=_instant(what, "retrieveDate", "retrieveDateTime"),
        install_at_ms=_instant(what, "installDateTime"),
        oldest_at_ms=_instant(what, "startTime", "oldestTimestamp"),
        latest_at_ms=_instant(what, "stopTime", "latestTimestamp"),
        retries=payload.get("retries"),
        retry_interval_s=payload.get("retryInterval"),
        warnings=tuple(warnings),
    )


def _instant(fields: Mapping[str, Any], *names: str) -> int | None:
    return next((epoch_ms(str(fields[name]).upper()) for name in names if name in fields), None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the end of its command makes of a transfer. cancels_earlier: those that run are over."""

    state: TransferState
    file_name: str = ""
    reason: str = ""
    hint: str = ""
    cancels_earlier: bool = False


_UNSUPPORTED_CODES = frozenset({"NotSupported", "NotImplemented"})
_OTHER_WAY: Mapping[TransferKind, str] = {
    TransferKind.FIRMWARE: (
        "A charge point of the security extension takes signed firmware only: send "
        "SignedUpdateFirmware (security white paper, L01.FR.20)."
    ),
    TransferKind.SIGNED_FIRMWARE: "It does not know signed firmware: send UpdateFirmware.",
    TransferKind.DIAGNOSTICS: "Ask for a log instead: GetLog with DiagnosticsLog.",
    TransferKind.LOG: "It does not know GetLog: ask for its diagnostics with GetDiagnostics.",
}
_CERTIFICATE_HINT = (
    "The charge point must hold the root of the signing certificate: install it as "
    "ManufacturerRootCertificate first."
)


def outcome_of(command: Command) -> Outcome:
    """For a command that has ended, a late answer included; its action must be one of KINDS."""
    kind = KINDS[command.action]
    match command.state:
        case CommandState.ANSWERED:
            return _answered(kind, command.answer or {})
        case CommandState.REFUSED:
            return _refused(kind, command.error)
        case CommandState.UNDELIVERABLE:
            return Outcome(TransferState.UNSENT, reason=command.reason)
    late = command.late_answer
    if late is None:
        return Outcome(TransferState.UNCONFIRMED, reason=command.reason)
    if "error" in late:
        return _refused(kind, CommandError(str(late["error"]), "", {}))
    return _answered(kind, late)


def _answered(kind: TransferKind, answer: Mapping[str, Any]) -> Outcome:
    if kind is TransferKind.FIRMWARE:
        return Outcome(TransferState.TAKEN)
    if kind is TransferKind.DIAGNOSTICS:
        file_name = str(answer.get("fileName") or "")
        return Outcome(TransferState.TAKEN if file_name else TransferState.NOTHING, file_name)
    status = str(answer.get("status", ""))
    if status in {"Accepted", "AcceptedCanceled"}:
        return Outcome(
            TransferState.TAKEN,
            str(answer.get("filename") or ""),
            cancels_earlier=status == "AcceptedCanceled",
        )
    hint = _CERTIFICATE_HINT if status.endswith("Certificate") else ""
    return Outcome(TransferState.REFUSED, reason=status, hint=hint)


def _refused(kind: TransferKind, error: CommandError | None) -> Outcome:
    if error is None:
        return Outcome(TransferState.REFUSED)
    reason = ": ".join(filter(None, (error.code, error.description)))
    hint = _OTHER_WAY[kind] if error.code in _UNSUPPORTED_CODES else ""
    return Outcome(TransferState.REFUSED, reason=reason, hint=hint)


def lacks(kind: TransferKind, newest_first: Iterable[Transfer]) -> bool:
    """Whether a charge point has said, when it was asked last, that it does not know this kind."""
    last = next((t for t in newest_first if t.kind is kind and t.answered_at_ms), None)
    return last is not None and last.hint == _OTHER_WAY[kind]


def first_request_id(now_ms: int) -> int:
    """Where a charge point's request ids begin: seconds since 2020, so that they are not those of
    before should it have been deleted and entered again."""
    return first_transaction_id(now_ms)


def location_problem(location: str, hosts: Collection[str] = ()) -> str | None:
    """Why a charge point can't be sent to such an address; None where it can.

    hosts: where it may be sent, see host_problem. Addresses in private networks are as good as
    others: it is the charge point that goes there.
    """
    if not location.isascii() or not location.isprintable() or " " in location:
        return "must be a URL: ASCII without blanks (percent-encode others)"
    try:
        parts = urlsplit(location)
        port = parts.port
    except ValueError:
        return "must be a URL with a valid host and port"
    if parts.scheme.lower() not in SCHEMES:
        return f"must begin with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
    if not location[len(parts.scheme) :].startswith("://") or not parts.hostname or port == 0:
        return "must be a URL with a host, such as ftp://user:password@host/path"
    return host_problem(parts, hosts)


_PERIODS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "GetDiagnostics": (("startTime",), ("stopTime",)),
    "GetLog": (("log", "oldestTimestamp"), ("log", "latestTimestamp")),
}


def check_transfer(action: str, payload: Mapping[str, Any], hosts: Collection[str] = ()) -> None:
    """The rules of a request that moves a file beside its schema's. Raises FieldError."""
    location = LOCATIONS[action]
    problem = location_problem(_at(payload, location), hosts)
    if problem:
        raise FieldError(_field(location), problem)
    for begin, end in [_PERIODS[action]] if action in _PERIODS else []:
        begins, ends = (epoch_ms((_at(payload, path) or "").upper()) for path in (begin, end))
        if begins is not None and ends is not None and begins > ends:
            raise FieldError(_field(end), f"must not be before {_field(begin)}")
    for name in ("retries", "retryInterval"):
        if payload.get(name, 0) < 0:
            raise FieldError(f"payload.{name}", "must not be negative (errata 3.50)")


def _at(payload: Any, path: Sequence[str]) -> Any:
    for name in path:
        payload = payload.get(name)
    return payload


def _field(path: Sequence[str]) -> str:
    return ".".join(("payload", *path))


def protocol_warning(location: str, supported: Sequence[str] | None) -> str | None:
    """supported: the charge point's SupportedFileTransferProtocols; None where it is not known."""
    scheme = location.partition(":")[0].casefold()
    if not supported or scheme in {protocol.strip().casefold() for protocol in supported}:
        return None
    return (
        f"the charge point supports {', '.join(supported)} (SupportedFileTransferProtocols), "
        f"not {scheme.upper()}"
    )
