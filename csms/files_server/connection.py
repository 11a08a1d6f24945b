"""The control connection of a charge point: which commands it may give, and when.

pyftpdlib speaks FTP. What is here narrows it to grants, and has bytes travel as they are.
"""

import select
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from OpenSSL import SSL
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_FTPHandler

from csms import logs
from csms.domain.file_grant import is_grant_id
from csms.files_server.authorizer import GrantAuthorizer
from csms.files_server.data_channel import (
    SILENT,
    DataChannel,
    PassiveListener,
    TLSDataChannel,
    log_refusal,
)
from csms.files_server.filesystem import GrantFilesystem
from csms.files_server.refused import Refused

log = logs.get_logger(__name__)

# Everything else is answered with 500: nothing is made, renamed, deleted or appended to.
COMMANDS = frozenset(
    {
        *("USER", "PASS", "REIN", "QUIT", "NOOP", "SYST", "FEAT", "HELP", "OPTS", "STAT"),
        *("PASV", "EPSV", "PORT", "EPRT", "TYPE", "MODE", "STRU", "ALLO", "ABOR"),
        *("PWD", "XPWD", "CWD", "XCWD", "CDUP", "XCUP"),
        *("LIST", "NLST", "MLSD", "MLST", "SIZE", "MDTM", "REST", "RETR", "STOR"),
    }
)
TLS_COMMANDS = COMMANDS | {"AUTH", "PBSZ", "PROT"}
BEGIN_A_TRANSFER = frozenset({"PASV", "EPSV", "PORT", "EPRT", "RETR", "STOR"})
USE_A_DATA_CONNECTION = frozenset({"LIST", "MLSD", "NLST", "RETR", "STOR"})
# What was opened for a transfer whose data connection never came is let go of by these.
GIVE_UP_A_TRANSFER = USE_A_DATA_CONNECTION | {"ABOR", "REIN", "USER"}
IDLE_S = 120
LOGIN_WITHIN_S = 60
# Of a command with the path in it; more would be kept in memory.
COMMAND_MAX_BYTES = 2048
# Replies that were not read yet; nobody has so many commands under way.
UNREAD_MAX = 100
# The end of the control connection may arrive a moment after that of the data connection.
VANISHING_S = 0.2
_TLS_HANDSHAKE = b"\x16"


class GrantConnection(FTPHandler):
    """The control connection."""

    abstracted_fs = GrantFilesystem
    dtp_handler: type[DTPHandler] = DataChannel
    passive_dtp = PassiveListener
    proto_cmds: Mapping[str, Any] = {name: FTPHandler.proto_cmds[name] for name in COMMANDS}
    timeout = IDLE_S
    banner = "Ready."
    scheme = "ftp"
    server: Any
    username: str
    remote_ip: str
    authenticated: bool
    # pyftpdlib deletes them with the end of the connection, while others may still ask.
    data_channel: DataChannel | None = None
    _in_dtp_queue: tuple[Any, ...] | None = None
    _out_dtp_queue: tuple[Any, ...] | None = None

    def __init__(self, conn: socket.socket, server: Any, ioloop: Any = None) -> None:
        self.authorizer = GrantAuthorizer(server.exchange)
        super().__init__(conn, server, ioloop)

    # --- what pyftpdlib asks for, and the server knows

    @property
    def masquerade_address(self) -> str | None:
        """What passive clients are told to connect to; where there is none, the address they have
        connected to."""
        address: str | None = self.server.public_address
        return address

    @property
    def passive_ports(self) -> range | None:
        ports: range | None = self.server.passive_ports
        return ports

    @property
    def auth_failed_timeout(self) -> float:
        seconds: float = self.server.refusal_pause_s
        return seconds

    @property
    def _current_type(self) -> str:
        """Always binary, whatever TYPE says: a file with its line ends changed is another one, and
        many charge points ask for none."""
        return "i"

    @_current_type.setter
    def _current_type(self, _: str) -> None:
        pass

    # --- what is going on

    @property
    def is_transferring(self) -> bool:
        return not self._closed and (
            self.data_channel is not None
            or self._in_dtp_queue is not None
            or self._out_dtp_queue is not None
        )

    def is_logged_in_as(self, grant_id: str) -> bool:
        return not self._closed and self.authenticated and self.username == grant_id

    @property
    def _has_a_data_connection(self) -> bool:
        """Or one that is being made."""
        return (
            self.data_channel is not None
            or self._dtp_acceptor is not None
            or self._dtp_connector is not None
        )

    def has_vanished(self) -> bool:
        """Whether the other end of the control connection is gone, without a QUIT."""
        if self._quit_pending:
            return False
        poller = select.poll()
        try:
            poller.register(self.socket, select.POLLIN)
            if not poller.poll(VANISHING_S * 1000):
                return False
            return not self.socket.recv(1, socket.MSG_PEEK)
        except (SSL.WantReadError, BlockingIOError):
            return False
        except (SSL.Error, OSError, ValueError):
            return True

    def refuse_transfer(self, refusal: Refused) -> None:
        if self.data_channel is not None:
            self.data_channel.refuse(refusal)

    def give_up_queued(self) -> bool:
        """A transfer that waits for its data connection; whether there was one."""
        queued = (self._in_dtp_queue or (None,))[0], (self._out_dtp_queue or (None,) * 3)[2]
        was_queued = self._in_dtp_queue is not None or self._out_dtp_queue is not None
        self._in_dtp_queue = self._out_dtp_queue = None
        for file in queued:
            if file is not None:
                file.close()
        return was_queued

    # --- commands

    def collect_incoming_data(self, data: bytes) -> None:
        """A part of a command. pyftpdlib would answer, and log, each part of an endless one."""
        if self._in_buffer_len + len(data) > COMMAND_MAX_BYTES:
            self.respond("500 Command too long.", logfun=SILENT)
            self.close()
            return
        super().collect_incoming_data(data)

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        """Whatever the command is, of somebody who may be a stranger."""
        if self._closed:
            return
        if len(self.producer_fifo) > UNREAD_MAX:
            self.close()  # the replies would pile up
            return
        if not self.authenticated and time.time() - self.started > LOGIN_WITHIN_S:
            self._end("421 Nobody has logged in.")
            return
        super().pre_process_command(line, cmd, arg)

    def process_command(self, cmd: str, *args: Any, **kwargs: Any) -> None:
        if self.server.is_draining and cmd in BEGIN_A_TRANSFER:
            self._end("421 This server is being restarted; try again soon.")
            return
        if cmd in GIVE_UP_A_TRANSFER:
            self.give_up_queued()
        if cmd in USE_A_DATA_CONNECTION and not self._has_a_data_connection:
            self.respond("425 Ask for a data connection first: PASV or EPSV.", logfun=SILENT)
            return
        try:
            super().process_command(cmd, *args, **kwargs)
        except Refused as refusal:
            log_refusal(self, cmd, refusal)
            if refusal.code == "421":
                self._end(refusal.reply)
            else:
                self.respond(refusal.reply, logfun=SILENT)

    def _on_dtp_close(self) -> None:
        super()._on_dtp_close()
        if self._closed and self._idler is not None and not self._idler.cancelled:
            self._idler.cancel()  # the thread would wait for it

    def handle_auth_failed(self, msg: str, password: str) -> None:
        super().handle_auth_failed(msg, password)
        # pyftpdlib would look at what else has arrived without its pause, and without counting.
        self.ac_in_buffer = b""

    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.close()  # also where nobody reads the reply

    def close(self) -> None:
        super().close()
        self.ac_in_buffer = b""  # pyftpdlib would go on with what stands behind a QUIT

    def _end(self, reply: str) -> None:
        self.respond(reply, logfun=SILENT)
        self.close_when_done()

    # --- the log

    def on_connect(self) -> None:
        self.server.enter(self)
        log.debug("ftp connection", remote_address=self.remote_ip)

    def on_login(self, username: str) -> None:
        grant = self.authorizer.grant
        log.info(
            "ftp login",
            remote_address=self.remote_ip,
            transfer_id=username,
            charge_point_id=grant.charge_point_id,
            kind=grant.kind,
        )

    def on_login_failed(self, username: str, _: str) -> None:
        log.warning(
            "ftp login refused",
            remote_address=self.remote_ip,
            transfer_id=username if is_grant_id(username) else "",
        )

    def log_transfer(self, **transfer: Any) -> None:
        """What was sent; of what was received, commands/uploads.py tells."""
        if transfer["receive"]:
            return
        grant = self.authorizer.grant
        log.info(
            "file sent" if transfer["completed"] else "file sent in part",
            remote_address=self.remote_ip,
            transfer_id=grant.grant_id,
            charge_point_id=grant.charge_point_id,
            protocol=self.scheme,
            size_bytes=transfer["bytes"],
            duration_s=transfer["elapsed"],
        )


class TLSGrantConnection(GrantConnection, TLS_FTPHandler):
    """The same over TLS: nobody logs in and nothing travels without.

    Who speaks TLS from the first byte on, as ftps:// means to most clients, is told from who waits
    for a greeting and says AUTH TLS then, as RFC 4217 has it.
    """

    dtp_handler = TLSDataChannel
    proto_cmds: Mapping[str, Any] = {name: TLS_FTPHandler.proto_cmds[name] for name in TLS_COMMANDS}
    tls_control_required = True
    tls_data_required = True
    scheme = "ftps"
    _is_greeting_due = False
    _is_greeting_timed = False

    def __init__(self, conn: socket.socket, server: Any, ioloop: Any = None) -> None:
        super().__init__(conn, server, ioloop)
        self.tls = server.tls.contexts
        self.ssl_context = self.tls.control

    def handle(self) -> None:
        self.on_connect()
        self._is_greeting_due = True

    def add_channel(self, map: Any = None, events: Any = None) -> None:  # noqa: A002
        super().add_channel(map, events)
        is_in_its_thread = self.ioloop is not self.server.ioloop
        if self._is_greeting_due and is_in_its_thread and not self._is_greeting_timed:
            self._is_greeting_timed = True
            self.call_later(self.server.greeting_pause_s, self._greet)

    def handle_read_event(self) -> None:
        if self._is_greeting_due and not self._ssl_requested:
            if _begins_with_tls(self.socket):
                # PROT P goes without saying then.
                self._pbsz = self._prot = True
                self.secure_connection(self.ssl_context)
            else:
                self._greet()
        super().handle_read_event()

    def handle_ssl_established(self) -> None:
        self._greet()

    def _greet(self) -> None:
        if self._is_greeting_due and not self._ssl_accepting:
            self._is_greeting_due = False
            self.respond(f"220 {self.banner}", logfun=SILENT)

    def send(self, data: bytes) -> int:
        try:
            sent: int = super().send(data)
        except SSL.Error:  # there is nobody any more: what hangs on this connection must end, too
            self._error = True
            self.handle_close()
            return 0
        return sent

    def log_exception(self, instance: Any) -> None:
        """What goes wrong with TLS is the doing of a peer, which is gone or speaks none."""
        error = sys.exc_info()[1]
        if isinstance(error, SSL.Error):
            log.info("ftp connection broke", remote_address=self.remote_ip, reason=repr(error))
        else:
            super().log_exception(instance)

    @classmethod
    def get_ssl_context(cls) -> None:
        """It is the server's, which changes it when its files do."""

    def ftp_AUTH(self, line: str) -> None:
        super().ftp_AUTH(line)
        # Whatever came behind it in plain text may be of somebody in between.
        self.ac_in_buffer = b""

    def ftp_PROT(self, line: str) -> None:
        if line.upper() == "C":
            self.respond("534 Data must be protected: PROT P.", logfun=SILENT)
        else:
            super().ftp_PROT(line)


def _begins_with_tls(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
    except OSError:
        return False
