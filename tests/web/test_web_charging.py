"""The pages of smart charging: plain forms, and a composite schedule to be seen and to be read."""

import re

import pytest
from cast import HOUR_MS, Line
from charging_owner import Owner
from test_web_pages import NASTY, Document, read

from csms import clock
from csms.domain.charging_profile import RateUnit
from csms.domain.charging_schedule import CompositePeriod, CompositeSchedule, Rate
from csms.web import charging_graph
from csms.web.charging import Comparison

URL = "/charge-points/CP001/charging"
NEW = "/charging-templates/new"
NIGHT = {
    "name": "Night",
    "description": "cheap power",
    "purpose": "TxDefaultProfile",
    "kind": "Recurring",
    "recurrency": "Daily",
    "stack_level": "1",
    "unit": "A",
    "start_at": "2026-01-01T22:00",
    "duration_s": "28800",
    "min_charging_rate": "6.0",
    "valid_from": "2026-01-01T00:00:00",
    "valid_to": "2027-01-01T00:00",
    "periods": "0 32\n\n  3600 16.5 1 \n",
}
FLAT = {
    "name": "Flat",
    "purpose": "TxDefaultProfile",
    "kind": "Relative",
    "stack_level": "0",
    "unit": "A",
    "periods": "0 16",
}


@pytest.fixture
def owner(around, connected):
    return Owner(around.parts, connected)


@pytest.fixture
def template(browser):
    assert browser.post(NEW, FLAT).status_code == 303
    return "Flat"


def test_without_templates_the_page_says_what_to_do(browser, connected):
    assert "No template yet" in read(browser, "/charging-templates").text
    page = read(browser, URL)
    assert "No profile is installed by our books" in page.text
    assert "There is no template yet" in page.text
    assert "no limit" in page.text


# -- templates


def test_a_template_is_written_with_a_plain_form(browser, stores):
    assert browser.post(NEW, NIGHT).status_code == 303

    template = stores.charging_profile_templates.get("Night")
    assert template.description == "cheap power"
    assert template.profile == {
        "stackLevel": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily",
        "validFrom": "2026-01-01T00:00:00.000Z",
        "validTo": "2027-01-01T00:00:00.000Z",
        "chargingSchedule": {
            "duration": 28_800,
            "startSchedule": "2026-01-01T22:00:00.000Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 32},
                {"startPeriod": 3_600, "limit": 16.5, "numberPhases": 1},
            ],
            "minChargingRate": 6.0,
        },
    }
    page = read(browser, "/charging-templates")
    assert "cheap power" in page.text
    assert "16.5 A to 32 A in 2 periods" in page.text


def fields_of_form(page):
    """What a browser would send of the forms of a page, by name."""
    found = {a["name"]: a.get("value", "") for tag, a in page.elements if tag == "input"}
    return {name: value for name, value in found.items() if name != "csrf_token"}


def test_a_template_is_shown_in_its_form_and_changed(browser, stores):
    browser.post(NEW, NIGHT)
    before = stores.charging_profile_templates.get("Night")

    shown = fields_of_form(read(browser, "/charging-templates/Night"))
    text = browser.get("/charging-templates/Night").text
    periods = re.search(r"<textarea[^>]*>([^<]*)<", text)[1]
    assert shown["start_at"] == "2026-01-01T22:00:00"
    assert periods == "0 32\n3600 16.5 1"

    form = {**NIGHT, **shown, "periods": periods}
    assert browser.post("/charging-templates/Night", form).status_code == 303
    assert stores.charging_profile_templates.get("Night").profile == before.profile
    browser.post("/charging-templates/Night", {**form, "stack_level": "2"})
    assert stores.charging_profile_templates.get("Night").profile["stackLevel"] == 2


def test_a_template_is_deleted(browser, template, stores):
    assert browser.post(f"/charging-templates/{template}/delete").status_code == 303

    assert stores.charging_profile_templates.find(template) is None
    assert browser.get(f"/charging-templates/{template}").status_code == 404
    assert browser.post("/charging-templates/Nothing/delete").status_code == 404


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "a/b"}, "name: must have 1 to 64"),
        ({"name": "Flat"}, "exists already"),
        ({"description": "x\x00"}, "description: must be a line"),
        ({"stack_level": "one"}, "stack_level: must be a whole number"),
        ({"stack_level": ""}, "profile.stackLevel: is required"),
        ({"purpose": "Max"}, "profile.chargingProfilePurpose: must be one of"),
        ({"duration_s": "-5"}, "duration_s: must be a whole number"),
        ({"duration_s": "0"}, "profile.chargingSchedule.duration: must be above 0"),
        ({"min_charging_rate": "six"}, "min_charging_rate: must be a number"),
        ({"start_at": "soon"}, "start_at: must be a date and a time"),
        ({"start_at": "2026-01-01T00:00Z"}, "start_at: must be a date and a time"),
        ({"start_at": "1970-01-01T00:00"}, "start_at: must be a date and a time"),
        ({"kind": "Relative"}, "profile.recurrencyKind: goes with Recurring only"),
        ({"valid_to": "2025-01-01T00:00"}, "profile.validTo: must be after validFrom"),
        ({"periods": ""}, "must hold 1 to 1024 periods"),
        ({"periods": "0 16\nsoon 16"}, "periods: line 2 must read"),
        ({"periods": "0"}, "periods: line 1 must read"),
        ({"periods": "0 16 1 1"}, "periods: line 1 must read"),
        ({"periods": "0 16.25"}, "limit: must have one decimal at most"),
        ({"periods": "\n".join(f"{n} 6" for n in range(3_000))}, "periods: must have 1024 lines"),
    ],
)
def test_a_wrong_template_is_explained_and_kept_in_the_form(browser, stores, change, complaint):
    browser.post(NEW, FLAT)

    refused = browser.post(NEW, {**NIGHT, **change})

    assert refused.status_code == 422
    document = Document(refused.text)
    assert complaint in document.text
    assert change.get("description", "cheap power") == fields_of_form(document)["description"]
    assert [t.name for t in stores.charging_profile_templates.page(None, 9).items] == ["Flat"]


def test_a_wrong_change_is_explained_and_changes_nothing(browser, template, stores):
    refused = browser.post(f"/charging-templates/{template}", {**FLAT, "periods": "5 16"})

    assert refused.status_code == 422
    assert "startPeriod: must be 0" in Document(refused.text).text
    periods = stores.charging_profile_templates.get(template).profile["chargingSchedule"]
    assert periods["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16}]


# -- installing, clearing


def test_a_template_is_installed_and_cleared(browser, owner, template):
    with owner.answering() as sent:
        done = browser.post(f"{URL}/install", {"template": template, "connector_id": "1"})
    assert done.status_code == 303
    assert sent[0].payload["connectorId"] == 1
    page = read(browser, done.headers["Location"])
    assert "Install a charging profile (connector 1): Accepted" in page.text
    assert "Every transaction" in page.text
    assert "Installed" in page.text

    with owner.answering() as sent:
        done = browser.post(f"{URL}/clear", {"charging_profile_id": "1"})
    assert sent[0].payload == {"id": 1}
    page = read(browser, done.headers["Location"])
    assert "Clear charging profiles (profile 1): Accepted" in page.text
    assert "Cleared" in page.text
    assert "No profile is installed by our books" in page.text


def test_a_profile_gets_a_time_and_a_transaction_of_its_own(browser, owner, stores):
    browser.post(NEW, {**FLAT, "name": "One", "purpose": "TxProfile", "kind": "Absolute"})
    line = Line(stores, process_id=owner.parts.process_id, now_ms=clock.now_ms())
    owner.epoch = line.epoch
    transaction_id = line.start(clock.now_ms())["transactionId"]
    form = {
        "template": "One",
        "connector_id": "1",
        "transaction_id": str(transaction_id),
        "start_at": "2026-11-22T12:00",
        "valid_from": "2026-11-22T12:00",
        "valid_to": "2099-11-22T12:00",
    }

    with owner.answering() as sent:
        browser.post(f"{URL}/install", form)

    profile = sent[0].payload["csChargingProfiles"]
    assert profile["transactionId"] == transaction_id
    assert profile["chargingSchedule"]["startSchedule"] == "2026-11-22T12:00:00.000Z"
    assert profile["validTo"] == "2099-11-22T12:00:00.000Z"
    assert f"transaction {transaction_id}" in read(browser, URL).text


def test_profiles_are_cleared_by_criteria_and_all(browser, owner):
    with owner.answering({"status": "Unknown"}) as sent:
        done = browser.post(
            f"{URL}/clear",
            {"connector_id": "0", "purpose": "ChargePointMaxProfile", "stack_level": "2"},
        )
    assert sent[0].payload == {
        "connectorId": 0,
        "chargingProfilePurpose": "ChargePointMaxProfile",
        "stackLevel": 2,
    }
    assert "had no such profile" in read(browser, done.headers["Location"]).text

    with owner.answering() as sent:
        browser.post(f"{URL}/clear", {"all": "true"})
    assert sent[0].payload == {}


@pytest.mark.parametrize(
    ("path", "form", "complaint"),
    [
        ("install", {"template": "Nothing", "connector_id": "1"}, "template: there is no template"),
        ("install", {"connector_id": "1"}, "template: there is no template"),
        ("install", {"template": "Flat", "connector_id": "one"}, "connector_id: must be a whole"),
        ("install", {"template": "Flat"}, "connector_id: is required"),
        (
            "install",
            {"template": "Flat", "connector_id": "1", "valid_to": "soon"},
            "valid_to: must be a date",
        ),
        (
            "install",
            {"template": "Flat", "connector_id": "1", "start_at": "2026-01-01T00:00"},
            "template.chargingSchedule.startSchedule: must be absent",
        ),
        ("clear", {}, "all: give criteria"),
        ("clear", {"purpose": "Max"}, "purpose: must be one of"),
        ("clear", {"stack_level": "-1"}, "stack_level: must be a whole number"),
    ],
)
def test_what_is_wrong_is_shown_on_the_page(
    browser, connected, template, api, path, form, complaint
):
    refused = browser.post(f"{URL}/{path}", form)

    assert refused.status_code == 422
    assert complaint in Document(refused.text).text
    assert api.get("/api/v1/commands").json["items"] == []


def test_a_charge_point_that_is_not_connected_is_told(browser, cast, template):
    for path, form in [
        ("install", {"template": template, "connector_id": "1"}),
        ("clear", {"all": "true"}),
        ("ask", {"connector": "0", "hours": "1"}),
    ]:
        refused = browser.post(f"{URL}/{path}", form)

        assert refused.status_code == 409
        assert "CP001 is not connected" in Document(refused.text).text


def test_a_form_sent_twice_installs_once(browser, around, connected, template, api):
    around.draining = True  # nobody answers: the page need not wait for it
    form = {"template": template, "connector_id": "1", "once": "o1"}

    for _ in range(2):
        assert browser.post(f"{URL}/install", form).status_code == 303

    assert len(api.get("/api/v1/commands").json["items"]) == 1


def test_pages_of_a_charge_point_that_does_not_exist(browser):
    assert browser.get(URL).status_code == 404
    assert browser.post(f"{URL}/clear", {"all": "true"}).status_code == 404


# -- the composite schedule


def answer_of(limit, since_ms, duration_s=86_400):
    return {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": clock.text_of(since_ms),
        "chargingSchedule": {
            "duration": duration_s,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
    }


def test_our_reckoning_is_a_graph_and_a_table(browser, owner, template):
    with owner.answering():
        browser.post(f"{URL}/install", {"template": template, "connector_id": "1"})

    page = read(browser, f"{URL}?connector=1&hours=6&unit=W")

    paths = [a for tag, a in page.elements if tag == "path" and a.get("class") == "ours"]
    assert len(paths) == 1
    assert "11,040 W" in page.text
    assert "has not been asked yet" in page.text


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [(16, "agrees with our reckoning"), (10, "differs from our reckoning in 1")],
)
def test_what_the_charge_point_says_stands_beside_it(browser, owner, template, limit, wanted):
    with owner.answering():
        browser.post(f"{URL}/install", {"template": template, "connector_id": "1"})
    with owner.answering(answer_of(limit, clock.now_ms())) as sent:
        done = browser.post(f"{URL}/ask", {"connector": "1", "hours": "6", "unit": "A"})

    assert sent[0].payload == {"connectorId": 1, "duration": 21_600, "chargingRateUnit": "A"}
    page = read(browser, done.headers["Location"])
    assert wanted in page.text
    assert [a for tag, a in page.elements if tag == "path" and a.get("class") == "theirs"]
    assert ("differs" in page.text) is (limit != 16)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"status": "Rejected"}, "it answered Rejected without a schedule"),
        (answer_of(16, 1_500_000_000_000), "speaks of another time"),
    ],
)
def test_an_answer_that_helps_nobody_is_told(browser, owner, answer, wanted):
    with owner.answering(answer):
        done = browser.post(f"{URL}/ask", {"connector": "1", "hours": "6", "unit": "A"})

    assert wanted in read(browser, done.headers["Location"]).text


@pytest.mark.parametrize(
    "query", ["connector=x", "hours=0", "hours=" + "9" * 30, "unit=kW", "command=x"]
)
def test_an_address_edited_by_hand_still_shows_the_page(browser, cast, query):
    assert "Whole charge point" in read(browser, f"{URL}?{query}").text.replace("whole", "Whole")


def test_hostile_texts_stay_texts(browser, owner, stores, api):
    browser.post(NEW, {**FLAT, "description": NASTY})
    read(browser, "/charging-templates")
    read(browser, "/charging-templates/Flat")
    hostile = {**answer_of(16, clock.now_ms()), "status": NASTY}
    with owner.answering(hostile):
        api.post(
            "/api/v1/charge-points/CP001/commands?wait=5",
            json={"action": "GetCompositeSchedule", "payload": {"connectorId": 0, "duration": 60}},
        )
    line = Line(stores, process_id=owner.parts.process_id, now_ms=clock.now_ms())
    owner.epoch = line.epoch
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
        },
    }
    payload = {"idTag": "<b>x</b>", "connectorId": 1, "chargingProfile": profile}
    with owner.answering():
        api.post(
            "/api/v1/charge-points/CP001/commands?wait=5",
            json={"action": "RemoteStartTransaction", "payload": payload},
        )

    assert "for the remote start of <b>x</b>" in read(browser, URL).text


# -- the graph


def schedule(*periods, unit=RateUnit.A, start_ms=0, duration_s=7_200):
    return CompositeSchedule(
        1,
        start_ms,
        duration_s,
        unit,
        tuple(
            CompositePeriod(start, None if limit is None else Rate(limit, 3))
            for start, limit in periods
        ),
    )


def test_a_graph_has_steps_and_unlimited_stretches_above_them():
    graph = charging_graph.graph(Comparison(schedule((0, 16), (3_600, 8), (5_400, None)), 230))

    limited, unlimited = graph.lines
    assert not limited.is_unlimited
    assert unlimited.is_unlimited
    numbers = [float(n) for n in re.findall(r"[\d.]+", limited.path)]
    left, right = charging_graph.LEFT, charging_graph.WIDTH - charging_graph.RIGHT
    half, three_quarters = (left + right) / 2, left + (right - left) * 0.75
    assert numbers[0] == left
    assert numbers[3] == half  # M x y V y H x V y H x
    assert numbers[5] == three_quarters
    assert numbers[4] > numbers[2]  # lower limits lie lower
    assert unlimited.path == f"M{three_quarters} 14.0V14.0H{right}.0"
    assert [text for _, text in graph.limits] == ["0 A", "16 A"]
    assert [at_ms for _, at_ms in graph.times] == [n * HOUR_MS // 2 for n in range(5)]


def test_a_graph_without_any_limit_is_a_line_at_its_edge():
    graph = charging_graph.graph(Comparison(schedule((0, None)), 230))

    assert [line.is_unlimited for line in graph.lines] == [True]
    assert [text for _, text in graph.limits] == ["0 A"]


def test_rows_are_in_our_unit_and_say_what_was_not_answered():
    theirs = schedule((0, 11_040), unit=RateUnit.W, start_ms=1_800_000, duration_s=1_800)
    rows = charging_graph.rows(Comparison(schedule((0, 16)), 230, reported=theirs))

    assert [(r.start_ms, r.computed, r.reported, r.is_answered) for r in rows] == [
        (0, 16, None, False),
        (1_800_000, 16, 16, True),
        (3_600_000, 16, None, False),
    ]


def test_changes_within_a_second_are_one_row():
    theirs = schedule((0, 16), start_ms=999)
    rows = charging_graph.rows(Comparison(schedule((0, 16)), 230, reported=theirs))

    assert [(r.start_ms, r.is_answered) for r in rows] == [(999, True)]


def test_a_long_schedule_is_cut_in_the_table():
    every_second = schedule(*[(n, n % 7) for n in range(1_000)], duration_s=1_000)

    assert len(charging_graph.rows(Comparison(every_second, 230))) == charging_graph.ROWS_MAX
