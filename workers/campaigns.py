"""Brings a campaign forward."""

from csms import clock
from csms.commands.campaign_runs import CampaignRuns
from workers.parts import asked_for_again, open_parts


@asked_for_again
def advance(campaign_id: str) -> None:
    """As far as it goes now; it may come early, late, twice, or beside another."""
    with open_parts() as parts:
        CampaignRuns(parts.stores, parts.desk, parts.transfers, clock.now_ms).advance(campaign_id)
