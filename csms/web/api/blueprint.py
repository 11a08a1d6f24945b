"""How a resource declares its operations, so that each is parsed, answered and documented alike."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask
from flask_smorest import Api, Blueprint  # type: ignore[import-untyped]
from flask_smorest.utils import prepare_response  # type: ignore[import-untyped]
from marshmallow import Schema
from werkzeug.routing import BaseConverter

from csms.domain.charge_point import ID_PATTERN
from csms.web.api.fields import Instant, ProblemSchema
from csms.web.bodies import StrictParser
from csms.web.errors import MEDIA_TYPE

View = TypeVar("View", bound=Callable[..., Any])
PREFIX = "/api/v1"
_ALWAYS = (401, 503)


class ApiBlueprint(Blueprint):  # type: ignore[misc]
    """A resource of the API. Its view functions get the headers, the query and the body that
    they declare, in this order, then by name what the URL holds."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, __name__, url_prefix=PREFIX, description=description)

    def operation(
        self,
        method: str,
        rule: str,
        *,
        answers: tuple[int, type[Schema] | None],
        query: type[Schema] | None = None,
        takes: type[Schema] | None = None,
        reads: dict[str, Any] | None = None,
        fails: tuple[int, ...] = (),
        also: tuple[int, str] | None = None,
        content_type: str | None = None,
        headers: type[Schema] | None = None,
    ) -> Callable[[View], View]:
        """Register a view. fails: statuses beside 401, 503 and, with a query or body, 422.

        also: a second status it may succeed with, and when. reads: OpenAPI's requestBody, of a view
        that reads its body itself.
        """
        status, schema = answers
        problems = {*_ALWAYS, *fails}
        if takes or reads:
            problems |= {400, 413, 415, 422}
        if query or headers:
            problems.add(422)

        def decorate(view: View) -> View:
            wrapped: Callable[..., Any] = view
            for code in sorted(problems, reverse=True):
                wrapped = self.alt_response(
                    code,
                    schema=ProblemSchema,
                    content_type=MEDIA_TYPE,
                    description=HTTPStatus(code).phrase,
                )(wrapped)
            if also is not None:
                wrapped = self.alt_response(
                    also[0], schema=schema, description=also[1], success=True
                )(wrapped)
            wrapped = self.response(status, schema, content_type=content_type)(wrapped)
            if takes is not None:
                wrapped = self.arguments(takes)(wrapped)
            if reads is not None:
                wrapped = self.doc(requestBody=reads)(wrapped)
            if query is not None:
                wrapped = self.arguments(query, location="query")(wrapped)
            if headers is not None:
                wrapped = self.arguments(headers, location="headers")(wrapped)
            self.add_url_rule(rule, view.__name__, wrapped, methods=[method])
            return view

        return decorate


class ChargePointId(BaseConverter):
    """In a URL: what can't name a charge point finds nothing, and never becomes a key."""

    regex = ID_PATTERN


class TransactionId(BaseConverter):
    """In a URL: bounded, since Python refuses to read integers of thousands of digits."""

    regex = "[0-9]{1,10}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: Any) -> str:
        return str(value)


class ReservationId(TransactionId):
    """In a URL: of the same kind, and above 0 likewise."""


class ProblemApi(Api):  # type: ignore[misc]
    """flask-smorest, with our errors (web/errors.py answers them) in its document."""

    ERROR_SCHEMA = ProblemSchema

    def _register_error_handlers(self) -> None:
        """Those of web/errors.py serve the API too."""

    def _register_responses(self) -> None:
        for name, phrase in [
            *[(status.name, status.phrase) for status in HTTPStatus],
            ("DEFAULT_ERROR", "Whatever else goes wrong"),
        ]:
            response = {"description": phrase, "schema": ProblemSchema}
            prepare_response(response, self.spec, MEDIA_TYPE)
            self.spec.components.response(name, response, lazy=True)


def create_api(app: Flask, version: str) -> ProblemApi:
    """The API's document, empty as yet, at /api/v1/openapi.json."""
    app.url_map.converters["charge_point"] = ChargePointId
    app.url_map.converters["transaction"] = TransactionId
    app.url_map.converters["reservation"] = ReservationId
    app.config.update(
        API_TITLE="CSMS",
        API_VERSION=version,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {
                "description": (
                    "Charge points, commands and transactions of an OCPP 1.6J central system. "
                    "Our own fields are snake_case and instants ISO 8601 in UTC; OCPP payloads "
                    "are exactly as on the wire."
                )
            },
            "components": {
                "securitySchemes": {"api_key": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"api_key": []}],
        },
    )
    api = ProblemApi(app)
    api.register_field(Instant, "string", "date-time")
    api.register_converter(ChargePointId, lambda _: {"type": "string", "maxLength": 48})
    for numbered in (TransactionId, ReservationId):
        api.register_converter(
            numbered, lambda _: {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
        )
    return api
