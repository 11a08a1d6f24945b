"""What the server needs of the system: whom to let in, what to hand out, where to put uploads."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final

from csms.clock import now_ms
from csms.commands.file_access import open_grant
from csms.commands.uploads import Receiving, UploadDesk
from csms.domain.file_grant import FileGrant, is_grant_id, is_secret_of
from csms.errors import (
    CSMSError,
    FileGrantExpired,
    FileGrantUnknown,
    FileGrantUsed,
    FileGrantWithdrawn,
    NotFound,
    StorageUnavailable,
    StoreRefused,
    StoreUnavailable,
    UploadEmpty,
    UploadsFull,
    UploadTooLarge,
)
from csms.files_server.refused import Refused
from csms.state.stores import Stores
from csms.storage.interface import Storage

_LATER: Final = "This can't be done now; try again later."

# What a failure is answered with; and with which words, where its own are not for charge points.
REPLIES: Mapping[type[CSMSError], tuple[str, str | None]] = {
    FileGrantExpired: ("550", None),
    FileGrantUnknown: ("550", None),
    FileGrantUsed: ("550", None),
    FileGrantWithdrawn: ("550", None),
    NotFound: ("550", "The file is not here any more."),
    UploadTooLarge: ("552", None),
    UploadEmpty: ("451", None),
    UploadsFull: ("452", None),
    StorageUnavailable: ("451", _LATER),
    StoreUnavailable: ("451", _LATER),
    StoreRefused: ("451", _LATER),
}


class Exchange:
    """May be shared by threads. pepper: of the secrets of grants."""

    def __init__(
        self, stores: Stores, storage: Storage, pepper: str, uploads_total_bytes: int
    ) -> None:
        self._stores = stores
        self._storage = storage
        self._pepper = pepper
        self._desk = UploadDesk(stores, storage, uploads_total_bytes)

    def admit(self, user: str, password: str) -> FileGrant:
        """Raises Refused: with 530, or with 421 where nobody can tell now."""
        # Both are looked at, so that time doesn't tell which of them is wrong.
        if not is_secret_of(user, password, self._pepper) or not is_grant_id(user):
            raise Refused("530", "This user is unknown, or its password wrong.")
        try:
            return open_grant(user, self._stores, now_ms())
        except (StoreUnavailable, StoreRefused):
            raise Refused("421", _LATER) from None
        except CSMSError as error:
            raise Refused("530", str(error)) from None

    def fetch(self, grant: FileGrant) -> BinaryIO:
        """The file of a download, to be closed. Raises Refused, as the login may be long ago."""
        with refusing():
            open_grant(grant.grant_id, self._stores, now_ms())
            return self._storage.open(grant.storage_key)

    def receive(
        self, grant: FileGrant, file_name: str, protocol: str, remote_address: str
    ) -> "Upload":
        """Raises Refused."""
        with refusing():
            receiving = self._desk.begin(grant.grant_id, now_ms())
        return Upload(self._stores, receiving, file_name, protocol, remote_address)


class Upload:
    """One on its way; it is finished or abandoned."""

    def __init__(
        self,
        stores: Stores,
        receiving: Receiving,
        file_name: str,
        protocol: str,
        remote_address: str,
    ) -> None:
        self._stores = stores
        self._receiving = receiving
        self._file_name = file_name
        self._protocol = protocol
        self._remote_address = remote_address

    def write(self, chunk: bytes) -> None:
        """Raises Refused."""
        with refusing():
            self._receiving.write(chunk)

    def finish(self) -> None:
        """All of it is here. Raises Refused."""
        with refusing():
            self._receiving.finish(self._file_name, self._protocol, self._remote_address, now_ms())
        if changed := self._stores.changed.take():
            self._stores.events.publish(changed)

    def abandon(self) -> None:
        self._receiving.abandon()


@contextmanager
def refusing() -> Iterator[None]:
    """Failures as what charge points are answered."""
    try:
        yield
    except tuple(REPLIES) as error:
        code, text = REPLIES[type(error)]
        raise Refused(code, text or str(error)) from error
