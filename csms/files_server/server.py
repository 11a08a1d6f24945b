"""Listens for charge points, with a thread for each connection."""

import logging
import socket
import threading
import time
from typing import Any
from weakref import WeakSet

from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import ThreadedFTPServer

from csms.files_server.certificates import ServerTLS
from csms.files_server.connection import GrantConnection, TLSGrantConnection
from csms.files_server.exchange import Exchange
from csms.logs import get_logger

log = get_logger(__name__)

# A connection takes two file descriptors, and two more while a file travels: below 1,024 in all.
MAX_CONNECTIONS = 200
# Many charge points may share the address of one site's router.
MAX_CONNECTIONS_PER_ADDRESS = 50
# A charge point that tries again may have one or two that hang.
MAX_CONNECTIONS_PER_GRANT = 8
REFUSAL_PAUSE_S = 3.0
# For the first byte of who speaks TLS at once, over a slow link.
GREETING_PAUSE_S = 2.0
POLL_S = 0.5


class FilesServer(ThreadedFTPServer):
    """passive_ports: of data connections; None for whichever is free. public_address: what passive
    clients are told to connect to; None for the address they have connected to. tls: nothing
    travels without, where it is given. Raises OSError where address can't be listened on.
    """

    max_cons = MAX_CONNECTIONS
    max_cons_per_ip = MAX_CONNECTIONS_PER_ADDRESS
    poll_timeout = POLL_S

    def __init__(
        self,
        address: tuple[str, int],
        exchange: Exchange,
        *,
        passive_ports: range | None = None,
        public_address: str | None = None,
        tls: ServerTLS | None = None,
        refusal_pause_s: float = REFUSAL_PAUSE_S,
        greeting_pause_s: float = GREETING_PAUSE_S,
    ) -> None:
        # It says at INFO and DEBUG what we say in our own words.
        logging.getLogger("pyftpdlib").setLevel(logging.WARNING)
        self.exchange = exchange
        self.passive_ports = passive_ports
        self.public_address = public_address
        self.tls = tls
        self.refusal_pause_s = refusal_pause_s
        self.greeting_pause_s = greeting_pause_s
        self.is_draining = False
        self.connections: WeakSet[GrantConnection] = WeakSet()
        self._connecting = threading.Lock()
        # pyftpdlib shares these among all servers of a process: one that ends would end the others.
        self._exit = threading.Event()
        self._lock = threading.Lock()
        super().__init__(address, TLSGrantConnection if tls else GrantConnection, ioloop=IOLoop())

    def serve(self, stopping: threading.Event, drain_s: float) -> None:
        """Until stopping is set. What travels then has drain_s to arrive; nothing else begins."""
        while not stopping.is_set():
            self.ioloop.loop(self.poll_timeout, blocking=False)
        self.is_draining = True
        self.close()
        until = time.monotonic() + drain_s
        while self._is_transferring() and time.monotonic() < until:
            time.sleep(0.05)
        self.close_all()

    def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
        try:
            super().handle_accepted(sock, addr)
        except RuntimeError as error:  # no thread can be had
            log.error("ftp connection not taken", reason=str(error))
            for connection in list(self.connections):
                if connection.socket is sock:
                    connection.close()

    def handle_error(self) -> None:
        """No connection could be accepted; pyftpdlib would close the port."""
        log.exception("ftp connection not taken")
        time.sleep(POLL_S)  # whatever is wrong, the connection still waits to be accepted

    def enter(self, connection: GrantConnection) -> None:
        with self._connecting:
            self.connections.add(connection)

    def has_place_for(self, grant_id: str) -> bool:
        """Each that has logged in may take one of the passive ports, and a file."""
        with self._connecting:
            present = [one for one in self.connections if one.is_logged_in_as(grant_id)]
        return len(present) < MAX_CONNECTIONS_PER_GRANT

    def _is_transferring(self) -> bool:
        return any(connection.is_transferring for connection in list(self.connections))
