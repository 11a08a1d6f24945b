"""Reads large bodies as they arrive, so that no file is in memory, or in a temporary file, as a
whole."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

from flask import request
from werkzeug.exceptions import ClientDisconnected, UnsupportedMediaType
from werkzeug.formparser import FormDataParser

from csms.errors import FieldError, UploadCutShort
from csms.web.errors import MalformedBody

_CHUNK_BYTES = 65_536
# What all parts of a form may have beside the file.
FORM_OVERHEAD_BYTES = 131_072
_FIELD_MAX_BYTES = 65_536
# The parser holds a chunk of 64 KiB beside what may be the begin of a boundary.
_MEMORY_MAX_BYTES = 2 * 65_536 + _FIELD_MAX_BYTES
_PARTS_MAX = 50


def be_patient() -> None:
    """Wait for this caller, and for how it reads our answer, as long as a slow modem needs: only
    for one who has shown who it is. Servers that can't do so have nothing under this name."""
    patience: Callable[[], None] | None = request.environ.get("csms.be_patient")
    if patience is not None:
        patience()


def body_chunks() -> Iterator[bytes]:
    """The body of this request. Raises RequestEntityTooLarge, UploadCutShort."""
    body = _Body()
    while chunk := body.read(_CHUNK_BYTES):
        yield chunk


class _Body:
    """The body of this request, as the parser of forms reads it too."""

    def read(self, size: int) -> bytes:
        try:
            chunk = request.stream.read(size)
        except (OSError, ClientDisconnected):
            raise UploadCutShort from None
        # A fast sender must not keep the sockets of this process waiting.
        time.sleep(0)
        return chunk


@dataclass(frozen=True, slots=True)
class StreamedForm:
    """fields: the last of each name. file_name: as the sender said it; None without a file."""

    fields: Mapping[str, str]
    file_name: str | None


class _Sink:
    """What the parser takes for the file it writes to."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write

    def seek(self, _offset: int) -> None:
        """The parser rewinds what it has written; nobody reads it from here."""


def _drop(_: bytes) -> None:
    """A file too many."""


def read_form(write: Callable[[bytes], None], *, drops_others: bool = False) -> StreamedForm:
    """The form in the body of this request. write: takes the bytes of its first file, in chunks.
    drops_others: what further files are; else there must be none.

    Raises UnsupportedMediaType, MalformedBody, FieldError for a second file, RequestEntityTooLarge,
    UploadCutShort, and what write does.
    """
    if request.mimetype != "multipart/form-data":
        # The parser would read a form of another kind as a whole.
        raise UnsupportedMediaType("The body must be a form with a file: multipart/form-data.")
    begun = False

    def sink(*_: Any, **__: Any) -> _Sink:
        nonlocal begun
        if begun and drops_others:
            return _Sink(_drop)
        if begun:
            raise FieldError("file", "must be one file, not several")
        begun = True
        return _Sink(write)

    parser = FormDataParser(
        stream_factory=sink,  # type: ignore[arg-type]  # more of a file nobody asks for
        max_form_memory_size=_MEMORY_MAX_BYTES,
        max_form_parts=_PARTS_MAX,
        silent=False,
    )
    try:
        _, fields, files = parser.parse(
            cast("IO[bytes]", _Body()),
            request.mimetype,
            request.content_length,
            request.mimetype_params,
        )
    except ValueError:
        # What the parser says of it is for programmers.
        raise MalformedBody("The body is no form, or was cut short.") from None
    names = [file.filename or "" for file in files.values()]
    return StreamedForm(fields.to_dict(), names[0] if names else None)
