"""The clock that all processes go by: the store's, since they have no other in common.

A process whose machine is two hours ahead would else take reservations for expired, and think a
command that another process sent before its own to be the later one.
"""

from csms import clock
from csms.logs import get_logger
from csms.state.link import Link

log = get_logger(__name__)


def follow(link: Link) -> None:
    """Ask what time it is there. Raises StoreUnavailable; the clock stays as it is then."""
    asked_ms = clock.now_ms()
    seconds, microseconds = link.call("TIME")
    behind_ms = clock.follow(int(seconds) * 1000 + int(microseconds) // 1000, asked_ms)
    if behind_ms:
        log.warning("clock follows the store's", changed_by_ms=behind_ms)
