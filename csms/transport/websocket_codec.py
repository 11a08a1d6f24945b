"""Bytes to WebSocket events and back (RFC 6455, the server's side), without I/O."""

import codecs
from dataclasses import dataclass
from struct import Struct
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel with the C extension for this platform

    def apply_mask(data: bytes | bytearray | memoryview, mask: bytes | bytearray) -> bytes:
        """XOR in one integer operation: 8 times the C function, 1/16 of a Python loop."""
        size = len(data)
        repeated = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
INVALID_DATA: Final = 1007
MESSAGE_TOO_BIG: Final = 1009

MAX_FRAGMENTS = 1024
"""Per message: an endless row of empty fragments would pass every limit on bytes."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL_TEXT = 0x80 | _TEXT
_MASKED = 0x80
_MAX_CONTROL_BYTES = 125
# Section 7.4.1, and the codes registered with IANA since.
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))

_LENGTH_16 = Struct("!H")
_LENGTH_64 = Struct("!Q")
_TEXT_HEAD_16 = Struct("!BBH")
_TEXT_HEAD_64 = Struct("!BBQ")
_TEXT_HEADS = tuple(bytes((_FINAL_TEXT, size)) for size in range(126))
_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class ProtocolViolation(Exception):
    """The peer broke RFC 6455: close with this code and reason, nothing more can be read."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ping:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """code is 1005 when the frame carried none (section 7.1.5)."""

    code: int
    reason: str


Event = str | bytes | Ping | Pong | Close
"""A whole text message is a str, a whole binary one bytes."""


class Decoder:
    """Takes bytes as they arrive, gives whole messages and control frames.

    >>> decoder = Decoder(max_message_bytes=65_536)
    >>> event = decoder.next_event(received)
    >>> while event is not None:
    ...     event = decoder.next_event()

    The limit may change between two messages. After a `Close` or a `ProtocolViolation`
    whatever follows is dropped (sections 5.5.1 and 7.1.7).
    """

    __slots__ = (
        "_buffer",
        "_fragments",
        "_message_bytes",
        "_opcode",
        "_parts",
        "_position",
        "_utf8",
        "finished",
        "max_message_bytes",
    )

    def __init__(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self._buffer: bytes | bytearray = b""
        self._position = 0
        self.finished = False  # True: nothing more will come out, whatever arrives
        # The message whose fragments are arriving:
        self._opcode = 0
        self._fragments = 0
        self._message_bytes = 0
        self._parts: list[str] | list[bytes] = []
        self._utf8: codecs.IncrementalDecoder | None = None

    def next_event(self, data: bytes = b"") -> Event | None:
        """The next event in what has arrived, None when it takes more bytes.

        Raises ProtocolViolation, once, where RFC 6455 wants the connection failed.
        """
        if data:
            if self._position == len(self._buffer):
                # What nearly always happens: one whole short text message in one recv.
                size = len(data) - 6
                if (
                    size >= 0
                    and data[0] == _FINAL_TEXT
                    and not self._fragments
                    and not self.finished
                    and size <= self.max_message_bytes
                ):
                    second = data[1]
                    if second == size | _MASKED and size < 126:
                        return self._text(apply_mask(data[6:], data[2:6]))
                    size -= 2
                    if second == 0xFE and size > 125 and _LENGTH_16.unpack_from(data, 2)[0] == size:
                        return self._text(apply_mask(data[8:], data[4:8]))
                self._buffer = data
                self._position = 0
            else:
                self.feed(data)
        elif self._position == len(self._buffer):
            return None
        if self.finished:
            self._drop_everything()
            return None
        try:
            return self._decode()
        except ProtocolViolation:
            self._drop_everything()
            raise

    def feed(self, data: bytes) -> None:
        """Takes bytes without looking at them yet."""
        # A bytearray grows in place and drops its front cheaply: a frame that arrives one
        # byte at a time costs linear time.
        if isinstance(self._buffer, bytearray):
            del self._buffer[: self._position]
            self._buffer += data
        else:
            self._buffer = bytearray(self._buffer[self._position :])
            self._buffer += data
        self._position = 0

    def _drop_everything(self) -> None:
        self.finished = True
        self._buffer = b""
        self._position = 0
        self._parts = []
        self._utf8 = None

    def _decode(self) -> Event | None:
        """Frame after frame until one of them makes an event."""
        while True:
            frame = self._next_frame()
            if frame is None:
                return None
            opcode, final, payload = frame
            event: Event | None
            if opcode >= _CLOSE:
                event = self._control(opcode, payload)
            elif final and not self._fragments:
                event = self._text(payload) if opcode == _TEXT else payload
            else:
                event = self._fragment(opcode, final, payload)
            if event is not None:
                return event

    def _next_frame(self) -> tuple[int, bool, bytes] | None:
        """opcode, FIN, unmasked payload; judged by its header before the payload is there."""
        buffer, at = self._buffer, self._position
        available = len(buffer) - at
        if available < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        opcode, final = first & 0x0F, first >= 0x80
        self._judge(first, second)
        size = second & 0x7F
        head = 6
        if size == 126:
            if available < 4:
                return None
            size, head = _LENGTH_16.unpack_from(buffer, at + 2)[0], 8
        elif size == 127:
            if available < 10:
                return None
            size, head = _LENGTH_64.unpack_from(buffer, at + 2)[0], 14
        if opcode < _CLOSE and self._message_bytes + size > self.max_message_bytes:
            raise ProtocolViolation(MESSAGE_TOO_BIG, "message too big")
        if available < head + size:
            return None
        start = at + head
        end = start + size
        payload = apply_mask(buffer[start:end], buffer[start - 4 : start])
        if end == len(buffer):
            self._buffer, self._position = b"", 0
        else:
            self._position = end
        return opcode, final, payload

    def _judge(self, first: int, second: int) -> None:
        """Sections 5.1, 5.2, 5.4 and 5.5, as far as the first two bytes tell."""
        opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolViolation(PROTOCOL_ERROR, "reserved bits set")
        if not second & _MASKED:
            raise ProtocolViolation(PROTOCOL_ERROR, "frame not masked")
        if opcode >= _CLOSE:
            if opcode > _PONG:
                raise ProtocolViolation(PROTOCOL_ERROR, "reserved opcode")
            if first < 0x80:
                raise ProtocolViolation(PROTOCOL_ERROR, "fragmented control frame")
            if second & 0x7F > _MAX_CONTROL_BYTES:
                raise ProtocolViolation(PROTOCOL_ERROR, "control frame too long")
        elif opcode > _BINARY:
            raise ProtocolViolation(PROTOCOL_ERROR, "reserved opcode")
        elif (opcode == _CONTINUATION) != (self._fragments > 0):
            raise ProtocolViolation(PROTOCOL_ERROR, "fragments out of order")

    def _text(self, payload: bytes) -> str:
        try:
            return payload.decode()
        except UnicodeDecodeError:
            self._drop_everything()
            raise ProtocolViolation(INVALID_DATA, "invalid UTF-8") from None

    def _fragment(self, opcode: int, final: bool, payload: bytes) -> str | bytes | None:
        if opcode != _CONTINUATION:
            self._opcode = opcode
            self._utf8 = _utf8_decoder() if opcode == _TEXT else None
        self._fragments += 1
        self._message_bytes += len(payload)
        if self._fragments > MAX_FRAGMENTS:
            raise ProtocolViolation(MESSAGE_TOO_BIG, "too many fragments")
        if self._utf8 is None:
            self._parts.append(payload)  # type: ignore[arg-type]  # bytes while _utf8 is None
        else:
            # Decoded piece by piece: invalid UTF-8 ends it at once (section 8.1).
            try:
                self._parts.append(self._utf8.decode(payload, final))  # type: ignore[arg-type]
            except UnicodeDecodeError:
                raise ProtocolViolation(INVALID_DATA, "invalid UTF-8") from None
        return self._whole_message() if final else None

    def _whole_message(self) -> str | bytes:
        parts = self._parts
        message = "".join(parts) if self._utf8 is not None else b"".join(parts)  # type: ignore[arg-type]
        self._parts = []
        self._utf8 = None
        self._opcode = self._fragments = self._message_bytes = 0
        return message

    def _control(self, opcode: int, payload: bytes) -> Ping | Pong | Close:
        if opcode == _PING:
            return Ping(payload)
        if opcode == _PONG:
            return Pong(payload)
        close = _close(payload)
        self._drop_everything()
        return close


def _close(payload: bytes) -> Close:
    """Section 5.5.1: nothing, or a code and a reason in UTF-8."""
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise ProtocolViolation(PROTOCOL_ERROR, "close code cut short")
    code = _LENGTH_16.unpack_from(payload)[0]
    if code not in _CLOSE_CODES and not 3000 <= code < 5000:
        raise ProtocolViolation(PROTOCOL_ERROR, "invalid close code")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise ProtocolViolation(INVALID_DATA, "invalid UTF-8") from None


def encode_text(payload: bytes) -> bytes:
    """payload is UTF-8; a server's frames are not masked (section 5.1)."""
    size = len(payload)
    if size < 126:
        return _TEXT_HEADS[size] + payload
    if size < 65_536:
        return _TEXT_HEAD_16.pack(_FINAL_TEXT, 126, size) + payload
    return _TEXT_HEAD_64.pack(_FINAL_TEXT, 127, size) + payload


def encode_binary(payload: bytes) -> bytes:
    frame = encode_text(payload)
    return bytes((0x80 | _BINARY,)) + frame[1:]


def encode_ping(payload: bytes = b"") -> bytes:
    """payload: at most 125 bytes."""
    return _control_frame(_PING, payload)


def encode_pong(payload: bytes) -> bytes:
    return _control_frame(_PONG, payload)


def encode_close(code: int = NO_STATUS, reason: str = "") -> bytes:
    """1005 makes an empty frame; a reason is cut to the 123 bytes that fit, at a character."""
    if code == NO_STATUS:
        return _control_frame(_CLOSE, b"")
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return _control_frame(_CLOSE, _LENGTH_16.pack(code) + text)


def _control_frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > _MAX_CONTROL_BYTES:
        raise ValueError("a control frame carries at most 125 bytes")
    return bytes((0x80 | opcode, len(payload))) + payload
