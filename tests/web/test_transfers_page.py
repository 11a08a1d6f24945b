"""Firmware and logs on the page of a charge point: asked for with plain forms, told in words."""

import pytest
from cast import CP001, NOON_MS

from csms import clock
from csms.domain.transfer import (
    BOOTED,
    Outcome,
    Remark,
    Transfer,
    TransferKind,
    TransferState,
    state_after,
)
from csms.state.transfers import Report
from csms.web.pages import transfer_words, transfers
from csms.web.transfer_files import FileState

PAGE = "/charge-points/CP001/firmware-and-logs"
UPDATES = "/charge-points/CP001/firmware-updates"
UPLOADS = "/charge-points/CP001/log-uploads"
LOCATION = "ftp://user:secret@files.example/nw-5.bin"
NASTY = "'\"><img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def no_waiting(around):
    """Nobody answers here."""
    around.draining = True


def queued(stores):
    return [(c.action, c.payload) for c in stores.commands.page(None, 10).items]


def listed(stores, subject):
    return stores.transfers.page("CP001", subject, None, 10).items


def test_a_page_without_transfers_says_what_to_expect(browser, connected):
    text = browser.get(PAGE).text

    assert "No update yet" in text
    assert "Nothing was fetched yet" in text
    assert "Firmware &amp; logs</a>" in text
    assert browser.get("/charge-points/CP404/firmware-and-logs").status_code == 404


def test_one_that_is_away_is_said_to_be(browser, cast):
    assert "It has not connected yet: nothing can be asked" in browser.get(PAGE).text

    answer = browser.post(UPDATES, {"location": LOCATION})

    assert answer.status_code == 409
    assert "CP001 is not connected" in answer.text


def test_a_form_becomes_an_update(browser, connected, stores):
    form = {
        "location": LOCATION,
        "retrieve_at": "2026-11-22T12:00",
        "retries": "3",
        "retry_interval_s": "60",
        "signed": "auto",
        "signing_key": "",
        "sha256": "",
        "signature": "",
        "signing_certificate": "",
        "install_at": "",
    }
    answer = browser.post(UPDATES, form)

    assert answer.status_code == 303
    [(action, payload)] = queued(stores)
    assert action == "UpdateFirmware"
    assert payload == {
        "location": "ftp://user:****@files.example/nw-5.bin",
        "retrieveDate": "2026-11-22T12:00:00.000Z",
        "retries": 3,
        "retryInterval": 60,
    }
    shown = browser.get(answer.headers["Location"]).text
    assert "Asked for" in shown
    assert "secret" not in shown
    assert 'class="marked"' in shown


def test_a_form_becomes_a_signed_update(browser, connected, stores):
    browser.post(
        UPDATES,
        {
            "location": LOCATION,
            "signature": "c2lnbmF0dXJl",
            "signing_certificate": "one\r\ntwo",
            "install_at": "2026-11-22T13:00",
        },
    )

    [(action, payload)] = queued(stores)
    assert action == "SignedUpdateFirmware"
    assert payload["firmware"]["signingCertificate"] == "one\ntwo"
    assert payload["firmware"]["installDateTime"] == "2026-11-22T13:00:00.000Z"
    assert "not one certificate" in browser.get(PAGE).text


def test_a_signing_key_can_be_chosen(browser, api, connected, stores):
    assert 'href="/signing-keys"' in browser.get(PAGE).text
    api.post("/api/v1/signing-keys", json={"name": "nordwerk", "algorithm": "ecdsa"})
    assert "<option>nordwerk</option>" in browser.get(PAGE).text

    form = {"location": LOCATION, "signing_key": "nordwerk", "sha256": "ab" * 32}
    assert browser.post(UPDATES, form).status_code == 303

    [update] = listed(stores, "firmware")
    assert (update.signing_key, update.sha256) == ("nordwerk", "ab" * 32)


@pytest.mark.parametrize(
    ("kind", "action"),
    [("diagnostics", "GetDiagnostics"), ("security-log", "GetLog"), ("diagnostics-log", "GetLog")],
)
def test_a_form_becomes_an_upload(browser, connected, stores, kind, action):
    form = {"kind": kind, "location": LOCATION, "oldest_at": "2026-11-22T12:00", "latest_at": ""}
    answer = browser.post(UPLOADS, form)

    assert answer.status_code == 303
    assert queued(stores)[0][0] == action
    [upload] = listed(stores, "logs")
    assert (upload.oldest_at_ms, upload.latest_at_ms) == (NOON_MS, None)


WRONG = [
    (UPDATES, {"location": "files.example"}, "location"),
    (UPDATES, {"location": ""}, "location"),
    (UPDATES, {"retrieve_at": "soon"}, "retrieve_at"),
    (UPDATES, {"retries": "many"}, "retries"),
    (UPDATES, {"retries": "9" * 5000}, "retries"),
    (UPDATES, {"signing_key": "nobody"}, "sha256"),
    (UPDATES, {"signing_key": "nobody", "sha256": "ab" * 32}, "nobody"),
    (UPDATES, {"signed": "true"}, "signature"),
    (UPDATES, {"install_at": "2026-11-22T12:00"}, "install_at"),
    (UPLOADS, {"kind": "everything"}, "kind"),
    (UPLOADS, {"oldest_at": "2026-11-22T12:00", "latest_at": "2026-11-21T12:00"}, "latest_at"),
]


@pytest.mark.parametrize(("path", "fields", "complaint"), WRONG)
def test_a_wrong_form_is_explained_and_kept(browser, connected, stores, path, fields, complaint):
    answer = browser.post(path, {"location": "ftp://files.example/kept", **fields})

    assert answer.status_code == 422
    assert complaint in answer.text.split('class="notice bad" role="alert"')[1].split("</p>")[0]
    if "location" not in fields:
        assert 'value="ftp://files.example/kept"' in answer.text
    assert queued(stores) == []


def test_a_form_sent_twice_is_one_request(browser, connected, stores):
    form = {"location": LOCATION, "kind": "security-log", "once": "abc"}

    first, second = browser.post(UPLOADS, form), browser.post(UPLOADS, form)
    other = browser.post(UPLOADS, {**form, "kind": "diagnostics"})

    assert first.headers["Location"] == second.headers["Location"]
    assert other.status_code == 303
    assert len(queued(stores)) == 2


def test_what_was_reported_is_told_in_words(browser, connected, stores):
    browser.post(UPDATES, {"location": LOCATION})
    [asked] = listed(stores, "firmware")
    taken = Outcome(TransferState.TAKEN)
    stores.transfers.settle("CP001", asked.transfer_id, asked.kind, taken, clock.now_ms())
    for status in ("Installing", "Downloading"):
        report = Report(TransferKind.FIRMWARE, status, None, "firmware")
        stores.transfers.report("CP001", connected, report, clock.now_ms())
    boot = stores.transfers.boot_command("CP001", connected, "4.2", NASTY, clock.now_ms())
    stores.link.call(*boot)

    text = " ".join(browser.get(PAGE).text.split())

    assert "It installs" in text
    assert "It downloads the file (a step back)" in text
    assert "It restarted, with firmware &#39;&#34;&gt;&lt;img" in text
    assert "in place of 4.2" in text
    assert "<img" not in text
    assert "Under way" in text


def test_a_refusal_says_what_to_do_instead(browser, connected, stores):
    browser.post(UPLOADS, {"location": LOCATION, "kind": "security-log"})
    [asked] = listed(stores, "logs")
    refused = Outcome(TransferState.REFUSED, reason="NotSupported", hint="Ask otherwise.")
    stores.transfers.settle("CP001", asked.transfer_id, asked.kind, refused, clock.now_ms())

    text = browser.get(PAGE).text

    assert "Refused" in text
    assert "NotSupported" in text
    assert "Ask otherwise." in text


def transfer(state, **fields):
    return Transfer(
        "t1", CP001.charge_point_id, TransferKind.LOG, state, LOCATION, "olga", NOON_MS, **fields
    )


@pytest.mark.parametrize("state", TransferState)
def test_every_state_has_a_badge(state):
    badge = transfer_words.transfer_badge(transfer(state))

    assert badge.word
    assert badge.meaning.endswith(".")


def test_every_remark_and_every_kind_has_words():
    for remark in Remark:
        assert transfer_words.remark_words(remark)
    named = {transfer_words.transfer_name(transfer(TransferState.DONE, log_type="SecurityLog"))}
    assert named == {"Security log"}


@pytest.mark.parametrize("state", FileState)
def test_every_state_of_a_file_has_words(state):
    assert transfer_words.file_words(state)


@pytest.mark.parametrize("status", [*transfer_words._STATUSES, "Unheard-of"])
def test_every_status_has_words(status):
    words = transfer_words.status_words(status)

    assert words
    known = state_after(status) is not None or status in {BOOTED, "Idle"}
    assert (words != status) is known


def test_what_was_long_ago_is_a_page_further(browser, connected, stores):
    for number in range(transfers.SHOWN + 1):
        browser.post(UPDATES, {"location": f"ftp://files.example/{number}.bin"})

    newest = browser.get(PAGE).text
    cursor = newest.split(f"{PAGE}?updates=")[1].split("#")[0]
    older = browser.get(f"{PAGE}?updates={cursor}").text

    assert "ftp://files.example/0.bin" not in newest
    assert "ftp://files.example/0.bin" in older
    assert "data-live-url" not in older
