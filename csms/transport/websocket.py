"""One open WebSocket on a gevent socket, safe for several greenlets."""

import time
from collections.abc import Iterable
from socket import MSG_PEEK, SHUT_RDWR, SHUT_WR, SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Any, Final

import gevent
from gevent import Timeout
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.socket import wait_read
from gevent.ssl import SSLSocket

from csms.transport.tls_channel import TLSChannel
from csms.transport.websocket_codec import (
    Close,
    Decoder,
    Ping,
    ProtocolViolation,
    encode_close,
    encode_ping,
    encode_pong,
    encode_text,
)

ABNORMAL: Final = 1006
"""The code for a connection that ended without a close frame (RFC 6455, 7.1.5)."""

CLOSE_DEADLINE_S = 2.0
"""For the whole closing handshake and the lingering after it."""

_PROGRESS_BYTES = 65_536
"""A peer has one send deadline to take each of these many bytes of a frame."""

_RECV_BYTES = 65_536
_OPEN, _CLOSING, _CLOSED = 0, 1, 2
_EMPTY_PING = encode_ping()
_RESET_ON_CLOSE = pack("ii", 1, 0)


class ConnectionClosed(Exception):
    """The frame was not, or not wholly, sent; code and reason say how the socket ended."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class _Woken(Exception):
    """Thrown into the greenlet that waits in receive(), to make it look at the state again."""


class WebSocket:
    """One greenlet receives; any greenlet may send, ping, close, retire or abort.

    close_code and close_reason tell what ended the connection first: the peer's close frame,
    ours, or 1006 with the reason in plain words. They are None and "" while it is open.
    `opened_at` and `last_received_at` are seconds of time.monotonic().
    """

    __slots__ = (
        "__weakref__",
        "_close_sent",
        "_closing",
        "_decoder",
        "_hub",
        "_phase",
        "_pinged_at",
        "_raw",
        "_retired",
        "_secured",
        "_send_deadline_s",
        "_socket",
        "_turn",
        "close_code",
        "close_reason",
        "last_received_at",
        "opened_at",
        "ping_interval_s",
        "remote_address",
        "subprotocol",
    )

    def __init__(
        self,
        socket: Any,
        *,
        max_message_bytes: int,
        received: bytes = b"",
        subprotocol: str | None = None,
        remote_address: str = "",
        send_deadline_s: float = 10.0,
        ping_interval_s: float = 25.0,
    ) -> None:
        """socket: a connected gevent socket whose handshakes are done; it belongs to us now.

        received: what came right behind the handshake request.
        ping_interval_s: 0 leaves a silent peer alone.
        """
        # gevent's own socket methods would try first and wait after the error; its parts are
        # used instead, which saves a failing system call and an exception per frame.
        self._socket = socket
        self._secured = isinstance(socket, SSLSocket)
        self._raw: Any = TLSChannel(socket) if self._secured else socket._sock
        self._hub = socket.hub
        self._decoder = Decoder(max_message_bytes)
        if received:
            self._decoder.feed(received)
        self._send_deadline_s = send_deadline_s
        self._phase = _OPEN
        self._retired = False
        self._close_sent = False
        self._closing: Event | None = None
        # Made only when a send has to wait for room: most sockets never need one.
        self._turn: BoundedSemaphore | None = None
        self.subprotocol = subprotocol
        self.remote_address = remote_address
        self.ping_interval_s = ping_interval_s
        self.close_code: int | None = None
        self.close_reason = ""
        self.opened_at = self.last_received_at = self._pinged_at = time.monotonic()

    @property
    def max_message_bytes(self) -> int:
        """May be set at any time; holds from the next frame on."""
        return self._decoder.max_message_bytes

    @max_message_bytes.setter
    def max_message_bytes(self, limit: int) -> None:
        self._decoder.max_message_bytes = limit

    @property
    def is_open(self) -> bool:
        """False as soon as nothing more can be sent."""
        return self._phase == _OPEN

    def receive(self) -> str | bytes | None:
        """The next whole message, None when the connection is closed or retired.

        Answers pings and the peer's close frame; closes when the peer breaks the protocol.
        """
        decoder = self._decoder
        data = b""
        while self._phase == _OPEN and not self._retired:
            try:
                event = decoder.next_event(data)
                data = b""
                if event is None:
                    data = self._more()
                    continue
                kind = type(event)
                if kind is str or kind is bytes:
                    return event  # type: ignore[return-value]  # narrowed by identity: faster
                self._answer(event)
            except ProtocolViolation as violation:
                self.close(violation.code, violation.reason)
            except (ConnectionClosed, _Woken):
                pass  # the state tells
            except OSError:
                self._lose()
        return None

    def _more(self) -> bytes:
        # Waiting comes first: after an answer there is hardly ever a frame already there.
        self._hub.wait(self._socket._read_event)
        if self._phase != _OPEN:
            return b""
        try:
            data: bytes = self._raw.recv(_RECV_BYTES)
        except BlockingIOError:
            return b""  # TLS: a record that has not arrived in full
        if not data:
            self._lose()
        self.last_received_at = time.monotonic()
        return data

    def _answer(self, event: object) -> None:
        if isinstance(event, Ping):
            self._write(encode_pong(event.payload))
        elif isinstance(event, Close):
            self._ended(event.code, event.reason)
            self._phase = _CLOSING
            with Timeout(CLOSE_DEADLINE_S, False):  # type: ignore[arg-type]  # False: silent
                self._write(encode_close(event.code), closes=True)
        # A Pong has done its work by arriving.

    def send(self, text: str | bytes) -> None:
        """Sends one text message, whole; bytes are text in UTF-8 already.

        Waits while the peer reads slowly; raises ConnectionClosed when the connection is
        closed, or is cut because 64 KiB were not taken within the send deadline.
        """
        frame = encode_text(text.encode() if isinstance(text, str) else text)
        # The same as _write, spelled out: this is the path of every frame.
        if self._turn is None and self._phase == _OPEN:
            try:
                sent = self._raw.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise self._lost() from error
            if sent != len(frame):
                self._take_free_turn()
                self._write_rest(frame, sent)
        else:
            self._write(frame)

    def ping(self, payload: bytes = b"") -> None:
        """Waits and raises as send() does."""
        self._write(encode_ping(payload))

    def _write(self, frame: bytes, closes: bool = False) -> None:
        """One whole frame in its turn; closes: it is the close frame, the last of all."""
        if self._turn is not None:
            self._turn.acquire()
        else:
            self._take_free_turn()
        if self._close_sent or self._phase == _CLOSED or (self._phase and not closes):
            self._leave_turn()
            raise ConnectionClosed(self.close_code or ABNORMAL, self.close_reason)
        self._close_sent = closes
        self._write_rest(frame, 0)

    def _take_free_turn(self) -> None:
        self._turn = BoundedSemaphore(1)
        self._turn.acquire()

    def _leave_turn(self) -> None:
        turn = self._turn
        if turn is not None:
            turn.release()
            if not turn.linkcount():
                self._turn = None

    def _write_rest(self, frame: bytes, sent: int) -> None:
        """Called with the turn taken; leaves it. A frame that can't be finished ends the link."""
        rest = memoryview(frame)[sent:]
        try:
            while rest:
                with Timeout(self._send_deadline_s) as deadline:
                    rest = self._write_some(rest)
        except Timeout as passed:
            if passed is deadline:
                self.abort("send deadline passed")
                raise ConnectionClosed(ABNORMAL, self.close_reason) from None
            self._cut_unless_whole(frame, rest)
            raise
        except OSError as error:
            raise self._lost() from error
        except BaseException:
            self._cut_unless_whole(frame, rest)
            raise
        finally:
            self._leave_turn()

    def _write_some(self, rest: memoryview) -> memoryview:
        """Up to _PROGRESS_BYTES, waiting for room; returns what is left."""
        goal = max(len(rest) - _PROGRESS_BYTES, 0)
        while len(rest) > goal:
            try:
                rest = rest[self._raw.send(rest) :]
            except BlockingIOError:
                self._hub.wait(self._socket._write_event)
        return rest

    def _cut_unless_whole(self, frame: bytes, rest: memoryview) -> None:
        # The sender was killed or timed out by its caller: half a frame garbles all that follow.
        # What TLS has begun to write it must write before anything else, even the first bytes.
        if 0 < len(rest) < len(frame) + self._secured:
            self.abort("sender stopped within a frame")

    def _lose(self) -> None:
        self._ended(ABNORMAL, "connection lost")
        self._shut_down()

    def _lost(self) -> ConnectionClosed:
        self._lose()
        return ConnectionClosed(self.close_code or ABNORMAL, self.close_reason)

    def _ended(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason

    def retire(self, code: int, reason: str = "") -> None:
        """Ends the connection at the next quiet moment, and returns at once.

        receive() gives no further message, not even one that has arrived; the one in hand
        may still be answered; then whoever serves the socket returns and it is closed.
        """
        if self._phase == _OPEN and not self._retired:
            self._retired = True
            self._ended(code, reason)
            self._wake_receiver()

    def _wake_receiver(self) -> None:
        self._hub.cancel_wait(self._socket._read_event, _Woken)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Sends the close frame after the sends under way, and waits for the peer's.

        Takes CLOSE_DEADLINE_S at most; may be called again, by any greenlet, and returns when
        the connection is closed. Never raises. After retire() its code and reason hold.
        """
        if self._closing is not None:
            self._closing.wait(CLOSE_DEADLINE_S + 1.0)
            return
        self._closing = Event()
        try:
            with Timeout(CLOSE_DEADLINE_S, False):  # type: ignore[arg-type]  # False: silent
                self._shake_hands(code, reason)
        except (ConnectionClosed, ProtocolViolation, OSError):
            pass  # what follows is all that is left to do
        finally:
            self._shut_down()
            self._closing.set()

    def _shake_hands(self, code: int, reason: str) -> None:
        if self._phase == _CLOSED:
            return
        if self._phase == _OPEN:
            if not self._retired:
                self._ended(code, reason)
            self._phase = _CLOSING
            # From here on this greenlet reads, and drops what it reads.
            self._wake_receiver()
            self._write(encode_close(self.close_code or code, self.close_reason), closes=True)
            data = b"more"
            while data and not self._decoder.finished:
                data = self._read_when_ready()
                self._drop(data)
        self._raw.shutdown(SHUT_WR)
        # Lingers: closing with unread bytes would reset, and could overtake our close frame.
        while self._read_when_ready():
            pass

    def _read_when_ready(self) -> bytes:
        # A watcher of its own: the receiver may not have left the other one yet.
        while True:
            wait_read(self._raw.fileno())
            try:
                data: bytes = self._raw.recv(_RECV_BYTES)
            except BlockingIOError:
                continue
            return data

    def _drop(self, data: bytes) -> None:
        event = self._decoder.next_event(data)
        while event is not None:
            event = self._decoder.next_event()

    def abort(self, reason: str = "aborted") -> None:
        """Cuts the connection without a handshake; returns at once and never raises."""
        self._ended(ABNORMAL, reason)
        if self._phase != _CLOSED:
            try:
                # Or the kernel would keep what a dead peer never takes.
                self._raw.setsockopt(SOL_SOCKET, SO_LINGER, _RESET_ON_CLOSE)
            except OSError:
                pass  # it is down already
            self._shut_down()

    def _shut_down(self) -> None:
        """Wakes every greenlet that waits on the socket; the descriptor stays valid for them."""
        if self._phase != _CLOSED:
            self._phase = _CLOSED
            self._ended(ABNORMAL, "closed")
            try:
                self._raw.shutdown(SHUT_RDWR)
            except OSError:
                pass  # the peer was quicker

    def release(self) -> None:
        """Gives the descriptor back; the last thing to do, by the greenlet that serves."""
        self._shut_down()
        self._socket.close()

    def nudge(self) -> None:
        """A ping that never waits; when there is no room another send's deadline decides."""
        if self._phase == _OPEN and self._turn is None:
            try:
                sent = self._raw.send(_EMPTY_PING)
            except BlockingIOError:
                if self._secured:
                    # TLS has begun to write it, so that nobody may write anything else before.
                    self._take_free_turn()
                    gevent.spawn(self._finish_nudge)
                return
            except OSError:
                sent = 0
            if sent != len(_EMPTY_PING):
                self._lose()

    def _finish_nudge(self) -> None:
        try:
            self._write_rest(_EMPTY_PING, 0)
        except ConnectionClosed:
            pass  # whoever receives or sends is told

    def has_unread_bytes(self) -> bool:
        """Whether something, or the end, has arrived that receive() has not come to yet."""
        try:
            self._raw.recv(1, MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def sweep(websockets: Iterable[WebSocket], now: float) -> None:
    """Pings who was silent for one ping interval, cuts who was for two; now: monotonic.

    One walk over all sockets costs 1 ms for 10,000; a time-out per recv 28 µs for every frame.
    """
    for ws in list(websockets):
        interval_s = ws.ping_interval_s
        silence_s = now - ws.last_received_at
        if interval_s <= 0 or silence_s < interval_s:
            continue
        if silence_s >= 2 * interval_s:
            # A busy or stopped process reads late: what waits in the kernel is a sign of life.
            if not ws.has_unread_bytes():
                ws.abort("no sign of life")
        elif now - ws._pinged_at >= interval_s:
            ws._pinged_at = now
            ws.nudge()
