"""SIGTERM: sockets closed with 1012, leases given back, all within five seconds."""

import base64
import time

import pytest
import websockets
from system import Api, System
from websockets.sync.client import connect

pytestmark = pytest.mark.e2e


def test_sigterm_closes_sockets_with_1012_and_gives_the_charge_points_back(
    own_system: System,
) -> None:
    leaving, staying = own_system.start_web(), own_system.start_web()
    api = Api(staying.port)
    key = api.create_charge_point("CP001")
    basic = base64.b64encode(b"CP001:" + bytes.fromhex(key)).decode()
    with connect(
        f"{leaving.ocpp_url}/CP001",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {basic}"},
    ) as socket:
        shown = api.ok("GET", "/api/v1/charge-points/CP001")
        assert shown["connection"]["connected"] is True

        began = time.monotonic()
        leaving.process.terminate()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            socket.recv(timeout=10)
        code = leaving.process.wait(20)
        took_s = time.monotonic() - began

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert code == 0
    assert took_s < 5
    shown = api.ok("GET", "/api/v1/charge-points/CP001")
    assert shown["connection"]["connected"] is False
    assert shown["connection"]["reason"] == "this process was stopped"
    assert own_system.store.alive()
