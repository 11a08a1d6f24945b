"""What has become of a campaign's targets, as CSV."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from csms.clock import text_of
from csms.domain.campaign import Target
from csms.state.pages import Page
from csms.web import csv_export

COLUMNS: Mapping[str, Callable[[Target], Any]] = {
    "charge_point_id": lambda t: t.charge_point_id,
    "state": lambda t: str(t.state),
    "reason": lambda t: t.reason,
    "step": lambda t: str(t.step or ""),
    "attempts": lambda t: t.attempt,
    "fell_back": lambda t: "yes" if t.fell_back else "",
    "began_at": lambda t: text_of(t.began_at_ms) if t.began_at_ms else None,
    "ended_at": lambda t: text_of(t.ended_at_ms) if t.ended_at_ms else None,
}


def export(campaign_id: str, read: Callable[[str | None, int], Page[Target]]) -> Response:
    """read: a page by cursor and limit."""
    return csv_export.export(COLUMNS, read, f"campaign-{campaign_id}.csv")
