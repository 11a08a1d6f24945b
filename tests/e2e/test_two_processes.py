"""Any web process serves any request, wherever the charge point's socket is."""

import pytest
from system import Api, System, eventually

from chargepoint.charge_point import ChargePoint
from chargepoint.options import Options

pytestmark = pytest.mark.e2e

CALM = Options(reconnect_first_s=0.1, reconnect_max_s=0.5, samples_itself=False)


def test_a_command_given_to_one_process_is_sent_by_the_other(own_system: System) -> None:
    here, there = own_system.start_web(), own_system.start_web()
    key = Api(here.port).create_charge_point("CP001")

    with ChargePoint(there.ocpp_url, "CP001", authorization_key=key, options=CALM) as charge_point:
        charge_point.wait_accepted(30)
        command = Api(here.port).command(
            "CP001", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "77"}
        )

        assert command["state"] == "answered"
        assert command["answer"] == {"status": "Accepted"}
        assert charge_point.configuration.text("HeartbeatInterval") == "77"
        for web in (here, there):
            shown = Api(web.port).ok("GET", "/api/v1/charge-points/CP001")
            assert shown["connection"]["connected"] is True


def test_the_newest_socket_wins_across_processes(own_system: System) -> None:
    here, there = own_system.start_web(), own_system.start_web()
    key = Api(here.port).create_charge_point("CP001")
    # It comes back by itself; only the first displacement is what this test is about.
    patient = Options(reconnect_first_s=60, reconnect_max_s=60, samples_itself=False)

    older = ChargePoint(here.ocpp_url, "CP001", authorization_key=key, options=patient)
    newer = ChargePoint(there.ocpp_url, "CP001", authorization_key=key, options=patient)
    with older as old:
        old.wait_accepted(30)
        newer.start()
        newer.wait_accepted(30)

        def old_was_displaced() -> bool:
            return any(
                line.get("event") == "charge point disconnected"
                and line.get("reason") == "replaced by a newer connection"
                for line in here.log_lines()
            )

        eventually(old_was_displaced, "the older socket is closed")
        command = Api(here.port).command("CP001", "ClearCache")
        assert command["state"] == "answered"
        assert [action for action, _ in newer.conversation.received][-1:] == ["ClearCache"]
        newer.stop()


def test_both_processes_count_all_connected_charge_points(own_system: System) -> None:
    webs = [own_system.start_web(), own_system.start_web()]
    api = Api(webs[0].port)
    keys = {f"CP00{number}": api.create_charge_point(f"CP00{number}") for number in (1, 2)}

    with (
        ChargePoint(
            webs[0].ocpp_url, "CP001", authorization_key=keys["CP001"], options=CALM
        ) as first,
        ChargePoint(
            webs[1].ocpp_url, "CP002", authorization_key=keys["CP002"], options=CALM
        ) as second,
    ):
        for charge_point in (first, second):
            charge_point.wait_accepted(30)

        counts = [Api(web.port).ok("GET", "/api/v1/overview")["connected"] for web in webs]

    assert counts == [2, 2]
