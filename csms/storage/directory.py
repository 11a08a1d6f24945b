"""Files in a directory that all processes see, each named by its key.

A file is written beside its place and renamed into it, so that none is ever seen in part.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from csms.errors import NotFound, StorageUnavailable
from csms.storage.interface import checked_key, is_key

_PART = ".part"
# Written to disk every so often: all at once would take seconds.
_SYNC_EVERY_BYTES = 8 * 1_048_576
# Does what takes its time, and returns when it is done.
Aside = Callable[[Callable[[], None]], None]


def at_once(work: Callable[[], None]) -> None:
    work()


class DirectoryStorage:
    """directory is made with the first file. aside: has the disk waited for where that keeps
    nobody else waiting; a process of greenlets needs a thread for it."""

    def __init__(self, directory: Path, aside: Aside = at_once) -> None:
        self._directory = directory
        self._aside = aside

    def create(self, key: str) -> "DirectoryPendingFile":
        path = self._path(key)
        with _failures():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return DirectoryPendingFile(path, self._aside)

    def open(self, key: str) -> BinaryIO:
        path = self._path(key)
        with _failures():
            try:
                return path.open("rb")
            except FileNotFoundError:
                raise NotFound("file", key) from None

    def delete(self, key: str) -> None:
        with _failures():
            self._path(key).unlink(missing_ok=True)

    def forget_unfinished(self, before_ms: int) -> int:
        with _failures():
            left = [path for path in self._parts() if _written_at_ms(path) < before_ms]
            for path in left:
                path.unlink(missing_ok=True)
            return len(left)

    def _parts(self) -> Iterator[Path]:
        if self._directory.exists():
            for path in self._directory.glob(f"*{_PART}"):
                if is_key(path.stem):
                    yield path

    def _path(self, key: str) -> Path:
        return self._directory / checked_key(key)


class DirectoryPendingFile:
    """path: where it will be. Raises OSError."""

    def __init__(self, path: Path, aside: Aside) -> None:
        self._path = path
        self._aside = aside
        self._part = path.with_name(path.name + _PART)
        self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._unsynced_bytes = 0
        self._ended = False

    def write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        with _failures():
            while left:
                left = left[os.write(self._descriptor, left) :]
            self._unsynced_bytes += len(chunk)
            if self._unsynced_bytes >= _SYNC_EVERY_BYTES:
                self._sync()
                self._unsynced_bytes = 0

    def commit(self) -> None:
        with _failures():
            self._sync()
            self._part.rename(self._path)
            self._end()
            self._aside(lambda: _sync_directory(self._path.parent))

    def discard(self) -> None:
        if self._ended:
            return
        self._end()
        try:
            self._part.unlink(missing_ok=True)
        except OSError:  # whoever discards has a failure already; forget_unfinished comes by
            pass

    def _sync(self) -> None:
        descriptor = self._descriptor
        self._aside(lambda: os.fsync(descriptor))

    def _end(self) -> None:
        self._ended = True
        os.close(self._descriptor)


def _sync_directory(directory: Path) -> None:
    """So that the name, too, is there after a crash."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written_at_ms(path: Path) -> float:
    """That of one which is finished meanwhile is later than everything."""
    try:
        return path.stat().st_mtime * 1000
    except FileNotFoundError:
        return float("inf")


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(error.strerror or type(error).__name__) from error
