"""Reservations told as stories: an operator, a running system, and a charge point that answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from system import Api, System, Web, eventually

from chargepoint.charge_point import ChargePoint

pytestmark = pytest.mark.e2e

ID = "RESERVE-1"
PATH = f"/api/v1/charge-points/{ID}/reservations"


@pytest.fixture(scope="module")
def key(api: Api) -> str:
    for number in (1, 2):
        api.create_id_tag(f"GUEST-{number}", parent_id_tag="GUESTS")
    api.create_id_tag("STRANGER")
    return api.create_charge_point(ID)


@pytest.fixture
def charge_point(web: Web, key: str) -> Iterator[ChargePoint]:
    with ChargePoint(web.ocpp_url, ID, authorization_key=key) as charge_point:
        charge_point.wait_accepted()
        charge_point.wait_delivered()
        yield charge_point
        charge_point.wait_delivered()


def reserve(api: Api, **fields: Any) -> dict[str, Any]:
    """The reservation as it is once the charge point has answered."""
    body = {"connector_id": 1, "id_tag": "GUEST-1", "expires_in_s": 600, **fields}
    asked = api("POST", f"{PATH}?wait=30", body)
    assert asked.status == 200, asked.body
    reservation: dict[str, Any] = asked.body["reservation"]
    return reservation


def cancel(api: Api, reservation: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = api.ok("DELETE", f"{PATH}/{reservation['id']}?wait=30")
    return asked


def until(api: Api, reservation: dict[str, Any], state: str) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        found: dict[str, Any] = api.ok("GET", f"{PATH}/{reservation['id']}")
        return found if found["state"] == state else None

    return eventually(read, f"the reservation is {state}")  # type: ignore[no-any-return]


def status(api: Api, connector_id: int) -> str:
    found = api.ok("GET", f"/api/v1/charge-points/{ID}")["connectors"]
    return next(one["status"] for one in found if one["connector_id"] == connector_id)


def charge(charge_point: ChargePoint, id_tag: str, connector_id: int = 1) -> int:
    transaction = charge_point.start_transaction(connector_id, id_tag)
    charge_point.wait_delivered()
    transaction_id = transaction.transaction_id
    charge_point.stop_transaction(connector_id)
    charge_point.unplug(connector_id)
    charge_point.wait_delivered()
    assert transaction_id is not None
    return transaction_id


def test_accepted_and_used_by_its_tag(api: Api, charge_point: ChargePoint) -> None:
    """TC_046."""
    reservation = reserve(api)
    assert (reservation["state"], reservation["parent_id_tag"]) == ("accepted", "GUESTS")
    eventually(lambda: status(api, 1) == "Reserved", "the connector is reserved")

    transaction_id = charge(charge_point, "GUEST-1")
    used = until(api, reservation, "used")
    assert used["transaction_id"] == transaction_id
    transaction = api.ok("GET", f"/api/v1/transactions/{transaction_id}")
    assert transaction["reservation_id"] == reservation["id"]


def test_any_connector_is_used_where_somebody_comes(api: Api, charge_point: ChargePoint) -> None:
    """TC_049."""
    reservation = reserve(api, connector_id=0)
    assert reservation["state"] == "accepted"

    transaction_id = charge(charge_point, "GUEST-1", connector_id=2)
    assert until(api, reservation, "used")["transaction_id"] == transaction_id


def test_cancelled_and_cancelled_again(api: Api, charge_point: ChargePoint) -> None:
    """TC_051, TC_052."""
    reservation = reserve(api)
    assert cancel(api, reservation)["reservation"]["state"] == "cancelled"
    eventually(lambda: status(api, 1) == "Available", "the connector is free")

    again = cancel(api, reservation)
    assert again["command"]["answer"] == {"status": "Rejected"}
    assert again["reservation"]["state"] == "cancelled"


def test_one_that_the_charge_point_has_forgotten_is_lost(
    api: Api, charge_point: ChargePoint
) -> None:
    reservation = reserve(api)
    charge_point.end_reservation(reservation["id"])

    asked = cancel(api, reservation)
    assert asked["command"]["answer"] == {"status": "Rejected"}
    assert asked["reservation"]["state"] == "lost"


def test_a_connector_that_fails_loses_its_reservation(api: Api, charge_point: ChargePoint) -> None:
    reservation = reserve(api)
    charge_point.fault(1, "GroundFailure")

    assert until(api, reservation, "lost")["reason"] == "connector 1 reported Faulted"
    charge_point.clear_fault(1)


@pytest.mark.parametrize("state", ["Occupied", "Unavailable", "Faulted"])
def test_refused_with_the_charge_points_reason(
    api: Api, charge_point: ChargePoint, state: str
) -> None:
    """TC_048_1 to 3: it is asked, whatever the connector is doing."""
    match state:
        case "Occupied":
            charge_point.plug_in(1)
        case "Unavailable":
            wanted = {"connectorId": 1, "type": "Inoperative"}
            api.command(ID, "ChangeAvailability", wanted)
        case "Faulted":
            charge_point.fault(1, "GroundFailure")
    charge_point.wait_delivered()

    reservation = reserve(api)
    assert (reservation["state"], reservation["reason"]) == ("refused", state)

    charge_point.unplug(1)
    charge_point.clear_fault(1)
    api.command(ID, "ChangeAvailability", {"connectorId": 1, "type": "Operative"})
    charge_point.wait_delivered()


def test_a_change_replaces_and_a_refused_change_does_not(
    api: Api, charge_point: ChargePoint
) -> None:
    reservation = reserve(api)
    changed = reserve(api, reservation_id=reservation["id"], expires_in_s=1200, id_tag="GUEST-2")
    assert (changed["state"], changed["id_tag"]) == ("accepted", "GUEST-2")

    charge_point.fault(2, "GroundFailure")
    charge_point.wait_delivered()
    refused = reserve(api, reservation_id=reservation["id"], connector_id=2)
    assert (refused["state"], refused["connector_id"]) == ("accepted", 1)
    assert refused["reason"] == "a change was refused: Faulted"
    charge_point.clear_fault(2)
    cancel(api, reservation)


def test_expired_at_its_time_here_and_there(api: Api, charge_point: ChargePoint) -> None:
    """TC_047."""
    reservation = reserve(api, expires_in_s=3)

    assert until(api, reservation, "expired")["reason"] == ""
    eventually(lambda: status(api, 1) == "Available", "the connector is free")
    listed = api.ok("GET", "/api/v1/reservations?state=expired")["items"]
    assert reservation["id"] in [one["id"] for one in listed]


def test_expiry_is_written_down_by_whichever_sweeper_lives(own_system: System) -> None:
    """C33: two processes sweep, and one is killed; the record has one end."""
    webs = [own_system.start_web(), own_system.start_web()]
    api = Api(webs[0].port)
    api.create_id_tag("GUEST-1")
    key = api.create_charge_point(ID)
    with ChargePoint(webs[0].ocpp_url, ID, authorization_key=key) as charge_point:
        charge_point.wait_accepted()
        reservation = reserve(api, expires_in_s=4)
        assert reservation["state"] == "accepted"
        webs[1].kill_children()

        def ends() -> list[dict[str, Any]]:
            lines = [line for web in webs for line in web.log_lines()]
            return [
                line
                for line in lines
                if line["event"] == "reservation changed" and line["state"] == "expired"
            ]

        eventually(ends, "somebody has written the expiry down")
    assert len(ends()) == 1
