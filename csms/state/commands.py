"""Commands as records, and the outbox of each charge point.

Every step is one script that looks at the state it leaves, so that a command is taken out of the
outbox once, sent once and settled once, whichever process does it and whatever dies meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from csms.domain.command import (
    FINAL_STATES,
    Command,
    CommandError,
    CommandState,
    TriggeredMessage,
)
from csms.errors import IdempotencyConflict, NotFound, StoreUnavailable
from csms.state import keys
from csms.state.fence import check
from csms.state.link import Argument, Link, Script
from csms.state.pages import Page, newest_first, owned_records, pairs, records, scored
from csms.state.records import UPDATE

KEPT_PER_CHARGE_POINT = 500
KEPT_IN_ALL = 20_000
KEPT_FINAL_S = 30 * 86_400
IDEMPOTENCY_S = 86_400
# Longer than any process stands still and lives on.
BARRED_S = 86_400
NEVER_WAS = "it was never put on its way"

_QUEUE = Script(
    "queue-command",
    """
    -- KEYS: 1 record, 2 commands of the charge point, 3 outbox, 4 idempotency or ''
    -- ARGV: 1 id, 2 created at, 3 digest of the request, 4 idempotency s, 5 kept,
    --       6 key prefix of records, 7.. fields and values
    if redis.call('HEXISTS', KEYS[1], 'state') == 1 then return {'KNOWN', ARGV[1]} end
    if redis.call('EXISTS', KEYS[1]) == 1 then return {'BARRED'} end
    if KEYS[4] then
      local before = redis.call('GET', KEYS[4])
      if before then
        local id, digest = string.match(before, '^(%S+) (%S+)$')
        if digest ~= ARGV[3] then return {'CONFLICT'} end
        return {'KNOWN', id}
      end
      redis.call('SET', KEYS[4], ARGV[1] .. ' ' .. ARGV[3], 'EX', ARGV[4])
    end
    redis.call('HSET', KEYS[1], 'state', 'queued', unpack(ARGV, 7))
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    redis.call('RPUSH', KEYS[3], ARGV[1])
    local excess = redis.call('ZRANGE', KEYS[2], 0, -1 - tonumber(ARGV[5]))
    for _, id in ipairs(excess) do
      local state = redis.call('HGET', ARGV[6] .. id, 'state')
      if state ~= 'queued' and state ~= 'sent' then
        redis.call('DEL', ARGV[6] .. id)
        redis.call('ZREM', KEYS[2], id)
      end
    end
    return {'QUEUED', ARGV[1]}
    """,
)

_NEVER_WAS = Script(
    "command-never-was",
    """
    -- KEYS[1] record; ARGV[1] s it is barred. Who is to queue it may only stand still: it must not
    -- be queued any more once somebody has said that it never was.
    if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('HEXISTS', KEYS[1], 'barred') end
    redis.call('HSET', KEYS[1], 'barred', 1)
    redis.call('EXPIRE', KEYS[1], ARGV[1])
    return 1
    """,
)

_TAKE = Script(
    "take-command",
    """
    -- KEYS: 1 live, 2 outbox, 3 in flight
    -- ARGV: 1 epoch, 2 now, 3 key prefix of records, 4 unique id, 5 seconds finals are kept
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'STALE'} end
    local on_its_way = redis.call('GET', KEYS[3])
    if on_its_way then
      local is = redis.call('HMGET', ARGV[3] .. on_its_way, 'unique_id', 'state', 'action',
        'payload', 'sealed', 'created_at_ms')
      if is[1] ~= ARGV[4] or is[2] ~= 'sent' then return {'BUSY'} end
      -- Taken before, and the confirmation was lost: who asks again has not written it.
      return {'TAKEN', {}, on_its_way, is[3], is[4], is[5] or '', is[6]}
    end
    local expired = {}
    while true do
      local id = redis.call('LPOP', KEYS[2])
      if not id then return {'EMPTY', expired} end
      local key = ARGV[3] .. id
      local was = redis.call('HMGET', key, 'state', 'deadline_at_ms', 'action', 'payload', 'sealed',
        'created_at_ms', 'reply_to')
      if was[1] == 'queued' then
        if tonumber(was[2]) <= tonumber(ARGV[2]) then
          redis.call('HSET', key, 'state', 'undeliverable', 'settled_at_ms', ARGV[2], 'reason',
            'its deadline passed before it could be sent', 'sealed', '')
          redis.call('EXPIRE', key, ARGV[5])
          expired[#expired + 1] = {id, was[3], was[7], was[6]}
        else
          -- From here on it counts as sent: if we die before it is, nobody sends it again.
          redis.call('HSET', key, 'state', 'sent', 'sent_at_ms', ARGV[2], 'unique_id', ARGV[4])
          redis.call('SET', KEYS[3], id)
          return {'TAKEN', expired, id, was[3], was[4], was[5] or '', was[6]}
        end
      end
    end
    """,
)

_SETTLE = Script(
    "settle-command",
    """
    -- KEYS: 1 record, 2 in flight, 3 outbox
    -- ARGV: 1 id, 2 state it must be in, 3 seconds finals are kept,
    --       4.. fields and values: state, settled_at_ms, others
    -- Answers what is to be told of it, or nothing where it was settled before; again, where this
    -- is the same once more since the confirmation was lost.
    if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
    local was = redis.call('HMGET', KEYS[1], 'state', 'action', 'reply_to', 'created_at_ms',
      'settled_at_ms')
    if was[1] == ARGV[5] and was[5] == ARGV[7] then return {ARGV[1], was[2], was[3], was[4]} end
    if was[1] ~= ARGV[2] then return {} end
    if was[1] == 'queued' then redis.call('LREM', KEYS[3], 1, ARGV[1]) end
    redis.call('HSET', KEYS[1], unpack(ARGV, 4))
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    return {ARGV[1], was[2], was[3], was[4]}
    """,
)

_LATE = Script(
    "late-answer",
    """
    -- KEYS[1] record; ARGV[1] the answer
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    redis.call('HSET', KEYS[1], 'late_answer', ARGV[1])
    return 1
    """,
)


# One for each connector, and a few more.
TRIGGERED_MAX = 110
_TRIGGERED = Script(
    "record-triggered",
    """
    -- KEYS[1] record; ARGV: the message as JSON, how many are kept
    local record = redis.call('HMGET', KEYS[1], 'state', 'triggered', 'triggered_count')
    if not record[1] or tonumber(record[3] or '0') >= tonumber(ARGV[2]) then return 0 end
    local before = record[2] and record[2] ~= '' and record[2] .. ',' or ''
    redis.call('HSET', KEYS[1], 'triggered', before .. ARGV[1])
    return redis.call('HINCRBY', KEYS[1], 'triggered_count', 1)
    """,
)


@dataclass(frozen=True, slots=True)
class Queued:
    """is_new: False where the id or the Idempotency-Key recognised an earlier request."""

    command_id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """A command that is ours to send, once. sealed: its payload, where it holds a secret."""

    command_id: str
    action: str
    payload: Mapping[str, Any]
    sealed: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has just got its final state. reply_to: the process that waits for that."""

    command_id: str
    action: str
    reply_to: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class NewCommand:
    """payload: fit to be shown; sealed: the encrypted payload where that differs, or ""."""

    command_id: str
    charge_point_id: str
    action: str
    payload: Mapping[str, Any]
    sealed: str
    requested_by: str
    reply_to: str
    created_at_ms: int
    deadline_at_ms: int


@dataclass(frozen=True, slots=True)
class Idempotency:
    """key: of keys.idempotency; digest: of the request it stands for."""

    key: str
    digest: str


class Commands:
    def __init__(self, link: Link) -> None:
        self._link = link

    def queue(self, command: NewCommand, idempotency: Idempotency | None) -> Queued:
        """Record a command and put it into the outbox. Raises IdempotencyConflict, and
        StoreUnavailable where that took so long that it was said never to have been."""
        charge_point_id = command.charge_point_id
        key = keys.command(charge_point_id, command.command_id)
        names = [key, keys.commands_of(charge_point_id), keys.outbox(charge_point_id)]
        if idempotency is not None:
            names.append(idempotency.key)
        fields: list[Argument] = []
        for name in ("action", "sealed", "requested_by", "reply_to"):
            fields += (name, getattr(command, name))
        fields += ("payload", orjson.dumps(command.payload))
        fields += ("created_at_ms", command.created_at_ms, "deadline_at_ms", command.deadline_at_ms)
        # Found by its id before it exists: a reader that is too early sees that it is not there.
        # In the list of outboxes before, for a crash in between, and after, for who empties it.
        is_waiting = ("SADD", keys.WAITING_OUTBOXES, charge_point_id)
        replies = self._link.batch(
            ("HSET", keys.COMMAND_OWNERS, command.command_id, charge_point_id),
            ("ZADD", keys.COMMANDS, command.created_at_ms, command.command_id),
            ("ZADD", keys.COMMANDS_DUE, command.deadline_at_ms, command.command_id),
            is_waiting,
            _QUEUE.call(
                names,
                [
                    command.command_id,
                    command.created_at_ms,
                    idempotency.digest if idempotency else "",
                    IDEMPOTENCY_S,
                    KEPT_PER_CHARGE_POINT,
                    keys.command(charge_point_id, ""),
                    *fields,
                ],
            ),
            is_waiting,
        )
        outcome = replies[4]
        if outcome[0] != "QUEUED" and outcome[1:] != [command.command_id]:
            self._link.batch(
                ("HDEL", keys.COMMAND_OWNERS, command.command_id),
                ("ZREM", keys.COMMANDS, command.command_id),
                ("ZREM", keys.COMMANDS_DUE, command.command_id),
            )
            self.forget_empty_outbox(charge_point_id)
        if outcome[0] == "CONFLICT":
            raise IdempotencyConflict()
        if outcome[0] == "BARRED":
            raise StoreUnavailable("It took too long to be queued: nothing was sent.")
        return Queued(outcome[1], is_new=outcome[0] == "QUEUED")

    def never_was(self, charge_point_id: str, command_id: str) -> bool:
        """Whether a command that a record names was never queued; then it never will be."""
        key = keys.command(charge_point_id, command_id)
        return bool(self._link.run(_NEVER_WAS, [key], [BARRED_S]))

    def recall(self, idempotency: Idempotency) -> str | None:
        """The command an Idempotency-Key stands for. Raises IdempotencyConflict."""
        before = self._link.call("GET", idempotency.key)
        if before is None:
            return None
        command_id, digest = before.split(" ")
        if digest != idempotency.digest:
            raise IdempotencyConflict()
        return str(command_id)

    def take(
        self, charge_point_id: str, epoch: int, unique_id: str, now_ms: int
    ) -> tuple[Taken | None, Sequence[Ended]]:
        """The next command to send, marked as sent, and those it came too late for.

        None where there is none or another one is in flight. May be repeated with the same
        unique_id by who got no confirmation, and has written nothing. Raises StaleEpoch.
        """
        reply = self._link.run(
            _TAKE,
            [
                keys.live(charge_point_id),
                keys.outbox(charge_point_id),
                keys.in_flight(charge_point_id),
            ],
            [epoch, now_ms, keys.command(charge_point_id, ""), unique_id, KEPT_FINAL_S],
        )
        check(reply, charge_point_id)
        if reply[0] == "BUSY":
            return None, ()
        expired = [_ended(row) for row in reply[1]]
        if reply[0] == "EMPTY":
            self.forget_empty_outbox(charge_point_id)
            return None, expired
        _, _, command_id, action, payload, sealed, created_at_ms = reply
        taken = Taken(command_id, action, orjson.loads(payload), sealed, int(created_at_ms))
        return taken, expired

    def due_again(self, command_id: str, due_at_ms: int) -> None:
        """When the sweep must look at a command that is not final yet."""
        self._link.post("ZADD", keys.COMMANDS_DUE, due_at_ms, command_id)

    def settle(
        self,
        charge_point_id: str,
        command_id: str,
        state: CommandState,
        now_ms: int,
        *,
        was: CommandState = CommandState.SENT,
        answer: Mapping[str, Any] | None = None,
        error: CommandError | None = None,
        reason: str = "",
    ) -> Ended | None:
        """Give a command its final state; None where it had one already. It stays due until what
        follows from it is done too: see no_longer_due."""
        fields: list[Argument] = ["state", state, "settled_at_ms", now_ms, "reason", reason]
        fields += ("sealed", "")
        if answer is not None:
            fields += ("answer", orjson.dumps(answer))
        if error is not None:
            fields += ("error", orjson.dumps(error))
        reply = self._link.run(
            _SETTLE,
            [
                keys.command(charge_point_id, command_id),
                keys.in_flight(charge_point_id),
                keys.outbox(charge_point_id),
            ],
            [command_id, was, KEPT_FINAL_S, *fields],
        )
        return _ended(reply) if reply else None

    def record_late_answer(
        self, charge_point_id: str, command_id: str, answer: Mapping[str, Any], due_at_ms: int
    ) -> None:
        """Kept beside the end it had. due_at_ms: when the sweep does what follows from it, unless
        that was done by then. May be repeated."""
        key = keys.command(charge_point_id, command_id)
        self._link.batch(
            ("ZADD", keys.COMMANDS_DUE, due_at_ms, command_id),
            _LATE.call([key], [orjson.dumps(answer)]),
        )

    def shorten(self, charge_point_id: str, command_id: str, payload: Mapping[str, Any]) -> None:
        """Keep less of the payload of a command that is over."""
        words: list[Argument] = ["payload", orjson.dumps(payload), "payload_cut", 1]
        self._link.post(*UPDATE.call([keys.command(charge_point_id, command_id)], words))

    def find(self, charge_point_id: str, command_id: str) -> Command | None:
        fields = pairs(self._link.call("HGETALL", keys.command(charge_point_id, command_id)))
        return _command(charge_point_id, command_id, fields)

    def look(self, charge_point_id: str, command_id: str) -> tuple[Command | None, bool]:
        """The command, and whether it is over in every respect: it has its end, and what follows
        from that is done."""
        reply, due_at_ms = self._link.batch(
            ("HGETALL", keys.command(charge_point_id, command_id)),
            ("ZSCORE", keys.COMMANDS_DUE, command_id),
        )
        fields = pairs(reply)
        command = _command(charge_point_id, command_id, fields) if fields else None
        return command, command is not None and is_final(command) and due_at_ms is None

    def get(self, command_id: str) -> Command:
        """Raises NotFound, also for one that is no longer kept."""
        owner = self.owner(command_id)
        found = self.find(owner, command_id) if owner else None
        if found is None:
            raise NotFound("command", command_id)
        return found

    def owner(self, command_id: str) -> str | None:
        owner: str | None = self._link.call("HGET", keys.COMMAND_OWNERS, command_id)
        return owner

    def page(
        self,
        cursor: str | None,
        limit: int,
        *,
        charge_point_id: str | None = None,
        state: CommandState | None = None,
    ) -> Page[Command]:
        """Newest first."""

        def load(command_ids: Sequence[str]) -> Sequence[Command | None]:
            if charge_point_id is None:
                found = [
                    _command(owner, command_id, fields)
                    for owner, command_id, fields in owned_records(
                        self._link, keys.COMMAND_OWNERS, command_ids, keys.command
                    )
                ]
            else:
                names = [keys.command(charge_point_id, one) for one in command_ids]
                found = [
                    _command(charge_point_id, command_id, fields)
                    for command_id, fields in zip(
                        command_ids, records(self._link, names), strict=True
                    )
                ]
            return [c if c and (state is None or c.state is state) else None for c in found]

        key = keys.COMMANDS if charge_point_id is None else keys.commands_of(charge_point_id)
        return newest_first(self._link, key, cursor, limit, load)

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Commands whose deadline, or whose answer's, is over."""
        due: list[str] = self._link.call(
            "ZRANGEBYSCORE", keys.COMMANDS_DUE, "-inf", now_ms, "LIMIT", 0, limit
        )
        return due

    def oldest_queued_ms(self) -> int | None:
        """When the oldest of the commands that wait was created, of the 50 that fall due first."""
        due = self._link.call("ZRANGE", keys.COMMANDS_DUE, 0, 49)
        owners = self._link.call("HMGET", keys.COMMAND_OWNERS, *due) if due else []
        found = [
            ("HMGET", keys.command(owner, command_id), "state", "created_at_ms")
            for owner, command_id in zip(owners, due, strict=True)
            if owner
        ]
        rows = self._link.batch(*found) if found else []
        return min((int(row[1]) for row in rows if row[0] == CommandState.QUEUED), default=None)

    def no_longer_due(self, command_id: str) -> None:
        """It has its end, and what follows from it is done."""
        self._link.post("ZREM", keys.COMMANDS_DUE, command_id)

    def record_triggered(
        self, charge_point_id: str, command_id: str, message: TriggeredMessage
    ) -> None:
        """Link a message to the command that asked for it. Nobody waits for it."""
        key = keys.command(charge_point_id, command_id)
        self._link.post(*_TRIGGERED.call([key], [orjson.dumps(message), TRIGGERED_MAX]))

    def waiting_outboxes(self, limit: int) -> list[str]:
        """Some of the charge points that have commands to be sent."""
        waiting: list[str] = self._link.call("SRANDMEMBER", keys.WAITING_OUTBOXES, limit)
        return waiting

    def forget_empty_outbox(self, charge_point_id: str) -> None:
        """Nobody need look for commands where none are left."""
        _, is_there = self._link.batch(
            ("SREM", keys.WAITING_OUTBOXES, charge_point_id),
            ("EXISTS", keys.outbox(charge_point_id)),
        )
        if is_there:  # one was queued in between
            self._link.call("SADD", keys.WAITING_OUTBOXES, charge_point_id)

    def trim(self) -> None:
        """Take the oldest out of the list of all commands; their records leave by themselves."""
        excess = scored(self._link.call("ZRANGE", keys.COMMANDS, 0, -1 - KEPT_IN_ALL, "WITHSCORES"))
        for start in range(0, len(excess), 500):
            ids = [command_id for command_id, _ in excess[start : start + 500]]
            self._link.batch(("ZREM", keys.COMMANDS, *ids), ("HDEL", keys.COMMAND_OWNERS, *ids))


def _command(charge_point_id: str, command_id: str, fields: Mapping[str, str]) -> Command | None:
    """None for one that is not there, or that is barred from ever being."""
    if "state" not in fields:
        return None

    def optional(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    def optional_json(name: str) -> Any:
        return orjson.loads(fields[name]) if fields.get(name) else None

    error = optional_json("error")
    return Command(
        command_id=command_id,
        charge_point_id=charge_point_id,
        action=fields["action"],
        payload=orjson.loads(fields["payload"]),
        state=CommandState(fields["state"]),
        requested_by=fields.get("requested_by", ""),
        created_at_ms=int(fields["created_at_ms"]),
        deadline_at_ms=int(fields["deadline_at_ms"]),
        sent_at_ms=optional("sent_at_ms"),
        settled_at_ms=optional("settled_at_ms"),
        unique_id=fields.get("unique_id", ""),
        answer=optional_json("answer"),
        error=CommandError(**error) if error else None,
        late_answer=optional_json("late_answer"),
        reason=fields.get("reason", ""),
        triggered=tuple(
            TriggeredMessage(**message)
            for message in orjson.loads(f"[{fields.get('triggered', '')}]")
        ),
        payload_cut=fields.get("payload_cut") == "1",
    )


def _ended(row: Sequence[str | None]) -> Ended:
    command_id, action, reply_to, created_at_ms = row
    return Ended(command_id or "", action or "", reply_to or "", int(created_at_ms or 0))


def is_final(command: Command) -> bool:
    return command.state in FINAL_STATES
