"""Fetches files and leaves them, over HTTP(S) and FTP(S), as charge points do.

It blocks, on the plain sockets of the standard library: it is for threads, of which all charge
points of a process share a few.
"""

import ftplib
import hashlib
import http.client
import io
import ssl
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Literal, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

import gevent
from gevent.threadpool import ThreadPool

UploadMethod = Literal["PUT", "POST", "multipart"]
T = TypeVar("T")

THREADS = 16
PATIENCE_S = 30.0
CHUNK_BYTES = 65_536
HEAD_BYTES = 200


class TransferFailed(Exception):
    """A try to move a file came to nothing; another one may do better."""


class TransferRefused(TransferFailed):
    """The server will not have it, however often it is tried."""


class SchemeUnknown(TransferRefused):
    """The location is of a kind that is not spoken here."""


@dataclass(frozen=True, slots=True)
class MovedFile:
    """What arrived or was left. offsets: from where the server sent it, one for each of its parts;
    of an upload (0,)."""

    name: str
    size_bytes: int
    sha256: str
    head: bytes = b""
    offsets: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Trust:
    """Which servers of files are believed. ca_file: None for the roots of the system."""

    ca_file: str | None = None
    checks_certificates: bool = True

    def context(self) -> ssl.SSLContext:
        """A context that blocks its thread, and nobody else."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.checks_certificates:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Download:
    """A file on its way: what has arrived stays when a try breaks off, and the next goes on there.

    Of the content only digest and beginning are kept, since thousands may be on their way. Two
    faults of charge points: `breaks_after` bytes the first connection is lost, and `corrupts`
    changes the first byte.
    """

    def __init__(
        self,
        location: str,
        trust: Trust | None = None,
        *,
        breaks_after: int | None = None,
        corrupts: bool = False,
    ) -> None:
        self._parts = _split(location)
        self._trust = trust or Trust()
        self._breaks_after = breaks_after
        self._corrupts = corrupts
        self._entity_tag: str | None = None
        self._offsets: list[int] = []
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._head = b""

    def go_on(self) -> MovedFile:
        """One try, blocking. Raises TransferFailed."""
        _attempt(self._parts, over_http=self._over_http, over_ftp=self._over_ftp)
        return MovedFile(
            name=unquote(self._parts.path.rsplit("/", 1)[-1]),
            size_bytes=self._size_bytes,
            sha256=self._digest.hexdigest(),
            head=self._head,
            offsets=tuple(self._offsets),
        )

    def _over_http(self) -> None:
        headers = {}
        if self._size_bytes and self._entity_tag is not None:
            # If-Range: another file of this name is sent whole (RFC 9110, 13.1.5).
            headers = {"Range": f"bytes={self._size_bytes}-", "If-Range": self._entity_tag}
        with closing(_http(self._parts, self._trust)) as connection:
            connection.request("GET", _target(self._parts), headers=headers)
            response = connection.getresponse()
            content_range = response.getheader("Content-Range", "")
            if response.status == HTTPStatus.OK:
                self._begin_at(0)
            elif response.status == HTTPStatus.PARTIAL_CONTENT and content_range.startswith(
                f"bytes {self._size_bytes}-"
            ):
                self._begin_at(self._size_bytes)
            else:
                raise _refusal(response)
            tag = response.getheader("ETag")
            self._entity_tag = None if tag is None or tag.startswith("W/") else tag
            while chunk := response.read(CHUNK_BYTES):
                self._take(chunk)
            if response.length:
                raise TransferFailed(f"the connection ended {response.length} bytes too early")

    def _over_ftp(self) -> None:
        with closing(_ftp(self._parts, self._trust)) as client:
            client.voidcmd("TYPE I")
            wanted = f"RETR {unquote(self._parts.path)}"
            with client.transfercmd(wanted, self._size_bytes or None) as channel:
                self._begin_at(self._size_bytes)
                while chunk := channel.recv(CHUNK_BYTES):
                    self._take(chunk)
            client.voidresp()

    def _begin_at(self, offset: int) -> None:
        if offset == 0:
            self._digest = hashlib.sha256()
            self._size_bytes = 0
            self._head = b""
        self._offsets.append(offset)

    def _take(self, chunk: bytes) -> None:
        rest = None if self._breaks_after is None else self._breaks_after - self._size_bytes
        kept = chunk if rest is None else chunk[: max(0, rest)]
        if self._corrupts and kept and self._size_bytes == 0:
            kept = bytes([kept[0] ^ 1]) + kept[1:]
        self._digest.update(kept)
        self._size_bytes += len(kept)
        self._head += kept[: HEAD_BYTES - len(self._head)]
        if rest is not None and rest <= len(chunk):
            self._breaks_after = None
            raise ConnectionResetError(f"lost after {self._size_bytes} bytes, as was wanted")


def upload(
    location: str,
    name: str,
    content: bytes,
    *,
    method: UploadMethod = "PUT",
    trust: Trust | None = None,
) -> MovedFile:
    """Leave a file in a directory, blocking; method: of HTTP. Raises TransferFailed."""
    parts = _split(location)
    directory = parts.path if parts.path.endswith("/") else f"{parts.path}/"

    def over_http() -> None:
        target, body, content_type = f"{directory}{quote(name, safe='')}", content, "text/plain"
        if method == "multipart":
            target, (body, content_type) = parts.path or "/", _form(name, content)
        with closing(_http(parts, trust or Trust())) as connection:
            verb = "PUT" if method == "PUT" else "POST"
            try:
                connection.request(verb, target, body, {"Content-Type": content_type})
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have said why before it stopped reading
            response = connection.getresponse()
            if not response.status < HTTPStatus.MULTIPLE_CHOICES:
                raise _refusal(response)

    def over_ftp() -> None:
        with closing(_ftp(parts, trust or Trust())) as client:
            try:
                client.storbinary(
                    f"STOR {unquote(directory)}{name}", io.BytesIO(content), CHUNK_BYTES
                )
            except (BrokenPipeError, ConnectionResetError):
                client.voidresp()  # raises, if it says why it stopped reading
                raise

    _attempt(parts, over_http=over_http, over_ftp=over_ftp)
    return MovedFile(name, len(content), hashlib.sha256(content).hexdigest())


def patiently(one_try: Callable[[], T], attempts: int, pause_s: float) -> T:
    """The result of the first try that does not fail, each in a thread of those all charge points
    share; the greenlet that waits holds up nobody. Raises what the last one did: TransferFailed."""
    while True:
        result: T | TransferFailed = _threads().apply(_caught, (one_try,))
        if not isinstance(result, TransferFailed):
            return result
        attempts -= 1
        if attempts < 1 or isinstance(result, TransferRefused):
            raise result
        gevent.sleep(pause_s)


@cache
def _threads() -> ThreadPool:
    # Made when a file moves first: most processes never need one.
    return ThreadPool(THREADS)


def _caught(one_try: Callable[[], T]) -> T | TransferFailed:
    # The pool would print what is raised there.
    try:
        return one_try()
    except TransferFailed as problem:
        return problem


def _split(location: str) -> SplitResult:
    try:
        return urlsplit(location)
    except ValueError as problem:
        raise SchemeUnknown(f"{location!r} is no address") from problem


def _attempt(
    parts: SplitResult, *, over_http: Callable[[], None], over_ftp: Callable[[], None]
) -> None:
    if parts.hostname is None or parts.scheme not in {"http", "https", "ftp", "ftps"}:
        raise SchemeUnknown(f"nothing is known of {parts.scheme or 'no scheme'}")
    try:
        if parts.scheme.startswith("http"):
            over_http()
        else:
            over_ftp()
    except ftplib.error_perm as problem:
        raise TransferRefused(str(problem)) from problem
    # ValueError: a name or a port that the protocol cannot express.
    except (OSError, EOFError, ValueError, ftplib.Error, http.client.HTTPException) as problem:
        raise TransferFailed(f"{type(problem).__name__}: {problem}") from problem


def _http(parts: SplitResult, trust: Trust) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=PATIENCE_S)
    context = trust.context()
    return http.client.HTTPSConnection(host, parts.port, timeout=PATIENCE_S, context=context)


def _target(parts: SplitResult) -> str:
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _refusal(response: http.client.HTTPResponse) -> TransferFailed:
    said = response.read(200).decode(errors="replace").strip()
    problem = f"HTTP {response.status}: {said}"
    if response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return TransferRefused(problem)
    return TransferFailed(problem)


def _form(name: str, content: bytes) -> tuple[bytes, str]:
    """multipart/form-data with the file as its one field."""
    boundary = uuid.uuid4().hex
    # As browsers do it (WHATWG HTML, 4.10.21.8).
    escaped = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{escaped}"\r\n'
        "Content-Type: text/plain\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _ftp(parts: SplitResult, trust: Trust) -> ftplib.FTP:
    """Logged in; data channels are encrypted where the control channel is (RFC 4217)."""
    client: ftplib.FTP
    if parts.scheme == "ftps":
        client = encrypted = ftplib.FTP_TLS(context=trust.context(), timeout=PATIENCE_S)  # noqa: S321
    else:
        client, encrypted = ftplib.FTP(timeout=PATIENCE_S), None  # noqa: S321
    try:
        client.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
        client.login(unquote(parts.username or ""), unquote(parts.password or ""))
        if encrypted is not None:
            encrypted.prot_p()
    except BaseException:
        client.close()
        raise
    return client
