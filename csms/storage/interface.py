"""What a storage of files does, whichever it is.

A key is 32 hexadecimal digits and made by us: nothing that anybody sends ever names a file. What is
kept under a key never changes. Where a storage fails itself it raises StorageUnavailable.
"""

import re
from typing import BinaryIO, Protocol

_KEY = re.compile(r"[0-9a-f]{32}")


class PendingFile(Protocol):
    """A file that is being written; nothing is visible under its key before the commit."""

    def write(self, chunk: bytes) -> None:
        """Chunks may have any size."""
        ...

    def commit(self) -> None:
        """On return the file is there, and stays after a crash."""
        ...

    def discard(self) -> None:
        """Nothing of it stays. May be repeated, never raises, and does nothing after a commit."""
        ...


class Storage(Protocol):
    """Many may use one at once."""

    def create(self, key: str) -> PendingFile: ...

    def open(self, key: str) -> BinaryIO:
        """Readable and seekable, to be closed. Raises NotFound."""
        ...

    def delete(self, key: str) -> None:
        """May be repeated; whoever reads the file meanwhile may not get to its end."""
        ...

    def forget_unfinished(self, before_ms: int) -> int:
        """Delete what a crash has left half-written: what nothing was added to since then, or that
        was begun before, as the storage knows it. Answers how many there were."""
        ...


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def checked_key(key: str) -> str:
    """Raises ValueError: a key that is none is a bug of ours, whoever has sent it."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no key of a file")
    return key
