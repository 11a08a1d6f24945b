"""The one place that reads the wall clock; everything else is given `now`.

Machines disagree about the time, and records are ordered and expire by it whichever process wrote
them. So every process goes by the clock that all share: the store's (state/shared_clock.py).
"""

import time
from datetime import UTC, datetime

# Clocks that differ by less are equal: no instant shall go back because of a slow answer.
TOLERATED_MS = 500

_behind_ms = 0
_last: tuple[int, str] | None = None


def now() -> datetime:
    """The present instant, aware, UTC."""
    return datetime.fromtimestamp(now_ms() / 1000, UTC)


def now_ms() -> int:
    """Milliseconds since 1970-01-01T00:00:00Z; what records and scores are kept in."""
    return time.time_ns() // 1_000_000 + _behind_ms


def follow(shared_ms: int, asked_ms: int) -> int:
    """Go by another clock from now on; by how much that changes ours, 0 where it is near enough.

    asked_ms: now_ms() before it was asked; shared_ms: what it answered.
    """
    global _behind_ms  # noqa: PLW0603  # one clock a process
    answered_ms = now_ms()
    behind_ms = shared_ms - (asked_ms + answered_ms) // 2
    if abs(behind_ms) <= TOLERATED_MS + abs(answered_ms - asked_ms) // 2:
        return 0
    _behind_ms += behind_ms
    return behind_ms


def text_of(instant_ms: int) -> str:
    """`2026-11-22T19:45:00.123Z`: the only form in which instants leave this system.

    Formatted at most once a millisecond: strftime per frame was 13 % of the frame path.
    """
    global _last  # noqa: PLW0603  # a one-entry cache; one tuple, so that threads see whole entries
    last = _last
    if last is None or last[0] != instant_ms:
        seconds, ms = divmod(instant_ms, 1000)
        text = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03d}Z"
        _last = last = (instant_ms, text)
    return last[1]
