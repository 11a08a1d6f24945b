"""Files that may be replaced at any time: when they are to be read anew."""

from collections.abc import Iterable
from pathlib import Path


class WatchedFiles:
    """To be made before the files are read for the first time."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._read_as = self._seen = self._stamps()

    def look(self) -> bool:
        """Whether to read them again: they have changed, and been left alone since the last look,
        as a certificate and its key are rarely replaced in the same instant. Said once a change."""
        stamps = self._stamps()
        settled, self._seen = stamps == self._seen, stamps
        if not settled or stamps == self._read_as:
            return False
        self._read_as = stamps
        return True

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
