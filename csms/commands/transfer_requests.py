"""Firmware updates and log uploads as operators wish for them, made into the OCPP request that the
charge point understands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from csms.clock import text_of
from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.signing import Signing
from csms.domain.command import Command
from csms.domain.firmware_signature import signature_warnings
from csms.domain.transfer import LOCATION_MAX, Subject, TransferKind, lacks, location_problem
from csms.errors import FieldError
from csms.state.stores import Stores

# How many of its latest requests are asked what the charge point knows.
LOOKED_AT = 10


class Signed(StrEnum):
    """Whether an update is to be signed; AUTO: where there is a signature, and the charge point has
    not said that it does not know signed updates."""

    AUTO = "auto"
    YES = "true"
    NO = "false"


class LogKind(StrEnum):
    """GetDiagnostics of OCPP 1.6, or one of the two logs of GetLog."""

    DIAGNOSTICS = "diagnostics"
    DIAGNOSTICS_LOG = "diagnostics-log"
    SECURITY_LOG = "security-log"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks, and how; as in CommandRequest."""

    charge_point_id: str
    requested_by: str
    deadline_s: int | None = None
    idempotency_key: str | None = None
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class FirmwareUpdate:
    """signing_key: the name of ours that signs the file of digest sha256 (hex); or a signature from
    elsewhere, with its certificate, as any text. retrieve_at_ms None: now."""

    location: str
    retrieve_at_ms: int | None = None
    install_at_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    signed: Signed = Signed.AUTO
    signing_key: str = ""
    sha256: str = ""
    signature: str = ""
    signing_certificate: str = ""

    @property
    def has_signature(self) -> bool:
        return bool(self.signing_key or self.signature or self.signing_certificate)


@dataclass(frozen=True, slots=True)
class LogUpload:
    location: str
    kind: LogKind = LogKind.DIAGNOSTICS
    oldest_at_ms: int | None = None
    latest_at_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True)
class TransferDesk:
    """Where files are asked for. The transfer's id is that of the command it answers with."""

    stores: Stores
    desk: CommandDesk
    signing: Signing

    def update_firmware(self, wish: Wish, update: FirmwareUpdate, now_ms: int) -> Command:
        """Raises what CommandDesk.queue does, and NotFound for an unknown signing key."""
        signed = self._is_signed(wish.charge_point_id, update)
        _check_location(update.location, longest=LOCATION_MAX if signed else None)
        _check_signature(update)
        if not signed:
            if update.install_at_ms is not None:
                raise FieldError("install_at", "only a signed update can be installed later")
            payload: dict[str, Any] = {
                "location": update.location,
                "retrieveDate": text_of(update.retrieve_at_ms or now_ms),
            }
            payload |= _retries(update)
            return self._queue(wish, "UpdateFirmware", payload, update, now_ms)
        if not update.has_signature:
            raise FieldError(
                "signature",
                "a signed update needs signing_key and sha256, or signature and "
                "signing_certificate (security white paper, L01)",
            )
        full = self._with_signature(update, wish.requested_by)
        firmware = {
            "location": full.location,
            "retrieveDateTime": text_of(full.retrieve_at_ms or now_ms),
            "signature": full.signature,
            "signingCertificate": full.signing_certificate,
        }
        if full.install_at_ms is not None:
            firmware["installDateTime"] = text_of(full.install_at_ms)
        payload = {**self._request_id(wish, now_ms), "firmware": firmware, **_retries(full)}
        command = self._queue(wish, "SignedUpdateFirmware", payload, update, now_ms)
        self._note(command, full)
        return command

    def _is_signed(self, charge_point_id: str, update: FirmwareUpdate) -> bool:
        if update.signed is not Signed.AUTO:
            return update.signed is Signed.YES
        latest = self.stores.transfers.page(charge_point_id, Subject.FIRMWARE, None, LOOKED_AT)
        if update.has_signature:
            return not lacks(TransferKind.SIGNED_FIRMWARE, latest.items)
        if lacks(TransferKind.FIRMWARE, latest.items):
            raise FieldError(
                "signature",
                "the charge point has answered UpdateFirmware with NotSupported, so that it wants "
                "signed firmware: give signing_key and sha256, or signature and "
                "signing_certificate; or signed false to try again",
            )
        return False

    def _with_signature(self, update: FirmwareUpdate, requested_by: str) -> FirmwareUpdate:
        if not update.signing_key:
            return update
        made = self.signing.sign(update.signing_key, update.sha256, requested_by)
        return replace(
            update, signature=made.signature, signing_certificate=made.signing_certificate
        )

    def _note(self, command: Command, update: FirmwareUpdate) -> None:
        """What the request itself does not say; TC_081: a wrong signature is sent all the same."""
        if not update.sha256:
            return
        warnings = signature_warnings(
            update.signature, update.signing_certificate, command.created_at_ms, update.sha256
        )
        noted = self.stores.transfers.find(command.charge_point_id, command.command_id)
        known = noted.warnings if noted else ()
        self.stores.transfers.note_signing(
            command.charge_point_id,
            command.command_id,
            update.sha256,
            update.signing_key,
            list(dict.fromkeys([*known, *warnings])),
        )

    def upload_log(self, wish: Wish, upload: LogUpload, now_ms: int) -> Command:
        """Raises what CommandDesk.queue does."""
        is_plain = upload.kind is LogKind.DIAGNOSTICS
        _check_location(upload.location, longest=None if is_plain else LOCATION_MAX)
        oldest, latest = upload.oldest_at_ms, upload.latest_at_ms
        if oldest is not None and latest is not None and oldest > latest:
            raise FieldError("latest_at", "must not be before oldest_at")
        if is_plain:
            period = {"startTime": oldest, "stopTime": latest}
            payload = {"location": upload.location, **_instants(period), **_retries(upload)}
            return self._queue(wish, "GetDiagnostics", payload, upload, now_ms)
        period = {"oldestTimestamp": oldest, "latestTimestamp": latest}
        payload = {
            **self._request_id(wish, now_ms),
            "logType": _LOG_TYPES[upload.kind],
            "log": {"remoteLocation": upload.location, **_instants(period)},
            **_retries(upload),
        }
        return self._queue(wish, "GetLog", payload, upload, now_ms)

    def _request_id(self, wish: Wish, now_ms: int) -> dict[str, int]:
        self.stores.charge_points.get(wish.charge_point_id)
        taken = self.stores.transfers.take_request_id(wish.charge_point_id, now_ms)
        return {"requestId": taken}

    def _queue(
        self,
        wish: Wish,
        action: str,
        payload: Mapping[str, Any],
        meant: FirmwareUpdate | LogUpload,
        now_ms: int,
    ) -> Command:
        return self.desk.queue(
            CommandRequest(
                charge_point_id=wish.charge_point_id,
                action=action,
                payload=payload,
                requested_by=wish.requested_by,
                deadline_s=wish.deadline_s,
                idempotency_key=wish.idempotency_key,
                reply_to=wish.reply_to,
                # The request id and the instant of now differ each time.
                idempotent_as=meant,
            ),
            now_ms,
        )


_LOG_TYPES = {LogKind.DIAGNOSTICS_LOG: "DiagnosticsLog", LogKind.SECURITY_LOG: "SecurityLog"}


def _check_location(location: str, longest: int | None) -> None:
    problem = location_problem(location)
    if problem:
        raise FieldError("location", problem)
    if longest is not None and len(location) > longest:
        raise FieldError("location", f"must have at most {longest} characters")


def _check_signature(update: FirmwareUpdate) -> None:
    """One of both ways, and all of it."""
    if update.signing_key:
        if update.signature or update.signing_certificate:
            raise FieldError("signing_key", "must not be given beside a signature from elsewhere")
        if not update.sha256:
            raise FieldError("sha256", "is needed for signing_key: the digest of the file, in hex")
    elif bool(update.signature) is not bool(update.signing_certificate):
        missing = "signing_certificate" if update.signature else "signature"
        raise FieldError(missing, "is needed too")


def _retries(wish: FirmwareUpdate | LogUpload) -> dict[str, int]:
    found = {"retries": wish.retries, "retryInterval": wish.retry_interval_s}
    return {name: value for name, value in found.items() if value is not None}


def _instants(period: Mapping[str, int | None]) -> dict[str, str]:
    return {name: text_of(at_ms) for name, at_ms in period.items() if at_ms is not None}
