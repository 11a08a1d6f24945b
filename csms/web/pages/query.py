"""What a page's address and forms carry: read leniently, since people edit addresses by hand."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from flask import request

E = TypeVar("E", bound=StrEnum)


def text(name: str, longest: int = 200) -> str:
    """A value of the query, "" where it is not there."""
    return request.args.get(name, "").strip()[:longest]


def choice(name: str, kind: type[E]) -> E | None:
    """A value of the query, None where it is none of the kind's."""
    try:
        return kind(request.args.get(name, ""))
    except ValueError:
        return None


def address_with(**changes: str | None) -> Mapping[str, str]:
    """The query with values changed, for links to the next page; empty ones are left out."""
    values = {**request.args.to_dict(), **changes}
    return {name: value for name, value in values.items() if value}
