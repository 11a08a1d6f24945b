"""Which process holds which charge point's socket, and which processes are alive.

A process holds one lease of 15 s, renewed every 5 s; its sockets carry its name and an epoch that
rises with every connection of a charge point. A lease for each socket would cost ten thousand
writes where this costs one, and the epoch alone fences the writes (ADR 0004).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from csms.state import keys
from csms.state.link import Link, Reply, Script
from csms.state.pages import pairs, records

LEASE_MS = 15_000
RENEW_S = 5.0

_CONNECT = Script(
    "connect",
    """
    -- KEYS[1] live, KEYS[2] in-flight command; ARGV: process, now, remote address, secure
    local was = redis.call('HMGET', KEYS[1], 'epoch', 'process')
    local epoch = tonumber(was[1]) or 0
    epoch = math.max(epoch + 1, tonumber(ARGV[2]))
    redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'process', ARGV[1],
      'connected_at_ms', ARGV[2], 'remote_address', ARGV[3], 'secure', ARGV[4],
      'last_seen_ms', ARGV[2])
    redis.call('PERSIST', KEYS[1])
    return {string.format('%.0f', epoch), was[2] or '', redis.call('GET', KEYS[2]) or ''}
    """,
)
_DISCONNECT = Script(
    "disconnect",
    """
    -- KEYS[1] live; ARGV: epoch, now, reason. A newer connection's state is left alone.
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
    redis.call('HSET', KEYS[1], 'process', '', 'disconnected_at_ms', ARGV[2], 'reason', ARGV[3])
    return 1
    """,
)
_DISOWN = Script(
    "disown",
    """
    -- KEYS[1] live; ARGV: process that died, now
    if redis.call('HGET', KEYS[1], 'process') ~= ARGV[1] then return 0 end
    redis.call('HSET', KEYS[1], 'process', '', 'disconnected_at_ms', ARGV[2],
      'reason', 'the process that held it died')
    return 1
    """,
)
_RECLAIM = Script(
    "reclaim",
    """
    -- KEYS[1] live; ARGV: epoch, process. After a lease ran out while the socket lived on.
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
    redis.call('HSET', KEYS[1], 'process', ARGV[2])
    return 1
    """,
)
_RENEW = Script(
    "renew-lease",
    """
    -- KEYS[1] processes; ARGV: process, lease in ms. The store's clock decides.
    local t = redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
    return 1
    """,
)
_ALIVE = Script(
    "alive-processes",
    """
    local t = redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
    """,
)
_DEAD = Script(
    "dead-processes",
    """
    local t = redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
    """,
)


@dataclass(frozen=True, slots=True)
class Presence:
    """Where a charge point is connected, or was last. process_id is "" while it is not."""

    charge_point_id: str
    process_id: str
    epoch: int
    remote_address: str
    secure: bool
    connected_at_ms: int | None
    disconnected_at_ms: int | None
    last_seen_ms: int | None
    reason: str

    def is_connected(self, alive: Collection[str]) -> bool:
        """alive: the processes whose lease runs."""
        return self.process_id in alive if self.process_id else False


@dataclass(frozen=True, slots=True)
class Connected:
    """What a new connection learns: its epoch, who held the charge point before ("" for nobody),
    and the command that was in flight then ("" for none)."""

    epoch: int
    process_before: str
    command_in_flight: str


def _presence(charge_point_id: str, reply: Reply) -> Presence:
    fields: Mapping[str, str] = pairs(reply)

    def optional(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    return Presence(
        charge_point_id=charge_point_id,
        process_id=fields.get("process", ""),
        epoch=int(fields.get("epoch", "0")),
        remote_address=fields.get("remote_address", ""),
        secure=fields.get("secure") == "1",
        connected_at_ms=optional("connected_at_ms"),
        disconnected_at_ms=optional("disconnected_at_ms"),
        last_seen_ms=optional("last_seen_ms"),
        reason=fields.get("reason", ""),
    )


class Presences:
    def __init__(self, link: Link) -> None:
        self._link = link

    def connect(
        self,
        charge_point_id: str,
        process_id: str,
        now_ms: int,
        remote_address: str,
        *,
        secure: bool,
    ) -> Connected:
        """Take the charge point over for this process. The newest authenticated socket wins."""
        replies = self._link.batch(
            _CONNECT.call(
                [keys.live(charge_point_id), keys.in_flight(charge_point_id)],
                [process_id, now_ms, remote_address, int(secure)],
            ),
            ("SADD", keys.charge_points_of(process_id), charge_point_id),
        )
        epoch, process_before, in_flight = replies[0]
        if process_before and process_before != process_id:
            self._link.call("SREM", keys.charge_points_of(process_before), charge_point_id)
        return Connected(int(epoch), process_before, in_flight)

    def disconnect(
        self, charge_point_id: str, process_id: str, epoch: int, now_ms: int, reason: str
    ) -> bool:
        """Let go of the charge point; False where a newer connection has it already."""
        ended = self._link.run(
            _DISCONNECT, [keys.live(charge_point_id)], [epoch, now_ms, reason[:200]]
        )
        if ended:
            self._link.call("SREM", keys.charge_points_of(process_id), charge_point_id)
        return bool(ended)

    def reclaim(self, charge_point_id: str, process_id: str, epoch: int) -> bool:
        """Take the charge point back after this process was thought dead; False where a newer
        connection has it."""
        if not self._link.run(_RECLAIM, [keys.live(charge_point_id)], [epoch, process_id]):
            return False
        self._link.call("SADD", keys.charge_points_of(process_id), charge_point_id)
        return True

    def find(self, charge_point_id: str) -> Presence:
        return _presence(charge_point_id, self._link.call("HGETALL", keys.live(charge_point_id)))

    def find_many(self, charge_point_ids: Sequence[str]) -> list[Presence]:
        found = records(self._link, [keys.live(one) for one in charge_point_ids])
        return [_presence(c, fields) for c, fields in zip(charge_point_ids, found, strict=True)]

    def owner(self, charge_point_id: str) -> str:
        """The living process that holds its socket, or "" for none."""
        process_id, alive = self._link.batch(
            ("HGET", keys.live(charge_point_id), "process"), _ALIVE.call([keys.PROCESSES], [])
        )
        return process_id if process_id and process_id in alive else ""

    def renew(self, process_id: str) -> None:
        """Raises StoreUnavailable: then nothing else can be written either."""
        self._link.run(_RENEW, [keys.PROCESSES], [process_id, LEASE_MS])

    def alive(self) -> frozenset[str]:
        return frozenset(self._link.run(_ALIVE, [keys.PROCESSES], []))

    def connected_count(self) -> int:
        """Charge points connected to living processes."""
        alive = self.alive()
        if not alive:
            return 0
        return sum(self._link.batch(*[("SCARD", keys.charge_points_of(p)) for p in alive]))

    def retire(self, process_id: str) -> None:
        """Take a process that ends in good order out of the list of the living."""
        self._link.batch(
            ("ZREM", keys.PROCESSES, process_id),
            ("DEL", keys.charge_points_of(process_id), keys.inbox(process_id)),
        )

    def bury_the_dead(self, now_ms: int) -> list[str]:
        """Let go of the charge points of processes whose lease ran out; their ids."""
        orphaned: list[str] = []
        for process_id in self._link.run(_DEAD, [keys.PROCESSES], []):
            while members := self._link.call("SRANDMEMBER", keys.charge_points_of(process_id), 500):
                self._link.batch(
                    *[_DISOWN.call([keys.live(m)], [process_id, now_ms]) for m in members],
                )
                self._link.call("SREM", keys.charge_points_of(process_id), *members)
                orphaned += members
            self.retire(process_id)
        return orphaned

    def record_seen(self, seen: Mapping[str, int]) -> None:
        """Last signs of life by charge point, in one trip for all (a Heartbeat costs no write)."""
        for charge_point_id, seen_ms in seen.items():
            self._link.post("HSET", keys.live(charge_point_id), "last_seen_ms", seen_ms)

    def take_sweeper_lease(self, process_id: str, lease_ms: int) -> bool:
        """Whether this process does the sweeping for the next lease_ms."""
        return bool(self._link.run(_LEASE, [keys.SWEEPER], [process_id, lease_ms]))

    def return_sweeper_lease(self, process_id: str) -> None:
        """Let others have it at once."""
        self._link.run(_RETURN_LEASE, [keys.SWEEPER], [process_id])


_LEASE = Script(
    "take-lease",
    """
    -- KEYS[1] lease; ARGV: who, for how long
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
    """,
)
_RETURN_LEASE = Script(
    "return-lease",
    """
    -- KEYS[1] lease; ARGV: who. Another's is left alone.
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0
    """,
)
