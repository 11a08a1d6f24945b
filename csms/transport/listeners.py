"""The sockets a server listens on, and what is spoken on each."""

from collections.abc import Callable
from dataclasses import dataclass
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    SO_KEEPALIVE,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOL_SOCKET,
    TCP_NODELAY,
)
from ssl import SSLContext
from typing import Any

from gevent.socket import socket as GeventSocket

BACKLOG = 4096
"""A fleet reconnects at once after a restart; what doesn't fit is refused by the kernel."""


@dataclass(frozen=True, slots=True)
class Listener:
    """socket: a listening gevent socket. context: asked for at every TLS handshake, so that new
    certificates hold from the next one on; None where no TLS is spoken."""

    socket: Any
    context: Callable[[], SSLContext] | None = None

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


def listen(
    host: str,
    port: int,
    context: Callable[[], SSLContext] | None = None,
    *,
    reuse_port: bool = False,
) -> Listener:
    """reuse_port: other processes of the same user share the port, and the kernel spreads the
    connections; to be made after the fork, by each child. Raises OSError."""
    sock = GeventSocket(family=AF_INET6 if ":" in host else AF_INET)
    try:
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        if host == "::":
            sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
        # Accepted sockets inherit these, which saves the calls per connection.
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, context)
