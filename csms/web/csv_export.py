"""Lists as CSV, written page by page as they are read, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from flask import Response

from csms.state.pages import Page

T = TypeVar("T")
PAGE = 200


def safe(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection); numbers stay."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell


def export(
    columns: Mapping[str, Callable[[T], Any]],
    read: Callable[[str | None, int], Page[T]],
    file_name: str,
) -> Response:
    """columns: what a cell holds by the head of its column. read: a page by cursor and limit. The
    first is read before anything is answered, so that a store which is down is a 503 and not half
    a file."""
    first = read(None, PAGE)
    return Response(
        _rows(columns, first, read),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


def _rows(
    columns: Mapping[str, Callable[[T], Any]],
    page: Page[T],
    read: Callable[[str | None, int], Page[T]],
) -> Iterator[str]:
    yield _text([tuple(columns)])
    while True:
        if page.items:
            yield _text([tuple(of(item) for of in columns.values()) for item in page.items])
        if page.next_cursor is None:
            return
        page = read(page.next_cursor, PAGE)


def _text(rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([safe(cell) for cell in row] for row in rows)
    return text.getvalue()
