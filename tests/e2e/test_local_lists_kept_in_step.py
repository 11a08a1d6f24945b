"""A local authorization list of some size, from id tags to the memory of a charge point."""

from collections.abc import Iterator
from typing import Any

import pytest
from system import Api, Web, eventually, in_a_thread

from chargepoint.charge_point import ChargePoint
from chargepoint.options import Options

pytestmark = pytest.mark.e2e

TAGS = 450
GROUP = "in-step"
LIST = "/api/v1/charge-points/IN-STEP/local-list"
CALM = Options(reconnect_first_s=0.1, reconnect_max_s=0.5)


@pytest.fixture
def charge_point(web: Web, api: Api) -> Iterator[ChargePoint]:
    """IN-STEP, which takes 200 entries a message, and should have 450 tags."""

    def enter_the_tags() -> None:
        for number in range(TAGS):
            api.create_id_tag(f"STEP{number:04}", tag_groups=[GROUP])

    in_a_thread(enter_the_tags)
    key = api.create_charge_point("IN-STEP", local_list=f"group:{GROUP}")
    with ChargePoint(web.ocpp_url, "IN-STEP", authorization_key=key, options=CALM) as charge_point:
        charge_point.wait_accepted(30)
        api.command("IN-STEP", "GetConfiguration")
        yield charge_point
        api.ok("DELETE", "/api/v1/charge-points/IN-STEP")


def updates(charge_point: ChargePoint, since: int) -> list[tuple[int, str, int]]:
    """Version, type and length of each SendLocalList among what was received."""
    return [
        (
            payload["listVersion"],
            payload["updateType"],
            len(payload["localAuthorizationList"]),
        )
        for action, payload in list(charge_point.conversation.received)[since:]
        if action == "SendLocalList"
    ]


def sync(api: Api, charge_point: ChargePoint, **body: Any) -> list[tuple[int, str, int]]:
    """What a sync that ended in step has sent."""
    since = len(charge_point.conversation.received)
    shown = api.ok("POST", f"{LIST}/sync?wait=60", body)
    assert shown["state"] == "in_step", shown
    received = list(charge_point.conversation.received)[since:]
    assert received[0] == ("GetLocalListVersion", {})
    assert shown["acknowledged_version"] == charge_point.known_id_tags.local_list_version
    assert shown["acknowledged_entries"] == len(charge_point.known_id_tags.local_list)
    return updates(charge_point, since)


def test_a_list_is_brought_and_kept_in_step(api: Api, charge_point: ChargePoint) -> None:
    known = charge_point.known_id_tags
    assert sync(api, charge_point) == [
        (1, "Full", 200),
        (2, "Differential", 200),
        (3, "Differential", 50),
    ]
    assert set(known.local_list) == {f"step{number:04}" for number in range(TAGS)}
    assert known.find("STEP0007") == "Accepted"

    api.ok("PATCH", "/api/v1/id-tags/STEP0007", {"status": "Blocked"})
    assert api.ok("GET", LIST)["differences"] == {"added": 0, "changed": 1, "removed": 0}
    assert sync(api, charge_point) == [(4, "Differential", 1)]
    assert known.find("STEP0007") == "Blocked"
    assert sync(api, charge_point) == []

    # It loses its memory.
    known.local_list.clear()
    known.local_list_version = 0
    api.ok("DELETE", "/api/v1/id-tags/STEP0008")
    assert sync(api, charge_point) == [
        (5, "Full", 200),
        (6, "Differential", 200),
        (7, "Differential", 49),
    ]

    # It does not take the next difference, whatever its reason.
    answer = charge_point.answers["SendLocalList"]

    def refuse_once(request: dict[str, Any]) -> dict[str, Any]:
        charge_point.answers["SendLocalList"] = answer
        return {"status": "VersionMismatch"}

    charge_point.answers["SendLocalList"] = refuse_once
    api.ok("DELETE", "/api/v1/id-tags/STEP0009")
    assert sync(api, charge_point) == [
        (8, "Differential", 1),
        (9, "Full", 200),
        (10, "Differential", 200),
        (11, "Differential", 48),
    ]

    # By hand: it is known what it has, so that the difference is.
    by_hand = {"idTag": "BY-HAND", "idTagInfo": {"status": "Accepted"}}
    payload = {
        "updateType": "Differential",
        "listVersion": 12,
        "localAuthorizationList": [by_hand, {"idTag": "STEP0001"}],
    }
    assert api.command("IN-STEP", "SendLocalList", payload)["answer"] == {"status": "Accepted"}
    shown = api.ok("GET", LIST)
    assert (shown["state"], shown["acknowledged_version"]) == ("out_of_step", 12)
    assert shown["differences"] == {"added": 1, "changed": 0, "removed": 1}

    # By itself.
    api.ok("PATCH", "/api/v1/charge-points/IN-STEP", {"local_list_auto_sync": True})
    eventually(lambda: known.local_list_version == 13, "it is synced by itself")
    eventually(lambda: api.ok("GET", LIST)["state"] == "in_step", "and in step")
    assert "by-hand" not in known.local_list
    assert len(known.local_list) == TAGS - 2
