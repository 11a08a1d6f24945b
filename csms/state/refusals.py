"""Connections that were refused: who, why, from where, how often; counted, not listed each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from csms.errors import FieldError
from csms.state import keys
from csms.state.link import Link, Script
from csms.state.pages import Page, newest_first, records

KEPT = 10_000
KEPT_S = 30 * 86_400

_REFUSE = Script(
    "record-refusal",
    """
    -- KEYS: 1 record, 2 index; ARGV: 1 digest, 2 now, 3 kept s, 4 id, 5 reason, 6 remote address
    redis.call('HSETNX', KEYS[1], 'first_at_ms', ARGV[2])
    redis.call('HSET', KEYS[1], 'id', ARGV[4], 'reason', ARGV[5], 'remote_address', ARGV[6],
      'last_at_ms', ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    return redis.call('HINCRBY', KEYS[1], 'count', 1)
    """,
)


@dataclass(frozen=True, slots=True)
class RefusedConnection:
    charge_point_id: str
    reason: str
    remote_address: str
    count: int
    first_at_ms: int
    last_at_ms: int


class Refusals:
    def __init__(self, link: Link) -> None:
        self._link = link

    def record(self, charge_point_id: str, reason: str, remote_address: str, now_ms: int) -> None:
        """Nobody waits for it: a flood of refusals must cost little."""
        shown_id = charge_point_id[:64]
        digest = hashlib.blake2b(
            f"{shown_id}\n{reason}\n{remote_address}".encode("utf-8", "replace"), digest_size=12
        ).hexdigest()
        self._link.post(
            *_REFUSE.call(
                [keys.refusal(digest), keys.REFUSALS],
                [digest, now_ms, KEPT_S, shown_id, reason, remote_address],
            )
        )
        self._link.post("ZADD", keys.REFUSALS, now_ms, digest)

    def page(
        self, cursor: str | None, limit: int, charge_point_id: str | None = None
    ) -> Page[RefusedConnection]:
        """Newest first. Raises FieldError for a foreign cursor."""
        if limit < 1:
            raise FieldError("limit", "must be at least 1")

        def load(digests: Sequence[str]) -> list[RefusedConnection | None]:
            rows = records(self._link, [keys.refusal(digest) for digest in digests])
            found = [_refusal(fields) if fields else None for fields in rows]
            return [
                r if r and charge_point_id in (None, r.charge_point_id) else None for r in found
            ]

        return newest_first(self._link, keys.REFUSALS, cursor, limit, load)

    def trim(self, now_ms: int) -> None:
        """Drop what is too old or too much."""
        self._link.batch(
            ("ZREMRANGEBYSCORE", keys.REFUSALS, "-inf", now_ms - KEPT_S * 1000),
            ("ZREMRANGEBYRANK", keys.REFUSALS, 0, -1 - KEPT),
        )


def _refusal(fields: dict[str, str]) -> RefusedConnection:
    return RefusedConnection(
        charge_point_id=fields["id"],
        reason=fields["reason"],
        remote_address=fields["remote_address"],
        count=int(fields.get("count", "0")),
        first_at_ms=int(fields["first_at_ms"]),
        last_at_ms=int(fields["last_at_ms"]),
    )
