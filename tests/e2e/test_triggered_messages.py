"""What a trigger brings is linked to the command that asked for it (OCPP 1.6 ed. 2, 5.17)."""

from typing import Any

import pytest
from system import Api, Web, eventually

from chargepoint.charge_point import ChargePoint

pytestmark = pytest.mark.e2e


def brought(api: Api, command: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The messages linked to a command, once there are so many."""

    def enough() -> list[dict[str, Any]] | None:
        messages = api.ok("GET", f"/api/v1/commands/{command['id']}")["triggered"]
        return messages if len(messages) >= count else None

    linked: list[dict[str, Any]] = eventually(enough, f"{count} messages are linked")
    return linked


def test_messages_are_linked_to_the_command_that_asked_for_them(web: Web, api: Api) -> None:
    key = api.create_charge_point("TRIGGER-1")
    with ChargePoint(web.ocpp_url, "TRIGGER-1", authorization_key=key) as charge_point:
        charge_point.wait_accepted()
        charge_point.wait_delivered()

        heartbeat = api.command("TRIGGER-1", "TriggerMessage", {"requestedMessage": "Heartbeat"})
        statuses = api.command(
            "TRIGGER-1", "TriggerMessage", {"requestedMessage": "StatusNotification"}
        )
        meters = api.command(
            "TRIGGER-1", "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2}
        )

        [message] = brought(api, heartbeat, 1)
        assert (message["action"], message["connector_id"]) == ("Heartbeat", None)
        assert message["unique_id"]
        connectors = [message["connector_id"] for message in brought(api, statuses, 3)]
        assert sorted(connectors) == [0, 1, 2]
        [message] = brought(api, meters, 1)
        assert (message["action"], message["connector_id"]) == ("MeterValues", 2)


def test_a_refused_trigger_brings_nothing(web: Web, api: Api) -> None:
    key = api.create_charge_point("TRIGGER-2")
    with ChargePoint(web.ocpp_url, "TRIGGER-2", authorization_key=key) as charge_point:
        charge_point.wait_accepted()
        charge_point.wait_delivered()
        wanted = {"requestedMessage": "StatusNotification", "connectorId": 9}

        refused = api.command("TRIGGER-2", "TriggerMessage", wanted)
        charge_point.call("Heartbeat", {})
        charge_point.repeat_status([1])
        charge_point.wait_delivered()

        assert refused["answer"] == {"status": "Rejected"}
        assert api.ok("GET", f"/api/v1/commands/{refused['id']}")["triggered"] == []
