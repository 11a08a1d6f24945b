"""The link: handshakes that succeed and fail, and how a link ends."""

import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from honest_central_system import HonestCentralSystem, wait_until

from chargepoint.wire import Link, LinkLost, Refused, client_context


def test_password_and_decoded_identity_go_into_the_authorization_header(central_system):
    link = Link.connect(f"{central_system.url}/RDAM%20123", authorization=b"\x00\xff:\x10")

    link.abort()
    assert central_system.links[0]["user"] == b"RDAM 123"
    assert central_system.links[0]["password"] == b"\x00\xff:\x10"
    assert central_system.links[0]["path"].endswith("/RDAM%20123")
    assert link.subprotocol == "ocpp1.6"


def test_refusal_carries_status_headers_and_body(central_system):
    central_system.password = b"right"

    with pytest.raises(Refused) as refusal:
        Link.connect(f"{central_system.url}/CP001", authorization=b"wrong")

    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"] == 'Basic realm="ocpp"'
    assert refusal.value.body == b"who are you\n"


def test_link_without_agreed_subprotocol_says_so():
    with HonestCentralSystem(subprotocol=False) as central_system:
        link = Link.connect(f"{central_system.url}/CP001")

        assert link.subprotocol is None
        link.abort()


@pytest.mark.parametrize(
    ("separator", "header"), [(", ", "ocpp0.1, ocpp1.6"), (",", "ocpp0.1,ocpp1.6")]
)
def test_subprotocols_are_offered_with_the_separator_asked_for(central_system, separator, header):
    link = Link.connect(
        f"{central_system.url}/CP001",
        subprotocols=("ocpp0.1", "ocpp1.6"),
        subprotocol_separator=separator,
    )

    link.abort()
    assert central_system.links[0]["subprotocols"] == header
    assert link.response_headers["sec-websocket-protocol"] == "ocpp1.6"


def test_nobody_listening_is_a_lost_link():
    with pytest.raises(LinkLost):
        Link.connect("ws://127.0.0.1:9/ocpp/CP001", timeout_s=5)


def test_closed_link_ends_reading_and_refuses_sending(central_system):
    link = Link.connect(f"{central_system.url}/CP001")

    link.close(1000)

    assert link.receive() is None
    assert link.close_code == 1000
    with pytest.raises(LinkLost):
        link.send("[]")


def test_aborted_link_is_gone_for_the_peer_as_well(central_system):
    link = Link.connect(f"{central_system.url}/CP001")
    wait_until(lambda: central_system._connection is not None)

    link.abort()

    assert link.receive() is None
    assert link.close_code == 1006
    wait_until(lambda: central_system._connection.close_code is not None)
    assert central_system._connection.close_code == 1006


def test_fragments_and_pings_between_them_are_one_message(central_system):
    link = Link.connect(f"{central_system.url}/CP001")
    wait_until(lambda: central_system._connection is not None)

    async def send_in_pieces() -> None:
        await central_system._connection.send(["[3,", '"é",', "{}]"])
        await (await central_system._connection.ping())

    future = asyncio.run_coroutine_threadsafe(send_in_pieces(), central_system._loop)

    assert link.receive() == '[3,"é",{}]'
    reader = gevent.spawn(link.receive)
    wait_until(future.done, "pong")
    link.abort()
    assert reader.get() is None


def test_peer_that_stops_reading_keeps_the_link_and_hears_nothing(central_system):
    link = Link.connect(f"{central_system.url}/CP001")
    reader = gevent.spawn(link.receive)
    link.stop_reading()

    link.send('[2,"1","Heartbeat",{}]')
    wait_until(lambda: central_system.payloads("Heartbeat"))

    assert not reader.ready()
    link.abort()
    assert reader.get() is None


def test_tls_is_spoken_and_the_certificate_checked(tmp_path):
    certificate = self_signed(tmp_path)
    with HonestCentralSystem(tls=certificate) as central_system:
        link = Link.connect(
            f"{central_system.url}/CP001",
            ssl_context=client_context(str(tmp_path / "certificate.pem")),
        )
        link.send('[2,"1","Heartbeat",{}]')

        assert "currentTime" in link.receive()
        link.close()
        assert link.receive() is None
        with pytest.raises(LinkLost, match="CERTIFICATE_VERIFY_FAILED"):
            Link.connect(f"{central_system.url}/CP001")


def test_context_that_would_block_every_greenlet_is_refused(central_system):
    with pytest.raises(TypeError):
        Link.connect(
            central_system.url.replace("ws:", "wss:") + "/CP001",
            ssl_context=ssl.create_default_context(),
        )


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server context for 127.0.0.1, its certificate in `folder`/certificate.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "central system")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
