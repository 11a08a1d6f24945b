"""Files in a bucket of an S3-compatible store, each an object named by a prefix and its key.

Up and down in parts, so that no file is ever in memory as a whole. boto3 takes the credentials from
where it always does.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, Protocol, cast

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's, which is not Python's
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from csms.errors import ConfigurationError, NotFound, StorageUnavailable
from csms.storage.interface import checked_key, is_key

# S3 wants at least 5 MiB in each part but the last, and at most 10,000 parts: files of 78 GiB.
_PART_BYTES = 8 * 1_048_576
_READ_BYTES = 1_048_576
_CONFIG: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    # The checksums that boto3 would add by itself are refused by some S3-compatible stores.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
# At DEBUG they tell each request with its Authorization header.
_TALKATIVE = ("boto3", "botocore", "urllib3")
_ABSENT = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}


class Client(Protocol):
    """What is used of boto3's client, which may be shared by threads and greenlets."""

    def put_object(self, **request: Any) -> Any: ...
    def head_object(self, **request: Any) -> Any: ...
    def get_object(self, **request: Any) -> Any: ...
    def delete_object(self, **request: Any) -> Any: ...
    def create_multipart_upload(self, **request: Any) -> Any: ...
    def upload_part(self, **request: Any) -> Any: ...
    def complete_multipart_upload(self, **request: Any) -> Any: ...
    def abort_multipart_upload(self, **request: Any) -> Any: ...
    def get_paginator(self, operation_name: str) -> Any: ...


class S3Storage:
    """endpoint: of another store than that of AWS. Raises ConfigurationError for one that is no
    address."""

    def __init__(self, bucket: str, endpoint: str | None = None, prefix: str = "") -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.INFO)
        # Not every store has a host name for each bucket, but all know it in the path.
        style = {"addressing_style": "path" if endpoint else "auto"}
        config = Config(s3=style, **_CONFIG)
        try:
            client = boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)
        except ValueError:
            raise ConfigurationError("FILES_S3_ENDPOINT", "must be a URL.") from None
        self._client: Client = client
        self._bucket = bucket
        self._prefix = prefix

    def create(self, key: str) -> "S3PendingFile":
        return S3PendingFile(self._client, self._object(key))

    def open(self, key: str) -> BinaryIO:
        where = self._object(key)
        with _failures():
            try:
                size_bytes = self._client.head_object(**where)["ContentLength"]
            except ClientError as error:
                if _code(error) in _ABSENT:
                    raise NotFound("file", key) from None
                raise
        reader = _Ranges(self._client, where, size_bytes)
        return cast(BinaryIO, io.BufferedReader(reader, _READ_BYTES))

    def delete(self, key: str) -> None:
        with _failures():
            self._client.delete_object(**self._object(key))

    def forget_unfinished(self, before_ms: int) -> int:
        count = 0
        with _failures():
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for upload in page.get("Uploads", ()):
                    count += self._forget(upload, before_ms)
        return count

    def _forget(self, upload: dict[str, Any], before_ms: int) -> bool:
        name: str = upload["Key"]
        begun_at: datetime = upload["Initiated"]
        # Others may use the bucket, too.
        if not is_key(name.removeprefix(self._prefix)) or begun_at.timestamp() * 1000 >= before_ms:
            return False
        _abort(self._client, {"Bucket": self._bucket, "Key": name}, upload["UploadId"])
        return True

    def _object(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}


class S3PendingFile:
    """A short file is put at once; a longer one is an upload in parts from its first full part."""

    def __init__(self, client: Client, where: dict[str, Any]) -> None:
        self._client = client
        self._where = where
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        while left:
            room = _PART_BYTES - len(self._buffer)
            self._buffer += left[:room]
            left = left[room:]
            if len(self._buffer) == _PART_BYTES:
                self._send_part()

    def commit(self) -> None:
        with _failures():
            if self._upload_id is None:
                self._client.put_object(**self._where, Body=bytes(self._buffer))
                return
            if self._buffer:
                self._send_part()
            self._client.complete_multipart_upload(
                **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            )
            self._upload_id = None

    def discard(self) -> None:
        self._buffer.clear()
        if self._upload_id is None:
            return
        upload_id, self._upload_id = self._upload_id, None
        try:
            with _failures():
                _abort(self._client, self._where, upload_id)
        except StorageUnavailable:  # whoever discards has a failure already; forget_unfinished
            pass  # comes by

    def _send_part(self) -> None:
        with _failures():
            if self._upload_id is None:
                begun = self._client.create_multipart_upload(**self._where)
                self._upload_id = begun["UploadId"]
            number = len(self._parts) + 1
            part = self._client.upload_part(
                **self._where,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=bytes(self._buffer),
            )
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer.clear()


class _Ranges(io.RawIOBase):
    """An object, of which each read fetches what it returns."""

    def __init__(self, client: Client, where: dict[str, Any], size_bytes: int) -> None:
        super().__init__()
        self._client = client
        self._where = where
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        position = begin[whence] + offset
        if position < 0:
            raise ValueError("before the begin of the file")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        count = min(len(buffer), _READ_BYTES, self._size_bytes - self._position)
        if count <= 0:
            return 0
        span = f"bytes={self._position}-{self._position + count - 1}"
        with _failures():
            answer = self._client.get_object(**self._where, Range=span)
            fetched: bytes = answer["Body"].read(count)
        buffer[: len(fetched)] = fetched
        self._position += len(fetched)
        return len(fetched)


def _abort(client: Client, where: dict[str, Any], upload_id: str) -> None:
    try:
        client.abort_multipart_upload(**where, UploadId=upload_id)
    except ClientError as error:
        if _code(error) not in _ABSENT:
            raise


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _failures() -> Iterator[None]:
    """In our words: those of boto3 may name keys and addresses."""
    try:
        yield
    except ClientError as error:
        raise StorageUnavailable(f"the answer was {_code(error) or 'an error'}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StorageUnavailable("its credentials are not set") from error
    except (HTTPClientError, ConnectionError) as error:
        raise StorageUnavailable("it does not answer") from error
    except BotoCoreError as error:
        raise StorageUnavailable(type(error).__name__) from error
