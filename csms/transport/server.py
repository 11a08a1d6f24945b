"""HTTP and WebSocket on the same ports: some listeners, one application, one door."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import gevent
from gevent.event import Event
from gevent.pool import Pool

from csms.transport.http_connection import HTTPServer, HTTPSServer
from csms.transport.listeners import Listener
from csms.transport.upgrade import (
    Door,
    OnHandshakeFailed,
    OnRefused,
    Proxies,
    Refusal,
    come_back_later,
)
from csms.transport.websocket import WebSocket, sweep

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger("csms.transport")

_HTTP_CONNECTIONS = 1024
"""Room for requests beside the WebSockets; beyond it connections wait in the backlog."""

_SERVICE_RESTART = 1012


@dataclass(frozen=True, slots=True)
class Limits:
    """header_timeout_s: for a whole request head, from the first wait for it.
    send_deadline_s: for each 64 KiB a peer is slow to take. body_timeout_s: for a request body,
    and as much again for each MiB that has arrived. patience_s: instead of both, for each 16 KiB
    where the application is patient with its caller. ping_interval_s: 0 = no pings.
    max_connections_per_address: 0 = no limit.
    """

    max_connections: int = 10_000
    max_connections_per_address: int = 0
    header_timeout_s: float = 10.0
    send_deadline_s: float = 10.0
    ping_interval_s: float = 25.0
    max_message_bytes: int = 1_048_576
    body_timeout_s: float = 30.0
    patience_s: float = 60.0
    drain_s: float = 4.0


class Waits(Protocol):
    """Who waits for a peer that may never say anything."""

    def hang_up(self) -> None: ...


class Server:
    """Some listeners, one WSGI application, one door; places and limits are those of all together.

    on_drain: called in order when a drain begins; they should not wait for long.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        application: "WSGIApplication",
        door: Door,
        limits: Limits | None = None,
        on_refused: OnRefused = lambda request, refusal: None,
        on_handshake_failed: OnHandshakeFailed = lambda remote_address, problem: None,
        proxies: Proxies | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.proxies = proxies or Proxies()
        self.door = door
        self.on_refused = on_refused
        self.on_handshake_failed = on_handshake_failed
        self.on_drain: list[Callable[[], None]] = []
        self.draining = False
        self.websockets: set[WebSocket] = set()
        self.places = _Places(self.limits)
        self.waiting: set[Waits] = set()
        self._pool = Pool(self.limits.max_connections + _HTTP_CONNECTIONS)
        self._stopped = Event()
        self._sweeper: gevent.Greenlet[[], None] | None = None
        self.ports = [listener.port for listener in listeners]
        self._http = [
            (HTTPServer if listener.context is None else HTTPSServer)(
                self, listener, application, self._pool
            )
            for listener in listeners
        ]

    @property
    def port(self) -> int:
        """That of the first listener."""
        return self.ports[0]

    def start(self) -> None:
        for http in self._http:
            http.start()
        if self.limits.ping_interval_s > 0:
            self._sweeper = gevent.spawn(self._sweep_forever)

    def serve_forever(self) -> None:
        """Starts, and returns when a drain or stop() is through."""
        if not self._http[0].started:
            self.start()
        self._stopped.wait()

    def drain(self) -> None:
        """Ends everything within `drain_s`, politely; returns when it has ended.

        No new connection from now on; requests in flight are answered; each WebSocket is
        closed with 1012 when the frame in hand is done, then without waiting for it, then cut.
        Meant for SIGTERM: `gevent.signal_handler(SIGTERM, server.drain)`.
        """
        if self.draining:
            self._stopped.wait()
            return
        self.draining = True
        cut_at = time.monotonic() + self.limits.drain_s
        log.info("draining", extra={"websockets": len(self.websockets)})
        self._close_listeners()
        self._call_drain_hooks()
        for ws in list(self.websockets):
            ws.retire(_SERVICE_RESTART, "service restart")
        for waiting in list(self.waiting):
            waiting.hang_up()
        reserve_s = min(1.0, self.limits.drain_s / 4)
        self._join_until(cut_at - reserve_s)
        for ws in list(self.websockets):
            gevent.spawn(ws.close, _SERVICE_RESTART, "service restart")
        self._join_until(cut_at - reserve_s / 3)
        self._cut()

    def stop(self) -> None:
        """Ends everything at once."""
        self.draining = True
        self._close_listeners()
        self._cut()

    def _close_listeners(self) -> None:
        for http in self._http:
            http.close()

    def _call_drain_hooks(self) -> None:
        for hook in self.on_drain:
            try:
                hook()
            except Exception:  # the edge: a failing hook must not keep the others from it
                log.exception("drain hook failed")

    def _join_until(self, instant: float) -> None:
        self._pool.join(timeout=max(instant - time.monotonic(), 0))

    def _cut(self) -> None:
        for ws in list(self.websockets):
            ws.abort("server stopped")
        self._pool.kill(timeout=0.3)
        if self._sweeper is not None:
            self._sweeper.kill(block=False)
        self._stopped.set()

    def _sweep_forever(self) -> None:
        while True:
            gevent.sleep(self.limits.ping_interval_s / 4)
            try:
                sweep(self.websockets, time.monotonic())
            except Exception:  # the edge: the loop of a greenlet everyone relies on
                log.exception("sweep failed")


class _Places:
    """Counts WebSockets from before the door, so that a storm can't slip past the limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken = 0
        self._by_address: dict[str, int] = {}

    def take(self, address: str) -> Refusal | None:
        limits = self._limits
        if self._taken >= limits.max_connections:
            return come_back_later(503, "No room for another connection.")
        per_address = limits.max_connections_per_address
        if per_address and self._by_address.get(address, 0) >= per_address:
            return come_back_later(429, "Too many connections from this address.")
        self._taken += 1
        self._by_address[address] = self._by_address.get(address, 0) + 1
        return None

    def leave(self, address: str) -> None:
        self._taken -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
