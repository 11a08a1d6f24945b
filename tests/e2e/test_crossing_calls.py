"""One CALL outstanding in each direction; the two directions cross freely (OCPP-J 1.6, 4.1.1)."""

import json
from typing import Any

import pytest
import websockets
from system import Api, Web, eventually
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.e2e

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


def receive(socket: ClientConnection) -> list[Any]:
    frame: list[Any] = json.loads(socket.recv(timeout=20))
    return frame


def test_calls_cross_and_the_second_waits_for_the_first_answer(web: Web, api: Api) -> None:
    api.create_charge_point("CROSS-1", security_profile=0)
    path = "/api/v1/charge-points/CROSS-1/commands"
    with connect(
        f"{web.ocpp_url}/CROSS-1",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        compression=None,
    ) as socket:
        socket.send(BOOT)
        receive(socket)
        first = api.ok("POST", path, {"action": "ClearCache"})
        second = api.ok("POST", path, {"action": "GetLocalListVersion"})
        kind, first_call, action, _ = receive(socket)
        assert (kind, action) == (2, "ClearCache")

        # Ours is unanswered: theirs is answered all the same, and no second one of ours comes.
        socket.send('[2,"1","Heartbeat",{}]')
        assert receive(socket)[:2] == [3, "1"]
        socket.send('[2,"2","Authorize",{"idTag":"X"}]')
        assert receive(socket)[:2] == [3, "2"]
        assert api.ok("GET", f"/api/v1/commands/{second['id']}")["state"] == "queued"

        socket.send(f'[3,"{first_call}",{{"status":"Accepted"}}]')
        kind, second_call, action, _ = receive(socket)
        assert (kind, action) == (2, "GetLocalListVersion")
        socket.send(f'[3,"{second_call}",{{"listVersion":-1}}]')

        def ended(command: dict[str, Any]) -> bool:
            return bool(api.ok("GET", f"/api/v1/commands/{command['id']}")["state"] == "answered")

        eventually(lambda: ended(first) and ended(second), "both commands are answered")


def test_a_silent_charge_point_times_out_and_its_late_answer_is_kept(web: Web, api: Api) -> None:
    api.create_charge_point("CROSS-2", security_profile=0, call_timeout_s=1)
    with connect(
        f"{web.ocpp_url}/CROSS-2",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        compression=None,
    ) as socket:
        socket.send(BOOT)
        receive(socket)
        path = "/api/v1/charge-points/CROSS-2/commands?wait=30"
        command = api.ok("POST", path, {"action": "ClearCache"})
        assert command["state"] == "timed_out"

        unique_id = receive(socket)[1]
        socket.send(f'[3,"{unique_id}",{{"status":"Accepted"}}]')
        socket.send('[2,"1","Heartbeat",{}]')
        receive(socket)

        late = api.ok("GET", f"/api/v1/commands/{command['id']}")
        assert (late["state"], late["late_answer"]) == ("timed_out", {"status": "Accepted"})
