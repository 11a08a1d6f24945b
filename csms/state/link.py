"""The link to the store: one socket shared by every greenlet of the process.

A pooled client costs 180 to 310 µs a command under gevent; here the commands of many greenlets
leave in one write and their replies arrive in one read, for 6 to 10 µs each (ADR 0002).

Nothing is ever sent twice: when the link fails, who waits gets StoreUnavailable, and what was
asked may or may not have been done. So every change is idempotent, or its caller asks first.
"""

import hashlib
import logging
import os
import random
import socket as plain_socket
import ssl as plain_ssl
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol, cast

import gevent
import gevent.event
import gevent.socket
import gevent.ssl
from greenlet import getcurrent, greenlet
from hiredis import ProtocolError, Reader, ReplyError, pack_command
from redis.connection import SSLConnection, UnixDomainSocketConnection, parse_url

from csms.errors import ConfigurationError, StoreRefused, StoreUnavailable

log = logging.getLogger(__name__)

Argument = str | bytes | int | float
Command = tuple[Argument, ...]
Reply = Any  # str, int, None or a list of these

# Every Script by its sha, for the handshake and for a NOSCRIPT reply.
SCRIPTS: dict[str, "Script"] = {}


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; made once, at import, so that every connection finds it here and loads it."""

    name: str
    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # SHA-1 is how the store names scripts; nothing is protected by it.
        sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", sha)
        SCRIPTS[sha] = self

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
        """The command that runs this script; for `batch` and `post`."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


class Link(Protocol):
    """What state/ knows of the store.

    Text comes back as str (UTF-8, undecodable bytes replaced), maps as flat lists (RESP2).
    Raises StoreUnavailable without a confirmation, StoreRefused with the server's own words.
    Blocking commands, WATCH and SUBSCRIBE don't belong on a link that others share; MULTI only
    as one batch.
    """

    def call(self, *command: Argument) -> Reply:
        """One command; waits for its reply."""

    def batch(self, *commands: Command) -> list[Reply]:
        """One trip: all replies, in order.

        Every command is executed even when one of them is refused; StoreRefused then carries
        the first refusal. A script the server had forgotten runs after the rest of the batch.
        """

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Reply:
        """One script; loads it first when the server doesn't know it."""

    def post(self, *command: Argument) -> None:
        """Sent with the next trip, not waited for; lost without an error when it can't be sent."""

    def close(self) -> None:
        """Gives up what is pending; the link can't be used again."""


def foreign_script(command: Command, reply: object) -> Script | None:
    """The script to load when this reply says that the server doesn't know it."""
    if command[0] != "EVALSHA" or not str(reply).startswith("NOSCRIPT"):
        return None
    return SCRIPTS.get(str(command[1]))


_pack = cast(Callable[[Command], bytes], pack_command)  # its stub knows one-item tuples only
_NOT_YET = object()  # hiredis: the next reply is not complete
_READ_BYTES = 65_536
_WOULD_BLOCK = (BlockingIOError, plain_ssl.SSLWantReadError, plain_ssl.SSLWantWriteError)
# The server no longer (or not yet) serves writes: whoever the address names now may.
_RECONNECT_ON = ("READONLY", "LOADING", "MASTERDOWN")
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 1.0
_READ_EVENT, _WRITE_EVENT = 1, 2  # gevent's loop.io takes libev's bits

_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603  # a comparison of two ints per call is cheaper than getpid
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


@dataclass(frozen=True, slots=True)
class _Address:
    """Where the store is and how to sign in; `str()` holds no secret."""

    options: dict[str, Any]

    @classmethod
    def of(cls, url: str) -> "_Address":
        try:
            options = parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ConfigurationError("REDIS_URL", str(error)) from None
        if options.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
            raise ConfigurationError("REDIS_URL", "ssl_cert_reqs is none, optional or required")
        return cls(options)

    def __str__(self) -> str:
        if self._is_path:
            return str(self.options["path"])
        return f"{self._host}:{self._port}"

    @property
    def _is_path(self) -> bool:
        return self.options.get("connection_class") is UnixDomainSocketConnection

    @property
    def _host(self) -> str:
        return str(self.options.get("host", "localhost"))

    @property
    def _port(self) -> int:
        return int(self.options.get("port", 6379))

    def open(self, timeout_s: float) -> gevent.socket.socket:
        """A connected socket whose operations time out."""
        if self._is_path:
            sock = gevent.socket.socket(plain_socket.AF_UNIX, plain_socket.SOCK_STREAM)
            sock.settimeout(timeout_s)
            with _closed_on_error(sock):
                sock.connect(self.options["path"])
            return sock
        sock = gevent.socket.create_connection((self._host, self._port), timeout_s)
        with _closed_on_error(sock):
            sock.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)
            sock.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_KEEPALIVE, 1)
            if self.options.get("connection_class") is SSLConnection:
                sock = self._context().wrap_socket(sock, server_hostname=self._host)
        return sock

    def _context(self) -> gevent.ssl.SSLContext:
        context = gevent.ssl.SSLContext(plain_ssl.PROTOCOL_TLS_CLIENT)
        authorities = self.options.get("ssl_ca_certs")
        if authorities:
            context.load_verify_locations(authorities)
        else:
            context.load_default_certs()
        if self.options.get("ssl_certfile"):
            context.load_cert_chain(self.options["ssl_certfile"], self.options.get("ssl_keyfile"))
        requirement = self.options.get("ssl_cert_reqs", "required")
        context.check_hostname = (
            bool(self.options.get("ssl_check_hostname", True)) and requirement == "required"
        )
        context.verify_mode = {
            "none": plain_ssl.CERT_NONE,
            "optional": plain_ssl.CERT_OPTIONAL,
            "required": plain_ssl.CERT_REQUIRED,
        }[requirement]
        return context

    def greeting(self, name: str) -> list[tuple[Command, bool]]:
        """The first commands of a connection, each with whether it must succeed."""
        commands: list[tuple[Command, bool]] = []
        if "password" in self.options:
            user = (self.options["username"],) if "username" in self.options else ()
            commands.append((("AUTH", *user, self.options["password"]), True))
        commands.append((("PING",), True))  # LOADING and MASTERDOWN show here
        if self.options.get("db"):
            commands.append((("SELECT", self.options["db"]), True))
        commands.append((("CLIENT", "SETNAME", name), False))
        # A script that doesn't compile is told to who runs it, not to everyone.
        commands.extend((("SCRIPT", "LOAD", script.source), False) for script in SCRIPTS.values())
        return commands


@contextmanager
def _closed_on_error(sock: gevent.socket.socket) -> Iterator[None]:
    """Closes a half-made socket when making it fails, also by a kill."""
    try:
        yield
    except BaseException:
        sock.close()
        raise


class _Waiting:
    """One reply, or the replies of one batch, that a greenlet waits for.

    Without a greenlet nobody waits any more (killed), or nobody ever did (posted).
    """

    __slots__ = ("expected", "greenlet", "lost", "outcome", "posted", "since_s")

    def __init__(self, waiter: greenlet | None, expected: int) -> None:
        self.greenlet = waiter
        self.posted = waiter is None
        self.expected = expected
        self.outcome: Any = _NOT_YET if expected == 1 else []
        self.lost = ""
        self.since_s = monotonic()


class _Connection:
    """One socket after its handshake: writes, reads and time-outs, all in callbacks of the hub.

    A greenlet appends its command and switches to the hub; one callback writes what has gathered
    in this turn of the loop; the read callback switches straight to whom a reply belongs.
    """

    def __init__(
        self,
        sock: gevent.socket.socket,
        reader: Reader,
        *,
        address: str,
        max_pending: int,
        timeout_s: float,
        on_lost: Callable[["_Connection", str, int], None],
        on_post_refused: Callable[[str], None],
    ) -> None:
        self.lost = False
        self.made_at_s = monotonic()
        self._sock = sock
        self._reader = reader
        self._address = address
        self._max_pending = max_pending
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._on_post_refused = on_post_refused
        self._pending: deque[_Waiting] = deque()
        self._out: list[bytes] = []
        self._unsent = memoryview(b"")
        self._flush_is_due = False
        self._awaits_writable = False
        self._swept_at_s = self._awake_since_s = self.made_at_s

        self._hub = gevent.get_hub()
        loop = self._hub.loop
        self._run_callback = loop.run_callback
        sock.settimeout(0.0)
        self._tls_pending: Callable[[], int] | None = getattr(sock, "pending", None)
        self._readable = loop.io(sock.fileno(), _READ_EVENT)
        self._writable = loop.io(sock.fileno(), _WRITE_EVENT)
        # Nobody keeps a loop running only to find out that nobody waits: ref=False.
        self._sweeper = loop.timer(timeout_s / 20, timeout_s / 20, ref=False)
        self._readable.start(self._read)
        self._sweeper.start(self._sweep)

    def ask(self, packed: bytes, expected: int = 1) -> Reply:
        """Send and wait: one reply, or the list of them when more than one is expected.

        Error replies come back as ReplyError, not raised. Raises StoreUnavailable.
        """
        pending = self._pending
        if len(pending) + expected > self._max_pending:
            raise StoreUnavailable(f"The store at {self._address} is busy.")
        waiting = _Waiting(getcurrent(), expected)
        if expected == 1:
            pending.append(waiting)
        else:
            pending.extend([waiting] * expected)
        self._send_soon(packed)
        switch = self._hub.switch
        try:
            # A loop, because only _deliver and lose() may end this wait, whoever else switches.
            while waiting.expected:
                switch()
        finally:
            waiting.greenlet = None  # also when killed: its reply is swallowed when it comes
        if waiting.lost:
            raise StoreUnavailable(waiting.lost)
        return waiting.outcome

    def post(self, packed: bytes) -> bool:
        """Send without waiting; False when there is no room."""
        if len(self._pending) >= self._max_pending:
            return False
        self._pending.append(_Waiting(None, 1))
        self._send_soon(packed)
        return True

    def lose(self, problem: str) -> None:
        """Give this connection up: who waits gets StoreUnavailable. Safe to repeat."""
        if self.lost:
            return
        self.lost = True
        for watcher in (self._readable, self._writable, self._sweeper):
            watcher.stop()
            watcher.close()
        self._sock.close()
        abandoned = list(self._pending)
        self._pending.clear()
        self._out.clear()
        for waiting in abandoned:
            waiting.lost = f"The store at {self._address} gave no confirmation: {problem}."
            waiting.expected = 0
        self._on_lost(self, problem, sum(waiting.posted for waiting in abandoned))
        # lose() may run in any greenlet; only the hub may switch to others.
        self._run_callback(_wake_all, abandoned)

    def _send_soon(self, packed: bytes) -> None:
        self._out.append(packed)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._run_callback(self._flush)

    def _flush(self) -> None:
        """Write all that has gathered; what the kernel doesn't take waits for writability."""
        if self.lost:
            return
        try:
            while self._unsent or self._out:
                if not self._unsent:
                    self._unsent = memoryview(b"".join(self._out))
                    self._out.clear()
                sent = self._sock.send(self._unsent)
                if not sent:  # gevent's TLS socket says "not now" with a zero
                    break
                self._unsent = self._unsent[sent:]
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            self.lose(_words(error))
            return
        # While something is unsent a flush stays due, so that later commands only gather.
        self._flush_is_due = bool(self._unsent)
        if self._flush_is_due != self._awaits_writable:
            self._awaits_writable = self._flush_is_due
            if self._awaits_writable:
                self._writable.start(self._flush)
            else:
                self._writable.stop()

    def _read(self) -> None:
        try:
            while True:
                received = self._sock.recv(_READ_BYTES)
                if not received:
                    self.lose("it closed the connection")
                    return
                self._reader.feed(received)
                self._deliver()
                # What TLS has decrypted already makes no descriptor readable.
                if self._tls_pending is None or self.lost or not self._tls_pending():
                    return
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            self.lose(_words(error))
        except ProtocolError as error:
            self.lose(f"it spoke no RESP ({error})")

    def _deliver(self) -> None:
        """Give each complete reply to whom it belongs, in the order of the commands."""
        pending = self._pending
        gets = self._reader.gets
        ended = ""
        while (reply := gets()) is not _NOT_YET:
            if not pending:  # lost while the last greenlet ran, or an answer to no question
                self.lose("it answered what was not asked")
                return
            waiting = pending.popleft()
            if type(reply) is ReplyError:
                text = str(reply)
                # Redis 6.2 quotes the refusal in the middle of a script's error.
                if text.startswith(_RECONNECT_ON) or "-READONLY" in text:
                    ended = text
                    # Before its greenlet runs, so that what it asks next goes elsewhere; the
                    # replies that are here already still reach their greenlets.
                    self._on_lost(self, text, 0)
                if waiting.posted:
                    self._on_post_refused(text)
            if type(waiting.outcome) is list:
                waiting.outcome.append(reply)
            else:
                waiting.outcome = reply
            waiting.expected -= 1
            if not waiting.expected and waiting.greenlet is not None:
                _wake(waiting)
        if ended:
            self.lose(ended)

    def _sweep(self) -> None:
        """End the connection when its oldest command is unanswered for too long.

        A sweep that comes late itself means that this whole process stood still; replies may
        be waiting in the socket and commands unsent, so the time counts from now.
        """
        now_s = monotonic()
        if now_s - self._swept_at_s > self._timeout_s / 4:
            self._awake_since_s = now_s
        self._swept_at_s = now_s
        if not self._pending:
            return
        if now_s - max(self._pending[0].since_s, self._awake_since_s) > self._timeout_s:
            self.lose(f"no answer within {self._timeout_s:g} s")


def _wake(waiting: _Waiting) -> None:
    """Run the waiting greenlet now, from the hub; its failures are its own."""
    waiter = waiting.greenlet
    if waiter is None:
        return
    try:
        waiter.switch()
    except Exception:  # noqa: BLE001  # the edge: a bare greenlet's error ends in the hub
        gevent.get_hub().handle_error(waiter, *sys.exc_info())


def _wake_all(abandoned: list[_Waiting]) -> None:
    # A batch stands here once per command; its greenlet is gone from it after the first.
    for waiting in abandoned:
        _wake(waiting)


def _words(error: BaseException) -> str:
    """A short reason for people; some errors of sockets have an empty text."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _handshake(sock: gevent.socket.socket, greeting: Sequence[tuple[Command, bool]]) -> Reader:
    """Sign in and load the scripts, in one trip. Raises OSError and ProtocolError."""
    reader = Reader(encoding="utf-8", errors="replace", notEnoughData=_NOT_YET)
    sock.sendall(b"".join(_pack(command) for command, _ in greeting))
    for command, must_succeed in greeting:
        while (reply := reader.gets()) is _NOT_YET:
            received = sock.recv(_READ_BYTES)
            if not received:
                raise ConnectionError("it closed the connection")
            reader.feed(received)
        if type(reply) is ReplyError:
            if must_succeed and not str(reply).startswith("NOPERM"):
                raise ConnectionError(f"it answered {reply}")
            log.warning(
                "store refused greeting", extra={"command": command[0], "problem": str(reply)}
            )
    return reader


class MultiplexedLink:
    """The Link of a gevent process: one socket, any number of greenlets of one thread.

    Connects in the background and for ever again, after 50 ms up to 1 s with jitter. While the
    link is down, calls wait up to `reconnect_wait_s` and are then sent for the first time.
    `timeout_s` bounds the age of the oldest unanswered command; `blocking=True` is for a link
    of one reader that calls `XREAD BLOCK` (at most 30 s or timeout_s, whichever is more).
    Make it after a fork, in the process that uses it.

    `dropped_posts` were not sent or not confirmed, `refused_posts` answered with an error; each
    callback in `on_reconnect` runs in a greenlet of its own after every connect but the first.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        reconnect_wait_s: float = 5.0,
        max_pending: int = 50_000,
        name: str = "csms",
        blocking: bool = False,
    ) -> None:
        self.dropped_posts = 0
        self.refused_posts = 0
        self.on_reconnect: list[Callable[[], None]] = []
        self._address = _Address.of(url)
        self._timeout_s = max(timeout_s, 30.0) if blocking else timeout_s
        self._connect_timeout_s = timeout_s
        self._reconnect_wait_s = reconnect_wait_s
        self._max_pending = max_pending
        self._name = name
        self._forks = _forks
        self._closed = False
        self._connection: _Connection | None = None
        self._problem = "not connected yet"
        self._waiting_for_connection = 0
        self._warned_at_s = -60.0
        self._up = gevent.event.Event()
        self._down = gevent.event.Event()
        self._loader: gevent.Greenlet[[], None] | None = None
        self._keeper = gevent.spawn(self._keep_connected)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def call(self, *command: Argument) -> Reply:
        reply = self._use().ask(_pack(command))
        return self._settle(command, reply) if type(reply) is ReplyError else reply

    def batch(self, *commands: Command) -> list[Reply]:
        if len(commands) < 2:
            return [self.call(*command) for command in commands]
        packed = b"".join(map(_pack, commands))
        replies: list[Reply] = self._use().ask(packed, len(commands))
        for index, reply in enumerate(replies):
            if type(reply) is ReplyError:
                replies[index] = self._settle(commands[index], reply)
            elif type(reply) is list and commands[index][0] == "EXEC":
                _raise_first_error(reply)
        return replies

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Reply:
        return self.call("EVALSHA", script.sha, len(keys), *keys, *arguments)

    def post(self, *command: Argument) -> None:
        connection = self._connection
        if connection is None or self._forks != _forks or not connection.post(_pack(command)):
            self.dropped_posts += 1

    def close(self) -> None:
        if self._forks != _forks:
            return  # a child would stop the watchers of its parent: they share one epoll
        self._closed = True
        self._problem = "the link is closed"
        self._keeper.kill(block=False)
        if self._connection is not None:
            self._connection.lose(self._problem)
        self._up.set()

    def _use(self) -> _Connection:
        """The connection, waited for while it is down. Raises StoreUnavailable."""
        if self._forks != _forks:
            raise RuntimeError("this link was made before a fork; make one in each process")
        return self._connection or self._wait_for_connection()

    def _wait_for_connection(self) -> _Connection:
        if self._waiting_for_connection >= self._max_pending:
            raise StoreUnavailable(f"The store at {self._address} is busy.")
        self._waiting_for_connection += 1
        deadline_s = monotonic() + self._reconnect_wait_s
        try:
            while self._connection is None and not self._closed:
                remaining_s = deadline_s - monotonic()
                if remaining_s <= 0 or not self._up.wait(remaining_s):
                    break
        finally:
            self._waiting_for_connection -= 1
        if self._connection is None:
            raise StoreUnavailable(f"The store at {self._address} can't be used: {self._problem}.")
        return self._connection

    def _settle(self, command: Command, refusal: ReplyError) -> Reply:
        """NOSCRIPT means not executed: load and run. Raises StoreRefused for all else."""
        script = foreign_script(command, refusal)
        if script is None:
            raise StoreRefused(str(refusal))
        packed = _pack(("SCRIPT", "LOAD", script.source)) + _pack(command)
        replies: list[Reply] = self._use().ask(packed, 2)
        _raise_first_error(replies)
        return replies[1]

    def _keep_connected(self) -> None:
        """The greenlet that connects and, when the connection is lost, connects again."""
        attempt = 0
        was_connected = False
        while not self._closed:
            try:
                connection = self._connect()
            except (OSError, ProtocolError) as error:
                self._connect_failed(error)
            else:
                log.info("store connected", extra={"address": str(self._address)})
                if was_connected:
                    for callback in self.on_reconnect:
                        gevent.spawn(callback)
                was_connected = True
                self._down.wait()
                if monotonic() - connection.made_at_s > _LONGEST_WAIT_S:
                    attempt = 0
            gevent.sleep(_wait_s(attempt))
            attempt += 1

    def _connect(self) -> _Connection:
        with gevent.Timeout(self._connect_timeout_s, TimeoutError("no answer to the greeting")):
            sock = self._address.open(self._connect_timeout_s)
            with _closed_on_error(sock):
                reader = _handshake(sock, self._address.greeting(self._name))
        connection = _Connection(
            sock,
            reader,
            address=str(self._address),
            max_pending=self._max_pending,
            timeout_s=self._timeout_s,
            on_lost=self._connection_lost,
            on_post_refused=self._post_refused,
        )
        self._down.clear()
        self._connection = connection
        self._up.set()
        return connection

    def _connect_failed(self, error: Exception) -> None:
        problem = _words(error)
        if problem != self._problem:  # once per reason, not once per attempt
            log.warning(
                "store unreachable", extra={"address": str(self._address), "problem": problem}
            )
        self._problem = problem

    def _connection_lost(self, connection: _Connection, problem: str, posts: int) -> None:
        self.dropped_posts += posts
        if connection is not self._connection:
            return
        self._connection = None
        self._up.clear()
        self._down.set()
        if not self._closed:
            self._problem = problem
            log.warning(
                "store disconnected", extra={"address": str(self._address), "problem": problem}
            )

    def _post_refused(self, refusal: str) -> None:
        self.refused_posts += 1
        if refusal.startswith("NOSCRIPT") and not self._loader:
            self._loader = gevent.spawn(self._load_scripts)
        if monotonic() - self._warned_at_s >= 60.0:
            self._warned_at_s = monotonic()
            log.warning(
                "store refused post", extra={"problem": refusal, "refused": self.refused_posts}
            )

    def _load_scripts(self) -> None:
        """After SCRIPT FLUSH a posted script finds out too late to run; the next ones shall run."""
        try:
            self.batch(*(("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values()))
        except (StoreRefused, StoreUnavailable) as error:
            log.warning("scripts not loaded", extra={"problem": str(error)})


def _wait_s(attempt: int) -> float:
    """50 ms, doubled each time up to 1 s; the jitter keeps many processes apart."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311  # no secret
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt, 10)) * jitter


def _raise_first_error(replies: Sequence[Reply]) -> None:
    for reply in replies:
        if type(reply) is ReplyError:
            raise StoreRefused(str(reply))
