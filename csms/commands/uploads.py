"""Carries what a charge point uploads from bytes to a record, whichever protocol brings it.

    with desk.begin(grant_id, now_ms) as receiving:
        receiving.write(chunk)  # and so on
        uploaded = receiving.finish(file_name, protocol, remote_address, now_ms)

What is not finished leaves nothing, and its grant open, so that the charge point may try again.
"""

from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import BinaryIO

from csms.commands.file_access import open_grant
from csms.commands.incoming_file import IncomingFile
from csms.commands.sequel import Sequel
from csms.commands.stored_files import delete_unclaimed
from csms.domain.file_grant import FileGrant, GrantKind
from csms.domain.hosted_file import UploadedFile, as_file_name
from csms.domain.secrets import without_grants
from csms.errors import (
    CSMSError,
    FileGrantExpired,
    FileGrantUnknown,
    FileGrantUsed,
    FileGrantWithdrawn,
    NotFound,
    UploadEmpty,
    UploadsFull,
    UploadTooLarge,
)
from csms.logs import get_logger
from csms.state.stores import Stores
from csms.state.uploaded_files import Receipt
from csms.storage.interface import Storage

log = get_logger(__name__)

DAY_MS = 86_400_000
PER_SWEEP_MAX = 100

_REFUSALS: dict[Receipt, type[CSMSError]] = {
    Receipt.USED: FileGrantUsed,
    Receipt.WITHDRAWN: FileGrantWithdrawn,
    Receipt.EXPIRED: FileGrantExpired,
    Receipt.UNKNOWN: FileGrantUnknown,
    Receipt.FULL: UploadsFull,
}


class Arriving:
    """The bytes of uploads that are on their way to this process, by whichever thread: so that
    many at once, for one grant even, take no more room than there is."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._bytes = 0

    def add(self, more_bytes: int, room_bytes: int) -> bool:
        """False where there is no room for more."""
        with self._lock:
            if self._bytes + more_bytes > room_bytes:
                return False
            self._bytes += more_bytes
            return True

    def remove(self, arrived_bytes: int) -> None:
        with self._lock:
            self._bytes -= arrived_bytes


@dataclass(frozen=True, slots=True)
class UploadDesk:
    """total_max_bytes: what all uploads may take together."""

    stores: Stores
    storage: Storage
    total_max_bytes: int
    arriving: Arriving = field(default_factory=Arriving)

    def begin(self, grant_id: str, now_ms: int, announced_bytes: int = 0) -> "Receiving":
        """Before the first byte. announced_bytes: how many will come, where that is said.

        Raises FileGrantUnknown, FileGrantUsed, FileGrantWithdrawn, FileGrantExpired,
        UploadTooLarge, UploadsFull, StorageUnavailable.
        """
        try:
            grant = open_grant(grant_id, self.stores, now_ms)
            if grant.kind is not GrantKind.UPLOAD:
                raise FileGrantUnknown
            if announced_bytes > grant.max_bytes:
                raise UploadTooLarge(grant.max_bytes)
            room_bytes = self.total_max_bytes - self.stores.uploaded_files.total_bytes()
            if room_bytes < max(announced_bytes, 1):
                raise UploadsFull
            return Receiving(self, grant, room_bytes, now_ms)
        except CSMSError as error:
            log.warning("upload refused", transfer_id=grant_id, reason=str(error))
            raise

    def open(self, upload_id: str) -> tuple[UploadedFile, BinaryIO]:
        """What was uploaded, and its file, to be closed. Raises NotFound, StorageUnavailable."""
        uploaded = self.stores.uploaded_files.get(upload_id)
        try:
            return uploaded, self.storage.open(uploaded.storage_key)
        except NotFound:  # of which the operator knows another name
            raise NotFound("file of the upload", upload_id) from None

    def delete(self, upload_id: str, requested_by: str) -> None:
        """A file and its record. Raises NotFound."""
        uploaded = self.stores.uploaded_files.get(upload_id)
        self.stores.uploaded_files.delete(upload_id)
        delete_unclaimed(uploaded.storage_key, self.stores, self.storage)
        self.stores.changed.add(uploaded.charge_point_id)
        log.info(
            "upload deleted",
            charge_point_id=uploaded.charge_point_id,
            transfer_id=upload_id,
            requested_by=requested_by,
        )


class Receiving:
    """One upload on its way. Its grant is judged by when it began: a slow one takes its time.

    room_bytes: what all uploads may still take, when it began.
    """

    def __init__(
        self, desk: UploadDesk, grant: FileGrant, room_bytes: int, begun_at_ms: int
    ) -> None:
        self.grant = grant
        self._desk = desk
        self._room_bytes = room_bytes
        self._begun_at_ms = begun_at_ms
        self._file = IncomingFile(desk.storage, desk.stores.unclaimed_files, grant.max_bytes)
        self._arriving_bytes = 0
        self._ended = False

    def write(self, chunk: bytes) -> None:
        """Raises UploadTooLarge and UploadsFull before it is, and StorageUnavailable."""
        if not self._desk.arriving.add(len(chunk), self._room_bytes):
            raise self._refuse(UploadsFull())
        self._arriving_bytes += len(chunk)
        try:
            self._file.write(chunk)
        except UploadTooLarge as error:
            self._refuse(error)
            raise

    def finish(
        self, file_name: str, protocol: str, remote_address: str, now_ms: int
    ) -> UploadedFile:
        """All bytes are here. Raises UploadEmpty, StorageUnavailable, and what begin raises: of
        several uploads for one grant the first to get here is taken."""
        if not self._file.size_bytes:
            raise self._refuse(UploadEmpty())
        uploaded = UploadedFile(
            upload_id=self.grant.grant_id,
            charge_point_id=self.grant.charge_point_id,
            storage_key=self._file.storage_key,
            file_name=as_file_name(without_grants(file_name)),
            size_bytes=self._file.size_bytes,
            sha256=self._file.sha256,
            protocol=protocol,
            remote_address=remote_address,
            received_at_ms=now_ms,
        )
        self._file.keep(now_ms)
        # From here on a record may have it, also where the store gives no answer.
        self._arrive()
        stores = self._desk.stores
        receipt = stores.uploaded_files.receive(
            self.grant.grant_id, uploaded, self._begun_at_ms, self._desk.total_max_bytes
        )
        refusal = _REFUSALS.get(receipt)
        if refusal is not None:
            delete_unclaimed(uploaded.storage_key, stores, self._desk.storage)
            raise self._refuse(refusal())
        stores.changed.add(uploaded.charge_point_id)
        log.info("upload received", size_bytes=uploaded.size_bytes, protocol=protocol, **self._said)
        return uploaded

    def abandon(self, reason: str = "it was cut short") -> None:
        """Nothing of it stays; may be repeated, and does nothing once it has ended."""
        if not self._ended:
            self._end()
            log.warning("upload abandoned", reason=reason, **self._said)

    def _refuse(self, error: CSMSError) -> CSMSError:
        if not self._ended:
            self._end()
        log.warning("upload refused", reason=str(error), **self._said)
        return error

    def _end(self) -> None:
        self._arrive()
        self._file.abandon()

    def _arrive(self) -> None:
        self._ended = True
        self._desk.arriving.remove(self._arriving_bytes)

    @property
    def _said(self) -> dict[str, str]:
        return {
            "charge_point_id": self.grant.charge_point_id,
            "transfer_id": self.grant.grant_id,
        }

    def __enter__(self) -> "Receiving":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, CSMSError):
            self.abandon(str(error))
        else:
            self.abandon()


def sweep(sequel: Sequel) -> None:
    """Delete what is older than UPLOAD_RETENTION_DAYS; the next sweep takes the files."""
    uploads = sequel.stores.uploaded_files
    oldest_ms = sequel.now_ms - sequel.settings.upload_retention_days * DAY_MS
    for upload_id in uploads.older_than(oldest_ms, PER_SWEEP_MAX):
        uploads.delete(upload_id)
