"""The server on real sockets: handshake, WebSockets, HTTP, limits, drain."""

import errno
import json
import logging
import socket as blocking_socket
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from csms.transport import websocket
from csms.transport.listeners import listen
from csms.transport.server import Limits, Server
from csms.transport.upgrade import Admission, Proxies, Refusal, UpgradeRequest, remote_address_of
from csms.transport.websocket import ConnectionClosed, WebSocket
from csms.transport.websocket_codec import encode_close

pytestmark = pytest.mark.e2e

PATIENCE_S = 30.0
"""How long a test waits for what must happen; only failing tests take so long."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = {
    "Host": "csms.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
TEXT, CONTINUATION, CLOSE, PING, PONG = 1, 0, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", final: bool = True) -> bytes:
    """Masked with the key 0."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + pack("!H", size)
    return bytes((final << 7 | opcode,)) + length + bytes(4) + payload


def request(
    headers: dict[str, str] | None = None,
    path: str = "/ocpp/CP001",
    method: str = "GET",
    version: str = "HTTP/1.1",
    extra: str = "",
) -> bytes:
    """headers: changes to UPGRADE; None as a value leaves a header out."""
    fields = {**UPGRADE, **(headers or {})}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"{method} {path} {version}\r\n{''.join(lines)}{extra}\r\n".encode("latin-1")


class Peer:
    """The other end of the wire, down to its bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, size: int) -> bytes:
        """Less than size only at the end of the stream."""
        while len(self._buffer) < size:
            data = self.socket.recv(65_536)
            if not data:
                break
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with lower-case names, body."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.read(1)
            assert byte, f"the connection ended after {head!r}"
            head += byte
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        fields = dict(line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in fields.items()}
        return int(first.split()[1]), headers, self.read(int(headers.get("content-length", 0)))

    def read_frame(self) -> tuple[int, bytes]:
        head = self.read(2)
        assert head, "the connection ended"
        size = head[1]
        if size == 126:
            size = int.from_bytes(self.read(2), "big")
        elif size == 127:
            size = int.from_bytes(self.read(8), "big")
        return head[0] & 0x0F, self.read(size)

    def read_close(self) -> tuple[int, str]:
        """The close frame that comes after whatever else; answers it."""
        opcode, payload = self.read_frame()
        while opcode != CLOSE:
            opcode, payload = self.read_frame()
        self.send(frame(CLOSE, payload))
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def ends(self) -> bool:
        """Whether the connection ends, in whichever way; drops what still comes."""
        try:
            while self.socket.recv(65_536):
                pass
        except OSError:
            pass
        return True

    def shake_hands(self, **changes: Any) -> dict[str, str]:
        self.send(request(**changes))
        status, headers, _ = self.read_answer()
        assert status == 101
        return headers

    def reset(self) -> None:
        """Leaves with RST in place of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self.socket.close()


def echo(ws: WebSocket) -> None:
    message = ws.receive()
    while message is not None:
        ws.send(message)
        message = ws.receive()


def admit(serve: Callable[[WebSocket], None] = echo, subprotocol: str | None = "ocpp1.6") -> Any:
    return lambda request: Admission(subprotocol, serve)


def hello(environ, start_response):
    body = b"hello " + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def until(fact: Callable[[], Any]) -> Any:
    """Waits for what must come true."""
    with gevent.Timeout(PATIENCE_S):
        while True:
            value = fact()
            if value:
                return value
            gevent.sleep(0.005)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    with gevent.Timeout(2 * PATIENCE_S):
        yield


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(
        door: Any = None,
        application: Any = hello,
        on_refused: Any = None,
        trusted_proxies: int = 0,
        **limits: Any,
    ) -> Server:
        server = Server(
            [listen("127.0.0.1", 0)],
            application,
            door or admit(),
            Limits(**limits),
            on_refused or (lambda request, refusal: None),
            proxies=Proxies(trusted_proxies),
        )
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def peer() -> Iterator[Callable[[Server], Peer]]:
    peers: list[Peer] = []

    def peer(server: Server) -> Peer:
        peers.append(Peer(server.port))
        return peers[-1]

    yield peer
    for each in peers:
        each.socket.close()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    """Call it to assert that nothing was logged as our error, nor printed."""
    caplog.set_level(logging.WARNING)

    def quiet() -> None:
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert not errors
        assert not any(record.exc_info for record in caplog.records)
        assert capfd.readouterr().err == ""

    return quiet


# -- the handshake


def test_a_charge_point_is_answered_as_rfc_6455_shows(start, peer):
    charge_point = peer(start())

    charge_point.send(request())

    status, headers, _ = charge_point.read_answer()
    assert status == 101
    assert headers == {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": ACCEPT,
        "sec-websocket-protocol": "ocpp1.6",
    }


def test_no_subprotocol_is_named_when_the_door_named_none(start, peer):
    headers = peer(start(admit(subprotocol=None))).shake_hands()

    assert "sec-websocket-protocol" not in headers


def test_compression_is_not_agreed_to(start, peer):
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}

    assert "sec-websocket-extensions" not in peer(start()).shake_hands(headers=offer)


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"},
        {"Connection": None},  # some charge points leave it out
        {"Upgrade": "h2c, websocket"},
        {"Content-Length": "0"},
    ],
)
def test_a_handshake_that_is_a_little_off_is_accepted(start, peer, headers):
    peer(start()).shake_hands(headers=headers)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "POST"}, (405, ("allow", "GET"))),
        ({"version": "HTTP/1.0"}, (400, None)),
        ({"headers": {"Sec-WebSocket-Version": None}}, (426, ("sec-websocket-version", "13"))),
        ({"headers": {"Sec-WebSocket-Version": "8"}}, (426, ("sec-websocket-version", "13"))),
        ({"headers": {"Sec-WebSocket-Key": None}}, (400, None)),
        ({"headers": {"Sec-WebSocket-Key": ""}}, (400, None)),
        ({"headers": {"Sec-WebSocket-Key": "!!!bad"}}, (400, None)),
        ({"headers": {"Sec-WebSocket-Key": "c2hvcnQ="}}, (400, None)),
        ({"headers": {"Sec-WebSocket-Key": KEY + KEY}}, (400, None)),
        ({"extra": f"Sec-WebSocket-Key: {KEY}\r\n"}, (400, None)),
        ({"headers": {"Content-Length": "2"}}, (400, None)),
        ({"headers": {"Transfer-Encoding": "chunked"}}, (400, None)),
    ],
)
def test_a_broken_handshake_is_refused_without_asking_the_door(
    start, peer, quiet, changes, expected
):
    status, header = expected
    asked: list[UpgradeRequest] = []
    refused: list[Any] = []
    server = start(asked.append, on_refused=lambda *facts: refused.append(facts))
    charge_point = peer(server)
    body = b"0\r\n\r\n" if "Transfer-Encoding" in changes.get("headers", {}) else b"{}"
    charge_point.send(request(**changes) + body)

    answered, headers, text = charge_point.read_answer()
    assert answered == status
    assert headers["connection"] == "close"
    assert headers["content-type"].startswith("text/plain")
    assert text
    assert header is None or headers[header[0]] == header[1]
    assert charge_point.ends()
    assert asked == []
    assert [refusal.status for _, refusal in refused] == [status]
    quiet()


def test_the_door_refuses_before_101(start, peer):
    refused: list[Any] = []
    refusal = Refusal(401, "Who are you?", (("WWW-Authenticate", 'Basic realm="CSMS"'),))
    server = start(lambda _: refusal, on_refused=lambda *facts: refused.append(facts))
    charge_point = peer(server)

    charge_point.send(request())

    status, headers, body = charge_point.read_answer()
    assert (status, body) == (401, b"Who are you?\n")
    assert headers["www-authenticate"] == 'Basic realm="CSMS"'
    assert headers["connection"] == "close"
    assert charge_point.ends()
    assert refused == []  # the door knows what it refused


def test_the_door_sees_the_request_as_it_was_sent(start, peer):
    seen: list[UpgradeRequest] = []

    def door(upgrade: UpgradeRequest) -> Refusal:
        seen.append(upgrade)
        return Refusal(404, "Unknown.")

    charge_point = peer(start(door))
    charge_point.send(
        request(
            path="///ocpp/RDAM%20123%2F1?token=a%20b",
            headers={"Authorization": "Basic \xff\xfe"},
            extra="Sec-WebSocket-Protocol: ocpp2.0.1\r\nSEC-WEBSOCKET-PROTOCOL: ocpp1.6\r\n",
        )
    )

    charge_point.read_answer()
    assert seen[0].path == "///ocpp/RDAM%20123%2F1"
    assert seen[0].query == "token=a%20b"
    assert seen[0].headers["authorization"] == "Basic \xff\xfe"
    assert seen[0].headers["sec-websocket-protocol"] == "ocpp2.0.1,ocpp1.6"
    assert seen[0].remote_address == "127.0.0.1"
    assert not seen[0].secure


def test_a_door_that_fails_is_a_500_and_gives_its_place_back(start, peer, caplog):
    def door(upgrade: UpgradeRequest) -> Refusal:
        if upgrade.path == "/bad":
            raise RuntimeError("our bug")
        return Refusal(404, "Unknown.")

    server = start(door, max_connections=1)
    unlucky = peer(server)
    unlucky.send(request(path="/bad"))

    assert unlucky.read_answer()[0] == 500
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]
    other = peer(server)
    other.send(request())
    assert other.read_answer()[0] == 404


def test_a_frame_right_behind_the_handshake_is_not_lost(start, peer):
    charge_point = peer(start())

    charge_point.send(request() + frame(TEXT, b"first") + frame(TEXT, b"second")[:5])
    assert charge_point.read_answer()[0] == 101
    charge_point.send(frame(TEXT, b"second")[5:])

    assert charge_point.read_frame() == (TEXT, b"first")
    assert charge_point.read_frame() == (TEXT, b"second")


def test_the_address_is_taken_as_many_proxies_back_as_are_trusted():
    headers = {"x-forwarded-for": "6.6.6.6, 198.51.100.7, 10.0.0.2"}

    assert remote_address_of("10.0.0.1", headers, 0) == "10.0.0.1"
    assert remote_address_of("10.0.0.1", headers, 1) == "10.0.0.2"
    assert remote_address_of("10.0.0.1", headers, 2) == "198.51.100.7"
    assert remote_address_of("10.0.0.1", headers, 4) == "10.0.0.1"
    assert remote_address_of("10.0.0.1", {}, 1) == "10.0.0.1"
    assert remote_address_of("::ffff:10.0.0.1", {}, 0) == "10.0.0.1"


def test_a_trusted_proxy_tells_the_address_and_that_the_link_is_secure(start, peer):
    seen: list[UpgradeRequest] = []

    def door(upgrade: UpgradeRequest) -> Refusal:
        seen.append(upgrade)
        return Refusal(404, "Unknown.")

    forwarded = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    for trusted_proxies in (0, 1):
        charge_point = peer(start(door, trusted_proxies=trusted_proxies))
        charge_point.send(request(headers=forwarded))
        charge_point.read_answer()

    assert [(each.remote_address, each.secure) for each in seen] == [
        ("127.0.0.1", False),
        ("198.51.100.7", True),
    ]


# -- limits


def test_beyond_the_limit_connections_are_told_to_come_back_later(start, peer):
    asked: list[UpgradeRequest] = []

    def door(upgrade: UpgradeRequest) -> Admission:
        asked.append(upgrade)
        return Admission("ocpp1.6", echo)

    refused: list[Any] = []
    server = start(door, max_connections=2, on_refused=lambda *facts: refused.append(facts))
    first = peer(server)
    first.shake_hands()
    peer(server).shake_hands()
    third = peer(server)
    third.send(request())

    status, headers, _ = third.read_answer()
    assert status == 503
    assert 5 <= int(headers["retry-after"]) <= 30
    assert len(asked) == 2
    assert [(upgrade.path, refusal.status) for upgrade, refusal in refused] == [
        ("/ocpp/CP001", 503)
    ]
    first.reset()
    until(lambda: len(server.websockets) == 1)
    peer(server).shake_hands()


def test_one_address_gets_no_more_than_its_share(start, peer):
    server = start(max_connections_per_address=1, trusted_proxies=1)
    peer(server).shake_hands(headers={"X-Forwarded-For": "198.51.100.7"})
    second = peer(server)
    second.send(request(headers={"X-Forwarded-For": "198.51.100.7"}))

    status, headers, _ = second.read_answer()
    assert status == 429
    assert "retry-after" in headers
    peer(server).shake_hands(headers={"X-Forwarded-For": "198.51.100.8"})


@pytest.mark.parametrize("sent", [b"", b"GET /ocpp", request()[:60], request()[:-2]])
def test_a_head_that_does_not_come_is_not_waited_for(start, peer, quiet, sent):
    charge_point = peer(start(header_timeout_s=0.2))

    charge_point.send(sent)

    assert charge_point.ends()
    quiet()


def test_a_head_that_trickles_in_is_not_waited_for(start, peer, quiet):
    server = start(header_timeout_s=0.4)
    charge_point = peer(server)

    def trickle() -> None:
        charge_point.send(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(int(PATIENCE_S / 0.05)):
                charge_point.send(b"X: y\r\n")
                gevent.sleep(0.05)

    trickling = gevent.spawn(trickle)

    assert charge_point.ends()
    trickling.get()
    quiet()


def test_the_deadline_of_the_head_ends_with_the_head(start, peer):
    def serve(ws: WebSocket) -> None:
        gevent.sleep(0.6)
        ws.send("still here")

    def slow(environ, start_response):
        gevent.sleep(0.6)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    server = start(admit(serve), application=slow, header_timeout_s=0.3)
    client, charge_point = peer(server), peer(server)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    charge_point.shake_hands()

    assert client.read_answer()[0] == 200
    assert charge_point.read_frame() == (TEXT, b"still here")


def test_endless_headers_are_refused(start, peer, quiet):
    refused: list[Any] = []
    charge_point = peer(start(on_refused=lambda *facts: refused.append(facts)))

    charge_point.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 33_000 + b"\r\n\r\n")

    assert charge_point.read_answer()[0] == 431
    assert [(request, refusal.status) for request, refusal in refused] == [(None, 431)]
    quiet()


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",  # TLS
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1\r\n\r\n",
        b"GET / HTTP/x.y\r\n\r\n",
        b"GET / JUNK\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n0123456789",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        b"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
def test_junk_is_a_400_and_no_error_of_ours(start, peer, quiet, junk):
    charge_point = peer(start())

    charge_point.send(junk)

    assert charge_point.read_answer()[0] == 400
    assert charge_point.ends()
    quiet()


def test_nothing_behind_a_body_whose_length_is_told_twice_is_a_request(start, peer, quiet):
    client = peer(start())

    client.send(b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"1\r\nx\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")

    assert client.read_answer()[::2] == (200, b"hello x")
    assert client.socket.recv(1) == b""
    quiet()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", request()[:80], request(), b"\xff\r\n\r\n"])
def test_a_peer_that_resets_is_no_error_of_ours(start, peer, quiet, sent):
    server = start()
    for _ in range(10):
        charge_point = peer(server)
        charge_point.send(sent)
        charge_point.reset()
    survivor = peer(server)

    survivor.shake_hands()

    until(lambda: len(server.websockets) == 1)
    quiet()


def test_an_oversized_message_is_cut_off_while_its_fragments_arrive(start, peer):
    """Memory stays bounded whatever the peer announces or goes on to send."""
    ended: list[WebSocket] = []

    def serve(ws: WebSocket) -> None:
        echo(ws)
        ended.append(ws)

    limit = 100_000
    charge_point = peer(start(admit(serve), max_message_bytes=limit))
    charge_point.shake_hands()
    fragment = frame(CONTINUATION, bytes(60_000), final=False)
    closed: list[Any] = []
    reader = gevent.spawn(lambda: closed.append(charge_point.read_close()))

    tracemalloc.start()
    try:
        charge_point.send(frame(TEXT, b"{", final=False))
        for _ in range(200):
            charge_point.send(fragment)
            gevent.sleep(0)
    except OSError:
        pass  # cut while we still wrote: as it should be
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    reader.get()

    assert closed == [(1009, "message too big")]
    until(lambda: ended)
    assert (ended[0].close_code, ended[0].close_reason) == (1009, "message too big")
    assert peak < 20 * limit


def test_the_message_limit_may_be_raised_on_an_open_socket(start, peer):
    def serve(ws: WebSocket) -> None:
        ws.max_message_bytes = 1000
        assert ws.max_message_bytes == 1000
        echo(ws)

    charge_point = peer(start(admit(serve), max_message_bytes=10))
    charge_point.shake_hands()

    charge_point.send(frame(TEXT, b"x" * 1000))

    assert charge_point.read_frame() == (TEXT, b"x" * 1000)


# -- an open socket


def test_a_ping_is_answered_while_nobody_sends(start, peer):
    charge_point = peer(start())
    charge_point.shake_hands()

    charge_point.send(frame(PING, b"are you there"))

    assert charge_point.read_frame() == (PONG, b"are you there")


def test_the_socket_tells_who_is_there_and_since_when(start, peer):
    seen: list[Any] = []

    def serve(ws: WebSocket) -> None:
        seen.append((ws.subprotocol, ws.remote_address, ws.is_open, ws.close_code))
        before = ws.last_received_at
        gevent.sleep(0.01)
        ws.receive()
        seen.append(ws.opened_at <= before < ws.last_received_at)

    charge_point = peer(start(admit(serve)))
    charge_point.shake_hands()
    charge_point.send(frame(PING) + frame(TEXT, b"x"))
    charge_point.read_close()

    assert seen == [("ocpp1.6", "127.0.0.1", True, None), True]


def test_the_peers_close_is_answered_with_its_code_and_told(start, peer):
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        assert ws.receive() is None
        ended.append((ws.close_code, ws.close_reason, ws.is_open, ws.receive()))
        with pytest.raises(ConnectionClosed) as closed:
            ws.send("too late")
        ended.append((closed.value.code, closed.value.reason))

    charge_point = peer(start(admit(serve)))
    charge_point.shake_hands()

    charge_point.send(frame(CLOSE, pack("!H", 1001) + b"going home"))

    assert charge_point.read_frame() == (CLOSE, pack("!H", 1001))
    assert charge_point.read(1) == b""
    assert ended == [(1001, "going home", False, None), (1001, "going home")]


@pytest.mark.parametrize("leave", [Peer.reset, lambda peer: peer.socket.close()])
def test_a_peer_that_is_gone_without_a_close_frame_is_1006(start, peer, quiet, leave):
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        assert ws.receive() is None
        ended.append((ws.close_code, ws.close_reason))

    server = start(admit(serve))
    charge_point = peer(server)
    charge_point.shake_hands()
    leave(charge_point)

    until(lambda: ended and not server.websockets)
    assert ended == [(1006, "connection lost")]
    quiet()


def test_when_the_served_function_returns_the_socket_is_closed_with_1000(start, peer):
    charge_point = peer(start(admit(lambda ws: ws.send("bye"))))
    charge_point.shake_hands()

    assert charge_point.read_frame() == (TEXT, b"bye")
    assert charge_point.read_close() == (1000, "")
    assert charge_point.read(1) == b""


def test_when_the_served_function_fails_the_socket_is_closed_with_1011(start, peer, caplog):
    def serve(ws: WebSocket) -> None:
        raise RuntimeError("our bug")

    charge_point = peer(start(admit(serve)))
    charge_point.shake_hands()

    assert charge_point.read_close() == (1011, "internal error")
    assert charge_point.ends()
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in failures] == ["csms.transport"]


def test_a_protocol_violation_is_closed_with_its_code_after_what_came_before(start, peer):
    charge_point = peer(start())
    charge_point.shake_hands()

    charge_point.send(frame(TEXT, b"fine") + b"\x81\x05naked")

    assert charge_point.read_frame() == (TEXT, b"fine")
    assert charge_point.read_close() == (1002, "frame not masked")
    assert charge_point.read(1) == b""


def test_a_retired_socket_closes_while_it_waits_for_a_message(start, peer):
    sockets: list[WebSocket] = []
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        sockets.append(ws)
        ended.append((ws.receive(), ws.is_open))

    charge_point = peer(start(admit(serve), ping_interval_s=0))
    charge_point.shake_hands()
    until(lambda: sockets)

    sockets[0].retire(1008, "replaced")
    sockets[0].retire(1001, "too late to change it")

    assert charge_point.read_close() == (1008, "replaced")
    assert ended == [(None, True)]
    sockets[0].retire(1001)


def test_the_receiver_of_a_closed_socket_does_not_wait_for_the_peer(start, peer, monkeypatch):
    monkeypatch.setattr(websocket, "CLOSE_DEADLINE_S", PATIENCE_S)
    sockets: list[WebSocket] = []
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        sockets.append(ws)
        ended.append(ws.receive())

    charge_point = peer(start(admit(serve)))
    charge_point.shake_hands()
    until(lambda: sockets)
    closing = gevent.spawn(sockets[0].close, 1008, "replaced")

    until(lambda: ended)
    assert not closing.ready()
    charge_point.read_close()
    charge_point.socket.close()
    closing.get()


def test_another_greenlet_may_close_the_socket_under_the_receiver(start, peer):
    sockets: list[WebSocket] = []
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        sockets.append(ws)
        ended.append(ws.receive())

    server = start(admit(serve))
    charge_point = peer(server)
    charge_point.shake_hands()
    until(lambda: sockets)
    closings = [gevent.spawn(sockets[0].close, 1008, "replaced") for _ in range(3)]

    assert charge_point.read_close() == (1008, "replaced")
    gevent.joinall(closings, raise_error=True)
    until(lambda: not server.websockets)
    assert ended == [None]
    assert (sockets[0].close_code, sockets[0].close_reason) == (1008, "replaced")
    sockets[0].close()


def test_a_peer_that_ignores_the_close_frame_is_cut(start, peer):
    server = start(admit(lambda ws: ws.close(1000)))
    charge_point = peer(server)
    charge_point.shake_hands()
    charge_point.send(frame(TEXT, b"la la la"))

    assert charge_point.read_frame() == (CLOSE, pack("!H", 1000))
    assert charge_point.ends()
    until(lambda: not server.websockets)


def test_an_aborted_socket_ends_at_once_for_both_sides(start, peer):
    sockets: list[WebSocket] = []
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        sockets.append(ws)
        ended.append((ws.receive(), ws.close_code, ws.close_reason))

    charge_point = peer(start(admit(serve)))
    charge_point.shake_hands()
    until(lambda: sockets)

    sockets[0].abort("taken over")

    assert charge_point.ends()
    until(lambda: ended)
    assert ended == [(None, 1006, "taken over")]
    sockets[0].abort()
    sockets[0].close()


# -- slow readers


def test_a_slow_reader_gets_every_frame_of_two_senders_whole(start, peer):
    each, size = 200, 60_000

    def serve(ws: WebSocket) -> None:
        def flood(letter: str) -> None:
            for i in range(each):
                ws.send(f"{letter}{i:06d}" + letter * size)

        senders = [gevent.spawn(flood, letter) for letter in "ab"]
        gevent.joinall(senders, raise_error=True)

    charge_point = peer(start(admit(serve), send_deadline_s=PATIENCE_S))
    charge_point.shake_hands()
    gevent.sleep(1)
    counts = {"a": 0, "b": 0}
    for i in range(2 * each):
        if i % 50 == 0:
            gevent.sleep(0.02)
        opcode, payload = charge_point.read_frame()
        letter = chr(payload[0])
        assert opcode == TEXT
        assert payload == f"{letter}{counts[letter]:06d}".encode() + letter.encode() * size
        counts[letter] += 1

    assert counts == {"a": each, "b": each}
    assert charge_point.read_close() == (1000, "")


def test_pings_and_the_close_frame_do_not_cut_into_a_frame_that_waits(start, peer):
    def serve(ws: WebSocket) -> None:
        sending = gevent.spawn(ws.send, "x" * 8_000_000)
        gevent.sleep(0.1)
        pinging = gevent.spawn(ws.ping, b"now")
        gevent.sleep(0.1)
        gevent.joinall([sending, pinging], raise_error=True)
        ws.close(1000, "done")

    charge_point = peer(start(admit(serve), send_deadline_s=PATIENCE_S))
    charge_point.shake_hands()
    gevent.sleep(0.5)

    assert charge_point.read_frame() == (TEXT, b"x" * 8_000_000)
    assert charge_point.read_frame() == (PING, b"now")
    assert charge_point.read_close() == (1000, "done")


def test_who_does_not_read_within_the_deadline_is_cut_and_all_senders_are_told(start, peer):
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        def send() -> None:
            with pytest.raises(ConnectionClosed):
                while True:
                    ws.send("x" * 500_000)
            ended.append((ws.close_code, ws.close_reason))

        gevent.joinall([gevent.spawn(send) for _ in range(3)], raise_error=True)

    server = start(admit(serve), send_deadline_s=0.3)
    charge_point = peer(server)
    charge_point.shake_hands()

    until(lambda: len(ended) == 3)
    assert ended == [(1006, "send deadline passed")] * 3
    assert charge_point.ends()
    until(lambda: not server.websockets)


def test_a_sender_killed_within_a_frame_takes_the_connection_with_it(start, peer):
    """Half a frame would garble whatever is sent after it."""
    reasons: list[str] = []

    def serve(ws: WebSocket) -> None:
        with gevent.Timeout(0.2, False):
            ws.send("x" * 8_000_000)
        reasons.append(ws.close_reason)

    charge_point = peer(start(admit(serve)))
    charge_point.shake_hands()

    assert until(lambda: reasons) == ["sender stopped within a frame"]
    assert charge_point.ends()


# -- silence


def test_a_silent_peer_is_pinged_and_then_given_up(start, peer):
    ended: list[Any] = []

    def serve(ws: WebSocket) -> None:
        ws.receive()
        ended.append((ws.close_code, ws.close_reason))

    charge_point = peer(start(admit(serve), ping_interval_s=0.4))
    charge_point.shake_hands()

    assert charge_point.read_frame() == (PING, b"")
    assert charge_point.ends()
    until(lambda: ended)
    assert ended == [(1006, "no sign of life")]


def test_who_answers_pings_or_talks_is_left_alone(start, peer):
    server = start(ping_interval_s=0.8)
    answering, talking, exempt = peer(server), peer(server), peer(server)
    for each in (answering, talking, exempt):
        each.shake_hands()
    last = until(lambda: len(server.websockets) == 3 and max(server.websockets, key=_opened))
    last.ping_interval_s = 0

    def talk() -> None:
        while True:
            talking.send(frame(TEXT, b"x"))
            assert talking.read_frame() == (TEXT, b"x")
            gevent.sleep(0.1)

    chatter = gevent.spawn(talk)
    for _ in range(4):
        assert answering.read_frame() == (PING, b"")
        answering.send(frame(PONG))

    assert not chatter.ready()
    chatter.kill()
    exempt.send(frame(TEXT, b"still here"))
    assert exempt.read_frame() == (TEXT, b"still here")


def _opened(ws: WebSocket) -> float:
    return ws.opened_at


def test_what_waits_unread_is_a_sign_of_life(start, peer):
    """The handler was busy for longer than any ping interval: not the peer's fault."""

    def serve(ws: WebSocket) -> None:
        ws.receive()
        gevent.sleep(1.0)
        ws.send("done at last")

    charge_point = peer(start(admit(serve), ping_interval_s=0.2))
    charge_point.shake_hands()
    charge_point.send(frame(TEXT, b"work") + frame(TEXT, b"more"))
    gevent.sleep(0.05)
    charge_point.send(frame(TEXT, b"and more"))

    opcode, payload = charge_point.read_frame()
    while opcode == PING:
        opcode, payload = charge_point.read_frame()
    assert payload == b"done at last"


# -- HTTP beside it


def test_everything_else_goes_to_the_application_and_connections_are_kept(start, peer):
    client = peer(start())

    for body in (b"", b"world"):
        client.send(f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        status, headers, answer = client.read_answer()
        assert (status, answer) == (200, b"hello " + body)
        assert "server" not in headers

    client.shake_hands()


def test_a_body_the_application_does_not_want_leaves_the_connection_usable(start, peer, quiet):
    def too_big(environ, start_response):
        start_response("413 Content Too Large", [("Content-Length", "0")])
        return [b""]

    client = peer(start(application=too_big))
    for _ in range(2):
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))

        assert client.read_answer()[0] == 413
    quiet()


@pytest.mark.parametrize("wants_body", [True, False])
def test_a_body_that_does_not_come_is_not_waited_for(start, peer, quiet, wants_body):
    def application(environ, start_response):
        if wants_body:
            environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    client = peer(start(application=application, body_timeout_s=0.3))

    client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")

    assert client.read_answer()[0] == (400 if wants_body else 200)
    assert client.ends()
    quiet()


def patient(environ, start_response):
    """Waits for its caller."""
    environ["csms.be_patient"]()
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_body_is_waited_for_where_the_application_is_patient(start, peer, quiet, chunked):
    client = peer(start(application=patient, body_timeout_s=0.2))
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 4"
    client.send(b"POST / HTTP/1.1\r\n" + length + b"\r\n\r\n")
    for piece in (b"ab", b"cd"):
        gevent.sleep(0.3)
        client.send(b"2\r\n" + piece + b"\r\n" if chunked else piece)
    client.send(b"0\r\n\r\n" if chunked else b"")

    assert client.read_answer()[::2] == (200, b"abcd")
    quiet()


def test_patience_ends_and_is_for_one_request(start, peer, quiet):
    impatient_too = [patient, hello]

    def application(environ, start_response):
        return impatient_too.pop(0)(environ, start_response)

    client = peer(start(application=application, body_timeout_s=0.2, patience_s=30.0))
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
    assert client.read_answer()[0] == 200
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
    assert client.read_answer()[0] == 400

    client = peer(start(application=patient, patience_s=0.2))
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
    assert client.read_answer()[0] == 400
    assert client.ends()
    quiet()


def test_a_patient_application_is_read_whole(start, peer, quiet):
    body = bytes(range(256)) * 1_000
    client = peer(start(application=patient))

    client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    assert client.read_answer()[::2] == (200, body)
    quiet()


@pytest.mark.parametrize("extension", [b"", b";" + b"x" * 8_000])
@pytest.mark.parametrize("reads", [True, False])
def test_a_body_in_tiny_chunks_lets_others_have_their_turn(start, peer, reads, extension):
    def application(environ, start_response):
        if reads:
            environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    turns = 0

    def others():
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    client = peer(start(application=application))
    chunk = b"1" + extension + b"\r\nx\r\n"
    body = chunk * (2_000_000 // len(chunk)) + b"0\r\n\r\n"
    client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    greenlets = [gevent.spawn(others), gevent.spawn(client.send, body + b"GET / HTTP/1.1\r\n\r\n")]
    answers = client.read_answer()[0], client.read_answer()[0]

    gevent.killall(greenlets)
    assert answers == (200, 200)
    # One for each 16 KiB; some more come about by how much fits into the buffers of sockets.
    assert turns > 110


def refuse_and_close(environ, start_response):
    start_response("413 Content Too Large", [("Content-Length", "0"), ("Connection", "close")])
    return [b""]


def test_a_body_that_was_refused_is_not_read_to_its_end(start, peer, quiet):
    client = peer(start(application=refuse_and_close))
    client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % 10**12)
    client.send(bytes(100_000))
    assert client.read_answer()[0] == 413

    sent = 0
    with pytest.raises(OSError):
        while sent < 10**9:
            client.send(bytes(65_536))
            sent += 65_536

    assert sent < 10**8
    quiet()


def test_who_asks_before_sending_is_refused_before_sending(start, peer, quiet):
    client = peer(start(application=refuse_and_close))

    client.send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")

    assert client.read_answer()[0] == 413
    assert client.ends()
    quiet()


def test_a_body_cut_short_is_no_error_of_ours(start, peer, quiet):
    client = peer(start())
    client.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")

    client.socket.shutdown(socket.SHUT_WR)

    assert client.read_answer()[0] == 400
    quiet()


def test_a_client_that_does_not_read_its_answer_is_let_go(start, peer, quiet):
    done = Event()

    def application(environ, start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            done.set()

    client = peer(start(application=application, send_deadline_s=0.3))
    client.send(b"GET / HTTP/1.1\r\n\r\n")

    assert done.wait(PATIENCE_S)
    assert client.ends()
    quiet()


def test_an_application_that_fails_is_a_500_and_logged_once(start, peer, caplog):
    def application(environ, start_response):
        raise RuntimeError("our bug")

    client = peer(start(application=application))
    client.send(b"GET / HTTP/1.1\r\n\r\n")

    assert client.read_answer()[0] == 500
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


# -- the end


def test_a_drain_answers_the_frame_in_hand_and_closes_with_1012(start, peer):
    working = Event()
    handled: list[Any] = []

    def serve(ws: WebSocket) -> None:
        while (message := ws.receive()) is not None:
            working.set()
            gevent.sleep(0.3)
            ws.send(f"done {message}")
            handled.append(message)
        handled.append((ws.close_code, ws.close_reason))

    hooks: list[bool] = []
    server = start(admit(serve), drain_s=PATIENCE_S)
    server.on_drain.append(lambda: hooks.append(server.draining))
    busy, idle = peer(server), peer(server)
    busy.shake_hands()
    idle.shake_hands()
    busy.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
    working.wait()
    draining = gevent.spawn(server.drain)

    assert busy.read_frame() == (TEXT, b"done one")
    assert busy.read_close() == (1012, "service restart")
    assert idle.read_close() == (1012, "service restart")
    assert busy.read(1) == idle.read(1) == b""
    draining.get()
    assert hooks == [True]
    # The second frame was not handled: the charge point keeps it and sends it again.
    assert handled.count("one") == 1
    assert "two" not in handled
    assert handled.count((1012, "service restart")) == 2
    server.drain()
    server.serve_forever()


def test_a_drain_refuses_new_connections_at_once(start, peer):
    release = Event()
    server = start(application=_slow(release), drain_s=PATIENCE_S)
    half_sent = peer(server)
    half_sent.send(request()[:40])
    asking = peer(server)
    asking.send(b"GET / HTTP/1.1\r\n\r\n")
    until(release.linkcount)
    draining = gevent.spawn(server.drain)
    until(lambda: server.draining)

    with pytest.raises(OSError) as refused:
        peer(server)
    assert refused.value.errno == errno.ECONNREFUSED
    half_sent.send(request()[40:])
    status, headers, _ = half_sent.read_answer()
    assert status == 503
    assert 5 <= int(headers["retry-after"]) <= 30
    release.set()
    assert asking.read_answer()[0] == 200
    draining.get()


def _slow(release: Event) -> Any:
    def application(environ, start_response):
        release.wait()
        start_response("200 OK", [("Content-Length", "4")])
        return [b"slow"]

    return application


def test_a_drain_lets_requests_finish_and_hangs_up_on_idle_clients(start, peer):
    release = Event()
    server = start(application=_slow(release), drain_s=PATIENCE_S, header_timeout_s=1000)
    idle, asking = peer(server), peer(server)
    asking.send(b"GET / HTTP/1.1\r\n\r\n")
    until(release.linkcount)
    draining = gevent.spawn(server.drain)

    assert idle.ends()
    assert not draining.ready()
    release.set()
    status, headers, body = asking.read_answer()
    assert (status, body, headers["connection"]) == (200, b"slow", "close")
    assert asking.ends()
    draining.get()


def test_a_connection_admitted_while_the_drain_begins_is_refused(start, peer):
    deciding, decide = Event(), Event()

    def door(upgrade: UpgradeRequest) -> Admission:
        deciding.set()
        decide.wait()
        return Admission("ocpp1.6", echo)

    server = start(door, drain_s=PATIENCE_S)
    charge_point = peer(server)
    charge_point.send(request())
    deciding.wait()
    draining = gevent.spawn(server.drain)
    until(lambda: server.draining)
    decide.set()

    assert charge_point.read_answer()[0] == 503
    draining.get()


def test_a_drain_ends_in_time_whatever_hangs(start, peer):
    """A handler that never returns, a peer that never reads, an application that sleeps."""

    def hang(ws: WebSocket) -> None:
        ws.receive()
        gevent.sleep(1000)

    def flood(ws: WebSocket) -> None:
        while True:
            ws.send("x" * 1_000_000)

    def door(upgrade: UpgradeRequest) -> Admission:
        return Admission(None, hang if upgrade.path == "/hang" else flood)

    server = start(door, application=_slow(Event()), drain_s=1.0)
    hanging, flooded, asking = peer(server), peer(server), peer(server)
    hanging.shake_hands(path="/hang")
    hanging.send(frame(TEXT, b"x"))
    flooded.shake_hands(path="/flood")
    asking.send(b"GET / HTTP/1.1\r\n\r\n")
    until(lambda: len(server.websockets) == 2)
    closed: list[Any] = []
    reader = gevent.spawn(lambda: closed.append(hanging.read_close()))

    server.drain()

    reader.get()
    assert closed == [(1012, "service restart")]
    assert flooded.ends()
    assert not server.websockets


def test_stop_ends_everything_at_once(start, peer):
    server = start()
    charge_point = peer(server)
    charge_point.shake_hands()
    waiting = gevent.spawn(server.serve_forever)
    gevent.sleep(0)

    server.stop()

    assert charge_point.ends()
    waiting.get()
    with pytest.raises(OSError):
        peer(server)


def test_two_servers_share_a_port_with_reuseport(peer):
    def named(name: bytes) -> Any:
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "1"), ("Connection", "close")])
            return [name]

        return application

    first = Server([listen("127.0.0.1", 0, reuse_port=True)], named(b"a"), admit())
    second = Server([listen("127.0.0.1", first.port, reuse_port=True)], named(b"b"), admit())
    first.start()
    second.start()
    answered = set()
    for _ in range(200):
        client = peer(first)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        answered.add(client.read_answer()[2])
        client.socket.close()
        if len(answered) == 2:
            break

    first.stop()
    second.stop()
    assert answered == {b"a", b"b"}


@pytest.mark.parametrize("patched", [[], ["-m", "gevent.monkey"]], ids=["plain", "patched"])
def test_the_server_works_in_a_process_of_its_own_and_drains_on_sigterm(patched):
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, *patched, root / "tests/transport/echo_app.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(root)},
    )
    try:
        port = int(process.stdout.readline())
        with blocking_socket.create_connection(("127.0.0.1", port), PATIENCE_S) as charge_point:
            charge_point.sendall(request() + frame(TEXT, json.dumps([2, "1", "H", {}]).encode()))
            received = b""
            while b"{}]" not in received:
                received += charge_point.recv(4096)
            process.terminate()
            while not received.endswith(encode_close(1012, "service restart")):
                received += charge_point.recv(4096)
            charge_point.sendall(frame(CLOSE, pack("!H", 1012)))
            assert charge_point.recv(1) == b""
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.communicate()
