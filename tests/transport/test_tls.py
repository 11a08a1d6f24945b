"""TLS on real sockets: versions, suites, client certificates, new files, and peers that stall."""

import os
import time
from base64 import b64encode
from ipaddress import ip_network
from ssl import OP_NO_TICKET, MemoryBIO, SSLError, SSLWantReadError, TLSVersion
from struct import pack
from urllib.parse import quote

import certificates
import gevent
import pytest
from certificates import issued, root, self_made, server
from cryptography import x509
from gevent import socket
from gevent.ssl import PROTOCOL_TLS_CLIENT, SSLContext
from structlog.testing import capture_logs

from csms import metrics
from csms.config import CertificateFiles, ClientCertificates
from csms.domain.client_certificates import PresentedCertificate
from csms.transport.listeners import listen
from csms.transport.server import Limits, Server
from csms.transport.tls import SUITES, TLSFiles, UnusableFile
from csms.transport.upgrade import Admission, Proxies, Refusal

pytestmark = pytest.mark.e2e

PATIENCE_S = 30.0
REQUIRED_SUITES = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "ec"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "ec"),
    ("AES128-GCM-SHA256", "rsa"),
    ("AES256-GCM-SHA384", "rsa"),
]
UPGRADE = (
    b"GET /ocpp/CP001 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Masked with the key 0."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65_536:
        length = b"\xfe" + pack("!H", size)
    else:
        length = b"\xff" + pack("!Q", size)
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


_opened = []


def opened(sock):
    """To be closed when the test is over."""
    _opened.append(sock)
    return sock


def dial(port):
    return opened(socket.create_connection(("127.0.0.1", port)))


def until(fact):
    with gevent.Timeout(PATIENCE_S):
        while not fact():
            gevent.sleep(0.005)
    return fact()


@pytest.fixture(autouse=True)
def patience():
    with gevent.Timeout(2 * PATIENCE_S):
        yield
    while _opened:
        _opened.pop().close()


@pytest.fixture(scope="module")
def roots():
    return {kind: root(kind) for kind in ("rsa", "ec")}


@pytest.fixture
def files(tmp_path, roots):
    """Certificates as an operator lays them out, with both roots for clients."""
    pairs = [
        CertificateFiles(*server(roots[kind], kind).write(tmp_path, kind)) for kind in ("rsa", "ec")
    ]
    client_roots = tmp_path / "client-ca.pem"
    client_roots.write_text("".join(certificates.pem_chain(r.chain) for r in roots.values()))
    return TLSFiles(pairs, client_roots)


def echo(ws):
    while (message := ws.receive()) is not None:
        ws.send(message)


def scheme(environ, start_response):
    body = f"{environ['wsgi.url_scheme']} {environ.get('HTTP_X_FORWARDED_FOR')}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Front:
    """A server with a plain port and three of TLS, and what it has seen."""

    def __init__(self, files, limits=None, proxies=None, serve=echo):
        self.seen = []
        self.failures = []

        def door(request):
            self.seen.append(request)
            return Admission(None, serve)

        self.server = Server(
            [
                listen("127.0.0.1", 0),
                *[
                    listen("127.0.0.1", 0, lambda d=demand: files.context(d))
                    for demand in ClientCertificates
                ],
            ],
            scheme,
            door,
            limits or Limits(),
            on_handshake_failed=lambda *facts: self.failures.append(facts),
            proxies=proxies,
        )
        self.server.start()
        self.plain, self.none, self.optional, self.required = self.server.ports


@pytest.fixture
def start(files):
    fronts = []

    def start(**more):
        fronts.append(Front(files, **more))
        return fronts[-1]

    yield start
    for front in fronts:
        front.server.stop()


@pytest.fixture
def trust(roots):
    """Contexts of clients that trust both roots, with this certificate or none."""

    def trust(client=None, directory=None, **changes):
        context = SSLContext(PROTOCOL_TLS_CLIENT)
        for authority in roots.values():
            context.load_verify_locations(cadata=certificates.pem_chain(authority.chain))
        if client is not None:
            context.load_cert_chain(*client.write(directory, "client"))
        for name, value in changes.items():
            if name == "ciphers":
                context.set_ciphers(value)
            else:
                setattr(context, name, value)
        return context

    return trust


def connect(port, context):
    return opened(context.wrap_socket(dial(port), server_hostname="localhost"))


def answer(secured):
    """The head of an HTTP answer."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = secured.recv(1)
        assert data, f"ended after {head!r}"
        head += data
    return head


def upgrade(secured, headers=b""):
    secured.sendall(UPGRADE + headers + b"\r\n")
    head = answer(secured)
    assert b" 101 " in head.splitlines()[0], head
    return secured


def said_back(secured, payload):
    secured.sendall(frame(payload))
    return read_text(secured, len(payload))


def read_text(secured, size):
    head = 2 if size < 126 else 4 if size < 65_536 else 10
    data = b""
    while len(data) < head + size:
        more = secured.recv(65_536)
        assert more, "the connection ended"
        data += more
    return data[head:]


def events(logged):
    return [line["event"] for line in logged]


# -- versions, suites, compression


@pytest.mark.parametrize(("suite", "kind"), REQUIRED_SUITES)
def test_each_suite_the_white_paper_demands_is_spoken_with_its_certificate(
    start, trust, suite, kind
):
    """TC_086; A00.FR.316."""
    context = trust(ciphers=suite, maximum_version=TLSVersion.TLSv1_2)

    secured = connect(start().none, context)

    assert secured.cipher()[0] == suite
    shown = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True))
    assert isinstance(shown.public_key(), type(certificates.key(kind).public_key()))
    assert secured.compression() is None
    upgrade(secured)


def test_tls_1_3_is_spoken(start, trust):
    secured = connect(start().none, trust())

    assert secured.version() == "TLSv1.3"
    upgrade(secured)


def test_tls_1_3_sends_no_ticket(start, trust):
    """There are clients that stumble over what comes while they send their request."""
    secured = upgrade(connect(start().none, trust()))

    assert said_back(secured, b"so that a ticket would have been read") != b""
    assert not secured.session.has_ticket


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [TLSVersion.TLSv1, TLSVersion.TLSv1_1])
def test_what_is_older_than_tls_1_2_is_refused(start, trust, version):
    front = start()
    context = trust(
        minimum_version=TLSVersion.TLSv1, maximum_version=version, ciphers="ALL:@SECLEVEL=0"
    )

    with pytest.raises(SSLError):
        connect(front.none, context)

    until(lambda: front.failures)
    assert front.failures == [("127.0.0.1", "it offers nothing newer than TLS 1.1")]


@pytest.mark.parametrize("suite", ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-CCM"])
def test_other_suites_are_refused(start, trust, suite):
    front = start()
    context = trust(ciphers=suite, maximum_version=TLSVersion.TLSv1_2)

    with pytest.raises(SSLError):
        connect(front.none, context)

    until(lambda: front.failures)
    assert "no cipher suite of ours" in front.failures[0][1]


def test_no_suite_of_ours_lacks_forward_secrecy_but_the_two_demanded(files):
    """Compression is off and nobody may renegotiate."""
    context = files.context(ClientCertificates.NONE)
    offered = {cipher["name"] for cipher in context.get_ciphers() if "TLS_" not in cipher["name"]}

    assert offered == set(SUITES)
    assert {name for name in SUITES if "ECDHE" not in name} == {
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    }


# -- frames and requests through TLS


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [1, 125, 126, 16_384, 16_385, 65_536, 700_000])
def test_messages_of_every_size_pass_both_ways(start, trust, version, size):
    context = trust(minimum_version=version, maximum_version=version)
    secured = upgrade(connect(start().none, context))
    payload = os.urandom(size // 2 + 1).hex()[:size].encode()

    assert said_back(secured, payload) == payload


def test_a_frame_that_arrives_with_the_upgrade_is_not_lost(start, trust):
    """In one record, longer than what a reader of HTTP takes at once."""
    secured = connect(start().none, trust())
    payload = b"x" * 12_000
    secured.sendall(UPGRADE + b"\r\n" + frame(payload))

    assert b" 101 " in answer(secured)
    assert read_text(secured, len(payload)) == payload


def test_a_record_that_trickles_in_is_waited_for(start, trust):
    """Half a record is no message, and no end of the link."""
    context = trust()
    into, out = MemoryBIO(), MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="localhost")
    raw = opened(dial(start().none))

    def pump(work, *arguments):
        while True:
            try:
                result = work(*arguments)
                raw.sendall(out.read())
                return result
            except SSLWantReadError:
                raw.sendall(out.read())
                into.write(raw.recv(65_536))

    pump(tls.do_handshake)
    tls.write(UPGRADE + b"\r\n")
    raw.sendall(out.read())
    head = b""
    while b"\r\n\r\n" not in head:
        head += pump(tls.read, 65_536)
    tls.write(frame(b"slowly"))
    for byte in out.read():
        raw.sendall(bytes((byte,)))
        gevent.sleep(0.002)

    assert pump(tls.read, 100)[2:] == b"slowly"


def test_many_senders_and_a_slow_reader_get_every_byte_in_order(start, trust):
    """More than the kernel buffers: TLS must write the same bytes again before any others."""
    served = []
    front = start(serve=lambda ws: (served.append(ws), echo(ws)))
    secured = upgrade(connect(front.none, trust()))
    until(lambda: served)
    (ws,) = served
    texts = [chr(65 + n) * (200_000 + n) for n in range(20)]
    senders = [gevent.spawn(ws.send, text) for text in texts]
    gevent.sleep(0.2)
    ws.nudge()
    received, data, total = [], b"", sum(map(len, texts))
    while sum(map(len, received)) < total:
        data += secured.recv(65_536)
        while len(data) >= 10 and (size := int.from_bytes(data[2:10], "big")) <= len(data) - 10:
            received.append(data[10 : 10 + size].decode())
            data = data[10 + size :]

    gevent.joinall(senders, raise_error=True)
    assert received == texts


def test_a_ping_for_which_there_is_no_room_does_not_garble_what_follows(start, trust):
    served = []
    front = start(serve=lambda ws: (served.append(ws), echo(ws)))
    secured = upgrade(connect(front.none, trust()))
    until(lambda: served)
    (ws,) = served
    while ws._turn is None:
        ws.nudge()
    sending = gevent.spawn(ws.send, "after")
    data = b""
    while not data.endswith(b"after"):
        data += secured.recv(65_536)

    sending.get()
    assert data.replace(b"\x89\x00", b"") == b"\x81\x05after"


def test_a_sender_stopped_while_it_waits_ends_the_link(start, trust):
    """TLS has encrypted a part of its frame: it can't be taken back."""
    served = []
    front = start(serve=lambda ws: (served.append(ws), echo(ws)))
    upgrade(connect(front.none, trust()))
    until(lambda: served)
    (ws,) = served
    sending = gevent.spawn(lambda: [ws.send("x" * 65_000) for _ in range(1_000)])
    until(lambda: ws._turn is not None)
    sending.kill()

    assert (ws.is_open, ws.close_reason) == (False, "sender stopped within a frame")


def test_the_link_ends_with_a_goodbye(start, trust):
    """A peer can tell an end from a cut."""
    secured = upgrade(connect(start().none, trust()))
    secured.sendall(frame(pack("!H", 1000), opcode=8))
    assert secured.recv(100) == b"\x88\x02\x03\xe8"
    secured.suppress_ragged_eofs = False

    assert secured.recv(100) == b""


def test_pages_and_programs_are_answered_on_the_same_port(start, trust):
    secured = connect(start().optional, trust())
    secured.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    secured.suppress_ragged_eofs = False
    text = b"".join(iter(lambda: secured.recv(65_536), b""))

    assert text.endswith(b"\r\n\r\nhttps None")


def test_the_door_is_told_that_tls_was_spoken(start, trust):
    front = start()
    upgrade(connect(front.none, trust()))
    plain = upgrade(dial(front.plain))

    assert said_back(plain, b"as ever") == b"as ever"
    assert [request.secure for request in front.seen] == [True, False]


# -- client certificates


@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("port", ["optional", "required"])
def test_a_good_client_certificate_reaches_the_door(
    start, trust, roots, tmp_path, version, kind, port
):
    front = start()
    client = issued(roots[kind], "SN-1", kind=kind)
    context = trust(client, tmp_path, minimum_version=version, maximum_version=version)

    upgrade(connect(getattr(front, port), context))

    assert front.seen[0].client_certificate == PresentedCertificate((client.der,), True)


def test_without_a_certificate_only_the_required_port_is_closed(start, trust):
    front = start()
    upgrade(connect(front.optional, trust()))

    with pytest.raises((SSLError, ConnectionError)):
        upgrade(connect(front.required, trust()))

    assert [request.client_certificate for request in front.seen] == [None]
    assert front.failures == [
        ("127.0.0.1", "it showed no client certificate, which this port needs")
    ]


BAD = {
    "foreign": lambda roots: (issued(root("ec", "Foreign"), "SN-1"), "issuer"),
    "expired": lambda roots: (issued(roots["ec"], "SN-1", days=-1), "expired"),
    "self-made": lambda roots: (self_made("SN-1"), "self-signed"),
    "of a server": lambda roots: (server(roots["ec"], "ec"), "purpose"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("port", ["optional", "required"])
def test_a_bad_client_certificate_ends_the_handshake(start, trust, roots, tmp_path, bad, port):
    front = start()
    client, said = BAD[bad](roots)

    with pytest.raises((SSLError, ConnectionError, AssertionError)):
        upgrade(connect(getattr(front, port), trust(client, tmp_path)))

    until(lambda: front.failures)
    assert front.seen == []
    assert said in front.failures[0][1]


def test_a_port_that_asks_for_none_does_not_mind_a_factory_certificate(start, trust, tmp_path):
    """A charge point of profile 2 may show one of its maker's wherever it is asked."""
    front = start()

    upgrade(connect(front.none, trust(self_made("SN-1"), tmp_path)))

    assert front.seen[0].client_certificate is None


def test_a_certificate_is_read_from_the_header_of_a_near_proxy_only(start, trust, roots):
    client = issued(roots["ec"], "SN-1")
    near = Proxies(1, (ip_network("127.0.0.0/8"),), "x-ssl-client-cert")
    header = b"X-SSL-Client-Cert: " + quote(client.pem).encode() + b"\r\n"
    forwarded = b"X-Forwarded-Proto: https\r\n"
    believing = start(proxies=near)
    upgrade(dial(believing.plain), header + forwarded)
    fronts = [
        start(proxies=proxies)
        for proxies in (
            Proxies(),
            Proxies(1),
            Proxies(1, (ip_network("10.0.0.0/8"),), "x-ssl-client-cert"),
            Proxies(0, (ip_network("127.0.0.0/8"),), "x-ssl-client-cert"),
            Proxies(1, (), "x-ssl-client-cert"),
        )
    ]
    for front in fronts:
        upgrade(dial(front.plain), header + forwarded)

    assert believing.seen[0].client_certificate == PresentedCertificate((client.der,), False)
    assert believing.seen[0].secure
    assert [front.seen[0].client_certificate for front in fronts] == [None] * 5


def test_a_header_said_twice_is_not_believed(start, roots):
    near = Proxies(1, (ip_network("127.0.0.0/8"),), "x-ssl-client-cert")
    front = start(proxies=near)
    header = b"X-SSL-Client-Cert: " + b64encode(issued(roots["ec"], "SN-1").der) + b"\r\n"

    upgrade(dial(front.plain), header + header)

    assert front.seen[0].client_certificate is None


def test_what_a_far_peer_says_of_proxies_reaches_nobody(start):
    front = start(proxies=Proxies(1, (ip_network("10.0.0.0/8"),)))
    forged = b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n"
    upgrade(dial(front.plain), forged)
    plain = dial(front.plain)
    plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + forged + b"\r\n")
    text = b"".join(iter(lambda: plain.recv(65_536), b""))

    assert (front.seen[0].remote_address, front.seen[0].secure) == ("127.0.0.1", False)
    assert text.endswith(b"http None")


# -- new files


def test_new_certificates_hold_from_the_next_handshake_and_open_sockets_stay(
    start, trust, roots, files, tmp_path
):
    front = start()
    context = trust(options=trust().options | OP_NO_TICKET)
    staying = upgrade(connect(front.none, context))
    before = staying.getpeercert()["serialNumber"]
    server(roots["ec"], "ec").write(tmp_path, "ec")
    server(roots["rsa"], "rsa").write(tmp_path, "rsa")

    files.look()
    first_look = connect(front.none, context).getpeercert()["serialNumber"]
    files.look()
    second_look = connect(front.none, context).getpeercert()["serialNumber"]

    assert (first_look == before, second_look == before) == (True, False)
    assert said_back(staying, b"still here") == b"still here"


@pytest.mark.parametrize("broken", ["ec.pem", "ec.key", "client-ca.pem"])
@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_files_that_can_t_be_used_leave_the_old_ones_in_force(
    start, trust, files, tmp_path, broken, content
):
    front = start()
    path = tmp_path / broken
    path.unlink()
    if content is not None:
        path.write_text(content)

    with capture_logs() as logged:
        for _ in range(5):
            files.look()

    assert events(logged) == ["new certificates can't be used"]
    upgrade(connect(front.none, trust()))


def test_the_key_of_another_certificate_is_no_key(files, tmp_path, trust, start, roots):
    (tmp_path / "ec.key").write_text(issued(roots["ec"], "other").key_pem)
    with capture_logs() as logged:
        files.look()
        files.look()

    assert events(logged) == ["new certificates can't be used"]
    upgrade(connect(start().none, trust()))


def test_new_roots_hold_for_the_next_client(start, trust, files, tmp_path):
    front = start()
    new = root("ec", "New")
    context = trust(issued(new, "SN-1"), tmp_path)
    with pytest.raises((SSLError, ConnectionError, AssertionError)):
        upgrade(connect(front.required, context))
    (tmp_path / "client-ca.pem").write_text(certificates.pem_chain(new.chain))
    files.look()
    files.look()

    upgrade(connect(front.required, context))
    assert files.client_roots == new.chain


def test_the_authority_of_our_own_is_trusted_beside_the_file(start, trust, tmp_path, roots):
    own, pair = root("ec", "Own"), server(roots["ec"], "ec").write(tmp_path, "own")
    files = TLSFiles([CertificateFiles(*pair)], None, own.chain)
    front = Front(files)
    upgrade(connect(front.required, trust(issued(own, "SN-1"), tmp_path)))
    front.server.stop()

    assert front.seen[0].client_certificate is not None
    assert files.client_roots == own.chain


def test_without_certificates_there_are_roots_for_what_proxies_pass_on(roots, tmp_path):
    (tmp_path / "ca.pem").write_text(certificates.pem_chain(roots["ec"].chain))

    files = TLSFiles([], tmp_path / "ca.pem")
    files.look()

    assert (files.client_roots, files.certificates) == (roots["ec"].chain, ())


def test_the_files_are_watched(files, tmp_path, roots, monkeypatch):
    monkeypatch.setattr("csms.transport.tls.LOOK_S", 0.01)
    before = files.certificates
    watching = gevent.spawn(files.watch_forever)
    server(roots["ec"], "ec", days=10).write(tmp_path, "ec")

    until(lambda: files.certificates != before)
    watching.kill()


def test_how_long_certificates_are_valid_is_told(files, tmp_path, roots):
    def days_left(algorithm):
        labels = {"common_name": "localhost", "algorithm": algorithm}
        return metrics.REGISTRY.get_sample_value("csms_tls_certificate_days_left", labels)

    with capture_logs() as before:
        files.look()
    assert 89 < days_left("RSA") <= 90
    server(roots["ec"], "ec", days=-1).write(tmp_path, "ec")
    with capture_logs() as after:
        for _ in range(4):
            files.look()

    assert days_left("ECDSA") < 0
    assert (events(before), events(after)) == (
        [],
        ["certificates read anew", "certificate ends soon"],
    )


@pytest.mark.parametrize(
    ("name", "content", "setting"),
    [
        ("ec.pem", None, "TLS_CERTIFICATES"),
        ("ec.key", None, "TLS_CERTIFICATES"),
        ("ec.pem", "nothing", "TLS_CERTIFICATES"),
        ("client-ca.pem", None, "TLS_CLIENT_CA"),
        ("client-ca.pem", "nothing", "TLS_CLIENT_CA"),
    ],
)
def test_unusable_files_at_the_start_are_told(files, tmp_path, name, content, setting):
    path = tmp_path / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    pair = CertificateFiles(tmp_path / "ec.pem", tmp_path / "ec.key")

    with pytest.raises(UnusableFile) as problem:
        TLSFiles([pair], tmp_path / "client-ca.pem")

    assert problem.value.setting == setting
    assert name in problem.value.problem


def test_without_roots_nobody_is_asked_for_a_certificate(tmp_path, roots):
    files = TLSFiles([CertificateFiles(*server(roots["ec"], "ec").write(tmp_path, "ec"))], None)

    assert files.context(ClientCertificates.OPTIONAL).verify_mode == 0


# -- peers that stall, and the end


def test_silent_peers_keep_nobody_waiting_and_are_hung_up_on(start, trust):
    front = start(limits=Limits(header_timeout_s=1.0))
    silent = [dial(front.none) for _ in range(50)]
    half = dial(front.none)
    half.sendall(b"\x16\x03\x01\x02\x00")
    began = time.monotonic()
    upgrade(connect(front.none, trust()))
    took_s = time.monotonic() - began

    assert [peer.recv(1) for peer in (*silent, half)] == [b""] * 51
    assert took_s < 1.0
    assert {problem for _, problem in front.failures} == {"it took too long"}
    assert len(front.server.websockets) == 1


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it spoke HTTP without TLS"),
        (b"nothing like it", "what it sent was not TLS"),
        (b"\x16\x03\x01\x00\x05\x01\x00", "it hung up during the handshake"),
    ],
)
def test_what_is_not_tls_is_told_in_plain_words(start, sent, problem):
    front = start()
    peer = dial(front.none)
    peer.sendall(sent)
    peer.shutdown(socket.SHUT_WR)

    until(lambda: front.failures)
    assert front.failures == [("127.0.0.1", problem)]


def test_who_only_tries_the_port_is_not_worth_a_word(start, trust):
    front = start()
    dial(front.none).close()
    upgrade(connect(front.none, trust()))

    assert front.failures == []


def test_a_client_that_does_not_trust_us_is_told_of(start):
    front = start()
    with pytest.raises(SSLError):
        connect(front.none, SSLContext(PROTOCOL_TLS_CLIENT))

    until(lambda: front.failures)
    assert "does not trust our certificate's authority" in front.failures[0][1]


def test_places_are_those_of_all_ports_together(start, trust):
    front = start(limits=Limits(max_connections=2))
    upgrade(connect(front.none, trust()))
    plain = upgrade(dial(front.plain))
    third = connect(front.optional, trust())
    third.sendall(UPGRADE + b"\r\n")

    assert b" 503 " in answer(third)
    plain.close()
    until(lambda: len(front.server.websockets) == 1)
    upgrade(connect(front.optional, trust()))


def test_a_drain_ends_what_is_on_every_port(start, trust):
    front = start()
    plain = upgrade(dial(front.plain))
    secured = upgrade(connect(front.none, trust()))
    shaking = dial(front.required)
    until(lambda: front.server.waiting)
    began = time.monotonic()
    draining = gevent.spawn(front.server.drain)

    for link in (plain, secured):
        data = link.recv(100)
        assert data[:4] == b"\x88\x11\x03\xf4"
        link.sendall(frame(data[2:], opcode=8))
    assert shaking.recv(1) == b""
    draining.get()
    assert time.monotonic() - began < 3.0
    assert front.failures == []
    for port in front.server.ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_refusal_is_read_to_its_end(files, trust):
    server_ = Server(
        [listen("127.0.0.1", 0, lambda: files.context(ClientCertificates.NONE))],
        scheme,
        lambda request: Refusal(403, "Not here."),
    )
    server_.start()
    secured = connect(server_.port, trust())
    secured.suppress_ragged_eofs = False
    secured.sendall(UPGRADE + b"\r\n")
    text = b"".join(iter(lambda: secured.recv(65_536), b""))
    server_.stop()

    assert text.endswith(b"Not here.\n")
