"""Transfers as records: what was asked for, what the charge point answered, what it reported.

A record is written before its command may be sent, so that no report can come too early. Reports
and boots are written by the connection that owns the charge point, in one script each; what they
mean is in domain/transfer.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from csms.domain.transfer import (
    BOOTED,
    FINAL_STATES,
    REPORTABLE_STATES,
    REPORTED_BY,
    REQUEST_ID_MAX,
    RIVALS,
    SUBJECTS,
    Event,
    Outcome,
    Subject,
    Transfer,
    TransferKind,
    TransferState,
    first_request_id,
    state_after,
)
from csms.errors import NotFound, StoreRefused
from csms.state import keys
from csms.state.fence import check
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import Page, newest_first, pairs
from csms.state.records import UPDATE

KEPT_PER_SUBJECT = 50
EVENTS_KEPT = 100
KEPT_S = 400 * 86_400
# A report that comes so long after the end of everything is about something else: an update that
# somebody has begun on the spot.
LATE_MS = 86_400_000
# How long after a request was noted somebody looks whether it was put on its way.
LOOK_MS = 60_000
_TAKEN_OVER = {False: TransferState.SUPERSEDED, True: TransferState.CANCELLED}

_RECORD = Script(
    "record-transfer",
    """
    -- KEYS: 1 record, 2 index, 3 open transfers
    -- ARGV: 1 id, 2 created at, 3 kind, 4 kept, 5 kept s, 6 key prefix of records,
    --       7 key prefix of histories, 8.. fields and values
    -- Noted before: what has become of it since stays.
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HSET', KEYS[1], unpack(ARGV, 8))
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
    redis.call('EXPIRE', KEYS[1], ARGV[5])
    redis.call('EXPIRE', KEYS[2], ARGV[5])
    redis.call('EXPIRE', KEYS[3], ARGV[5])
    for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - tonumber(ARGV[4]))) do
      local is_open = redis.call('HEXISTS', KEYS[3], id) == 1
      if is_open and redis.call('EXISTS', ARGV[6] .. id) == 0 then
        redis.call('HDEL', KEYS[3], id)
        is_open = false
      end
      if not is_open then
        redis.call('DEL', ARGV[6] .. id, ARGV[7] .. id)
        redis.call('ZREM', KEYS[2], id)
      end
    end
    return 1
    """,
)

_SETTLE = Script(
    "settle-transfer",
    """
    -- KEYS: 1 record, 2 open transfers
    -- ARGV: 1 id, 2 state, 3 whether it is final, 4 now, 5 state of the rivals it takes over
    --       from, or '', 6 kinds of its rivals as |a|b|, 7 key prefix of records,
    --       8.. fields and values
    -- Answers those taken over from.
    local was = redis.call('HMGET', KEYS[1], 'state', 'created_at_ms')
    if not was[1] then return {} end
    -- A report may have been quicker: it knows more than the answer. That a later one has taken
    -- over from one that was never sent is our guess.
    if was[1] == 'requested' or was[1] == 'unconfirmed'
      or (was[1] == 'superseded' and ARGV[2] == 'unsent') then
      redis.call('HSET', KEYS[1], 'state', ARGV[2])
      if ARGV[3] == '1' then
        redis.call('HSET', KEYS[1], 'ended_at_ms', ARGV[4])
        redis.call('HDEL', KEYS[2], ARGV[1])
      end
    end
    redis.call('HSET', KEYS[1], unpack(ARGV, 8))
    local over = {}
    if ARGV[5] == '' then return over end
    local open = redis.call('HGETALL', KEYS[2])
    for i = 1, #open, 2 do
      local id = open[i]
      if id ~= ARGV[1] and string.find(ARGV[6], '|' .. open[i + 1] .. '|', 1, true) then
        local rival = redis.call('HMGET', ARGV[7] .. id, 'state', 'created_at_ms')
        if not rival[1] then
          redis.call('HDEL', KEYS[2], id)
        elseif tonumber(rival[2]) <= tonumber(was[2]) then
          redis.call('HSET', ARGV[7] .. id, 'state', ARGV[5], 'ended_at_ms', ARGV[4])
          redis.call('HDEL', KEYS[2], id)
          over[#over + 1] = id
        end
      end
    end
    return over
    """,
)

_REPORT = Script(
    "report-transfer",
    """
    -- KEYS: 1 live, 2 open transfers, 3 index, 4 (where its progress is kept) charge point
    -- ARGV: 1 epoch, 2 key prefix of records, 3 key prefix of histories, 4 kind, 5 other kind or
    --       '', 6 request id or '', 7 status, 8 now, 9 state it leads to or '', 10 whether that is
    --       final, 11 states a report may change as |a|b|, 12 earliest end of what a late report
    --       may be about, 13 the event, 14 events kept, 15 kept s, 16 subject of the progress
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'STALE'} end
    if KEYS[4] then
      redis.call('HSET', KEYS[4], ARGV[16] .. '_status', ARGV[7],
        ARGV[16] .. '_status_at_ms', ARGV[8])
    end

    -- What runs is meant before what may not have arrived, the newest first; of those that wait
    -- to be sent the oldest.
    local ranks = {running = 3, taken = 3, unconfirmed = 2, requested = 1}
    local function newest_open(kind)
      local open = redis.call('HGETALL', KEYS[2])
      local best, best_rank, best_at
      for i = 1, #open, 2 do
        if open[i + 1] == kind then
          local was = redis.call('HMGET', ARGV[2] .. open[i], 'state', 'created_at_ms')
          if not was[1] then
            redis.call('HDEL', KEYS[2], open[i])
          else
            local rank, at = ranks[was[1]] or 0, tonumber(was[2])
            if rank == 1 then at = -at end
            if not best or rank > best_rank or (rank == best_rank and at > best_at) then
              best, best_rank, best_at = open[i], rank, at
            end
          end
        end
      end
      return best
    end
    local function by_request()
      for _, id in ipairs(redis.call('ZREVRANGE', KEYS[3], 0, -1)) do
        local is = redis.call('HMGET', ARGV[2] .. id, 'kind', 'request_id')
        if is[1] == ARGV[4] and is[2] == ARGV[6] then return id end
      end
    end
    local function lately_ended(kind)
      for _, id in ipairs(redis.call('ZREVRANGE', KEYS[3], 0, -1)) do
        local is = redis.call('HMGET', ARGV[2] .. id, 'kind', 'state', 'ended_at_ms')
        if is[1] == kind and is[2] ~= 'refused' and is[2] ~= 'unsent' then
          if tonumber(is[3] or '0') >= tonumber(ARGV[12]) then return id end
          return nil
        end
      end
    end

    local id
    if ARGV[6] ~= '' then
      id = by_request()
    else
      id = newest_open(ARGV[4]) or (ARGV[5] ~= '' and newest_open(ARGV[5]))
      if not id and ARGV[9] ~= '' then id = lately_ended(ARGV[4]) end
    end
    if not id then return {'NONE'} end

    local key = ARGV[2] .. id
    local was = redis.call('HMGET', key, 'state', 'last_event', 'kind')
    if was[2] ~= ARGV[7] then
      redis.call('RPUSH', ARGV[3] .. id, ARGV[13])
      redis.call('LTRIM', ARGV[3] .. id, -tonumber(ARGV[14]), -1)
    end
    redis.call('HSET', key, 'last_event', ARGV[7], 'reported', ARGV[7], 'reported_at_ms', ARGV[8])
    redis.call('EXPIRE', key, ARGV[15])
    redis.call('EXPIRE', ARGV[3] .. id, ARGV[15])
    local state = was[1]
    if ARGV[9] ~= '' and string.find(ARGV[11], '|' .. state .. '|', 1, true) then
      state = ARGV[9]
      redis.call('HSET', key, 'state', state)
      if ARGV[10] == '1' then
        redis.call('HSET', key, 'ended_at_ms', ARGV[8])
        redis.call('HDEL', KEYS[2], id)
      else
        redis.call('HDEL', key, 'ended_at_ms')
        redis.call('HSET', KEYS[2], id, was[3])
      end
    end
    return {'KEPT', id, was[1], state}
    """,
)

_BOOT = Script(
    "boot-in-transfer",
    """
    -- KEYS: 1 live, 2 open transfers
    -- ARGV: 1 epoch, 2 key prefix of records, 3 key prefix of histories, 4 kinds as |a|b|,
    --       5 name of the event, 6 the event, 7 events kept, 8 kept s
    local open = redis.call('HGETALL', KEYS[2])
    if #open == 0 or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
    for i = 1, #open, 2 do
      local key = ARGV[2] .. open[i]
      local state = redis.call('HGET', key, 'state')
      if state and state ~= 'requested'
        and string.find(ARGV[4], '|' .. open[i + 1] .. '|', 1, true) then
        redis.call('HSET', key, 'last_event', ARGV[5])
        redis.call('RPUSH', ARGV[3] .. open[i], ARGV[6])
        redis.call('LTRIM', ARGV[3] .. open[i], -tonumber(ARGV[7]), -1)
        redis.call('EXPIRE', ARGV[3] .. open[i], ARGV[8])
      end
    end
    return 1
    """,
)

_REQUEST_ID = Script(
    "take-request-id",
    """
    -- KEYS: 1 counter, 2.. indexes; ARGV: 1 first id, 2 key prefix of records
    redis.call('SET', KEYS[1], ARGV[1], 'NX')
    local taken = {}
    for i = 2, #KEYS do
      for _, id in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
        -- Operators may choose their own.
        taken[redis.call('HGET', ARGV[2] .. id, 'request_id') or ''] = true
      end
    end
    local id
    repeat id = redis.call('INCR', KEYS[1]) until not taken[tostring(id)]
    return id
    """,
)


@dataclass(frozen=True, slots=True)
class Report:
    """A status notification. kind: of which its message tells; request_id: None where it names
    none. progress: the charge point's own field that keeps the status, `firmware` or
    `diagnostics`, or "".
    """

    kind: TransferKind
    status: str
    request_id: int | None
    progress: str


@dataclass(frozen=True, slots=True)
class Reported:
    """Where a report was kept, and what it changed."""

    transfer_id: str
    before: TransferState
    state: TransferState


class Transfers:
    def __init__(self, link: Link) -> None:
        self._link = link

    def record(self, transfer: Transfer) -> None:
        """A new one, before its command is queued; may be repeated."""
        charge_point_id = transfer.charge_point_id
        look_at_ms = transfer.created_at_ms + LOOK_MS
        # To be looked at before it is there: a crash leaves one look too many, never one too few.
        self._link.batch(
            ("ZADD", keys.TRANSFERS_DUE, look_at_ms, f"{transfer.transfer_id}/{charge_point_id}"),
            _RECORD.call(
                [
                    keys.transfer(charge_point_id, transfer.transfer_id),
                    keys.transfers_of(charge_point_id, SUBJECTS[transfer.kind]),
                    keys.open_transfers(charge_point_id),
                ],
                [
                    transfer.transfer_id,
                    transfer.created_at_ms,
                    transfer.kind,
                    KEPT_PER_SUBJECT,
                    KEPT_S,
                    *_prefixes(charge_point_id),
                    *_fields(transfer),
                ],
            ),
        )

    def due(self, now_ms: int, limit: int) -> list[tuple[str, str]]:
        """Those that should have been put on their way by now: (charge point, transfer)."""
        members = self._link.call(
            "ZRANGEBYSCORE", keys.TRANSFERS_DUE, "-inf", now_ms, "LIMIT", 0, limit
        )
        return [(owner, one) for one, _, owner in (member.partition("/") for member in members)]

    def looked_at(self, charge_point_id: str, transfer_id: str) -> None:
        self._link.call("ZREM", keys.TRANSFERS_DUE, f"{transfer_id}/{charge_point_id}")

    def settle(
        self,
        charge_point_id: str,
        transfer_id: str,
        kind: TransferKind,
        outcome: Outcome,
        now_ms: int,
    ) -> Sequence[str]:
        """What the end of its command makes of it; may be repeated. Those that are over by it."""
        fields: list[Argument] = ["file_name", outcome.file_name]
        fields += ("reason", outcome.reason, "hint", outcome.hint)
        if outcome.state not in {TransferState.UNCONFIRMED, TransferState.UNSENT}:
            fields += ("answered_at_ms", now_ms)
        takes_over = outcome.state is TransferState.TAKEN
        over: Sequence[str] = self._link.run(
            _SETTLE,
            [keys.transfer(charge_point_id, transfer_id), keys.open_transfers(charge_point_id)],
            [
                transfer_id,
                outcome.state,
                int(outcome.state in FINAL_STATES),
                now_ms,
                _TAKEN_OVER[outcome.cancels_earlier] if takes_over else "",
                _barred(RIVALS[kind]),
                keys.transfer(charge_point_id, ""),
                *fields,
            ],
        )
        return over

    def report(
        self, charge_point_id: str, epoch: int, report: Report, now_ms: int
    ) -> Reported | None:
        """Keep what a charge point tells; None where it is about no transfer of ours.

        Without a request id it is about the one that runs, else about the one that ended last.
        Raises StaleEpoch.
        """
        names = [
            keys.live(charge_point_id),
            keys.open_transfers(charge_point_id),
            keys.transfers_of(charge_point_id, SUBJECTS[report.kind]),
        ]
        if report.progress:
            names.append(keys.charge_point(charge_point_id))
        state = state_after(report.status)
        kind, *others = REPORTED_BY[report.kind]
        reply = self._link.run(
            _REPORT,
            names,
            [
                epoch,
                *_prefixes(charge_point_id),
                kind,
                others[0] if others else "",
                "" if report.request_id is None else report.request_id,
                report.status,
                now_ms,
                state or "",
                int(state in FINAL_STATES),
                _barred(sorted(REPORTABLE_STATES)),
                now_ms - LATE_MS,
                orjson.dumps(Event(report.status, now_ms)),
                EVENTS_KEPT,
                KEPT_S,
                report.progress,
            ],
        )
        check(reply, charge_point_id)
        if reply[0] == "NONE":
            return None
        _, transfer_id, before, after = reply
        return Reported(transfer_id, TransferState(before), TransferState(after))

    def boot_command(
        self,
        charge_point_id: str,
        epoch: int,
        firmware_before: str,
        firmware_after: str,
        now_ms: int,
    ) -> Command:
        """Notes a boot in the updates that are under way."""
        event = Event(BOOTED, now_ms, firmware_before, firmware_after)
        return _BOOT.call(
            [keys.live(charge_point_id), keys.open_transfers(charge_point_id)],
            [
                epoch,
                *_prefixes(charge_point_id),
                _barred(RIVALS[TransferKind.FIRMWARE]),
                BOOTED,
                orjson.dumps(event),
                EVENTS_KEPT,
                KEPT_S,
            ],
        )

    def take_request_id(self, charge_point_id: str, now_ms: int) -> int:
        """Positive, and never used before for this charge point. Raises StoreRefused at the end of
        the 31-bit range."""
        taken = int(
            self._link.run(
                _REQUEST_ID,
                [
                    keys.request_ids(charge_point_id),
                    *[keys.transfers_of(charge_point_id, subject) for subject in Subject],
                ],
                [first_request_id(now_ms), keys.transfer(charge_point_id, "")],
            )
        )
        if taken > REQUEST_ID_MAX:
            raise StoreRefused("The request ids are used up.")
        return taken

    def note_signing(
        self,
        charge_point_id: str,
        transfer_id: str,
        sha256: str,
        signing_key: str,
        warnings: Sequence[str],
    ) -> None:
        """What is known of the firmware beside what its request says."""
        noted: list[Argument] = ["sha256", sha256, "signing_key", signing_key]
        noted += ("warnings", orjson.dumps(warnings))
        self._link.run(UPDATE, [keys.transfer(charge_point_id, transfer_id)], noted)

    def find(self, charge_point_id: str, transfer_id: str) -> Transfer | None:
        return self._load(charge_point_id, [transfer_id])[0]

    def get(self, charge_point_id: str, transfer_id: str, subject: Subject) -> Transfer:
        """Raises NotFound, also for one of the other subject."""
        found = self.find(charge_point_id, transfer_id)
        if found is None or SUBJECTS[found.kind] is not subject:
            raise NotFound(_NAMES[subject], transfer_id)
        return found

    def page(
        self, charge_point_id: str, subject: Subject, cursor: str | None, limit: int
    ) -> Page[Transfer]:
        """Newest first."""
        return newest_first(
            self._link,
            keys.transfers_of(charge_point_id, subject),
            cursor,
            limit,
            lambda ids: self._load(charge_point_id, ids),
        )

    def _load(self, charge_point_id: str, transfer_ids: Sequence[str]) -> list[Transfer | None]:
        if not transfer_ids:
            return []
        commands: list[Command] = []
        for transfer_id in transfer_ids:
            commands.append(("HGETALL", keys.transfer(charge_point_id, transfer_id)))
            history = keys.transfer_history(charge_point_id, transfer_id)
            commands.append(("LRANGE", history, 0, -1))
        replies = self._link.batch(*commands)
        return [
            _transfer(charge_point_id, transfer_id, pairs(fields), history) if fields else None
            for transfer_id, fields, history in zip(
                transfer_ids, replies[::2], replies[1::2], strict=True
            )
        ]


_NAMES = {Subject.FIRMWARE: "firmware update", Subject.LOGS: "log upload"}


def keys_of(link: Link, charge_point_id: str) -> list[str]:
    """All keys of a charge point's transfers, for its deletion."""
    indexes = [keys.transfers_of(charge_point_id, subject) for subject in Subject]
    found = [keys.open_transfers(charge_point_id), keys.request_ids(charge_point_id), *indexes]
    for transfer_ids in link.batch(*[("ZRANGE", index, 0, -1) for index in indexes]):
        for transfer_id in transfer_ids:
            found.append(keys.transfer(charge_point_id, transfer_id))
            found.append(keys.transfer_history(charge_point_id, transfer_id))
    return found


def _prefixes(charge_point_id: str) -> tuple[str, str]:
    return keys.transfer(charge_point_id, ""), keys.transfer_history(charge_point_id, "")


def _barred(names: Sequence[str]) -> str:
    """|a|b|, in which a script finds |a|."""
    return f"|{'|'.join(names)}|"


_NUMBERS = (
    "deadline_at_ms",
    "request_id",
    "retrieve_at_ms",
    "install_at_ms",
    "oldest_at_ms",
    "latest_at_ms",
    "retries",
    "retry_interval_s",
    "answered_at_ms",
    "reported_at_ms",
    "ended_at_ms",
)
_TEXTS = (
    "log_type",
    "file_name",
    "reason",
    "hint",
    "sha256",
    "signing_key",
    "reported",
    "location",
    "requested_by",
)


def _fields(transfer: Transfer) -> list[Argument]:
    words: list[Argument] = ["kind", transfer.kind, "state", transfer.state]
    words += ("created_at_ms", transfer.created_at_ms)
    words += ("warnings", orjson.dumps(transfer.warnings))
    for name in (*_NUMBERS, *_TEXTS):
        value = getattr(transfer, name)
        if value not in (None, ""):
            words += (name, value)
    return words


def _transfer(
    charge_point_id: str, transfer_id: str, fields: Mapping[str, str], history: Sequence[str]
) -> Transfer:
    known: dict[str, Any] = {name: int(fields[name]) for name in _NUMBERS if name in fields}
    known |= {name: fields.get(name, "") for name in _TEXTS}
    return Transfer(
        transfer_id=transfer_id,
        charge_point_id=charge_point_id,
        kind=TransferKind(fields["kind"]),
        state=TransferState(fields["state"]),
        created_at_ms=int(fields["created_at_ms"]),
        warnings=tuple(orjson.loads(fields["warnings"])),
        history=tuple(Event(**orjson.loads(event)) for event in history),
        **known,
    )
