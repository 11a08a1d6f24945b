"""The page for people: true, safe and of use without JavaScript."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from cast import NOON_MS, Line
from visitors import PASSWORD, PROCESS_ID, Browser

from csms import clock
from csms.domain.authorization import IdTag, TagStatus
from csms.domain.certificate_facts import CertificateFacts
from csms.domain.charge_point import ChargePoint
from csms.domain.command import CommandError, CommandState
from csms.domain.configuration import ConfigurationKey
from csms.domain.security_event import own_event
from csms.domain.server_certificates import ServerCertificate
from csms.state.accounts import User
from csms.web.pages import words
from csms.web.parts import EXTENSION

POLYGLOTS = (
    '"><script>alert(1)</script>',
    "'\"><img src=x onerror=alert(1)>",
    "</textarea></pre><svg/onload=alert(1)>",
    "javascript:alert(1)//",
    "{{7*7}}${7*7}<%= 7*7 %>",
)
NASTY = POLYGLOTS[1]


class Document(HTMLParser):
    """What a browser would make of a page: its elements and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.words = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def injected(self):
        """Elements and attributes that no template of ours has."""
        for tag, attributes in self.elements:
            if tag in {"img", "iframe", "object", "embed", "style", "base"}:
                yield tag
            if tag == "script" and not attributes.get("src", "").startswith("/static/"):
                yield tag
            for name, value in attributes.items():
                if name.startswith("on") or name == "style":
                    yield f"{tag} {name}"
                if name in {"href", "src", "action"} and ":" in (value or "").split("/")[0]:
                    yield f"{tag} {name}={value}"


def read(browser, path, status=200):
    page = browser.get(path)
    assert page.status_code == status, path
    document = Document(page.text)
    assert list(document.injected()) == [], path
    return document


def test_empty_overview_says_what_to_do_next(browser):
    page = read(browser, "/")

    assert "No charge point yet" in page.text
    assert "ws://localhost/ocpp/<id>" in page.text


def test_empty_lists_say_what_to_expect(browser):
    assert "No charge point yet" in read(browser, "/charge-points").text
    assert "No id tag yet" in read(browser, "/id-tags").text
    assert "No transaction yet" in read(browser, "/transactions").text
    assert "Nobody was refused" in read(browser, "/refused-connections").text


def test_refused_connections_are_found_where_somebody_misses_a_charge_point(browser, connected):
    for address in ("/security", "/charge-points"):
        assert 'href="/refused-connections"' in browser.get(address).text

    assert 'aria-current="page">Security' in browser.get("/refused-connections").text


def test_overview_shows_the_fleet(browser, connected, stores):
    line = Line(stores, process_id=PROCESS_ID)
    line.status("Charging")
    line.start()
    stores.overviews.add_energy(12_345, clock.now_ms())
    stores.overviews.write_energy()

    page = read(browser, "/")

    assert "1 of 1" in page.text
    assert "1 transaction running" in page.text
    assert "12.3 kWh" in page.text
    assert "CP001" in page.text
    assert "Charging" in page.text


def test_secure_address_is_shown_where_the_page_is_public(make_application, stores):
    app = make_application(stores, PUBLIC_URL="https://csms.example/")

    with app.test_request_context():
        assert words.ocpp_address("CP001") == "wss://csms.example/ocpp/CP001"


@pytest.mark.parametrize(
    ("environ", "profile", "address"),
    [
        ({}, 1, "ws://localhost/ocpp/CP001"),
        ({}, 2, "wss://localhost/ocpp/CP001"),
        ({"TLS_PORTS": "8443 8444:required"}, 1, "ws://localhost/ocpp/CP001"),
        ({"TLS_PORTS": "8443 8444:required"}, 2, "wss://localhost:8443/ocpp/CP001"),
        ({"TLS_PORTS": "8443 8444:none"}, 2, "wss://localhost:8444/ocpp/CP001"),
        ({"TLS_PORTS": "8443 8444:required"}, 3, "wss://localhost:8444/ocpp/CP001"),
        ({"TLS_PORTS": "8443:none 8444"}, 3, "wss://localhost:8444/ocpp/CP001"),
        ({"TLS_PORTS": "8443", "PUBLIC_URL": "http://[::1]:80"}, 2, "wss://[::1]:8443/ocpp/CP001"),
        ({"PUBLIC_URL": "https://csms.example"}, 3, "wss://csms.example/ocpp/CP001"),
        (
            {"TLS_PORTS": "8443", "PUBLIC_TLS_URL": "https://csms.example/"},
            2,
            "wss://csms.example/ocpp/CP001",
        ),
    ],
)
def test_address_for_a_charge_point_fits_its_security_profile(
    make_application, stores, environ, profile, address
):
    files = {"TLS_CERTIFICATES": "a.pem:a.key", "TLS_CLIENT_CA": "ca.pem"}
    app = make_application(stores, **files, **environ)

    with app.test_request_context():
        assert words.ocpp_address("CP001", profile) == address


def test_certificate_that_ends_soon_is_told_on_the_first_page(make_application, stores):
    app = make_application(stores)
    around = app.extensions["around"]
    around.parts.accounts.create_user(User("olga", f"hash of {PASSWORD}", clock.now_ms()))
    browser = Browser(app.test_client())
    browser.log_in()
    day_ms = 86_400_000
    now_ms = clock.now_ms()
    shown = [
        ServerCertificate("fresh.example", "RSA", now_ms, now_ms + 90 * day_ms),
        ServerCertificate("stale.example", "ECDSA", now_ms - 90 * day_ms, now_ms + 2 * day_ms),
    ]
    app.extensions[EXTENSION] = replace(around.parts, server_certificates=lambda: shown)

    text = read(browser, "/").text

    assert "stale.example of the TLS ports ends" in text
    assert "fresh.example" not in text


def test_charge_point_is_entered_and_its_key_shown_once(browser, stores):
    created = browser.post(
        "/charge-points/new",
        {"id": "CP001", "admission": "pending", "security_profile": "1", "description": "Here"},
    )

    key = created.text.split('<code class="secret">')[1].split("<")[0]
    assert created.status_code == 200
    assert len(bytes.fromhex(key)) == 20
    assert "ws://localhost/ocpp/CP001" in created.text
    record = stores.charge_points.get("CP001")
    assert record.admission == "pending"
    assert record.description == "Here"
    assert key not in browser.get("/charge-points/CP001").text


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"id": "a/b", "admission": "accepted"}, "id: must have"),
        ({"id": "CP009", "admission": "maybe"}, "admission: must be one of"),
        ({"id": "CP001", "admission": "accepted"}, "There is already a charge point CP001."),
        ({"id": "CP009", "admission": "accepted", "description": "x\x00"}, "description:"),
        ({"id": "CP009", "admission": "accepted", "site": "x" * 65}, "site: must be a line"),
        ({"id": "CP009", "admission": "accepted", "tags": "fine a/b"}, "tags: must be 20 at most"),
    ],
)
def test_wrong_entry_is_explained_and_kept_in_the_form(browser, cast, stores, form, complaint):
    refused = browser.post("/charge-points/new", form)

    assert refused.status_code == 422
    assert complaint in Document(refused.text).text
    assert f'value="{form["id"]}"' in refused.text
    assert stores.charge_points.count() == 1


def test_settings_are_changed_and_the_key_renewed(browser, cast, around, stores):
    saved = browser.post(
        "/charge-points/CP001/settings", {"admission": "rejected", "description": "Yard"}
    )
    renewed = browser.post("/charge-points/CP001/key")

    assert saved.headers["Location"] == "/charge-points/CP001/settings"
    assert stores.charge_points.get("CP001").admission == "rejected"
    assert stores.charge_points.get("CP001").description == "Yard"
    assert 'class="secret"' in renewed.text
    assert stores.charge_points.get("CP001").security_profile == 1
    assert around.evicted == ["CP001"]


def test_site_and_tags_are_entered_shown_and_filtered_by(browser, cast, stores):
    form = {"admission": "accepted", "site": "Town hall", "tags": "pilot, row-7 PILOT"}
    browser.post("/charge-points/CP001/settings", form)
    stores.charge_points.create(ChargePoint("CP002"))

    assert stores.charge_points.get("CP001").tags == ("pilot", "row-7")
    assert 'value="pilot row-7"' in browser.get("/charge-points/CP001/settings").text
    assert 'href="/charge-points?site=Town+hall"' in browser.get("/charge-points/CP001").text
    assert 'href="/charge-points?tag=row-7"' in browser.get("/charge-points/CP001").text
    found = browser.get("/charge-points?site=town+hall&tag=pilot").text
    assert "Town hall · pilot row-7" in Document(found).text
    assert "CP002" not in found
    assert "No charge point fits that." in read(browser, "/charge-points?tag=other").text


def test_settings_that_are_wrong_stay_in_the_form(browser, cast, stores):
    wrong = {"admission": "maybe", "description": "Yard", "serial_number": "SN-7", "quiet": "yes"}
    refused = browser.post("/charge-points/CP001/settings", wrong)

    document = Document(refused.text)
    assert refused.status_code == 422
    assert "admission: must be one of" in document.text
    kept = [(a.get("name"), a.get("value"), "checked" in a) for _, a in document.elements]
    assert ("description", "Yard", False) in kept
    assert ("serial_number", "SN-7", False) in kept
    assert ("quiet", "yes", True) in kept
    assert ("local_list_auto_sync", "yes", False) in kept
    assert stores.charge_points.get("CP001").description != "Yard"


def test_security_profile_is_changed_with_a_key_where_it_needs_one(browser, cast, around, stores):
    with_key = browser.post("/charge-points/CP001/security-profile", {"security_profile": "2"})
    without = browser.post("/charge-points/CP001/security-profile", {"security_profile": "3"})
    no_key = browser.post("/charge-points/CP001/key")
    wrong = browser.post("/charge-points/CP001/security-profile", {"security_profile": "4"})

    assert 'class="secret"' in with_key.text
    assert "wss://localhost/ocpp/CP001" in with_key.text
    assert without.headers["Location"] == "/charge-points/CP001/settings"
    assert (no_key.status_code, wrong.status_code) == (422, 422)
    assert "of no use with security_profile 3" in no_key.text
    assert "must be one of 0, 1, 2, 3" in wrong.text
    assert stores.charge_points.get("CP001").security_profile == 3
    assert around.evicted == ["CP001", "CP001"]


def test_a_new_key_leaves_the_security_profile(browser, cast, stores):
    stores.charge_points.update("CP001", security_profile=2)

    browser.post("/charge-points/CP001/key")

    assert stores.charge_points.get("CP001").security_profile == 2


def test_settings_tell_what_the_next_profile_still_needs(browser, cast, stores):
    told = []
    for profile in (0, 1, 2, 3):
        stores.charge_points.update("CP001", security_profile=profile)
        told.append(read(browser, "/charge-points/CP001/settings").text)
    facts = CertificateFacts("SN-1", "A CPO", "CN=Root", "1F", "ab" * 32, NOON_MS, NOON_MS)
    stores.charge_points.update("CP001", security_profile=2, client_certificate=facts)
    told.append(read(browser, "/charge-points/CP001/settings").text)

    assert ["Before the next one" in text for text in told] == [True, True, True, False, False]
    assert "no CentralSystemRootCertificate is known" in told[1]


def test_settings_tell_what_is_pending_and_which_certificate_is_let_in(browser, cast, stores):
    stores.charge_points.update("CP001", security_profile=2, serial_number="SN-1")
    stores.charge_points.expect_profile("CP001", 3)
    facts = CertificateFacts("SN-1", "A CPO", "CN=Root", "1F", "ab" * 32, NOON_MS, NOON_MS)
    stores.charge_points.update("CP001", client_certificate=facts)

    text = read(browser, "/charge-points/CP001/settings").text

    for part in ("2: a key, over TLS", "It was told to come with that", "SN-1 or CP001", "A CPO"):
        assert part in text, part
    assert "3 is pending" in read(browser, "/charge-points/CP001").text


def test_charge_point_is_deleted_only_where_its_id_is_typed(browser, cast, stores):
    refused = browser.post("/charge-points/CP001/delete", {"typed_name": "cp001"})
    assert refused.status_code == 422
    assert stores.charge_points.count() == 1

    deleted = browser.post("/charge-points/CP001/delete", {"typed_name": "CP001"})

    assert deleted.headers["Location"] == "/charge-points"
    assert "CP001 is deleted" in read(browser, "/charge-points").text
    assert stores.charge_points.count() == 0


def test_charge_point_shows_what_it_does(browser, connected, stores):
    line = Line(stores, process_id=PROCESS_ID)
    line.status("Charging")
    line.status("Faulted", connector_id=2, errorCode="GroundFailure", info="38 mA")
    started = line.start()
    line.meter(
        samples=[
            {"value": "3.5", "unit": "kWh", "measurand": "Energy.Active.Import.Register"},
            {"value": "11000", "measurand": "Power.Active.Import"},
        ]
    )
    stores.messages.received("CP001", '[2,"m","Heartbeat",{}]', NOON_MS, '[3,"m",{}]', NOON_MS)

    page = read(browser, "/charge-points/CP001")

    for text in ("Charging", "2.50 kWh", "11.0 kW", "ALICE", "GroundFailure", "38 mA", "Heartbeat"):
        assert text in page.text, text
    assert str(started["transactionId"]) in page.text
    assert "Stop this transaction" in page.text


def test_messages_are_filtered_and_stay_so_when_they_are_live(browser, cast, stores):
    for number in range(30):
        stores.messages.received("CP001", f'[2,"h{number}","Heartbeat",{{}}]', NOON_MS)
    stores.messages.sent("CP001", '[2,"c","Reset",{"type":"Soft"}]', NOON_MS)
    stores.messages.received("CP001", '[4,"c","GenericError","No power",{}]', NOON_MS)
    address = "/charge-points/CP001?action=reset&direction=received&errors_only=yes"

    page = read(browser, address)

    log = page.text[page.text.index("OCPP messages") :]
    assert "No power" in log
    assert "Soft" not in log
    [action] = [each for _, each in page.elements if each.get("list") == "actions"]
    [errors_only] = [each for _, each in page.elements if each.get("name") == "errors_only"]
    assert action["value"] == "reset"
    assert "checked" in errors_only
    assert dict(page.elements)["main"]["data-live-url"] == address


def test_a_filter_of_messages_leads_on_and_back(browser, cast, stores):
    for number in range(60):
        action = "Heartbeat" if number % 2 else "Odd"
        stores.messages.received("CP001", f'[2,"h{number}","{action}",{{}}]', NOON_MS)

    first = read(browser, "/charge-points/CP001?action=Odd")
    [older] = [each["href"] for _, each in first.elements if "messages=" in each.get("href", "")]
    last = read(browser, older.partition("#")[0])

    shown = [each for _, each in last.elements if each.get("data-key", "").endswith("-received")]
    assert len(shown) == 5
    assert "data-live-url" not in dict(last.elements)["main"]
    links = [each.get("href") for _, each in last.elements]
    assert "/charge-points/CP001?action=Odd#messages" in links


def test_a_filter_that_fits_no_message_can_be_taken_away(browser, cast):
    assert "No message yet" in read(browser, "/charge-points/CP001").text
    page = read(browser, "/charge-points/CP001?direction=sent&action=")

    assert "No message fits that" in page.text
    assert "No message fits that" not in read(browser, "/charge-points/CP001?direction=up").text


def test_charge_point_that_is_away_is_said_to_be(browser, cast, stores):
    assert "Never connected" in read(browser, "/charge-points/CP001").text
    line = Line(stores, process_id="dead")
    line.status("Charging")

    page = read(browser, "/charge-points/CP001")

    assert "Offline" in page.text
    assert "all of this is what it reported last" in page.text


def test_list_is_paged_and_searched(browser, stores):
    for number in range(60):
        stores.charge_points.create(ChargePoint(f"A{number:03d}"))
    stores.charge_points.create(ChargePoint("B001"))

    first = browser.get("/charge-points")
    second = browser.get("/charge-points?cursor=A049")

    assert "A049" in first.text
    assert "A050" not in first.text
    assert "cursor=A049" in first.text
    assert "B001" in second.text
    assert "B001" in browser.get("/charge-points?prefix=B").text
    assert (
        "No charge point's id begins with"
        in Document(browser.get("/charge-points?prefix=C").text).text
    )


def test_id_tag_is_entered_blocked_accepted_and_deleted(browser, stores):
    browser.post(
        "/id-tags",
        {
            "id_tag": "DAVE/1",
            "parent_id_tag": "FAMILY",
            "expires_on": "2030-05-01",
            "max_active_transactions": "2",
        },
    )
    tag = stores.id_tags.get("DAVE/1")
    assert (tag.parent_id_tag, tag.max_active_transactions) == ("FAMILY", 2)
    assert clock.text_of(tag.expires_at_ms) == "2030-05-01T00:00:00.000Z"
    assert "DAVE/1 is entered" in read(browser, "/id-tags").text

    browser.post("/id-tags/status", {"id_tag": "DAVE/1", "status": "Blocked"})
    assert stores.id_tags.get("DAVE/1").status is TagStatus.BLOCKED
    browser.post("/id-tags/status", {"id_tag": "DAVE/1", "status": "Accepted"})
    assert stores.id_tags.get("DAVE/1").status is TagStatus.ACCEPTED
    browser.post("/id-tags/delete", {"id_tag": "DAVE/1"})
    assert stores.id_tags.find("DAVE/1") is None
    browser.post("/id-tags/delete", {"id_tag": "DAVE/1"})
    assert "There is no id tag DAVE/1" in read(browser, "/id-tags").text


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"id_tag": ""}, "id_tag: "),
        ({"id_tag": "x" * 21}, "id_tag: must have 1 to 20 characters"),
        ({"id_tag": "D", "expires_on": "soon"}, "expires_at: must be an instant"),
        ({"id_tag": "D", "max_active_transactions": "many"}, "max_active_transactions: "),
        ({"id_tag": "alice"}, "The id tag alice exists already."),
    ],
)
def test_wrong_id_tag_is_explained(browser, cast, form, complaint):
    refused = browser.post("/id-tags", form)

    assert refused.status_code == 422
    assert complaint in Document(refused.text).text


def test_transactions_are_listed_filtered_and_exported(browser, cast, stores):
    line = Line(stores)
    first = line.start(idTag="ALICE")["transactionId"]
    line.stop(first)
    second = line.start(idTag="BOB", connectorId=2)["transactionId"]

    assert str(first) in read(browser, "/transactions").text
    filtered = read(browser, "/transactions?state=open&id_tag=bob").text
    assert str(second) in filtered
    assert str(first) not in filtered
    exported = browser.get("/transactions.csv?state=stopped").text
    assert str(first) in exported
    assert str(second) not in exported


def test_transaction_shows_its_meter_values(browser, cast, stores):
    line = Line(stores)
    transaction_id = line.start()["transactionId"]
    line.meter(samples=[{"value": "2000", "unit": "Wh"}, {"value": "230", "measurand": "Voltage"}])

    page = read(browser, f"/transactions/{transaction_id}")

    assert "Energy.Active.Import.Register 2000 Wh, Voltage 230" in page.text


def test_refused_charge_point_can_be_added_from_the_list(browser, cast, stores):
    stores.refusals.record("CP001", "wrong credentials", "203.0.113.9", clock.now_ms())
    stores.refusals.record("CP404", "unknown charge point", "203.0.113.9", clock.now_ms())
    stores.refusals.record("../etc", "no usable id", "203.0.113.9", clock.now_ms())

    page = browser.get("/refused-connections").text

    assert "/charge-points/new?id=CP404" in page
    assert "new?id=.." not in page
    assert "new?id=CP001" not in page
    assert 'href="/charge-points/CP001"' in page
    assert 'value="CP404"' in browser.get("/charge-points/new?id=CP404").text


def events_of(stores, *ids):
    for charge_point_id in ids:
        event = own_event("TamperDetectionActivated", clock.now_ms(), "", critical=True)
        stores.security_events.record(charge_point_id, event)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("", {"CP001", "AWAY", "WAITS", "LOUD"}),
        ("nonsense", {"CP001", "AWAY", "WAITS", "LOUD"}),
        ("connected", {"CP001"}),
        ("away", {"AWAY", "WAITS", "LOUD"}),
        ("faulted", {"CP001"}),
        ("pending", {"WAITS"}),
        ("critical", {"LOUD"}),
    ],
)
def test_list_shows_those_that_need_somebody(browser, connected, stores, shown, expected):
    for name in ("AWAY", "WAITS", "LOUD"):
        stores.charge_points.create(ChargePoint(name, security_profile=2))
    stores.charge_points.expect_profile("WAITS", 3)
    events_of(stores, "LOUD")
    Line(stores, process_id=PROCESS_ID).status("Faulted", errorCode="GroundFailure")

    page = read(browser, f"/charge-points?shown={shown}")

    listed = {a["data-charge-point"] for _, a in page.elements if "data-charge-point" in a}
    assert listed == expected
    assert ("Profile 3 pending" in page.text) is ("WAITS" in expected)
    assert ("Security event" in page.text) is ("LOUD" in expected)


def test_a_list_that_shows_none_says_why(browser, cast):
    assert "No charge point with a fault" in read(browser, "/charge-points?shown=faulted").text
    both = read(browser, "/charge-points?shown=faulted&prefix=CP").text
    assert "begins with CP and fits what is to be shown" in both
    assert 'href="/charge-points?shown=faulted"' in browser.get("/").text


def test_one_that_is_free_draws_nothing(browser, connected, stores):
    line = Line(stores, process_id=PROCESS_ID)
    line.start()
    line.meter(samples=[{"value": "11000", "measurand": "Power.Active.Import"}])
    line.status("Charging")
    assert "11.0 kW" in read(browser, "/charge-points").text

    line.status("Available", now_ms=NOON_MS + 60_000)

    assert "11.0 kW" not in read(browser, "/charge-points").text


@pytest.mark.parametrize("nasty", POLYGLOTS)
def test_whatever_a_charge_point_says_is_shown_as_text(browser, connected, stores, api, nasty):
    line = Line(stores, process_id=PROCESS_ID)
    line.call(
        "BootNotification",
        dict.fromkeys(
            (
                "chargePointVendor",
                "chargePointModel",
                "chargePointSerialNumber",
                "firmwareVersion",
                "iccid",
            ),
            nasty,
        ),
    )
    line.call("FirmwareStatusNotification", {"status": "Installed"})
    for connector_id in (0, 1):
        line.status(
            "Faulted",
            connector_id=connector_id,
            errorCode=nasty,
            info=nasty,
            vendorId=nasty,
            vendorErrorCode=nasty,
        )
    started = line.start(idTag=nasty)["transactionId"]
    line.meter(
        samples=[{"value": nasty, "measurand": nasty, "unit": nasty, "phase": nasty}],
        timestamp=nasty,
    )
    line.stop(started, reason=nasty, idTag=nasty, timestamp=nasty)
    line.stop(99, reason=nasty, idTag=nasty)
    line.start(idTag=nasty, connectorId=1, timestamp="2026-11-22T12:30:00Z")
    stores.charge_points.update("CP001", description=nasty)
    stores.messages.received("CP001", nasty, NOON_MS, f'[4,"m","{nasty}","x",{{}}]', NOON_MS)
    stores.messages.received("CP001", '[2,"<b>","<i>",{"a":"<u>"}]', NOON_MS)
    told = {"type": nasty, "techInfo": nasty, "timestamp": "2026-11-22T12:00:00Z"}
    line.call("SecurityEventNotification", told)
    line.call("SignCertificate", {"csr": nasty})
    key = ConfigurationKey(nasty, nasty, False, NOON_MS)
    stores.configurations.record("CP001", [key], is_all=True)
    stores.installed_certificates.told(
        "CP001",
        "CentralSystemRootCertificate",
        [
            dict.fromkeys(
                ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber"), nasty
            )
        ],
        NOON_MS,
    )
    stores.refusals.record(nasty, nasty, nasty, NOON_MS)
    stores.id_tags.create(IdTag(nasty, TagStatus.BLOCKED, nasty))
    queued = api.post(
        "/api/v1/charge-points/CP001/commands",
        json={"action": "DataTransfer", "payload": {"vendorId": nasty, "data": nasty}},
    ).json["id"]
    stores.commands.take("CP001", line.epoch, "u1", clock.now_ms())
    error = CommandError(nasty, nasty, {nasty: nasty})
    stores.commands.settle(
        "CP001", queued, CommandState.REFUSED, clock.now_ms(), error=error, answer={nasty: nasty}
    )
    stores.presences.disconnect("CP001", PROCESS_ID, line.epoch, clock.now_ms(), nasty)

    shown = ""
    for path in (
        "/",
        "/charge-points",
        "/charge-points/CP001",
        "/charge-points/CP001/charging",
        "/charge-points/CP001/commands",
        f"/charge-points/CP001/commands/{queued}",
        "/charge-points/CP001/configuration",
        "/charge-points/CP001/firmware-and-logs",
        "/charge-points/CP001/local-list",
        "/charge-points/CP001/reservations",
        "/charge-points/CP001/security",
        "/charge-points/CP001/settings",
        "/security",
        "/transactions",
        f"/transactions/{started}",
        "/id-tags",
        "/refused-connections",
    ):
        shown += read(browser, path).text
    for path in ("/charge-points", "/id-tags", "/transactions", "/charge-points/new"):
        query = {"prefix": nasty, "id": nasty, "charge_point_id": nasty, "id_tag": nasty}
        page = Document(browser.get(path, query_string=query).text)
        assert list(page.injected()) == []
    refused = browser.post("/charge-points/new", {"id": nasty, "description": nasty})
    assert list(Document(refused.text).injected()) == []
    refused = browser.post(
        "/charge-points/CP001/commands", {"kind": "json", "action": nasty, "payload": nasty}
    )
    assert list(Document(refused.text).injected()) == []
    assert shown.count(nasty) >= 25


def test_only_new_parts_are_swapped_in_by_name(browser, connected, stores):
    """What live.js looks for: where to ask, what to listen to, and the parts to swap."""
    Line(stores, process_id=PROCESS_ID).status("Available")

    main = dict(read(browser, "/charge-points/CP001").elements)["main"]
    parts = [
        attributes["data-part"]
        for _, attributes in read(browser, "/charge-points/CP001").elements
        if "data-part" in attributes
    ]

    assert main["data-watch"] == "CP001"
    assert main["data-live-url"] == "/charge-points/CP001"
    assert main["data-events"] == "/events"
    assert {"connectors", "connection", "transactions", "messages", "results"} <= set(parts)
    assert len(parts) == len(set(parts))
