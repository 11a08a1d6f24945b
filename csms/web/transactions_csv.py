"""Transactions as CSV, written page by page as it is read, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response

from csms.clock import text_of
from csms.domain.transaction import Transaction
from csms.state.pages import Page

PAGE = 200
_COLUMNS: dict[str, Callable[[Transaction], Any]] = {
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
COLUMNS = tuple(_COLUMNS)


def safe(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection); numbers stay."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell


def export(read: Callable[[str | None, int], Page[Transaction]]) -> Response:
    """read: a page by cursor and limit. The first is read before anything is answered, so that a
    store which is down is a 503 and not half a file."""
    first = read(None, PAGE)
    return Response(
        _rows(first, read),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="transactions.csv"'},
    )


def _rows(
    page: Page[Transaction], read: Callable[[str | None, int], Page[Transaction]]
) -> Iterator[str]:
    yield _text([COLUMNS])
    while True:
        if page.items:
            yield _text([tuple(of(t) for of in _COLUMNS.values()) for t in page.items])
        if page.next_cursor is None:
            return
        page = read(page.next_cursor, PAGE)


def _text(rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([safe(cell) for cell in row] for row in rows)
    return text.getvalue()
