"""How the local authorization list of a charge point stands, for the API and the page."""

from dataclasses import dataclass

from csms.commands.local_lists import SyncRequest, limits_told, start
from csms.domain.configuration import Configuration
from csms.domain.local_list import (
    NO_LIST,
    Entry,
    Limits,
    ListState,
    UpdateType,
    difference,
    is_as_wanted,
    list_state,
    next_message,
    too_long,
)
from csms.state.local_lists import LocalListRecord
from csms.state.pages import Page
from csms.state.stores import Stores
from csms.web.parts import WebParts


@dataclass(frozen=True, slots=True)
class Differences:
    """How many entries a sync would add, change and remove."""

    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a sync would do. wanted: how many entries the charge point should have. differences:
    None where what it has is not known. update_type: of what would be sent first, None for
    nothing. problem: why nothing can be sent, or ""."""

    wanted: int = 0
    in_step: bool = False
    differences: Differences | None = None
    update_type: UpdateType | None = None
    messages: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ToldLimits:
    """…_known: whether the charge point has told them; else they are ours."""

    per_message: int
    per_message_known: bool
    in_total: int
    in_total_known: bool


@dataclass(frozen=True, slots=True)
class LocalListState:
    """explanation: the state in plain words. is_enabled: its LocalAuthListEnabled, None where it
    has not told."""

    charge_point_id: str
    source: str
    auto_sync: bool
    state: ListState
    explanation: str
    record: LocalListRecord
    outlook: Outlook
    limits: ToldLimits
    is_enabled: bool | None
    is_connected: bool


_EXPLANATIONS = {
    ListState.NONE: "No id tags are assigned to it: this system sends it no list.",
    ListState.IN_STEP: "The charge point has acknowledged exactly what it should have.",
    ListState.OUT_OF_STEP: "What it has acknowledged is not what it should have: a sync is due.",
    ListState.SYNCING: "A sync runs.",
}


def get(stores: Stores, charge_point_id: str, now_ms: int) -> LocalListState:
    """Raises ChargePointUnknown."""
    charge_point = stores.charge_points.get(charge_point_id)
    source = charge_point.local_list
    record = stores.local_lists.find(charge_point_id)
    configuration = stores.configurations.find(charge_point_id)
    outlook = _outlook(stores, source, record, limits_told(configuration), now_ms)
    state = list_state(
        source,
        is_syncing=record.sync is not None,
        last_end=record.last_end,
        in_step=outlook.in_step,
    )
    return LocalListState(
        charge_point_id=charge_point_id,
        source=source,
        auto_sync=charge_point.local_list_auto_sync,
        state=state,
        explanation=_EXPLANATIONS.get(state, record.reason),
        record=record,
        outlook=outlook,
        limits=_told_limits(configuration),
        is_enabled=configuration.boolean("LocalAuthListEnabled"),
        is_connected=stores.presences.owner(charge_point_id) != "",
    )


def _outlook(
    stores: Stores, source: str, record: LocalListRecord, limits: Limits, now_ms: int
) -> Outlook:
    if source == NO_LIST:
        return Outlook()
    wanted = stores.local_lists.wanted(source, now_ms)
    problem = too_long(wanted.count, limits)
    if problem:
        return Outlook(wanted.count, problem=problem)
    known = stores.local_lists.acknowledged(record)
    message = next_message(known, wanted.entries, limits, full=False)
    changes, differences = wanted.count, None
    if known.entries is not None:
        differing = difference(known.entries, wanted.entries)
        differences = Differences(
            len(differing.added), len(differing.changed), len(differing.removed)
        )
        if message is not None and message.update_type is UpdateType.DIFFERENTIAL:
            changes = len(differing.changes())
    return Outlook(
        wanted.count,
        in_step=is_as_wanted(known, wanted.entries),
        differences=differences,
        update_type=message.update_type if message is not None else None,
        messages=max(1, -(-changes // limits.per_message)) if message is not None else 0,
    )


def _told_limits(configuration: Configuration) -> ToldLimits:
    limits = limits_told(configuration)
    return ToldLimits(
        limits.per_message,
        (configuration.integer("SendLocalListMaxLength") or 0) > 0,
        limits.in_total,
        (configuration.integer("LocalAuthListMaxLength") or 0) > 0,
    )


def entries(stores: Stores, charge_point_id: str, cursor: str | None, limit: int) -> Page[Entry]:
    """What it has acknowledged, in the order of folded id tags; nothing where that is not known.
    cursor is the last folded id tag of the page before. Raises ChargePointUnknown."""
    stores.charge_points.get(charge_point_id)
    known = stores.local_lists.entries(stores.local_lists.find(charge_point_id)) or {}
    folded = sorted(name for name in known if cursor is None or name > cursor)
    shown = folded[:limit]
    return Page([known[name] for name in shown], shown[-1] if len(folded) > limit else None)


def sync(
    parts: WebParts,
    charge_point_id: str,
    requested_by: str,
    now_ms: int,
    *,
    full: bool,
    wait_s: float,
) -> bool:
    """Begin a sync, and wait for its end as long as wait_s; whether it has ended.

    Raises what commands.local_lists.start raises.
    """
    reply_to = parts.process_id if wait_s else ""
    request = SyncRequest(charge_point_id, requested_by, full=full, reply_to=reply_to)
    begun = start(parts.stores, parts.desk, request, now_ms).sync
    if begun is None:
        return True

    def has_ended() -> bool:
        running = parts.stores.local_lists.find(charge_point_id).sync
        return running is None or running.sync_id != begun.sync_id

    if wait_s:
        parts.waiting.wait(begun.sync_id, wait_s, lambda: has_ended() or parts.is_draining())
    return has_ended()
