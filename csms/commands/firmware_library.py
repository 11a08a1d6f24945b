"""The firmware library: takes files in, checks what is said of them, gives them out again.

    with library.incoming() as file:
        file.write(chunk)  # and so on
        image = library.add(file, details, requested_by, now_ms)

A file that is cut short, too large or wrongly described leaves nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import BinaryIO

from csms.commands.incoming_file import IncomingFile
from csms.commands.stored_files import delete_unclaimed
from csms.config import Settings
from csms.domain.campaign import FirmwareWork
from csms.domain.firmware_signature import signature_warnings
from csms.domain.hosted_file import FirmwareImage
from csms.errors import FieldError, FirmwareInUse, FirmwareLibraryFull
from csms.logs import get_logger
from csms.state.stores import Stores
from csms.storage.interface import Storage

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FirmwareDetails:
    """What is said of a file; all but its name may be "". signature: base64, over its SHA-256;
    signing_certificate: PEM; both or neither."""

    file_name: str
    vendor: str = ""
    model: str = ""
    version: str = ""
    description: str = ""
    signature: str = ""
    signing_certificate: str = ""


@dataclass(frozen=True, slots=True)
class FirmwareLibrary:
    stores: Stores
    storage: Storage
    settings: Settings

    @contextmanager
    def incoming(self, announced_bytes: int = 0) -> Iterator[IncomingFile]:
        """A file to write into, and to add before the end. announced_bytes: how many will come,
        where that is said. Raises FirmwareLibraryFull, StorageUnavailable; on writing also
        UploadTooLarge."""
        total_max_bytes = self.settings.firmware_total_bytes
        if self.stores.firmware_images.total_bytes() + announced_bytes > total_max_bytes:
            raise FirmwareLibraryFull(total_max_bytes)
        file = IncomingFile(
            self.storage, self.stores.unclaimed_files, self.settings.firmware_max_bytes
        )
        try:
            yield file
        finally:
            file.abandon()

    def add(
        self, file: IncomingFile, details: FirmwareDetails, requested_by: str, now_ms: int
    ) -> FirmwareImage:
        """Of a file that has come in whole. Raises FieldError, FirmwareLibraryFull,
        StorageUnavailable."""
        if not file.size_bytes:
            raise FieldError("file", "is empty")
        image = FirmwareImage(
            image_id=file.storage_key,
            storage_key=file.storage_key,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            warnings=_warnings(details, file.sha256, now_ms),
            uploaded_by=requested_by,
            created_at_ms=now_ms,
            **{part.name: getattr(details, part.name) for part in fields(details)},
        )
        file.keep(now_ms)
        try:
            self.stores.firmware_images.create(image, self.settings.firmware_total_bytes)
        except FirmwareLibraryFull:
            delete_unclaimed(file.storage_key, self.stores, self.storage)
            raise
        self._log("firmware added", image, requested_by)
        return image

    def describe(self, image_id: str, changes: Mapping[str, str], now_ms: int) -> FirmwareImage:
        """Change what is said of a file, by the names of FirmwareDetails; its signature is checked
        anew. Raises NotFound, FieldError."""
        images = self.stores.firmware_images
        image = images.get(image_id)
        said = {part.name: getattr(image, part.name) for part in fields(FirmwareDetails)}
        warnings = _warnings(FirmwareDetails(**{**said, **changes}), image.sha256, now_ms)
        images.update(image_id, **changes, warnings=warnings)
        return images.get(image_id)

    def open(self, image_id: str) -> tuple[FirmwareImage, BinaryIO]:
        """To be closed. Raises NotFound, StorageUnavailable."""
        image = self.stores.firmware_images.get(image_id)
        return image, self.storage.open(image.storage_key)

    def remove(self, image_id: str, requested_by: str) -> None:
        """What was installed of it stays; who fetches it gets no further. Raises NotFound,
        FirmwareInUse."""
        image = self.stores.firmware_images.get(image_id)
        for campaign in self.stores.campaigns.unfinished():
            if isinstance(campaign.work, FirmwareWork) and campaign.work.image_id == image_id:
                raise FirmwareInUse(image_id, campaign.name)
        self.stores.firmware_images.delete(image_id)
        delete_unclaimed(image.storage_key, self.stores, self.storage)
        self._log("firmware removed", image, requested_by)

    def _log(self, event: str, image: FirmwareImage, requested_by: str) -> None:
        log.info(
            event,
            firmware_id=image.image_id,
            file_name=image.file_name,
            sha256=image.sha256,
            requested_by=requested_by,
        )


def _warnings(details: FirmwareDetails, sha256: str, now_ms: int) -> tuple[str, ...]:
    """Raises FieldError for one of signature and certificate without the other."""
    signature, certificate = details.signature, details.signing_certificate
    if bool(signature) is not bool(certificate):
        missing = "signing_certificate" if signature else "signature"
        raise FieldError(missing, "is needed too: both or neither")
    if not signature:
        return ()
    return tuple(signature_warnings(signature, certificate, now_ms, sha256))
