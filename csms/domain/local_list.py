"""The local authorization list of a charge point: what it should hold, what must be sent to get
there, and what an answer makes of that (OCPP 1.6 ed. 2, 3.5, 5.10 and 5.15).

The list a charge point should have follows from the id tags. What it has is what it acknowledged.
A sync asks for its version first, then sends the difference a message at a time; each next message
is computed from what is acknowledged by then, so that nothing has to be remembered in between.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from csms.clock import text_of
from csms.domain.authorization import AuthorizationStatus, IdTag, IdTagInfo, authorize, fold
from csms.domain.command import Command, CommandState

GROUP_RULE = (
    "1 to 40 letters, digits and the characters . _ - ; it begins with a letter or digit, "
    "and case makes no difference"
)
_GROUP = re.compile(r"[^\W_][\w.\-]{0,39}")
GROUPS_PER_TAG_MAX = 20

ALL = "all"
NO_LIST = "none"
GROUP_PREFIX = "group:"
SOURCE_RULE = f"must be {NO_LIST}, {ALL} or {GROUP_PREFIX}<name of a tag group>"

# A list is read, compared and kept as a whole; a charge point that takes more is not known.
ENTRIES_MAX = 10_000
# Where SendLocalListMaxLength is not known: 20 full entries are 3 kB, less than the smallest frame
# buffers in the field hold, and a list of some hundreds still takes few messages.
PER_MESSAGE_UNKNOWN = 20
# Whatever a charge point promises: half a thousand full entries are 75 kB.
PER_MESSAGE_MAX = 500
# Charge points keep it in 32 bits.
VERSION_MAX = 2**31 - 1


def read_group(text: str) -> str | None:
    """The name of a tag group as it is kept: lower case; None for what can't be one."""
    name = text.strip().lower()
    return name if _GROUP.fullmatch(name) else None


def read_source(text: str) -> str | None:
    """Which tags make a charge point's list: `none`, `all` or `group:<name>`; None for neither."""
    if text in {NO_LIST, ALL}:
        return text
    name = read_group(text.removeprefix(GROUP_PREFIX)) if text.startswith(GROUP_PREFIX) else None
    return f"{GROUP_PREFIX}{name}" if name else None


@dataclass(frozen=True, slots=True)
class Entry:
    """An id tag in a list, spelled as it was sent."""

    id_tag: str
    info: IdTagInfo


LocalList = Mapping[str, Entry]
"""By folded id tag: they compare without case, and none may be in a list twice."""


class UpdateType(StrEnum):
    DIFFERENTIAL = "Differential"
    FULL = "Full"


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of a SendLocalList.req. info None takes the tag out (Differential only)."""

    id_tag: str
    info: IdTagInfo | None


@dataclass(frozen=True, slots=True)
class Message:
    """A SendLocalList.req; version is that of the list after it."""

    version: int
    update_type: UpdateType
    changes: tuple[Change, ...]

    def payload(self) -> dict[str, Any]:
        """As on the wire; a conformance tool expects the fields in this order."""
        return {
            "listVersion": self.version,
            "localAuthorizationList": [_change_payload(change) for change in self.changes],
            "updateType": str(self.update_type),
        }


def _change_payload(change: Change) -> dict[str, Any]:
    if change.info is None:
        return {"idTag": change.id_tag}
    info: dict[str, Any] = {}
    if change.info.expires_at_ms is not None:
        info["expiryDate"] = text_of(change.info.expires_at_ms)
    if change.info.parent_id_tag:
        info["parentIdTag"] = change.info.parent_id_tag
    info["status"] = str(change.info.status)
    return {"idTag": change.id_tag, "idTagInfo": info}


def read_message(payload: Mapping[str, Any]) -> Message:
    """What a SendLocalList.req says, whoever wrote it; it fits the schema."""
    changes = tuple(
        Change(entry["idTag"], _read_info(entry["idTagInfo"]) if "idTagInfo" in entry else None)
        for entry in payload.get("localAuthorizationList", ())
    )
    return Message(payload["listVersion"], UpdateType(payload["updateType"]), changes)


def _read_info(info: Mapping[str, Any]) -> IdTagInfo:
    expiry = info.get("expiryDate")
    return IdTagInfo(
        AuthorizationStatus(info["status"]),
        info.get("parentIdTag") or None,
        _read_instant(expiry) if expiry else None,
    )


def _read_instant(text: str) -> int | None:
    """RFC 3339; None for the few instants (leap seconds) that only that can write."""
    try:
        return round(datetime.fromisoformat(text.upper()).timestamp() * 1000)
    except ValueError:
        return None


# -- what a charge point should have


def wanted_list(tags: Iterable[IdTag], now_ms: int) -> dict[str, Entry]:
    """The list that follows from id tags. Blocked and expired ones are in it too: a charge point
    that may let in unknown tags while offline would let them in otherwise."""
    return {fold(tag.id_tag): Entry(tag.id_tag, authorize(tag, now_ms)) for tag in tags}


def next_expiry_ms(entries: LocalList) -> int | None:
    """When the list changes by itself, as the first of its accepted tags expires."""
    return min(
        (
            entry.info.expires_at_ms
            for entry in entries.values()
            if entry.info.status is AuthorizationStatus.ACCEPTED and entry.info.expires_at_ms
        ),
        default=None,
    )


def digest(entries: LocalList) -> str:
    """The same for lists that mean the same, however their tags are spelled."""
    content = [
        [folded, entry.info.status, entry.info.parent_id_tag, entry.info.expires_at_ms]
        for folded, entry in sorted(entries.items())
    ]
    return hashlib.blake2b(orjson.dumps(content), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Limits:
    """per_message: SendLocalListMaxLength; in_total: LocalAuthListMaxLength."""

    per_message: int = PER_MESSAGE_UNKNOWN
    in_total: int = ENTRIES_MAX


def limits_of(per_message: int | None, in_total: int | None) -> Limits:
    """From what the configuration says: None, and what can't be meant, is unknown."""
    sendable, storable = per_message or 0, in_total or 0
    return Limits(
        min(sendable, PER_MESSAGE_MAX) if sendable > 0 else PER_MESSAGE_UNKNOWN,
        min(storable, ENTRIES_MAX) if storable > 0 else ENTRIES_MAX,
    )


def too_long(count: int, limits: Limits) -> str:
    """Why so many entries can't be sent, in plain words; "" where they can."""
    if count <= limits.in_total:
        return ""
    whose = (
        "this system sends no more than"
        if limits.in_total == ENTRIES_MAX
        else "the charge point takes no more than"
    )
    return (
        f"The list would have {count} entries, and {whose} {limits.in_total} "
        "(LocalAuthListMaxLength). Assign a tag group with fewer id tags. Nothing was sent."
    )


# -- what a charge point has


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a charge point has by its answers.

    version: of the list it has, 0 while none is known. entries None: it has a list of which we
    don't know the content. doubtful: an update to another version was sent and its fate is open,
    so that the content is only this where the charge point still names the version. highest: of
    all versions it ever had; the next one sent is above it. command_id, sent_at_ms: of the newest
    SendLocalList that is reckoned with.
    """

    version: int = 0
    entries: LocalList | None = None
    doubtful: bool = False
    highest: int = 0
    command_id: str = ""
    sent_at_ms: int = 0


class UpdateStatus(StrEnum):
    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_SUPPORTED = "NotSupported"
    VERSION_MISMATCH = "VersionMismatch"


_STATUSES: Mapping[Any, UpdateStatus] = {str(status): status for status in UpdateStatus}
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
# A CALLERROR with which a charge point says that it has no such thing.
_NOT_SUPPORTED = frozenset({"NotImplemented", "NotSupported"})


def update_status(command: Command) -> UpdateStatus | None:
    """What was answered to a SendLocalList; None where nobody knows what became of it."""
    if command.error is not None and command.error.code in _NOT_SUPPORTED:
        return UpdateStatus.NOT_SUPPORTED
    return _STATUSES.get(command.answer.get("status")) if command.answer else None


def reported_version(command: Command) -> int | None:
    """What was answered to a GetLocalListVersion; -1 for a charge point without lists, None where
    nobody knows."""
    if command.error is not None and command.error.code in _NOT_SUPPORTED:
        return -1
    # Numbers as texts are seen too.
    text = str(command.answer.get("listVersion")) if command.answer else ""
    return int(text) if _INTEGER.fullmatch(text) else None


def after_report(known: Acknowledged, command: Command) -> Acknowledged:
    """What it has after a GetLocalListVersion that has ended, whoever asked for it: 0 is an empty
    list, -1 no lists at all (5.10)."""
    reported = reported_version(command)
    if reported is None or reported < 0 or (command.sent_at_ms or 0) < known.sent_at_ms:
        return known
    if reported == 0:
        return replace(known, version=0, entries={}, doubtful=False)
    if reported == known.version:
        return replace(known, doubtful=False)
    highest = max(known.highest, reported)
    return replace(known, version=reported, entries=None, doubtful=False, highest=highest)


def after_update(known: Acknowledged, command: Command) -> Acknowledged:
    """What it has after a SendLocalList that has ended, whoever asked for it. May be asked again
    for the same command."""
    status = update_status(command)
    is_certain = status is not None and status is not UpdateStatus.ACCEPTED
    if command.sent_at_ms is None or is_certain or command.command_id == known.command_id:
        return known
    if command.sent_at_ms < known.sent_at_ms:
        # A late answer comes to one that was reckoned with in time. Any other was missed: a crash
        # has kept it back, and what came after it may have been built on less.
        return known if command.late_answer is not None else replace(known, entries=None)
    message = read_message(command.payload)
    after = _accepted(known, message) if status else _doubted(known, message)
    return replace(after, command_id=command.command_id, sent_at_ms=command.sent_at_ms)


def _accepted(known: Acknowledged, message: Message) -> Acknowledged:
    version = message.version
    if message.update_type is UpdateType.FULL:
        return Acknowledged(version, _changed({}, message.changes), highest=version)
    highest = max(known.highest, version)
    if known.entries is None or known.doubtful:
        return Acknowledged(version, None, highest=highest)
    return Acknowledged(version, _changed(known.entries, message.changes), highest=highest)


def _doubted(known: Acknowledged, message: Message) -> Acknowledged:
    """It may have been done. Where that would not show in the version, the content is lost."""
    if message.version == known.version:
        return replace(known, entries=None)
    return replace(known, doubtful=True)


def _changed(entries: LocalList, changes: Iterable[Change]) -> LocalList:
    changed = dict(entries)
    for change in changes:
        if change.info is None:
            changed.pop(fold(change.id_tag), None)
        else:
            changed[fold(change.id_tag)] = Entry(change.id_tag, change.info)
    return changed


# -- what must be sent


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns one list into another; each in the order of folded id tags."""

    removed: tuple[Change, ...]
    changed: tuple[Change, ...]
    added: tuple[Change, ...]

    def changes(self) -> tuple[Change, ...]:
        """Removals first: the list is at no time longer than the longer of the two."""
        return self.removed + self.changed + self.added


def difference(have: LocalList, want: LocalList) -> Difference:
    """What the charge point has keeps its spelling: one that compares with case finds it again."""
    return Difference(
        removed=tuple(Change(have[f].id_tag, None) for f in sorted(have.keys() - want.keys())),
        changed=tuple(
            Change(have[f].id_tag, want[f].info)
            for f in sorted(have.keys() & want.keys())
            if have[f].info != want[f].info
        ),
        added=tuple(
            Change(want[f].id_tag, want[f].info) for f in sorted(want.keys() - have.keys())
        ),
    )


def is_as_wanted(known: Acknowledged, want: LocalList) -> bool:
    """Whether the charge point has, without doubt, what it should have."""
    have = known.entries
    return have is not None and not known.doubtful and digest(have) == digest(want)


def next_message(
    known: Acknowledged, want: LocalList, limits: Limits, *, full: bool
) -> Message | None:
    """The next SendLocalList on the way to a list; None where it is there.

    Full where it must be, where the content is not known, and where all is to be deleted; the rest
    of a long list follows as Differentials.
    """
    version = known.highest + 1
    is_known = known.entries is not None and not known.doubtful and known.version > 0
    if not full and is_as_wanted(known, want):
        return None
    if full or not is_known or not want or version > VERSION_MAX:
        first = sorted(want)[: limits.per_message]
        return Message(
            # Only a Full may set the versions back: there the charge point does not compare them.
            version if version <= VERSION_MAX else 1,
            UpdateType.FULL,
            tuple(Change(want[folded].id_tag, want[folded].info) for folded in first),
        )
    changes = difference(known.entries or {}, want).changes()
    return Message(version, UpdateType.DIFFERENTIAL, changes[: limits.per_message])


# -- what an answer makes of a sync


class SyncEnd(StrEnum):
    """How a sync ended."""

    DONE = "done"
    FAILED = "failed"
    NOT_SUPPORTED = "not_supported"
    # Nobody knows what the charge point has done: the next sync asks for its version first.
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Ended:
    """reason: in plain words, "" where it is done."""

    how: SyncEnd
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """How a sync may go on. full: the next message must be Full. may_fall_back: the one attempt
    with a Full after a Differential that was not taken is left."""

    full: bool = False
    may_fall_back: bool = True


@dataclass(frozen=True, slots=True)
class Sending:
    """A sync goes on with this message, and then so."""

    message: Message
    course: Course


_NO_LISTS = Ended(SyncEnd.NOT_SUPPORTED, "The charge point says that it has no local list.")


def after_version_answer(
    command: Command, course: Course, known: Acknowledged, want: LocalList, limits: Limits
) -> Sending | Ended:
    """After GetLocalListVersion; known is what follows from its answer too (after_report)."""
    reported = reported_version(command)
    if reported is None:
        return _interrupted(command)
    if reported < 0:
        return _NO_LISTS
    return _on(course, known, want, limits)


def after_update_answer(
    command: Command, course: Course, known: Acknowledged, want: LocalList, limits: Limits
) -> Sending | Ended:
    """After SendLocalList; known is what follows from its answer too (after_update)."""
    status = update_status(command)
    if status is None:
        return _interrupted(command)
    if status is UpdateStatus.ACCEPTED:
        return _on(replace(course, full=False), known, want, limits)
    if status is UpdateStatus.NOT_SUPPORTED:
        return _NO_LISTS
    message = read_message(command.payload)
    what = f"{message.update_type} update to version {message.version} with {status}"
    if message.update_type is UpdateType.FULL:
        return Ended(SyncEnd.FAILED, f"The charge point answered the {what}.")
    if not course.may_fall_back:
        again = "A Full update had been tried before."
        return Ended(SyncEnd.FAILED, f"The charge point answered the {what}. {again}")
    # Above the version it did not take, and not to be mistaken for it.
    above = replace(known, highest=max(known.highest, message.version))
    return _on(Course(full=True, may_fall_back=False), above, want, limits)


def _on(course: Course, known: Acknowledged, want: LocalList, limits: Limits) -> Sending | Ended:
    message = next_message(known, want, limits, full=course.full)
    return Sending(message, course) if message is not None else Ended(SyncEnd.DONE)


_WHY = {
    CommandState.ANSWERED: "was answered with something that makes no sense",
    CommandState.TIMED_OUT: "was not answered in time",
    CommandState.UNDELIVERABLE: "could not be sent in time",
}


def _interrupted(command: Command) -> Ended:
    if command.error is not None:
        why = f"was refused: {command.error.code} {command.error.description}".rstrip()
    else:
        why = _WHY.get(command.state, "was sent, and the connection lost before an answer came")
    return Ended(
        SyncEnd.INTERRUPTED, f"{command.action} {why}. The next sync asks for the version first."
    )


# -- what is shown


class ListState(StrEnum):
    NONE = "none"
    IN_STEP = "in_step"
    OUT_OF_STEP = "out_of_step"
    SYNCING = "syncing"
    FAILED = "failed"
    NOT_SUPPORTED = "not_supported"
    INTERRUPTED = "interrupted"


def list_state(
    source: str, *, is_syncing: bool, last_end: SyncEnd | None, in_step: bool
) -> ListState:
    """How a charge point's list stands. last_end: of the last sync, unless something was accepted
    since. in_step: is_as_wanted."""
    if source == NO_LIST:
        return ListState.NONE
    if is_syncing:
        return ListState.SYNCING
    if last_end is not None and last_end is not SyncEnd.DONE:
        return ListState(last_end)
    return ListState.IN_STEP if in_step else ListState.OUT_OF_STEP
