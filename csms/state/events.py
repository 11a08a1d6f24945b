"""What the page learns live: one capped stream of what has changed, not of the changes.

Every process gathers the ids that changed and writes them a few times a second as one entry;
a browser that hears of one it shows asks for it anew. So an event can be lost, doubled or late and
the page is still true.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from csms.state import keys
from csms.state.link import Link
from csms.state.pages import pairs

KEPT = 2_000
PER_ENTRY_MAX = 500


@dataclass(frozen=True, slots=True)
class Event:
    """entry: its id in the stream. charge_points: ids of those that changed; all_changed: too
    many to name."""

    entry: str
    charge_points: tuple[str, ...]
    all_changed: bool = False


@dataclass(slots=True)
class ChangedChargePoints:
    """Gathers what changed in this process since the last flush."""

    _ids: set[str] = field(default_factory=set)

    def add(self, charge_point_id: str) -> None:
        self._ids.add(charge_point_id)

    def take(self) -> set[str]:
        taken, self._ids = self._ids, set()
        return taken


class Events:
    def __init__(self, link: Link) -> None:
        self._link = link

    def publish(self, changed: set[str]) -> None:
        """Nobody waits for it."""
        named = sorted(changed) if len(changed) <= PER_ENTRY_MAX else []
        self._link.post("XADD", keys.EVENTS, "MAXLEN", "~", KEPT, "*", "c", orjson.dumps(named))

    def last(self) -> str:
        """The newest entry's id, `0-0` where there is none: where a reader begins."""
        entries = self._link.call("XREVRANGE", keys.EVENTS, "+", "-", "COUNT", 1)
        return str(entries[0][0]) if entries else "0-0"


def read_event(entry: str, reply: Mapping[str, str] | list[str]) -> Event:
    named = tuple(orjson.loads(pairs(reply).get("c", "[]")))
    return Event(entry, named, all_changed=not named)
