"""Serves files to charge points and takes theirs, at addresses that are their own proof.

Whoever knows an address may use it: the token in it is read before anything else is done, and
stands in no log and no answer. Charge points put together what comes behind it in odd ways, and
the names they choose are text, never places.
"""

import sys
from collections import Counter
from contextlib import ExitStack, closing
from typing import BinaryIO, cast

from flask import Blueprint, Flask, Response, current_app, request
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge, TooManyRequests
from werkzeug.http import parse_options_header
from werkzeug.routing import BaseConverter

from csms import clock
from csms.commands.file_access import open_grant
from csms.commands.uploads import Receiving
from csms.domain.file_grant import FILES_PATH, TOKEN_LENGTH, FileGrant, GrantKind, read_token
from csms.errors import FileGrantUnknown, FileGrantWithdrawn, NotFound
from csms.logs import get_logger
from csms.web.attachments import FileBody
from csms.web.errors import MalformedBody
from csms.web.parts import parts
from csms.web.streamed_bodies import be_patient, body_chunks, read_form

log = get_logger(__name__)

blueprint = Blueprint("files", __name__)

_FETCHING, _LEAVING = ["GET", "HEAD"], ["PUT", "POST"]
# Of a header that may be as long as all of them together.
_RANGE_SHOWN = 50
_RULE = f"{FILES_PATH}/<anything:rest>"


# With one address, in one process: parts of a file at once, and tries that hang.
AT_ONCE_MAX = 8
_TAKEN = "files.taken"


class Anything(BaseConverter):
    """In a URL: slashes too, wherever they stand, and ends of lines."""

    regex = r"[\s\S]*"
    part_isolating = False


def register(app: Flask, csrf: CSRFProtect) -> None:
    app.url_map.converters["anything"] = Anything
    # A token that no browser sends by itself.
    csrf.exempt(blueprint)
    app.extensions[_TAKEN] = Counter()
    app.register_blueprint(blueprint)


@blueprint.after_request
def _end_refused(response: Response) -> Response:
    """What has not been read of a refused file is not worth waiting for."""
    if request.method in _LEAVING and response.status_code >= 400:
        response.headers["Connection"] = "close"
    return response


@blueprint.route(_RULE, methods=_FETCHING)
def fetch(rest: str) -> Response:
    """The file of a download, from wherever the charge point wants to go on."""
    grant = open_grant(_grant_id(rest), parts().stores, clock.now_ms())
    if grant.kind is not GrantKind.DOWNLOAD:
        raise MethodNotAllowed(_LEAVING)
    with ExitStack() as opened:
        place = opened.enter_context(closing(_Place(grant.grant_id)))
        be_patient()
        try:
            file = parts().storage.open(grant.storage_key)
        except NotFound:  # the image was deleted meanwhile
            raise FileGrantWithdrawn from None
        opened.callback(file.close)
        response = _response(_Body(file, place), grant)
        opened.pop_all()  # with the body, from here on
    log.info(
        "file requested",
        charge_point_id=grant.charge_point_id,
        transfer_id=grant.grant_id,
        method=request.method,
        range=request.headers.get("Range", "")[:_RANGE_SHOWN],
        status=response.status_code,
    )
    return response


class _Place:
    """One request with an address; until it is closed others of that address have one place less.
    Each takes a connection, a file, and maybe hours. Raises TooManyRequests."""

    def __init__(self, grant_id: str) -> None:
        self._taken: Counter[str] = current_app.extensions[_TAKEN]
        self._grant_id = grant_id
        self._is_left = False
        if self._taken[grant_id] >= AT_ONCE_MAX:
            raise TooManyRequests
        self._taken[grant_id] += 1

    def close(self) -> None:
        if self._is_left:
            return
        self._is_left = True
        self._taken[self._grant_id] -= 1
        if not self._taken[self._grant_id]:
            del self._taken[self._grant_id]


class _Body(FileBody):
    def __init__(self, file: BinaryIO, place: _Place) -> None:
        super().__init__(file)
        self._place = place

    def close(self) -> None:
        super().close()
        self._place.close()


def _response(body: _Body, grant: FileGrant) -> Response:
    response = Response(
        body,
        mimetype="application/octet-stream",
        direct_passthrough=True,
    )
    response.content_length = grant.size_bytes
    response.set_etag(grant.sha256)
    return cast(
        Response,
        response.make_conditional(request, accept_ranges=True, complete_length=grant.size_bytes),
    )


@blueprint.route(_RULE, methods=_LEAVING)
def leave(rest: str) -> tuple[Response, int]:
    """Take what a charge point uploads: the body itself, or the first file of a form."""
    grant_id = _grant_id(rest)
    # Receiving counts, and stops where it is too much. None would be what other requests may have.
    request.max_content_length = sys.maxsize
    is_form = request.mimetype == "multipart/form-data"
    # A form is a little larger than its file.
    announced_bytes = 0 if is_form else request.content_length or 0
    with (
        closing(_Place(grant_id)),
        parts().uploads.begin(grant_id, clock.now_ms(), announced_bytes) as receiving,
    ):
        be_patient()
        called = _take_form(receiving) if is_form else _take_body(receiving)
        receiving.finish(
            _name_in(rest) or called, request.scheme, request.remote_addr or "", clock.now_ms()
        )
    return Response("The file is here.\n", mimetype="text/plain"), 201


def _take_body(receiving: Receiving) -> str:
    """What a header calls the file."""
    for chunk in body_chunks():
        receiving.write(chunk)
    _, said = parse_options_header(request.headers.get("Content-Disposition"))
    return said.get("filename", "")


def _take_form(receiving: Receiving) -> str:
    """What the form calls its first file."""
    try:
        return read_form(receiving.write, drops_others=True).file_name or ""
    except RequestEntityTooLarge:
        raise MalformedBody("The form holds too much beside its file.") from None


def _grant_id(rest: str) -> str:
    """Raises FileGrantUnknown."""
    token = rest.lstrip("/")[:TOKEN_LENGTH]
    grant_id = read_token(token, parts().settings.credential_pepper)
    if grant_id is None:
        raise FileGrantUnknown
    return grant_id


def _name_in(rest: str) -> str:
    """The last part of the path behind the token, which may be glued to it, or repeated."""
    token, behind = rest.lstrip("/")[:TOKEN_LENGTH], rest.lstrip("/")[TOKEN_LENGTH:]
    return next((part for part in reversed(behind.split("/")) if part not in {"", token}), "")
