"""Fields and schemas that several resources share: instants, pages, problems."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, Range

from csms.clock import text_of

E = TypeVar("E", bound=StrEnum)
LIMIT_MAX = 200
_EXAMPLE = "2026-11-22T19:45:00Z"


class Instant(fields.Field[int]):
    """Milliseconds since 1970 within, ISO 8601 text with a zone outside."""

    default_error_messages = {  # noqa: RUF012  # so declared by marshmallow
        "invalid": f"must be an instant with its zone, such as {_EXAMPLE}",
        "range": "must be between the years 2000 and 9998",
    }

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return None if value is None else text_of(value)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any
    ) -> int:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise self.make_error("invalid") from None
        if instant.tzinfo is None:
            raise self.make_error("invalid")
        if not 2000 <= instant.year <= 9998:
            raise self.make_error("range")
        return round(instant.astimezone(UTC).timestamp() * 1000)


class Text(fields.String):
    """Text fit to be shown in a line: no control characters."""

    def __init__(self, longest: int, shortest: int = 0, **kwargs: Any) -> None:
        said = f"must have {shortest} to {longest} characters"
        super().__init__(validate=[Length(shortest, longest, error=said), printable], **kwargs)


def printable(text: str) -> None:
    if not text.isprintable():
        raise ValidationError("must not hold control characters")


def choice(kind: type[E], **kwargs: Any) -> fields.Enum[E]:
    """A value of an enumeration; anything else is told which there are."""
    said = f"must be one of {', '.join(kind)}"
    return fields.Enum(kind, by_value=True, error_messages={"unknown": said}, **kwargs)


class PageQuery(Schema):
    limit = fields.Integer(
        load_default=50,
        validate=Range(1, LIMIT_MAX, error=f"must be between 1 and {LIMIT_MAX}"),
        metadata={"description": "How many items at most; a page with a filter may be shorter."},
    )
    cursor = fields.String(
        load_default=None,
        validate=Length(1, 200, error="is not one this list gave out"),
        metadata={"description": "`next_cursor` of the page before."},
    )


class FieldProblemSchema(Schema):
    field = fields.String(required=True, metadata={"description": "Its path in the request."})
    problem = fields.String(required=True)


class ProblemSchema(Schema):
    """RFC 9457."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldProblemSchema))


@cache
def page_of(item: type[Schema]) -> type[Schema]:
    """The schema of a page of such items."""
    return Schema.from_dict(
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(
                required=True,
                allow_none=True,
                metadata={"description": "Of the next page; null on the last."},
            ),
        },
        name=f"{item.__name__.removesuffix('Schema')}PageSchema",
    )
