"""A small central system that answers as the specification says, unless told otherwise.

Runs asyncio in a thread of its own, with the `websockets` server: another implementation and
another scheduler than the charge point under test.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import gevent
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

DEADLINE_S = 20.0
SILENCE = "silence"
CUT = "cut"


@dataclass(frozen=True)
class CallError:
    code: str


@dataclass(frozen=True)
class Received:
    link: int
    unique_id: str
    action: str
    payload: dict[str, Any]
    answered: bool


def wait_until(condition: Callable[[], Any], what: str = "") -> None:
    """Poll while the hub runs; a generous deadline, so that a slow machine only takes longer."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        gevent.sleep(0.005)


@dataclass
class HonestCentralSystem:
    registration: list[tuple[str, int]] = field(default_factory=lambda: [("Accepted", 3600)])
    password: bytes | None = None
    subprotocol: bool = True
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    oddities: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    id_tag_status: dict[str, str] = field(default_factory=dict)
    _next_transaction_id: int = 41
    _connection: ServerConnection | None = None
    _waiting: dict[str, asyncio.Future[list[Any]]] = field(default_factory=dict)
    _calls: int = 0

    def __enter__(self) -> "HonestCentralSystem":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(self._serve())
        port = self._server.sockets[0].getsockname()[1]
        scheme = "wss" if self.tls else "ws"
        self.url = f"{scheme}://127.0.0.1:{port}/ocpp"
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- what tests ask and say ---

    def next_answers(self, action: str, *answers: Any) -> None:
        """The coming answers to this action: a payload, a CallError, SILENCE or CUT."""
        self.oddities[action].extend(answers)

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [one.payload for one in self.received if one.action == action]

    def acknowledged(self, *actions: str) -> list[Received]:
        return [one for one in self.received if one.answered and one.action in actions]

    def statuses(self, connector_id: int) -> list[str]:
        return [
            payload["status"]
            for payload in self.payloads("StatusNotification")
            if payload["connectorId"] == connector_id
        ]

    def call(self, action: str, payload: dict[str, Any]) -> list[Any]:
        """Send a CALL and wait, with the hub running, for the whole answering frame."""
        future = asyncio.run_coroutine_threadsafe(self._call(action, payload), self._loop)
        wait_until(future.done, f"answer to {action}")
        return future.result()

    def say(self, text: str) -> None:
        self._run(self._connection.send(text))  # type: ignore[union-attr]

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._connection.transport.abort)  # type: ignore[union-attr]

    # --- the server ---

    def _run(self, coroutine: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        wait_until(future.done, "central system")
        return future.result()

    async def _serve(self) -> Any:
        return await serve(
            self._talk,
            "127.0.0.1",
            0,
            subprotocols=["ocpp1.6"] if self.subprotocol else None,
            compression=None,
            process_request=self._check,
            ssl=self.tls,
            close_timeout=1,
        )

    async def _close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        header = request.headers.get("Authorization", "")
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).partition(b":")
        identity = unquote(request.path.rsplit("/", 1)[-1])
        self.links.append(
            {
                "identity": identity,
                "path": request.path,
                "user": user,
                "password": password,
                "subprotocols": request.headers.get("Sec-WebSocket-Protocol"),
            }
        )
        if self.password is not None and password != self.password:
            response = connection.respond(401, "who are you\n")
            response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
            return response
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        self._connection = connection
        number = len(self.links)
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                await self._take(connection, number, json.loads(text))

    async def _take(self, connection: ServerConnection, number: int, frame: list[Any]) -> None:
        if frame[0] != 2:
            self._waiting.pop(frame[1]).set_result(frame)
            return
        _, unique_id, action, payload = frame
        odd = self.oddities[action].pop(0) if self.oddities[action] else None
        answered = odd is None or isinstance(odd, dict)
        self.received.append(Received(number, unique_id, action, payload, answered))
        if odd == CUT:
            connection.transport.abort()
        elif isinstance(odd, CallError):
            await connection.send(json.dumps([4, unique_id, odd.code, "", {}]))
        elif odd != SILENCE:
            answer = self._confirm(action, payload) if odd is None else odd
            await connection.send(json.dumps([3, unique_id, answer]))

    def _confirm(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        now = "2026-11-22T12:00:00.000Z"
        match action:
            case "BootNotification":
                first = len(self.registration) > 1
                status, interval = self.registration.pop(0) if first else self.registration[0]
                return {"status": status, "interval": interval, "currentTime": now}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize":
                return {"idTagInfo": self._info(payload)}
            case "StartTransaction":
                self._next_transaction_id += 1
                return {
                    "transactionId": self._next_transaction_id,
                    "idTagInfo": self._info(payload),
                }
        return {}

    def _info(self, payload: dict[str, Any]) -> dict[str, str]:
        return {"status": self.id_tag_status.get(payload["idTag"], "Accepted")}

    async def _call(self, action: str, payload: dict[str, Any]) -> list[Any]:
        self._calls += 1
        unique_id = f"cs-{self._calls}"
        waiting: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting[unique_id] = waiting
        await self._connection.send(json.dumps([2, unique_id, action, payload]))  # type: ignore[union-attr]
        return await waiting
