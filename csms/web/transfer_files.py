"""Transfers as they are shown: with what is known of the file, where that is kept here."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from csms.domain.file_grant import FileGrant, GrantKind, GrantState
from csms.domain.hosted_file import UploadedFile
from csms.domain.transfer import Transfer
from csms.state.stores import Stores


class FileState(StrEnum):
    """Whether the charge point may come for the file, or with it."""

    OPEN = "open"
    EXPIRED = "expired"
    USED = "used"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class TransferFile:
    """name, size_bytes, sha256: of an upload only once it is here. expires_at_ms: None where that
    was long ago."""

    name: str
    size_bytes: int | None
    sha256: str
    state: FileState
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class ShownTransfer:
    """upload_id: of the file that the charge point has left, while it is kept."""

    transfer: Transfer
    file: TransferFile | None
    upload_id: str | None


def with_files(
    stores: Stores, transfers: Sequence[Transfer], now_ms: int
) -> Sequence[ShownTransfer]:
    """The transfers, as they stand now."""
    hosted = [transfer.transfer_id for transfer in transfers if transfer.is_hosted]
    grants, uploads = stores.file_grants.find_all(hosted), stores.uploaded_files.here(hosted)
    return [
        _shown(
            transfer.as_of(now_ms),
            grants.get(transfer.transfer_id),
            uploads.get(transfer.transfer_id),
            now_ms,
        )
        for transfer in transfers
    ]


def _shown(
    transfer: Transfer, grant: FileGrant | None, upload: UploadedFile | None, now_ms: int
) -> ShownTransfer:
    if upload is not None:
        expires_at_ms = grant.expires_at_ms if grant else None
        file = TransferFile(
            upload.file_name, upload.size_bytes, upload.sha256, FileState.USED, expires_at_ms
        )
        return ShownTransfer(transfer, file, upload.upload_id)
    return ShownTransfer(transfer, _granted(grant, now_ms) if grant else None, None)


def _granted(grant: FileGrant, now_ms: int) -> TransferFile:
    is_over = grant.state is GrantState.OPEN and not grant.is_open(now_ms)
    is_known = grant.kind is GrantKind.DOWNLOAD or grant.state is GrantState.USED
    return TransferFile(
        grant.file_name,
        grant.size_bytes if is_known else None,
        grant.sha256,
        FileState.EXPIRED if is_over else FileState(grant.state),
        grant.expires_at_ms,
    )
