"""Brings a charge point's local authorization list to what it should be: a conversation that asks
for the version and then sends what differs (OCPP 1.6 ed. 2, 5.10 and 5.15; domain/local_list.py).

Each answer is reckoned with in one write, together with the step that follows from it; the command
of that step is queued after it. Whatever dies in between, the sweep ends the sync, and the next one
asks for the version first.
"""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.sequel import Sequel
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.command import Command
from csms.domain.configuration import Configuration
from csms.domain.local_list import (
    NO_LIST,
    Acknowledged,
    Course,
    Ended,
    Limits,
    LocalList,
    Sending,
    SyncEnd,
    after_report,
    after_update,
    after_update_answer,
    after_version_answer,
    limits_of,
    next_expiry_ms,
    reported_version,
    too_long,
    update_status,
)
from csms.errors import (
    ChargePointNotConnected,
    CSMSError,
    LocalListNotAssigned,
    LocalListSyncRunning,
    StoreUnavailable,
)
from csms.logs import get_logger
from csms.state import inbox
from csms.state.commands import is_final
from csms.state.inbox import Note, NoteKind
from csms.state.local_lists import FRESH_MS, LocalListRecord, RunningSync
from csms.state.stores import Stores

log = get_logger(__name__)

# How often the sweep looks at a sync that runs.
LOOK_MS = 30_000
# A step whose command nobody has noted after so long was cut off by a crash.
CUT_OFF_MS = 10_000
PER_SWEEP = 50
# Syncs that the system begins by its own will in one sweep, thus 150 a minute at most.
BEGUN_PER_SWEEP = 5
LOOK_AGAIN_MS = 60_000
# After a sync that did not end well the system does not try by itself for so long.
BACK_OFF_MS = {
    SyncEnd.INTERRUPTED: 10 * 60_000,
    SyncEnd.FAILED: 6 * 3_600_000,
    SyncEnd.NOT_SUPPORTED: 24 * 3_600_000,
}
SYSTEM = "local list, by itself"
TRIES = 5


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """full: replace the whole list, whatever is acknowledged. reply_to: the process in which
    somebody waits for the end, or "". unsolicited: the system begins it by itself."""

    charge_point_id: str
    requested_by: str
    full: bool = False
    reply_to: str = ""
    unsolicited: bool = False


def limits_told(configuration: Configuration) -> Limits:
    """By the keys of the charge point, as far as it was ever asked for them."""
    return limits_of(
        configuration.integer("SendLocalListMaxLength"),
        configuration.integer("LocalAuthListMaxLength"),
    )


def start(stores: Stores, desk: CommandDesk, request: SyncRequest, now_ms: int) -> LocalListRecord:
    """Begin a sync; the record with it, or with its end where nothing may be sent.

    Raises ChargePointUnknown, LocalListNotAssigned, LocalListSyncRunning, ChargePointNotConnected,
    CommandForbidden.
    """
    charge_point_id = request.charge_point_id
    source = stores.charge_points.get(charge_point_id).local_list
    if source == NO_LIST:
        raise LocalListNotAssigned(charge_point_id)
    if not stores.presences.owner(charge_point_id):
        raise ChargePointNotConnected(charge_point_id)
    record = stores.local_lists.find(charge_point_id)
    if record.sync is not None:
        raise LocalListSyncRunning(charge_point_id)
    wanted = stores.local_lists.wanted(source, now_ms, FRESH_MS if request.unsolicited else 0)
    limits = limits_told(stores.configurations.find(charge_point_id))
    sync = RunningSync(
        sync_id=uuid.uuid4().hex,
        requested_by=request.requested_by,
        unsolicited=request.unsolicited,
        started_at_ms=now_ms,
        reply_to=request.reply_to,
        source=source,
        tags_version=wanted.tags_version,
        limits=limits,
        course=Course(full=request.full),
        step_at_ms=now_ms,
        payload_digest=_payload_digest({}),
    )
    problem = too_long(wanted.count, limits)
    # The index first: a sync that nobody looks after would block all others.
    stores.local_lists.look_at_sync(charge_point_id, now_ms + LOOK_MS)
    begun = (
        _end(stores, record, sync, Ended(SyncEnd.FAILED, problem), now_ms)
        if problem
        else stores.local_lists.change(record, target=wanted.entries, sync=sync)
    )
    if not begun:
        raise LocalListSyncRunning(charge_point_id)
    if not problem:
        try:
            _queue(stores, desk, charge_point_id, sync, {}, now_ms)
        except StoreUnavailable:
            raise
        except CSMSError:
            _take_back(stores, charge_point_id, sync)
            raise
    return stores.local_lists.find(charge_point_id)


def _take_back(stores: Stores, charge_point_id: str, sync: RunningSync) -> None:
    """A sync that has sent nothing was none."""
    record = stores.local_lists.find(charge_point_id)
    if record.sync is not None and record.sync.sync_id == sync.sync_id:
        stores.local_lists.change(record, without_sync=True)
        stores.local_lists.sync_is_over(charge_point_id)


def _queue(
    stores: Stores,
    desk: CommandDesk,
    charge_point_id: str,
    sync: RunningSync,
    payload: dict[str, Any],
    now_ms: int,
) -> None:
    command = desk.queue(
        CommandRequest(
            charge_point_id,
            sync.action,
            payload,
            sync.requested_by,
            idempotency_key=f"local list {sync.sync_id} {sync.step}",
            unsolicited=sync.unsolicited,
        ),
        now_ms,
    )
    stores.local_lists.note_command(charge_point_id, sync, command.command_id)


def _payload_digest(payload: Any) -> str:
    content = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(content, digest_size=16).hexdigest()


# -- what an answer means


def after_get_version(command: Command, sequel: Sequel) -> None:
    """Whoever asked: the version says whether what was acknowledged is still there."""
    _reckon(command, sequel, after_report, after_version_answer)


def after_send(command: Command, sequel: Sequel) -> None:
    """Whoever sent it: what was accepted is what the charge point has."""
    _reckon(command, sequel, after_update, after_update_answer)


Reckon = Callable[[Acknowledged, Command], Acknowledged]
Decide = Callable[[Command, Course, Acknowledged, LocalList, Limits], Sending | Ended]


def _reckon(command: Command, sequel: Sequel, reckon: Reckon, decide: Decide) -> None:
    """One write for what the answer says of the list, and for what the sync does next. Where the
    record was changed meanwhile, once more from what it is then."""
    lists = sequel.stores.local_lists
    for _ in range(TRIES):
        record = lists.find(command.charge_point_id)
        before = lists.acknowledged(record)
        known = reckon(before, command)
        fields = _told(command, known, before, is_syncing=record.sync is not None)
        given = known if known != before else None
        if record.sync is None or not _is_step(record.sync, command):
            if not (fields or given) or lists.change(record, acknowledged=given, fields=fields):
                sequel.stores.changed.add(command.charge_point_id)
                return
            continue
        target = lists.target(command.charge_point_id)
        step = decide(command, record.sync.course, known, target, record.sync.limits)
        if isinstance(step, Ended):
            if step.how is SyncEnd.DONE:
                fields |= _checked(record.sync, target)
            if _end(sequel.stores, record, record.sync, step, sequel.now_ms, given, fields):
                return
            continue
        payload = step.message.payload()
        sync = replace(
            record.sync,
            course=step.course,
            step=record.sync.step + 1,
            step_at_ms=sequel.now_ms,
            action="SendLocalList",
            payload_digest=_payload_digest(payload),
            step_command_id="",
        )
        if lists.change(record, acknowledged=given, sync=sync, fields=fields):
            sequel.stores.changed.add(command.charge_point_id)
            _go_on(sequel, command.charge_point_id, sync, payload)
            return
    if sequel.stores.charge_points.find(command.charge_point_id) is not None:
        log.error("local list not reckoned", charge_point_id=command.charge_point_id)


def _is_step(sync: RunningSync, command: Command) -> bool:
    """Whether the command is the one this sync waits for. Until that is noted, one that says the
    same is as good."""
    if sync.step_command_id:
        return command.command_id == sync.step_command_id
    return (
        command.action == sync.action
        and command.created_at_ms >= sync.step_at_ms
        and _payload_digest(command.payload) == sync.payload_digest
    )


def _told(
    command: Command, known: Acknowledged, before: Acknowledged, *, is_syncing: bool
) -> dict[str, Any]:
    """What is noted of an answer beside the list itself."""
    fields: dict[str, Any] = {}
    at_ms = command.settled_at_ms
    if command.action == "GetLocalListVersion":
        reported = reported_version(command)
        if reported is not None:
            fields = {"reported_version": reported, "reported_at_ms": at_ms}
    elif command.command_id == known.command_id != before.command_id and update_status(command):
        fields = {"acknowledged_at_ms": at_ms}
        if not is_syncing:
            # What an operator sent by hand was taken: how the last sync ended is of the past.
            fields |= {"last_end": None, "reason": ""}
    return fields


def _checked(sync: RunningSync, target: LocalList) -> dict[str, Any]:
    return {
        "checked_source": sync.source,
        "checked_tags_version": sync.tags_version,
        "checked_until_ms": next_expiry_ms(target),
    }


def _go_on(
    sequel: Sequel, charge_point_id: str, sync: RunningSync, payload: dict[str, Any]
) -> None:
    """Queue the command of the step just written."""
    lists = sequel.stores.local_lists
    lists.look_at_sync(charge_point_id, sequel.now_ms + LOOK_MS)
    try:
        _queue(sequel.stores, sequel.desk, charge_point_id, sync, payload, sequel.now_ms)
    except StoreUnavailable:
        raise  # it may have been queued: the sweep looks
    except CSMSError as error:
        _interrupt(sequel, charge_point_id, sync, f"{error} The next sync asks for the version.")


def _interrupt(sequel: Sequel, charge_point_id: str, sync: RunningSync, reason: str) -> None:
    """End a sync that can't go on, unless it has gone on meanwhile."""
    record = sequel.stores.local_lists.find(charge_point_id)
    if record.sync is not None and (record.sync.sync_id, record.sync.step) == (
        sync.sync_id,
        sync.step,
    ):
        ended = Ended(SyncEnd.INTERRUPTED, reason)
        _end(sequel.stores, record, record.sync, ended, sequel.now_ms)


def _end(
    stores: Stores,
    record: LocalListRecord,
    sync: RunningSync,
    ended: Ended,
    now_ms: int,
    acknowledged: Acknowledged | None = None,
    fields: dict[str, Any] | None = None,
) -> bool:
    """Write the end of a sync, and tell who waits; False where it was changed meanwhile."""
    charge_point_id = record.charge_point_id
    end = {"last_end": ended.how, "reason": ended.reason, "ended_at_ms": now_ms}
    if not stores.local_lists.change(
        record, acknowledged=acknowledged, without_sync=True, fields=(fields or {}) | end
    ):
        return False
    stores.local_lists.sync_is_over(charge_point_id)
    stores.changed.add(charge_point_id)
    if ended.how in {SyncEnd.DONE, SyncEnd.NOT_SUPPORTED}:
        log.info("local list synced", charge_point_id=charge_point_id, end=str(ended.how))
    else:
        log.warning(
            "local list not synced",
            charge_point_id=charge_point_id,
            end=str(ended.how),
            reason=ended.reason,
        )
    if sync.reply_to:
        inbox.send(stores.link, sync.reply_to, Note(NoteKind.SETTLED, sync.sync_id))
    return True


# -- what the time brings


def sweep_syncs(sequel: Sequel) -> None:
    """A sync whose step was cut off by a crash ends; the others are looked at again."""
    lists = sequel.stores.local_lists
    for charge_point_id in lists.syncs_due(sequel.now_ms, PER_SWEEP):
        sync = lists.find(charge_point_id).sync
        if sync is None:
            lists.sync_is_over(charge_point_id)
            continue
        lists.look_at_sync(charge_point_id, sequel.now_ms + LOOK_MS)
        command = (
            sequel.stores.commands.find(charge_point_id, sync.step_command_id)
            if sync.step_command_id
            else None
        )
        if command is None:
            if sequel.now_ms - sync.step_at_ms >= CUT_OFF_MS:
                _interrupt(sequel, charge_point_id, sync, _CUT_OFF)
        elif is_final(command):
            after = after_send if command.action == "SendLocalList" else after_get_version
            after(command, sequel)


_CUT_OFF = "A process of this system ended in the middle. The next sync asks for the version first."


def sweep_watched(sequel: Sequel) -> None:
    """Sync by itself who is to be kept in step and is not: a few at a time, none that is quiet."""
    lists = sequel.stores.local_lists
    begun = 0
    for charge_point_id in lists.watched_due(sequel.now_ms, PER_SWEEP):
        record = sequel.stores.charge_points.find(charge_point_id)
        if record is None or not record.local_list_auto_sync or record.local_list == NO_LIST:
            lists.unwatch(charge_point_id)
            continue
        if begun == BEGUN_PER_SWEEP:
            return
        lists.watch(charge_point_id, sequel.now_ms + LOOK_AGAIN_MS)
        if _is_reachable(record, sequel) and _needs_sync(record, sequel):
            begun += _begin_by_itself(charge_point_id, sequel)


def _is_reachable(record: ChargePoint, sequel: Sequel) -> bool:
    return (
        not record.quiet
        and record.registration is RegistrationStatus.ACCEPTED
        and sequel.stores.presences.owner(record.charge_point_id) != ""
    )


def _needs_sync(record: ChargePoint, sequel: Sequel) -> bool:
    lists, now_ms, source = sequel.stores.local_lists, sequel.now_ms, record.local_list
    kept = lists.find(record.charge_point_id)
    if kept.sync is not None:
        return False
    if kept.last_end is not None and kept.last_end is not SyncEnd.DONE:
        return now_ms >= (kept.ended_at_ms or 0) + BACK_OFF_MS[kept.last_end]
    if kept.is_checked(source, lists.tags_version(source), now_ms):
        return False
    wanted = lists.wanted(source, now_ms, FRESH_MS)
    if kept.doubtful or kept.digest != wanted.digest or wanted.count != len(wanted.entries):
        return True
    # The tags have changed, but not so that this list does.
    lists.change(
        kept,
        fields={
            "checked_source": source,
            "checked_tags_version": wanted.tags_version,
            "checked_until_ms": wanted.until_ms,
        },
    )
    return False


def _begin_by_itself(charge_point_id: str, sequel: Sequel) -> int:
    """How many were begun: a charge point that has gone meanwhile is looked at again."""
    request = SyncRequest(charge_point_id, SYSTEM, unsolicited=True)
    try:
        record = start(sequel.stores, sequel.desk, request, sequel.now_ms)
    except StoreUnavailable:
        raise
    except CSMSError as error:
        log.info("local list left alone", charge_point_id=charge_point_id, reason=str(error))
        return 0
    return int(record.sync is not None)
