"""Pages of lists: how every list is read, since every list grows."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from csms.errors import FieldError
from csms.state.link import Link

T = TypeVar("T")
_SCAN_MAX = 2_000
_SCORE = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list; next_cursor is None on the last."""

    items: Sequence[T]
    next_cursor: str | None


def pairs(reply: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """HGETALL's reply as a dict: a flat list in RESP2, a map already where the client made one."""
    if isinstance(reply, Mapping):
        return dict(reply)
    return dict(zip(reply[::2], reply[1::2], strict=True))


def scored(reply: Sequence[str] | Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    """A WITHSCORES reply as (member, score): flat from one client, in pairs from the other."""
    if reply and not isinstance(reply[0], str):
        return [(str(member), float(score)) for member, score in reply]
    flat = list(reply)
    return [
        (str(member), float(str(score)))
        for member, score in zip(flat[::2], flat[1::2], strict=True)
    ]


def records(link: Link, names: Sequence[str]) -> list[dict[str, str]]:
    """The hashes under these keys, in one trip; empty for those that are not there."""
    if not names:
        return []
    return [pairs(reply) for reply in link.batch(*[("HGETALL", name) for name in names])]


def owned_records(
    link: Link, owners_key: str, ids: Sequence[str], name_of: Callable[[str, str], str]
) -> list[tuple[str, str, dict[str, str]]]:
    """Records of any charge points by their ids alone: (charge point id, id, fields) of each.

    owners_key: the hash that knows whose each is. name_of: the key of a charge point's record.
    """
    if not ids:
        return []
    owners = [owner or "" for owner in link.call("HMGET", owners_key, *ids)]
    found = records(link, [name_of(owner, one) for owner, one in zip(owners, ids, strict=True)])
    return list(zip(owners, ids, found, strict=True))


def newest_first(
    link: Link,
    key: str,
    cursor: str | None,
    limit: int,
    load: Callable[[Sequence[str]], Sequence[T | None]],
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> Page[T]:
    """A page of a sorted set whose scores are instants in ms, newest first.

    load turns members into items, None for those the filter leaves out. A page looks at most at
    2,000 members, so that a filter that fits little costs several short pages, not one long wait.
    The cursor is `<score>:<member>` of the last member looked at.
    """
    highest = "+inf" if until_ms is None else str(until_ms)
    lowest = "-inf" if since_ms is None else str(since_ms)
    after = ""
    if cursor:
        score_text, separator, after = cursor.partition(":")
        if not separator or not _SCORE.fullmatch(score_text):
            raise FieldError("cursor", "is not one this list gave out")
        highest = score_text
    items: list[T] = []
    offset = 0
    scanned = 0
    last: tuple[str, float] | None = None
    while True:
        rows = scored(
            link.call(
                "ZREVRANGEBYSCORE",
                key,
                highest,
                lowest,
                "WITHSCORES",
                "LIMIT",
                offset,
                limit + 1,
            )
        )
        # Members with the cursor's own score come before it in reverse order, if they sort above.
        fresh = [
            (member, score)
            for member, score in rows
            if not (after and score == float(highest) and member >= after)
        ]
        for (member, score), item in zip(fresh, load([member for member, _ in fresh]), strict=True):
            if len(items) == limit:
                assert last is not None  # noqa: S101  # limit is at least 1
                return Page(items, f"{int(last[1])}:{last[0]}")
            last = (member, score)
            if item is not None:
                items.append(item)
        scanned += len(rows)
        offset += len(rows)
        if len(rows) <= limit:
            return Page(items, None)
        if scanned >= _SCAN_MAX and last is not None:
            return Page(items, f"{int(last[1])}:{last[0]}")
