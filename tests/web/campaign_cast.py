"""Campaigns for the tests of the web side, as far along as each test wants them."""

from dataclasses import replace

from cast import FIRMWARE, NOON_MS

from csms import clock
from csms.domain.campaign import (
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    NewCampaign,
    Selection,
    Step,
    Target,
    TargetEvent,
    TargetState,
)
from csms.state.campaigns import Move

IMAGE = replace(FIRMWARE, file_name="duo.bin", vendor="Acme", model="Duo", version="2.0")
WISH = NewCampaign(
    "Heartbeats, harbour",
    CampaignKind.CONFIGURATION,
    ConfigurationWork("HeartbeatInterval", "300"),
    Selection(site="Harbour"),
)
DONE = {"state": TargetState.DONE, "attempt": 1, "ended_at_ms": NOON_MS}
FAILED = {
    "state": TargetState.FAILED,
    "attempt": 2,
    "tries": 2,
    "ended_at_ms": NOON_MS,
    "reason": "it answered Rejected",
    "history": (TargetEvent(NOON_MS, 1, "asked"), TargetEvent(NOON_MS, 2, "it answered Rejected")),
}
UNCLEAR = {"state": TargetState.UNCLEAR, "attempt": 1, "ended_at_ms": NOON_MS}
UNDER_WAY = {
    "state": TargetState.UNDER_WAY,
    "attempt": 1,
    "step": Step.ASK,
    "step_at_ms": NOON_MS,
    "began_at_ms": NOON_MS,
}


def started(desk, stores, targets, wish=WISH, state=CampaignState.RUNNING):
    """The id of a campaign with these targets: charge points, and what differs from waiting."""
    campaign_id = desk.create(wish, "user:olga", clock.now_ms()).campaign_id
    run = stores.campaigns.take_run(campaign_id, clock.now_ms())
    stores.campaigns.freeze(campaign_id, run, tuple(targets), "", NOON_MS)
    moves = [
        Move(Target(charge_point_id), replace(Target(charge_point_id), **changes), NOON_MS)
        for charge_point_id, changes in targets.items()
        if changes
    ]
    if moves:
        stores.campaigns.move(campaign_id, run, moves)
    stores.campaigns.change(
        campaign_id, tuple(CampaignState), run=run, state=state, started_at_ms=NOON_MS
    )
    stores.campaigns.end_run(campaign_id, run, None)
    return campaign_id
