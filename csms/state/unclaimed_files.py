"""Files in the storage that no record has yet, or no longer: what a crash leaves is found here.

Whoever puts a file into the storage notes its key before, and takes it off when the record that
has it is written; whoever deletes such a record notes it again.
"""

from csms.state import keys
from csms.state.link import Link

# The score of a file whose record was deleted: the next sweep may have it.
AT_ONCE_MS = 0


# To look through the whole storage is dear.
LOOK_EVERY_S = 3_600


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

    def look_for_unfinished(self) -> bool:
        """Whether it is time to look through the storage for what is half-written; True once in
        LOOK_EVERY_S, in one process."""
        noted = self._link.call("SET", keys.UNFINISHED_FILES, 1, "NX", "EX", LOOK_EVERY_S)
        return noted is not None
