"""Reads request bodies and queries strictly: JSON by orjson, unknown fields named, words plain."""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import orjson
from flask import Request
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from csms.web.errors import FieldProblem, InvalidRequest, MalformedBody

_PLAIN = {
    "Missing data for required field.": "is required",
    "Unknown field.": "is not a field of this request",
    "Field may not be null.": "must not be null",
    "Not a valid string.": "must be a text",
    "Not a valid integer.": "must be an integer",
    "Not a valid number.": "must be a number",
    "Not a valid boolean.": "must be true or false",
    "Not a valid mapping type.": "must be an object",
    "Invalid input type.": "must be an object",
}


class StrictParser(FlaskParser):
    """Turns a request into arguments. Raises InvalidRequest, MalformedBody, UnsupportedMediaType.

    An unknown query parameter is an error: a filter that is silently ignored shows too much.
    """

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012  # so declared by webargs
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "json": RAISE,
        "query": RAISE,
    }

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if not body:
            return {}
        if not req.is_json:
            raise UnsupportedMediaType("The body must be JSON: Content-Type: application/json.")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            # Not even lone surrogates and NaN come through, which would fail in the store later.
            raise MalformedBody(
                f"The body is not JSON at line {error.lineno}, column {error.colno}: {error.msg}."
            ) from None

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        messages = error.normalized_messages()  # type: ignore[no-untyped-call]
        raise InvalidRequest(
            problem for where in messages.values() for problem in _flattened(where, ())
        )


def loaded(schema: Schema, values: Mapping[str, Any]) -> Any:
    """What a schema makes of values that came in another way than as JSON or query, read as
    strictly. Raises InvalidRequest."""
    try:
        return schema.load(values, unknown=RAISE)
    except ValidationError as error:
        messages = error.normalized_messages()  # type: ignore[no-untyped-call]
        raise InvalidRequest(_flattened(messages, ())) from None


def _flattened(messages: Any, path: tuple[str, ...]) -> Iterator[FieldProblem]:
    if isinstance(messages, Mapping):
        for name, below in messages.items():
            step = () if name == "_schema" else (str(name),)
            yield from _flattened(below, path + step)
        return
    field = ".".join(path) or "body"
    for message in messages if isinstance(messages, list) else [messages]:
        yield FieldProblem(field, _PLAIN.get(str(message), str(message)))
