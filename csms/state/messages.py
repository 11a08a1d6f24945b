"""The OCPP message log of each charge point: both directions, capped, secrets masked.

An exchange is one entry, written after its answer is known, together with whatever else goes to
the store then; nobody waits for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from csms.domain.secrets import mask_frame
from csms.errors import FieldError
from csms.state import keys
from csms.state.link import Link
from csms.state.pages import Page, pairs

FRAME_MAX = 8_192
# Ids of stream entries are two 64-bit numbers; the store takes longer ones for an error.
_ENTRY = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Message:
    """A frame as it was on the wire, secrets masked, cut at 8 KiB. direction: `received` from the
    charge point or `sent` to it. entry: its place in the log."""

    entry: str
    direction: str
    at_ms: int
    frame: str


class Messages:
    """kept: how many exchanges a charge point's log holds, about."""

    def __init__(self, link: Link, kept: int) -> None:
        self._link = link
        self._kept = kept

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
            f"r {at_ms} {answered_at_ms} {len(shown)} {shown}{answer[:FRAME_MAX]}",
        )

    def sent(self, charge_point_id: str, frame: str, at_ms: int) -> None:
        """Note a CALL of ours."""
        shown = mask_frame(frame)[:FRAME_MAX]
        self._note(charge_point_id, f"s {at_ms} 0 {len(shown)} {shown}")

    def _note(self, charge_point_id: str, exchange: str) -> None:
        # One field: to pack and to keep four costs 2 µs more, with every frame.
        self._link.post(
            "XADD", keys.messages(charge_point_id), "MAXLEN", "~", self._kept, "*", "e", exchange
        )

    def page(self, charge_point_id: str, cursor: str | None, limit: int) -> Page[Message]:
        """Newest first; limit counts exchanges. Raises FieldError for a foreign cursor."""
        if cursor is not None and not _ENTRY.fullmatch(cursor):
            raise FieldError("cursor", "is not one this list gave out")
        highest = f"({cursor}" if cursor else "+"
        entries = self._link.call(
            "XREVRANGE", keys.messages(charge_point_id), highest, "-", "COUNT", limit + 1
        )
        messages: list[Message] = []
        for entry, fields in entries[:limit]:
            messages += _unfold(entry, fields)
        return Page(messages, entries[limit - 1][0] if len(entries) > limit else None)


def _unfold(entry: str, reply: Sequence[str]) -> list[Message]:
    kind, at_ms, answered_at_ms, length, texts = pairs(reply)["e"].split(" ", 4)
    frame, answer = texts[: int(length)], texts[int(length) :]
    if kind == "s":
        return [Message(entry, "sent", int(at_ms), frame)]
    received = Message(entry, "received", int(at_ms), frame)
    if not answer:
        return [received]
    return [Message(entry, "sent", int(answered_at_ms), answer), received]
