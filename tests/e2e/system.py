"""Starts the system as its users do, as processes, and speaks its API."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gevent

from csms.state.embedded import EmbeddedStore

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "test-bootstrap-api-key-0123456789"
PATIENCE_S = 60.0
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_a_thread(work: Callable[[], T]) -> T:
    """What blocks, done beside the greenlets; its errors are raised here and nowhere else."""

    def attempt() -> tuple[T | None, Exception | None]:
        try:
            return work(), None
        except Exception as error:  # noqa: BLE001  # raised again below, in the other thread
            return None, error

    result, error = gevent.get_hub().threadpool.apply(attempt)
    if error is not None:
        raise error
    return result


def eventually(
    check: Callable[[], Any], what: str, patience_s: float = PATIENCE_S, every_s: float = 0.1
) -> Any:
    """The first true value of check(); fails after a time that no slow machine needs."""
    end = time.monotonic() + patience_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience_s} s: {what}")
        gevent.sleep(every_s)


@dataclass(slots=True)
class Started:
    """A process of ours that listens on a port."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def has_logged(self, event: str) -> bool:
        return f'"event": "{event}"' in self.log.read_text()

    def log_lines(self) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text().splitlines() if line.strip()]
        return [json.loads(line) for line in lines]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(10)


@dataclass(slots=True)
class Web(Started):
    """One `python wsgi.py`; its children are found by their parent."""

    @property
    def ocpp_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def kill_children(self) -> None:
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)


@dataclass(slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


class Api:
    """The HTTP API of one web process."""

    def __init__(self, port: int, key: str = API_KEY) -> None:
        self.port = port
        self._key = key

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Answer:
        """Virtual charge points live in greenlets of the main thread: they go on meanwhile."""

        def ask() -> Answer:
            return self._ask(method, path, body, headers or {}, timeout_s)

        if threading.current_thread() is threading.main_thread():
            return in_a_thread(ask)
        return ask()

    def _ask(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(
                method,
                path,
                body if body is None or isinstance(body, bytes) else json.dumps(body),
                {
                    "Authorization": f"Bearer {self._key}",
                    "Content-Type": "application/json",
                    **headers,
                },
            )
            response = connection.getresponse()
            raw = response.read()
            content_type = response.headers.get("Content-Type", "")
            parsed = json.loads(raw) if "json" in content_type and raw else raw.decode()
            return Answer(response.status, dict(response.headers), parsed)
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = self(method, path, body, **more)
        assert 200 <= answer.status < 300, (method, path, answer.status, answer.body)
        return answer.body

    def create_charge_point(self, charge_point_id: str, **fields: Any) -> str:
        """Its key, in hex."""
        body = {"id": charge_point_id, **fields}
        created = self.ok("POST", "/api/v1/charge-points", body)
        return str(created.get("authorization_key", ""))

    def create_id_tag(self, id_tag: str, **fields: Any) -> None:
        self.ok("POST", "/api/v1/id-tags", {"id_tag": id_tag, "status": "Accepted", **fields})

    def command(
        self, charge_point_id: str, action: str, payload: Any = None, wait: int = 30, **more: Any
    ) -> Any:
        """The settled command."""
        path = f"/api/v1/charge-points/{charge_point_id}/commands?wait={wait}"
        return self.ok("POST", path, {"action": action, "payload": payload or {}}, **more)


@dataclass(slots=True)
class System:
    """A store and any number of web processes in front of it."""

    directory: Path
    store: EmbeddedStore = field(init=False)
    webs: list[Web] = field(default_factory=list)
    files: list[Started] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = EmbeddedStore(self.directory / "store")
        self.store.start()

    def environment(self, port: int, **more: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **inherited,
            "REDIS_URL": self.store.url,
            "SECRET_KEY": "s" * 40,
            "CREDENTIAL_PEPPER": "p" * 40,
            "CSMS_API_KEY": API_KEY,
            "PORT": str(port),
            "HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
            "FILES_DIRECTORY": str(self.directory / "files"),
            "PYTHONWARNINGS": "error",
            **more,
        }

    def start_web(self, port: int | None = None, **more: str) -> Web:
        """A web process that answers."""
        port = port or free_port()
        environment = self.environment(port, **more)
        web = Web(port, *self._start(f"web-{port}", ["wsgi.py"], environment))
        self.webs.append(web)
        self.wait_ready(web)
        return web

    def start_files(self, port: int | None = None, **more: str) -> Started:
        """A files process, of which nobody knows yet whether it listens."""
        port = port or free_port()
        environment = {
            **self.environment(8000),
            "FTP_PORT": str(port),
            "FILES_FTP_URL": f"ftp://127.0.0.1:{port}",
            # pyftpdlib 2.2 takes what Python 3.11 gives up.
            "PYTHONWARNINGS": "error,ignore:The asyn:DeprecationWarning",
            **more,
        }
        command = ["-m", "csms.files_server"]
        files = Started(port, *self._start(f"files-{port}", command, environment))
        self.files.append(files)
        return files

    def _start(
        self, name: str, command: list[str], environment: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.directory / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        return process, log

    def wait_ready(self, web: Web) -> None:
        api = Api(web.port)

        def ready() -> bool:
            if web.process.poll() is not None:
                raise AssertionError(f"the web process ended:\n{web.log.read_text()[-3000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return api("GET", "/readyz").status == 200
            return False

        eventually(ready, "the web process is ready")

    def stop(self) -> None:
        for started in (*self.webs, *self.files):
            started.stop()
        self.store.stop()


@contextlib.contextmanager
def running_system(directory: Path) -> Iterator[System]:
    system = System(directory)
    try:
        yield system
    finally:
        system.stop()


def tracebacks(web: Web) -> list[str]:
    """Every log line that carries a traceback."""
    return [line for line in web.log.read_text().splitlines() if "Traceback" in line]
