"""What charge points tell of their configuration is kept, whatever form it has."""

import pytest
from cast import NOON_MS

ALL = {
    "configurationKey": [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
        {"key": "Unset", "readonly": False},
    ]
}


@pytest.fixture
def ask(desk, socket):
    """Sends a command and hands in its answer; what is known then."""

    def ask(action, payload, answer):
        desk.queue(action, payload)
        socket.answer(socket.next(), answer)
        return desk.stores.configurations.find("CP001")

    return ask


def change(key="HeartbeatInterval", value="60"):
    return "ChangeConfiguration", {"key": key, "value": value}


def test_all_keys_that_are_told_are_kept(ask):
    known = ask("GetConfiguration", {}, ALL)

    assert known.integer("heartbeatinterval") == 300
    assert known.find("NumberOfConnectors").readonly
    assert known.find("Unset").value is None
    assert known.find("Unset").is_known
    assert known.find("HeartbeatInterval").at_ms == NOON_MS


def test_asked_for_all_what_is_not_told_is_not_there_any_more(ask):
    ask("GetConfiguration", {}, ALL)

    known = ask("GetConfiguration", {}, {"configurationKey": ALL["configurationKey"][:1]})

    assert list(known.keys) == ["heartbeatinterval"]


def test_asked_for_some_the_others_stay(ask):
    ask("GetConfiguration", {}, ALL)

    known = ask(
        "GetConfiguration",
        {"key": ["HeartbeatInterval", "Nonsense"]},
        {
            "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "5"}],
            "unknownKey": ["Nonsense"],
        },
    )

    assert known.text("HeartbeatInterval") == "5"
    assert known.text("NumberOfConnectors") == "2"
    assert known.find("Nonsense").is_known is False


def test_an_empty_answer_takes_nothing_away(ask):
    """Some answer so while they start."""
    ask("GetConfiguration", {}, ALL)

    assert len(ask("GetConfiguration", {}, {}).keys) == 3


def test_numbers_and_truth_values_are_read_as_the_texts_they_stand_for(ask):
    """Quirk 5."""
    known = ask(
        "GetConfiguration",
        {},
        {
            "configurationKey": [
                {"key": "A", "readonly": "true", "value": 60},
                {"key": "B", "readonly": 0, "value": True},
            ]
        },
    )

    assert known.text("A") == "60"
    assert known.find("A").readonly
    assert known.boolean("B") is True
    assert not known.find("B").readonly


def test_what_makes_no_sense_is_left_out(ask):
    ask("GetConfiguration", {}, ALL)

    known = ask("GetConfiguration", {}, {"configurationKey": ["x", {"value": "1"}]})

    assert len(known.keys) == 3


def test_a_key_that_is_a_secret_is_not_kept(ask):
    told = {"key": "AuthorizationKey", "readonly": False, "value": "0" * 40}
    answer = {"configurationKey": [told], "unknownKey": ["authorizationkey"]}

    assert ask("GetConfiguration", {"key": ["AuthorizationKey"]}, answer).keys == {}


@pytest.mark.parametrize("status", ["Accepted", "RebootRequired"])
def test_a_change_that_was_taken_is_known(ask, status):
    assert ask(*change(), {"status": status}).text("HeartbeatInterval") == "60"


def test_a_change_that_was_not_taken_changes_nothing(ask):
    ask("GetConfiguration", {}, ALL)

    assert ask(*change(), {"status": "Rejected"}).text("HeartbeatInterval") == "300"


def test_a_key_it_does_not_support_is_known_not_to_be_there(ask):
    known = ask(*change("Nonsense"), {"status": "NotSupported"})

    assert known.find("Nonsense").is_known is False


def test_a_changed_secret_is_not_kept(ask):
    assert ask(*change("AuthorizationKey", "ab" * 20), {"status": "Accepted"}).keys == {}


def test_silence_changes_nothing(desk, socket):
    desk.queue("GetConfiguration")
    socket.next()

    socket.expire(NOON_MS + 10**6)

    assert desk.stores.configurations.find("CP001").keys == {}


def test_a_charge_point_with_too_many_keys_fills_no_store(ask):
    told = [{"key": f"K{n}", "readonly": False, "value": "x" * 5_000} for n in range(600)]

    known = ask("GetConfiguration", {}, {"configurationKey": told})

    assert len(known.keys) == 500
    assert len(known.text("K0")) == 2_000


def test_it_goes_with_its_charge_point(ask, desk):
    ask("GetConfiguration", {}, ALL)

    desk.stores.charge_points.delete("CP001")

    assert desk.stores.configurations.find("CP001").keys == {}


def test_what_is_told_again_late_does_not_undo_what_came_after(desk, socket):
    """A follow-up that a crash has cut off is done again by the sweep."""

    def give(action, payload, answer, now_ms):
        command = desk.queue(action, payload, now_ms)
        socket.answer(socket.next(now_ms), answer, now_ms)
        return desk.look(command)

    everything = give("GetConfiguration", {}, ALL, NOON_MS)
    first = give(*change(value="60"), {"status": "Accepted"}, NOON_MS + 1)
    give(*change(value="70"), {"status": "Accepted"}, NOON_MS + 2)
    give(*change("Another", "1"), {"status": "Accepted"}, NOON_MS + 3)

    for command in (first, everything):
        socket.delivery.settle_again("CP001", command, NOON_MS + 99)

    known = desk.stores.configurations.find("CP001")
    assert [known.integer(key) for key in ("HeartbeatInterval", "Another")] == [70, 1]
