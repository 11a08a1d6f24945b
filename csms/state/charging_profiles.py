"""The charging profiles that commands have brought to each charge point, and what it answered when
asked for its composite schedule.

A profile is kept under the id of its command, so that a command told twice makes one record; every
change looks at the state it leaves.
"""

from collections.abc import Collection, Sequence

import orjson

from csms.domain.charging_books import OPEN_STATES, Change, ProfileRecord, ProfileState
from csms.domain.charging_profile import read_profile, write_profile
from csms.domain.composite_answer import CompositeAnswer
from csms.domain.connector import CONNECTOR_MAX
from csms.state import keys
from csms.state.link import Argument, Link, Script
from csms.state.pages import Page, newest_first, records

# What a charge point may have open at once is bounded by domain rules (commands/charging_profiles);
# of what is over, the newest stay.
KEPT_PER_CHARGE_POINT = 300
ID_REMEMBERED_S = 86_400

_ADD = Script(
    "add-charging-profile",
    """
    -- KEYS: 1 profiles of the charge point, 2 record
    -- ARGV: 1 command id, 2 requested at, 3 how many are kept, 4 key prefix of records,
    --       5 how many states count as open, then these, then fields and values
    local first = 6 + tonumber(ARGV[5])
    if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
    redis.call('HSET', KEYS[2], unpack(ARGV, first))
    redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
    local open = {}
    for i = 6, first - 1 do open[ARGV[i]] = true end
    local excess = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
    if excess <= 0 then return 1 end
    for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
      if excess <= 0 then break end
      if not open[redis.call('HGET', ARGV[4] .. id, 'state')] then
        redis.call('DEL', ARGV[4] .. id)
        redis.call('ZREM', KEYS[1], id)
        excess = excess - 1
      end
    end
    return 1
    """,
)

_CHANGE = Script(
    "change-charging-profiles",
    """
    -- KEYS: records; ARGV: for each the state it must be in, how many words, then fields and values
    local changed = 0
    local i = 1
    for _, key in ipairs(KEYS) do
      local words = tonumber(ARGV[i + 1])
      if redis.call('HGET', key, 'state') == ARGV[i] then
        redis.call('HSET', key, unpack(ARGV, i + 2, i + 1 + words))
        changed = changed + 1
      end
      i = i + 2 + words
    end
    return changed
    """,
)

_NEW_ID = Script(
    "new-charging-profile-id",
    """
    -- KEYS: 1 counter, 2 where the id is remembered, if it is; ARGV: 1 for how many s, 2.. taken
    if KEYS[2] then
      local before = redis.call('GET', KEYS[2])
      if before then return tonumber(before) end
    end
    local taken = {}
    for i = 2, #ARGV do taken[ARGV[i]] = true end
    local id
    repeat id = redis.call('INCR', KEYS[1]) until not taken[tostring(id)]
    if KEYS[2] then redis.call('SET', KEYS[2], id, 'EX', ARGV[1]) end
    return id
    """,
)

_RECORD_ANSWER = Script(
    "record-composite-schedule",
    """
    -- KEYS[1] record; ARGV: 1 connector, 2 JSON, 3 asked at. A newer one stays.
    local was = redis.call('HGET', KEYS[1], ARGV[1])
    if was and cjson.decode(was).asked_at_ms > tonumber(ARGV[3]) then return 0 end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    return 1
    """,
)


class ChargingProfiles:
    def __init__(self, link: Link) -> None:
        self._link = link

    def add(self, charge_point_id: str, record: ProfileRecord) -> None:
        """Record a profile that is asked for; may be repeated."""
        self._link.run(
            _ADD,
            [
                keys.charging_profiles_of(charge_point_id),
                keys.charging_profile(charge_point_id, record.command_id),
            ],
            [
                record.command_id,
                record.requested_at_ms,
                KEPT_PER_CHARGE_POINT,
                keys.charging_profile(charge_point_id, ""),
                len(OPEN_STATES),
                *sorted(OPEN_STATES),
                *_fields(record),
            ],
        )

    def change(self, charge_point_id: str, changes: Sequence[Change]) -> None:
        """Make changes, each where the record still is in the state it was looked at in."""
        if not changes:
            return
        words: list[Argument] = []
        for change in changes:
            fields = _fields(change.after)
            words += (change.before.state, len(fields), *fields)
        names = [keys.charging_profile(charge_point_id, c.before.command_id) for c in changes]
        self._link.run(_CHANGE, names, words)

    def all_of(self, charge_point_id: str) -> list[ProfileRecord]:
        """Every profile that is kept, oldest first: some hundreds at most."""
        key = keys.charging_profiles_of(charge_point_id)
        return [
            record
            for record in self._load(charge_point_id, self._link.call("ZRANGE", key, 0, -1))
            if record is not None
        ]

    def page(
        self,
        charge_point_id: str,
        cursor: str | None,
        limit: int,
        states: Collection[ProfileState] = frozenset(ProfileState),
    ) -> Page[ProfileRecord]:
        """Newest first."""

        def load(command_ids: Sequence[str]) -> Sequence[ProfileRecord | None]:
            records = self._load(charge_point_id, command_ids)
            return [r if r is not None and r.state in states else None for r in records]

        key = keys.charging_profiles_of(charge_point_id)
        return newest_first(self._link, key, cursor, limit, load)

    def _load(
        self, charge_point_id: str, command_ids: Sequence[str]
    ) -> Sequence[ProfileRecord | None]:
        found = records(
            self._link, [keys.charging_profile(charge_point_id, one) for one in command_ids]
        )
        return [
            _record(command_id, fields) if fields else None
            for command_id, fields in zip(command_ids, found, strict=True)
        ]

    def new_id(
        self, charge_point_id: str, taken: Collection[int], principal: str, request: str | None
    ) -> int:
        """A chargingProfileId that no profile of the charge point has.

        request: the Idempotency-Key; with it the principal gets the same id for a day, so that the
        request repeated is the same request.
        """
        names = [keys.charging_profile_ids(charge_point_id)]
        if request is not None:
            names.append(keys.idempotency(charge_point_id, principal, f"profile id of {request}"))
        return int(self._link.run(_NEW_ID, names, [ID_REMEMBERED_S, *sorted(taken)]))

    def record_answer(self, charge_point_id: str, answer: CompositeAnswer) -> None:
        """Keep what a charge point said of its composite schedule; the newest of each connector.
        May be repeated, also after a newer one."""
        if 0 <= answer.connector_id <= CONNECTOR_MAX:
            self._link.run(
                _RECORD_ANSWER,
                [keys.composite_schedules(charge_point_id)],
                [answer.connector_id, orjson.dumps(answer), answer.asked_at_ms],
            )

    def answer(self, charge_point_id: str, connector_id: int) -> CompositeAnswer | None:
        """What it said last."""
        key = keys.composite_schedules(charge_point_id)
        text = self._link.call("HGET", key, connector_id)
        return CompositeAnswer(**orjson.loads(text)) if text else None


def keys_of(link: Link, charge_point_id: str) -> list[str]:
    """All that is kept here of a charge point, to be deleted with it."""
    profiles = keys.charging_profiles_of(charge_point_id)
    command_ids = link.call("ZRANGE", profiles, 0, -1)
    return [
        profiles,
        keys.charging_profile_ids(charge_point_id),
        keys.composite_schedules(charge_point_id),
        *[keys.charging_profile(charge_point_id, command_id) for command_id in command_ids],
    ]


def _fields(record: ProfileRecord) -> list[Argument]:
    fields: dict[str, Argument | None] = {
        "profile": orjson.dumps(write_profile(record.profile)),
        "connector_id": record.connector_id,
        "state": record.state,
        "requested_by": record.requested_by,
        "requested_at_ms": record.requested_at_ms,
        "changed_at_ms": record.changed_at_ms,
        "sent_at_ms": record.sent_at_ms,
        "transaction_id": record.transaction_id,
        "id_tag": record.id_tag,
        "reason": record.reason,
    }
    return [
        word for name, value in fields.items() for word in (name, "" if value is None else value)
    ]


def _record(command_id: str, fields: dict[str, str]) -> ProfileRecord:
    def optional(name: str) -> int | None:
        return int(fields[name]) if fields[name] else None

    return ProfileRecord(
        command_id=command_id,
        profile=read_profile(orjson.loads(fields["profile"])),
        connector_id=optional("connector_id"),
        state=ProfileState(fields["state"]),
        requested_by=fields["requested_by"],
        requested_at_ms=int(fields["requested_at_ms"]),
        changed_at_ms=int(fields["changed_at_ms"]),
        sent_at_ms=optional("sent_at_ms"),
        transaction_id=optional("transaction_id"),
        id_tag=fields["id_tag"],
        reason=fields["reason"],
    )
