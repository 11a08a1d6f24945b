"""A file on its way into the storage: counted, hashed and limited, whoever sends it."""

import hashlib
import uuid

from csms.errors import UploadTooLarge
from csms.state.unclaimed_files import UnclaimedFiles
from csms.storage.interface import Storage


class IncomingFile:
    """storage_key: a new one of ours; nothing is under it before keep. Whoever begins a file keeps
    or abandons it. Raises StorageUnavailable."""

    def __init__(self, storage: Storage, unclaimed: UnclaimedFiles, max_bytes: int) -> None:
        self.storage_key = uuid.uuid4().hex
        self.size_bytes = 0
        self._unclaimed = unclaimed
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._pending = storage.create(self.storage_key)

    @property
    def sha256(self) -> str:
        """In hex, of what has come so far."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Raises UploadTooLarge, and then nothing of the chunk is taken."""
        if self.size_bytes + len(chunk) > self._max_bytes:
            raise UploadTooLarge(self._max_bytes)
        self._pending.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def keep(self, now_ms: int) -> None:
        """It is in the storage from now on, and unclaimed until a record has it."""
        # Noted first: if this process dies in between, the sweep knows which file to delete.
        self._unclaimed.note(self.storage_key, now_ms)
        self._pending.commit()

    def abandon(self) -> None:
        """Nothing of it stays. May be repeated, and does nothing to one that is kept."""
        self._pending.discard()
