"""What a WebSocket does with its raw socket, done through TLS."""

from errno import EAGAIN
from socket import SHUT_WR
from ssl import SSLEOFError, SSLWantReadError, SSLWantWriteError
from typing import Any


class TLSChannel:
    """Never waits: raises BlockingIOError as a raw socket does.

    After a send that raised it the next must be of the same bytes: TLS has encrypted the first of
    them. A read takes whole records only, so that nothing decrypted is left where no event of the
    socket would tell of it.
    """

    __slots__ = ("_raw", "_said_goodbye", "_tls")

    def __init__(self, socket: Any) -> None:
        """socket: one of gevent.ssl whose handshake is done."""
        self._raw = socket._sock
        self._tls = socket._sslobj
        self._said_goodbye = False

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def recv(self, size: int, flags: int = 0) -> bytes:
        """size: of a record (16 KiB) at least. With flags: what has arrived, as it is."""
        if flags or self._said_goodbye:
            return bytes(self._raw.recv(size, flags))
        try:
            return bytes(self._tls.read(size))
        except (SSLWantReadError, SSLWantWriteError):
            raise BlockingIOError(EAGAIN, "no whole record has arrived") from None
        except SSLEOFError:
            return b""

    def send(self, data: bytes | memoryview) -> int:
        """How many bytes are on their way: those of one record (16 KiB) at most."""
        try:
            return int(self._tls.write(data))
        except (SSLWantReadError, SSLWantWriteError):
            raise BlockingIOError(EAGAIN, "no room for the record") from None

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        self._raw.setsockopt(level, name, value)

    def shutdown(self, how: int) -> None:
        """SHUT_WR says goodbye in TLS first; what still arrives is only fit to be dropped."""
        if how == SHUT_WR:
            self.say_goodbye()
        self._raw.shutdown(how)

    def say_goodbye(self) -> None:
        """So that the peer knows that nothing was cut off; its own goodbye is not waited for."""
        if self._tls is not None and not self._said_goodbye:
            self._said_goodbye = True
            try:
                self._tls.shutdown()
            except OSError:
                pass  # said as far as there was room
