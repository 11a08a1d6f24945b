"""The OCPP message log of each charge point: both directions, capped, secrets masked.

Exchanges are gathered for a fraction of a second and written together: the log is for people, so
that nobody waits for it, and the last moment of a process that is killed is missing from it.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from csms.domain.secrets import mask_frame
from csms.errors import FieldError
from csms.state import keys
from csms.state.link import Link
from csms.state.pages import Page

FRAME_MAX = 8_192
# A charge point that says more than this between two writes loses the older of it.
GATHERED_MAX = 200
# How long the log of a charge point stays that says nothing any more, or was deleted.
SILENT_KEPT_S = 90 * 86_400
# How many exchanges a search reads at once: a charge point may keep 100,000.
_READ_AT_ONCE = 200
_CURSOR = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")

T = TypeVar("T")


class Direction(StrEnum):
    """Received from the charge point, or sent to it."""

    RECEIVED = "received"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Message:
    """A frame as it was on the wire, secrets masked, cut at 8 KiB. entry: its place in the log."""

    entry: str
    direction: Direction
    at_ms: int
    frame: str


class Messages:
    """kept: how many exchanges a charge point's log holds."""

    def __init__(self, link: Link, kept: int) -> None:
        self._link = link
        self._kept = kept
        self._gathered: dict[str, list[str]] = {}
        # Tells exchanges of the same millisecond apart.
        self._numbers = itertools.count()

    def received(
        self,
        charge_point_id: str,
        frame: str,
        at_ms: int,
        answer: str = "",
        answered_at_ms: int = 0,
    ) -> None:
        """Note a frame of the charge point and what it was answered ("" for nothing)."""
        shown = mask_frame(frame)[:FRAME_MAX]
        self._note(
            charge_point_id,
            f"{at_ms}-{next(self._numbers)} r {at_ms} {answered_at_ms} {len(shown)} "
            f"{shown}{answer[:FRAME_MAX]}",
        )

    def sent(self, charge_point_id: str, frame: str, at_ms: int) -> None:
        """Note a CALL of ours."""
        shown = mask_frame(frame)[:FRAME_MAX]
        self._note(
            charge_point_id, f"{at_ms}-{next(self._numbers)} s {at_ms} 0 {len(shown)} {shown}"
        )

    def _note(self, charge_point_id: str, exchange: str) -> None:
        gathered = self._gathered.get(charge_point_id)
        if gathered is None:
            self._gathered[charge_point_id] = [exchange]
        else:
            gathered.append(exchange)

    def write(self) -> Iterator[None]:
        """Write what was gathered, a charge point at a step, so that others get their turn."""
        # What is gathered meanwhile waits for the next time, or a busy process would never end.
        for charge_point_id in list(self._gathered):
            self._write_of(charge_point_id)
            yield

    def _write_of(self, charge_point_id: str) -> None:
        exchanges = self._gathered.pop(charge_point_id, None)
        if exchanges:
            key = keys.messages(charge_point_id)
            self._link.post("RPUSH", key, *exchanges[-GATHERED_MAX:])
            self._link.post("LTRIM", key, -self._kept, -1)
            self._link.post("EXPIRE", key, SILENT_KEPT_S)

    def page(self, charge_point_id: str, cursor: str | None, limit: int) -> Page[Message]:
        """Newest first; limit counts exchanges. Raises FieldError for a foreign cursor."""
        return self.chosen(charge_point_id, cursor, limit, lambda exchange: exchange)

    def chosen(
        self,
        charge_point_id: str,
        cursor: str | None,
        limit: int,
        choose: Callable[[Sequence[Message]], Sequence[T]],
    ) -> Page[T]:
        """page, of what choose makes of each exchange; one of which it makes nothing is passed
        over. Looks through all that is kept, if it must."""
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise FieldError("cursor", "is not one this list gave out")
        messages: list[T] = []
        shown = 0
        last = ""
        passed = cursor is None
        for exchange in self._newest_first(charge_point_id, limit + 1):
            entry = exchange[: exchange.index(" ")]
            if not passed:
                passed = entry == cursor
                continue
            found = choose(_unfold(exchange))
            if not found:
                continue
            if shown == limit:
                return Page(messages, last)
            messages += found
            shown, last = shown + 1, entry
        return Page(messages, None)

    def calls_sent(self, charge_point_id: str) -> Iterator[Message]:
        """All CALLs of ours, newest first."""
        for exchange in self._newest_first(charge_point_id, _READ_AT_ONCE):
            [message, *others] = _unfold(exchange)
            if message.direction is Direction.SENT and not others:
                yield message

    def _newest_first(self, charge_point_id: str, step: int) -> Iterator[str]:
        """All exchanges, read a few at a time: step, and then more."""
        self._write_of(charge_point_id)
        key = keys.messages(charge_point_id)
        seen: set[str] = set()
        behind = 0
        while behind < self._kept:
            exchanges = self._link.call("LRANGE", key, -behind - step, -behind - 1)
            for exchange in reversed(exchanges):
                if exchange not in seen:  # what came meanwhile has moved some further back
                    seen.add(exchange)
                    yield exchange
            if len(exchanges) < step:
                return
            behind, step = behind + step, max(step, _READ_AT_ONCE)


def _unfold(exchange: str) -> list[Message]:
    entry, kind, at_ms, answered_at_ms, length, texts = exchange.split(" ", 5)
    frame, answer = texts[: int(length)], texts[int(length) :]
    if kind == "s":
        return [Message(entry, Direction.SENT, int(at_ms), frame)]
    received = Message(entry, Direction.RECEIVED, int(at_ms), frame)
    if not answer:
        return [received]
    return [Message(entry, Direction.SENT, int(answered_at_ms), answer), received]
