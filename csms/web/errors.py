"""Every failure as an HTTP answer: one table of statuses, problem+json for programs (RFC 9457) and
a page in plain words for people."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, json, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from csms.domain.file_grant import FILES_PATH
from csms.domain.secrets import mask_text
from csms.errors import (
    AlreadyExists,
    CampaignClosed,
    CertificateRequestClosed,
    ChargePointExists,
    ChargePointNotConnected,
    ChargePointUnknown,
    CommandForbidden,
    CSMSError,
    FieldError,
    FileGrantExpired,
    FileGrantUnknown,
    FileGrantUsed,
    FileGrantWithdrawn,
    FilesNotHosted,
    FirmwareInUse,
    FirmwareLibraryFull,
    IdempotencyConflict,
    LocalListNotAssigned,
    LocalListSyncRunning,
    NotFound,
    NoWayForFiles,
    StorageUnavailable,
    StoreRefused,
    StoreUnavailable,
    UploadCutShort,
    UploadEmpty,
    UploadsFull,
    UploadTooLarge,
)
from csms.logs import get_logger

log = get_logger(__name__)

RETRY_AFTER_S = 5
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """field: its path in the request, such as `payload.connectorId`."""

    field: str
    problem: str


class InvalidRequest(CSMSError):
    """Several fields at once; one alone is a FieldError."""

    def __init__(self, problems: Iterable[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in self.problems))


class MalformedBody(CSMSError):
    """The body is not what its content type says; the text names the place."""


STATUSES: Mapping[type[CSMSError], HTTPStatus] = {
    AlreadyExists: HTTPStatus.CONFLICT,
    CertificateRequestClosed: HTTPStatus.CONFLICT,
    ChargePointExists: HTTPStatus.CONFLICT,
    ChargePointNotConnected: HTTPStatus.CONFLICT,
    ChargePointUnknown: HTTPStatus.NOT_FOUND,
    CommandForbidden: HTTPStatus.CONFLICT,
    FieldError: HTTPStatus.UNPROCESSABLE_ENTITY,
    FilesNotHosted: HTTPStatus.CONFLICT,
    FirmwareInUse: HTTPStatus.CONFLICT,
    FirmwareLibraryFull: HTTPStatus.INSUFFICIENT_STORAGE,
    FileGrantExpired: HTTPStatus.GONE,
    FileGrantUnknown: HTTPStatus.NOT_FOUND,
    FileGrantUsed: HTTPStatus.FORBIDDEN,
    FileGrantWithdrawn: HTTPStatus.GONE,
    CampaignClosed: HTTPStatus.CONFLICT,
    IdempotencyConflict: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    LocalListNotAssigned: HTTPStatus.CONFLICT,
    LocalListSyncRunning: HTTPStatus.CONFLICT,
    MalformedBody: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    NoWayForFiles: HTTPStatus.CONFLICT,
    StorageUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreRefused: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UploadCutShort: HTTPStatus.BAD_REQUEST,
    UploadEmpty: HTTPStatus.BAD_REQUEST,
    UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UploadsFull: HTTPStatus.INSUFFICIENT_STORAGE,
}

_PLAIN = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts; wait a minute and try again.",
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "Something went wrong on our side. It has been logged; trying again may help."
    ),
}
_STORE_DOWN = (
    "The store does not answer, so nothing can be read or changed now. What was asked may or may "
    "not have been done: look again before repeating it."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An RFC 9457 problem. kind: its `type`; headers: what the answer carries beside it."""

    status: HTTPStatus
    detail: str
    kind: str = "about:blank"
    fields: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.status.phrase

    def document(self) -> dict[str, Any]:
        """As JSON; `errors` only where fields are wrong."""
        document: dict[str, Any] = {
            "type": self.kind,
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.fields:
            document["errors"] = [{"field": f.field, "problem": f.problem} for f in self.fields]
        return document


def problem_of(error: CSMSError) -> Problem:
    """Raises the error itself where the table knows no status: that is a bug of ours."""
    status = STATUSES.get(type(error))
    if status is None:
        raise error
    fields: tuple[FieldProblem, ...] = ()
    if isinstance(error, FieldError):
        fields = (FieldProblem(error.field, error.problem),)
    elif isinstance(error, InvalidRequest):
        fields = error.problems
    headers = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    detail = _STORE_DOWN if isinstance(error, StoreUnavailable) else str(error)
    if isinstance(error, StoreRefused):
        detail = f"The store refuses to do this: {str(error)[:200]}"
    kind = InvalidRequest if fields else type(error)
    return Problem(status, detail, f"urn:csms:{_kebab(kind.__name__)}", fields, headers)


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _problem_of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.code or 500)
    kept = {"Allow", "Content-Range", "Retry-After", "WWW-Authenticate"}
    headers = {name: value for name, value in error.get_headers() if name in kept}
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        detail = f"{request.method} can't be used here; {allowed} can."
    elif isinstance(error, CSRFError):
        detail = "The form has expired or came from elsewhere; go back, reload and try again."
    elif status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        most = request.max_content_length or 0
        detail = f"The request is larger than {most // 1_048_576} MiB."
    else:
        detail = _PLAIN.get(status, error.description or status.phrase)
    return Problem(status, detail, headers=headers)


def answer(problem: Problem) -> Response:
    """JSON under /api/, plain text to charge points, a page elsewhere."""
    response: Response
    if request.path.startswith("/api/"):
        response = Response(json.dumps(problem.document()), content_type=MEDIA_TYPE)
    elif request.path.startswith(f"{FILES_PATH}/"):
        response = Response(f"{problem.detail}\n", mimetype="text/plain")
    else:
        response = Response(render_template("error.html", problem=problem))
    response.status_code = int(problem.status)
    response.headers.update(problem.headers)
    return response


def register(app: Flask) -> None:
    """The three edges: what we know to be wrong, what HTTP knows, and our own bugs."""

    @app.errorhandler(CSMSError)
    def known(error: CSMSError) -> Response:
        if type(error) not in STATUSES:
            return unexpected(error)
        problem = problem_of(error)
        if problem.status is HTTPStatus.SERVICE_UNAVAILABLE:
            log.warning("store unavailable", path=mask_text(request.path), problem=str(error))
        return answer(problem)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        return answer(_problem_of_http(error))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.exception(
            "request failed", path=mask_text(request.path), method=request.method, exc_info=error
        )
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return answer(Problem(status, _PLAIN[status]))
