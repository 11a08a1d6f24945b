"""Firmware updates and log uploads as operators wish for them, made into the OCPP request that the
charge point understands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from csms.clock import text_of
from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.file_hosting import FileHosting, Place
from csms.commands.signing import Signing
from csms.commands.transfer_wishes import FirmwareUpdate, LogUpload, Signed, Wish
from csms.config import Settings
from csms.domain.command import Command
from csms.domain.file_hosting import fit_warnings
from csms.domain.firmware_signature import signature_warnings
from csms.domain.hosted_file import FirmwareImage
from csms.domain.transfer import (
    LOCATION_MAX,
    LogKind,
    Subject,
    TransferKind,
    lacks,
    location_problem,
)
from csms.errors import FieldError
from csms.state.stores import Stores

# How many of its latest requests are asked what the charge point knows.
LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class TransferDesk:
    """Where files are asked for. The transfer's id is that of the command it answers with, and of
    the grant by which a file that is kept here travels."""

    stores: Stores
    desk: CommandDesk
    signing: Signing
    settings: Settings

    def update_firmware(self, wish: Wish, update: FirmwareUpdate, now_ms: int) -> Command:
        """Raises what CommandDesk.queue does, NotFound for an unknown signing key or firmware, and
        FilesNotHosted and NoWayForFiles for firmware of the library."""
        update.check()
        image = self.stores.firmware_images.get(update.image_id) if update.image_id else None
        full = update.with_image(image) if image else update
        signed = self._is_signed(wish.charge_point_id, full)
        place = self._source(wish, update, image, now_ms)
        if signed:
            full = self._with_signature(full, wish.requested_by)
            command = self._update_signed(wish, update, full, place, now_ms)
        else:
            full = full.unsigned()
            command = self._update_unsigned(wish, update, place, now_ms)
        self._note(command, full, image, now_ms)
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

    def _source(
        self, wish: Wish, update: FirmwareUpdate, image: FirmwareImage | None, now_ms: int
    ) -> Place:
        if image is None:
            self._check_location(update.location)
            return Place(update.location)
        hosting = FileHosting(self.stores, self.settings)
        return hosting.download(wish, image, update.retrieve_at_ms, now_ms)

    def _update_unsigned(
        self, wish: Wish, update: FirmwareUpdate, place: Place, now_ms: int
    ) -> Command:
        if update.install_at_ms is not None:
            raise FieldError("install_at", "only a signed update can be installed later")
        payload = {
            "location": place.location,
            "retrieveDate": text_of(update.retrieve_at_ms or now_ms),
            **_retries(update),
        }
        return self._queue(wish, "UpdateFirmware", payload, update, place, now_ms)

    def _update_signed(
        self,
        wish: Wish,
        update: FirmwareUpdate,
        full: FirmwareUpdate,
        place: Place,
        now_ms: int,
    ) -> Command:
        """full: the update as wished for, with what signs it."""
        _check_length(place, "firmware_id")
        if not full.has_signature:
            raise FieldError(
                "signature",
                "a signed update needs signing_key and sha256, or signature and "
                "signing_certificate (security white paper, L01)",
            )
        firmware = {
            "location": place.location,
            "retrieveDateTime": text_of(full.retrieve_at_ms or now_ms),
            "signature": full.signature,
            "signingCertificate": full.signing_certificate,
        }
        if full.install_at_ms is not None:
            firmware["installDateTime"] = text_of(full.install_at_ms)
        payload = {**self._request_id(wish, now_ms), "firmware": firmware, **_retries(full)}
        return self._queue(wish, "SignedUpdateFirmware", payload, update, place, now_ms)

    def _with_signature(self, update: FirmwareUpdate, requested_by: str) -> FirmwareUpdate:
        if not update.signing_key:
            return update
        made = self.signing.sign(update.signing_key, update.sha256, requested_by)
        return replace(
            update, signature=made.signature, signing_certificate=made.signing_certificate
        )

    def _note(
        self, command: Command, update: FirmwareUpdate, image: FirmwareImage | None, now_ms: int
    ) -> None:
        """What the request itself does not say; TC_081: a wrong signature is sent all the same."""
        if not update.sha256:
            return
        warnings: list[str] = []
        if update.signature:
            warnings += signature_warnings(
                update.signature, update.signing_certificate, command.created_at_ms, update.sha256
            )
        # An earlier wish, which is asked for again, may have changed the charge point since.
        if image and command.created_at_ms == now_ms:
            charge_point = self.stores.charge_points.get(command.charge_point_id)
            warnings += fit_warnings(image, charge_point)
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
        """Raises what CommandDesk.queue does; FilesNotHosted and NoWayForFiles where it is to come
        here."""
        oldest, latest = upload.oldest_at_ms, upload.latest_at_ms
        if oldest is not None and latest is not None and oldest > latest:
            raise FieldError("latest_at", "must not be before oldest_at")
        place = self._target(wish, upload, now_ms)
        kind = self._kind(wish.charge_point_id, upload.kind)
        if kind is LogKind.DIAGNOSTICS:
            period = {"startTime": oldest, "stopTime": latest}
            payload = {"location": place.location, **_instants(period), **_retries(upload)}
            return self._queue(wish, "GetDiagnostics", payload, upload, place, now_ms)
        _check_length(place, "location")
        period = {"oldestTimestamp": oldest, "latestTimestamp": latest}
        payload = {
            **self._request_id(wish, now_ms),
            "logType": _LOG_TYPES[kind],
            "log": {"remoteLocation": place.location, **_instants(period)},
            **_retries(upload),
        }
        return self._queue(wish, "GetLog", payload, upload, place, now_ms)

    def _kind(self, charge_point_id: str, kind: LogKind) -> LogKind:
        if kind is not LogKind.AUTO:
            return kind
        latest = self.stores.transfers.page(charge_point_id, Subject.LOGS, None, LOOKED_AT)
        knows_logs = not lacks(TransferKind.LOG, latest.items)
        return LogKind.DIAGNOSTICS_LOG if knows_logs else LogKind.DIAGNOSTICS

    def _target(self, wish: Wish, upload: LogUpload, now_ms: int) -> Place:
        if upload.location:
            self._check_location(upload.location)
            return Place(upload.location)
        return FileHosting(self.stores, self.settings).upload(wish, now_ms)

    def _check_location(self, location: str) -> None:
        problem = location_problem(location, self.settings.allowed_file_hosts)
        if problem:
            raise FieldError("location", problem)

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
        place: Place,
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
                # Ids of ours and the instant of now differ each time.
                idempotent_as=meant,
                command_id=place.grant.grant_id if place.grant else wish.command_id,
                grant=place.grant,
            ),
            now_ms,
        )


_LOG_TYPES = {LogKind.DIAGNOSTICS_LOG: "DiagnosticsLog", LogKind.SECURITY_LOG: "SecurityLog"}


def _check_length(place: Place, of_hosted: str) -> None:
    """of_hosted: the field that has brought about an address of ours."""
    if len(place.location) <= LOCATION_MAX:
        return
    if place.grant is None:
        raise FieldError("location", f"must have at most {LOCATION_MAX} characters")
    raise FieldError(
        of_hosted,
        f"the address of the file would have {len(place.location)} characters, and charge points "
        f"take {LOCATION_MAX}: FILES_URL and FILES_FTP_URL, or the name of the file, are too long",
    )


def _retries(wish: FirmwareUpdate | LogUpload) -> dict[str, int]:
    found = {"retries": wish.retries, "retryInterval": wish.retry_interval_s}
    return {name: value for name, value in found.items() if value is not None}


def _instants(period: Mapping[str, int | None]) -> dict[str, str]:
    return {name: text_of(at_ms) for name, at_ms in period.items() if at_ms is not None}
