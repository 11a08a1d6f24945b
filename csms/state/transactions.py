"""Transactions: each start and each stop stored once, whatever is sent again.

They are one script each, idempotent by their natural key and fenced by the connection's epoch. The
indexes across charge points follow in commands that may be repeated; the worker repairs them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from csms.domain.authorization import ActiveTransaction, AuthorizationStatus
from csms.domain.metering import MeterValue
from csms.domain.transaction import (
    TRANSACTION_ID_MAX,
    Transaction,
    TransactionState,
    first_transaction_id,
)
from csms.errors import NotFound, StoreRefused
from csms.state import keys
from csms.state.energy import ENERGY_BY
from csms.state.fence import check
from csms.state.id_tags import deactivate_command
from csms.state.link import Argument, Command, Link, Reply, Script
from csms.state.meter_values import scored_members
from csms.state.pages import Page, newest_first, pairs, records
from csms.state.records import ALLOCATE
from csms.state.transaction_members import member_of, owner_and_id

ID_BLOCK = 50
ORPHANS_KEPT = 1_000

START = Script(
    "start-transaction",
    """
    -- KEYS: 1 live, 2 starts, 3 open, 4 transactions, 5 active reservations of the charge point
    -- ARGV: 1 epoch, 2 fingerprint, 3 new id, 4 connector, 5 key prefix of transactions,
    --       6 started at, 7 received at, 8 clock guard in ms (0: the clock is right),
    --       9 authorization, 10.. fields and values
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'STALE'} end
    local known = redis.call('HGET', KEYS[2], ARGV[2])
    if known then
      local was = redis.call('HMGET', ARGV[5] .. known, 'state', 'start_received_at_ms')
      local guard = tonumber(ARGV[8])
      -- With a clock that stands still, a start like one long over is another session.
      local another = guard > 0 and was[1] == 'stopped'
        and tonumber(ARGV[7]) - tonumber(was[2]) > guard
      if was[1] and not another then
        redis.call('HSET', ARGV[5] .. known, 'authorization', ARGV[9])
        return {'KNOWN', known, was[1], redis.call('SCARD', KEYS[5])}
      end
    end
    local superseded = redis.call('HGET', KEYS[3], ARGV[4])
    local superseded_tag = ''
    if superseded and redis.call('EXISTS', ARGV[5] .. superseded) == 1 then
      redis.call('HSET', ARGV[5] .. superseded, 'state', 'superseded')
      superseded_tag = redis.call('HGET', ARGV[5] .. superseded, 'id_tag') or ''
    end
    redis.call('HSET', ARGV[5] .. ARGV[3], 'state', 'open', 'authorization', ARGV[9],
      'fingerprint', ARGV[2], unpack(ARGV, 10))
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
    redis.call('HSET', KEYS[3], ARGV[4], ARGV[3])
    redis.call('ZADD', KEYS[4], ARGV[6], ARGV[3])
    return {'NEW', ARGV[3], superseded or '', superseded_tag, redis.call('SCARD', KEYS[5])}
    """,
)

STOP = Script(
    "stop-transaction",
    ENERGY_BY
    + """
    -- KEYS: 1 live, 2 open, 3 orphans
    -- ARGV: 1 epoch, 2 stated id or '', 3 key prefix of transactions, 4 key prefix of meter values,
    --       5 stopped at, 6 meter stop or '', 7 received at, 8 timestamp as sent, 9 reason,
    --       10 idTag, 11 clock flag, 12 orphan record, 13 orphans kept, 14.. score and member pairs
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'STALE'} end
    local id = ARGV[2]
    local flags = ARGV[11]
    if id == '' then
      -- Which one is meant is certain only if one alone is open.
      local open = redis.call('HVALS', KEYS[2])
      if #open == 1 then id = open[1]; flags = flags .. 'stopped without its id\\n' end
    end
    local key = ARGV[3] .. id
    local was = redis.call('HMGET', key, 'state', 'connector_id', 'meter_start_wh', 'id_tag',
      'energy_wh', 'flags')
    if id == '' or not was[1] then
      redis.call('ZADD', KEYS[3], ARGV[7], ARGV[12])
      redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[13]))
      return {'ORPHAN'}
    end
    for i = 14, #ARGV, 2 do
      redis.call('ZADD', ARGV[4] .. id, ARGV[i], ARGV[i + 1])
    end
    if was[1] == 'stopped' then return {'KNOWN', id, was[2], was[4]} end
    local before = tonumber(was[5]) or 0
    local energy, ran_backwards = before, false
    if ARGV[6] == '' then
      flags = flags .. 'meter stop missing\\n'
    else
      energy, ran_backwards = energy_by(tonumber(was[3]), tonumber(ARGV[6]), before)
      energy = energy or before
      if ran_backwards then flags = flags .. 'meter ran backwards\\n' end
    end
    local energy_text = string.format('%.0f', energy)
    redis.call('HSET', key, 'state', 'stopped', 'stopped_at_ms', ARGV[5], 'meter_stop_wh', ARGV[6],
      'stop_received_at_ms', ARGV[7], 'stop_timestamp', ARGV[8], 'stop_reason', ARGV[9],
      'stop_id_tag', ARGV[10], 'energy_wh', energy_text, 'flags', (was[6] or '') .. flags)
    if redis.call('HGET', KEYS[2], was[2]) == id then redis.call('HDEL', KEYS[2], was[2]) end
    return {'STOPPED', id, was[2], was[4], energy_text, string.format('%.0f', energy - before)}
    """,
)

_FORGET = Script(
    "forget-transaction",
    """
    -- KEYS: 1 record, 2 starts, 3 open, 4 transactions of the charge point, 5 values, 6 packed
    -- ARGV[1] id
    local was = redis.call('HMGET', KEYS[1], 'fingerprint', 'connector_id', 'id_tag')
    if was[1] then redis.call('HDEL', KEYS[2], was[1]) end
    if was[2] and redis.call('HGET', KEYS[3], was[2]) == ARGV[1] then
      redis.call('HDEL', KEYS[3], was[2])
    end
    redis.call('ZREM', KEYS[4], ARGV[1])
    redis.call('DEL', KEYS[1], KEYS[5], KEYS[6])
    return {was[2] or '', was[3] or ''}
    """,
)


@dataclass(frozen=True, slots=True)
class Started:
    """is_new: False for a resend, which is answered with the id of the first.

    superseded: the transaction that was open on the connector and its idTag, if any.
    has_reservations: whether the charge point keeps reservations that it may have used one of.
    """

    transaction_id: int
    is_new: bool
    is_open: bool
    has_reservations: bool
    superseded_id: int | None = None
    superseded_id_tag: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """transaction_id None: it fits no transaction and is kept as an orphan."""

    transaction_id: int | None
    is_new: bool
    connector_id: int = 0
    id_tag: str = ""
    energy_wh: int = 0
    grown_wh: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be recorded of a StartTransaction.req."""

    connector_id: int
    id_tag: str
    fingerprint: str
    meter_start_wh: int
    started_at_ms: int
    timestamp: str
    received_at_ms: int
    reservation_id: int | None
    clock_guard_ms: int
    flags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stop:
    """What is to be recorded of a StopTransaction.req."""

    transaction_id: int | None
    stated_transaction_id: int | None
    meter_stop_wh: int | None
    stopped_at_ms: int
    timestamp: str
    received_at_ms: int
    reason: str
    id_tag: str
    transaction_data: Sequence[MeterValue]
    flags: Sequence[str]


class TransactionIds:
    """Hands out ids: positive, never used before, in blocks so that most cost no trip.

    Ids of a block that its process did not use are never used.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._next = 1
        self._last = 0

    def take(self, now_ms: int) -> int:
        """Raises StoreUnavailable; StoreRefused at the end of the 31-bit range."""
        while self._next > self._last:
            last = int(
                self._link.run(
                    ALLOCATE, [keys.TRANSACTION_IDS], [first_transaction_id(now_ms), ID_BLOCK]
                )
            )
            if last > TRANSACTION_ID_MAX:
                raise StoreRefused("The transaction ids are used up.")
            # While we waited another greenlet may have fetched a block; the later one serves.
            self._next, self._last = last - ID_BLOCK + 1, last
        taken = self._next
        self._next += 1
        return taken


class Transactions:
    def __init__(self, link: Link) -> None:
        self._link = link

    def start(
        self,
        charge_point_id: str,
        epoch: int,
        new_id: int,
        start: Start,
        authorization: AuthorizationStatus,
    ) -> Started:
        """Record a start, or recognise it. Raises StaleEpoch."""
        fields: list[Argument] = []
        for name, value in (
            ("connector_id", start.connector_id),
            ("id_tag", start.id_tag),
            ("meter_start_wh", start.meter_start_wh),
            ("started_at_ms", start.started_at_ms),
            ("start_timestamp", start.timestamp),
            ("start_received_at_ms", start.received_at_ms),
            ("reservation_id", "" if start.reservation_id is None else start.reservation_id),
            ("flags", "".join(f"{flag}\n" for flag in start.flags)),
        ):
            fields += (name, value)
        reply = self._link.run(
            START,
            [
                keys.live(charge_point_id),
                keys.starts(charge_point_id),
                keys.open_transactions_of(charge_point_id),
                keys.transactions_of(charge_point_id),
                keys.active_reservations(charge_point_id),
            ],
            [
                epoch,
                start.fingerprint,
                new_id,
                start.connector_id,
                keys.transaction(charge_point_id, ""),
                start.started_at_ms,
                start.received_at_ms,
                start.clock_guard_ms,
                authorization,
                *fields,
            ],
        )
        check(reply, charge_point_id)
        if reply[0] == "KNOWN":
            is_open = reply[2] == TransactionState.OPEN
            return Started(int(reply[1]), False, is_open, bool(reply[3]))
        superseded_id = int(reply[2]) if reply[2] else None
        return Started(int(reply[1]), True, True, bool(reply[4]), superseded_id, reply[3])

    def stop_command(self, charge_point_id: str, epoch: int, stop: Stop) -> Command:
        """The command whose reply read_stopped reads: it shares its trip with the idTag's."""
        orphan = orjson.dumps(
            {
                "transaction_id": stop.stated_transaction_id,
                "meter_stop_wh": stop.meter_stop_wh,
                "timestamp": stop.timestamp,
                "reason": stop.reason,
                "id_tag": stop.id_tag,
            }
        )
        return STOP.call(
            [
                keys.live(charge_point_id),
                keys.open_transactions_of(charge_point_id),
                keys.orphans(charge_point_id),
            ],
            [
                epoch,
                "" if stop.transaction_id is None else stop.transaction_id,
                keys.transaction(charge_point_id, ""),
                keys.meter_values(charge_point_id, ""),
                stop.stopped_at_ms,
                "" if stop.meter_stop_wh is None else stop.meter_stop_wh,
                stop.received_at_ms,
                stop.timestamp,
                stop.reason,
                stop.id_tag,
                "".join(f"{flag}\n" for flag in stop.flags),
                orphan,
                ORPHANS_KEPT,
                *scored_members(0, stop.transaction_data),
            ],
        )

    def read_stopped(self, charge_point_id: str, reply: Reply) -> Stopped:
        """Raises StaleEpoch."""
        check(reply, charge_point_id)
        if reply[0] == "ORPHAN":
            return Stopped(None, is_new=False)
        if reply[0] == "KNOWN":
            return Stopped(int(reply[1]), False, int(reply[2]), reply[3])
        return Stopped(int(reply[1]), True, int(reply[2]), reply[3], int(reply[4]), int(reply[5]))

    def find(self, charge_point_id: str, transaction_id: int) -> Transaction | None:
        fields = pairs(
            self._link.call("HGETALL", keys.transaction(charge_point_id, transaction_id))
        )
        return read_transaction(charge_point_id, transaction_id, fields) if fields else None

    def get(self, charge_point_id: str, transaction_id: int) -> Transaction:
        """Raises NotFound."""
        found = self.find(charge_point_id, transaction_id)
        if found is None:
            raise NotFound("transaction", str(transaction_id))
        return found

    def owner(self, transaction_id: int) -> str | None:
        """The charge point a transaction belongs to."""
        owner: str | None = self._link.call("HGET", keys.TRANSACTION_OWNERS, transaction_id)
        return owner

    def open_of(self, charge_point_id: str) -> dict[int, int]:
        """Open transactions: connector id to transaction id."""
        reply = pairs(self._link.call("HGETALL", keys.open_transactions_of(charge_point_id)))
        return {
            int(connector_id): int(transaction_id) for connector_id, transaction_id in reply.items()
        }

    def open_of_many(self, charge_point_ids: Sequence[str]) -> list[dict[int, int]]:
        """open_of, for each of them, in one trip."""
        found = records(self._link, [keys.open_transactions_of(c) for c in charge_point_ids])
        return [{int(c): int(t) for c, t in fields.items()} for fields in found]

    def page(
        self,
        cursor: str | None,
        limit: int,
        *,
        charge_point_id: str | None = None,
        id_tag: str | None = None,
        state: TransactionState | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Page[Transaction]:
        """Newest first, by the instant of their start."""
        wanted_tag = None if id_tag is None else id_tag.casefold()

        def fits(transaction: Transaction) -> bool:
            return (state is None or transaction.state == state) and (
                wanted_tag is None or transaction.id_tag.casefold() == wanted_tag
            )

        def load(members: Sequence[str]) -> Sequence[Transaction | None]:
            owners = [
                (charge_point_id, member) if charge_point_id else owner_and_id(member)
                for member in members
            ]
            return [
                transaction if transaction and fits(transaction) else None
                for transaction in self._load(owners)
            ]

        if charge_point_id is not None:
            key = keys.transactions_of(charge_point_id)
        elif state is TransactionState.OPEN:
            key = keys.OPEN_TRANSACTIONS
        else:
            key = keys.TRANSACTIONS
        return newest_first(
            self._link, key, cursor, limit, load, since_ms=since_ms, until_ms=until_ms
        )

    def _load(self, owners: Sequence[tuple[str, str]]) -> list[Transaction | None]:
        found = records(self._link, [keys.transaction(c, t) for c, t in owners])
        return [
            read_transaction(charge_point_id, int(transaction_id), fields) if fields else None
            for (charge_point_id, transaction_id), fields in zip(owners, found, strict=True)
        ]

    def orphans(self, charge_point_id: str) -> list[dict[str, Any]]:
        """StopTransactions that fit no transaction, newest first."""
        reply = self._link.call("ZREVRANGE", keys.orphans(charge_point_id), 0, 99)
        return [orjson.loads(member) for member in reply]

    def started_before(self, before_ms: int, limit: int) -> list[tuple[str, int]]:
        """The oldest transactions that started before an instant, for retention."""
        members = self._link.call(
            "ZRANGEBYSCORE", keys.TRANSACTIONS, "-inf", before_ms, "LIMIT", 0, limit
        )
        return [(c, int(t)) for c, t in map(owner_and_id, members)]

    def forget(self, charge_point_id: str, transaction_id: int) -> None:
        """Take a transaction and all that hangs on it out of the store, even one never stopped."""
        member = member_of(charge_point_id, transaction_id)
        replies = self._link.batch(
            _FORGET.call(
                [
                    keys.transaction(charge_point_id, transaction_id),
                    keys.starts(charge_point_id),
                    keys.open_transactions_of(charge_point_id),
                    keys.transactions_of(charge_point_id),
                    keys.meter_values(charge_point_id, transaction_id),
                    keys.packed_meter_values(charge_point_id, transaction_id),
                ],
                [transaction_id],
            ),
            ("ZREM", keys.TRANSACTIONS, member),
            ("ZREM", keys.OPEN_TRANSACTIONS, member),
            ("SREM", keys.UNPACKED_TRANSACTIONS, member),
            ("HDEL", keys.TRANSACTION_OWNERS, transaction_id),
        )
        connector_id, id_tag = replies[0]
        if connector_id:
            active = ActiveTransaction(charge_point_id, int(connector_id), transaction_id)
            self._link.call(*deactivate_command(id_tag, active))


def started_commands(
    charge_point_id: str, transaction_id: int, started_at_ms: int, *, is_open: bool
) -> list[Command]:
    """What the indexes across charge points learn of a start; may be repeated."""
    member = member_of(charge_point_id, transaction_id)
    commands: list[Command] = [
        ("ZADD", keys.TRANSACTIONS, started_at_ms, member),
        ("HSET", keys.TRANSACTION_OWNERS, transaction_id, charge_point_id),
    ]
    if is_open:
        commands.append(("ZADD", keys.OPEN_TRANSACTIONS, started_at_ms, member))
    return commands


def stopped_commands(charge_point_id: str, transaction_id: int) -> list[Command]:
    """What the indexes across charge points learn of an end; may be repeated."""
    member = member_of(charge_point_id, transaction_id)
    return [
        ("ZREM", keys.OPEN_TRANSACTIONS, member),
        ("SADD", keys.UNPACKED_TRANSACTIONS, member),
    ]


def read_transaction(
    charge_point_id: str, transaction_id: int, fields: Mapping[str, str]
) -> Transaction:
    def optional(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    return Transaction(
        transaction_id=transaction_id,
        charge_point_id=charge_point_id,
        connector_id=int(fields["connector_id"]),
        id_tag=fields["id_tag"],
        authorization=AuthorizationStatus(fields["authorization"]),
        state=TransactionState(fields["state"]),
        meter_start_wh=int(fields["meter_start_wh"]),
        started_at_ms=int(fields["started_at_ms"]),
        start_timestamp=fields.get("start_timestamp", ""),
        start_received_at_ms=int(fields["start_received_at_ms"]),
        reservation_id=optional("reservation_id"),
        meter_stop_wh=optional("meter_stop_wh"),
        stopped_at_ms=optional("stopped_at_ms"),
        stop_timestamp=fields.get("stop_timestamp", ""),
        stop_received_at_ms=optional("stop_received_at_ms"),
        stop_reason=fields.get("stop_reason", ""),
        stop_id_tag=fields.get("stop_id_tag", ""),
        energy_wh=optional("energy_wh"),
        flags=tuple(flag for flag in fields.get("flags", "").split("\n") if flag),
    )
