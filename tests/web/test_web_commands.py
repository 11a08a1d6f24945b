"""Commands on the page: forms that become them, what came of them, and where each leads."""

from dataclasses import replace

import pytest
from test_web_pages import NASTY, Document, read

from csms import clock
from csms.commands.requests import REQUESTS
from csms.domain.command import Command, CommandError, CommandState, TriggeredMessage
from csms.domain.configuration import ConfigurationKey
from csms.web.pages import command_words
from csms.web.pages.command_forms import FORMS, GROUPS

COMMANDS = "/charge-points/CP001/commands"
NOW = "/charge-points/CP001?command={}#results"
PLACES = {
    "GetConfiguration": "/charge-points/CP001/configuration?command={}",
    "ChangeConfiguration": "/charge-points/CP001/configuration?command={}",
    "GetLocalListVersion": "/charge-points/CP001/local-list?command={}",
}


@pytest.mark.parametrize(
    ("form", "payload"),
    [
        ({"action": "RemoteStartTransaction", "idTag": "ALICE"}, {"idTag": "ALICE"}),
        (
            {"action": "RemoteStartTransaction", "idTag": "ALICE", "connectorId": "2"},
            {"idTag": "ALICE", "connectorId": 2},
        ),
        ({"action": "RemoteStopTransaction", "transactionId": "7"}, {"transactionId": 7}),
        ({"action": "UnlockConnector", "connectorId": "1"}, {"connectorId": 1}),
        ({"action": "Reset", "type": "Hard"}, {"type": "Hard"}),
        (
            {"action": "ChangeAvailability", "connectorId": "0", "type": "Inoperative"},
            {"connectorId": 0, "type": "Inoperative"},
        ),
        ({"action": "GetConfiguration", "key": ""}, {}),
        ({"action": "GetConfiguration", "key": "A, B,"}, {"key": ["A", "B"]}),
        (
            {"action": "ChangeConfiguration", "key": "HeartbeatInterval", "value": "60"},
            {"key": "HeartbeatInterval", "value": "60"},
        ),
        # Some keys are lists, and may be empty.
        (
            {"action": "ChangeConfiguration", "key": "StopTxnSampledData", "value": ""},
            {"key": "StopTxnSampledData", "value": ""},
        ),
        ({"action": "GetLocalListVersion"}, {}),
        ({"action": "ClearCache"}, {}),
        (
            {"action": "DataTransfer", "vendorId": "acme", "data": "x"},
            {"vendorId": "acme", "data": "x"},
        ),
        (
            {"action": "TriggerMessage", "requestedMessage": "Heartbeat"},
            {"requestedMessage": "Heartbeat"},
        ),
        (
            {
                "action": "ExtendedTriggerMessage",
                "requestedMessage": "MeterValues",
                "connectorId": "1",
            },
            {"requestedMessage": "MeterValues", "connectorId": 1},
        ),
        ({"kind": "json", "action": "Reset", "payload": '{"type": "Soft"}'}, {"type": "Soft"}),
        ({"kind": "json", "action": "ClearCache", "payload": ""}, {}),
    ],
)
def test_form_becomes_a_command(browser, connected, around, stores, form, payload):
    around.draining = True  # so that nobody waits for an answer

    given = browser.post(COMMANDS, form)

    [command] = stores.commands.page(None, 10, charge_point_id="CP001").items
    assert given.status_code == 303
    leads_to = NOW if "kind" in form else PLACES.get(form["action"], NOW)
    assert given.headers["Location"] == leads_to.format(command.command_id)
    assert command.action == form["action"]
    assert command.payload == payload
    assert command.requested_by == "user:olga"


def test_every_core_operation_has_a_form():
    assert set(FORMS) >= {
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "DataTransfer",
        "GetConfiguration",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "Reset",
        "UnlockConnector",
    }


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"action": "RemoteStartTransaction"}, "payload.idTag: is required"),
        (
            {"action": "UnlockConnector", "connectorId": "one"},
            "payload.connectorId: must be an integer",
        ),
        ({"action": "UnlockConnector", "connectorId": "0"}, "payload.connectorId: must be above 0"),
        ({"action": "UnlockConnector", "connectorId": "9" * 5000}, "must be an integer"),
        ({"action": "Explode"}, "action: must be one of"),
        ({"kind": "json", "action": "Reset", "payload": "{"}, "payload: is not JSON at line 1"),
        ({"kind": "json", "action": "Reset", "payload": "[]"}, "payload: must be an object"),
        ({"kind": "json", "action": "Reset", "payload": "{}"}, "payload.type: is required"),
    ],
)
def test_wrong_command_is_explained_and_kept_in_the_form(
    browser, connected, stores, form, complaint
):
    refused = browser.post(COMMANDS, form)

    document = Document(refused.text)
    assert refused.status_code == 422
    assert complaint in document.text
    assert not stores.commands.page(None, 10, charge_point_id="CP001").items
    if form["action"] in FORMS:
        assert any(tag == "details" and "open" in attrs for tag, attrs in document.elements)


def test_command_to_one_that_is_away_is_explained(browser, cast):
    refused = browser.post(COMMANDS, {"action": "ClearCache"})

    assert refused.status_code == 409
    assert "CP001 is not connected." in refused.text


def test_form_sent_twice_is_one_command(browser, connected, around, stores):
    around.draining = True

    browser.post(COMMANDS, {"action": "ClearCache", "once": "abc"})
    browser.post(COMMANDS, {"action": "ClearCache", "once": "abc"})
    browser.post(COMMANDS, {"action": "Reset", "type": "Soft", "once": "abc"})

    assert len(stores.commands.page(None, 10, charge_point_id="CP001").items) == 2


def command_in(state, **kwargs):
    return Command("c1", "CP001", "Reset", {}, state, "user:olga", 0, 0, **kwargs)


@pytest.mark.parametrize(
    ("command", "tone", "sentence"),
    [
        (command_in(CommandState.QUEUED), "waiting", "Waits to be sent"),
        (command_in(CommandState.SENT), "waiting", "waits for the answer"),
        (command_in(CommandState.ANSWERED, answer={"status": "Accepted"}), "good", "Accepted"),
        (command_in(CommandState.ANSWERED, answer={"status": "Rejected"}), "bad", "may be busy"),
        (command_in(CommandState.ANSWERED, answer={"status": "Odd"}), "bad", "answered Odd"),
        (command_in(CommandState.ANSWERED, answer={"configurationKey": []}), "good", "Answered"),
        (
            command_in(CommandState.REFUSED, error=CommandError("NotSupported", "no", {})),
            "bad",
            "refused it. NotSupported: no",
        ),
        (command_in(CommandState.TIMED_OUT), "bad", "did not answer in time"),
        (command_in(CommandState.UNDELIVERABLE, reason="too late"), "bad", "Never sent: too late"),
        (command_in(CommandState.UNKNOWN), "bad", "may have been done or not"),
    ],
)
def test_outcome_of_a_command_in_plain_words(command, tone, sentence):
    outcome = command_words.outcome(command)

    assert outcome.tone == tone
    assert sentence in outcome.sentence


@pytest.mark.parametrize(
    ("action", "answer", "tone", "sentence"),
    [
        ("ClearChargingProfile", {"status": "Unknown"}, "bad", "had no such profile"),
        ("GetInstalledCertificateIds", {"status": "NotFound"}, "good", "It has none of this type"),
        ("DeleteCertificate", {"status": "NotFound"}, "bad", "had no such certificate"),
        ("CancelReservation", {"status": "Rejected"}, "bad", "keeps no such reservation"),
        ("ChangeConfiguration", {"status": "NotSupported"}, "bad", "does not know this key"),
        ("UnlockConnector", {"status": "NotSupported"}, "bad", "does not support this"),
        ("GetLog", {"status": "AcceptedCanceled"}, "good", "what ran before is cancelled"),
        ("GetConfiguration", {"configurationKey": [{}]}, "good", "It told 1 key"),
        ("GetConfiguration", {"unknownKey": ["A", "B"]}, "good", "0 keys and does not know 2"),
        ("GetDiagnostics", {"fileName": "a.log"}, "good", "It will upload a.log"),
        ("GetDiagnostics", {}, "good", "It has nothing to upload"),
        ("GetLocalListVersion", {"listVersion": 7}, "good", "Its local list has version 7"),
        ("GetLocalListVersion", {"listVersion": 0}, "good", "Its list is empty"),
        ("GetLocalListVersion", {"listVersion": -1}, "good", "that it has no local list"),
    ],
)
def test_an_answer_means_what_its_operation_means(action, answer, tone, sentence):
    command = replace(command_in(CommandState.ANSWERED, answer=answer), action=action)

    outcome = command_words.outcome(command)

    assert outcome.tone == tone
    assert sentence in outcome.sentence


@pytest.mark.parametrize(
    ("action", "payload", "subject"),
    [
        ("RemoteStartTransaction", {"idTag": "A", "connectorId": 2}, "A, connector 2"),
        ("ReserveNow", {"reservationId": 5, "idTag": "A", "connectorId": 0}, "any connector"),
        ("GetCompositeSchedule", {"connectorId": 0, "duration": 9}, "whole charge point"),
        ("ClearCache", {}, ""),
    ],
)
def test_a_command_says_what_it_is_about(action, payload, subject):
    command = replace(command_in(CommandState.QUEUED), action=action, payload=payload)

    assert command_words.subject(command).endswith(subject)


def test_every_operation_has_a_title():
    assert set(command_words.TITLES) == set(REQUESTS)


def test_nothing_is_offered_twice():
    """What has a page with records of its own has no form beside it."""
    on_now = [form.action for forms in GROUPS.values() for form in forms]

    assert len(on_now) == len(set(on_now))
    for action in on_now:
        assert (
            command_words.record_page(replace(command_in(CommandState.QUEUED), action=action))
            is None
        )


GENTLE = {
    "name": "Gentle",
    "purpose": "TxProfile",
    "kind": "Relative",
    "stack_level": "0",
    "unit": "A",
    "periods": "0 10",
}


@pytest.fixture
def templates(browser):
    for change in ({}, {"name": "House", "purpose": "TxDefaultProfile"}):
        assert browser.post("/charging-templates/new", {**GENTLE, **change}).status_code == 303


def test_a_start_brings_the_profile_of_a_template(browser, connected, around, stores, templates):
    around.draining = True
    start = {"action": "RemoteStartTransaction", "idTag": "ALICE", "once": "abc"}
    options = [
        attributes
        for tag, attributes in read(browser, "/charge-points/CP001").elements
        if tag == "select" and attributes.get("name") == "template"
    ]

    for _ in range(2):
        given = browser.post(COMMANDS, {**start, "template": "Gentle"})

    assert len(options) == 1
    assert given.status_code == 303
    [command] = stores.commands.page(None, 10, charge_point_id="CP001").items
    profile = command.payload["chargingProfile"]
    assert profile["chargingProfilePurpose"] == "TxProfile"
    assert profile["chargingProfileId"] > 0
    assert "transactionId" not in profile


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("Nothing", "template: there is no template Nothing"),
        ("House", "template: must be a TxProfile"),
    ],
)
def test_a_start_with_an_unfit_template_is_explained(
    browser, connected, stores, templates, template, complaint
):
    form = {"action": "RemoteStartTransaction", "idTag": "ALICE", "template": template}
    refused = browser.post(COMMANDS, form)

    assert refused.status_code == 422
    assert complaint in Document(refused.text).text
    assert 'value="ALICE"' in refused.text
    assert not stores.commands.page(None, 10, charge_point_id="CP001").items


def test_without_such_a_template_the_start_offers_none(browser, connected):
    assert 'name="template"' not in browser.get("/charge-points/CP001").text


def test_a_key_is_changed_where_its_value_is_seen(browser, connected, stores):
    told = [
        ConfigurationKey("HeartbeatInterval", "300", False, 1),
        ConfigurationKey("NumberOfConnectors", "2", True, 1),
    ]
    stores.configurations.record("CP001", told, is_all=True)

    page = browser.get("/charge-points/CP001/configuration").text
    filled_in = browser.get("/charge-points/CP001/configuration?key=heartbeatinterval").text
    strange = read(browser, f"/charge-points/CP001/configuration?key={NASTY}")

    assert 'aria-label="Change HeartbeatInterval"' in page
    assert 'aria-label="Change NumberOfConnectors"' not in page
    assert 'name="key" value="HeartbeatInterval"' in filled_in
    assert 'name="value" value="300"' in filled_in
    assert ("input", NASTY) in [(t, a.get("value")) for t, a in strange.elements]


def test_a_key_that_can_not_be_changed_now_stays_in_its_form(browser, cast):
    form = {"action": "ChangeConfiguration", "key": "HeartbeatInterval", "value": "60"}
    refused = browser.post(COMMANDS, form)

    assert refused.status_code == 409
    assert "Configuration of CP001" in refused.text
    assert "CP001 is not connected." in refused.text
    assert 'name="value" value="60"' in refused.text


def test_the_version_of_a_local_list_is_asked_for_on_its_page(browser, connected, around, cast):
    assert 'value="GetLocalListVersion"' in browser.get("/charge-points/CP001/local-list").text
    around.draining = True

    asked = browser.post(COMMANDS, {"action": "GetLocalListVersion"})

    page = read(browser, asked.headers["Location"])
    assert "Ask for the version of its local list: Waits to be sent" in page.text


def test_the_version_of_one_that_is_away_is_not_asked_for(browser, cast):
    refused = browser.post(COMMANDS, {"action": "GetLocalListVersion"})

    assert refused.status_code == 409
    assert "Local list of CP001" in refused.text
    assert "CP001 is not connected." in refused.text


def give(browser, around, count):
    around.draining = True
    for _ in range(count):
        browser.post(COMMANDS, {"action": "ClearCache"})


def test_all_commands_are_listed_by_pages(browser, connected, around):
    give(browser, around, 52)

    assert f'href="{COMMANDS}"' in browser.get("/charge-points/CP001").text
    first = browser.get(COMMANDS).text
    assert first.count("<strong>Clear its cache</strong>") == 50
    older = first.split("cursor=")[1].split('"')[0]
    assert browser.get(f"{COMMANDS}?cursor={older}").text.count("<strong>Clear its cache") == 2


def test_a_charge_point_without_commands_says_where_to_give_one(browser, cast):
    assert "No command yet" in read(browser, COMMANDS).text


def test_a_command_has_a_page_with_all_of_it(browser, connected, around, stores):
    around.draining = True
    browser.post(COMMANDS, {"kind": "json", "action": "GetLocalListVersion", "payload": ""})
    [command] = stores.commands.page(None, 10, charge_point_id="CP001").items

    page = browser.get(f"{COMMANDS}/{command.command_id}").text

    for part in ("GetLocalListVersion", "by user:olga", "Waits to be sent"):
        assert part in page, part
    assert 'What it is about: <a href="/charge-points/CP001/local-list">Local list</a>' in page


def test_a_command_says_what_it_brought(browser, connected, around, stores):
    around.draining = True
    browser.post(COMMANDS, {"action": "TriggerMessage", "requestedMessage": "MeterValues"})
    [command] = stores.commands.page(None, 10, charge_point_id="CP001").items
    brought = TriggeredMessage("MeterValues", "m1", 2, clock.now_ms())
    stores.commands.record_triggered("CP001", command.command_id, brought)

    assert "brought 1 message" in read(browser, COMMANDS).text
    page = read(browser, f"{COMMANDS}/{command.command_id}")
    assert "Brought MeterValues of connector 2" in page.text


@pytest.mark.parametrize(
    "path", ["/charge-points/CP404/commands", f"{COMMANDS}/none", "/charge-points/CP404/commands/x"]
)
def test_what_is_not_there_is_said_to_be(browser, cast, path):
    assert browser.get(path).status_code == 404


def test_a_firmware_update_leads_to_its_record():
    command = replace(command_in(CommandState.QUEUED), action="UpdateFirmware")

    assert command_words.record_page(command).values["transfer"] == command.command_id
