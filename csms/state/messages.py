"""The OCPP message log of each charge point: both directions, capped, secrets masked.

Exchanges are gathered for a fraction of a second and written together: the log is for people, so
that nobody waits for it, and the last moment of a process that is killed is missing from it.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

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
_CURSOR = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Message:
    """A frame as it was on the wire, secrets masked, cut at 8 KiB. direction: `received` from the
    charge point or `sent` to it. entry: its place in the log."""

    entry: str
    direction: str
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
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise FieldError("cursor", "is not one this list gave out")
        self._write_of(charge_point_id)
        messages: list[Message] = []
        shown = 0
        last = ""
        passed = cursor is None
        for exchange in self._newest_first(charge_point_id, limit + 1):
            entry = exchange[: exchange.index(" ")]
            if not passed:
                passed = entry == cursor
            elif shown == limit:
                return Page(messages, last)
            else:
                messages += _unfold(exchange)
                shown, last = shown + 1, entry
        return Page(messages, None)

    def _newest_first(self, charge_point_id: str, step: int) -> Iterator[str]:
        """All exchanges, read a few at a time."""
        key = keys.messages(charge_point_id)
        seen: set[str] = set()
        for behind in range(0, self._kept, step):
            exchanges = self._link.call("LRANGE", key, -behind - step, -behind - 1)
            for exchange in reversed(exchanges):
                if exchange not in seen:  # what came meanwhile has moved some further back
                    seen.add(exchange)
                    yield exchange
            if len(exchanges) < step:
                return


def _unfold(exchange: str) -> list[Message]:
    entry, kind, at_ms, answered_at_ms, length, texts = exchange.split(" ", 5)
    frame, answer = texts[: int(length)], texts[int(length) :]
    if kind == "s":
        return [Message(entry, "sent", int(at_ms), frame)]
    received = Message(entry, "received", int(at_ms), frame)
    if not answer:
        return [received]
    return [Message(entry, "sent", int(answered_at_ms), answer), received]
