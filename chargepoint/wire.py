"""A WebSocket client link over a gevent socket: what a charge point's modem is.

The framing is the sans-I/O `websockets.client.ClientProtocol`, on purpose another codec than
the server's: two ends that share one misunderstanding would agree with each other. No name of
the standard library is patched; every wait goes through gevent explicitly.
"""

import base64
import ipaddress
import socket as plain_socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

import gevent
import gevent.ssl
from gevent import socket
from gevent.lock import Semaphore
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

SEND_DEADLINE_S = 30.0
CLOSE_DEADLINE_S = 3.0
READ_BYTES = 65_536


class LinkLost(Exception):
    """There is no link, or it ended before what was asked of it was done."""


class Refused(Exception):
    """The server answered the handshake with something else than 101."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


class Link:
    """One open WebSocket; one greenlet may receive while any number send."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self._sock = sock
        self._protocol = protocol
        self._writing = Semaphore(1)
        self._messages: deque[str] = deque()
        self._fragments: list[bytes] = []
        self._halted = False
        self._dropping: gevent.Greenlet[[], None] | None = None
        self.is_open = True
        self.response_headers: Mapping[str, str] = {}  # of the 101, names as sent

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        authorization: bytes | None = None,
        subprotocols: Sequence[str] = ("ocpp1.6",),
        subprotocol_separator: str = ", ",
        timeout_s: float = 10.0,
        headers: Mapping[str, str] | None = None,
        ssl_context: gevent.ssl.SSLContext | None = None,
        over: socket.socket | None = None,
    ) -> "Link":
        """Open `url`, whose last path segment is the percent-encoded identity.

        `authorization` is the password of HTTP Basic as bytes, the user is the identity
        (OCPP-J 1.6, 6.2.2). `over`: one of open_tls() to use; it is closed where this
        fails. Raises Refused for any status but 101, LinkLost for the rest: no route, no answer
        within `timeout_s`, a broken handshake.
        """
        uri = _uri(url)
        with gevent.Timeout(timeout_s, LinkLost(f"no handshake within {timeout_s} s")):
            sock = over or _open_socket(uri, ssl_context)
            try:
                protocol = ClientProtocol(
                    uri, subprotocols=[Subprotocol(name) for name in subprotocols] or None
                )
                link = cls(sock, protocol)
                link._shake_hands(_basic(uri, authorization), headers or {}, subprotocol_separator)
            except OSError as error:
                sock.close()
                raise LinkLost(str(error)) from error
            except BaseException:
                sock.close()
                raise
        return link

    @property
    def subprotocol(self) -> str | None:
        """The version agreed in the handshake."""
        return self._protocol.subprotocol

    @property
    def close_code(self) -> int | None:
        """Code the peer closed with; 1006 for a cut link; None while it is open."""
        return self._protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """Reason the peer closed with, None while the link is open."""
        return self._protocol.close_reason

    def send(self, text: str) -> None:
        """Write one text message, whole. Raises LinkLost."""
        if not self.is_open or self._protocol.state is not State.OPEN:
            raise LinkLost("the link is closed")
        self._protocol.send_text(text.encode())
        self._flush()

    def ping(self) -> None:
        """Send a WebSocket ping; the pong is swallowed by `receive`. Raises LinkLost."""
        if not self.is_open or self._protocol.state is not State.OPEN:
            raise LinkLost("the link is closed")
        self._protocol.send_ping(b"")
        self._flush()

    def receive(self) -> str | None:
        """The next text message; None once the link has ended. Pings are answered here."""
        while not self._messages:
            chunk = self._read()
            if not chunk:
                self._drop()
                return None
            self._protocol.receive_data(chunk)
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._take(event)
            try:
                self._flush()
            except LinkLost:
                continue
            if self._protocol.close_expected():
                self._drop_soon()
        return self._messages.popleft()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake; the socket goes when the peer has answered, or soon."""
        if not self.is_open or self._protocol.state is not State.OPEN:
            return
        self._protocol.send_close(code, reason)
        try:
            self._flush()
        except LinkLost:
            return
        self._drop_soon()

    def abort(self) -> None:
        """Cut the link with a TCP reset: nothing is said, nothing more is delivered."""
        if self.is_open:
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # the peer was faster
            self._drop()

    def stop_reading(self) -> None:
        """Leave everything that arrives from now on unread: a peer that hangs, link up."""
        self._halted = True

    def _shake_hands(
        self, authorization: str | None, headers: Mapping[str, str], separator: str
    ) -> None:
        request = self._protocol.connect()
        if self._protocol.available_subprotocols:
            del request.headers["Sec-WebSocket-Protocol"]
            offered = separator.join(self._protocol.available_subprotocols)
            request.headers["Sec-WebSocket-Protocol"] = offered
        if authorization is not None:
            request.headers["Authorization"] = authorization
        for name, value in headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()
        while True:
            chunk = self._sock.recv(READ_BYTES)
            if chunk:
                self._protocol.receive_data(chunk)
            else:
                self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Response):
                    self._judge(event)
                elif isinstance(event, Frame):
                    self._take(event)  # sent in one packet with the 101
            if self._protocol.state is not State.CONNECTING:
                return self._flush()
            if self._protocol.handshake_exc is not None or not chunk:
                raise LinkLost(f"broken handshake: {self._protocol.handshake_exc}")

    def _judge(self, response: Response) -> None:
        if response.status_code != 101:
            headers = dict(response.headers.raw_items())
            raise Refused(response.status_code, headers, bytes(response.body or b""))
        self.response_headers = response.headers
        if isinstance(self._protocol.handshake_exc, InvalidHandshake):
            raise LinkLost(f"broken handshake: {self._protocol.handshake_exc}")

    def _read(self) -> bytes:
        try:
            chunk = self._sock.recv(READ_BYTES) if self.is_open else b""
        except OSError:
            chunk = b""
        while self._halted and self.is_open:
            gevent.sleep(0.1)
        return chunk if self.is_open else b""

    def _take(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        content, self._fragments = b"".join(self._fragments), []
        try:
            self._messages.append(content.decode())
        except UnicodeDecodeError:
            self._protocol.fail(1007, "text is not UTF-8")

    def _flush(self) -> None:
        # A frame is queued before the lock is asked for, so frames leave in the order queued,
        # and a sender that waited finds its frame already written by the one before.
        with self._writing:
            if not self.is_open:
                raise LinkLost("the link is closed")
            try:
                with gevent.Timeout(SEND_DEADLINE_S, TimeoutError("send deadline")):
                    for piece in self._protocol.data_to_send():
                        if piece:
                            self._sock.sendall(piece)
                        else:
                            self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:  # TimeoutError is one
                self._drop()
                raise LinkLost(str(error)) from error

    def _drop_soon(self) -> None:
        if self._dropping is None:
            self._dropping = gevent.spawn_later(CLOSE_DEADLINE_S, self._drop)

    def _drop(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        if self._dropping is not None and self._dropping is not gevent.getcurrent():
            self._dropping.kill(block=False)
        self._sock.close()
        try:
            self._protocol.receive_eof()
        except WebSocketException:
            pass  # only the state it leaves behind matters: close_code


def open_tls(
    url: str, ssl_context: gevent.ssl.SSLContext, timeout_s: float = 10.0
) -> gevent.ssl.SSLSocket:
    """The TLS handshake with a `wss` address, without a word of HTTP yet. Raises LinkLost."""
    with gevent.Timeout(timeout_s, LinkLost(f"no handshake within {timeout_s} s")):
        sock = _open_socket(_uri(url), ssl_context)
    if not isinstance(sock, gevent.ssl.SSLSocket):
        sock.close()
        raise ValueError(f"{url} is not for TLS")
    return sock


def client_context(
    ca_file: str | None = None, certificate_file: str | None = None, key_file: str | None = None
) -> gevent.ssl.SSLContext:
    """TLS 1.2 or later, the server's certificate checked; `certificate_file` for mutual TLS.

    Not `create_default_context`: in an unpatched process that makes a context whose sockets
    block every greenlet.
    """
    context = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = gevent.ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca_file)
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context


def _uri(url: str) -> WebSocketURI:
    try:
        return parse_uri(url)
    except InvalidURI as error:
        raise ValueError(str(error)) from error


def _basic(uri: WebSocketURI, password: bytes | None) -> str | None:
    if password is None:
        return None
    identity = unquote_to_bytes(uri.path.rsplit("/", 1)[-1])
    return "Basic " + base64.b64encode(identity + b":" + password).decode()


def _open_socket(uri: WebSocketURI, ssl_context: gevent.ssl.SSLContext | None) -> socket.socket:
    if ssl_context is not None and not isinstance(ssl_context, gevent.ssl.SSLContext):
        raise TypeError("a context of gevent.ssl is needed: one of ssl would block every greenlet")
    try:
        sock = _tcp(uri.host, uri.port)
    except OSError as error:
        raise LinkLost(str(error)) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not uri.secure:
        return sock
    try:
        secured: socket.socket = (ssl_context or client_context()).wrap_socket(
            sock, server_hostname=uri.host
        )
    except BaseException as error:  # the time-out of `connect` as well
        sock.close()
        if isinstance(error, OSError):
            raise LinkLost(str(error)) from error
        raise
    return secured


def _tcp(host: str, port: int) -> socket.socket:
    """Connect; an address needs no resolver, and so no thread of gevent's pool."""
    try:
        family = plain_socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else None
    except ValueError:
        return socket.create_connection((host, port))
    sock = socket.socket(family or plain_socket.AF_INET, plain_socket.SOCK_STREAM)
    try:
        sock.connect((host, port))
    except BaseException:  # the time-out of `connect` as well
        sock.close()
        raise
    return sock
