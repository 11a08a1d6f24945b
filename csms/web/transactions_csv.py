"""Transactions as CSV."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from csms.clock import text_of
from csms.domain.transaction import Transaction
from csms.state.pages import Page
from csms.web import csv_export

COLUMNS: Mapping[str, Callable[[Transaction], Any]] = {
    "transaction_id": lambda t: t.transaction_id,
    "charge_point_id": lambda t: t.charge_point_id,
    "connector_id": lambda t: t.connector_id,
    "id_tag": lambda t: t.id_tag,
    "authorization": lambda t: str(t.authorization),
    "state": lambda t: str(t.state),
    "started_at": lambda t: text_of(t.started_at_ms),
    "stopped_at": lambda t: None if t.stopped_at_ms is None else text_of(t.stopped_at_ms),
    "meter_start_wh": lambda t: t.meter_start_wh,
    "meter_stop_wh": lambda t: t.meter_stop_wh,
    "energy_wh": lambda t: t.energy_wh,
    "stop_reason": lambda t: t.stop_reason,
    "stop_id_tag": lambda t: t.stop_id_tag,
    "reservation_id": lambda t: t.reservation_id,
    "flags": lambda t: "; ".join(t.flags),
}


def export(read: Callable[[str | None, int], Page[Transaction]]) -> Response:
    """read: a page by cursor and limit."""
    return csv_export.export(COLUMNS, read, "transactions.csv")
