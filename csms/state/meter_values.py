"""Meter values: those of a transaction, and those outside any, each kept once.

They are written beside the fence, since their content is their name; what their owner reckons from
them (energy, newest figures) is fenced. Those of closed transactions are packed by the worker.
"""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from csms.domain.metering import MeterValue, Reading
from csms.domain.transaction import Metering, RunningTransaction
from csms.domain.values import frame_value
from csms.state import keys
from csms.state.energy import ENERGY_BY
from csms.state.fence import check, write_fenced
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import pairs, records, scored
from csms.state.transaction_members import member_of, owner_and_id

LOOSE_KEPT = 1_000
_RUNNING = ("meter_start_wh", "started_at_ms", "energy_wh", "metered_at_ms")

METER_CLOSED = Script(
    "meter-values-of-closed",
    ENERGY_BY
    + """
    -- KEYS: 1 live, 2 transaction, 3 its values, 4 loose values
    -- ARGV: 1 epoch, 2 loose values kept, 3 energy register or '', 4 instant of the register,
    --       5.. score and member pairs
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'STALE'} end
    local was = redis.call('HMGET', KEYS[2], 'state', 'meter_start_wh', 'energy_wh',
      'metered_at_ms')
    local kept = was[1] and KEYS[3] or KEYS[4]
    for i = 5, #ARGV, 2 do redis.call('ZADD', kept, ARGV[i], ARGV[i + 1]) end
    if not was[1] then
      redis.call('ZREMRANGEBYRANK', kept, 0, -1 - tonumber(ARGV[2]))
      return {'UNKNOWN', '0'}
    end
    local energy
    local before = tonumber(was[3]) or 0
    -- A stop has said how much it was; one that was superseded has only its values to tell.
    if ARGV[3] ~= '' and was[1] == 'superseded'
      and tonumber(ARGV[4]) >= (tonumber(was[4]) or 0) then
      energy = energy_by(tonumber(was[2]), tonumber(ARGV[3]), before)
    end
    if energy then
      redis.call('HSET', KEYS[2], 'energy_wh', string.format('%.0f', energy),
        'metered_at_ms', ARGV[4])
    end
    return {was[1], string.format('%.0f', (energy or before) - before)}
    """,
)

_PACK = Script(
    "pack-meter-values",
    """
    -- KEYS: 1 values, 2 packed; ARGV: packed text, how many values it holds
    -- Values that came while packing are left for the next time.
    if redis.call('ZCARD', KEYS[1]) ~= tonumber(ARGV[2]) then return 0 end
    redis.call('SET', KEYS[2], ARGV[1])
    redis.call('DEL', KEYS[1])
    return 1
    """,
)


@frame_value
class Metered:
    """What is to be recorded of a MeterValues.req.

    transaction_id: of the one that of_session belongs to. energy_wh: its energy now, reckoned from
    a register of metered_at_ms; None where that has not changed. reading: figures to be shown of
    the connector, None where newer ones are.
    """

    connector_id: int
    transaction_id: int | None
    of_session: Sequence[MeterValue]
    of_none: Sequence[MeterValue]
    energy_wh: int | None
    metered_at_ms: int
    reading: Reading | None


@dataclass(frozen=True, slots=True)
class MeteredClosed:
    """is_known: it is a transaction of this charge point. grown_wh: energy not counted before."""

    is_known: bool
    grown_wh: int


class MeterValues:
    def __init__(self, link: Link) -> None:
        self._link = link

    def metering(self, charge_point_id: str) -> Metering:
        """What the process that holds the socket must know to reckon with meter values."""
        open_reply, readings = self._link.batch(
            ("HGETALL", keys.open_transactions_of(charge_point_id)),
            ("HGETALL", keys.readings(charge_point_id)),
        )
        shown_at_ms = {int(c): orjson.loads(text)["at_ms"] for c, text in pairs(readings).items()}
        opened = [(int(c), int(t)) for c, t in pairs(open_reply).items()]
        if not opened:
            return Metering({}, shown_at_ms)
        rows = self._link.batch(
            *[("HMGET", keys.transaction(charge_point_id, t), *_RUNNING) for _, t in opened]
        )
        running = {
            connector_id: RunningTransaction(
                transaction_id,
                connector_id,
                int(start_wh),
                int(started_at_ms),
                int(energy_wh) if energy_wh else None,
                int(metered_at_ms or 0),
            )
            for (connector_id, transaction_id), (
                start_wh,
                started_at_ms,
                energy_wh,
                metered_at_ms,
            ) in zip(opened, rows, strict=True)
            if start_wh is not None
        }
        return Metering(running, shown_at_ms)

    def record(self, charge_point_id: str, epoch: int, metered: Metered) -> None:
        """Record meter values of a transaction that runs, or of none. Raises StaleEpoch.

        The values themselves need no fence: content is their name, so that whoever writes them
        writes the same, and a kilobyte of them need not pass through a script.
        """
        writes: list[Command] = []
        others: list[Command] = []
        if metered.energy_wh is not None:
            key = keys.transaction(charge_point_id, metered.transaction_id or 0)
            at_ms = metered.metered_at_ms
            writes.append(("HSET", key, "energy_wh", metered.energy_wh, "metered_at_ms", at_ms))
        if metered.reading is not None:
            reading = orjson.dumps(metered.reading)
            key = keys.readings(charge_point_id)
            writes.append(("HSET", key, metered.connector_id, reading))
        if metered.of_session:
            key = keys.meter_values(charge_point_id, metered.transaction_id or 0)
            others.append(("ZADD", key, *scored_members(metered.connector_id, metered.of_session)))
        if metered.of_none:
            key = keys.loose_meter_values(charge_point_id)
            others.append(("ZADD", key, *scored_members(metered.connector_id, metered.of_none)))
            others.append(("ZREMRANGEBYRANK", key, 0, -1 - LOOSE_KEPT))
        write_fenced(self._link, charge_point_id, epoch, writes, *others)

    def show(self, charge_point_id: str, epoch: int, connector_id: int, reading: Reading) -> None:
        """The figures to be shown of a connector. Raises StaleEpoch."""
        write = ("HSET", keys.readings(charge_point_id), connector_id, orjson.dumps(reading))
        write_fenced(self._link, charge_point_id, epoch, [write])

    def record_closed(
        self,
        charge_point_id: str,
        epoch: int,
        connector_id: int,
        transaction_id: int,
        meter_values: Sequence[MeterValue],
        reading: Reading | None,
    ) -> MeteredClosed:
        """Record meter values of a transaction that does not run (any more). Raises StaleEpoch."""
        register_wh = None if reading is None else reading.energy_wh
        reply = self._link.run(
            METER_CLOSED,
            [
                keys.live(charge_point_id),
                keys.transaction(charge_point_id, transaction_id),
                keys.meter_values(charge_point_id, transaction_id),
                keys.loose_meter_values(charge_point_id),
            ],
            [
                epoch,
                LOOSE_KEPT,
                "" if register_wh is None else register_wh,
                0 if reading is None else reading.at_ms,
                *scored_members(connector_id, meter_values),
            ],
        )
        check(reply, charge_point_id)
        return MeteredClosed(reply[0] != "UNKNOWN", int(reply[1]))

    def readings_of(self, charge_point_id: str) -> dict[int, Reading]:
        """The latest figures by connector."""
        reply = pairs(self._link.call("HGETALL", keys.readings(charge_point_id)))
        return {
            int(connector_id): Reading(**orjson.loads(text)) for connector_id, text in reply.items()
        }

    def readings_of_many(self, charge_point_ids: Sequence[str]) -> list[dict[int, Reading]]:
        """readings_of, for each of them, in one trip."""
        found = records(self._link, [keys.readings(c) for c in charge_point_ids])
        return [
            {int(c): Reading(**orjson.loads(text)) for c, text in fields.items()}
            for fields in found
        ]

    def of(self, charge_point_id: str, transaction_id: int) -> list[dict[str, Any]]:
        """All values in the order of their timestamps: `connector_id`, `timestamp` as sent and
        `sampled_value` as on the wire."""
        loose, packed = self._link.batch(
            ("ZRANGE", keys.meter_values(charge_point_id, transaction_id), 0, -1, "WITHSCORES"),
            ("GET", keys.packed_meter_values(charge_point_id, transaction_id)),
        )
        members = [member for member, _ in _merged(_unpacked(packed), scored(loose))]
        return [
            {"connector_id": connector_id, "timestamp": timestamp, "sampled_value": sampled}
            for connector_id, timestamp, sampled in map(orjson.loads, members)
        ]

    def loose(self, charge_point_id: str) -> list[dict[str, Any]]:
        """The newest values outside any transaction."""
        reply = self._link.call("ZREVRANGE", keys.loose_meter_values(charge_point_id), 0, 99)
        return [
            {"connector_id": connector_id, "timestamp": timestamp, "sampled_value": sampled}
            for connector_id, timestamp, sampled in map(orjson.loads, reply)
        ]

    def pack(self, charge_point_id: str, transaction_id: int) -> bool:
        """Compress the values of a closed transaction; False where it must be tried again."""
        values_key = keys.meter_values(charge_point_id, transaction_id)
        packed_key = keys.packed_meter_values(charge_point_id, transaction_id)
        reply, packed = self._link.batch(
            ("ZRANGE", values_key, 0, -1, "WITHSCORES"), ("GET", packed_key)
        )
        loose = scored(reply)
        if not loose:
            return True
        members = _merged(_unpacked(packed), loose)
        text = base64.b85encode(zlib.compress(orjson.dumps(members), 9)).decode("ascii")
        return bool(self._link.run(_PACK, [values_key, packed_key], [text, len(loose)]))

    def unpacked(self, limit: int) -> list[tuple[str, int]]:
        """Closed transactions whose values wait to be packed."""
        members = self._link.call("SRANDMEMBER", keys.UNPACKED_TRANSACTIONS, limit)
        return [(c, int(t)) for c, t in map(owner_and_id, members)]

    def mark_packed(self, charge_point_id: str, transaction_id: int) -> None:
        self._link.call(
            "SREM", keys.UNPACKED_TRANSACTIONS, member_of(charge_point_id, transaction_id)
        )


def scored_members(connector_id: int, meter_values: Sequence[MeterValue]) -> list[Argument]:
    """Scores and members: the content is the member, so that a resend is no second entry."""
    words: list[Argument] = []
    for value in meter_values:
        words.append(value.at_ms)
        words.append(orjson.dumps((connector_id, value.timestamp, value.sampled_values)))
    return words


def _unpacked(packed: str | None) -> list[tuple[str, float]]:
    """Members and their scores."""
    if not packed:
        return []
    return [(m, s) for m, s in orjson.loads(zlib.decompress(base64.b85decode(packed)))]


def _merged(
    packed: Sequence[tuple[str, float]], loose: Sequence[tuple[str, float]]
) -> list[tuple[str, float]]:
    """Both, in order, each once: a resend after packing is recognised here."""
    return sorted({**dict(loose), **dict(packed)}.items(), key=lambda item: (item[1], item[0]))
