"""Firmware updates and uploads of a charge point: what it does, and what it tells of it.

Unless its options say `moves_files` it pretends: it tells what it would, and nothing is moved.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import gevent

from chargepoint.conversation import Payload
from chargepoint.files import (
    Download,
    MovedFile,
    SchemeUnknown,
    TransferFailed,
    TransferRefused,
    Trust,
    patiently,
    upload,
)
from chargepoint.firmware import is_signed, version_of

if TYPE_CHECKING:
    from chargepoint.charge_point import ChargePoint

Tell = Callable[[str], None]

ATTEMPTS = 3
# A central system may be away for long just when a charge point has rebooted.
REBOOT_PATIENCE_S = 3600.0


@dataclass(frozen=True, slots=True)
class FileRequest:
    """Where a file is fetched or left, and how often that is tried; None: as we like it."""

    location: str
    retries: int | None = None
    retry_interval_s: int | None = None

    @classmethod
    def of(cls, location: object, request: Payload) -> FileRequest:
        """From a request that says `retries` and `retryInterval`, or does not."""
        return cls(str(location), request.get("retries"), request.get("retryInterval"))


@dataclass(frozen=True, slots=True)
class Signature:
    """signature: base64; certificate: PEM, of the key it was made with."""

    signature: str
    certificate: str


@dataclass(frozen=True, slots=True)
class _Image:
    """version: None where it is no firmware."""

    version: str | None
    is_genuine: bool


class _Overtaken(Exception):
    """Another request has taken the place of this one, which is not spoken of any more."""


class Transfers:
    """What one charge point moves, and has moved."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self.received_firmware: MovedFile | None = None
        self.uploaded_file: MovedFile | None = None
        self.firmware_status = "Idle"
        self.diagnostics_status = "Idle"
        # The request that runs, None while none does, and what was told of it last.
        self.signed_update: tuple[int | None, str] = (None, "Idle")
        self.log_upload: tuple[int | None, str] = (None, "Idle")
        self._charge_point = charge_point
        self._options = charge_point.options
        self._trust = Trust(self._options.file_ca, self._options.checks_file_servers)

    # --- what it tells ---

    def report_firmware(self, status: str) -> None:
        """FirmwareStatusNotification."""
        self.firmware_status = status
        self._charge_point.notify("FirmwareStatusNotification", {"status": status})

    def report_diagnostics(self, status: str) -> None:
        """DiagnosticsStatusNotification."""
        self.diagnostics_status = status
        self._charge_point.notify("DiagnosticsStatusNotification", {"status": status})

    def report_signed_firmware(self) -> None:
        """SignedFirmwareStatusNotification, as it stands (white paper, L01)."""
        self._report_request("SignedFirmwareStatusNotification", self.signed_update)

    def report_log(self) -> None:
        """LogStatusNotification, as it stands (white paper, N01)."""
        self._report_request("LogStatusNotification", self.log_upload)

    def _report_request(self, action: str, running: tuple[int | None, str]) -> None:
        request_id, status = running
        named = {} if request_id is None else {"requestId": request_id}
        self._charge_point.notify(action, {"status": status, **named})

    # --- what it does, from the first report to the last ---

    def update_firmware(self, wanted: FileRequest) -> None:
        """UpdateFirmware."""
        self._follow(partial(self._update, wanted, None), self.report_firmware)
        self.firmware_status = "Idle"

    def update_signed_firmware(
        self, wanted: FileRequest, request_id: int, signature: Signature
    ) -> None:
        """SignedUpdateFirmware; ends where another request takes over."""

        def tell(status: str) -> None:
            if self.signed_update[0] != request_id:
                raise _Overtaken
            self.signed_update = (request_id, status)
            self.report_signed_firmware()

        self._follow(partial(self._update, wanted, signature), tell)
        if self.signed_update[0] == request_id:
            self.signed_update = (None, "Idle")

    def upload_diagnostics(self, wanted: FileRequest, file_name: str) -> None:
        """GetDiagnostics."""
        failures: dict[type[TransferFailed], str] = {TransferFailed: "UploadFailed"}
        self._follow(partial(self._upload, wanted, file_name, failures), self.report_diagnostics)
        self.diagnostics_status = "Idle"

    def upload_log(self, wanted: FileRequest, request_id: int, file_name: str) -> None:
        """GetLog; ends where another request takes over."""

        def tell(status: str) -> None:
            if self.log_upload[0] != request_id:
                raise _Overtaken
            self.log_upload = (request_id, status)
            self.report_log()

        self._follow(partial(self._upload, wanted, file_name, _LOG_FAILURES), tell)
        if self.log_upload[0] == request_id:
            self.log_upload = (None, "Idle")

    def file_name(self, ending: str) -> str:
        """What a file that it uploads is called."""
        own = f"{self._charge_point.charge_point_id}-{ending}.log"
        return self._options.faults.file_name or own

    def _follow(self, steps: Callable[[Tell], None], tell: Tell) -> None:
        orderly = _Swapped(tell) if self._options.faults.reports_out_of_order else None
        try:
            steps(orderly or tell)
            if orderly is not None:
                orderly.say_the_rest()
        except _Overtaken:
            pass

    def _update(self, wanted: FileRequest, signature: Signature | None, tell: Tell) -> None:
        charge_point, pause = self._charge_point, self._pause
        tell("Downloading")
        try:
            image = self._fetch(wanted, signature)
        except TransferFailed as problem:
            charge_point.say(f"! {problem}")
            tell("DownloadFailed")
            return
        self._hang_if_wanted()
        tell("Downloaded")
        pause()
        if signature is not None:
            if not image.is_genuine:
                tell("InvalidSignature")
                charge_point.report_security_event("InvalidFirmwareSignature")
                return
            tell("SignatureVerified")
            pause()
        tell("Installing")
        pause()
        if image.version is None:
            tell("InstallationFailed")
            return
        if signature is not None:
            tell("InstallRebooting")
            pause()
        charge_point.firmware_version = image.version
        charge_point.reset("Soft")
        charge_point.wait_accepted(REBOOT_PATIENCE_S)
        tell("Installed")
        if signature is not None:
            charge_point.report_security_event("FirmwareUpdated")

    def _fetch(self, wanted: FileRequest, signature: Signature | None) -> _Image:
        if not self._options.moves_files:
            self._pause()
            name = wanted.location.rsplit("/", 1)[-1][:50]
            version = name or self._charge_point.firmware_version
            return _Image(version, signature is None or _is_base64(signature.signature))
        faults = self._options.faults
        download = Download(
            wanted.location,
            self._trust,
            breaks_after=faults.breaks_download_after,
            corrupts=faults.corrupts_download,
        )
        received = self._try(download.go_on, wanted)
        self.received_firmware = received
        return _Image(
            version_of(received.head),
            signature is None
            or is_signed(received.sha256, signature.signature, signature.certificate),
        )

    def _upload(
        self,
        wanted: FileRequest,
        file_name: str,
        failures: dict[type[TransferFailed], str],
        tell: Tell,
    ) -> None:
        tell("Uploading")
        self._hang_if_wanted()
        try:
            self._leave(wanted, file_name)
        except TransferFailed as problem:
            self._charge_point.say(f"! {problem}")
            kind = next(kind for kind in failures if isinstance(problem, kind))
            tell(failures[kind])
            return
        tell("Uploaded")
        self._pause()

    def _leave(self, wanted: FileRequest, file_name: str) -> None:
        if not self._options.moves_files:
            self._pause()
            return
        content = log_of(self._charge_point.charge_point_id, self._options.log_bytes)
        one_try = partial(
            upload,
            wanted.location,
            file_name,
            content,
            method=self._options.upload_method,
            trust=self._trust,
        )
        self.uploaded_file = self._try(one_try, wanted)

    def _try(self, one_try: Callable[[], MovedFile], wanted: FileRequest) -> MovedFile:
        attempts = ATTEMPTS if wanted.retries is None else max(1, wanted.retries)
        pause_s = wanted.retry_interval_s
        return patiently(one_try, attempts, self._options.step_s if pause_s is None else pause_s)

    def _pause(self) -> None:
        gevent.sleep(self._options.step_s)

    def _hang_if_wanted(self) -> None:
        while self._options.faults.never_finishes:
            gevent.sleep(3600)


_LOG_FAILURES: dict[type[TransferFailed], str] = {
    SchemeUnknown: "NotSupportedOperation",
    TransferRefused: "PermissionDenied",
    TransferFailed: "UploadFailure",
}


class _Swapped:
    """Tells every second report before the one that it follows."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._held: str | None = None

    def __call__(self, status: str) -> None:
        if self._held is None:
            self._held = status
            return
        self._tell(status)
        self.say_the_rest()

    def say_the_rest(self) -> None:
        """What has waited for a follower."""
        held, self._held = self._held, None
        if held is not None:
            self._tell(held)


def log_of(charge_point_id: str, size_bytes: int) -> bytes:
    """The log of a charge point: the same for the same id and size, so that others can tell."""
    line = hashlib.sha256(charge_point_id.encode()).hexdigest()
    lines = (f"{number:09d} {charge_point_id} {line}\n" for number in range(size_bytes // 75 + 1))
    return "".join(lines).encode()[:size_bytes]


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text, validate=True))
    except ValueError:
        return False
