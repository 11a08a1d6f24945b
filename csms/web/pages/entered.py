"""What was filled in on a form, by the rules of the API."""

from collections.abc import Mapping
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError

from csms.errors import FieldError


def entered(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the schema knows, those left empty left out. Raises FieldError."""
    filled = {name: _tidy(values[name]) for name in schema.fields if name in values}
    try:
        loaded: dict[str, Any] = schema.load(
            {name: value for name, value in filled.items() if value not in ("", None)}
        )
    except ValidationError as error:
        messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        name, problems = next(iter(messages.items()))
        raise FieldError(str(name), " ".join(map(str, problems))) from None
    return loaded


def entered_number(text: str) -> int | str:
    """A whole number, or the text for the schema to refuse."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) <= 10 else text


def is_typed(name: str) -> bool:
    """Whether the form has the name of what it is about typed (`show.typed` in the templates)."""
    return request.form.get("typed_name", "").strip() == name


def check_typed(name: str, act: str) -> None:
    """For what can't be undone. Raises FieldError."""
    if not is_typed(name):
        raise FieldError("typed_name", f"type {name} to {act}")


def _tidy(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
