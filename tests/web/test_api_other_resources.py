"""Id tags, transactions, messages, refused connections, the overview and API keys."""

import csv
import io

import pytest
from cast import ALICE, NOON_MS, SECOND_MS, Line

from csms.web import csv_export, transactions_csv

TAGS = "/api/v1/id-tags"


def test_id_tag_is_entered_read_changed_and_deleted(api):
    entered = {
        "id_tag": "04A1B2C3",
        "status": "Blocked",
        "parent_id_tag": "FLEET",
        "expires_at": "2030-01-01T01:00:00+01:00",
        "max_active_transactions": 2,
        "tag_groups": ["night", "staff"],
    }

    created = api.post(TAGS, json=entered)

    assert created.status_code == 201
    assert created.headers["Location"] == f"{TAGS}/04A1B2C3"
    assert created.json == {**entered, "expires_at": "2030-01-01T00:00:00.000Z"}
    assert api.get(f"{TAGS}/04a1b2c3").json == created.json
    changed = api.patch(f"{TAGS}/04A1B2C3", json={"status": "Accepted", "expires_at": None})
    assert changed.json["status"] == "Accepted"
    assert changed.json["expires_at"] is None
    assert changed.json["parent_id_tag"] == "FLEET"
    assert api.delete(f"{TAGS}/04A1B2C3").status_code == 204
    assert api.get(f"{TAGS}/04A1B2C3").status_code == 404


def test_id_tag_is_accepted_without_limits_unless_said_otherwise(api):
    assert api.post(TAGS, json={"id_tag": "ALICE"}).json == {
        "id_tag": "ALICE",
        "status": "Accepted",
        "parent_id_tag": None,
        "expires_at": None,
        "max_active_transactions": None,
        "tag_groups": [],
    }


def test_tag_groups_are_lower_case_each_once_and_lead_to_their_tags(api):
    created = api.post(TAGS, json={"id_tag": "A", "tag_groups": ["Staff", "staff", "NIGHT"]})
    api.post(TAGS, json={"id_tag": "B", "tag_groups": ["night"]})
    assert created.json["tag_groups"] == ["night", "staff"]

    def listed(group):
        return [tag["id_tag"] for tag in api.get(f"{TAGS}?tag_group={group}").json["items"]]

    assert (listed("STAFF"), listed("night"), listed("nobody")) == (["A"], ["A", "B"], [])
    assert api.patch(f"{TAGS}/A", json={"tag_groups": []}).json["tag_groups"] == []
    assert (listed("staff"), listed("night")) == ([], ["B"])
    assert api.get(f"{TAGS}?tag_group=a b").status_code == 422


@pytest.mark.parametrize("id_tag", ["a//b", "a/b?c#d", "../x", "100%", "a b", "é"])
def test_any_printable_id_tag_has_an_address(api, id_tag):
    location = api.post(TAGS, json={"id_tag": id_tag}).headers["Location"]

    assert api.get(location).json["id_tag"] == id_tag


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "id_tag"),
        ({"id_tag": ""}, "id_tag"),
        ({"id_tag": "x" * 21}, "id_tag"),
        ({"id_tag": "a\u0000b"}, "id_tag"),
        ({"id_tag": " padded"}, "id_tag"),
        ({"id_tag": "A", "status": "Expired"}, "status"),
        ({"id_tag": "A", "parent_id_tag": "x" * 21}, "parent_id_tag"),
        ({"id_tag": "A", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"id_tag": "A", "expires_at": "soon"}, "expires_at"),
        ({"id_tag": "A", "expires_at": 5}, "expires_at"),
        ({"id_tag": "A", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"id_tag": "A", "max_active_transactions": 0}, "max_active_transactions"),
        ({"id_tag": "A", "limit": 1}, "limit"),
        ({"id_tag": "A", "tag_groups": "staff"}, "tag_groups"),
        ({"id_tag": "A", "tag_groups": ["fine", "a b"]}, "tag_groups.1"),
        ({"id_tag": "A", "tag_groups": [5]}, "tag_groups.0"),
        ({"id_tag": "A", "tag_groups": [f"g{n}" for n in range(21)]}, "tag_groups"),
    ],
)
def test_bad_id_tag_is_named(api, body, field):
    refused = api.post(TAGS, json=body)

    assert refused.status_code == 422
    assert field in {error["field"] for error in refused.json["errors"]}
    assert api.get(TAGS).json["items"] == []


def test_id_tag_that_differs_in_case_only_exists(api, cast):
    refused = api.post(TAGS, json={"id_tag": "alice"})

    assert refused.status_code == 409
    assert refused.json["type"] == "urn:csms:already-exists"


def test_unknown_id_tag_is_404(api):
    answers = [
        api.get(f"{TAGS}/NOBODY"),
        api.patch(f"{TAGS}/NOBODY", json={"status": "Blocked"}),
        api.delete(f"{TAGS}/NOBODY"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_id_tags_are_paged_and_filtered(api, cast):
    first = api.get(TAGS, query_string={"limit": 2}).json
    second = api.get(TAGS, query_string={"limit": 2, "cursor": first["next_cursor"]}).json

    assert [tag["id_tag"] for tag in first["items"]] == ["ALICE", "BOB"]
    assert [tag["id_tag"] for tag in second["items"]] == ["CAROL"]
    assert second["next_cursor"] is None
    assert [tag["id_tag"] for tag in api.get(f"{TAGS}?prefix=bo").json["items"]] == ["BOB"]


@pytest.fixture
def line(cast, stores):
    return Line(stores)


def test_transaction_is_read_with_its_meter_values(api, line):
    transaction_id = line.start()["transactionId"]
    line.meter(samples=[{"value": "2000", "unit": "Wh"}], transactionId=transaction_id)
    line.stop(transaction_id, reason="EVDisconnected")

    read = api.get(f"/api/v1/transactions/{transaction_id}").json
    values = api.get(f"/api/v1/transactions/{transaction_id}/meter-values").json

    assert read["id"] == transaction_id
    assert read["charge_point_id"] == "CP001"
    assert read["state"] == "stopped"
    assert read["energy_wh"] == 4000
    assert read["stop_reason"] == "EVDisconnected"
    assert read["started_at"] == "2026-11-22T12:00:00.000Z"
    assert values["items"] == [
        {
            "connector_id": 1,
            "timestamp": "2026-11-22T12:00:00Z",
            "sampled_value": [{"value": "2000", "unit": "Wh"}],
        }
    ]


@pytest.mark.parametrize("transaction_id", ["1", "9999999999", "9" * 5000, "x", "-1"])
def test_unknown_transaction_is_404(api, transaction_id):
    assert api.get(f"/api/v1/transactions/{transaction_id}").status_code == 404
    assert api.get(f"/api/v1/transactions/{transaction_id}/meter-values").status_code == 404


def test_transactions_are_filtered_newest_first(api, line, stores):
    ids = []
    for number, tag in enumerate(["ALICE", "BOB", "ALICE"]):
        started = line.start(
            idTag=tag,
            connectorId=number + 1,
            timestamp=f"2026-11-22T12:00:0{number}Z",
            now_ms=NOON_MS + 10 * SECOND_MS,
        )
        ids.append(started["transactionId"])
    line.stop(ids[0])

    def found(**query):
        page = api.get("/api/v1/transactions", query_string=query).json
        return [item["id"] for item in page["items"]]

    assert found() == ids[::-1]
    assert found(id_tag="alice") == [ids[2], ids[0]]
    assert found(state="open") == [ids[2], ids[1]]
    assert found(state="stopped", charge_point_id="CP001") == [ids[0]]
    assert found(charge_point_id="CP002") == []
    assert found(started_after="2026-11-22T12:00:01Z") == [ids[2], ids[1]]
    assert found(started_before="2026-11-22T12:00:01Z") == [ids[0]]


def test_transactions_are_paged(api, line):
    ids = [line.start(timestamp=f"2026-11-22T11:00:0{n}Z")["transactionId"] for n in range(5)]

    first = api.get("/api/v1/transactions?limit=3").json
    second = api.get(
        "/api/v1/transactions", query_string={"limit": 3, "cursor": first["next_cursor"]}
    ).json

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "running"}, "state"),
        ({"started_after": "yesterday"}, "started_after"),
        ({"started_before": "2026-11-22T12:00:00"}, "started_before"),
        ({"tag": "x"}, "tag"),
    ],
)
def test_bad_filter_is_named(api, query, field):
    for path in ("/api/v1/transactions", "/api/v1/transactions.csv"):
        refused = api.get(path, query_string=query)

        assert refused.status_code == 422
        assert refused.json["errors"][0]["field"] == field


def rows_of(response):
    return list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))


def test_export_holds_every_page(api, line):
    count = csv_export.PAGE + 5
    for number in range(count):
        line.start(timestamp=f"2026-11-22T11:{number // 60:02d}:{number % 60:02d}Z")

    exported = api.get("/api/v1/transactions.csv")

    assert exported.content_type == "text/csv; charset=utf-8"
    assert "attachment" in exported.headers["Content-Disposition"]
    rows = rows_of(exported)
    assert len({row["transaction_id"] for row in rows}) == count
    assert tuple(rows[0]) == tuple(transactions_csv.COLUMNS)


@pytest.mark.parametrize("payload", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|'/c calc'!A1"])
def test_export_holds_no_formula(api, line, payload):
    line.start(idTag=payload[:20])

    [row] = rows_of(api.get("/api/v1/transactions.csv"))

    assert row["id_tag"] == f"'{payload[:20]}"


@pytest.mark.parametrize("text", ["\tx", "\rx"])
def test_cell_with_a_leading_control_character_is_made_safe(text):
    assert csv_export.safe(text) == f"'{text}"


def test_negative_numbers_stay_numbers():
    assert csv_export.safe(-5) == -5
    assert csv_export.safe(None) is None


def test_export_is_filtered(api, line):
    line.start(idTag="ALICE", connectorId=1)
    line.start(idTag="BOB", connectorId=2)

    rows = rows_of(api.get("/api/v1/transactions.csv?id_tag=BOB"))

    assert [row["id_tag"] for row in rows] == ["BOB"]


def test_what_fits_no_transaction_is_listed(api, line):
    line.stop(77)
    line.meter(samples=[{"value": "5"}])

    [orphan] = api.get("/api/v1/charge-points/CP001/orphans").json["items"]
    [loose] = api.get("/api/v1/charge-points/CP001/loose-meter-values").json["items"]

    assert orphan["transaction_id"] == 77
    assert orphan["meter_stop_wh"] == 5000
    assert loose["sampled_value"] == [{"value": "5"}]


def test_messages_are_read_and_parsed(api, cast, stores):
    stores.messages.received(
        "CP001", '[2,"m1","Heartbeat",{}]', NOON_MS, '[3,"m1",{"currentTime":"x"}]', NOON_MS + 1
    )
    stores.messages.sent("CP001", '[2,"c1","Reset",{"type":"Soft"}]', NOON_MS + 2)
    stores.messages.received("CP001", "{broken", NOON_MS + 3)

    broken, sent, answer, received = api.get("/api/v1/charge-points/CP001/messages").json["items"]

    assert broken == {
        "at": "2026-11-22T12:00:00.003Z",
        "direction": "received",
        "frame": "{broken",
        "message_type": None,
        "unique_id": None,
        "action": None,
    }
    assert (sent["direction"], sent["message_type"], sent["action"]) == ("sent", "CALL", "Reset")
    assert (answer["direction"], answer["message_type"]) == ("sent", "CALLRESULT")
    assert received["unique_id"] == "m1"


def test_messages_are_paged(api, cast, stores):
    for number in range(5):
        stores.messages.sent("CP001", f'[2,"c{number}","ClearCache",{{}}]', NOON_MS)

    url = "/api/v1/charge-points/CP001/messages"
    first = api.get(url, query_string={"limit": 3}).json
    second = api.get(url, query_string={"limit": 3, "cursor": first["next_cursor"]}).json

    ids = [message["unique_id"] for message in first["items"] + second["items"]]
    assert ids == ["c4", "c3", "c2", "c1", "c0"]
    assert second["next_cursor"] is None


@pytest.fixture
def log(cast, stores):
    """Both sides' CALLs, answers and errors, and what is no frame."""
    note = stores.messages
    note.received("CP001", '[2,"m1","Heartbeat",{}]', NOON_MS, '[3,"m1",{}]', NOON_MS)
    note.sent("CP001", '[2,"c1","Reset",{"type":"Soft"}]', NOON_MS)
    note.sent("CP001", '[2,"c2","ClearCache",{}]', NOON_MS)
    note.received("CP001", '[3,"c2",{"status":"Accepted"}]', NOON_MS)
    note.received("CP001", '[4,"c1","NotSupported","",{}]', NOON_MS)
    note.received("CP001", '[2,"m2","Odd",{}]', NOON_MS, '[4,"m2","NotImplemented","",{}]', NOON_MS)
    note.received("CP001", "{broken", NOON_MS)
    note.received("CP001", f'[2,"m3","Heartbeat",{{"a":"{"x" * 9_000}"}}]', NOON_MS)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"action": "Reset"}, ['[4,"c1"', '[2,"c1"']),
        ({"action": "heartbeat"}, ['[3,"m1"', '[2,"m1"']),
        ({"action": "ClearCache", "direction": "received"}, ['[3,"c2"']),
        ({"direction": "sent"}, ['[4,"m2"', '[2,"c2"', '[2,"c1"', '[3,"m1"']),
        ({"errors_only": "true"}, ["{broken", '[4,"m2"', '[4,"c1"']),
        ({"errors_only": "true", "direction": "sent"}, ['[4,"m2"']),
        ({"errors_only": "true", "action": "Reset"}, ['[4,"c1"']),
        ({"errors_only": "true", "action": "Heartbeat"}, []),
        (
            {"action": ""},
            ["[2,", "{broken", "[4,", "[2,", "[4,", "[3,", "[2,", "[2,", "[3,", "[2,"],
        ),
    ],
)
def test_messages_are_filtered(api, log, wanted, found):
    """A message that was cut is no error; an answer has the Action of its CALL."""
    items = api.get("/api/v1/charge-points/CP001/messages", query_string=wanted).json["items"]

    assert len(items) == len(found)
    for message, begin in zip(items, found, strict=True):
        assert message["frame"].startswith(begin)


@pytest.mark.parametrize(
    ("name", "value"), [("direction", "up"), ("errors_only", "perhaps"), ("action", "x" * 51)]
)
def test_a_filter_that_is_none_is_named(api, cast, name, value):
    refused = api.get("/api/v1/charge-points/CP001/messages", query_string={name: value})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == name


@pytest.mark.parametrize("cursor", ["x", "١-١", "9" * 30, f"1-{'9' * 30}"])
def test_foreign_cursor_of_messages_is_named(api, cast, cursor):
    refused = api.get("/api/v1/charge-points/CP001/messages", query_string={"cursor": cursor})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "cursor"


def test_refused_connections_are_counted(api, stores):
    for number in range(3):
        stores.refusals.record("CP404", "unknown charge point", "203.0.113.9", NOON_MS + number)
    stores.refusals.record("CP001", "wrong credentials", "203.0.113.8", NOON_MS + 5)

    page = api.get("/api/v1/refused-connections").json
    one = api.get("/api/v1/refused-connections?charge_point_id=CP404").json

    assert [item["charge_point_id"] for item in page["items"]] == ["CP001", "CP404"]
    assert one["items"] == [
        {
            "charge_point_id": "CP404",
            "reason": "unknown charge point",
            "remote_address": "203.0.113.9",
            "count": 3,
            "first_at": "2026-11-22T12:00:00.000Z",
            "last_at": "2026-11-22T12:00:00.002Z",
        }
    ]


def test_overview_counts(api, line, stores):
    stores.presences.renew("process-1")
    line.status("Charging")
    line.start()

    overview = api.get("/api/v1/overview").json

    assert overview["charge_points"] == 1
    assert overview["connected"] == 1
    assert overview["connectors"]["Charging"] == 1
    assert overview["connectors"]["Faulted"] == 0
    assert overview["open_transactions"] == 1


def test_api_key_opens_the_api_until_it_is_deleted(api, app):
    created = api.post("/api/v1/api-keys", json={"name": "billing"})
    key, key_id = created.json["key"], created.json["id"]
    bearer = {"Authorization": f"Bearer {key}"}
    client = app.test_client()

    assert created.status_code == 201
    assert client.get("/api/v1/overview", headers=bearer).status_code == 200
    [listed] = api.get("/api/v1/api-keys").json["items"]
    assert listed == {"id": key_id, "name": "billing", "created_at": created.json["created_at"]}
    assert api.delete(f"/api/v1/api-keys/{key_id}").status_code == 204
    assert client.get("/api/v1/overview", headers=bearer).status_code == 401
    assert api.delete(f"/api/v1/api-keys/{key_id}").status_code == 404


def test_commands_carry_the_name_of_the_key(api, app, connected):
    key = api.post("/api/v1/api-keys", json={"name": "billing"}).json["key"]

    queued = app.test_client().post(
        "/api/v1/charge-points/CP001/commands",
        json={"action": "ClearCache"},
        headers={"Authorization": f"Bearer {key}"},
    )

    assert queued.json["requested_by"] == "api:billing"


def test_id_tag_of_the_cast_is_accepted(api, cast):
    assert api.get(f"{TAGS}/ALICE").json["status"] == ALICE.status
