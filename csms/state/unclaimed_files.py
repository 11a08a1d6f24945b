"""Files in the storage that no record has yet, or no longer: what a crash leaves is found here.

Whoever puts a file into the storage notes its key before, and takes it off when the record that
has it is written; whoever deletes such a record notes it again.
"""

from csms.state import keys
from csms.state.link import Link

# The score of a file whose record was deleted: the next sweep may have it.
AT_ONCE_MS = 0


class UnclaimedFiles:
    def __init__(self, link: Link) -> None:
        self._link = link

    def note(self, storage_key: str, now_ms: int) -> None:
        self._link.call("ZADD", keys.UNCLAIMED_FILES, now_ms, storage_key)

    def claimed(self, storage_key: str) -> None:
        """A record has it now, or it is deleted; may be repeated."""
        self._link.call("ZREM", keys.UNCLAIMED_FILES, storage_key)

    def older_than(self, before_ms: int, limit: int) -> list[str]:
        """Those noted before an instant, the oldest first."""
        found: list[str] = self._link.call(
            "ZRANGEBYSCORE", keys.UNCLAIMED_FILES, "-inf", f"({before_ms}", "LIMIT", 0, limit
        )
        return found
