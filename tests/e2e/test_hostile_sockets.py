"""Frames nobody should send: always an answer or a clean close, and the process goes on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import websockets
from system import Api, Web, tracebacks
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.e2e

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


@contextmanager
def admitted(web: Web, api: Api, charge_point_id: str) -> Iterator[ClientConnection]:
    """Connected, profile 0, booted."""
    api("POST", "/api/v1/charge-points", {"id": charge_point_id, "security_profile": 0})
    with connect(
        f"{web.ocpp_url}/{charge_point_id}",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        compression=None,
        max_size=None,
    ) as socket:
        socket.send(BOOT)
        assert '"Accepted"' in str(socket.recv(timeout=20))
        yield socket


ANSWERED_WITH_ERROR = {
    "unknown action": ('[2,"1","HeartBeat",{}]', "NotImplemented"),
    "action as path": ('[2,"1","../../v201/schemas/HeartbeatRequest",{}]', "NotImplemented"),
    "payload is a list": ('[2,"1","Authorize",[]]', "FormationViolation"),
    "payload is a text": ('[2,"1","Authorize","ALICE"]', "FormationViolation"),
    "missing field": ('[2,"1","Authorize",{}]', "OccurenceConstraintViolation"),
    "null field": ('[2,"1","Authorize",{"idTag":null}]', "OccurenceConstraintViolation"),
    "wrong type": ('[2,"1","Authorize",{"idTag":["A"]}]', "TypeConstraintViolation"),
    "bad enumeration": (
        '[2,"1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Odd"}]',
        "PropertyConstraintViolation",
    ),
    "connector out of reach": (
        '[2,"1","StatusNotification",'
        '{"connectorId":2000000,"errorCode":"NoError","status":"Available"}]',
        "PropertyConstraintViolation",
    ),
    "not a number": ('[2,"1","Heartbeat",{"x":NaN}]', "FormationViolation"),
    "infinite": ('[2,"1","Heartbeat",{"x":Infinity}]', "FormationViolation"),
    "broken behind the id": ('[2,"1","Heartbeat",{"x"', "FormationViolation"),
    "lone surrogate": ('[2,"1","Authorize",{"idTag":"\\ud800"}]', "FormationViolation"),
    "NUL": ('[2,"1","Authorize",{"idTag":"A\\u0000B"}]', "FormationViolation"),
    "deep": ('[2,"1","Heartbeat",' + "[" * 30_000 + "]" * 30_000 + "]", "FormationViolation"),
}


@pytest.mark.parametrize("name", ANSWERED_WITH_ERROR)
def test_a_hostile_call_is_answered_with_its_error(web: Web, api: Api, name: str) -> None:
    frame, code = ANSWERED_WITH_ERROR[name]
    with admitted(web, api, "HOSTILE-1") as socket:
        socket.send(frame)
        answer = json.loads(socket.recv(timeout=20))

        assert answer[:3] == [4, "1", code]
        assert isinstance(answer[3], str)
        assert isinstance(answer[4], dict)
        socket.send('[2,"2","Heartbeat",{}]')
        assert json.loads(socket.recv(timeout=20))[:2] == [3, "2"]


IGNORED = ["", " ", "{}", "[]", "null", "[1,2,3]", "[5]", '["2"]', "[true]", "hello", "\ufeff[]"]
IGNORED += ['[3,"nobody-asked",{}]', '[4,"nobody-asked","GenericError","",{}]', "[2]", '[2,""]']


@pytest.mark.parametrize("frame", IGNORED, ids=repr)
def test_what_can_not_be_answered_is_ignored_and_the_link_stays(
    web: Web, api: Api, frame: str
) -> None:
    with admitted(web, api, "HOSTILE-2") as socket:
        socket.send(frame)
        socket.send('[2,"2","Heartbeat",{}]')

        assert json.loads(socket.recv(timeout=20))[:2] == [3, "2"]


def test_the_last_of_doubled_keys_counts(web: Web, api: Api) -> None:
    with admitted(web, api, "HOSTILE-3") as socket:
        socket.send('[2,"1","Authorize",{"idTag":"A","idTag":"B"}]')

        assert json.loads(socket.recv(timeout=20))[2] == {"idTagInfo": {"status": "Invalid"}}


def close_code(socket: ClientConnection) -> int:
    with pytest.raises(websockets.ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=20)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_a_binary_message_ends_the_link_cleanly(web: Web, api: Api) -> None:
    with admitted(web, api, "HOSTILE-4") as socket:
        socket.send(b'[2,"1","Heartbeat",{}]')

        assert close_code(socket) == 1003


def test_a_message_beyond_the_limit_ends_the_link_cleanly(web: Web, api: Api) -> None:
    with admitted(web, api, "HOSTILE-5") as socket:
        socket.send('[2,"1","DataTransfer",{"vendorId":"V","data":"' + "x" * 1_100_000 + '"}]')

        assert close_code(socket) == 1009


def test_malformed_messages_in_a_row_end_the_link(web: Web, api: Api) -> None:
    with admitted(web, api, "HOSTILE-6") as socket:
        for _ in range(10):
            socket.send("garbage")

        assert close_code(socket) == 1008


def test_nothing_hostile_leaves_a_traceback(web: Web, api: Api) -> None:
    with admitted(web, api, "HOSTILE-7") as socket:
        for frame, _ in ANSWERED_WITH_ERROR.values():
            socket.send(frame)
            socket.recv(timeout=20)

    assert tracebacks(web) == []
    assert all(line["event"] for line in web.log_lines())


def test_before_its_boot_is_accepted_a_charge_point_may_only_boot(web: Web, api: Api) -> None:
    api.create_charge_point("GATE-1", security_profile=0, admission="pending", retry_interval_s=7)
    with connect(
        f"{web.ocpp_url}/GATE-1",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        compression=None,
    ) as socket:
        socket.send('[2,"1","Heartbeat",{}]')
        assert json.loads(socket.recv(timeout=20))[:3] == [4, "1", "SecurityError"]
        socket.send(BOOT)
        answer = json.loads(socket.recv(timeout=20))
        assert (answer[2]["status"], answer[2]["interval"]) == ("Pending", 7)
        socket.send('[2,"2","Heartbeat",{}]')
        assert json.loads(socket.recv(timeout=20))[:3] == [4, "2", "SecurityError"]

        forbidden = api(
            "POST",
            "/api/v1/charge-points/GATE-1/commands",
            {"action": "RemoteStartTransaction", "payload": {"idTag": "A", "connectorId": 1}},
        )
        assert forbidden.status == 409
        assert "Pending" in forbidden.body["detail"]

        api.ok("PATCH", "/api/v1/charge-points/GATE-1", {"admission": "accepted"})
        socket.send(BOOT)
        assert json.loads(socket.recv(timeout=20))[2]["status"] == "Accepted"
        socket.send('[2,"3","Heartbeat",{}]')
        assert json.loads(socket.recv(timeout=20))[:2] == [3, "3"]


def test_a_rejected_charge_point_is_told_when_to_come_back(web: Web, api: Api) -> None:
    api.create_charge_point("GATE-2", security_profile=0, admission="rejected", retry_interval_s=9)
    with connect(
        f"{web.ocpp_url}/GATE-2",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        compression=None,
    ) as socket:
        socket.send(BOOT)
        answer = json.loads(socket.recv(timeout=20))
        assert (answer[2]["status"], answer[2]["interval"]) == ("Rejected", 9)

        refused = api("POST", "/api/v1/charge-points/GATE-2/commands", {"action": "ClearCache"})
        assert refused.status == 409
        assert "Rejected" in refused.body["detail"]


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        ('[3,"ID",[]]', "refused", "InvalidAnswer"),
        ('[3,"ID","Accepted"]', "refused", "InvalidAnswer"),
        ('[3,"ID",{"status":"Perhaps"}]', "refused", "InvalidAnswer"),
        ('[3,"ID",{}]', "refused", "InvalidAnswer"),
        ('[4,"ID","NotSupported","",{}]', "refused", "NotSupported"),
        ('[4,"ID"]', "refused", "GenericError"),
        ('[4,"ID",7,8,9]', "refused", "GenericError"),
    ],
)
def test_an_answer_that_makes_no_sense_ends_the_command_and_not_the_link(
    web: Web, api: Api, answer: str, state: str, code: str
) -> None:
    with admitted(web, api, "HOSTILE-8") as socket:
        trigger = {"action": "TriggerMessage", "payload": {"requestedMessage": "Heartbeat"}}
        queued = api.ok("POST", "/api/v1/charge-points/HOSTILE-8/commands", trigger)
        unique_id = json.loads(socket.recv(timeout=20))[1]
        socket.send(answer.replace("ID", unique_id))
        socket.send('[2,"2","Heartbeat",{}]')

        assert json.loads(socket.recv(timeout=20))[:2] == [3, "2"]
        command = api.ok("GET", f"/api/v1/commands/{queued['id']}")
        assert (command["state"], command["error"]["code"]) == (state, code)
