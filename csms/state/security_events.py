"""Security events of charge points and our own: each kept once, acknowledged by operators."""

from collections.abc import Sequence
from dataclasses import dataclass

from csms import metrics
from csms.domain.security_event import EventSource, SecurityEvent
from csms.errors import NotFound, StoreRefused, StoreUnavailable
from csms.logs import get_logger
from csms.state import keys
from csms.state.fence import check
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import Page, newest_first, owned_records, pairs, scored

log = get_logger(__name__)

KEPT_PER_CHARGE_POINT = 1_000
KEPT_IN_ALL = 20_000
KEPT_S = 400 * 86_400
# Events of no charge point, such as those of the certificate authority.
SYSTEM = ""

_RECORD = Script(
    "record-security-event",
    """
    -- KEYS: 1 record, 2 events of the charge point, 3 (unless ours of no charge point) live, or
    --   the charge point's record
    -- ARGV: 1 epoch, '' for our own, 2 id, 3 received at, 4 kept, 5 key prefix of records,
    --   6 kept s, 7.. fields and values
    -- Answers what became of it, and the ids of those that had to leave for it.
    local ours = ARGV[1] == ''
    if ours and KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then return {'UNKNOWN'} end
    if not ours and redis.call('HGET', KEYS[3], 'epoch') ~= ARGV[1] then return {'STALE'} end
    local outcome = 'NEW'
    if redis.call('EXISTS', KEYS[1]) == 1 then
      if not ours then
        return {redis.call('HEXISTS', KEYS[1], 'acknowledged_at_ms') == 1 and 'SEEN' or 'KNOWN'}
      end
      -- It goes on: whoever acknowledged it has to look again.
      redis.call('HDEL', KEYS[1], 'acknowledged_at_ms', 'acknowledged_by')
      outcome = 'KNOWN'
    else
      redis.call('HSET', KEYS[1], unpack(ARGV, 7))
    end
    redis.call('HSET', KEYS[1], 'last_at_ms', ARGV[3])
    redis.call('HINCRBY', KEYS[1], 'count', 1)
    redis.call('EXPIRE', KEYS[1], ARGV[6])
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
    redis.call('EXPIRE', KEYS[2], ARGV[6])
    local excess = redis.call('ZRANGE', KEYS[2], 0, -1 - tonumber(ARGV[4]))
    for _, id in ipairs(excess) do
      redis.call('DEL', ARGV[5] .. id)
      redis.call('ZREM', KEYS[2], id)
    end
    return {outcome, unpack(excess)}
    """,
)
_ACKNOWLEDGE = Script(
    "acknowledge-security-event",
    """
    -- KEYS[1] record; ARGV: 1 by whom, 2 now. 0 where it is not there; the first one stands.
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    if redis.call('HSETNX', KEYS[1], 'acknowledged_at_ms', ARGV[2]) == 1 then
      redis.call('HSET', KEYS[1], 'acknowledged_by', ARGV[1])
    end
    return 1
    """,
)


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as recorded. count, last_at_ms: of our own within an hour, how often and when last.

    charge_point_id: "" for what concerns none.
    """

    event_id: str
    charge_point_id: str
    event: SecurityEvent
    count: int
    last_at_ms: int
    acknowledged_by: str
    acknowledged_at_ms: int | None


class SecurityEvents:
    def __init__(self, link: Link) -> None:
        self._link = link

    def record(self, charge_point_id: str, event: SecurityEvent) -> None:
        """Note an event of our own; SYSTEM where it concerns no charge point.

        Never raises: whatever was done must not fail over the note that it was. Where the store
        can't keep it the log has it. Of ids that nobody has entered nothing is kept, so that
        strangers can't fill the list: refused connections are counted elsewhere.
        """
        try:
            outcome = self._record(charge_point_id, "", event)
        except (StoreUnavailable, StoreRefused) as error:
            log.warning(
                "security event not kept", reason=str(error), **_said(charge_point_id, event)
            )
            return
        if outcome != "UNKNOWN":
            _tell(charge_point_id, event)

    def told(self, charge_point_id: str, epoch: int, event: SecurityEvent) -> None:
        """Keep what a charge point reported, once. Raises StaleEpoch."""
        if self._record(charge_point_id, str(epoch), event) == "NEW":
            _tell(charge_point_id, event)

    def _record(self, charge_point_id: str, epoch: str, event: SecurityEvent) -> str:
        event_id = event.name(charge_point_id)
        names = [
            keys.security_event(charge_point_id, event_id),
            keys.security_events_of(charge_point_id),
        ]
        if epoch:
            names.append(keys.live(charge_point_id))
        elif charge_point_id != SYSTEM:
            names.append(keys.charge_point(charge_point_id))
        # Found by its id before it exists: a reader that is too early sees that it is not there.
        indexes: list[Command] = [
            ("HSET", keys.SECURITY_EVENT_OWNERS, event_id, charge_point_id),
            *[("ZADD", key, event.received_at_ms, event_id) for key in _indexes(event)],
        ]
        if epoch:  # what is sent again keeps its place
            indexes[1:] = [(verb, key, "NX", *rest) for verb, key, *rest in indexes[1:]]
        arguments: list[Argument] = [
            epoch,
            event_id,
            event.received_at_ms,
            KEPT_PER_CHARGE_POINT,
            keys.security_event(charge_point_id, ""),
            KEPT_S,
            *_fields(event),
        ]
        reply = self._link.batch(*indexes, _RECORD.call(names, arguments))[-1]
        outcome, *gone = map(str, reply)
        if outcome in {"STALE", "UNKNOWN"}:
            gone = [event_id]
        elif outcome == "SEEN":
            self._link.call("ZREM", keys.OPEN_SECURITY_EVENTS, event_id)
        if gone:
            self._link.batch(*forget_commands(gone))
        check(reply, charge_point_id)
        return outcome

    def acknowledge(self, event_id: str, actor: str, now_ms: int) -> KeptEvent:
        """Somebody has looked at it; the first who did is kept. Raises NotFound."""
        charge_point_id = self._owner(event_id)
        key = keys.security_event(charge_point_id, event_id)
        if not self._link.run(_ACKNOWLEDGE, [key], [actor, now_ms]):
            raise NotFound("security event", event_id)
        self._link.call("ZREM", keys.OPEN_SECURITY_EVENTS, event_id)
        return self.get(event_id)

    def get(self, event_id: str) -> KeptEvent:
        """Raises NotFound, also for one that is no longer kept."""
        charge_point_id = self._owner(event_id)
        fields = pairs(self._link.call("HGETALL", keys.security_event(charge_point_id, event_id)))
        if not fields:
            raise NotFound("security event", event_id)
        return _kept(event_id, charge_point_id, fields)

    def _owner(self, event_id: str) -> str:
        owner: str | None = self._link.call("HGET", keys.SECURITY_EVENT_OWNERS, event_id)
        if owner is None:
            raise NotFound("security event", event_id)
        return owner

    def page(
        self,
        cursor: str | None,
        limit: int,
        *,
        charge_point_id: str | None = None,
        critical: bool | None = None,
        acknowledged: bool | None = None,
    ) -> Page[KeptEvent]:
        """Newest first, by when they came in. Raises FieldError for a foreign cursor."""

        def fits(kept: KeptEvent) -> bool:
            return (
                charge_point_id in (None, kept.charge_point_id)
                and critical in (None, kept.event.critical)
                and acknowledged in (None, kept.acknowledged_at_ms is not None)
            )

        def load(event_ids: Sequence[str]) -> Sequence[KeptEvent | None]:
            return [kept if kept and fits(kept) else None for kept in self._load(event_ids)]

        if charge_point_id is not None:
            key = keys.security_events_of(charge_point_id)
        elif critical and acknowledged is False:
            key = keys.OPEN_SECURITY_EVENTS
        else:
            key = keys.SECURITY_EVENTS
        return newest_first(self._link, key, cursor, limit, load)

    def _load(self, event_ids: Sequence[str]) -> list[KeptEvent | None]:
        found = owned_records(
            self._link, keys.SECURITY_EVENT_OWNERS, event_ids, keys.security_event
        )
        return [
            _kept(event_id, owner, fields) if fields else None for owner, event_id, fields in found
        ]

    def open_count(self) -> int:
        """How many critical ones nobody has acknowledged."""
        return int(self._link.call("ZCARD", keys.OPEN_SECURITY_EVENTS))

    def trim(self, now_ms: int) -> None:
        """Take what is too old or too much out of the lists across charge points; what remains on
        a charge point's own list leaves by itself."""
        oldest = now_ms - KEPT_S * 1000
        replies = self._link.batch(
            ("ZRANGE", keys.SECURITY_EVENTS, 0, -1 - KEPT_IN_ALL, "WITHSCORES"),
            ("ZRANGEBYSCORE", keys.SECURITY_EVENTS, "-inf", oldest, "WITHSCORES"),
        )
        excess = sorted({event_id for reply in replies for event_id, _ in scored(reply)})
        for start in range(0, len(excess), 500):
            self._link.batch(*forget_commands(excess[start : start + 500]))


def forget_commands(event_ids: Sequence[str]) -> list[Command]:
    """Take events, one at least, out of the lists across charge points."""
    return [
        ("ZREM", keys.SECURITY_EVENTS, *event_ids),
        ("ZREM", keys.OPEN_SECURITY_EVENTS, *event_ids),
        ("HDEL", keys.SECURITY_EVENT_OWNERS, *event_ids),
    ]


def _indexes(event: SecurityEvent) -> list[str]:
    return [keys.SECURITY_EVENTS, *([keys.OPEN_SECURITY_EVENTS] if event.critical else [])]


def _fields(event: SecurityEvent) -> list[Argument]:
    return [
        *("event_type", event.event_type, "at_ms", event.at_ms),
        *("received_at_ms", event.received_at_ms, "source", event.source),
        *("critical", int(event.critical), "tech_info", event.tech_info, "actor", event.actor),
    ]


def _kept(event_id: str, charge_point_id: str, fields: dict[str, str]) -> KeptEvent:
    acknowledged_at_ms = fields.get("acknowledged_at_ms", "")
    return KeptEvent(
        event_id=event_id,
        charge_point_id=charge_point_id,
        event=SecurityEvent(
            event_type=fields["event_type"],
            at_ms=int(fields["at_ms"]),
            received_at_ms=int(fields["received_at_ms"]),
            source=EventSource(fields["source"]),
            critical=fields["critical"] == "1",
            tech_info=fields.get("tech_info", ""),
            actor=fields.get("actor", ""),
        ),
        count=int(fields.get("count", "1")),
        last_at_ms=int(fields.get("last_at_ms", fields["received_at_ms"])),
        acknowledged_by=fields.get("acknowledged_by", ""),
        acknowledged_at_ms=int(acknowledged_at_ms) if acknowledged_at_ms else None,
    )


def _said(charge_point_id: str, event: SecurityEvent) -> dict[str, str]:
    return {
        "charge_point_id": charge_point_id,
        "type": event.event_type,
        "source": str(event.source),
        "tech_info": event.tech_info,
        "actor": event.actor,
    }


def _tell(charge_point_id: str, event: SecurityEvent) -> None:
    metrics.security_events.labels(str(event.source), str(event.critical).lower()).inc()
    if event.critical:
        log.warning("critical security event", **_said(charge_point_id, event))
    else:
        log.info("security event", **_said(charge_point_id, event))
