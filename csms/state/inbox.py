"""Wakes processes: one capped stream each, read together with the stream of events.

It is only ever a wake-up: what is to be done stands in the records, and every process also looks
by itself every few seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from csms.state import keys
from csms.state.events import Event, read_event
from csms.state.link import Link
from csms.state.pages import pairs

BLOCK_MS = 5_000


class NoteKind(StrEnum):
    WAKE = "wake"  # value: a charge point with something in its outbox
    # value: `<epoch> <charge point id>`: connections older than the epoch must end; 0 means all.
    EVICT = "evict"
    SETTLED = "settled"  # value: a command that somebody here waits for


@dataclass(frozen=True, slots=True)
class Note:
    kind: NoteKind
    value: str


class Inbox:
    """Reads this process's notes and everybody's events. link: one of its own, as it blocks."""

    def __init__(self, link: Link, process_id: str, events_after: str) -> None:
        self._link = link
        self._inbox = keys.inbox(process_id)
        self._after = {self._inbox: "0-0", keys.EVENTS: events_after}

    def read(self) -> tuple[Sequence[Note], Sequence[Event]]:
        """What has come since the last time; waits up to 5 s for it. Raises StoreUnavailable."""
        reply = self._link.call(
            "XREAD",
            "BLOCK",
            BLOCK_MS,
            "COUNT",
            500,
            "STREAMS",
            *self._after.keys(),
            *self._after.values(),
        )
        notes: list[Note] = []
        events: list[Event] = []
        streams = reply.items() if isinstance(reply, dict) else reply or ()
        for stream, entries in streams:
            self._after[stream] = entries[-1][0]
            for entry, fields in entries:
                if stream == self._inbox:
                    words = pairs(fields)
                    notes.append(Note(NoteKind(words["k"]), words["v"]))
                else:
                    events.append(read_event(entry, fields))
        return notes, events


def send(link: Link, process_id: str, note: Note) -> None:
    """Nobody waits for it."""
    link.post(
        "XADD", keys.inbox(process_id), "MAXLEN", "~", 10_000, "*", "k", note.kind, "v", note.value
    )
    link.post("EXPIRE", keys.inbox(process_id), 300)
