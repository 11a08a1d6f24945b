"""Smart charging told as stories: an operator, a running system, and a charge point that answers
with a composite schedule of its own making."""

from collections.abc import Iterator
from typing import Any

import pytest
from system import Api, Web, eventually

from chargepoint.charge_point import ChargePoint

pytestmark = pytest.mark.e2e

ID = "CHARGING-1"
PATH = f"/api/v1/charge-points/{ID}/charging-profiles"
COMPOSITE = f"/api/v1/charge-points/{ID}/composite-schedule"


@pytest.fixture(scope="module")
def key(api: Api) -> str:
    api.create_id_tag("DRIVER")
    return api.create_charge_point(ID)


@pytest.fixture
def charge_point(web: Web, api: Api, key: str) -> Iterator[ChargePoint]:
    with ChargePoint(web.ocpp_url, ID, authorization_key=key) as charge_point:
        charge_point.wait_accepted()
        charge_point.wait_delivered()
        yield charge_point
        charge_point.wait_delivered()
        api.ok("DELETE", f"{PATH}?all=true&wait=30")


def profile(purpose: str = "TxDefaultProfile", limit: float = 16, **fields: Any) -> dict[str, Any]:
    return {
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
        **fields,
    }


def install(api: Api, wanted: dict[str, Any], **fields: Any) -> dict[str, Any]:
    done = api("POST", f"{PATH}?wait=30", {"profile": wanted, **fields})
    assert done.status == 200, done.body
    installed: dict[str, Any] = done.body
    return installed


def states(api: Api) -> dict[int, str]:
    listed = api.ok("GET", f"{PATH}?state=any")["items"]
    return {one["charging_profile_id"]: one["state"] for one in listed}


def test_both_reckon_the_same(api: Api, charge_point: ChargePoint) -> None:
    """Stack levels, a recurrence and a limit of the whole, reckoned by two who share no code."""
    daily = {
        "startSchedule": "2026-01-01T00:00:00Z",
        "duration": 50_000,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": start, "limit": limit}
            for start, limit in ((0, 6), (10_000, 10), (30_000, 8))
        ],
    }
    recurring = {
        "stackLevel": 1,
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily",
        "chargingSchedule": daily,
    }
    whole = {
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            **profile(limit=9)["chargingSchedule"],
            "startSchedule": "2026-01-01T00:00:00Z",
        },
    }
    install(api, profile(limit=14), connector_id=1)
    install(api, profile(**recurring), connector_id=1)
    install(api, profile("ChargePointMaxProfile", **whole))

    asked = api.ok("POST", COMPOSITE, {"connector_id": 1, "duration_s": 2 * 86_400})

    assert asked["answer"]["payload"]["status"] == "Accepted"
    limits = {period["limit"] for period in asked["computed"]["periods"]}
    assert limits == {6, 9, 8}
    assert asked["compared_from"] is not None
    assert asked["differences"] == []


def test_a_profile_of_the_transaction_replaces_and_ends(
    api: Api, charge_point: ChargePoint
) -> None:
    """TC_059, and then errata 3.42: the remote start's profile, and one that replaces it."""
    remote = {**profile("TxProfile", 12), "chargingProfileId": 901}
    start = api.command(
        ID,
        "RemoteStartTransaction",
        {"idTag": "DRIVER", "connectorId": 1, "chargingProfile": remote},
    )
    assert start["answer"] == {"status": "Accepted"}
    charge_point.plug_in(1)

    def running() -> dict[str, Any] | None:
        listed = api.ok("GET", PATH)["items"]
        return next((p for p in listed if p["transaction_id"] is not None), None)

    bound = eventually(running, "the profile has its transaction")
    assert (bound["charging_profile_id"], bound["connector_id"]) == (901, 1)

    second = install(api, profile("TxProfile", 7), transaction_id=bound["transaction_id"])
    assert second["state"] == "installed"
    assert states(api)[901] == "replaced"
    asked = api.ok("POST", COMPOSITE, {"connector_id": 1, "duration_s": 600})
    assert [period["limit"] for period in asked["computed"]["periods"]] == [7]
    assert asked["differences"] == []

    charge_point.stop_transaction(1)
    charge_point.unplug(1)
    charge_point.wait_delivered()

    def over() -> bool:
        return states(api)[second["charging_profile_id"]] == "ended"

    eventually(over, "the profile has ended with its transaction")


def test_the_charge_point_refuses_what_it_can_not(api: Api, charge_point: ChargePoint) -> None:
    refused = install(api, profile(), connector_id=9)

    assert refused["state"] == "refused"
    assert "PropertyConstraintViolation" in refused["reason"]
