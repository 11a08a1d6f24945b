"""The charge point's end of the socket: what arrives is timed, kept, and queued in its order."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import gevent
import gevent.ssl
from gevent.queue import Empty, Queue

from chargepoint.conformance.arrival import END, TLS, UPGRADE, Arrival, Mutate, unchanged
from chargepoint.conformance.certificates import tls_facts
from chargepoint.wire import Link, LinkLost, Refused, open_tls

_KEPT = 500


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the record of a case."""

    at: str
    sender: str
    text: str


class Line:
    """At most one connection at a time; a new one follows the one before."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []  # of the case
        self._mutate: Mutate = unchanged
        self._arrived: Queue[Arrival] = Queue()
        self._actions: dict[str, str] = {}  # our CALLs' ids, by which answers get their names
        self._secured: gevent.ssl.SSLSocket | None = None
        self._link: Link | None = None
        self._reading: gevent.Greenlet[..., None] | None = None

    @property
    def is_open(self) -> bool:
        return self._link is not None and self._link.is_open

    def begin(self, mutate: Mutate) -> None:
        """A case begins, whether connected or not; what arrived in between is its own to see."""
        self.frames = []
        self._mutate = mutate

    def secure(
        self, url: str, ssl_context: gevent.ssl.SSLContext, timeout_s: float = 10.0
    ) -> Arrival:
        """The TLS handshake alone, with which the next open() goes on: what was agreed and shown,
        see tls_facts(); or `version` None and the `reason`."""
        self.close()
        try:
            self._secured = open_tls(url, ssl_context, timeout_s)
            content = tls_facts(self._secured)
        except LinkLost as error:
            content = {"version": None, "reason": str(error)}
        self._keep("central system", f"TLS {json.dumps(content)}")
        arrival = Arrival(TLS, content, time.perf_counter())
        seen = self._mutate(arrival)
        return seen[0] if seen else arrival

    def open(
        self,
        url: str,
        *,
        authorization: bytes | None,
        subprotocols: Sequence[str] = ("ocpp1.6",),
        separator: str = ", ",
        headers: Mapping[str, str] | None = None,
        ssl_context: gevent.ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
    ) -> Arrival:
        """The answer to the handshake: `status`, and `subprotocol` as the header has it, or
        `reason` and status 0 where it came to no answer of HTTP."""
        secured, self._secured = self._secured, None
        self.close()
        self._arrived = Queue()
        link = None
        try:
            link = Link.connect(
                url,
                authorization=authorization,
                subprotocols=subprotocols,
                subprotocol_separator=separator,
                headers=headers,
                ssl_context=ssl_context,
                timeout_s=timeout_s,
                over=secured,
            )
            content: dict[str, Any] = {
                "status": 101,
                "subprotocol": link.response_headers.get("Sec-WebSocket-Protocol"),
            }
        except Refused as refused:
            body = refused.body.decode(errors="replace")[:500]
            content = {"status": refused.status, "subprotocol": None, "body": body}
        except LinkLost as error:
            content = {"status": 0, "subprotocol": None, "reason": str(error)}
        self._keep("central system", f"HTTP {json.dumps(content)}")
        arrival = Arrival(UPGRADE, content, time.perf_counter(), int(content["status"]))
        if link is not None:
            self._link = link
            self._reading = gevent.spawn(self._read, link, self._arrived)
        seen = self._mutate(arrival)
        return seen[0] if seen else arrival

    def call(self, unique_id: str, action: str, payload: Mapping[str, Any]) -> float:
        """When it was given to the socket. Raises LinkLost."""
        self._actions[unique_id] = action
        return self.write([2, unique_id, action, payload])

    def write(self, frame: list[Any]) -> float:
        """When it was given to the socket. Raises LinkLost."""
        text = json.dumps(frame, separators=(",", ":"))
        if self._link is None:
            raise LinkLost("not connected")
        self._keep("kit", text)
        # Before the write, not after it: who is put aside between writing and looking at the clock
        # would see an answer that took no time. What is measured so is never too short.
        given_s = time.perf_counter()
        self._link.send(text)
        return given_s

    def next(self, timeout_s: float) -> Arrival | None:
        """What arrived next; None after timeout_s."""
        try:
            return self._arrived.get(timeout=timeout_s)
        except Empty:
            return None

    def waiting(self) -> Arrival | None:
        """What has arrived and was not looked at; None where there is nothing."""
        return None if self._arrived.empty() else self._arrived.get_nowait()

    def interrupt(self, arrival: Arrival) -> None:
        """Put something beside the socket before whoever waits for the socket."""
        self._arrived.put(arrival)

    def close(self) -> None:
        """Close the connection as a charge point does that goes away in an orderly manner."""
        if self._secured is not None:
            self._secured.close()
            self._secured = None
        if self._link is not None:
            self._link.close()
        if self._reading is not None:
            # The closing handshake comes to its end in the reader.
            self._reading.join(2.0)
            self._reading.kill()
        if self._link is not None:
            self._link.abort()
        self._link = self._reading = None

    def cut(self) -> None:
        """Break the connection."""
        if self._link is not None:
            self._link.abort()

    def _read(self, link: Link, arrived: "Queue[Arrival]") -> None:
        while (text := link.receive()) is not None:
            at_s = time.perf_counter()
            self._keep("central system", text)
            for arrival in self._mutate(self._named(text, at_s)):
                arrived.put(arrival)
        end = {"code": link.close_code, "reason": link.close_reason}
        arrived.put(Arrival(END, end, time.perf_counter()))

    def _named(self, text: str, at_s: float) -> Arrival:
        try:
            content = json.loads(text)
        except ValueError:
            return Arrival("no JSON", text, at_s)
        match content:
            case [2, str(), str(action), *_]:
                return Arrival(f"{action}.req", content, at_s)
            case [3 | 4, str(unique_id), *_]:
                action = self._actions.get(unique_id, "unasked")
                return Arrival(f"{action}.conf", content, at_s)
        return Arrival("no message", content, at_s)

    def _keep(self, sender: str, text: str) -> None:
        if len(self.frames) < _KEPT:
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
            self.frames.append(Frame(now, sender, text))
