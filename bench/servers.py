"""The servers that are measured: each a process of its own, with a fresh store where it has one."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import LoadFailed
from csms.state.embedded import EmbeddedStore

ROOT = Path(__file__).resolve().parent.parent
START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections."""

    port: int
    server_pid: int
    store_pid: int | None


Command = Callable[[int, str], tuple[Sequence[str], Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Contestant:
    """command: its arguments and environment for a port and the address of a store."""

    name: str
    has_store: bool
    command: Command


def _ours(port: int, store_url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    return ("wsgi.py",), {
        "REDIS_URL": store_url,
        "SECRET_KEY": secrets.token_hex(),
        "CREDENTIAL_PEPPER": secrets.token_hex(),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        "UNKNOWN_CHARGE_POINTS": "accept",
        "LOG_LEVEL": "WARNING",
    }


def _asyncio_in_memory(port: int, _: str) -> tuple[Sequence[str], Mapping[str, str]]:
    return ("-m", "bench.baseline_asyncio", "--port", str(port), "--memory"), {}


def _asyncio_with_redis(port: int, store_url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    return ("-m", "bench.baseline_asyncio", "--port", str(port), "--redis", store_url), {}


def _asyncio_gathering(port: int, store_url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    arguments, environ = _asyncio_with_redis(port, store_url)
    return (*arguments, "--gather"), environ


OURS = Contestant("this system", True, _ours)
IN_MEMORY = Contestant("asyncio, in memory", False, _asyncio_in_memory)
WITH_REDIS = Contestant("asyncio, with redis.asyncio", True, _asyncio_with_redis)
GATHERING = Contestant("the same, gathering its log", True, _asyncio_gathering)
CONTESTANTS = (OURS, IN_MEMORY, WITH_REDIS, GATHERING)


@contextmanager
def serving(
    contestant: Contestant,
    directory: Path,
    *,
    cpu: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """The contestant on a free port, data and log in an empty directory; ended afterwards.

    cpu: the processor its processes are bound to. Raises LoadFailed when it doesn't come up.
    """
    with ExitStack() as stack:
        store = None
        if contestant.has_store:
            store = stack.enter_context(EmbeddedStore(directory / "store"))
        port = _free_port()
        arguments, own_environ = contestant.command(port, store.url if store else "")
        log_path = directory / "server.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={**os.environ, **own_environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        stack.callback(_end, process)
        if cpu is not None:  # before it has forked: its children are bound with it
            os.sched_setaffinity(process.pid, {cpu})
        _await_listening(process, port, log_path)
        yield Running(port, process.pid, store.pid if store else None)


def children(pid: int) -> list[int]:
    """The processes a process has forked and not lost."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _await_listening(process: "subprocess.Popen[bytes]", port: int, log_path: Path) -> None:
    deadline_s = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    last_words = log_path.read_text(errors="replace")[-2_000:]
    raise LoadFailed(f"the server does not listen:\n{last_words}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
