"""Charge points as recorded: entered by operators, completed by their boots and statuses."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import orjson

from csms.domain.certificate_facts import CertificateFacts
from csms.domain.charge_point import Admission, ChargePoint, RegistrationStatus
from csms.domain.connector import CONNECTOR_MAX, ChargePointStatus, Connector, LastError
from csms.domain.transfer import TransferKind
from csms.errors import ChargePointExists, ChargePointUnknown
from csms.state import (
    certificate_requests,
    certificates,
    charging_profiles,
    file_grants,
    keys,
    reservations,
    security_events,
    uploaded_files,
)
from csms.state.fence import write_fenced
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import Page, pairs, records
from csms.state.records import UPDATE
from csms.state.transfers import keys_of as keys_of_transfers

_PROMOTE_KEY = Script(
    "promote-key",
    """
    -- KEYS[1] record; ARGV[1] the hash of the pending key that was used or accepted
    local pending = redis.call('HGET', KEYS[1], 'pending_key_hashes') or ''
    for stored in string.gmatch(pending, '%S+') do
      if stored == ARGV[1] then
        redis.call('HSET', KEYS[1], 'key_hash', ARGV[1], 'pending_key_hashes', '')
        return 1
      end
    end
    -- It was used, or another has come in force: what is not pending must not come in force.
    return 0
    """,
)
_EXPECT_PROFILE = Script(
    "expect-profile",
    """
    -- KEYS[1] record; ARGV[1] the security profile it was told to come with. Never a lower one.
    local current = tonumber(redis.call('HGET', KEYS[1], 'security_profile') or 1)
    if redis.call('EXISTS', KEYS[1]) == 0 or tonumber(ARGV[1]) <= current then return 0 end
    redis.call('HSET', KEYS[1], 'pending_security_profile', ARGV[1])
    return 1
    """,
)
_PROMOTE_PROFILE = Script(
    "promote-profile",
    """
    -- KEYS[1] record; ARGV[1] the security profile it came with: only a pending one, only upwards
    local was = redis.call('HMGET', KEYS[1], 'security_profile', 'pending_security_profile')
    if was[2] ~= ARGV[1] or tonumber(ARGV[1]) <= tonumber(was[1] or 1) then return 0 end
    redis.call('HSET', KEYS[1], 'security_profile', ARGV[1], 'pending_security_profile', '')
    return 1
    """,
)
_SET_PENDING_KEYS = Script(
    "set-pending-keys",
    """
    -- KEYS[1] record; ARGV: hash, how many are kept; 0 takes the hash out
    local kept = {}
    for stored in string.gmatch(redis.call('HGET', KEYS[1], 'pending_key_hashes') or '', '%S+') do
      if stored ~= ARGV[1] then kept[#kept + 1] = stored end
    end
    local most = tonumber(ARGV[2])
    if most > 0 then
      kept[#kept + 1] = ARGV[1]
      while #kept > most do table.remove(kept, 1) end
    end
    redis.call('HSET', KEYS[1], 'pending_key_hashes', table.concat(kept, ' '))
    return #kept
    """,
)
# Keys in a row whose fate stayed open: more means that something else is wrong.
PENDING_KEYS_MAX = 5
_EXPEL = Script(
    "expel",
    """
    -- KEYS[1] live; ARGV[1] s until it is forgotten. Whoever holds a socket has a stale epoch now.
    redis.call('HINCRBY', KEYS[1], 'epoch', 1)
    redis.call('HSET', KEYS[1], 'process', '')
    return redis.call('EXPIRE', KEYS[1], ARGV[1])
    """,
)
EXPELLED_S = 86_400


class ChargePoints:
    """Records, and the index of all ids in their order."""

    def __init__(self, link: Link) -> None:
        self._link = link
        # By charge point and connector: the status the index knows, and the one it should.
        self._moved: dict[tuple[str, int], tuple[ChargePointStatus | None, ChargePointStatus]] = {}

    def find(self, charge_point_id: str) -> ChargePoint | None:
        fields = pairs(self._link.call("HGETALL", keys.charge_point(charge_point_id)))
        return _charge_point(charge_point_id, fields) if fields else None

    def find_booting(self, charge_point_id: str) -> tuple[ChargePoint | None, Set[TransferKind]]:
        """A charge point, and the kinds of its transfers that have not ended, in one trip."""
        fields, kinds = self._link.batch(
            ("HGETALL", keys.charge_point(charge_point_id)),
            ("HVALS", keys.open_transfers(charge_point_id)),
        )
        found = _charge_point(charge_point_id, pairs(fields)) if fields else None
        return found, {TransferKind(kind) for kind in kinds}

    def get(self, charge_point_id: str) -> ChargePoint:
        """Raises ChargePointUnknown."""
        found = self.find(charge_point_id)
        if found is None:
            raise ChargePointUnknown(charge_point_id)
        return found

    def find_ignoring_case(self, charge_point_id: str) -> ChargePoint | None:
        """The one with exactly this id, else the one that differs in case only: charge points
        have been seen to change the case of what was typed into them."""
        found = self.find(charge_point_id)
        if found is not None:
            return found
        canonical = self._link.call("HGET", keys.CHARGE_POINT_IDS, charge_point_id.casefold())
        return self.find(canonical) if canonical and canonical != charge_point_id else None

    def create(self, charge_point: ChargePoint) -> None:
        """Raises ChargePointExists, also for an id that differs in case only."""
        charge_point_id = charge_point.charge_point_id
        folded = charge_point_id.casefold()
        if not self._link.call("HSETNX", keys.CHARGE_POINT_IDS, folded, charge_point_id):
            holder = self._link.call("HGET", keys.CHARGE_POINT_IDS, folded)
            # A name without a record is what a create that died half-way left: it may be taken.
            if holder is not None and self._link.call("EXISTS", keys.charge_point(holder)):
                raise ChargePointExists(holder)
            self._link.call("HSET", keys.CHARGE_POINT_IDS, folded, charge_point_id)
        self._link.batch(
            ("HSET", keys.charge_point(charge_point_id), *_fields(charge_point)),
            ("ZADD", keys.CHARGE_POINTS, 0, charge_point_id),
        )

    def update(self, charge_point_id: str, **changes: Any) -> None:
        """Change fields of ChargePoint by name. Raises ChargePointUnknown."""
        words: list[Argument] = []
        for name, value in changes.items():
            words += (name, _text(value))
        if words and not self._link.run(UPDATE, [keys.charge_point(charge_point_id)], words):
            raise ChargePointUnknown(charge_point_id)

    def promote_key(self, charge_point_id: str, pending_key_hash: str) -> bool:
        """Put a pending key in force, alone; False where it is not pending (any more)."""
        key = keys.charge_point(charge_point_id)
        return bool(self._link.run(_PROMOTE_KEY, [key], [pending_key_hash]))

    def add_pending_key(self, charge_point_id: str, key_hash: str) -> None:
        """Let another key in beside those that admit now."""
        key = keys.charge_point(charge_point_id)
        self._link.run(_SET_PENDING_KEYS, [key], [key_hash, PENDING_KEYS_MAX])

    def drop_pending_key(self, charge_point_id: str, key_hash: str) -> None:
        """A pending key that the charge point has not taken."""
        key = keys.charge_point(charge_point_id)
        self._link.run(_SET_PENDING_KEYS, [key], [key_hash, 0])

    def expect_profile(self, charge_point_id: str, profile: int) -> bool:
        """Let it come with a higher security profile as well; False where this is not higher."""
        return bool(
            self._link.run(_EXPECT_PROFILE, [keys.charge_point(charge_point_id)], [profile])
        )

    def promote_profile(self, charge_point_id: str, profile: int) -> bool:
        """Put a pending security profile in force; False where it is not pending (any more)."""
        key = keys.charge_point(charge_point_id)
        return bool(self._link.run(_PROMOTE_PROFILE, [key], [profile]))

    def delete(self, charge_point_id: str) -> None:
        """Forget the charge point, its connectors, commands, messages and uploads. Its transactions
        stay: they are accounts, not settings. Raises ChargePointUnknown."""
        if not self._link.call("DEL", keys.charge_point(charge_point_id)):
            raise ChargePointUnknown(charge_point_id)
        # What its last connection still has in hand must not bring parts of it back.
        self._link.run(_EXPEL, [keys.live(charge_point_id)], [EXPELLED_S])
        # Without its grants nothing comes in any more while its uploads are taken out.
        self._link.call("DEL", *file_grants.keys_of(self._link, charge_point_id))
        uploaded_files.forget_of(self._link, charge_point_id)
        command_ids = self._link.call("ZRANGE", keys.commands_of(charge_point_id), 0, -1)
        event_ids = self._link.call("ZRANGE", keys.security_events_of(charge_point_id), 0, -1)
        reservation_ids = self._link.call("ZRANGE", keys.reservations_of(charge_point_id), 0, -1)
        request_ids = self._link.call(
            "ZRANGE", keys.certificate_requests_of(charge_point_id), 0, -1
        )
        fingerprints = self._link.call("ZRANGE", keys.certificates_of(charge_point_id), 0, -1)
        members = [f"{charge_point_id}/{number}" for number in range(CONNECTOR_MAX + 1)]
        indexes: list[Command] = [
            ("SREM", keys.connectors_in(status), *members) for status in ChargePointStatus
        ]
        self._link.batch(
            ("ZREM", keys.CHARGE_POINTS, charge_point_id),
            ("HDEL", keys.CHARGE_POINT_IDS, charge_point_id.casefold()),
            ("SREM", keys.WAITING_OUTBOXES, charge_point_id),
            ("ZREM", keys.LOCAL_LIST_SYNCS, charge_point_id),
            ("ZREM", keys.LOCAL_LISTS_WATCHED, charge_point_id),
            (
                "DEL",
                keys.configuration(charge_point_id),
                keys.connectors(charge_point_id),
                keys.failures_of(charge_point_id),
                keys.readings(charge_point_id),
                keys.local_list(charge_point_id),
                keys.local_list_entries(charge_point_id),
                keys.local_list_target(charge_point_id),
                keys.messages(charge_point_id),
                keys.outbox(charge_point_id),
                keys.in_flight(charge_point_id),
                keys.commands_of(charge_point_id),
                keys.campaign_at(charge_point_id),
                *[keys.command(charge_point_id, command_id) for command_id in command_ids],
                keys.reservations_of(charge_point_id),
                keys.active_reservations(charge_point_id),
                *keys_of_transfers(self._link, charge_point_id),
                keys.certificate_requests_of(charge_point_id),
                keys.open_certificate_request(charge_point_id),
                *[keys.certificate_request(charge_point_id, one) for one in request_ids],
                keys.certificates_of(charge_point_id),
                *[keys.certificate(charge_point_id, one) for one in fingerprints],
                keys.installed_certificates(charge_point_id),
                keys.certificate_installations(charge_point_id),
                keys.security_events_of(charge_point_id),
                *[keys.security_event(charge_point_id, event_id) for event_id in event_ids],
                *charging_profiles.keys_of(self._link, charge_point_id),
            ),
            *indexes,
            *(
                reservations.forget_commands(charge_point_id, reservation_ids)
                if reservation_ids
                else ()
            ),
            *(security_events.forget_commands(event_ids) if event_ids else ()),
            *(certificate_requests.forget_commands(request_ids) if request_ids else ()),
            *(certificates.forget_commands(fingerprints) if fingerprints else ()),
        )

    def page(self, cursor: str | None, limit: int, prefix: str = "") -> Page[ChargePoint]:
        """In the order of ids. cursor is the last id of the page before."""
        lowest = f"({cursor}" if cursor else f"[{prefix}"
        # \x7f sorts after every character an id may have.
        highest = f"[{prefix}\x7f" if prefix else "+"
        ids = self._link.call(
            "ZRANGEBYLEX", keys.CHARGE_POINTS, lowest, highest, "LIMIT", 0, limit + 1
        )
        records = self.find_many(ids[:limit])
        return Page(records, ids[limit - 1] if len(ids) > limit else None)

    def find_many(self, charge_point_ids: Sequence[str]) -> list[ChargePoint]:
        """Those of the ids that exist, in the order given."""
        found = records(self._link, [keys.charge_point(one) for one in charge_point_ids])
        return [
            _charge_point(charge_point_id, fields)
            for charge_point_id, fields in zip(charge_point_ids, found, strict=True)
            if fields
        ]

    def count(self) -> int:
        return int(self._link.call("ZCARD", keys.CHARGE_POINTS))

    def record_boot(
        self,
        charge_point_id: str,
        epoch: int,
        facts: Mapping[str, str],
        registration: RegistrationStatus,
        now_ms: int,
        *others: Command,
    ) -> None:
        """others: what else is written in the same trip, with a fence of its own. Raises
        StaleEpoch."""
        fields = ("facts", orjson.dumps(facts), "registration", registration)
        write = ("HSET", keys.charge_point(charge_point_id), *fields, "booted_at_ms", now_ms)
        write_fenced(self._link, charge_point_id, epoch, [write], *others)

    def record_connector(
        self, charge_point_id: str, epoch: int, connector: Connector, before: Connector | None
    ) -> None:
        """Keep what a connector said. Raises StaleEpoch."""
        number = connector.connector_id
        key = keys.connectors(charge_point_id)
        write_fenced(
            self._link, charge_point_id, epoch, [("HSET", key, number, orjson.dumps(connector))]
        )
        was = before.status if before is not None else None
        if was is not connector.status:
            moved = self._moved.get((charge_point_id, number))
            self._moved[charge_point_id, number] = (moved[0] if moved else was, connector.status)

    def write_moves(self) -> None:
        """Move connectors in the index of statuses: a few times a second for all charge points,
        since only figures are read from it. What a crash loses the repair finds."""
        moved, self._moved = self._moved, {}
        for (charge_point_id, number), (was, status) in moved.items():
            if was is not None and was is not status:
                self._link.post(*index_command("SREM", charge_point_id, number, was))
            if is_counted(number, status):
                self._link.post(*index_command("SADD", charge_point_id, number, status))

    def connectors(self, charge_point_id: str) -> list[Connector]:
        """All it has spoken of, by number."""
        reply = self._link.call("HGETALL", keys.connectors(charge_point_id))
        return read_connectors(reply)

    def connectors_of_many(self, charge_point_ids: Sequence[str]) -> list[list[Connector]]:
        found = records(self._link, [keys.connectors(one) for one in charge_point_ids])
        return [read_connectors(fields) for fields in found]


def is_counted(connector_id: int, status: ChargePointStatus) -> bool:
    """Whether the fleet's figures count it: connector 0 is no place to charge, but its fault
    is the whole charge point's."""
    return connector_id > 0 or status is ChargePointStatus.FAULTED


def index_command(
    verb: str, charge_point_id: str, connector_id: int, status: ChargePointStatus
) -> Command:
    """verb: SADD or SREM; may be repeated."""
    return (verb, keys.connectors_in(status), f"{charge_point_id}/{connector_id}")


def read_connectors(reply: Sequence[str] | Mapping[str, str]) -> list[Connector]:
    """Connectors from the reply to HGETALL of keys.connectors, by number."""
    return sorted(
        (_connector(orjson.loads(text)) for text in pairs(reply).values()),
        key=lambda connector: connector.connector_id,
    )


def _connector(record: dict[str, Any]) -> Connector:
    last_error = record.pop("last_error", None)
    status = ChargePointStatus(record.pop("status"))
    return Connector(
        **record, status=status, last_error=LastError(**last_error) if last_error else None
    )


def _text(value: Any) -> Argument:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Mapping | CertificateFacts):
        return orjson.dumps(value)
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, int):
        return value
    return str(value)


def _fields(charge_point: ChargePoint) -> list[Argument]:
    words: list[Argument] = []
    for name in ChargePoint.__dataclass_fields__:
        if name != "charge_point_id":
            words += (name, _text(getattr(charge_point, name)))
    return words


def _optional_int(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if text else None


def _charge_point(charge_point_id: str, fields: Mapping[str, str]) -> ChargePoint:
    registration = fields.get("registration", "")
    return ChargePoint(
        charge_point_id=charge_point_id,
        security_profile=int(fields.get("security_profile", "1")),
        admission=Admission(fields.get("admission", "accepted")),
        retry_interval_s=_optional_int(fields, "retry_interval_s"),
        heartbeat_interval_s=_optional_int(fields, "heartbeat_interval_s"),
        call_timeout_s=_optional_int(fields, "call_timeout_s"),
        description=fields.get("description", ""),
        site=fields.get("site", ""),
        tags=tuple(fields.get("tags", "").split()),
        assume_ocpp16=fields.get("assume_ocpp16") == "1",
        quiet=fields.get("quiet") == "1",
        serial_number=fields.get("serial_number", ""),
        pending_security_profile=_optional_int(fields, "pending_security_profile"),
        client_certificate=(
            CertificateFacts(**orjson.loads(fields["client_certificate"]))
            if fields.get("client_certificate")
            else None
        ),
        local_list=fields.get("local_list") or "none",
        local_list_auto_sync=fields.get("local_list_auto_sync") == "1",
        key_hash=fields.get("key_hash", ""),
        pending_key_hashes=tuple(fields.get("pending_key_hashes", "").split()),
        registration=RegistrationStatus(registration) if registration else None,
        facts=orjson.loads(fields.get("facts") or "{}"),
        created_at_ms=int(fields.get("created_at_ms") or 0),
        booted_at_ms=_optional_int(fields, "booted_at_ms"),
        firmware_status=fields.get("firmware_status", ""),
        firmware_status_at_ms=_optional_int(fields, "firmware_status_at_ms"),
        diagnostics_status=fields.get("diagnostics_status", ""),
        diagnostics_status_at_ms=_optional_int(fields, "diagnostics_status_at_ms"),
    )
