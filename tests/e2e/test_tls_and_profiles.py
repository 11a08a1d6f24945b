"""TLS and security profiles with the processes its users start: certificates made, ports open, a
charge point led from profile 1 to 3, new certificates taken without a restart."""

import base64
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import websockets
from system import ROOT, Api, System, Web, eventually, free_port
from websockets.sync.client import ClientConnection, connect

from csms.development_certificates import DevelopmentFiles

pytestmark = pytest.mark.e2e

KEY = "00112233445566778899aabbccddeeff00112233"
BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


def make_certificates(directory: Path, *arguments: str) -> DevelopmentFiles:
    """As `make certs` does."""
    subprocess.run(
        [sys.executable, "-m", "csms.development_certificates", "--name", "csms.test", *arguments],
        cwd=ROOT,
        env={**os.environ, "CSMS_VAR": str(directory)},
        check=True,
        capture_output=True,
    )
    return DevelopmentFiles(directory / "certs")


class Front:
    """A running system with one port for each demand of client certificates."""

    def __init__(self, system: System) -> None:
        self.files = make_certificates(system.directory)
        make_certificates(system.directory, "--client", "TLS-1", "--organisation", "A CPO")
        self.optional, self.required = free_port(), free_port()
        self.web: Web = system.start_web(
            **self.files.environment() | {"TLS_PORTS": f"{self.optional} {self.required}:required"},
            CPO_NAME="A CPO",
            WEB_CONCURRENCY="2",
        )
        self.api = Api(self.web.port)

    def context(self, client: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.files.roots))
        if client is not None:
            context.load_cert_chain(self.files.chain(client), self.files.key(client))
        return context

    def knock(
        self, profile: int, client: str | None = None, port: int | None = None
    ) -> ClientConnection:
        """As a charge point of a security profile connects."""
        headers = {}
        if profile in {1, 2}:
            credentials = b"TLS-1:" + bytes.fromhex(KEY)
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
        secure = profile >= 2
        port = port or (self.optional if secure else self.web.port)
        return connect(
            f"{'wss' if secure else 'ws'}://localhost:{port}/ocpp/TLS-1",
            ssl=self.context(client) if secure else None,
            subprotocols=[websockets.Subprotocol("ocpp1.6")],
            additional_headers=headers,
            compression=None,
        )

    def refusal(self, profile: int) -> int:
        with pytest.raises(websockets.InvalidStatus) as refused:
            self.knock(profile)
        return refused.value.response.status_code

    def change_profile(self, socket: ClientConnection, profile: int) -> dict[str, Any]:
        """ChangeConfiguration, accepted by the charge point at the other end of socket."""
        socket.send(BOOT)
        assert '"Accepted"' in str(socket.recv(timeout=30))
        settled: list[Any] = []
        payload = {"key": "SecurityProfile", "value": str(profile)}
        operator = threading.Thread(
            target=lambda: settled.append(self.api.command("TLS-1", "ChangeConfiguration", payload))
        )
        operator.start()
        call = str(socket.recv(timeout=30))
        unique_id = call.split('"')[1]
        socket.send(f'[3,"{unique_id}",{{"status":"Accepted"}}]')
        operator.join()
        return settled[0]

    def record(self) -> tuple[int, int | None]:
        read = self.api.ok("GET", "/api/v1/charge-points/TLS-1")
        return read["security_profile"], read["pending_security_profile"]


@pytest.fixture
def front(own_system: System) -> Front:
    return Front(own_system)


def test_a_charge_point_is_led_from_profile_1_to_3_and_never_back(front: Front) -> None:
    """TC_083, twice, and TC_087."""
    front.api.create_charge_point("TLS-1", authorization_key=KEY)
    with front.knock(1) as socket:
        assert front.change_profile(socket, 2)["state"] == "answered"
    assert front.record() == (1, 2)
    with front.knock(1):  # it falls back
        pass

    with front.knock(2) as socket:
        assert front.record() == (2, None)
        assert front.change_profile(socket, 3)["state"] == "answered"
    assert front.refusal(1) == 403
    with front.knock(3, "client-TLS-1"):
        pass

    assert front.record() == (3, None)
    assert front.refusal(1) == 403
    assert front.refusal(2) == 403
    with front.knock(3, "client-TLS-1", front.required):
        pass
    with pytest.raises((OSError, websockets.WebSocketException)):
        front.knock(3, port=front.required)
    lowered = front.api(
        "POST",
        "/api/v1/charge-points/TLS-1/commands",
        {"action": "ChangeConfiguration", "payload": {"key": "SecurityProfile", "value": "2"}},
    )
    assert lowered.status == 422
    assert "A00.FR.005" in lowered.body["errors"][0]["problem"]
    assert (
        front.api.ok("GET", "/api/v1/charge-points/TLS-1")["client_certificate"]["common_name"]
        == "TLS-1"
    )
    reasons = {
        refused["reason"] for refused in front.api.ok("GET", "/api/v1/refused-connections")["items"]
    }
    assert "no client certificate" in reasons
    assert any("showed no client certificate" in reason for reason in reasons)


def test_new_certificates_are_taken_by_every_process_while_sockets_stay(front: Front) -> None:
    front.api.create_charge_point("TLS-1", authorization_key=KEY, security_profile=2)

    def serial() -> str:
        with front.knock(2) as socket:
            return str(socket.socket.getpeercert()["serialNumber"])  # type: ignore[attr-defined]

    before = serial()
    with front.knock(2) as staying:
        make_certificates(front.files.directory.parent)
        eventually(
            lambda: all(serial() != before for _ in range(10)), "the new certificate is shown"
        )
        # A newer socket has displaced it, which it is told over TLS as ever.
        with pytest.raises(websockets.ConnectionClosed) as closed:
            staying.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_the_virtual_charge_point_comes_with_its_certificate(front: Front) -> None:
    """`python -m chargepoint` with --ca, --certificate and --key-file."""
    front.api.create_charge_point("TLS-1", security_profile=3)
    charge_point = subprocess.Popen(
        [
            *(sys.executable, "-m", "chargepoint", "--id", "TLS-1"),
            *("--url", f"wss://localhost:{front.required}/ocpp"),
            *("--ca", str(front.files.roots)),
            *("--certificate", str(front.files.chain("client-TLS-1"))),
            *("--key-file", str(front.files.key("client-TLS-1"))),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        connection = eventually(
            lambda: front.api.ok("GET", "/api/v1/charge-points?connected=true")["items"],
            "it is connected",
        )[0]["connection"]
    finally:
        charge_point.terminate()
        charge_point.wait(20)

    assert connection["secure"] is True


def test_a_file_that_is_missing_is_told_by_the_virtual_charge_point() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "chargepoint", "--id", "X", "--url", "wss://x", "--ca", "/nowhere"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )

    assert told.returncode == 2
    assert b"--ca, --certificate and --key-file" in told.stderr


def test_wrong_files_stop_the_start_and_are_named(own_system: System) -> None:
    port = free_port()
    environment = own_system.environment(
        port, TLS_PORTS=str(free_port()), TLS_CERTIFICATES="/nowhere.pem:/nowhere.key"
    )
    ended = subprocess.run(
        [sys.executable, "wsgi.py"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=60,
    )

    assert ended.returncode == 78
    assert b"csms: TLS_CERTIFICATES: /nowhere.pem" in ended.stderr
