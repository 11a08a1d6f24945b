"""The resource `commands`."""

import threading
import time

import pytest

from csms import clock
from csms.commands.requests import REQUESTS
from csms.domain.command import CommandError, CommandState

URL = "/api/v1/charge-points/CP001/commands"
RESET = {"action": "Reset", "payload": {"type": "Soft"}}


def settle_next(around, epoch, state, **result):
    """What the process that holds the socket does, once there is a command."""
    commands = around.parts.stores.commands
    deadline = time.monotonic() + 30
    taken = None
    while taken is None and time.monotonic() < deadline:
        taken, _ = commands.take("CP001", epoch, "u1", clock.now_ms())
    commands.settle("CP001", taken.command_id, state, clock.now_ms(), **result)
    commands.no_longer_due(taken.command_id)
    around.parts.waiting.wake(taken.command_id)


def test_command_is_recorded_and_answered_at_once(api, connected):
    queued = api.post(URL, json=RESET)

    assert queued.status_code == 202
    assert queued.headers["Location"] == f"/api/v1/commands/{queued.json['id']}"
    assert queued.json["state"] == "queued"
    assert queued.json["action"] == "Reset"
    assert queued.json["payload"] == {"type": "Soft"}
    assert queued.json["requested_by"] == "api:bootstrap"
    assert queued.json["answer"] is None
    assert api.get(queued.headers["Location"]).json == queued.json


def test_who_waits_gets_the_answer(api, around, connected):
    owner = threading.Thread(
        target=settle_next,
        args=(around, connected, CommandState.ANSWERED),
        kwargs={"answer": {"status": "Rejected"}},
    )
    owner.start()

    settled = api.post(f"{URL}?wait=30", json=RESET)

    owner.join()
    assert settled.status_code == 200
    assert settled.json["state"] == "answered"
    assert settled.json["answer"] == {"status": "Rejected"}
    assert settled.json["unique_id"] == "u1"
    assert settled.json["sent_at"] <= settled.json["settled_at"]


def test_refusal_by_the_charge_point_carries_its_error(api, around, connected):
    owner = threading.Thread(
        target=settle_next,
        args=(around, connected, CommandState.REFUSED),
        kwargs={"error": CommandError("NotSupported", "no", {"why": 1})},
    )
    owner.start()

    settled = api.post(f"{URL}?wait=30", json=RESET)

    owner.join()
    assert settled.json["state"] == "refused"
    assert settled.json["error"] == {
        "code": "NotSupported",
        "description": "no",
        "details": {"why": 1},
    }


def test_who_waits_in_vain_gets_the_command_as_it_is(api, connected):
    waited = api.post(f"{URL}?wait=0.01", json=RESET)

    assert waited.status_code == 202
    assert waited.json["state"] == "queued"


def test_drain_ends_the_waiting(api, around, connected):
    around.draining = True
    began = time.monotonic()

    waited = api.post(f"{URL}?wait=120", json=RESET)

    assert waited.status_code == 202
    assert time.monotonic() - began < 60


def test_charge_point_that_is_not_connected_is_409(api, cast):
    refused = api.post(URL, json=RESET)

    assert refused.status_code == 409
    assert refused.json["detail"] == "CP001 is not connected."
    assert api.get(URL).json["items"] == []


def test_command_may_wait_for_the_connection(api, cast):
    queued = api.post(URL, json={**RESET, "deadline_s": 600})

    assert queued.status_code == 202
    assert queued.json["state"] == "queued"
    assert queued.json["deadline_at"] > queued.json["created_at"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "reset"}, "action"),
        ({"action": "Reset"}, "payload.type"),
        ({"action": "Reset", "payload": []}, "payload"),
        ({"action": "Reset", "payload": None}, "payload"),
        ({"action": "Reset", "payload": {"type": "Firm"}}, "payload.type"),
        (
            {"action": "RemoteStartTransaction", "payload": {"connectorId": 0, "idTag": "A"}},
            "payload.connectorId",
        ),
        (
            {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": "x"}},
            "payload.value",
        ),
        ({**RESET, "deadline_s": 0}, "deadline_s"),
        ({**RESET, "deadline_s": "5"}, "deadline_s"),
        ({**RESET, "deadline": 5}, "deadline"),
    ],
)
def test_bad_command_is_named(api, connected, body, field):
    refused = api.post(URL, json=body)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json["errors"]] == [field]
    assert api.get(URL).json["items"] == []


@pytest.mark.parametrize("wait", ["-1", "121", "nan", "soon"])
def test_bad_wait_is_named(api, connected, wait):
    refused = api.post(f"{URL}?wait={wait}", json=RESET)

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "wait"


def test_same_idempotency_key_is_the_same_command(api, connected):
    headers = {"Idempotency-Key": "k1"}

    first = api.post(URL, json=RESET, headers=headers)
    second = api.post(URL, json=RESET, headers=headers)
    other = api.post(URL, json={"action": "ClearCache"}, headers=headers)

    assert first.json["id"] == second.json["id"]
    assert other.status_code == 422
    assert other.json["type"] == "urn:csms:idempotency-conflict"
    assert len(api.get(URL).json["items"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "smörgås"])
def test_bad_idempotency_key_is_named(api, connected, key):
    refused = api.post(URL, json=RESET, headers={"Idempotency-Key": key})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "Idempotency-Key"


def test_forbidden_command_says_the_rule(api, connected, stores):
    stores.charge_points.update("CP001", registration="Pending")

    refused = api.post(
        URL, json={"action": "RemoteStartTransaction", "payload": {"idTag": "ALICE"}}
    )

    assert refused.status_code == 409
    assert refused.json["type"] == "urn:csms:command-forbidden"
    assert "Pending" in refused.json["detail"]


def test_secret_in_a_command_is_masked_everywhere(api, connected, stores):
    key = "00112233445566778899aabbccddeeff"
    payload = {"key": "AuthorizationKey", "value": key}

    queued = api.post(URL, json={"action": "ChangeConfiguration", "payload": payload})

    assert queued.status_code == 202
    assert key not in queued.text
    assert key not in api.get(URL).text


def test_list_is_by_charge_point_and_state_newest_first(api, around, connected):
    first = api.post(URL, json=RESET).json["id"]
    second = api.post(URL, json={"action": "ClearCache"}).json["id"]
    settle_next(around, connected, CommandState.ANSWERED, answer={"status": "Accepted"})

    def ids(path, **query):
        return {item["id"] for item in api.get(path, query_string=query).json["items"]}

    assert ids(URL) == ids("/api/v1/commands") == {first, second}
    assert ids(URL, state="answered") == {first}
    assert ids("/api/v1/commands", state="queued") == {second}
    assert ids("/api/v1/commands", charge_point_id="CP001", state="answered") == {first}
    assert ids("/api/v1/commands", charge_point_id="CP002") == set()


def test_list_is_paged(api, connected):
    queued = {api.post(URL, json=RESET).json["id"] for _ in range(5)}

    seen, cursor, pages = set(), None, 0
    while pages == 0 or cursor:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = api.get("/api/v1/commands", query_string=query).json
        seen |= {item["id"] for item in page["items"]}
        cursor = page["next_cursor"]
        pages += 1

    assert seen == queued
    assert pages == 3


@pytest.mark.parametrize("cursor", ["x", "1", "١:x", "1" * 40 + ":x", ":"])
def test_foreign_cursor_is_named(api, connected, cursor):
    for path in (URL, "/api/v1/commands", "/api/v1/transactions", "/api/v1/refused-connections"):
        refused = api.get(path, query_string={"cursor": cursor})

        assert refused.status_code == 422
        assert refused.json["errors"][0]["field"] == "cursor"


def test_unknown_command_and_state(api):
    assert api.get("/api/v1/commands/nothing").status_code == 404
    refused = api.get("/api/v1/commands?state=lost")
    assert refused.status_code == 422
    assert refused.json["errors"] == [
        {"field": "state", "problem": f"must be one of {', '.join(CommandState)}"}
    ]


def test_every_operation_of_a_central_system_is_offered():
    core = {
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "DataTransfer",
        "GetConfiguration",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "Reset",
        "UnlockConnector",
    }

    assert core <= set(REQUESTS)
