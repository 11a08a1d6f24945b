"""Boot, Pending, Rejected, reconnection, and what is said when."""

from honest_central_system import HonestCentralSystem, wait_until

from chargepoint.charge_point import ChargePoint
from chargepoint.wire import LinkLost


def test_nothing_but_boot_is_sent_until_boot_is_accepted(central_system, power_up):
    central_system.registration = [("Pending", 0), ("Rejected", 0), ("Accepted", 3600)]

    charge_point = power_up(settled=False)
    charge_point.start_transaction(1, "ALICE")
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    actions = [one.action for one in central_system.received]
    assert actions[:3] == ["BootNotification"] * 3
    assert "BootNotification" not in actions[3:]
    assert "StartTransaction" in actions[3:]


def test_status_of_every_connector_follows_the_accepted_boot(central_system, power_up):
    power_up(connectors=3)

    told = [one["connectorId"] for one in central_system.payloads("StatusNotification")]
    assert told == [0, 1, 2, 3]


def test_interval_of_the_boot_becomes_the_heartbeat_interval(central_system, power_up):
    central_system.registration = [("Accepted", 1)]

    charge_point = power_up()

    wait_until(lambda: len(central_system.payloads("Heartbeat")) >= 2)
    assert charge_point.configuration.text("HeartbeatInterval") == "1"


def test_reconnection_sends_no_boot_and_only_changed_statuses(central_system, power_up):
    charge_point = power_up()
    before = len(central_system.received)

    charge_point.go_offline()
    charge_point.plug_in(2)
    charge_point.go_online()
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    said = [(one.action, one.payload) for one in central_system.received[before:]]
    assert [action for action, _ in said] == ["StatusNotification"]
    assert (said[0][1]["connectorId"], said[0][1]["status"]) == (2, "Preparing")


def test_power_cycle_boots_again_and_reports_the_session_it_ended(central_system, power_up):
    charge_point = power_up()
    charge_point.start_transaction(1, "ALICE").wait_answered()
    charge_point.wait_delivered()
    before = len(central_system.received)

    charge_point.power_cycle()
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    actions = [one.action for one in central_system.received[before:]]
    assert actions[0] == "BootNotification"
    assert central_system.payloads("StopTransaction")[0]["reason"] == "PowerLoss"


def test_rejected_charge_point_does_not_answer(central_system, power_up):
    central_system.registration = [("Rejected", 3600)]
    charge_point = power_up(settled=False)
    wait_until(lambda: charge_point.registration == "Rejected")

    central_system.say('[2,"one","ClearCache",{}]')
    wait_until(lambda: charge_point.conversation.received)
    charge_point.boot_now()
    central_system.registration = [("Accepted", 3600)]
    charge_point.wait_accepted()

    assert central_system.call("ClearCache", {}) == [3, "cs-1", {"status": "Accepted"}]


def test_pending_charge_point_says_what_is_triggered_and_starts_nothing(central_system, power_up):
    central_system.registration = [("Pending", 3600)]
    charge_point = power_up(settled=False)
    wait_until(lambda: charge_point.registration == "Pending")

    refused = central_system.call("RemoteStartTransaction", {"idTag": "ALICE", "connectorId": 1})
    trigger = {"requestedMessage": "StatusNotification", "connectorId": 1}
    accepted = central_system.call("TriggerMessage", trigger)

    assert refused[2] == {"status": "Rejected"}
    assert accepted[2] == {"status": "Accepted"}
    wait_until(lambda: central_system.statuses(1) == ["Available"])


def test_refused_connection_is_tried_again_until_it_is_let_in(central_system, power_up):
    central_system.password = b"later"
    charge_point = power_up(settled=False, authorization_key="sooner")
    wait_until(lambda: len(central_system.links) >= 3)
    assert charge_point.refusal.status == 401

    central_system.password = b"sooner"

    charge_point.wait_accepted()


def test_peer_that_stops_answering_is_left_for_a_new_link(central_system, power_up):
    charge_point = power_up(call_timeout_s=0.05, silent_calls_before_reconnect=2)
    central_system.next_answers("StatusNotification", "silence", "silence", "silence")
    before = len(central_system.links)

    charge_point.plug_in(1)
    charge_point.plug_in(2)

    wait_until(lambda: len(central_system.links) > before)


def test_server_without_subprotocol_is_not_talked_to():
    with (
        HonestCentralSystem(subprotocol=False) as central_system,
        ChargePoint(central_system.url, "CP001") as charge_point,
    ):
        wait_until(lambda: charge_point.refusal is not None)

        assert isinstance(charge_point.refusal, LinkLost)
        assert central_system.received == []
