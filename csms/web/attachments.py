"""Gives out files to be saved, whatever they hold and whatever they are called."""

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote

from flask import Response

from csms.domain.hosted_file import download_name

_CHUNK_BYTES = 65_536


class _Chunks:
    """A file as the body of an answer, which closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        self._file.close()


def attachment(file: BinaryIO, file_name: str, size_bytes: int) -> Response:
    """A download that no browser opens or takes for anything but bytes."""
    response = Response(_Chunks(file), mimetype="application/octet-stream")
    response.content_length = size_bytes
    response.headers["Content-Disposition"] = disposition(file_name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def disposition(file_name: str) -> str:
    """RFC 6266: a name for every client, and one with letters of all scripts for those that read
    it."""
    name = download_name(file_name, "file")
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
