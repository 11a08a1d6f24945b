"""The data connections of charge points: how a transfer ends, and that none passes for whole that
may have been cut."""

import logging
import socket
from typing import Any

from OpenSSL import SSL
from pyftpdlib.handlers import DTPHandler, TLS_DTPHandler
from pyftpdlib.handlers.ftp.dispatchers import PassiveDTP

from csms import logs
from csms.files_server.filesystem import InboundFile
from csms.files_server.refused import Refused

log = logs.get_logger(__name__)

STALLED_S = 120
CUT = Refused("426", "The connection was cut; nothing was kept.")
# What pyftpdlib is to log with where we log ourselves.
SILENT = logging.getLogger("pyftpdlib").debug


class DataChannel(DTPHandler):
    """A transfer: of a file either way, or of a list of files."""

    timeout = STALLED_S
    cmd_channel: Any
    file_obj: Any
    receive: bool
    _resp: tuple[Any, ...]
    _closed: bool
    # Whoever closes has decided how it ends, also where TLS takes a while to be closed.
    _is_ending = False
    _is_reset = False

    def refuse(self, refusal: Refused) -> None:
        """End the transfer in the midst of it."""
        self.transfer_finished = False
        self._resp = (refusal.reply, SILENT)
        log_refusal(self.cmd_channel, self.cmd, refusal)
        self.close()

    def handle_close(self) -> None:
        """The data connection has ended: of an upload, that is how its file does."""
        if self._closed:
            return
        if self._is_ending:
            self.close()
            return
        if self.receive and isinstance(self.file_obj, InboundFile) and not self.file_obj.closed:
            if self._was_cut():
                self.refuse(CUT)
                return
            try:
                self.file_obj.finish()
            except Refused as refusal:
                self.refuse(refusal)
                return
        super().handle_close()

    def recv(self, buffer_size: int) -> bytes:
        try:
            chunk: bytes = super().recv(buffer_size)
        except SSL.SysCallError as error:
            # -1 is an end without TLS's own.
            self._is_reset = error.args[0] != -1
            raise
        return chunk

    def _was_cut(self) -> bool:
        """Whether the connection was torn down, instead of closed by somebody who goes on."""
        return self._was_reset() or bool(self.cmd_channel.has_vanished())

    def _was_reset(self) -> bool:
        try:
            self.socket.getpeername()
        except OSError:  # it has no peer any more
            return True
        return False


class TLSDataChannel(TLS_DTPHandler, DataChannel):
    """The same over TLS. An end without TLS's own passes, as too many clients end so."""

    def close(self) -> None:
        self._is_ending = True
        super().close()

    def secure_connection(self, _: SSL.Context) -> None:
        super().secure_connection(self.cmd_channel.tls.data)

    def _was_reset(self) -> bool:
        # Its peer tells nothing: what OpenSSL says to one that has ended so is answered by a reset.
        return self._is_reset

    def handle_error(self) -> None:
        self._resp = self._resp or ("426 Internal error; transfer aborted.", SILENT)
        super().handle_error()


class PassiveListener(PassiveDTP):
    """Waits for a data connection. pyftpdlib says nothing of one that was reset before it could be
    accepted, and the charge point would wait for an answer."""

    def handle_accepted(self, sock: socket.socket, addr: Any) -> None:
        super().handle_accepted(sock, addr)
        if self._closed and self.cmd_channel.give_up_queued():
            self.cmd_channel.respond(CUT.reply, logfun=SILENT)

    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.cmd_channel.give_up_queued()


def log_refusal(connection: Any, command: str, refusal: Refused) -> None:
    log.warning(
        "ftp command refused",
        remote_address=connection.remote_ip,
        transfer_id=connection.username,
        command=command,
        reply=refusal.reply,
    )
