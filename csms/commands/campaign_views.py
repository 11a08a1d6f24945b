"""Gathers what the records say of the targets of a campaign, for the rules to decide by."""

from collections.abc import Sequence

from csms.domain.campaign import (
    Campaign,
    CampaignKind,
    Step,
    Target,
    command_id_of,
)
from csms.domain.campaign_steps import Seen, SyncSeen
from csms.domain.charge_point import ChargePoint
from csms.state.stores import Stores


def seen_waiting(
    stores: Stores, campaign_id: str, charge_point_ids: Sequence[str]
) -> dict[str, Seen]:
    """Of targets that wait, in a handful of trips for all of them."""
    records = _records(stores, charge_point_ids)
    alive = stores.presences.alive()
    rows = zip(
        charge_point_ids,
        stores.presences.find_many(charge_point_ids),
        stores.transactions.open_of_many(charge_point_ids),
        stores.campaigns.holders(charge_point_ids),
        strict=True,
    )
    return {
        charge_point_id: Seen(
            record=records.get(charge_point_id),
            is_connected=presence.is_connected(alive),
            is_charging=bool(open_transactions),
            held_by=_held_by(stores, campaign_id, charge_point_id, holder),
        )
        for charge_point_id, presence, open_transactions, holder in rows
    }


def _records(stores: Stores, charge_point_ids: Sequence[str]) -> dict[str, ChargePoint]:
    found = stores.charge_points.find_many(charge_point_ids)
    return {record.charge_point_id: record for record in found}


def _held_by(stores: Stores, campaign_id: str, charge_point_id: str, holder: str) -> str:
    """The name of another campaign that works on it. What a run that died has left held is free."""
    if not holder or holder == campaign_id:
        return ""
    if not stores.campaigns.works_on(holder, charge_point_id):
        return ""
    found = stores.campaigns.find(holder)
    return found.name if found else ""


def seen_under_way(stores: Stores, campaign: Campaign, targets: Sequence[Target]) -> list[Seen]:
    """Of targets under way, in their order."""
    ids = [target.charge_point_id for target in targets]
    records = _records(stores, ids)
    alive = stores.presences.alive()
    return [
        _seen(
            stores,
            campaign,
            target,
            records.get(target.charge_point_id),
            presence.is_connected(alive),
        )
        for target, presence in zip(targets, stores.presences.find_many(ids), strict=True)
    ]


def _seen(
    stores: Stores,
    campaign: Campaign,
    target: Target,
    record: ChargePoint | None,
    is_connected: bool,
) -> Seen:
    charge_point_id = target.charge_point_id
    if campaign.kind is CampaignKind.LOCAL_LIST:
        local_list = stores.local_lists.find(charge_point_id)
        sync = SyncSeen(
            runs=local_list.sync is not None,
            end=local_list.last_end,
            ended_at_ms=local_list.ended_at_ms or 0,
            reason=local_list.reason,
        )
        return Seen(record, is_connected, sync=sync)
    asked = command_id_of(campaign.campaign_id, charge_point_id, target.attempt, Step.ASK)
    command = stores.commands.find(charge_point_id, asked)
    if campaign.kind is CampaignKind.CONFIGURATION:
        checked = command_id_of(campaign.campaign_id, charge_point_id, target.attempt, Step.CHECK)
        check = stores.commands.find(charge_point_id, checked)
        return Seen(record, is_connected, command=command, check=check)
    if campaign.kind is CampaignKind.RESET:
        return Seen(record, is_connected, command=command)
    return Seen(
        record,
        is_connected,
        command=command,
        transfer=stores.transfers.find(charge_point_id, asked),
        has_upload=stores.uploaded_files.find(charge_point_id, asked) is not None,
    )
