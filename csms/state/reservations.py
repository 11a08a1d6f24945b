"""Reservations as records: every change is what the rules make of the record as it is (compare and
set), so that each happens once, whoever does it and whatever dies meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from csms.domain.connector import Connector
from csms.domain.reservation import (
    RESERVATION_ID_MAX,
    Reservation,
    ReservationState,
    Start,
    Terms,
    Wish,
    effective,
    reported,
    used,
    used_by,
)
from csms.domain.transaction import first_transaction_id
from csms.errors import NotFound, StoreRefused
from csms.logs import get_logger
from csms.state import keys
from csms.state.fence import check
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import Page, newest_first, scored
from csms.state.records import ALLOCATE

log = get_logger(__name__)

KEPT_PER_CHARGE_POINT = 200
KEPT_IN_ALL = 20_000
KEPT_ENDED_S = 90 * 86_400
# How long after a command was to be queued somebody looks whether it was, and what came of it.
LOOK_AGAIN_MS = 60_000
# How many of the latest may be the one that a start, sent again, has used already.
RECENT = 20
TRIES = 20

_KEEP = Script(
    "keep-reservation",
    """
    -- KEYS: 1 record, 2 reservations of the charge point, 3 active ones, 4 live or none
    -- ARGV: 1 id, 2 the record before or '', 3 the record, 4 created at, 5 whether it is active,
    --       6 s the ended are kept, 7 how many are kept, 8 key prefix of records, 9 epoch
    if KEYS[4] and redis.call('HGET', KEYS[4], 'epoch') ~= ARGV[9] then return 'STALE' end
    if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return 'CHANGED' end
    redis.call('SET', KEYS[1], ARGV[3])
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
    if ARGV[5] == '1' then
      redis.call('SADD', KEYS[3], ARGV[1])
    else
      redis.call('SREM', KEYS[3], ARGV[1])
      redis.call('EXPIRE', KEYS[1], ARGV[6])
    end
    -- No charge point has so many active ones; where one seems to, the oldest go all the same.
    local most = tonumber(ARGV[7])
    local excess = redis.call('ZRANGE', KEYS[2], 0, -1 - most)
    local too_many = redis.call('SCARD', KEYS[3]) > most
    for _, id in ipairs(excess) do
      if too_many or redis.call('SISMEMBER', KEYS[3], id) == 0 then
        redis.call('DEL', ARGV[8] .. id)
        redis.call('ZREM', KEYS[2], id)
        redis.call('SREM', KEYS[3], id)
      end
    end
    return 'KEPT'
    """,
)

_LOOKED_AT = Script(
    "looked-at-reservation",
    """
    -- KEYS[1] due; ARGV: 1 member, 2 now, 3 when to look again or ''
    -- What has been put off meanwhile stays where it is.
    local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
    if not due or tonumber(due) > tonumber(ARGV[2]) then return 0 end
    if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    return 1
    """,
)

Rule = Callable[[Reservation | None], Reservation | None]


@dataclass(frozen=True, slots=True)
class Due:
    """A reservation somebody must look at: its time is over, or a command about it should be."""

    charge_point_id: str
    reservation_id: int


class Reservations:
    def __init__(self, link: Link) -> None:
        self._link = link

    def new_id(self, charge_point_id: str, now_ms: int) -> int:
        """One that was never handed out, and that nobody has chosen for this charge point by hand.

        Raises StoreRefused at the end of the 31-bit range.
        """
        while True:
            first = first_transaction_id(now_ms)
            reservation_id = int(self._link.run(ALLOCATE, [keys.RESERVATION_IDS], [first, 1]))
            if reservation_id > RESERVATION_ID_MAX:
                raise StoreRefused("The reservation ids are used up.")
            if not self._link.call("EXISTS", keys.reservation(charge_point_id, reservation_id)):
                return reservation_id

    def find(self, charge_point_id: str, reservation_id: int) -> Reservation | None:
        text = self._link.call("GET", keys.reservation(charge_point_id, reservation_id))
        return _reservation(text) if text else None

    def get(self, charge_point_id: str, reservation_id: int) -> Reservation:
        """Raises NotFound, also for one that is no longer kept."""
        found = self.find(charge_point_id, reservation_id)
        if found is None:
            raise NotFound("reservation", str(reservation_id))
        return found

    def change(
        self,
        charge_point_id: str,
        reservation_id: int,
        rule: Rule,
        now_ms: int,
        *,
        epoch: int | None = None,
    ) -> Reservation | None:
        """Make of the record what the rule makes of it; None where that is nothing new.

        The rule may be asked again, of a record that somebody else has changed meanwhile.
        epoch: of the connection on whose behalf it is. Raises StaleEpoch.
        """
        key = keys.reservation(charge_point_id, reservation_id)
        for _ in range(TRIES):
            text = self._link.call("GET", key) or ""
            before = _reservation(text) if text else None
            after = rule(before)
            if after is None or after == before:
                return None
            if self._keep(after, text, now_ms, epoch):
                if before is None or before.state is not after.state:
                    _tell(after)
                return after
        raise StoreRefused(f"Reservation {reservation_id} is changed all the time.")

    def _keep(self, record: Reservation, text_before: str, now_ms: int, epoch: int | None) -> bool:
        """False where the record is not what it was before."""
        charge_point_id, reservation_id = record.charge_point_id, record.reservation_id
        names = [
            keys.reservation(charge_point_id, reservation_id),
            keys.reservations_of(charge_point_id),
            keys.active_reservations(charge_point_id),
        ]
        arguments: list[Argument] = [
            reservation_id,
            text_before,
            orjson.dumps(record),
            record.created_at_ms,
            int(record.is_active),
            KEPT_ENDED_S,
            KEPT_PER_CHARGE_POINT,
            keys.reservation(charge_point_id, ""),
        ]
        if epoch is not None:
            names.append(keys.live(charge_point_id))
            arguments.append(epoch)
        # In the lists before it is there: whoever comes too early finds nothing, and a crash
        # leaves one look too many, never one too few. Only whoever looks takes it off them.
        member = _member(charge_point_id, reservation_id)
        due_at_ms = _due_at_ms(record, now_ms) or now_ms + LOOK_AGAIN_MS
        replies = self._link.batch(
            ("ZADD", keys.RESERVATIONS, record.created_at_ms, member),
            ("ZADD", keys.RESERVATIONS_DUE, due_at_ms, member),
            _KEEP.call(names, arguments),
        )
        check(replies[2], charge_point_id)
        return bool(replies[2] == "KEPT")

    def active(self, charge_point_id: str) -> list[Reservation]:
        """Those asked for or accepted, as recorded: their time may be over."""
        ids = self._link.call("SMEMBERS", keys.active_reservations(charge_point_id))
        return self._load(charge_point_id, sorted(ids, key=int))

    def standing(self, charge_point_id: str, now_ms: int) -> list[Reservation]:
        """Those that are active now, in the order in which they end."""
        found = [effective(record, now_ms) for record in self.active(charge_point_id)]
        return sorted(
            (record for record in found if record.is_active),
            key=lambda record: record.terms.expires_at_ms,
        )

    def _load(self, charge_point_id: str, ids: Sequence[str]) -> list[Reservation]:
        if not ids:
            return []
        texts = self._link.call("MGET", *[keys.reservation(charge_point_id, one) for one in ids])
        return [_reservation(text) for text in texts if text]

    def use(
        self, charge_point_id: str, epoch: int | None, start: Start, now_ms: int
    ) -> Reservation | None:
        """The reservation that an accepted start has used up just now, None where there is none.

        May be repeated. Raises StaleEpoch.
        """
        ids, recent = self._link.batch(
            ("SMEMBERS", keys.active_reservations(charge_point_id)),
            ("ZREVRANGE", keys.reservations_of(charge_point_id), 0, RECENT - 1),
        )
        named = set() if start.reservation_id is None else {str(start.reservation_id)}
        known = self._load(charge_point_id, sorted({*ids, *recent, *named}, key=int))
        found = used_by(known, start)
        if found is None:
            return None

        def rule(before: Reservation | None) -> Reservation | None:
            if before is None or used_by([before], start) is None:
                return None
            return used(before, start.transaction_id, now_ms)

        return self.change(charge_point_id, found.reservation_id, rule, now_ms, epoch=epoch)

    def report(
        self,
        charge_point_id: str,
        epoch: int | None,
        connector: Connector,
        before: Connector | None,
    ) -> None:
        """End what a StatusNotification ends. May be repeated. Raises StaleEpoch.

        before: what the connector reported last.
        """

        def rule(record: Reservation | None) -> Reservation | None:
            return record and reported(record, connector, before)

        now_ms = connector.received_at_ms
        for record in self.active(charge_point_id):
            if rule(record) != record:
                self.change(charge_point_id, record.reservation_id, rule, now_ms, epoch=epoch)

    def page(
        self,
        cursor: str | None,
        limit: int,
        now_ms: int,
        *,
        charge_point_id: str | None = None,
        state: ReservationState | None = None,
    ) -> Page[Reservation]:
        """As they are now, those asked for last first."""

        def load(members: Sequence[str]) -> Sequence[Reservation | None]:
            if not members:
                return []
            owners = [_split(member, charge_point_id) for member in members]
            texts = self._link.batch(
                *[("GET", keys.reservation(owner, number)) for owner, number in owners]
            )
            found = [effective(_reservation(text), now_ms) if text else None for text in texts]
            return [one if one and state in (None, one.state) else None for one in found]

        key = (
            keys.RESERVATIONS if charge_point_id is None else keys.reservations_of(charge_point_id)
        )
        return newest_first(self._link, key, cursor, limit, load)

    def due(self, now_ms: int, limit: int) -> list[Due]:
        members = self._link.call(
            "ZRANGEBYSCORE", keys.RESERVATIONS_DUE, "-inf", now_ms, "LIMIT", 0, limit
        )
        return [Due(owner, int(number)) for owner, number in (_split(m, None) for m in members)]

    def looked_at(self, due: Due, now_ms: int) -> None:
        """Say that what was due has been done: when it is due again follows from the record."""
        record = self.find(due.charge_point_id, due.reservation_id)
        again_at_ms = None if record is None else _due_at_ms(record, now_ms)
        member = _member(due.charge_point_id, due.reservation_id)
        self._link.run(
            _LOOKED_AT,
            [keys.RESERVATIONS_DUE],
            [member, now_ms, "" if again_at_ms is None else again_at_ms],
        )

    def trim(self) -> None:
        """Take the oldest out of the list of all; their records leave by themselves."""
        excess = scored(
            self._link.call("ZRANGE", keys.RESERVATIONS, 0, -1 - KEPT_IN_ALL, "WITHSCORES")
        )
        for start in range(0, len(excess), 500):
            members = [member for member, _ in excess[start : start + 500]]
            self._link.call("ZREM", keys.RESERVATIONS, *members)


def forget_commands(charge_point_id: str, ids: Sequence[str]) -> list[Command]:
    """Take reservations, one at least, of a charge point out of the store."""
    members = [_member(charge_point_id, one) for one in ids]
    return [
        ("ZREM", keys.RESERVATIONS, *members),
        ("ZREM", keys.RESERVATIONS_DUE, *members),
        ("DEL", *[keys.reservation(charge_point_id, one) for one in ids]),
    ]


def _due_at_ms(record: Reservation, now_ms: int) -> int | None:
    """When somebody must look at it; None where nothing can happen by itself."""
    expires_at_ms = record.terms.expires_at_ms if record.is_active else None
    if all(wish.is_unanswered for wish in record.wishes):
        return expires_at_ms
    look_at_ms = now_ms + LOOK_AGAIN_MS
    return look_at_ms if expires_at_ms is None else min(look_at_ms, expires_at_ms)


def _member(charge_point_id: str, reservation_id: int | str) -> str:
    return f"{reservation_id}/{charge_point_id}"


def _split(member: str, charge_point_id: str | None) -> tuple[str, str]:
    """(charge point, reservation): a member names both, unless it is of a charge point's list."""
    reservation_id, _, owner = member.partition("/")
    return charge_point_id or owner, reservation_id


def _reservation(text: str) -> Reservation:
    fields: dict[str, Any] = orjson.loads(text)
    wishes = [
        Wish(
            wish["command_id"],
            None if wish["terms"] is None else Terms(**wish["terms"]),
            wish["asked_at_ms"],
            wish["is_unanswered"],
        )
        for wish in fields.pop("wishes")
    ]
    terms, state = Terms(**fields.pop("terms")), ReservationState(fields.pop("state"))
    return Reservation(**fields, terms=terms, state=state, wishes=tuple(wishes))


def _tell(record: Reservation) -> None:
    log.info(
        "reservation changed",
        charge_point_id=record.charge_point_id,
        reservation_id=record.reservation_id,
        connector_id=record.terms.connector_id,
        state=str(record.state),
        reason=record.reason,
        transaction_id=record.transaction_id,
    )
