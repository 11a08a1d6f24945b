"""One connection of a peer: its TLS handshake, its requests in time, its upgrade to a WebSocket.

Under pywsgi, with gevent-websocket's handler.
"""

import base64
import contextlib
import errno
import hashlib
import io
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from socket import IPPROTO_TCP, MSG_PEEK, SHUT_RD, SHUT_RDWR
from ssl import SSLContext, SSLWantReadError
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gevent import GreenletExit, Timeout, sleep
from gevent.pool import Pool
from gevent.pywsgi import (  # type: ignore[attr-defined]  # the stubs leave private names out
    Input,
    WSGIServer,
    _InvalidClientInput,
    _InvalidClientRequest,
)
from gevent.ssl import SSLSocket
from geventwebsocket.handler import WebSocketHandler

from csms.domain.client_certificates import PresentedCertificate, read_passed_on
from csms.transport.listeners import Listener
from csms.transport.tls import describe_failure
from csms.transport.tls_channel import TLSChannel
from csms.transport.upgrade import (
    Admission,
    Refusal,
    UpgradeRequest,
    come_back_later,
    handshake_refusal,
    remote_address_of,
)
from csms.transport.websocket import WebSocket

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from csms.transport.server import Server

log = logging.getLogger("csms.transport")

MAX_HEAD_BYTES = 32_768
"""Of all headers together; http.client alone would take 100 lines of 64 KiB."""

# What the application would believe.
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO")
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS
_CHUNK_BYTES = 65_536
# With 60 s for each a modem of 2.2 kbit/s is fast enough.
_PATIENT_BYTES = 16_384
_BODY_RATE_BYTES = 1_048_576
# One that sends a body in chunks of a byte has the processor busy for some ms with so much.
_TURN_BYTES = 16_384
_ACCEPT_PAUSE_S = 0.5
_LENGTH = re.compile(r"[0-9]{1,18}")
# How much of a request is read on after an answer that ends the connection.
_LINGER_BYTES = 1_048_576
_LINGER_S = 2.0
_SERVICE_RESTART = 1012


class HTTPServer(WSGIServer):
    """pywsgi, quiet about what peers do wrong."""

    logger = log  # WebSocketHandler would make one of its own
    scheme = "http"

    def __init__(
        self, front: "Server", listener: Listener, application: "WSGIApplication", pool: Pool
    ) -> None:
        host = str(listener.socket.getsockname()[0])
        super().__init__(
            listener.socket,
            application,
            spawn=pool,
            log=None,
            error_log=log,
            handler_class=_Handler,
            # Otherwise pywsgi asks the DNS at start.
            environ={"SERVER_NAME": host, "wsgi.url_scheme": self.scheme},
        )
        self.front = front
        self.context = listener.context

    def do_read(self) -> Any:
        try:
            return super().do_read()
        except ConnectionAbortedError:
            return None
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            log.error("no file descriptor left to accept a connection")
            self.stop_accepting()
            timer: Any = self.loop.timer(_ACCEPT_PAUSE_S)
            timer.start(self._accept_again)
            self._timer = timer
            return None

    def _accept_again(self) -> None:
        if self.started:
            self.start_accepting()


class HTTPSServer(HTTPServer):
    """The same behind TLS. A handshake takes place in the greenlet of its connection, so that a
    slow one keeps nobody waiting; it has as long as the head of a request."""

    scheme = "https"

    def handle(self, sock: Any, address: Any) -> None:
        front = self.front
        if front.draining:
            return
        shaking = _Handshake(sock)
        front.waiting.add(shaking)
        try:
            secured = self._shake_hands(shaking, address)
        finally:
            front.waiting.discard(shaking)
        if secured is None:
            return
        try:
            super().handle(secured, address)
        finally:
            secured.close()

    def _shake_hands(self, shaking: "_Handshake", address: Any) -> SSLSocket | None:
        assert self.context is not None  # noqa: S101  # Server chose this class for it
        front = self.front
        try:
            with Timeout(front.limits.header_timeout_s, TimeoutError):
                return shaking.shake_hands(self.context())
        except OSError as error:
            if not front.draining:
                front.on_handshake_failed(_address_of(address), describe_failure(error))
        return None


class _Handshake:
    """A TLS handshake under way."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock

    def shake_hands(self, context: SSLContext) -> SSLSocket | None:
        """None where the peer left without a word, as those do who only try the port.

        Raises OSError.
        """
        try:
            if not self._socket.recv(1, MSG_PEEK):
                return None
        except ConnectionError:
            return None
        self._socket = secured = context.wrap_socket(
            self._socket, server_side=True, do_handshake_on_connect=False
        )
        try:
            secured.do_handshake()
            if _QUICKACK is not None:
                # Acknowledge its last message at once: many clients wait for that with their
                # request, and we have nothing to say that would carry it.
                secured.setsockopt(IPPROTO_TCP, _QUICKACK, 1)
        except BaseException:
            secured.close()
            raise
        return secured

    def hang_up(self) -> None:
        try:
            self._socket._sock.shutdown(SHUT_RDWR)
        except OSError:
            pass  # the peer was quicker


class _InTurns(socket.SocketIO):
    """What a peer sends, as pywsgi reads it. A socket that has something to read never lets others
    have their turn by itself, and a fast peer has always sent more."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock, "r")
        sock._io_refs += 1  # as makefile does
        self._taken = 0

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self._taken += count or 0
        if self._taken >= _TURN_BYTES:
            self._taken = 0
            sleep(0)
        return count


class _Head:
    """Reads header lines, up to MAX_HEAD_BYTES of them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = MAX_HEAD_BYTES

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise _InvalidClientRequest("request head too large")
        return line


class _Body(Input):
    """A request body that has to arrive in time, whoever reads it."""

    __slots__ = ("_is_last", "_patience_s", "_started_at", "_timeout_s")

    def __init__(self, source: Input, timeout_s: float) -> None:
        super().__init__(source.rfile, source.content_length, source.socket, source.chunked_input)
        self._timeout_s = timeout_s
        self._started_at = 0.0
        self._patience_s = 0.0
        self._is_last = False

    def be_patient(self, patience_s: float) -> None:
        """From here on reads are short, and each has so long."""
        self._patience_s = patience_s

    def end_after_answer(self) -> None:
        """No further request is read from this connection."""
        self._is_last = True

    def read(self, length: int | None = None) -> bytes:
        if self._patience_s:
            if length is None or length < 0:
                return b"".join(iter(lambda: self.read(_PATIENT_BYTES), b""))
            length = min(length, _PATIENT_BYTES)
        with self._deadline():
            data: bytes = super().read(length)
        return data

    def readline(self, size: int | None = None) -> bytes:
        with self._deadline():
            line: bytes = super().readline(size)
        return line

    def _discard(self) -> None:
        """pywsgi's: what the application has not read must not be taken for the next request."""
        if not self._is_last:
            super()._discard()  # type: ignore[misc]  # private names again
            return
        if self.socket is not None:
            return  # it waits to be told to send its body, and was told something else
        # To close at once would take the answer from a client that is still sending.
        self.send_100_continue_enabled = False
        left = _LINGER_BYTES
        try:
            with Timeout(_LINGER_S, False):  # type: ignore[arg-type]  # False: it ends in silence
                while left > 0 and (chunk := self.read(_PATIENT_BYTES)):
                    left -= len(chunk)
        except OSError:
            pass  # the peer was quicker

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[None]:
        if not self.content_length and not self.chunked_input:
            yield
            return
        deadline = Timeout(self._patience_s or self._left_s())
        try:
            with deadline:
                yield
        except Timeout as passed:
            if passed is not deadline:
                raise
            raise _InvalidClientInput("request body too slow") from None
        except _InvalidClientInput:
            raise
        except OSError as error:
            raise _InvalidClientInput(f"request body cut short: {error}") from None

    def _left_s(self) -> float:
        now = time.monotonic()
        self._started_at = self._started_at or now
        allowed_s = self._timeout_s * (1 + self.position // _BODY_RATE_BYTES)
        return max(self._started_at + allowed_s - now, 0.001)


class _NoBody:
    """Stands in for the body of a request that has become a WebSocket."""

    def _discard(self) -> None:
        """Nothing to discard; pywsgi asks."""


class _Handler(WebSocketHandler):  # type: ignore[misc]  # the package has no types
    """One connection; gevent-websocket's order of events, our handshake and our WebSocket."""

    server: HTTPServer
    ignored_socket_errors = (
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
    )
    # pywsgi's, whose types change in the course of a request:
    socket: Any
    rfile: Any
    environ: Any
    wsgi_input: Any
    close_connection: bool
    websocket: WebSocket
    _place: str | None = None
    _is_patient = False
    _is_told_twice = False
    _serve: Callable[[WebSocket], None]

    def __init__(self, sock: Any, address: Any, server: HTTPServer) -> None:
        super().__init__(sock, address, server, io.BufferedReader(_InTurns(sock)))

    # -- the head of a request, in time

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            pass  # the peer left while it was told what it did wrong

    def handle_one_request(self) -> Any:
        self._head_deadline = Timeout.start_new(self.server.front.limits.header_timeout_s)
        try:
            result = super().handle_one_request()
        except Timeout as passed:
            if passed is not self._head_deadline:
                raise
            result = None
        finally:
            self._head_deadline.close()
        if result is None and self._is_secured:
            TLSChannel(self.socket).say_goodbye()
        return result

    def read_requestline(self) -> str:
        front = self.server.front
        if front.draining:
            return ""
        front.waiting.add(self)
        try:
            line: str = super().read_requestline()
        finally:
            front.waiting.discard(self)
        return line

    def hang_up(self) -> None:
        """A request that has arrived is still read; after it the connection seems closed."""
        try:
            self.socket._sock.shutdown(SHUT_RD)
        except OSError:
            pass  # it is closed already

    def MessageClass(self, stream: Any, *args: Any) -> Any:  # pywsgi's name
        headers = super().MessageClass(_Head(stream), *args)
        self._is_told_twice = _is_length_told_twice(headers)
        return headers

    def read_request(self, raw_requestline: str) -> Any:
        read = super().read_request(raw_requestline)
        self._head_deadline.close()
        if self._is_told_twice:
            self.close_connection = True  # whatever a proxy takes for the end of the body
        return read

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        if not self.server.front.proxies.believed(self._peer()):
            for name in _FORWARDED:
                environ.pop(name, None)
        self.wsgi_input = _Body(self.wsgi_input, self.server.front.limits.body_timeout_s)
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        self._is_patient = False
        environ["csms.be_patient"] = self._be_patient
        return environ

    def _be_patient(self) -> None:
        """For an application whose caller has shown who it is, and may have a slow modem."""
        self._is_patient = True
        self.wsgi_input.be_patient(self.server.front.limits.patience_s)
        if _NOTSENT_LOWAT is not None:
            # Otherwise a full buffer of the kernel, which takes minutes to empty, looks like a
            # peer that reads nothing.
            self.socket.setsockopt(IPPROTO_TCP, _NOTSENT_LOWAT, _PATIENT_BYTES)

    def start_response(self, *args: Any, **kwargs: Any) -> Any:
        write = super().start_response(*args, **kwargs)
        if self.close_connection:
            self.wsgi_input.end_after_answer()
        return write

    # -- the answer, in time

    def finalize_headers(self) -> None:
        if self.server.front.draining and not self.close_connection:
            self.close_connection = True
            self.response_headers.append((b"Connection", b"close"))
        super().finalize_headers()

    def _sendall(self, data: bytes) -> None:
        view = memoryview(data)
        limits = self.server.front.limits
        size, deadline_s = _CHUNK_BYTES, limits.send_deadline_s
        if self._is_patient:
            size, deadline_s = _PATIENT_BYTES, limits.patience_s
        for start in range(0, len(view), size):
            deadline = Timeout(deadline_s)
            try:
                with deadline:
                    super()._sendall(view[start : start + size])
            except Timeout as passed:
                if passed is not deadline:
                    raise
                raise TimeoutError(errno.ETIMEDOUT, "the client does not read") from None

    # -- what is worth a line in the log

    def log_request(self) -> None:
        """No access log: the platform's router keeps one."""

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        problem = str(ex)[:200] or type(ex).__name__
        log.warning(
            "bad request", extra={"remote_address": self._peer(), "problem": ascii(problem)}
        )
        refusal = Refusal(400, "Bad request.")
        if isinstance(ex, _InvalidClientRequest) and "too large" in problem:
            refusal = Refusal(431, "Request head too large.")
        self.server.front.on_refused(None, refusal)
        status = HTTPStatus(refusal.status)
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        return str(status.value), head.encode() + b"Connection: close\r\nContent-Length: 0\r\n\r\n"

    def _log_error(
        self, t: type[BaseException], v: BaseException, tb: TracebackType | None
    ) -> None:
        if not issubclass(t, GreenletExit):
            log.error("request failed", exc_info=(t, v, tb))

    def _peer(self) -> str:
        return _address_of(self.client_address)

    # -- from request to WebSocket; WebSocketHandler.run_application calls both hooks

    def run_application(self) -> None:
        try:
            super().run_application()
        finally:
            if self._place is not None:
                self.server.front.places.leave(self._place)
                self._place = None

    def upgrade_websocket(self) -> list[bytes] | None:
        """None: for the application, or 101 is due; else the body of a refusal."""
        headers = self._lower_case_headers()
        if "websocket" not in _tokens(headers.get("upgrade", "")):
            return None
        request = self._upgrade_request(headers)
        decision = self._decide(request)
        if isinstance(decision, Refusal):
            return self._refuse(decision)
        self._serve = decision.serve
        self._accept(request, decision.subprotocol)
        return None

    def _lower_case_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            text = " ".join(value.split("\r\n")).strip()
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        return headers

    def _upgrade_request(self, headers: dict[str, str]) -> UpgradeRequest:
        path, _, query = self.path.partition("?")
        trusted = self.server.front.proxies.believed(self._peer())
        protocol = headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower()
        return UpgradeRequest(
            path=path,
            query=query,
            headers=headers,
            remote_address=remote_address_of(self._peer(), headers, trusted),
            secure=protocol == "https" if trusted and protocol else self._is_secured,
            client_certificate=self._client_certificate(),
        )

    @property
    def _is_secured(self) -> bool:
        return isinstance(self.socket, SSLSocket)

    def _client_certificate(self) -> PresentedCertificate | None:
        """That of the TLS handshake, whose path OpenSSL has verified; where a proxy passes such
        certificates on, what it says, since the handshake was with the proxy."""
        proxies = self.server.front.proxies
        if proxies.passes_certificates(self._peer()):
            said: list[str] = self.headers.get_all(proxies.certificate_header) or []
            # Said twice, one of them may be the client's own invention.
            return read_passed_on(said[0]) if len(said) == 1 else None
        der = self.socket.getpeercert(binary_form=True) if self._is_secured else None
        return PresentedCertificate((der,), path_verified=True) if der else None

    def _decide(self, request: UpgradeRequest) -> Refusal | Admission:
        front = self.server.front
        refusal = self._refuse_unasked(request)
        if refusal is None:
            decision = front.door(request)
            if isinstance(decision, Refusal) or not front.draining:
                return decision
            refusal = come_back_later(503, "Restarting.")
        front.on_refused(request, refusal)
        return refusal

    def _refuse_unasked(self, request: UpgradeRequest) -> Refusal | None:
        """Why the door is not even asked; None: a place is taken."""
        front = self.server.front
        refusal = handshake_refusal(self.command, self.request_version, request.headers)
        if refusal is not None:
            return refusal
        if front.draining:
            return come_back_later(503, "Restarting.")
        refusal = front.places.take(request.remote_address)
        if refusal is None:
            self._place = request.remote_address
        return refusal

    def _refuse(self, refusal: Refusal) -> list[bytes]:
        body = (refusal.reason + "\n").encode()
        status = HTTPStatus(refusal.status)
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *refusal.headers,
        ]
        self.start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _accept(self, request: UpgradeRequest, subprotocol: str | None) -> None:
        limits = self.server.front.limits
        key = request.headers["sec-websocket-key"]
        digest = hashlib.sha1((key + self.GUID).encode(), usedforsecurity=False).digest()
        headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", base64.b64encode(digest).decode()),
        ]
        if subprotocol is not None:
            headers.append(("Sec-WebSocket-Protocol", subprotocol))
        self.websocket = WebSocket(
            self.socket,
            max_message_bytes=limits.max_message_bytes,
            received=self._take_received(),
            subprotocol=subprotocol,
            remote_address=request.remote_address,
            send_deadline_s=limits.send_deadline_s,
            ping_interval_s=limits.ping_interval_s,
        )
        self.environ["wsgi.websocket"] = self.websocket  # WebSocketHandler: no body, no date
        self.start_response("101 Switching Protocols", headers)

    def _take_received(self) -> bytes:
        """What came right behind the request; peek() would wait for more on a blocking socket."""
        self.socket.setblocking(False)
        try:
            received: bytes = self.rfile.peek()
            while self._is_secured and self.socket.pending():
                # Decrypted with the same record: no event of the socket will tell of it.
                received += self.socket.recv(self.socket.pending())
        except SSLWantReadError:
            return b""
        finally:
            self.socket.setblocking(True)
        return received

    def run_websocket(self) -> None:
        front, ws, serve = self.server.front, self.websocket, self._serve
        self._let_go()
        front.websockets.add(ws)
        if front.draining:
            ws.retire(_SERVICE_RESTART, "service restart")
        try:
            serve(ws)
        except Exception:  # the edge: our own bug must still end the connection properly
            log.exception("serving a websocket failed")
            ws.close(1011, "internal error")
        finally:
            ws.close()
            front.websockets.discard(ws)
            ws.release()

    def _let_go(self) -> None:
        """The connection may stay for months: keep nothing of the request for so long."""
        self.rfile.close()
        self.wsgi_input = _NoBody()
        self.environ = self.application = self.result = None
        for name in ("headers", "response_headers", "websocket", "_serve", "socket"):
            self.__dict__.pop(name, None)
        self.socket = None  # it is the WebSocket's now


def _is_length_told_twice(headers: Any) -> bool:
    """As length and as chunks. Where a proxy might find another end of the body than we do, what it
    passes on as a body would be a request here: raises _InvalidClientRequest (RFC 9112, 6.3)."""
    lengths: list[str] = headers.get_all("Content-Length") or []
    codings: list[str] = headers.get_all("Transfer-Encoding") or []
    if any(not _LENGTH.fullmatch(length) for length in lengths) or len(set(lengths)) > 1:
        raise _InvalidClientRequest("odd Content-Length")
    if codings and [coding.lower() for coding in codings] != ["chunked"]:
        raise _InvalidClientRequest("odd Transfer-Encoding")
    return bool(lengths and codings)


def _address_of(address: Any) -> str:
    return str(address[0]) if isinstance(address, tuple) and address else ""


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]
