"""Certificates through the API and the page: installed, listed, deleted, asked for, signed."""

from html import unescape

import pytest
from cast import DAY_MS, NOON_MS, Line
from signing_cast import EC_ROOT, ROOT, csr, leaf, settings
from visitors import PROCESS_ID

from csms import clock
from csms.domain.certificate_authority import pem_chain
from csms.domain.certificate_facts import facts_of
from csms.domain.certificate_request import CertificateState
from csms.domain.certificates import all_hash_data, hash_data
from csms.state import keys
from csms.state.installed_certificates import Installation
from csms.web.certificates import ENDS_SOON_DAYS

CENTRAL, MANUFACTURER = "CentralSystemRootCertificate", "ManufacturerRootCertificate"
PATH = "/api/v1/charge-points/CP001/certificates"
PAGE = "/charge-points/CP001/security"
PEM = pem_chain(ROOT.chain)
KNOWN = hash_data(ROOT.certificate, ROOT.certificate, "SHA256")
ODD = {
    "hashAlgorithm": "SHA384",
    "issuerNameHash": "AbCd",
    "issuerKeyHash": "0123",
    "serialNumber": "000fFf",
}


@pytest.fixture
def hurried(around):
    """Nobody waits for an answer."""
    around.draining = True


@pytest.fixture
def told(connected, stores):
    """CP001 has told of two central system roots, one of which was sent from here."""
    stores.installed_certificates.told("CP001", CENTRAL, [{**KNOWN, "serialNumber": "01"}, ODD], 1)
    facts = facts_of(ROOT.certificate)
    installation = Installation(
        "c1",
        CENTRAL,
        "Accepted",
        NOON_MS,
        "user:olga",
        "CN=Test root",
        facts.fingerprint,
        facts.not_after_ms,
        tuple(all_hash_data(ROOT.certificate)),
        ("<doubt>",),
    )
    stores.installed_certificates.record("CP001", installation)


@pytest.fixture
def requested(connected, stores):
    """CP001 has asked for a certificate, and an operator is to have it signed: its id."""
    line = Line(stores, process_id=PROCESS_ID)
    line.call("SignCertificate", {"csr": csr()}, clock.now_ms())
    return stores.certificate_requests.page(None, 1).items[0].request_id


def sent(stores):
    """Action and payload of the commands queued, oldest first."""
    commands = stores.commands.page(None, 10).items
    return [(command.action, command.payload) for command in reversed(commands)]


def entries(api):
    [central, _] = api.get(PATH).json["installed"]
    return central["certificates"]


def now_leaf(**fields):
    return leaf(now_ms=clock.now_ms(), **fields)


# -- through the API


def test_the_list_is_as_the_charge_point_told_and_says_what_is_known(api, told):
    central, manufacturer = api.get(PATH).json["installed"]

    assert (central["certificate_type"], manufacturer["told_at"]) == (CENTRAL, None)
    first, second = central["certificates"]
    assert first["hash_data"] == {**KNOWN, "serialNumber": "01"}
    assert (first["subject"], first["is_last"]) == ("CN=Test root", False)
    assert second["hash_data"] == ODD
    assert (second["subject"], second["fingerprint"], second["not_after"]) == ("", "", None)


def test_a_root_is_installed_as_it_is(api, connected, stores):
    answer = api.post(PATH, json={"certificate_type": MANUFACTURER, "certificate": PEM})

    assert answer.status_code == 202
    assert answer.json["problems"] == []
    assert sent(stores) == [
        ("InstallCertificate", {"certificateType": MANUFACTURER, "certificate": PEM})
    ]
    assert answer.headers["Location"].endswith(answer.json["command"]["id"])


def test_a_doubtful_root_is_sent_and_doubted(api, connected, stores):
    """TC_078."""
    text = pem_chain([leaf()])
    answer = api.post(PATH, json={"certificate_type": CENTRAL, "certificate": text})

    assert answer.status_code == 202
    assert answer.json["problems"]
    assert len(sent(stores)) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"certificate_type": "V2GRootCertificate", "certificate": PEM}, "certificate_type"),
        ({"certificate_type": CENTRAL}, "certificate"),
        ({"certificate_type": CENTRAL, "certificate": ""}, "certificate"),
        ({"certificate_type": CENTRAL, "certificate": "nonsense"}, "certificate"),
        ({"certificate_type": CENTRAL, "certificate": "x" * 5_501}, "certificate"),
        ({"certificate_type": CENTRAL, "certificate": PEM, "deadline_s": 0}, "deadline_s"),
        ({"certificate_type": CENTRAL, "certificate": PEM, "more": 1}, "more"),
    ],
)
def test_what_can_t_be_sent_is_refused_with_its_field(api, connected, stores, body, field):
    answer = api.post(PATH, json=body)

    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == field
    assert sent(stores) == []


def test_a_root_is_deleted_with_its_hash_data_as_it_came(api, told, stores):
    """TC_076."""
    [_, odd] = entries(api)

    answer = api.delete(f"{PATH}/{odd['id']}")

    assert answer.status_code == 202
    assert sent(stores) == [("DeleteCertificate", {"certificateHashData": ODD})]


@pytest.mark.parametrize("kind", [CENTRAL, MANUFACTURER])
def test_the_last_root_of_a_type_is_deleted_on_confirmation_only(api, connected, stores, kind):
    stores.installed_certificates.told("CP001", kind, [ODD], 1)
    listed = [one for one in api.get(PATH).json["installed"] if one["certificates"]]
    [entry] = listed[0]["certificates"]
    assert entry["is_last"]

    answer = api.delete(f"{PATH}/{entry['id']}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "confirm"
    assert f"the last {kind}" in answer.json["errors"][0]["problem"]
    assert sent(stores) == []

    assert api.delete(f"{PATH}/{entry['id']}?confirm=true").status_code == 202
    assert len(sent(stores)) == 1


def test_what_is_not_on_the_list_can_t_be_deleted(api, told):
    assert api.delete(f"{PATH}/none").status_code == 404


def test_both_lists_are_asked_for(api, connected, stores):
    answer = api.post(f"{PATH}/refresh")

    assert answer.status_code == 202
    assert len(answer.json["commands"]) == 2
    assert sent(stores) == [
        ("GetInstalledCertificateIds", {"certificateType": CENTRAL}),
        ("GetInstalledCertificateIds", {"certificateType": MANUFACTURER}),
    ]


def test_a_charge_point_is_asked_to_renew_its_own_certificate(api, connected, stores):
    """TC_074: without a connectorId."""
    answer = api.post("/api/v1/charge-points/CP001/renew-certificate")

    assert answer.status_code == 202
    assert sent(stores) == [
        ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", f"{PATH}/refresh"),
        ("post", "/api/v1/charge-points/CP001/renew-certificate"),
    ],
)
def test_who_is_not_connected_can_t_be_asked(api, cast, method, path):
    assert getattr(api, method)(path).status_code == 409
    missing = path.replace("CP001", "CP404")
    assert getattr(api, method)(missing).status_code == 404
    assert api.get(PATH.replace("CP001", "CP404")).status_code == 404


def test_requests_are_listed_with_what_became_of_them(api, requested, stores):
    listed = api.get("/api/v1/certificate-requests?state=received").json["items"]

    [request] = listed
    assert (request["id"], request["state"], request["common_name"]) == (
        requested,
        "received",
        "CP001",
    )
    assert request["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----\n")
    assert api.get(f"/api/v1/certificate-requests/{requested}").json == request
    assert api.get("/api/v1/certificate-requests?charge_point_id=CP002").json["items"] == []
    assert api.get("/api/v1/certificate-requests?state=lost").status_code == 422
    assert api.get("/api/v1/certificate-requests/none").status_code == 404


def test_a_chain_signed_elsewhere_is_entered_and_sent(api, requested, stores):
    chain = pem_chain([now_leaf(), ROOT.certificate])

    answer = api.post(f"/api/v1/certificate-requests/{requested}/chain", json={"chain": chain})

    assert answer.status_code == 200
    assert (answer.json["state"], answer.json["signed_by"]) == ("sent", "api:bootstrap")
    assert sent(stores) == [("CertificateSigned", {"certificateChain": chain})]
    [issued] = api.get(PATH).json["issued"]
    assert (issued["state"], issued["request_id"]) == ("issued", requested)
    again = api.post(f"/api/v1/certificate-requests/{requested}/chain", json={"chain": chain})
    assert again.status_code == 409
    assert len(sent(stores)) == 1


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        ("nonsense", "must begin with"),
        (pem_chain([EC_ROOT.certificate]), "not for the key of the CSR"),
        (pem_chain([leaf("EC", days=1)]).replace("\n", "\r\n"), "LF line ends only"),
    ],
)
def test_a_chain_of_no_use_is_refused_and_may_be_entered_anew(
    api, requested, stores, chain, problem
):
    path = f"/api/v1/certificate-requests/{requested}/chain"
    answer = api.post(path, json={"chain": chain})

    assert answer.status_code == 422
    [wrong] = answer.json["errors"]
    assert wrong["field"] == "chain"
    assert problem in wrong["problem"]
    assert sent(stores) == []
    good = pem_chain([now_leaf()])
    assert api.post(path, json={"chain": good}).status_code == 200


def test_a_chain_for_nobody_s_request_is_refused(api, cast):
    path = "/api/v1/certificate-requests/none/chain"

    assert api.post(path, json={"chain": "x"}).status_code == 404


def test_who_signs_is_told_without_its_key(app, api, around, stores, parts_around):
    assert api.get("/api/v1/certificate-authority").json == {
        "kind": "manual",
        "signed_by": "an operator",
        "signature": None,
        "days": None,
        "chain": "",
        "common_name": "either",
        "subject": "fill",
        "organisation": None,
    }

    own = settings(CPO_NAME="Nordwerk", CSMS_API_KEY=around.parts.settings.bootstrap_api_key)
    object.__setattr__(around.parts, "settings", own)
    answer = api.get("/api/v1/certificate-authority")
    assert (answer.json["kind"], answer.json["signature"]) == ("built-in", "rsa-pkcs1v15")
    assert (answer.json["chain"], answer.json["days"]) == (PEM, 365)
    assert "PRIVATE" not in answer.text

    remote = settings(
        None,
        CERTIFICATE_AUTHORITY="https://olga:secret@ca.example/sign",
        CSMS_API_KEY=around.parts.settings.bootstrap_api_key,
    )
    object.__setattr__(around.parts, "settings", remote)
    answer = api.get("/api/v1/certificate-authority")
    assert (answer.json["kind"], answer.json["signed_by"]) == ("remote", "https://ca.example/sign")


def test_a_certificate_is_revoked_and_its_connection_ends(api, around, connected, stores):
    facts = facts_of(now_leaf())
    stores.certificates.issue("CP001", facts, "r", 1)
    path = f"{PATH}/issued/{facts.fingerprint.upper()}/revoke"

    answers = [api.post(path), api.post(path)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json["state"] == "revoked"
    assert around.evicted == ["CP001", "CP001"]
    [kept] = stores.security_events.page(None, 10).items
    assert (kept.event.event_type, kept.event.actor) == ("CertificateRevoked", "api:bootstrap")
    assert kept.event.critical


@pytest.mark.parametrize(
    "path", [f"{PATH}/issued/00/revoke", PATH.replace("001", "404") + "/issued/00/revoke"]
)
def test_a_certificate_that_is_not_there_is_not_revoked(api, around, connected, path):
    assert api.post(path).status_code == 404
    assert around.evicted == []


# -- on the page


def test_the_page_shows_all_of_it(browser, told, requested, stores):
    stores.certificates.issue("CP001", facts_of(now_leaf(days=10)), "r", 1)
    page = unescape(browser.get(PAGE).text)

    for shown in ("CN=Test root", "000fFf", "not sent from here", "<doubt>", "Sign by hand"):
        assert shown in page
    assert "It was not asked yet. Ask for the lists." in page
    assert "BEGIN CERTIFICATE REQUEST" in page


def test_the_page_of_a_charge_point_of_which_nothing_is_known_says_what_to_do(browser, cast):
    page = browser.get(PAGE).text

    assert "Once it is connected, have it ask for one." in page
    assert "Once it is connected, ask for the lists." in page
    assert "No security event of it yet." in page
    assert browser.get(PAGE.replace("CP001", "CP404")).status_code == 404


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("form", "actions"),
    [
        ("renew", ["ExtendedTriggerMessage"]),
        ("refresh", ["GetInstalledCertificateIds", "GetInstalledCertificateIds"]),
    ],
)
def test_a_button_asks(browser, connected, stores, form, actions):
    answer = browser.post(f"{PAGE}/{form}")

    assert answer.status_code == 303
    assert [action for action, _ in sent(stores)] == actions
    assert "Waits to be sent" in browser.get(answer.headers["Location"]).text


@pytest.mark.parametrize("form", ["renew", "refresh", "install", "delete", "chain"])
def test_what_can_t_be_done_is_said_above_the_forms(browser, cast, form):
    answer = browser.post(f"{PAGE}/{form}", {"certificate_type": CENTRAL, "certificate": PEM})

    assert answer.status_code == 409
    assert 'role="alert"' in answer.text


@pytest.mark.usefixtures("hurried")
def test_a_pasted_root_is_sent_with_the_line_ends_charge_points_want(browser, connected, stores):
    pasted = "subject=Root\r\n" + PEM.replace("\n", "\r\n")

    browser.post(f"{PAGE}/install", {"certificate_type": CENTRAL, "certificate": pasted})

    assert sent(stores) == [
        ("InstallCertificate", {"certificateType": CENTRAL, "certificate": PEM})
    ]


@pytest.mark.usefixtures("hurried")
def test_a_pasted_certificate_that_is_no_root_is_doubted(browser, connected, stores):
    form = {"certificate_type": CENTRAL, "certificate": pem_chain([leaf()])}

    answer = browser.post(f"{PAGE}/install", form)

    assert "may refuse this certificate" in browser.get(answer.headers["Location"]).text
    assert len(sent(stores)) == 1


def test_a_pasted_text_that_is_no_certificate_is_not_sent(browser, connected, stores):
    answer = browser.post(f"{PAGE}/install", {"certificate_type": CENTRAL, "certificate": "x"})

    assert answer.status_code == 422
    assert "must begin with -----BEGIN CERTIFICATE-----" in answer.text
    assert sent(stores) == []


def test_a_pasted_root_of_no_type_is_refused(browser, connected, stores):
    answer = browser.post(f"{PAGE}/install", {"certificate_type": "x", "certificate": PEM})

    assert answer.status_code == 422
    assert "BEGIN CERTIFICATE" in answer.text
    assert sent(stores) == []


@pytest.mark.usefixtures("hurried")
def test_the_last_root_is_deleted_when_the_id_is_typed(browser, api, connected, stores):
    stores.installed_certificates.told("CP001", CENTRAL, [ODD], 1)
    assert "could not connect any more" in unescape(browser.get(PAGE).text)
    [entry] = entries(api)

    refused = browser.post(f"{PAGE}/delete", {"entry_id": entry["id"], "typed_name": "CP002"})
    assert refused.status_code == 422
    assert sent(stores) == []

    browser.post(f"{PAGE}/delete", {"entry_id": entry["id"], "typed_name": "CP001"})
    assert sent(stores) == [("DeleteCertificate", {"certificateHashData": ODD})]


def test_a_chain_is_pasted(browser, requested, stores):
    bad = browser.post(f"{PAGE}/chain", {"request_id": requested, "chain": "nonsense"})
    assert bad.status_code == 422
    assert "nonsense</textarea>" in bad.text

    pasted = pem_chain([now_leaf()]).replace("\n", "\r\n")
    good = browser.post(f"{PAGE}/chain", {"request_id": requested, "chain": pasted})

    assert good.status_code == 303
    assert [action for action, _ in sent(stores)] == ["CertificateSigned"]
    assert stores.certificate_requests.get(requested).signed_by == "user:olga"


def test_the_list_of_the_fleet_shows_what_waits_and_what_ends_soon(browser, requested, stores):
    now_ms = clock.now_ms()
    facts = facts_of(leaf(now_ms=now_ms, days=ENDS_SOON_DAYS - 1))
    stores.certificates.issue("CP001", facts, "r", now_ms)
    assert "client certificate ends" not in browser.get("/security").text
    stores.certificates.used("CP001", facts.fingerprint, now_ms)

    page = browser.get("/security").text

    assert "wait to be signed" in page
    assert f"1 client certificate ends within {ENDS_SOON_DAYS} days" in page


def test_a_certificate_that_lives_long_is_not_shown_as_ending(browser, connected, stores):
    now_ms = clock.now_ms()
    facts = facts_of(leaf(now_ms=now_ms, days=ENDS_SOON_DAYS + 2))
    stores.certificates.issue("CP001", facts, "r", now_ms)
    stores.certificates.used("CP001", facts.fingerprint, now_ms)

    assert "client certificate ends" not in browser.get("/security").text
    assert facts.not_after_ms > now_ms + ENDS_SOON_DAYS * DAY_MS


@pytest.mark.parametrize("state", CertificateState)
def test_every_state_of_a_certificate_has_words(browser, cast, stores, state):
    facts = facts_of(now_leaf())
    stores.certificates.issue("CP001", facts, "r", 1)
    stores.link.call("HSET", keys.certificate("CP001", facts.fingerprint), "state", state)

    page = browser.get(PAGE)

    assert page.status_code == 200
    is_over = state in {"superseded", "rejected", "revoked"}
    assert (f"revoke={facts.fingerprint}" in page.text) is not is_over


def test_a_request_leads_to_its_certificate_and_its_command(browser, requested, stores, hurried):
    certificate = now_leaf()
    browser.post(f"{PAGE}/chain", {"request_id": requested, "chain": pem_chain([certificate])})

    page = browser.get(PAGE).text.split('id="requests"')[1].split("</table>")[0]

    assert facts_of(certificate).serial_number in page
    assert 'href="/charge-points/CP001/commands/' in page


def test_a_certificate_is_revoked_where_the_id_is_typed(browser, around, connected, stores):
    facts = facts_of(now_leaf())
    stores.certificates.issue("CP001", facts, "r", 1)
    asked = browser.get(f"{PAGE}?revoke={facts.fingerprint}").text
    assert "The charge point is not told" in asked
    form = {"fingerprint": facts.fingerprint, "typed_name": "CP002"}

    refused = browser.post(f"{PAGE}/revoke", form)
    assert refused.status_code == 422
    assert "type CP001 to revoke it" in refused.text
    assert f'value="{facts.fingerprint}"' in refused.text
    assert around.evicted == []
    browser.post(f"{PAGE}/revoke", {**form, "typed_name": "CP001"})

    assert around.evicted == ["CP001"]
    assert "Revoked" in browser.get(PAGE).text
    unknown = {"fingerprint": "00", "typed_name": "CP001"}
    assert browser.post(f"{PAGE}/revoke", unknown).status_code == 404
