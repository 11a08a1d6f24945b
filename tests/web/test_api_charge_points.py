"""The resource `charge-points`."""

from dataclasses import replace

import pytest
from cast import CP001, NOON_MS, PEPPER, Line

from csms.domain.certificate_facts import CertificateFacts
from csms.domain.charge_point import Admission
from csms.domain.credentials import key_matches

URL = "/api/v1/charge-points"


def test_new_charge_point_gets_a_key_that_is_shown_once(api, stores):
    created = api.post(URL, json={"id": "CP001"})

    assert created.status_code == 201
    assert created.headers["Location"] == f"{URL}/CP001"
    key = created.json["authorization_key"]
    assert len(bytes.fromhex(key)) == 20
    assert key_matches(
        bytes.fromhex(key), stores.charge_points.get("CP001").key_hash, PEPPER.encode()
    )
    assert "authorization_key" not in api.get(f"{URL}/CP001").json


def test_given_key_is_kept_but_not_echoed(api, stores):
    created = api.post(URL, json={"id": "CP001", "authorization_key": "0123456789abcdef"})

    assert created.status_code == 201
    assert "authorization_key" not in created.json
    stored = stores.charge_points.get("CP001").key_hash
    assert key_matches(b"0123456789abcdef", stored, PEPPER.encode())


@pytest.mark.parametrize(("profile", "has_key"), [(0, False), (1, True), (2, True), (3, False)])
def test_security_profiles_1_and_2_have_a_key(api, stores, profile, has_key):
    created = api.post(URL, json={"id": "CP001", "security_profile": profile})

    assert created.status_code == 201
    assert created.json["security_profile"] == profile
    assert ("authorization_key" in created.json) is has_key
    assert bool(stores.charge_points.get("CP001").key_hash) is has_key


def test_every_setting_is_kept(api):
    settings = {
        "admission": "pending",
        "retry_interval_s": 10,
        "heartbeat_interval_s": 20,
        "call_timeout_s": 30,
        "description": "Behind the town hall",
        "site": "Town hall",
        "tags": ["Pilot", "row-7"],
        "assume_ocpp16": True,
    }

    api.post(URL, json={"id": "CP001", **settings})

    read = api.get(f"{URL}/CP001").json
    assert {name: read[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "id"),
        ({"id": "a/b"}, "id"),
        ({"id": "x" * 49}, "id"),
        ({"id": 5}, "id"),
        ({"id": "CP001", "security_profile": 4}, "security_profile"),
        ({"id": "CP001", "security_profile": -1}, "security_profile"),
        ({"id": "CP001", "security_profile": "1"}, "security_profile"),
        ({"id": "CP001", "security_profile": True}, "security_profile"),
        ({"id": "CP001", "authorization_key": "short"}, "authorization_key"),
        (
            {"id": "CP001", "security_profile": 0, "authorization_key": "a" * 16},
            "authorization_key",
        ),
        (
            {"id": "CP001", "security_profile": 3, "authorization_key": "a" * 16},
            "authorization_key",
        ),
        ({"id": "CP001", "admission": "maybe"}, "admission"),
        ({"id": "CP001", "retry_interval_s": -1}, "retry_interval_s"),
        ({"id": "CP001", "heartbeat_interval_s": 0}, "heartbeat_interval_s"),
        ({"id": "CP001", "heartbeat_interval_s": 1.5}, "heartbeat_interval_s"),
        ({"id": "CP001", "call_timeout_s": 601}, "call_timeout_s"),
        ({"id": "CP001", "description": "x" * 501}, "description"),
        ({"id": "CP001", "description": "two\nlines"}, "description"),
        ({"id": "CP001", "site": "x" * 65}, "site"),
        ({"id": "CP001", "site": "two\nlines"}, "site"),
        ({"id": "CP001", "tags": ["ok", "two words"]}, "tags.1"),
        ({"id": "CP001", "tags": ["x" * 33]}, "tags.0"),
        ({"id": "CP001", "tags": [f"t{n}" for n in range(21)]}, "tags"),
        ({"id": "CP001", "tags": "pilot"}, "tags"),
        ({"id": "CP001", "assume_ocpp16": "yes"}, "assume_ocpp16"),
        ({"id": "CP001", "vendor": "x"}, "vendor"),
        ([], "body"),
    ],
)
def test_bad_setting_is_named(api, stores, body, field):
    refused = api.post(URL, json=body)

    assert refused.status_code == 422
    assert refused.content_type == "application/problem+json"
    assert [error["field"] for error in refused.json["errors"]] == [field]
    assert stores.charge_points.count() == 0


@pytest.mark.parametrize("charge_point_id", ["CP001", "cp001"])
def test_second_one_of_the_same_id_is_refused(api, cast, charge_point_id):
    refused = api.post(URL, json={"id": charge_point_id})

    assert refused.status_code == 409
    assert refused.json["type"] == "urn:csms:charge-point-exists"
    assert "CP001" in refused.json["detail"]


def test_id_in_the_address_is_percent_decoded(api):
    api.post(URL, json={"id": "CP 1|a@b"})

    assert api.get(f"{URL}/CP%201%7Ca%40b").json["id"] == "CP 1|a@b"


@pytest.mark.parametrize("charge_point_id", ["CP404", "a%2Fb", "%7Bx%7D", "..%2F..", "x" * 60])
def test_unknown_charge_point_is_404(api, charge_point_id):
    answers = [
        api.get(f"{URL}/{charge_point_id}"),
        api.patch(f"{URL}/{charge_point_id}", json={"description": "x"}),
        api.delete(f"{URL}/{charge_point_id}"),
        api.get(f"{URL}/{charge_point_id}/commands"),
        api.get(f"{URL}/{charge_point_id}/messages"),
        api.get(f"{URL}/{charge_point_id}/orphans"),
        api.get(f"{URL}/{charge_point_id}/loose-meter-values"),
        api.post(f"{URL}/{charge_point_id}/commands", json={"action": "ClearCache"}),
    ]

    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert all(answer.content_type == "application/problem+json" for answer in answers)


def test_record_tells_all_that_is_known(api, cast, stores):
    stores.presences.renew("process-1")
    line = Line(stores)
    line.call(
        "BootNotification",
        {"chargePointVendor": "Acme", "chargePointModel": "Duo", "firmwareVersion": "1.2"},
    )
    line.status("Faulted", connector_id=1, errorCode="GroundFailure", info="38 mA")
    line.status("Charging", connector_id=1)
    started = line.start()
    line.meter(
        samples=[
            {"value": "3", "unit": "kWh", "measurand": "Energy.Active.Import.Register"},
            {"value": "11000", "measurand": "Power.Active.Import"},
            {"value": "55", "measurand": "SoC"},
        ]
    )
    line.call("FirmwareStatusNotification", {"status": "Installed"})

    read = api.get(f"{URL}/CP001").json

    assert read["facts"]["chargePointVendor"] == "Acme"
    assert read["registration"] == "Accepted"
    assert read["booted_at"] == "2026-11-22T12:00:00.000Z"
    assert read["firmware_status"] == "Installed"
    connection = read["connection"]
    assert connection["connected"] is True
    assert connection["process"] == "process-1"
    assert connection["remote_address"] == "127.0.0.1"
    assert connection["connected_at"] == connection["last_seen_at"] == "2026-11-22T12:00:00.000Z"
    [connector] = read["connectors"]
    assert connector["connector_id"] == 1
    assert connector["status"] == "Charging"
    assert connector["error_code"] == "NoError"
    assert connector["last_error"]["error_code"] == "GroundFailure"
    assert connector["last_error"]["info"] == "38 mA"
    assert connector["transaction_id"] == started["transactionId"]
    assert connector["reading"] == {
        "read_at": "2026-11-22T12:00:00.000Z",
        "energy_wh": 3000,
        "power_w": 11000,
        "state_of_charge_percent": 55,
    }


def test_connector_that_only_runs_a_transaction_is_listed(api, cast, stores):
    Line(stores).start(connectorId=2)

    [connector] = api.get(f"{URL}/CP001").json["connectors"]

    assert connector["connector_id"] == 2
    assert connector["status"] is None
    assert connector["status_at"] is None


def test_connection_of_a_dead_process_counts_as_closed(api, cast, stores):
    Line(stores, process_id="dead")

    assert api.get(f"{URL}/CP001").json["connection"]["connected"] is False


def test_list_is_paged_in_the_order_of_ids(api):
    for number in range(5):
        api.post(URL, json={"id": f"CP{number}", "security_profile": 0})

    seen, cursor = [], None
    while True:
        page = api.get(URL, query_string={"limit": 2, **({"cursor": cursor} if cursor else {})})
        seen.append([item["id"] for item in page.json["items"]])
        cursor = page.json["next_cursor"]
        if cursor is None:
            break

    assert seen == [["CP0", "CP1"], ["CP2", "CP3"], ["CP4"]]


def test_list_filters_by_prefix_and_connection(api, stores):
    for charge_point_id in ("A1", "A2", "A3", "B1"):
        api.post(URL, json={"id": charge_point_id, "security_profile": 0})
    stores.presences.renew("process-1")
    for charge_point_id in ("A2", "A3", "B1"):
        stores.presences.connect(charge_point_id, "process-1", 1, "", secure=False)

    def ids(**query):
        page = api.get(URL, query_string=query).json
        return [item["id"] for item in page["items"]], page["next_cursor"]

    assert ids(prefix="A") == (["A1", "A2", "A3"], None)
    assert ids(connected="true") == (["A2", "A3", "B1"], None)
    assert ids(connected="false") == (["A1"], None)
    assert ids(connected="true", limit=1) == (["A2"], "A2")
    assert ids(connected="true", limit=1, cursor="A3") == (["B1"], None)
    assert ids(connected="true", prefix="A", limit=2) == (["A2", "A3"], None)


def test_tags_are_kept_once_whatever_their_case_and_taken_away_by_none(api, cast):
    changed = api.patch(f"{URL}/CP001", json={"tags": ["pilot", "Row-7", "PILOT", "row-7"]})

    assert changed.json["tags"] == ["pilot", "Row-7"]
    assert api.patch(f"{URL}/CP001", json={"tags": []}).json["tags"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"site": "harbour"}, ["A1", "A2"]),
        ({"tag": "PILOT"}, ["A1", "B1"]),
        ({"site": "Harbour", "tag": "pilot"}, ["A1"]),
        ({"site": "Harb"}, []),
        ({"vendor": "acme"}, ["A1"]),
        ({"model": "Duo"}, ["A1", "A2"]),
        ({"firmware": "1.0", "model": "duo"}, ["A2"]),
        ({"tag": "pilot", "prefix": "B"}, ["B1"]),
        ({"tag": "pilot", "connected": "true"}, []),
        ({"tag": ""}, ["A1", "A2", "B1"]),
    ],
)
def test_list_shows_those_of_a_kind_a_site_or_a_tag(api, stores, query, found):
    for charge_point_id, facts, site, tags in [
        (
            "A1",
            {"chargePointVendor": "Acme", "chargePointModel": "Duo"},
            "Harbour",
            ("pilot", "quay"),
        ),
        ("A2", {"chargePointModel": "Duo", "firmwareVersion": "1.0"}, "Harbour", ("quay",)),
        ("B1", {}, "", ("Pilot",)),
    ]:
        stores.charge_points.create(
            replace(CP001, charge_point_id=charge_point_id, facts=facts, site=site, tags=tags)
        )

    assert [item["id"] for item in api.get(URL, query_string=query).json["items"]] == found


def test_pages_of_those_that_fit_go_on_where_the_last_ended(api, stores):
    for number in range(7):
        tags = ("odd",) if number % 2 else ()
        stores.charge_points.create(replace(CP001, charge_point_id=f"CP{number}", tags=tags))

    first = api.get(URL, query_string={"tag": "odd", "limit": 2}).json
    second = api.get(
        URL, query_string={"tag": "odd", "limit": 2, "cursor": first["next_cursor"]}
    ).json

    assert [item["id"] for item in first["items"]] == ["CP1", "CP3"]
    assert [item["id"] for item in second["items"]] == ["CP5"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"connected": "perhaps"}, "connected"),
        ({"site": "x" * 65}, "site"),
        ({"prefx": "A"}, "prefx"),
    ],
)
def test_bad_query_is_named(api, query, field):
    refused = api.get(URL, query_string=query)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json["errors"]] == [field]


def test_change_of_settings_leaves_the_connection(api, cast, around, stores):
    changed = api.patch(f"{URL}/CP001", json={"admission": "rejected", "retry_interval_s": 5})

    assert changed.status_code == 200
    assert changed.json["admission"] == "rejected"
    assert stores.charge_points.get("CP001").admission is Admission.REJECTED
    assert around.evicted == []
    assert "CP001" in stores.changed.take()


def test_null_takes_the_systems_own_setting(api, cast):
    api.patch(f"{URL}/CP001", json={"call_timeout_s": 5})

    assert api.patch(f"{URL}/CP001", json={"call_timeout_s": None}).json["call_timeout_s"] is None


def test_new_key_ends_the_connection_and_is_shown_once(api, around, stores):
    old = api.post(URL, json={"id": "CP001"}).json["authorization_key"]

    changed = api.patch(f"{URL}/CP001", json={"authorization_key": "generate"})

    new = changed.json["authorization_key"]
    stored = stores.charge_points.get("CP001").key_hash
    assert key_matches(bytes.fromhex(new), stored, PEPPER.encode())
    assert not key_matches(bytes.fromhex(old), stored, PEPPER.encode())
    assert around.evicted == ["CP001"]
    assert "authorization_key" not in api.get(f"{URL}/CP001").json


def test_profile_with_a_key_needs_one(api, cast, around):
    refused = api.patch(f"{URL}/CP001", json={"security_profile": 1})
    changed = api.patch(
        f"{URL}/CP001", json={"security_profile": 1, "authorization_key": "generate"}
    )

    assert CP001.security_profile == 0
    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "authorization_key"
    assert changed.json["security_profile"] == 1
    assert around.evicted == ["CP001"]


def profile_events(stores):
    return [
        (kept.event.event_type, kept.event.critical, kept.event.actor, kept.event.tech_info)
        for kept in stores.security_events.page(None, 10, charge_point_id="CP001").items
    ]


def test_profile_raised_by_an_operator_holds_at_once_and_is_noted(api, stores, around):
    api.post(URL, json={"id": "CP001"})
    stores.charge_points.expect_profile("CP001", 3)

    changed = api.patch(f"{URL}/CP001", json={"security_profile": 2})

    assert changed.json["security_profile"] == 2
    assert changed.json["pending_security_profile"] is None
    assert around.evicted == ["CP001"]
    assert profile_events(stores) == [
        ("SecurityProfileRaised", False, "api:bootstrap", "from 1 to 2, in its settings")
    ]


def test_profile_lowered_by_an_operator_is_a_critical_event(api, stores, around):
    """A00.FR.005: never through OCPP, so that somebody has to look."""
    api.post(URL, json={"id": "CP001", "security_profile": 2})

    api.patch(f"{URL}/CP001", json={"security_profile": 1})

    assert stores.charge_points.get("CP001").security_profile == 1
    assert around.evicted == ["CP001"]
    assert profile_events(stores) == [
        ("SecurityProfileLowered", True, "api:bootstrap", "from 2 to 1, in its settings")
    ]


def test_profile_named_again_ends_a_pending_upgrade_and_nothing_else(api, stores, around):
    api.post(URL, json={"id": "CP001"})
    stores.charge_points.expect_profile("CP001", 2)
    pending = api.get(f"{URL}/CP001").json["pending_security_profile"]

    changed = api.patch(f"{URL}/CP001", json={"security_profile": 1})

    assert (pending, changed.json["pending_security_profile"]) == (2, None)
    assert around.evicted == []
    assert profile_events(stores) == []


def test_profile_3_needs_no_key_and_going_back_does(api, stores):
    api.post(URL, json={"id": "CP001", "security_profile": 3})

    refused = api.patch(f"{URL}/CP001", json={"security_profile": 2})
    useless = api.patch(f"{URL}/CP001", json={"authorization_key": "generate"})
    changed = api.patch(
        f"{URL}/CP001", json={"security_profile": 2, "authorization_key": "generate"}
    )

    for answer in (refused, useless):
        assert answer.status_code == 422
        assert answer.json["errors"][0]["field"] == "authorization_key"
    assert len(changed.json["authorization_key"]) == 40


def test_certificate_with_which_it_came_last_is_read(api, stores):
    api.post(URL, json={"id": "CP001", "security_profile": 3})
    assert api.get(f"{URL}/CP001").json["client_certificate"] is None
    facts = CertificateFacts("SN-1", "A CPO", "CN=Root", "1F", "ab" * 32, NOON_MS, NOON_MS + 1)
    stores.charge_points.update("CP001", client_certificate=facts)

    read = api.get(f"{URL}/CP001").json["client_certificate"]

    assert stores.charge_points.get("CP001").client_certificate == facts
    assert read == {
        "common_name": "SN-1",
        "organisation": "A CPO",
        "issuer": "CN=Root",
        "serial_number": "1F",
        "fingerprint": "ab" * 32,
        "not_before": "2026-11-22T12:00:00.000Z",
        "not_after": "2026-11-22T12:00:00.001Z",
    }


def test_key_is_of_no_use_without_a_profile_that_asks_for_it(api, cast, around):
    refused = api.patch(f"{URL}/CP001", json={"authorization_key": "generate"})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "authorization_key"
    assert around.evicted == []


def test_deleted_charge_point_is_gone_and_its_connection_ended(api, cast, around):
    deleted = api.delete(f"{URL}/CP001")

    assert deleted.status_code == 204
    assert deleted.data == b""
    assert around.evicted == ["CP001"]
    assert api.get(f"{URL}/CP001").status_code == 404


def test_its_transactions_outlive_it(api, cast, stores):
    started = Line(stores).start()

    api.delete(f"{URL}/CP001")

    assert api.get(f"/api/v1/transactions/{started['transactionId']}").status_code == 200
