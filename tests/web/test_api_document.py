"""The OpenAPI document: it is valid, complete, and what it says of answers is true."""

import re

import jsonschema
import pytest
from campaign_cast import FAILED, started
from cast import MINUTE_MS, Line
from signing_cast import csr, leaf

from csms import clock
from csms.commands.root_certificates import CERTIFICATE_TYPES
from csms.domain.certificate_facts import facts_of
from csms.domain.file_grant import FileGrant, GrantKind

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(app):
    return app.test_client().get("/api/v1/openapi.json").json


def test_document_is_openapi_3_1(document):
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "CSMS"
    assert document["security"] == [{"api_key": []}]
    assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"


def test_every_route_of_the_api_is_in_it(app, document):
    routes = {
        (re.sub(r"<(?:[a-z_]+:)?([a-z_]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "api-docs.openapi_json"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    documented = {
        (path, method) for path, item in document["paths"].items() for method in METHODS & set(item)
    }

    assert documented == routes
    assert len(routes) >= 25


def test_every_schema_is_a_valid_one(document):
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for below in value.values():
            yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)


def test_every_reference_leads_somewhere(document):
    for reference in set(references(document)):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item, item[method]


def test_every_operation_says_what_it_takes_and_answers(document):
    for path, method, item, operation in operations(document):
        assert operation["summary"], (path, method)
        statuses = set(operation["responses"])
        assert {"401", "503"} <= statuses
        assert any(status.startswith("2") for status in statuses)
        declared = {
            parameter["name"]
            for parameter in item.get("parameters", [])
            if parameter["in"] == "path"
        }
        assert declared == set(re.findall(r"{(\w+)}", path))
        for status, response in operation["responses"].items():
            if status.isdigit() and int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_parameters_of_a_command_are_all_there(document):
    operation = document["paths"]["/api/v1/charge-points/{charge_point_id}/commands"]["post"]

    assert {(p["in"], p["name"]) for p in operation["parameters"]} == {
        ("query", "wait"),
        ("header", "Idempotency-Key"),
    }
    assert {"200", "202", "404", "409", "422"} <= set(operation["responses"])


def fits(document, path, status, answer):
    [schema] = [
        response["content"]["application/json"]["schema"]
        for code, response in document["paths"][path]["get"]["responses"].items()
        if code == status
    ]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(
        answer
    )


def leave_file(parts, transfer_id):
    """As a charge point does for a transfer."""
    now_ms = clock.now_ms()
    parts.stores.file_grants.grant(
        FileGrant(transfer_id, "CP001", GrantKind.UPLOAD, now_ms, now_ms + MINUTE_MS, max_bytes=100)
    )
    with parts.uploads.begin(transfer_id, now_ms) as receiving:
        receiving.write(b"a log")
        receiving.finish("diag.zip", "ftp", "203.0.113.5", now_ms)


@pytest.mark.parametrize("is_busy", [False, True])
def test_answers_are_as_the_document_says(app, api, cast, stores, document, is_busy):
    line = Line(stores)
    transaction_id = line.start()["transactionId"]
    if is_busy:
        line.status("Faulted", errorCode="GroundFailure")
        line.meter(samples=[{"value": "5", "unit": "kWh"}])
        line.stop(transaction_id)
        line.stop(4711)
        stores.refusals.record("CP404", "unknown charge point", "203.0.113.9", 1)
    api.post("/api/v1/api-keys", json={"name": "billing"})
    command = api.post(
        "/api/v1/charge-points/CP001/commands",
        json={"action": "Reset", "payload": {"type": "Soft"}, "deadline_s": 9},
    ).json
    reservation = api.post(
        "/api/v1/charge-points/CP001/reservations",
        json={"connector_id": 1, "id_tag": "ALICE", "expires_in_s": 60, "deadline_s": 9},
    ).json["reservation"]
    transfers = {
        resource: api.post(
            f"/api/v1/charge-points/CP001/{resource}",
            json={"location": "https://files.example/file", "deadline_s": 9},
        ).json["id"]
        for resource in ("firmware-updates", "log-uploads")
    }
    api.post("/api/v1/signing-keys", json={"name": "nordwerk", "algorithm": "ecdsa"})
    profile = {
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
        },
    }
    api.post(
        "/api/v1/charging-profile-templates", json={"name": "Night tariff", "profile": profile}
    )
    api.post(
        "/api/v1/charge-points/CP001/charging-profiles",
        json={"template": "Night tariff", "connector_id": 1, "deadline_s": 9},
    )
    line.call("SignCertificate", {"csr": csr()})
    if is_busy:
        line.call("SecurityEventNotification", {"type": "T", "timestamp": "2026-11-22T12:00:00Z"})
        stores.installed_certificates.told("CP001", CERTIFICATE_TYPES[0], [{"a": "b"}], 1)
        stores.certificates.issue("CP001", facts_of(leaf()), "r", 1)
    firmware = api.post(
        "/api/v1/firmware?name=firmware.bin",
        data=b"firmware",
        content_type="application/octet-stream",
    ).json
    leave_file(app.extensions["around"].parts, transfers["log-uploads"])
    values = {
        "campaign_id": started(
            app.extensions["around"].parts.campaigns, stores, {"CP001": FAILED if is_busy else {}}
        ),
        "charge_point_id": "CP001",
        "image_id": firmware["id"],
        "request_id": stores.certificate_requests.page(None, 1).items[0].request_id,
        "reservation_id": reservation["id"],
        "update_id": transfers["firmware-updates"],
        "upload_id": transfers["log-uploads"],
        "name": "Night tariff",
        "transaction_id": transaction_id,
        "command_id": command["id"],
        "id_tag": "CAROL",
    }

    for path, method, _, _ in operations(document):
        if method == "get" and not path.endswith((".csv", "/file")):
            answer = api.get(path.format(**values))

            assert answer.status_code == 200, path
            fits(document, path, "200", answer.json)


def test_readable_page_shows_every_operation(app, document):
    page = app.test_client().get("/api/docs").text

    for path, method, _, operation in operations(document):
        assert f'<code class="method">{method.upper()}</code> <code>{path}</code>' in page
        assert operation["summary"] in page.replace("&#39;", "'")
