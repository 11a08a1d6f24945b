"""What each charge point has of its local authorization list, the sync that runs, and the list it
should have.

A record changes as a whole, and only from the revision that was read: of two who reckon from the
same record one comes too late, and looks again.
"""

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from csms.domain.authorization import AuthorizationStatus, IdTagInfo, fold
from csms.domain.local_list import (
    ENTRIES_MAX,
    Acknowledged,
    Course,
    Entry,
    Limits,
    LocalList,
    SyncEnd,
    digest,
    next_expiry_ms,
    wanted_list,
)
from csms.state import keys
from csms.state.id_tags import IdTags
from csms.state.link import Argument, Link, Script
from csms.state.pages import pairs

# What is known of the tags may be so old where nobody waits for it.
FRESH_MS = 30_000
SOURCES_KEPT = 8

_CHANGE = Script(
    "change-local-list",
    """
    -- KEYS: 1 charge point, 2 record, 3 acknowledged entries, 4 target
    -- ARGV: 1 revision it must have, 2 and 3 what keys 3 and 4 become ('=' as they are, '' gone),
    --       4.. fields and values
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    if (redis.call('HGET', KEYS[2], 'revision') or '0') ~= ARGV[1] then return 0 end
    for i = 3, 4 do
      if ARGV[i - 1] == '' then redis.call('DEL', KEYS[i])
      elseif ARGV[i - 1] ~= '=' then redis.call('SET', KEYS[i], ARGV[i - 1]) end
    end
    redis.call('HSET', KEYS[2], 'revision', ARGV[1] + 1, unpack(ARGV, 4))
    return 1
    """,
)
_NOTE_COMMAND = Script(
    "note-local-list-command",
    """
    -- KEYS[1] record; ARGV: sync, step, command. A sync that has gone on does not need it.
    local at = redis.call('HMGET', KEYS[1], 'sync_id', 'step')
    if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[1], 'step_command_id', ARGV[3])
    return 1
    """,
)


@dataclass(frozen=True, slots=True)
class RunningSync:
    """A sync between two answers. action and payload_digest: of the command of this step, which
    step_command_id names once it is known. limits, source, tags_version, until_ms: as they were
    when it began. reply_to: the process in which somebody waits for its end, or ""."""

    sync_id: str
    requested_by: str
    unsolicited: bool
    started_at_ms: int
    reply_to: str
    source: str
    tags_version: str
    limits: Limits
    course: Course = field(default_factory=Course)
    step: int = 1
    step_at_ms: int = 0
    action: str = "GetLocalListVersion"
    payload_digest: str = ""
    step_command_id: str = ""


@dataclass(frozen=True, slots=True)
class LocalListRecord:
    """What is kept of a charge point's list, but for the entries.

    count and digest: of the acknowledged entries; None and "" where they are not known.
    last_end, reason, ended_at_ms: of the last sync; an update that was accepted since clears them.
    checked_…: the tags by which what is acknowledged was found to be what is wanted.
    """

    charge_point_id: str
    revision: int = 0
    version: int = 0
    highest: int = 0
    doubtful: bool = False
    count: int | None = None
    digest: str = ""
    command_id: str = ""
    sent_at_ms: int = 0
    acknowledged_at_ms: int | None = None
    reported_version: int | None = None
    reported_at_ms: int | None = None
    last_end: SyncEnd | None = None
    reason: str = ""
    ended_at_ms: int | None = None
    checked_source: str = ""
    checked_tags_version: str = ""
    checked_until_ms: int | None = None
    sync: RunningSync | None = None

    def is_checked(self, source: str, tags_version: str, now_ms: int) -> bool:
        """Whether it is known, without reading any tag, that the list is as wanted."""
        return (
            (self.checked_source, self.checked_tags_version) == (source, tags_version)
            and self.digest != ""
            and not self.doubtful
            and (self.checked_until_ms is None or now_ms < self.checked_until_ms)
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The list that follows from the tags of a source. count: of its tags; where they are more than
    any list may have, entries is empty. until_ms: when a tag in it expires."""

    source: str
    entries: LocalList
    digest: str
    count: int
    tags_version: str
    until_ms: int | None
    read_at_ms: int


class LocalLists:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._id_tags = IdTags(link)
        self._wanted: dict[str, Wanted] = {}

    # -- what it should have

    def wanted(self, source: str, now_ms: int, max_age_ms: int = 0) -> Wanted:
        """From the id tags as they are, or as they were max_age_ms ago."""
        kept = self._wanted.get(source)
        if kept is not None and kept.read_at_ms <= now_ms:
            is_so_still = kept.until_ms is None or now_ms < kept.until_ms
            age_ms = now_ms - kept.read_at_ms
            if is_so_still and (
                age_ms < max_age_ms
                or (age_ms < FRESH_MS and kept.tags_version == self._id_tags.version(source))
            ):
                return kept
        # The version first: what changes while the tags are read shows in the next one.
        tags_version = self._id_tags.version(source)
        tags = self._id_tags.of_source(source, ENTRIES_MAX + 1)
        count = len(tags)
        entries: LocalList = wanted_list(tags, now_ms) if count <= ENTRIES_MAX else {}
        if count > ENTRIES_MAX:
            count = self._id_tags.count(source)
        until_ms = next_expiry_ms(entries)
        wanted = Wanted(source, entries, digest(entries), count, tags_version, until_ms, now_ms)
        self._wanted.pop(source, None)
        self._wanted[source] = wanted
        while len(self._wanted) > SOURCES_KEPT:
            del self._wanted[next(iter(self._wanted))]
        return wanted

    def tags_version(self, source: str) -> str:
        return self._id_tags.version(source)

    # -- what it has

    def find(self, charge_point_id: str) -> LocalListRecord:
        """An empty record where nothing was ever sent."""
        fields = pairs(self._link.call("HGETALL", keys.local_list(charge_point_id)))
        return _record(charge_point_id, fields)

    def entries(self, record: LocalListRecord) -> LocalList | None:
        """What it has acknowledged; None where that is not known."""
        if record.count is None:
            return None
        return _unpacked(self._link.call("GET", keys.local_list_entries(record.charge_point_id)))

    def acknowledged(self, record: LocalListRecord) -> Acknowledged:
        return Acknowledged(
            record.version,
            self.entries(record),
            record.doubtful,
            record.highest,
            record.command_id,
            record.sent_at_ms,
        )

    def target(self, charge_point_id: str) -> LocalList:
        """What the sync that runs is to bring it to."""
        return _unpacked(self._link.call("GET", keys.local_list_target(charge_point_id)))

    # -- changes

    def change(
        self,
        record: LocalListRecord,
        *,
        acknowledged: Acknowledged | None = None,
        target: LocalList | None = None,
        sync: RunningSync | None = None,
        without_sync: bool = False,
        fields: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write what is given, at once; the rest stays. False where the record is no longer the
        one that was read, or its charge point was deleted."""
        entries_become: Argument = "="
        target_becomes: Argument = "="
        changes: dict[str, Any] = {}
        if acknowledged is not None:
            changes |= _acknowledged_fields(acknowledged)
            entries_become = (
                "" if acknowledged.entries is None else _packed(acknowledged.entries.values())
            )
        if target is not None:
            target_becomes = _packed(target.values())
        if sync is not None:
            changes |= _sync_fields(sync)
        if without_sync:
            changes |= {"sync_id": "", "step_command_id": ""}
            target_becomes = ""
        words: list[Argument] = []
        for name, value in (changes | dict(fields or {})).items():
            words += (name, _text(value))
        charge_point_id = record.charge_point_id
        names = [
            keys.charge_point(charge_point_id),
            keys.local_list(charge_point_id),
            keys.local_list_entries(charge_point_id),
            keys.local_list_target(charge_point_id),
        ]
        arguments = [record.revision, entries_become, target_becomes, *words]
        return bool(self._link.run(_CHANGE, names, arguments))

    def note_command(self, charge_point_id: str, sync: RunningSync, command_id: str) -> None:
        """Which command this step of a sync has become."""
        key = keys.local_list(charge_point_id)
        self._link.run(_NOTE_COMMAND, [key], [sync.sync_id, sync.step, command_id])

    # -- whom the sweeps must look at

    def look_at_sync(self, charge_point_id: str, at_ms: int) -> None:
        """A sync runs there: the sweep sees to it that it ends."""
        self._link.call("ZADD", keys.LOCAL_LIST_SYNCS, at_ms, charge_point_id)

    def sync_is_over(self, charge_point_id: str) -> None:
        self._link.call("ZREM", keys.LOCAL_LIST_SYNCS, charge_point_id)

    def syncs_due(self, now_ms: int, limit: int) -> list[str]:
        return self._due(keys.LOCAL_LIST_SYNCS, now_ms, limit)

    def watch(self, charge_point_id: str, at_ms: int) -> None:
        """Keep it in step: looked at from then on."""
        self._link.call("ZADD", keys.LOCAL_LISTS_WATCHED, at_ms, charge_point_id)

    def unwatch(self, charge_point_id: str) -> None:
        self._link.call("ZREM", keys.LOCAL_LISTS_WATCHED, charge_point_id)

    def watched_due(self, now_ms: int, limit: int) -> list[str]:
        return self._due(keys.LOCAL_LISTS_WATCHED, now_ms, limit)

    def _due(self, key: str, now_ms: int, limit: int) -> list[str]:
        due: list[str] = self._link.call("ZRANGEBYSCORE", key, "-inf", now_ms, "LIMIT", 0, limit)
        return due


def _text(value: Any) -> Argument:
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else str(value)


def _acknowledged_fields(known: Acknowledged) -> dict[str, Any]:
    return {
        "version": known.version,
        "highest": known.highest,
        "doubtful": known.doubtful,
        "count": None if known.entries is None else len(known.entries),
        "digest": "" if known.entries is None else digest(known.entries),
        "command_id": known.command_id,
        "sent_at_ms": known.sent_at_ms,
        "checked_source": "",
    }


_SYNC_FIELDS = (
    "sync_id",
    "requested_by",
    "unsolicited",
    "started_at_ms",
    "reply_to",
    "source",
    "tags_version",
    "step",
    "step_at_ms",
    "action",
    "payload_digest",
    "step_command_id",
)


def _sync_fields(sync: RunningSync) -> dict[str, Any]:
    return {name: getattr(sync, name) for name in _SYNC_FIELDS} | {
        "full": sync.course.full,
        "may_fall_back": sync.course.may_fall_back,
        "per_message": sync.limits.per_message,
        "in_total": sync.limits.in_total,
    }


def _record(charge_point_id: str, fields: Mapping[str, str]) -> LocalListRecord:
    def number(name: str) -> int:
        return int(fields.get(name) or 0)

    def optional(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    def text(name: str) -> str:
        return fields.get(name, "")

    sync = None
    if text("sync_id"):
        sync = RunningSync(
            sync_id=text("sync_id"),
            requested_by=text("requested_by"),
            unsolicited=text("unsolicited") == "1",
            started_at_ms=number("started_at_ms"),
            reply_to=text("reply_to"),
            source=text("source"),
            tags_version=text("tags_version"),
            limits=Limits(number("per_message"), number("in_total")),
            course=Course(text("full") == "1", text("may_fall_back") == "1"),
            step=number("step"),
            step_at_ms=number("step_at_ms"),
            action=text("action"),
            payload_digest=text("payload_digest"),
            step_command_id=text("step_command_id"),
        )
    return LocalListRecord(
        charge_point_id=charge_point_id,
        revision=number("revision"),
        version=number("version"),
        highest=number("highest"),
        doubtful=text("doubtful") == "1",
        count=optional("count"),
        digest=text("digest"),
        command_id=text("command_id"),
        sent_at_ms=number("sent_at_ms"),
        acknowledged_at_ms=optional("acknowledged_at_ms"),
        reported_version=optional("reported_version"),
        reported_at_ms=optional("reported_at_ms"),
        last_end=SyncEnd(text("last_end")) if text("last_end") else None,
        reason=text("reason"),
        ended_at_ms=optional("ended_at_ms"),
        checked_source=text("checked_source"),
        checked_tags_version=text("checked_tags_version"),
        checked_until_ms=optional("checked_until_ms"),
        sync=sync,
    )


def _packed(entries: Iterable[Entry]) -> str:
    """Ten thousand entries are some hundred kB."""
    rows = [
        (entry.id_tag, entry.info.status, entry.info.parent_id_tag, entry.info.expires_at_ms)
        for entry in entries
    ]
    return base64.b85encode(zlib.compress(orjson.dumps(rows))).decode("ascii")


def _unpacked(packed: str | None) -> dict[str, Entry]:
    rows = orjson.loads(zlib.decompress(base64.b85decode(packed))) if packed else []
    return {
        fold(id_tag): Entry(id_tag, IdTagInfo(AuthorizationStatus(status), parent, expires_at_ms))
        for id_tag, status, parent, expires_at_ms in rows
    }
