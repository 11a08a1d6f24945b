"""Files that are kept here, as a command asks a charge point for one: the address that it is sent,
and the grant that stands behind it."""

import uuid
from dataclasses import dataclass, replace

from csms.commands.transfer_wishes import Wish
from csms.config import Settings
from csms.domain.file_grant import FileGrant, GrantKind, location_of
from csms.domain.file_hosting import chosen_protocol, offered_by
from csms.domain.hosted_file import FirmwareImage
from csms.errors import FilesNotHosted, NoWayForFiles
from csms.state.stores import Stores

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a charge point is sent for a file. grant: of one that is kept here, to be made before
    the command that names it."""

    location: str
    grant: FileGrant | None = None


@dataclass(frozen=True, slots=True)
class FileHosting:
    """What is chosen for a charge point, by what it has told and by where files are offered."""

    stores: Stores
    settings: Settings

    def download(
        self, wish: Wish, image: FirmwareImage, retrieve_at_ms: int | None, now_ms: int
    ) -> Place:
        """Where it fetches firmware. Raises FilesNotHosted, NoWayForFiles."""
        grant = replace(
            self._grant(wish, GrantKind.DOWNLOAD, retrieve_at_ms, now_ms),
            storage_key=image.storage_key,
            file_name=image.file_name,
            size_bytes=image.size_bytes,
            sha256=image.sha256,
        )
        return self._place(grant)

    def upload(self, wish: Wish, now_ms: int) -> Place:
        """Where it leaves one file. Raises FilesNotHosted, NoWayForFiles."""
        grant = self._grant(wish, GrantKind.UPLOAD, None, now_ms)
        return self._place(replace(grant, max_bytes=self.settings.upload_max_bytes))

    def _grant(
        self, wish: Wish, kind: GrantKind, retrieve_at_ms: int | None, now_ms: int
    ) -> FileGrant:
        """That expires so long after the charge point may begin: it may be away until then."""
        begins_at_ms = max(retrieve_at_ms or 0, now_ms + (wish.deadline_s or 0) * 1000)
        return FileGrant(
            grant_id=wish.command_id or uuid.uuid4().hex,
            charge_point_id=wish.charge_point_id,
            kind=kind,
            created_at_ms=now_ms,
            expires_at_ms=begins_at_ms + self.settings.file_link_hours * HOUR_MS,
        )

    def base_url(self, charge_point_id: str) -> str:
        """Where its files begin: of what is offered, by what it supports. Raises FilesNotHosted,
        NoWayForFiles."""
        settings = self.settings
        offered = offered_by((settings.files_url, settings.files_ftp_url))
        if not offered:
            raise FilesNotHosted
        configuration = self.stores.configurations.find(charge_point_id)
        supported = configuration.items("SupportedFileTransferProtocols")
        protocol = chosen_protocol(supported, offered, settings.files_protocol)
        if protocol is None:
            raise NoWayForFiles(charge_point_id, supported or (), tuple(offered))
        return offered[protocol]

    def _place(self, grant: FileGrant) -> Place:
        base_url = self.base_url(grant.charge_point_id)
        return Place(location_of(grant, base_url, self.settings.credential_pepper), grant)
