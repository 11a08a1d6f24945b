"""When the recurring duties of the workers are due: as data, so that none is lost or done twice.

A duty is taken for a while, not for good: where a worker dies with it, it is due again when that
while is over.
"""

from collections.abc import Mapping

from csms.state import keys
from csms.state.link import Link, Script
from csms.state.pages import scored

_TAKE = Script(
    "take-duty",
    """
    -- KEYS[1] duties; ARGV: name, now, due again at, no later than. One that is due later than
    -- that was put off by a clock that was wrong.
    local due = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
    if due > tonumber(ARGV[2]) and due <= tonumber(ARGV[4]) then return 0 end
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    return 1
    """,
)


class Duties:
    def __init__(self, link: Link) -> None:
        self._link = link

    def due(self, periods_ms: Mapping[str, int], now_ms: int) -> list[str]:
        """Those of `periods_ms` (a duty's name and how often it is done) whose time has come."""
        found = dict(scored(self._link.call("ZRANGE", keys.DUTIES, 0, -1, "WITHSCORES")))
        return [
            name
            for name, period_ms in periods_ms.items()
            if not now_ms < found.get(name, 0) <= now_ms + _latest(period_ms)
        ]

    def take(self, name: str, period_ms: int, now_ms: int) -> bool:
        """Whether it is due, and the caller's to do; nobody else gets it for TAKEN_MS."""
        latest_ms = now_ms + _latest(period_ms)
        return bool(
            self._link.run(_TAKE, [keys.DUTIES], [name, now_ms, now_ms + TAKEN_MS, latest_ms])
        )

    def done(self, name: str, due_at_ms: int) -> None:
        """It was done, and is due again then."""
        self._link.call("ZADD", keys.DUTIES, due_at_ms, name)


# Longer than any duty takes.
TAKEN_MS = 120_000


def _latest(period_ms: int) -> int:
    return max(period_ms, TAKEN_MS)
