"""Security events through the API and the page: listed, filtered, acknowledged."""

from html import unescape

import pytest
from cast import NOON_MS, instant

from csms.domain.security_event import own_event, told_event

CRITICAL = told_event("TamperDetectionActivated", instant(0), "<lid>", NOON_MS)
PLAIN = told_event("InvalidMessages", instant(0), "", NOON_MS + 1)


@pytest.fixture
def told(connected, stores):
    for event in (CRITICAL, PLAIN):
        stores.security_events.told("CP001", connected, event)
    stores.security_events.record("", own_event("Ours", NOON_MS + 2, actor="user:olga"))


def types(answer):
    return [item["type"] for item in answer.json["items"]]


def test_events_are_listed_newest_first(api, told):
    answer = api.get("/api/v1/security-events")

    assert types(answer) == ["Ours", "InvalidMessages", "TamperDetectionActivated"]
    event_id = answer.json["items"][2]["id"]
    assert answer.json["items"][2] == {
        "id": event_id,
        "charge_point_id": "CP001",
        "type": "TamperDetectionActivated",
        "source": "charge point",
        "critical": True,
        "at": "2026-11-22T12:00:00.000Z",
        "received_at": "2026-11-22T12:00:00.000Z",
        "tech_info": "<lid>",
        "actor": "",
        "count": 1,
        "last_at": "2026-11-22T12:00:00.000Z",
        "acknowledged_by": "",
        "acknowledged_at": None,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("critical=true", ["TamperDetectionActivated"]),
        ("critical=false", ["Ours", "InvalidMessages"]),
        ("charge_point_id=CP001", ["InvalidMessages", "TamperDetectionActivated"]),
        ("charge_point_id=CP404", []),
        ("acknowledged=true", []),
        ("acknowledged=false&critical=true", ["TamperDetectionActivated"]),
    ],
)
def test_a_filter_leaves_the_others_out(api, told, query, expected):
    assert types(api.get(f"/api/v1/security-events?{query}")) == expected


def test_a_program_acknowledges(api, told):
    [event] = api.get("/api/v1/security-events?critical=true").json["items"]

    answer = api.post(f"/api/v1/security-events/{event['id']}/acknowledge")

    assert answer.status_code == 200
    assert answer.json["acknowledged_by"] == "api:bootstrap"
    assert types(api.get("/api/v1/security-events?critical=true&acknowledged=false")) == []
    assert api.post("/api/v1/security-events/none/acknowledge").status_code == 404


def test_the_overview_shows_critical_events_until_somebody_acknowledges_them(browser, stores, told):
    [kept] = stores.security_events.page(None, 10, critical=True).items
    page = browser.get("/").text
    assert "1 critical security event" in page
    assert "TamperDetectionActivated" in page

    answer = browser.post("/security/acknowledge", {"event_id": kept.event_id, "shown": "open"})

    assert answer.headers["Location"] == "/security?shown=open"
    assert "critical security event" not in browser.get("/").text
    listing = browser.get("/security").text
    assert "user:olga" in listing


def test_the_page_lists_and_filters(browser, told):
    everything = browser.get("/security").text
    critical = browser.get("/security?shown=critical").text
    nothing = browser.get("/security?charge_point_id=CP404").text

    assert "&lt;lid&gt;" in everything
    assert "InvalidMessages" in everything
    assert "InvalidMessages" not in critical
    assert "No such event." in unescape(nothing)


def test_an_empty_list_says_what_will_be_there(browser, cast):
    assert "No security event yet" in browser.get("/security").text


def test_an_event_that_left_meanwhile_is_no_failure(browser, cast):
    browser.post("/security/acknowledge", {"event_id": "none"})

    assert "There is no security event none." in browser.get("/security").text


def test_acknowledging_leads_back_to_the_list_it_stood_in(browser, told, stores):
    [kept] = stores.security_events.page(None, 1, critical=True, acknowledged=False).items
    form = {"event_id": kept.event_id, "charge_point_id": "CP001"}

    on_its_tab = browser.post("/security/acknowledge", {**form, "back": "charge point"})
    in_the_list = browser.post("/security/acknowledge", form)
    nowhere = browser.post(
        "/security/acknowledge", {**form, "back": "charge point", "charge_point_id": "//x"}
    )

    assert on_its_tab.headers["Location"] == "/charge-points/CP001/security#events"
    assert in_the_list.headers["Location"] == "/security?charge_point_id=CP001"
    assert nowhere.headers["Location"].startswith("/security?")
