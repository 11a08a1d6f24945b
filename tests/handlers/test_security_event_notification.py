"""SecurityEventNotification: always answered, once it is kept."""

import pytest
from cast import NOON_MS, instant

EVENT = {"type": "TamperDetectionActivated", "timestamp": instant(0), "techInfo": "lid"}


def kept(line):
    return line.stores.security_events.page(None, 50).items


def test_an_event_is_kept_and_answered(line):
    assert line.call("SecurityEventNotification", EVENT) == {}

    [found] = kept(line)
    event = found.event
    assert (found.charge_point_id, event.event_type, event.tech_info) == (
        "CP001",
        "TamperDetectionActivated",
        "lid",
    )
    assert (event.critical, event.source) == (True, "charge point")


@pytest.mark.parametrize(
    ("payload", "event_type"),
    [
        ({"type": "OfTheVendor", "timestamp": instant(0)}, "OfTheVendor"),
        ({"type": "x" * 60, "timestamp": instant(0)}, "x" * 50),
        ({"type": "OfTheVendor", "timestamp": "yesterday"}, "OfTheVendor"),
        ({"type": "OfTheVendor"}, "OfTheVendor"),
        ({"type": 7, "timestamp": instant(0)}, "7"),
        ({"timestamp": instant(0)}, ""),
        ({}, ""),
        ({**EVENT, "techInfo": "y" * 300, "extra": 1}, "TamperDetectionActivated"),
    ],
)
def test_no_event_is_refused_over_its_form(line, payload, event_type):
    assert line.call("SecurityEventNotification", payload) == {}

    [found] = kept(line)
    assert found.event.event_type == event_type


def test_an_event_from_the_queue_that_comes_again_is_kept_once(line):
    for later in range(3):
        assert line.call("SecurityEventNotification", EVENT, NOON_MS + later) == {}

    assert len(kept(line)) == 1
