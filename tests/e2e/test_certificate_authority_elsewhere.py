"""An authority that takes its time, over real sockets: nobody waits for it but who asked."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from signing_cast import EC_ROOT, ROOT, csr, leaf, pem_of
from system import Api, System, in_a_thread
from websockets.sync.client import ClientConnection, connect

from csms.domain.certificate_authority import Purpose, issue, pem_chain, subject

pytestmark = pytest.mark.e2e

SLOWNESS_S = 2.0
BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


class SlowAuthority(HTTPServer):
    """Signs after a while; asked: set once somebody does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = threading.Event()


class _Answer(BaseHTTPRequestHandler):
    server: SlowAuthority

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        time.sleep(SLOWNESS_S)
        chain = pem_chain([leaf(now_ms=int(time.time() * 1000)), ROOT.certificate])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(chain.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[SlowAuthority]:
    key = ec.generate_private_key(ec.SECP256R1())
    now_ms = int(time.time() * 1000)
    certificate = issue(
        EC_ROOT, key.public_key(), subject("localhost"), 7, Purpose.SERVER, now_ms, 9, ["localhost"]
    )
    path = tmp_path / "authority.pem"
    path.write_text(pem_chain([certificate]) + pem_of(key))
    server = SlowAuthority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def exchange(socket: ClientConnection, frame: str) -> Any:
    socket.send(frame)
    return json.loads(socket.recv(timeout=20))


def test_others_are_served_while_an_authority_thinks(
    own_system: System, authority: SlowAuthority
) -> None:
    web = own_system.start_web(
        CERTIFICATE_AUTHORITY=f"https://localhost:{authority.server_port}/sign",
        CERTIFICATE_AUTHORITY_ROOTS=pem_chain(EC_ROOT.chain).replace("\n", "\\n"),
    )
    api = Api(web.port)
    api.create_charge_point("CP001", security_profile=0)

    def story() -> tuple[Any, list[float], Any]:
        with connect(f"{web.ocpp_url}/CP001", subprotocols=["ocpp1.6"]) as socket:  # type: ignore[list-item]
            exchange(socket, BOOT)
            answer = exchange(socket, json.dumps([2, "s", "SignCertificate", {"csr": csr()}]))
            assert authority.asked.wait(20)
            waits = []
            for number in range(10):
                began = time.monotonic()
                beat = exchange(socket, f'[2,"h{number}","Heartbeat",{{}}]')
                assert beat[:2] == [3, f"h{number}"]
                waits.append(time.monotonic() - began)
            call = json.loads(socket.recv(timeout=20))
            socket.send(json.dumps([3, call[1], {"status": "Accepted"}]))
            exchange(socket, '[2,"last","Heartbeat",{}]')
            return answer, waits, call

    answer, waits, call = in_a_thread(story)

    assert answer == [3, "s", {"status": "Accepted"}]
    assert max(waits) < SLOWNESS_S / 2
    assert call[2] == "CertificateSigned"
    assert call[3]["certificateChain"].startswith("-----BEGIN CERTIFICATE-----\n")
    [request] = api.ok("GET", "/api/v1/certificate-requests")["items"]
    assert request["state"] == "accepted"
    [issued] = api.ok("GET", "/api/v1/charge-points/CP001/certificates")["issued"]
    assert issued["state"] == "pending"
