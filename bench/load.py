"""A fleet of charge points in one process, as cheap as Python can be: `python -m bench.load`.

Each socket boots, starts a transaction, and then always has one CALL outstanding, in turn two
Heartbeats, one MeterValues (8 samples, 1.2 kB) and one StatusNotification that changes the status.
Every answer must be the CALLRESULT to its CALL. The load comes in bursts that end with the last
answer, so that neither a message nor its CPU time is counted without the other. Frames are masked
with the key 0, which is legal and costs the client nothing and the server the full price.

A server that limits each charge point to some hundred messages a second is measured with enough
sockets only.
"""

import argparse
import gc
import json
import resource
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.cpu import cpu_s

METER_START_WH = 10_000_000
"""Eight digits, as every later reading has, so that frames keep their length."""

CONNECT_AT_ONCE = 50
SETUP_DEADLINE_S = 60.0
SILENCE_DEADLINE_S = 15.0
LOOK_EVERY_S = 0.001
"""A client asleep in epoll is woken by each answer, and the server's send pays for waking it (6 %
of its time), which charge points on a network don't make it pay. So the client looks now and then.
"""

_ID_BYTES = 36
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


class LoadFailed(Exception):
    """The server refused, answered wrongly or fell silent; no figure of this run is of use."""


@dataclass(frozen=True, slots=True)
class Load:
    """Where to, how many sockets, and the processes whose CPU time counts."""

    port: int
    sockets: int = 1_000
    server_pids: Sequence[int] = ()
    store_pids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies are from send to answer in a closed loop, so that the median is about
    sockets / messages_per_s; CPU seconds are of the same time as the messages."""

    messages: int
    seconds: float
    server_cpu_s: float
    store_cpu_s: float
    client_cpu_s: float
    latencies_s: "array[float]" = field(repr=False)

    @property
    def messages_per_s(self) -> float:
        return self.messages / self.seconds

    @property
    def messages_per_cpu_s(self) -> float:
        """Of server and store together: the figure that other load on the machine leaves alone."""
        used_s = self.server_cpu_s + self.store_cpu_s
        return self.messages / used_s if used_s else 0.0

    def latency_ms(self, share: float) -> float:
        """The latency that this share of the messages did not exceed."""
        ranked = sorted(self.latencies_s)
        return ranked[min(int(len(ranked) * share), len(ranked) - 1)] * 1e3

    @property
    def server_us(self) -> float:
        return self.server_cpu_s / self.messages * 1e6

    @property
    def store_us(self) -> float:
        return self.store_cpu_s / self.messages * 1e6


def total(bursts: Sequence[Measured]) -> Measured:
    """Several bursts as one."""
    latencies_s = array("d")
    for burst in bursts:
        latencies_s.extend(burst.latencies_s)
    return Measured(
        messages=sum(burst.messages for burst in bursts),
        seconds=sum(burst.seconds for burst in bursts),
        server_cpu_s=sum(burst.server_cpu_s for burst in bursts),
        store_cpu_s=sum(burst.store_cpu_s for burst in bursts),
        client_cpu_s=sum(burst.client_cpu_s for burst in bursts),
        latencies_s=latencies_s,
    )


def masked(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One client frame, masked with the key 0 (RFC 6455, 5.3)."""
    return _head(len(payload), opcode) + payload


def _head(size: int, opcode: int = _TEXT) -> bytes:
    if size < 126:
        return bytes((opcode, 0x80 | size, 0, 0, 0, 0))
    return bytes((opcode, 0xFE)) + size.to_bytes(2, "big") + bytes(4)


class _Clock:
    """Timestamps with milliseconds, formatted once for each."""

    def __init__(self) -> None:
        self._ms = 0
        self._text = b""

    def text(self, ms: int) -> bytes:
        if ms != self._ms:
            self._ms = ms
            self._text = _timestamp(ms)
        return self._text


def _timestamp(ms: int) -> bytes:
    seconds, fraction = divmod(ms, 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{fraction:03d}Z".encode()


_AT = "2026-01-01T00:00:00.000Z"  # stands where a frame's timestamp goes
_WH = str(METER_START_WH)


def _sample(value: str, measurand: str, unit: str, **more: str) -> dict[str, str]:
    return {
        "value": value,
        "context": "Sample.Periodic",
        "format": "Raw",
        "measurand": measurand,
        **more,
        "location": "Outlet",
        "unit": unit,
    }


def _meter_values(transaction_id: int) -> dict[str, object]:
    samples = [
        _sample(_WH, "Energy.Active.Import.Register", "Wh"),
        _sample("11040.0", "Power.Active.Import", "W"),
        _sample("16.0", "Current.Import", "A", phase="L1"),
        _sample("16.0", "Current.Import", "A", phase="L2"),
        _sample("16.0", "Current.Import", "A", phase="L3"),
        _sample("230.1", "Voltage", "V", phase="L1-N"),
        _sample("31.5", "Temperature", "Celsius"),
        _sample("50.00", "Frequency", "Hertz"),
    ]
    del samples[-1]["unit"]  # OCPP 1.6 has no unit for it
    return {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [{"timestamp": _AT, "sampledValue": samples}],
    }


def _status(status: str) -> dict[str, object]:
    return {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": _AT}


@dataclass(slots=True)
class _Frame:
    """A CALL cut at what changes: its id, its timestamp, its meter reading."""

    before_id: bytes
    after_id: bytes
    after_timestamp: bytes = b""
    after_reading: bytes = b""


def _frame(action: str, payload: Mapping[str, object]) -> _Frame:
    text = json.dumps([2, "", action, payload], separators=(",", ":")).encode()
    before_id, rest = text[:4], text[4:]
    after_id, _, after_timestamp = rest.partition(_AT.encode())
    after_timestamp, _, after_reading = after_timestamp.partition(_WH.encode())
    return _Frame(
        _head(len(text) + _ID_BYTES) + before_id, after_id, after_timestamp, after_reading
    )


_HEARTBEAT = _frame("Heartbeat", {})
_STATUSES = (
    _frame("StatusNotification", _status("Charging")),
    _frame("StatusNotification", _status("SuspendedEV")),
)


@dataclass(slots=True)
class _ChargePoint:
    """One socket and what it has outstanding."""

    index: int
    socket: socket.socket
    expected: bytes = b""
    sent_at_s: float = 0.0
    outstanding: bool = False
    calls: int = 0
    turn: int = 0
    timestamp_ms: int = 0
    meter_wh: int = METER_START_WH
    meter_values: _Frame | None = None
    received: bytes = b""
    answer: bytes = b""  # the last, while it boots and starts


@dataclass(slots=True)
class Fleet:
    """Connected charge points with a transaction each."""

    load: Load
    _by_fd: dict[int, _ChargePoint] = field(default_factory=dict)
    _epoll: select.epoll = field(default_factory=select.epoll)
    _clock: _Clock = field(default_factory=_Clock)
    _latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    _heard_at_s: float = 0.0

    def set_up(self) -> None:
        """Connect, boot and start a transaction. Raises LoadFailed."""
        pending: list[_ChargePoint] = []
        for index in range(self.load.sockets):
            pending.append(self._connect(index))
            if len(pending) == CONNECT_AT_ONCE or index == self.load.sockets - 1:
                for charge_point in pending:
                    _await_upgrade(charge_point.socket)
                pending.clear()
        boot = {"chargePointVendor": "Bench", "chargePointModel": "Closed loop"}
        self._ask_all("BootNotification", lambda _: boot)
        for charge_point in self._by_fd.values():
            if b'"Accepted"' not in charge_point.answer:
                raise LoadFailed(f"boot not accepted: {charge_point.answer[:200]!r}")
        self._ask_all("StartTransaction", _start)
        for charge_point in self._by_fd.values():
            transaction_id = json.loads(charge_point.answer)[2]["transactionId"]
            charge_point.meter_values = _frame("MeterValues", _meter_values(transaction_id))

    def burst(self, seconds: float, messages: int = 0) -> Measured:
        """Load for so many seconds or messages (0: no limit). Raises LoadFailed."""
        load = self.load
        gc.collect()
        gc.disable()
        try:
            latencies_s = self._latencies_s = array("d")
            server_s, store_s = cpu_s(load.server_pids), cpu_s(load.store_pids)
            client_s, began_s = time.process_time(), time.perf_counter()
            count = self._begin()
            deadline_s = time.monotonic() + seconds if seconds else float("inf")
            limit = messages or sys.maxsize
            while time.monotonic() < deadline_s and count < limit:
                count += self._look(answer_calls_next=True)
            outstanding = len(self._by_fd)
            while outstanding:
                outstanding -= self._look(answer_calls_next=False)
            return Measured(
                messages=count,
                seconds=time.perf_counter() - began_s,
                server_cpu_s=cpu_s(load.server_pids) - server_s,
                store_cpu_s=cpu_s(load.store_pids) - store_s,
                client_cpu_s=time.process_time() - client_s,
                latencies_s=latencies_s,
            )
        finally:
            gc.enable()

    def close(self) -> None:
        self._epoll.close()
        for charge_point in self._by_fd.values():
            charge_point.socket.close()

    def _connect(self, index: int) -> _ChargePoint:
        sock = socket.create_connection(("127.0.0.1", self.load.port), timeout=SETUP_DEADLINE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(
            b"GET /ocpp/BENCH-%05d HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n" % (index + 1)
        )
        # Spread over the turns, so that at any time the mix on the wire is the same.
        charge_point = _ChargePoint(index, sock, turn=index)
        self._by_fd[sock.fileno()] = charge_point
        self._epoll.register(sock, select.EPOLLIN)
        return charge_point

    def _ask_all(self, action: str, payload: Callable[[int], Mapping[str, object]]) -> None:
        for charge_point in self._by_fd.values():
            frame = _frame(action, payload(charge_point.index))
            unique_id = self._expect(charge_point)
            stamp = self._stamp(charge_point) if frame.after_timestamp else b""
            reading = _WH.encode() if frame.after_reading else b""
            charge_point.socket.sendall(
                b"".join(
                    (
                        frame.before_id,
                        unique_id,
                        frame.after_id,
                        stamp,
                        frame.after_timestamp,
                        reading,
                        frame.after_reading,
                    )
                )
            )
        deadline_s = time.monotonic() + SETUP_DEADLINE_S
        unanswered = len(self._by_fd)
        while unanswered:
            if time.monotonic() > deadline_s:
                raise LoadFailed(f"{unanswered} of {len(self._by_fd)} {action} unanswered")
            for fd, _ in self._epoll.poll(1):
                charge_point = self._by_fd[fd]
                answer = self._receive(charge_point)
                if answer is not None:
                    charge_point.answer = answer
                    unanswered -= 1

    def _begin(self) -> int:
        """How many CALLs are outstanding now: one for each socket."""
        self._heard_at_s = time.monotonic()
        for charge_point in self._by_fd.values():
            self._call(charge_point, time.time_ns() // 1_000_000)
        return len(self._by_fd)

    def _look(self, *, answer_calls_next: bool) -> int:
        """Take the answers that are there, and send the next CALL for each; how many."""
        time.sleep(LOOK_EVERY_S)
        ready = self._epoll.poll(0)
        now_s = time.monotonic()
        if ready:
            self._heard_at_s = now_s
        elif now_s - self._heard_at_s > SILENCE_DEADLINE_S:
            lost = sum(charge_point.outstanding for charge_point in self._by_fd.values())
            raise LoadFailed(f"the server fell silent, {lost} answers lost")
        by_fd, latencies_s, count = self._by_fd, self._latencies_s, 0
        now_ms = time.time_ns() // 1_000_000
        for fd, _ in ready:
            charge_point = by_fd[fd]
            if self._receive(charge_point) is None:
                continue
            count += 1
            latencies_s.append(time.perf_counter() - charge_point.sent_at_s)
            if answer_calls_next:
                self._call(charge_point, now_ms)
        return count

    def _expect(self, charge_point: _ChargePoint) -> bytes:
        """The id of its next CALL, whose answer is now outstanding."""
        charge_point.calls += 1
        unique_id = b"%08x-0000-4000-8000-%012x" % (charge_point.index, charge_point.calls)
        charge_point.expected = b'[3,"' + unique_id + b'"'
        charge_point.outstanding = True
        charge_point.sent_at_s = time.perf_counter()
        return unique_id

    def _stamp(self, charge_point: _ChargePoint, now_ms: int = 0) -> bytes:
        """Now, or a millisecond after the last of this charge point: no two records are alike."""
        now_ms = max(now_ms or time.time_ns() // 1_000_000, charge_point.timestamp_ms + 1)
        charge_point.timestamp_ms = now_ms
        return self._clock.text(now_ms)

    def _call(self, charge_point: _ChargePoint, now_ms: int) -> None:
        unique_id = self._expect(charge_point)
        charge_point.turn += 1
        turn = charge_point.turn
        if turn & 1:
            frame = _HEARTBEAT
            text = frame.before_id + unique_id + frame.after_id
        elif turn & 2:
            meter = charge_point.meter_values
            assert meter is not None
            charge_point.meter_wh += 1
            text = b"".join(
                (
                    meter.before_id,
                    unique_id,
                    meter.after_id,
                    self._stamp(charge_point, now_ms),
                    meter.after_timestamp,
                    b"%d" % charge_point.meter_wh,
                    meter.after_reading,
                )
            )
        else:
            frame = _STATUSES[turn >> 2 & 1]
            stamp = self._stamp(charge_point, now_ms)
            text = frame.before_id + unique_id + frame.after_id + stamp + frame.after_timestamp
        # With one message outstanding the kernel has room for it: never in part.
        if charge_point.socket.send(text) != len(text):
            raise LoadFailed("a frame was not taken whole")

    def _receive(self, charge_point: _ChargePoint) -> bytes | None:
        """The answer that was outstanding, or None where there was none in what arrived."""
        try:
            data = charge_point.socket.recv(65_536)
        except OSError as error:
            raise LoadFailed(f"BENCH-{charge_point.index + 1:05d}: {error}") from None
        if not data:
            raise LoadFailed(f"BENCH-{charge_point.index + 1:05d}: closed by the server")
        # Nearly always one whole short text frame.
        if not charge_point.received and data[0] == _TEXT and len(data) == data[1] + 2:
            return _judge(charge_point, data[2:])
        charge_point.received += data
        answer: bytes | None = None
        while (event := _next_frame(charge_point)) is not None:
            opcode, payload = event
            if opcode == _TEXT:
                answer = _judge(charge_point, payload)
            elif opcode == _PING:
                charge_point.socket.sendall(masked(payload, _PONG))
            elif opcode == _CLOSE:
                raise LoadFailed(f"BENCH-{charge_point.index + 1:05d}: close frame {payload!r}")
        return answer


def _start(index: int) -> dict[str, object]:
    return {
        "connectorId": 1,
        "idTag": f"BENCH{index + 1:05d}",
        "meterStart": METER_START_WH,
        "timestamp": _AT,
    }


def _await_upgrade(sock: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4_096)
        if not data:
            break
        head += data
    if b" 101 " not in head[:20]:
        raise LoadFailed(f"no upgrade: {head[:200]!r}")
    sock.settimeout(None)


def _next_frame(charge_point: _ChargePoint) -> tuple[int, bytes] | None:
    """First byte and payload of a server's (unmasked) frame, once it is there."""
    data = charge_point.received
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size == 126:
        if len(data) < 4:
            return None
        size, start = int.from_bytes(data[2:4], "big"), 4
    if size == 127 or len(data) < start + size:
        return None
    charge_point.received = data[start + size :]
    return data[0], data[start : start + size]


def _judge(charge_point: _ChargePoint, answer: bytes) -> bytes:
    """The answer, if it is the CALLRESULT to the outstanding CALL. Raises LoadFailed."""
    if not charge_point.outstanding or not answer.startswith(charge_point.expected):
        raise LoadFailed(
            f"BENCH-{charge_point.index + 1:05d}: expected {charge_point.expected!r}, "
            f"got {answer[:300]!r}"
        )
    charge_point.outstanding = False
    return answer


def raise_file_limit(files: int) -> None:
    """As far as this user may. Raises LoadFailed where that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise LoadFailed(f"{files} open files are needed, this user may have {hard}")
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


@contextmanager
def fleet(load: Load) -> Iterator[Fleet]:
    """Charge points with a transaction each, disconnected afterwards. Raises LoadFailed."""
    connected = Fleet(load)
    try:
        connected.set_up()
        yield connected
    finally:
        connected.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Closed-loop OCPP 1.6J load on a central system at 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--warm-up", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=8.0, help="0: until --messages")
    parser.add_argument("--messages", type=int, default=0, help="end after so many")
    parser.add_argument("--server-pid", type=int, action="append", default=[])
    parser.add_argument("--store-pid", type=int, action="append", default=[])
    asked = parser.parse_args()
    if not asked.seconds and not asked.messages:
        parser.error("--seconds 0 needs --messages")
    load = Load(asked.port, asked.sockets, asked.server_pid, asked.store_pid)
    try:
        raise_file_limit(asked.sockets + 200)
        with fleet(load) as charge_points:
            if asked.warm_up:
                charge_points.burst(asked.warm_up)
            measured = charge_points.burst(asked.seconds, asked.messages)
    except (LoadFailed, OSError) as error:
        sys.exit(f"bench.load: {error}")
    print(
        f"{measured.messages} messages, {measured.messages_per_s:,.0f} a second, latency p50 "
        f"{measured.latency_ms(0.5):.1f} ms, p99 {measured.latency_ms(0.99):.1f} ms; CPU of the "
        f"client {measured.client_cpu_s / measured.messages * 1e6:.1f} µs a message"
    )
    if load.server_pids or load.store_pids:
        print(
            f"server {measured.server_us:.1f} µs and store {measured.store_us:.1f} µs a message, "
            f"{measured.messages_per_cpu_s:,.0f} messages per CPU-second of both"
        )


if __name__ == "__main__":
    main()
