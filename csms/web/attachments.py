"""Gives out files to be saved, whatever they hold and whatever they are called."""

import time
from typing import BinaryIO
from urllib.parse import quote

from flask import Response
from werkzeug.wsgi import FileWrapper

from csms.domain.hosted_file import download_name

_CHUNK_BYTES = 65_536


class FileBody(FileWrapper):
    """A file as the body of an answer, which closes it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, _CHUNK_BYTES)

    def __next__(self) -> bytes:
        # A fast reader must not keep the sockets of this process waiting.
        time.sleep(0)
        return super().__next__()


def attachment(file: BinaryIO, file_name: str, size_bytes: int) -> Response:
    """A download that no browser opens or takes for anything but bytes."""
    response = Response(FileBody(file), mimetype="application/octet-stream")
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
