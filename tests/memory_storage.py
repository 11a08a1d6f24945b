"""A storage of files in memory, as strict as the real ones, that fails when it is told to."""

import io

from csms.errors import NotFound, StorageUnavailable
from csms.storage.interface import checked_key


class MemoryStorage:
    """failing: names of what fails now, such as `commit`. opened: every file that was opened."""

    def __init__(self):
        self.files = {}
        self.pending = {}
        self.failing = set()
        self.opened = []
        self.forgotten_before_ms = []

    def check(self, doing):
        if doing in self.failing:
            raise StorageUnavailable("No space left on device")

    def create(self, key):
        self.check("create")
        assert checked_key(key) not in {*self.files, *self.pending}
        return _MemoryPendingFile(self, key)

    def open(self, key):
        self.check("open")
        if checked_key(key) not in self.files:
            raise NotFound("file", key)
        self.opened.append(io.BytesIO(self.files[key]))
        return self.opened[-1]

    def delete(self, key):
        self.check("delete")
        self.files.pop(checked_key(key), None)

    def forget_unfinished(self, before_ms):
        self.check("forget_unfinished")
        self.forgotten_before_ms.append(before_ms)
        return 0

    def keep(self, key, content):
        pending = self.create(key)
        pending.write(content)
        pending.commit()

    @property
    def is_empty(self):
        """Nothing is kept, and nothing half-written."""
        return not self.files and not self.pending


class _MemoryPendingFile:
    def __init__(self, storage, key):
        self._storage, self._key = storage, key
        self._storage.pending[key] = bytearray()

    def write(self, chunk):
        self._storage.check("write")
        self._storage.pending[self._key] += chunk

    def commit(self):
        self._storage.check("commit")
        self._storage.files[self._key] = bytes(self._storage.pending.pop(self._key))

    def discard(self):
        self._storage.pending.pop(self._key, None)


# For those who keep no file.
NO_FILES = MemoryStorage()
