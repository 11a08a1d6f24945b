"""The resource `configuration`, and its page."""

import pytest
from cast import NOON_MS

from csms.domain.configuration import ConfigurationKey

PATH = "/api/v1/charge-points/CP001/configuration"


@pytest.fixture
def told(cast, stores):
    """CP001 has told two keys, and that it does not know a third."""
    stores.configurations.record(
        "CP001",
        [
            ConfigurationKey("NumberOfConnectors", "2", readonly=True, at_ms=NOON_MS),
            ConfigurationKey("HeartbeatInterval", None, readonly=False, at_ms=NOON_MS),
            ConfigurationKey("Nonsense", None, readonly=False, at_ms=NOON_MS, is_known=False),
        ],
        is_all=True,
    )


def test_it_is_answered_in_the_order_of_its_keys(api, told):
    answer = api.get(PATH).get_json()

    assert answer["charge_point_id"] == "CP001"
    assert [key["key"] for key in answer["keys"]] == [
        "HeartbeatInterval",
        "Nonsense",
        "NumberOfConnectors",
    ]
    assert answer["keys"][2] == {
        "key": "NumberOfConnectors",
        "value": "2",
        "readonly": True,
        "is_known": True,
        "told_at": "2026-11-22T12:00:00.000Z",
    }


def test_of_a_charge_point_that_was_never_asked_nothing_is_known(api, cast):
    assert api.get(PATH).get_json()["keys"] == []


def test_an_unknown_charge_point_is_a_404(api, cast):
    assert api.get("/api/v1/charge-points/CP404/configuration").status_code == 404


def test_the_page_shows_the_keys(browser, told):
    text = browser.get("/charge-points/CP001/configuration").text

    assert "NumberOfConnectors" in text
    assert "read only" in text
    assert "not known to the charge point" in text
    assert 'aria-current="page">Configuration' in text


def test_the_page_says_what_to_do_where_nothing_is_known(browser, cast):
    assert "Nothing is known of it yet" in browser.get("/charge-points/CP001/configuration").text


def test_quiet_mode_is_set_through_the_api_and_the_page(api, browser, cast, stores):
    answer = api.patch("/api/v1/charge-points/CP001", json={"quiet": True})
    assert answer.get_json()["quiet"] is True

    browser.post("/charge-points/CP001/settings", {"admission": "accepted", "description": ""})
    assert not stores.charge_points.get("CP001").quiet

    browser.post(
        "/charge-points/CP001/settings",
        {"admission": "accepted", "description": "", "quiet": "yes"},
    )
    assert stores.charge_points.get("CP001").quiet
