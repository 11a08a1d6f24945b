"""Security events as values: what is critical, what is the same event again."""

from dataclasses import replace

import pytest
from cast import DAY_MS, HOUR_MS, NOON_MS, instant

from csms.domain.security_event import (
    KNOWN_TYPES,
    EventSource,
    SecurityEvent,
    own_event,
    told_event,
)


@pytest.mark.parametrize(
    ("event_type", "critical"),
    [
        *KNOWN_TYPES.items(),
        ("firmwareupdated", True),
        ("SomethingOfTheVendor", False),
        ("", False),
    ],
)
def test_the_white_paper_says_what_is_critical(event_type, critical):
    assert told_event(event_type, instant(0), "", NOON_MS).critical is critical


def test_all_events_of_the_white_paper_are_known():
    assert len(KNOWN_TYPES) == 18
    assert sum(KNOWN_TYPES.values()) == 7


def test_an_event_happened_when_the_charge_point_says():
    told = told_event("ResetOrReboot", instant(-3 * DAY_MS), "watchdog", NOON_MS)

    assert told == SecurityEvent(
        "ResetOrReboot",
        NOON_MS - 3 * DAY_MS,
        NOON_MS,
        EventSource.CHARGE_POINT,
        critical=True,
        tech_info="watchdog",
    )


@pytest.mark.parametrize("timestamp", [None, "yesterday", "1970-01-01T00:00:00Z"])
def test_an_event_of_no_known_time_happened_when_it_came(timestamp):
    assert told_event("InvalidMessages", timestamp, "", NOON_MS).at_ms == NOON_MS


def test_long_texts_are_cut():
    told = told_event("x" * 80, None, "y" * 300, NOON_MS)
    own = own_event("x" * 80, NOON_MS, "y" * 300, actor="z" * 300)

    assert (len(told.event_type), len(told.tech_info)) == (50, 255)
    assert (len(own.event_type), len(own.tech_info), len(own.actor)) == (50, 255, 100)


def test_where_a_charge_point_was_sent_for_a_file_is_no_secret_of_an_event():
    grant_id, secret = "a" * 32, "b" * 32
    event = told_event("X", None, f"failed: http://x/files/{grant_id}{secret}/", NOON_MS)

    assert event.tech_info == f"failed: http://x/files/{grant_id}****/"


def test_what_is_sent_again_has_the_same_name():
    event = told_event("InvalidMessages", instant(0), "x", NOON_MS)
    again = told_event("InvalidMessages", instant(0), "x", NOON_MS + HOUR_MS)

    assert event.name("CP001") == again.name("CP001")
    assert event.name("CP001") != event.name("CP002")


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "Other"},
        {"at_ms": NOON_MS + 1},
        {"tech_info": "other"},
        {"source": EventSource.CENTRAL_SYSTEM},
    ],
)
def test_another_content_is_another_event(change):
    event = told_event("InvalidMessages", instant(0), "x", NOON_MS)

    assert replace(event, **change).name("CP001") != event.name("CP001")


def test_what_we_see_again_within_the_hour_is_the_same_event():
    first = own_event("HandshakeRefused", NOON_MS, "wrong key")

    assert own_event("HandshakeRefused", NOON_MS + HOUR_MS - 1, "wrong key").name("") == (
        first.name("")
    )
    assert own_event("HandshakeRefused", NOON_MS + HOUR_MS, "wrong key").name("") != first.name("")
    assert own_event("HandshakeRefused", NOON_MS, "wrong key", actor="user:olga").name("") != (
        first.name("")
    )


def test_a_name_can_be_made_of_any_text():
    assert len(told_event("\ud800", None, "\x00\n", NOON_MS).name("CP001")) == 32
