"""Which message a trigger has brought: of its kind, of its connector, soon after."""

import pytest
from cast import NOON_MS, SECOND_MS

from csms.protocol.triggers import WINDOW_MS, Triggers, connector_of, triggered_action


def waiting_for(action, **payload):
    triggers = Triggers()
    triggers.expect("command-1", action, payload, NOON_MS)
    return triggers


@pytest.mark.parametrize(
    ("command", "requested", "message"),
    [
        ("TriggerMessage", "Heartbeat", "Heartbeat"),
        ("TriggerMessage", "FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("ExtendedTriggerMessage", "Heartbeat", "Heartbeat"),
        ("ExtendedTriggerMessage", "LogStatusNotification", "LogStatusNotification"),
        (
            "ExtendedTriggerMessage",
            "FirmwareStatusNotification",
            "SignedFirmwareStatusNotification",
        ),
        ("ExtendedTriggerMessage", "SignChargePointCertificate", "SignCertificate"),
    ],
)
def test_a_trigger_asks_for_a_message(command, requested, message):
    assert triggered_action(command, {"requestedMessage": requested}) == message


def test_other_commands_ask_for_none():
    assert triggered_action("Reset", {"type": "Soft"}) is None


def test_a_message_of_the_kind_asked_for_is_claimed_once():
    triggers = waiting_for("Heartbeat")

    assert triggers.claim("Heartbeat", {}, NOON_MS) == "command-1"
    assert triggers.claim("Heartbeat", {}, NOON_MS) is None


def test_a_message_of_another_kind_is_not():
    assert waiting_for("Heartbeat").claim("MeterValues", {"connectorId": 1}, NOON_MS) is None


def test_a_message_of_another_connector_is_not():
    triggers = waiting_for("MeterValues", connectorId=2)

    assert triggers.claim("MeterValues", {"connectorId": 1}, NOON_MS) is None
    assert triggers.claim("MeterValues", {"connectorId": 2}, NOON_MS) == "command-1"
    assert triggers.waiting == []


def test_without_a_connector_one_comes_for_each():
    triggers = waiting_for("StatusNotification")

    claimed = [triggers.claim("StatusNotification", {"connectorId": n}, NOON_MS) for n in range(3)]

    assert claimed == ["command-1"] * 3


def test_a_message_that_comes_much_later_was_not_asked_for():
    triggers = waiting_for("Heartbeat")

    assert triggers.claim("Heartbeat", {}, NOON_MS + WINDOW_MS) is None
    assert triggers.waiting == []


def test_of_two_triggers_the_first_is_served_first():
    triggers = waiting_for("Heartbeat")
    triggers.expect("command-2", "Heartbeat", {}, NOON_MS + SECOND_MS)

    claimed = [triggers.claim("Heartbeat", None, NOON_MS + SECOND_MS) for _ in range(3)]

    assert claimed == ["command-1", "command-2", None]


@pytest.mark.parametrize("payload", [None, [], {}, {"connectorId": "1"}])
def test_a_message_may_name_no_connector(payload):
    assert connector_of(payload) is None
