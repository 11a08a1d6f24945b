"""The resources of smart charging: templates, installed profiles, composite schedules."""

import pytest
from cast import Line
from charging_owner import Owner

from csms import clock
from csms.domain.configuration import ConfigurationKey

TEMPLATES = "/api/v1/charging-profile-templates"
URL = "/api/v1/charge-points/CP001/charging-profiles"
COMPOSITE = "/api/v1/charge-points/CP001/composite-schedule"


def profile(purpose="TxDefaultProfile", limit=16, **fields):
    return {
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
        **fields,
    }


MAX = profile(
    "ChargePointMaxProfile",
    chargingProfileKind="Absolute",
    chargingSchedule={
        "startSchedule": "2026-01-01T00:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 20}],
    },
)


@pytest.fixture
def owner(around, connected):
    return Owner(around.parts, connected)


@pytest.fixture
def install(api, owner):
    """Installs a profile that the charge point takes: the record."""

    def install(body, answer=None):
        with owner.answering(answer or {"status": "Accepted"}):
            done = api.post(f"{URL}?wait=30", json=body)
        assert done.status_code == 200, done.json
        return done.json

    return install


def fields_of(refused):
    assert refused.status_code == 422, refused.json
    return [error["field"] for error in refused.json["errors"]]


# -- templates


def test_a_template_is_kept_changed_and_deleted(api):
    made = api.post(TEMPLATES, json={"name": "Night", "profile": profile()})
    assert made.status_code == 201
    assert made.headers["Location"] == f"{TEMPLATES}/Night"
    assert made.json["profile"] == profile()

    changed = api.patch(f"{TEMPLATES}/Night", json={"description": "cheap", "profile": MAX})
    assert changed.json["description"] == "cheap"
    assert changed.json["profile"] == MAX
    assert api.get(f"{TEMPLATES}/Night").json == changed.json
    assert api.get(TEMPLATES).json == {"items": [changed.json], "next_cursor": None}

    assert api.delete(f"{TEMPLATES}/Night").status_code == 204
    assert api.get(f"{TEMPLATES}/Night").status_code == 404
    assert api.get(TEMPLATES).json["items"] == []


def test_a_name_is_taken_once(api):
    api.post(TEMPLATES, json={"name": "Night", "profile": profile()})

    assert api.post(TEMPLATES, json={"name": "Night", "profile": MAX}).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Night"}, "profile"),
        ({"profile": profile()}, "name"),
        ({"name": "a/b", "profile": profile()}, "name"),
        ({"name": "Night", "profile": []}, "profile"),
        ({"name": "Night", "profile": profile(), "description": "\x00"}, "description"),
        ({"name": "Night", "profile": {}}, "profile.stackLevel"),
        ({"name": "Night", "profile": profile(chargingProfileId=1)}, "profile.chargingProfileId"),
        ({"name": "Night", "profile": profile(transactionId=1)}, "profile.transactionId"),
        ({"name": "Night", "profile": profile(recurrencyKind="Daily")}, "profile.recurrencyKind"),
        (
            {"name": "Night", "profile": profile(limit=6.15)},
            "profile.chargingSchedule.chargingSchedulePeriod.0.limit",
        ),
        (
            {"name": "Night", "profile": profile(limit=-1)},
            "profile.chargingSchedule.chargingSchedulePeriod.0.limit",
        ),
    ],
)
def test_a_bad_template_names_the_field(api, body, field):
    assert field in fields_of(api.post(TEMPLATES, json=body))
    assert api.get(TEMPLATES).json["items"] == []


def test_a_bad_change_leaves_the_template(api):
    made = api.post(TEMPLATES, json={"name": "Night", "profile": profile()}).json

    refused = api.patch(f"{TEMPLATES}/Night", json={"profile": profile(limit=-1)})

    assert fields_of(refused) == ["profile.chargingSchedule.chargingSchedulePeriod.0.limit"]
    assert api.get(f"{TEMPLATES}/Night").json == made
    assert api.patch(f"{TEMPLATES}/Day", json={"description": ""}).status_code == 404


# -- installing


def test_a_profile_is_queued_and_in_the_books(api, connected):
    queued = api.post(URL, json={"connector_id": 1, "profile": profile()})

    assert queued.status_code == 202
    assert queued.json["state"] == "requested"
    assert queued.json["charging_profile_id"] == 1
    assert queued.json["profile"] == {**profile(), "chargingProfileId": 1}
    command = api.get(queued.headers["Location"]).json
    assert command["id"] == queued.json["command_id"]
    assert command["action"] == "SetChargingProfile"
    assert command["payload"] == {
        "connectorId": 1,
        "csChargingProfiles": {**profile(), "chargingProfileId": 1},
    }
    assert api.get(URL).json["items"] == [queued.json]


def test_a_template_is_installed_with_a_time_of_its_own(api, install):
    api.post(TEMPLATES, json={"name": "Limit", "profile": MAX})

    installed = install(
        {
            "template": "Limit",
            "start_at": "2026-11-22T12:00:00+01:00",
            "valid_from": "2026-11-22T12:00:00Z",
            "valid_to": "2026-11-23T12:00:00Z",
        }
    )

    assert installed["state"] == "installed"
    assert installed["connector_id"] == 0
    assert installed["profile"]["validFrom"] == "2026-11-22T12:00:00.000Z"
    assert installed["profile"]["validTo"] == "2026-11-23T12:00:00.000Z"
    start = installed["profile"]["chargingSchedule"]["startSchedule"]
    assert start == "2026-11-22T11:00:00.000Z"


def test_ids_differ_and_a_given_one_is_taken(install):
    first = install({"connector_id": 1, "profile": profile()})
    given = install({"connector_id": 2, "profile": profile(), "charging_profile_id": 2})
    next_one = install({"connector_id": 3, "profile": profile()})

    assert [p["charging_profile_id"] for p in (first, given, next_one)] == [1, 2, 3]


def test_a_refusal_says_why(install):
    refused = install({"connector_id": 1, "profile": profile()}, {"status": "Rejected"})

    assert refused["state"] == "refused"
    assert "Rejected" in refused["reason"]


def test_the_same_key_installs_once(api, connected):
    headers = {"Idempotency-Key": "k1"}
    body = {"connector_id": 1, "profile": profile()}

    first = api.post(URL, json=body, headers=headers)
    second = api.post(URL, json=body, headers=headers)
    other = api.post(URL, json={**body, "connector_id": 2}, headers=headers)

    assert first.json == second.json
    assert other.json["type"] == "urn:csms:idempotency-conflict"
    assert len(api.get(URL).json["items"]) == 1


@pytest.fixture
def line(stores, owner):
    """CP001's other side; it takes over the socket, so that the owner follows its epoch."""
    line = Line(stores, process_id=owner.parts.process_id, now_ms=clock.now_ms())
    owner.epoch = line.epoch
    return line


def test_a_transaction_is_named_or_found_by_its_connector(api, line, install):
    transaction_id = line.start(clock.now_ms())["transactionId"]

    named = install({"transaction_id": transaction_id, "profile": profile("TxProfile")})
    found = install({"connector_id": 1, "profile": profile("TxProfile", 10)})

    for record in (named, found):
        assert record["connector_id"] == 1
        assert record["transaction_id"] == transaction_id
        assert record["profile"]["transactionId"] == transaction_id
    states = [p["state"] for p in api.get(f"{URL}?state=any").json["items"]]
    assert states == ["installed", "replaced"]
    line.stop(transaction_id, clock.now_ms())
    assert api.get(URL).json["items"] == []
    assert [p["state"] for p in api.get(f"{URL}?state=ended").json["items"]] == ["ended"]


def test_a_transaction_that_does_not_fit_is_told(api, line):
    ended = line.start(clock.now_ms())["transactionId"]
    line.stop(ended, clock.now_ms())
    running = line.start(clock.now_ms(), meterStart=7)["transactionId"]
    tx = profile("TxProfile")

    for body, field in [
        ({"profile": tx, "transaction_id": 4_711}, "transaction_id"),
        ({"profile": tx, "transaction_id": ended}, "transaction_id"),
        ({"profile": tx, "transaction_id": running, "connector_id": 2}, "connector_id"),
        ({"profile": tx, "connector_id": 2}, "transaction_id"),
        ({"profile": profile(), "transaction_id": running}, "transaction_id"),
    ]:
        assert fields_of(api.post(URL, json=body)) == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "template"),
        ({"template": "Day", "profile": profile()}, "template"),
        ({"template": "Nowhere", "connector_id": 1}, "template"),
        ({"profile": profile()}, "connector_id"),
        ({"profile": profile("TxProfile")}, "connector_id"),
        ({"profile": profile(), "connector_id": -1}, "connector_id"),
        ({"profile": MAX, "connector_id": 1}, "connector_id"),
        (
            {"profile": profile(), "connector_id": 1, "charging_profile_id": 0},
            "charging_profile_id",
        ),
        ({"profile": {}, "connector_id": 1}, "profile.stackLevel"),
        ({"profile": profile(stackLevel=-1), "connector_id": 1}, "profile.stackLevel"),
        (
            {"profile": profile(), "connector_id": 1, "start_at": "2026-01-01T00:00:00Z"},
            "profile.chargingSchedule.startSchedule",
        ),
        (
            {
                "profile": profile(),
                "connector_id": 1,
                "valid_from": "2026-01-02T00:00:00Z",
                "valid_to": "2026-01-01T00:00:00Z",
            },
            "profile.validTo",
        ),
    ],
)
def test_what_can_not_be_installed_names_the_field(api, connected, body, field):
    assert fields_of(api.post(URL, json=body)) == [field]
    assert api.get("/api/v1/commands").json["items"] == []
    assert api.get(f"{URL}?state=any").json["items"] == []


def test_a_template_that_does_not_fit_is_named_as_such(api, connected, stores):
    api.post(TEMPLATES, json={"name": "High", "profile": profile(stackLevel=9)})
    told = ConfigurationKey("ChargeProfileMaxStackLevel", "2", readonly=True, at_ms=0)
    stores.configurations.record("CP001", [told], is_all=False)

    refused = api.post(URL, json={"template": "High", "connector_id": 1})

    assert fields_of(refused) == ["template.stackLevel"]
    assert "ChargeProfileMaxStackLevel is 2" in refused.json["errors"][0]["problem"]


def test_profiles_are_those_of_a_charge_point_that_exists_and_is_connected(api, cast):
    body = {"connector_id": 1, "profile": profile()}

    assert api.post(URL, json=body).status_code == 409
    assert api.post(URL, json={**body, "deadline_s": 600}).status_code == 202
    unknown = URL.replace("CP001", "CP404")
    assert api.post(unknown, json=body).status_code == 404
    assert api.get(unknown).status_code == 404
    assert api.get(f"{URL}?state=lost").status_code == 422


def test_a_list_is_paged(api, connected):
    for connector_id in (1, 2, 3):
        api.post(URL, json={"connector_id": connector_id, "profile": profile()})

    first = api.get(f"{URL}?limit=2").json
    second = api.get(URL, query_string={"limit": 2, "cursor": first["next_cursor"]}).json

    assert len(first["items"]) == 2
    assert len(second["items"]) == 1
    assert second["next_cursor"] is None


# -- clearing


def test_profiles_are_cleared_by_criteria(api, install, owner):
    install({"connector_id": 1, "profile": profile()})
    install({"connector_id": 2, "profile": profile()})

    with owner.answering() as sent:
        cleared = api.delete(f"{URL}?connector_id=1&purpose=TxDefaultProfile&stack_level=0&wait=30")

    assert cleared.status_code == 200
    assert cleared.json["answer"] == {"status": "Accepted"}
    assert sent[0].payload == {
        "connectorId": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "stackLevel": 0,
    }
    assert [p["connector_id"] for p in api.get(URL).json["items"]] == [2]


def test_profiles_are_cleared_by_id_and_all(api, install, owner):
    first = install({"connector_id": 1, "profile": profile()})
    install({"connector_id": 2, "profile": profile()})
    install({"connector_id": 3, "profile": profile()})

    with owner.answering() as sent:
        api.delete(f"{URL}?charging_profile_id={first['charging_profile_id']}&wait=30")
    assert sent[0].payload == {"id": 1}
    assert len(api.get(URL).json["items"]) == 2

    with owner.answering() as sent:
        api.delete(f"{URL}?all=true&wait=30")
    assert sent[0].payload == {}
    assert api.get(URL).json["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "all"),
        ("all=true&connector_id=1", "all"),
        ("connector_id=-1", "connector_id"),
        ("purpose=Max", "purpose"),
        ("colour=red", "colour"),
    ],
)
def test_a_clear_that_does_not_say_what_is_refused(api, connected, query, field):
    assert fields_of(api.delete(f"{URL}?{query}")) == [field]
    assert api.get("/api/v1/commands").json["items"] == []


# -- composite schedules


def test_our_reckoning_without_an_answer(api, install):
    install({"connector_id": 1, "profile": profile(limit=6.5)})

    shown = api.get(COMPOSITE, query_string={"connector_id": 1, "duration_s": 600}).json

    assert shown["connector_id"] == 1
    assert shown["computed"]["charging_rate_unit"] == "A"
    assert shown["computed"]["duration_s"] == 600
    assert shown["computed"]["periods"] == [{"start_s": 0, "limit": 6.5, "number_phases": 3}]
    assert shown["answer"] is shown["reported"] is shown["compared_from"] is None
    assert shown["differences"] == []


def test_no_limit_is_null(api, cast):
    shown = api.get(COMPOSITE, query_string={"connector_id": 0, "duration_s": 60}).json

    assert shown["computed"]["periods"] == [{"start_s": 0, "limit": None, "number_phases": None}]


def test_watts_are_reckoned_by_the_nominal_voltage(api, install):
    install({"connector_id": 1, "profile": profile(limit=16)})

    shown = api.get(
        COMPOSITE,
        query_string={"connector_id": 1, "duration_s": 600, "charging_rate_unit": "W"},
    ).json

    assert shown["voltage_v"] == 230
    assert shown["computed"]["periods"][0]["limit"] == 11_040


def test_both_are_in_one_answer_with_what_differs(api, install, owner):
    install({"connector_id": 1, "profile": profile(limit=16)})
    answer = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": "2020-01-01T00:00:00Z",
        "chargingSchedule": {
            "duration": 20 * 365 * 86_400,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}],
        },
    }

    with owner.answering(answer) as sent:
        asked = api.post(COMPOSITE, json={"connector_id": 1, "duration_s": 600})

    assert asked.status_code == 200
    assert sent[0].payload == {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"}
    assert asked.json["answer"]["payload"] == answer
    assert asked.json["reported"]["periods"] == [{"start_s": 0, "limit": 10, "number_phases": 3}]
    (difference,) = asked.json["differences"]
    assert (difference["computed"], difference["reported"]) == (16, 10)
    assert difference["start_at"] == asked.json["compared_from"]
    assert difference["end_at"] == asked.json["compared_to"]
    later = api.get(COMPOSITE, query_string={"connector_id": 1, "duration_s": 600}).json
    assert later["reported"] == asked.json["reported"]


def test_a_refused_question_is_shown_as_answered(api, owner):
    with owner.answering({"status": "Rejected"}):
        asked = api.post(COMPOSITE, json={"connector_id": 9, "duration_s": 600})

    assert asked.json["answer"]["payload"] == {"status": "Rejected"}
    assert asked.json["reported"] is None


def test_a_charge_point_of_watts_is_asked_in_watts(api, connected, stores):
    told = ConfigurationKey(
        "ChargingScheduleAllowedChargingRateUnit", "Power", readonly=True, at_ms=0
    )
    stores.configurations.record("CP001", [told], is_all=False)

    asked = api.post(f"{COMPOSITE}?wait=0", json={"connector_id": 1, "duration_s": 600})

    assert asked.status_code == 202
    assert asked.json["computed"]["charging_rate_unit"] == "W"
    (command,) = api.get("/api/v1/commands").json["items"]
    assert command["payload"]["chargingRateUnit"] == "W"


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"connector_id": -1, "duration_s": 60}, "connector_id"),
        ({"connector_id": 1, "duration_s": 0}, "duration_s"),
        ({"connector_id": 1, "duration_s": 31 * 86_400 + 1}, "duration_s"),
        (
            {"connector_id": 1, "duration_s": 60, "charging_rate_unit": "kW"},
            "charging_rate_unit",
        ),
    ],
)
def test_a_bad_question_names_the_field(api, connected, question, field):
    assert fields_of(api.get(COMPOSITE, query_string=question)) == [field]
    assert fields_of(api.post(COMPOSITE, json=question)) == [field]
    assert api.get("/api/v1/commands").json["items"] == []


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"duration_s": 60}, "connector_id"),
        ({"connector_id": 1}, "duration_s"),
        ({"connector_id": 1, "duration_s": "60"}, "duration_s"),
    ],
)
def test_the_charge_point_is_asked_a_whole_question(api, connected, question, field):
    assert fields_of(api.post(COMPOSITE, json=question)) == [field]


def test_a_day_of_the_whole_charge_point_is_reckoned_unless_told_otherwise(api, cast):
    shown = api.get(COMPOSITE).json

    assert shown["connector_id"] == 0
    assert shown["computed"]["duration_s"] == 86_400


def test_a_composite_schedule_is_of_a_charge_point_that_exists(api):
    question = {"connector_id": 1, "duration_s": 60}

    assert api.get(COMPOSITE, query_string=question).status_code == 404
    assert api.post(COMPOSITE, json=question).status_code == 404
