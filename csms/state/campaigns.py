"""Campaigns and their targets as records.

One run at a time works on a campaign: it has a number, and what a run with an older number writes
is refused, so that a worker that stood still changes nothing any more. Operators change the state
of a campaign only; its targets are the run's alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from csms.domain.campaign import (
    OUTCOMES,
    Campaign,
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    ResetWork,
    Rules,
    Selection,
    Step,
    Target,
    TargetEvent,
    TargetState,
    TrailEntry,
    Window,
    Work,
)
from csms.domain.transfer import LogKind
from csms.errors import CSMSError, FieldError, NotFound
from csms.state import keys
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import Page, newest_first, pairs, scored

KEPT = 500
TRAIL_KEPT = 1_000
# So long a campaign stands still when the run that held it has died.
LEASE_MS = 15_000
# How long a charge point may be held for a campaign: as long as the longest step.
CLAIM_S = 31 * 86_400
# In this order they are begun: those that were begun before first.
_WAITING = ("again", "waiting")
_INDEXES = (*_WAITING, TargetState.UNDER_WAY, *OUTCOMES)

_CREATE = Script(
    "create-campaign",
    """
    -- KEYS: 1 record, 2 charge points listed, 3 trail, 4 campaigns, 5 campaigns that are due
    -- ARGV: 1 id, 2 charge points as JSON, 3 line of the trail, 4 created at, 5 due at,
    --       6.. fields and values
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HSET', KEYS[1], unpack(ARGV, 6))
    redis.call('SET', KEYS[2], ARGV[2])
    redis.call('RPUSH', KEYS[3], ARGV[3])
    redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
    redis.call('ZADD', KEYS[5], ARGV[5], ARGV[1])
    return 1
    """,
)
_TAKE_RUN = Script(
    "take-campaign-run",
    """
    -- KEYS: 1 record, 2 campaigns that are due; ARGV: 1 id, 2 now, 3 lease ms
    local is = redis.call('HMGET', KEYS[1], 'state', 'lease_until_ms')
    if not is[1] then
      redis.call('ZREM', KEYS[2], ARGV[1])
      return 0
    end
    if tonumber(is[2] or '0') > tonumber(ARGV[2]) then return 0 end
    local until_ms = ARGV[2] + ARGV[3]
    redis.call('HSET', KEYS[1], 'lease_until_ms', until_ms)
    redis.call('ZADD', KEYS[2], until_ms, ARGV[1])
    redis.call('HDEL', KEYS[1], 'woken_ms')
    return redis.call('HINCRBY', KEYS[1], 'run', 1)
    """,
)
_HOLD_RUN = Script(
    "hold-campaign-run",
    """
    -- KEYS: 1 record, 2 campaigns that are due
    -- ARGV: 1 id, 2 run, 3 lease until, 0 where the run ends, 4 when to look again, '' for never
    if redis.call('HGET', KEYS[1], 'run') ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[1], 'lease_until_ms', ARGV[3])
    local look_at_ms = ARGV[4]
    -- What an operator has done since it began, a run that ends may not have seen.
    if ARGV[3] == '0' then look_at_ms = redis.call('HGET', KEYS[1], 'woken_ms') or look_at_ms end
    if look_at_ms == '' then redis.call('ZREM', KEYS[2], ARGV[1])
    else redis.call('ZADD', KEYS[2], look_at_ms, ARGV[1]) end
    return 1
    """,
)
_CHANGE = Script(
    "change-campaign",
    """
    -- KEYS: 1 record, 2 trail, 3 campaigns that are due
    -- ARGV: 1 id, 2 states it may be in as |a|b|, 3 run or '', 4 when to look or '',
    --       5 line of the trail or '', 6 lines kept, 7.. fields and values
    local was = redis.call('HMGET', KEYS[1], 'state', 'run')
    if not was[1] then return '' end
    if ARGV[3] ~= '' and was[2] ~= ARGV[3] then return 'STALE' end
    if not string.find(ARGV[2], '|' .. was[1] .. '|', 1, true) then return was[1] end
    if #ARGV > 6 then redis.call('HSET', KEYS[1], unpack(ARGV, 7)) end
    if ARGV[4] ~= '' then
      redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
      redis.call('HSET', KEYS[1], 'woken_ms', ARGV[4])
    end
    if ARGV[5] ~= '' then
      redis.call('RPUSH', KEYS[2], ARGV[5])
      redis.call('LTRIM', KEYS[2], -tonumber(ARGV[6]), -1)
    end
    return 'CHANGED'
    """,
)
_FREEZE = Script(
    "freeze-targets",
    """
    -- KEYS: 1 record, 2 targets, 3 all of them in order, 4 waiting
    -- ARGV: 1 run, 2 where the next chunk begins, 3 now, 4.. charge point and target in turn
    if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then return 'STALE' end
    for i = 4, #ARGV, 2 do
      if redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) == 1 then
        redis.call('ZADD', KEYS[3], 0, ARGV[i])
        redis.call('ZADD', KEYS[4], ARGV[3], ARGV[i])
      end
    end
    redis.call('HSET', KEYS[1], 'frozen_until', ARGV[2], 'target_count',
      redis.call('ZCARD', KEYS[3]))
    return 'OK'
    """,
)
_MOVE = Script(
    "move-target",
    """
    -- KEYS: 1 record, 2 targets, 3 index it is in, 4 index it goes to
    -- ARGV: 1 run, 2 charge point, 3 target, 4 score
    if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then return 'STALE' end
    if not redis.call('ZSCORE', KEYS[3], ARGV[2]) then return 'MOVED' end
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
    redis.call('ZREM', KEYS[3], ARGV[2])
    redis.call('ZADD', KEYS[4], ARGV[4], ARGV[2])
    return 'OK'
    """,
)
_CLAIM = Script(
    "claim-charge-point",
    """
    -- KEYS: 1 holder, 2 what the campaign it may take over from has under way
    -- ARGV: 1 campaign, 2 s it may hold, 3 campaign it may take over from or '', 4 charge point
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1]
      and (holder ~= ARGV[3] or redis.call('ZSCORE', KEYS[2], ARGV[4])) then return holder end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
    return ''
    """,
)
_LET_GO = Script(
    "let-go-of-charge-point",
    """
    -- KEYS[1] holder; ARGV[1] campaign
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0
    """,
)


class StaleRun(CSMSError):
    """A newer run works on the campaign; this one must end."""

    def __init__(self, campaign_id: str) -> None:
        super().__init__(f"A newer run works on the campaign {campaign_id}.")


@dataclass(frozen=True, slots=True)
class Move:
    """A target as it was, as it is, and when to look at it again (for one with an outcome: when it
    got it)."""

    before: Target
    after: Target
    score_ms: int


class Campaigns:
    def __init__(self, link: Link) -> None:
        self._link = link

    # -- the campaign itself

    def create(self, campaign: Campaign, listed: Sequence[str], trail: TrailEntry) -> None:
        """A new one; may be repeated. listed: the charge points of a selection by list; its record
        says only how many."""
        campaign_id = campaign.campaign_id
        due_at_ms = max(campaign.created_at_ms, campaign.rules.start_at_ms or 0)
        self._link.run(
            _CREATE,
            [
                keys.campaign(campaign_id),
                keys.campaign_listed(campaign_id),
                keys.campaign_trail(campaign_id),
                keys.CAMPAIGNS,
                keys.CAMPAIGNS_DUE,
            ],
            [
                *(campaign_id, orjson.dumps(listed), orjson.dumps(trail)),
                *(campaign.created_at_ms, due_at_ms),
                *_fields(campaign),
            ],
        )
        self._forget_excess()

    def _forget_excess(self) -> None:
        for campaign_id in self._link.call("ZRANGE", keys.CAMPAIGNS, 0, -1 - KEPT):
            found = self.find(campaign_id)
            if found is None or found.is_over:
                self._link.batch(
                    ("ZREM", keys.CAMPAIGNS, campaign_id),
                    ("ZREM", keys.CAMPAIGNS_DUE, campaign_id),
                    (
                        "UNLINK",
                        keys.campaign(campaign_id),
                        keys.campaign_listed(campaign_id),
                        keys.campaign_trail(campaign_id),
                        keys.campaign_targets(campaign_id),
                        keys.campaign_order(campaign_id),
                        *[keys.campaign_index(campaign_id, name) for name in _INDEXES],
                    ),
                )

    def find(self, campaign_id: str) -> Campaign | None:
        return self._load([campaign_id])[0]

    def get(self, campaign_id: str) -> Campaign:
        """Raises NotFound."""
        found = self.find(campaign_id)
        if found is None:
            raise NotFound("campaign", campaign_id)
        return found

    def page(self, cursor: str | None, limit: int) -> Page[Campaign]:
        """Newest first."""
        return newest_first(self._link, keys.CAMPAIGNS, cursor, limit, self._load)

    def unfinished(self) -> list[Campaign]:
        """Those that are not over, of which there are as many as operators can follow."""
        ids = self._link.call("ZRANGE", keys.CAMPAIGNS, 0, -1)
        return [found for found in self._load(ids) if found is not None and not found.is_over]

    def _load(self, ids: Sequence[str]) -> list[Campaign | None]:
        if not ids:
            return []
        replies = self._link.batch(*[one for each in ids for one in _reads(each)])
        width = 1 + len(_INDEXES)
        return [
            _campaign(campaign_id, replies[i * width], replies[i * width + 1 : (i + 1) * width])
            for i, campaign_id in enumerate(ids)
        ]

    def change(
        self,
        campaign_id: str,
        was: Iterable[CampaignState],
        trail: TrailEntry | None = None,
        *,
        run: int | None = None,
        look_at_ms: int | None = None,
        **fields: Any,
    ) -> CampaignState | None:
        """Change fields of Campaign by name, if it is in one of these states: None, else the state
        it is in. Raises NotFound, and StaleRun where a run is given that is not the newest."""
        words: list[Argument] = []
        for name, value in fields.items():
            words += (name, _text(value))
        key, trail_key = keys.campaign(campaign_id), keys.campaign_trail(campaign_id)
        reply = self._link.run(
            _CHANGE,
            [key, trail_key, keys.CAMPAIGNS_DUE],
            [
                campaign_id,
                "".join(("|", *(f"{state}|" for state in was))),
                "" if run is None else run,
                "" if look_at_ms is None else look_at_ms,
                "" if trail is None else orjson.dumps(trail),
                TRAIL_KEPT,
                *words,
            ],
        )
        if reply == "":
            raise NotFound("campaign", campaign_id)
        if reply == "STALE":
            raise StaleRun(campaign_id)
        return None if reply == "CHANGED" else CampaignState(reply)

    def trail(self, campaign_id: str, cursor: str | None, limit: int) -> Page[TrailEntry]:
        """Newest first."""
        try:
            first = int(cursor or 0)
        except ValueError:
            raise FieldError("cursor", "is not one this list gave out") from None
        rows = self._link.call(
            "LRANGE", keys.campaign_trail(campaign_id), -1 - first - limit, -1 - first
        )
        entries = [TrailEntry(**orjson.loads(row)) for row in reversed(rows)]
        more = len(entries) > limit
        return Page(entries[:limit], str(first + limit) if more else None)

    # -- runs

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Campaigns that somebody should look at by now."""
        ids: list[str] = self._link.call(
            "ZRANGEBYSCORE", keys.CAMPAIGNS_DUE, "-inf", now_ms, "LIMIT", 0, limit
        )
        return ids

    def take_run(self, campaign_id: str, now_ms: int) -> int | None:
        """The number of a new run; None where another one is at work, or there is no such one."""
        key = keys.campaign(campaign_id)
        run = self._link.run(_TAKE_RUN, [key, keys.CAMPAIGNS_DUE], [campaign_id, now_ms, LEASE_MS])
        return int(run) or None

    def hold_run(self, campaign_id: str, run: int, now_ms: int) -> None:
        """For another while. Raises StaleRun."""
        until_ms = now_ms + LEASE_MS
        self._set_lease(campaign_id, run, until_ms, until_ms)

    def end_run(self, campaign_id: str, run: int, look_at_ms: int | None) -> None:
        """look_at_ms: when the next one is due, unless an operator has changed the campaign since
        this one began: then at once; None: when one does. Raises StaleRun."""
        self._set_lease(campaign_id, run, 0, look_at_ms)

    def _set_lease(self, campaign_id: str, run: int, until_ms: int, look_at_ms: int | None) -> None:
        held = self._link.run(
            _HOLD_RUN,
            [keys.campaign(campaign_id), keys.CAMPAIGNS_DUE],
            [campaign_id, run, until_ms, "" if look_at_ms is None else look_at_ms],
        )
        if not held:
            raise StaleRun(campaign_id)

    # -- targets

    def listed(self, campaign_id: str) -> list[str]:
        """The charge points of a selection by list."""
        ids: list[str] = orjson.loads(
            self._link.call("GET", keys.campaign_listed(campaign_id)) or "[]"
        )
        return ids

    def frozen_until(self, campaign_id: str) -> str:
        """Where the freezing of its targets has come to; "" at the beginning."""
        return str(self._link.call("HGET", keys.campaign(campaign_id), "frozen_until") or "")

    def freeze(
        self, campaign_id: str, run: int, charge_point_ids: Sequence[str], until: str, now_ms: int
    ) -> None:
        """Write some targets down; may be repeated. Raises StaleRun."""
        words: list[Argument] = []
        for charge_point_id in charge_point_ids:
            words += (charge_point_id, orjson.dumps(Target(charge_point_id)))
        reply = self._link.run(
            _FREEZE,
            [
                keys.campaign(campaign_id),
                keys.campaign_targets(campaign_id),
                keys.campaign_order(campaign_id),
                keys.campaign_index(campaign_id, "waiting"),
            ],
            [run, until, now_ms, *words],
        )
        if reply == "STALE":
            raise StaleRun(campaign_id)

    def move(self, campaign_id: str, run: int, moves: Sequence[Move]) -> None:
        """Write what has become of targets; one that another run has moved stays. Raises
        StaleRun."""
        replies = self._link.batch(*[_move(campaign_id, run, move) for move in moves])
        if "STALE" in replies:
            raise StaleRun(campaign_id)

    def target(self, campaign_id: str, charge_point_id: str) -> Target:
        """Raises NotFound."""
        found = self.targets_of(campaign_id, [charge_point_id])
        if not found:
            raise NotFound("target", charge_point_id)
        return found[0]

    def targets_of(self, campaign_id: str, charge_point_ids: Sequence[str]) -> list[Target]:
        """Those of the ids that are targets, in the order given."""
        if not charge_point_ids:
            return []
        rows = self._link.call("HMGET", keys.campaign_targets(campaign_id), *charge_point_ids)
        return [_target(row) for row in rows if row]

    def under_way(self, campaign_id: str, now_ms: int, limit: int) -> list[Target]:
        """Those under way that should be looked at by now."""
        return self._due(campaign_id, TargetState.UNDER_WAY, now_ms, limit)

    def begun_before(self, campaign_id: str, now_ms: int, limit: int) -> list[Target]:
        """Those that wait for another try, and whose pause is over."""
        return self._due(campaign_id, "again", now_ms, limit)

    def fresh(self, campaign_id: str, now_ms: int, limit: int) -> list[Target]:
        """Those that have never been begun and may be looked at."""
        return self._due(campaign_id, "waiting", now_ms, limit)

    def in_state(self, campaign_id: str, state: TargetState, limit: int) -> list[Target]:
        """Some of them, the earliest first."""
        found: list[Target] = []
        for name in _index_names(state):
            ids = self._link.call(
                "ZRANGE", keys.campaign_index(campaign_id, name), 0, limit - len(found) - 1
            )
            found += self.targets_of(campaign_id, ids)
            if len(found) >= limit:
                break
        return found

    def _due(self, campaign_id: str, index: str, now_ms: int, limit: int) -> list[Target]:
        key = keys.campaign_index(campaign_id, index)
        ids = self._link.call("ZRANGEBYSCORE", key, "-inf", now_ms, "LIMIT", 0, limit)
        return self.targets_of(campaign_id, ids)

    def targets(
        self, campaign_id: str, state: TargetState | None, cursor: str | None, limit: int
    ) -> Page[Target]:
        """In the order of their ids; those in one state by what happened last to them."""
        if state is None:
            return self._all_targets(campaign_id, cursor, limit)
        names = _index_names(state)
        number, _, within = (cursor or "0:").partition(":")
        if number not in {str(place) for place in range(len(names))}:
            raise FieldError("cursor", "is not one this list gave out")
        found: list[Target] = []
        for place in range(int(number), len(names)):
            page = newest_first(
                self._link,
                keys.campaign_index(campaign_id, names[place]),
                within or None,
                limit - len(found),
                self._loader(campaign_id),
            )
            found += page.items
            if page.next_cursor is not None:
                return Page(found, f"{place}:{page.next_cursor}")
            if len(found) == limit and place + 1 < len(names):
                return Page(found, f"{place + 1}:")
            within = ""
        return Page(found, None)

    def _all_targets(self, campaign_id: str, cursor: str | None, limit: int) -> Page[Target]:
        ids = self._link.call(
            "ZRANGEBYLEX",
            keys.campaign_order(campaign_id),
            f"({cursor}" if cursor else "-",
            "+",
            "LIMIT",
            0,
            limit + 1,
        )
        more = len(ids) > limit
        return Page(self.targets_of(campaign_id, ids[:limit]), ids[limit - 1] if more else None)

    def _loader(self, campaign_id: str) -> Callable[[Sequence[str]], Sequence[Target | None]]:
        def load(ids: Sequence[str]) -> list[Target | None]:
            found = {one.charge_point_id: one for one in self.targets_of(campaign_id, ids)}
            return [found.get(one) for one in ids]

        return load

    def next_look_ms(self, campaign_id: str) -> int | None:
        """When the first of those that have no outcome is to be looked at."""
        heads = self._link.batch(
            *[
                ("ZRANGE", keys.campaign_index(campaign_id, name), 0, 0, "WITHSCORES")
                for name in (*_WAITING, TargetState.UNDER_WAY)
            ]
        )
        return min((int(score) for head in heads for _, score in scored(head)), default=None)

    # -- which campaign works on a charge point

    def holders(self, charge_point_ids: Sequence[str]) -> list[str]:
        """The campaign each is held for, or ""."""
        if not charge_point_ids:
            return []
        names = [keys.campaign_at(one) for one in charge_point_ids]
        return [holder or "" for holder in self._link.call("MGET", *names)]

    def claim(self, charge_point_id: str, campaign_id: str, instead_of: str = "") -> str:
        """Hold a charge point for a campaign; "" or the campaign that holds it. May be repeated.
        instead_of: one that holds it, for nothing unless it has begun by now."""
        key = keys.campaign_at(charge_point_id)
        under_way = keys.campaign_index(instead_of, TargetState.UNDER_WAY)
        words: list[Argument] = [campaign_id, CLAIM_S, instead_of, charge_point_id]
        return str(self._link.run(_CLAIM, [key, under_way], words))

    def let_go(self, charge_point_id: str, campaign_id: str) -> None:
        """May be repeated."""
        self._link.run(_LET_GO, [keys.campaign_at(charge_point_id)], [campaign_id])

    def works_on(self, campaign_id: str, charge_point_id: str) -> bool:
        """Whether it has the charge point under way."""
        key = keys.campaign_index(campaign_id, TargetState.UNDER_WAY)
        return self._link.call("ZSCORE", key, charge_point_id) is not None


def _index_names(state: TargetState) -> Sequence[str]:
    return _WAITING if state is TargetState.WAITING else (state,)


def _index_of(target: Target) -> str:
    if target.state is TargetState.WAITING and target.attempt:
        return "again"
    return target.state


def _move(campaign_id: str, run: int, move: Move) -> Command:
    return _MOVE.call(
        [
            keys.campaign(campaign_id),
            keys.campaign_targets(campaign_id),
            keys.campaign_index(campaign_id, _index_of(move.before)),
            keys.campaign_index(campaign_id, _index_of(move.after)),
        ],
        [run, move.after.charge_point_id, orjson.dumps(move.after), move.score_ms],
    )


def _reads(campaign_id: str) -> list[Command]:
    return [
        ("HGETALL", keys.campaign(campaign_id)),
        *[("ZCARD", keys.campaign_index(campaign_id, name)) for name in _INDEXES],
    ]


def _text(value: Any) -> Argument:
    """As it is kept: None as nothing, truth as a digit, structures as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int):
        return value
    return orjson.dumps(value)


_KEPT_FIELDS = (
    "name",
    "kind",
    "work",
    "rules",
    "state",
    "created_by",
    "created_at_ms",
    "started_at_ms",
    "ended_at_ms",
    "reason",
    "target_count",
    "canaries_passed",
    "retry_wanted",
)


def _fields(campaign: Campaign) -> list[Argument]:
    words: list[Argument] = []
    for name in _KEPT_FIELDS:
        words += (name, _text(getattr(campaign, name)))
    words += ("selection", orjson.dumps(replace(campaign.selection, charge_point_ids=())))
    return words


def _campaign(
    campaign_id: str, reply: Sequence[str] | Mapping[str, str], cards: Sequence[int]
) -> Campaign | None:
    fields = pairs(reply)
    if not fields:
        return None

    def optional(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    in_index = dict(zip(_INDEXES, map(int, cards), strict=True))
    rules = orjson.loads(fields["rules"])
    window = rules.pop("window", None)
    kind = CampaignKind(fields["kind"])
    return Campaign(
        campaign_id=campaign_id,
        name=fields["name"],
        kind=kind,
        work=_work(kind, orjson.loads(fields["work"])),
        selection=Selection(**{**orjson.loads(fields["selection"]), "charge_point_ids": ()}),
        rules=Rules(**rules, window=Window(**window) if window else None),
        state=CampaignState(fields["state"]),
        created_by=fields["created_by"],
        created_at_ms=int(fields["created_at_ms"]),
        started_at_ms=optional("started_at_ms"),
        ended_at_ms=optional("ended_at_ms"),
        reason=fields["reason"],
        target_count=int(fields["target_count"]),
        canaries_passed=fields["canaries_passed"] == "1",
        retry_wanted=fields["retry_wanted"] == "1",
        counts={
            state: sum(in_index[name] for name in _index_names(state)) for state in TargetState
        },
        again_count=in_index["again"],
    )


def _work(kind: CampaignKind, fields: dict[str, Any]) -> Work:
    match kind:
        case CampaignKind.FIRMWARE:
            return FirmwareWork(**fields)
        case CampaignKind.LOGS:
            return LogsWork(**{**fields, "kind": LogKind(fields["kind"])})
        case CampaignKind.CONFIGURATION:
            return ConfigurationWork(**fields)
        case CampaignKind.RESET:
            return ResetWork(**fields)
        case CampaignKind.LOCAL_LIST:
            return LocalListWork(**fields)


def _target(row: str) -> Target:
    fields = orjson.loads(row)
    return Target(
        **{
            **fields,
            "state": TargetState(fields["state"]),
            "step": Step(fields["step"]) if fields["step"] else None,
            "history": tuple(TargetEvent(**event) for event in fields["history"]),
        }
    )
