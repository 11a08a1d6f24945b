"""Firmware of the library, and logs that are left here, through the API and on the page."""

from dataclasses import replace

import pytest
from cast import FIRMWARE, HOUR_MS, NOON_MS
from visitors import PASSWORD, Browser, program

from csms import clock
from csms.domain.configuration import ConfigurationKey
from csms.domain.file_grant import secret_of
from csms.domain.hosted_file import UploadedFile
from csms.state.accounts import User
from csms.web.pages import transfers

UPDATES = "/charge-points/CP001/firmware-updates"
UPLOADS = "/charge-points/CP001/log-uploads"
PAGE = "/charge-points/CP001/firmware-and-logs"
API = "/api/v1"
NASTY = "'\"><img src=x onerror=alert(1)>"
IMAGE = replace(FIRMWARE, size_bytes=9_000)
OTHER = replace(
    IMAGE, image_id="3" * 32, vendor="Suedwerk", file_name=NASTY, created_at_ms=NOON_MS + HOUR_MS
)


@pytest.fixture
def app(make_application, stores):
    """One that hosts files over HTTPS."""
    app = make_application(stores, FILES_URL="https://files.example")
    app.extensions["around"].draining = True  # nobody answers here
    return app


@pytest.fixture
def library(stores):
    for image in (IMAGE, OTHER):
        stores.firmware_images.create(image, 1_000_000)


def ask(api, path, status=202, **fields):
    answer = api.post(API + path, json=fields)
    assert answer.status_code == status, answer.json
    return answer.json


def receive(stores, upload_id, name="diagnostics.zip"):
    """As the charge point leaves the file."""
    uploaded = UploadedFile(
        upload_id=upload_id,
        charge_point_id="CP001",
        storage_key="4" * 32,
        file_name=name,
        size_bytes=12,
        sha256="cd" * 32,
        protocol="https",
        remote_address="203.0.113.5",
        received_at_ms=clock.now_ms(),
    )
    now_ms = clock.now_ms()
    assert stores.uploaded_files.receive(upload_id, uploaded, now_ms, 1_000) == "received"


# -- the API


def test_firmware_of_the_library_is_asked_for_by_its_id(api, connected, library, app):
    made = ask(api, UPDATES, firmware_id=IMAGE.image_id)

    secret = secret_of(made["id"], app.extensions["around"].parts.settings.credential_pepper)
    assert made["location"] == f"https://files.example/files/{made['id']}****/nw-5.bin"
    assert made["sha256"] == IMAGE.sha256
    expires_at = made["file"].pop("expires_at")
    assert made["file"] == {
        "name": "nw-5.bin",
        "size_bytes": 9_000,
        "sha256": IMAGE.sha256,
        "state": "open",
    }
    assert expires_at > made["created_at"]
    read = api.get(f"{API}{UPDATES}/{made['id']}")
    assert read.json["file"] == {**made["file"], "expires_at": expires_at}
    for path in (UPDATES, "/commands"):
        assert secret not in api.get(API + path).text


def test_a_log_without_a_location_comes_here(api, connected, stores):
    made = ask(api, UPLOADS)
    assert made["file"]["state"] == "open"
    assert (made["file"]["size_bytes"], made["file"]["name"]) == (None, "")
    assert made["upload_id"] is None

    receive(stores, made["id"])

    [listed] = api.get(API + UPLOADS).json["items"]
    assert listed["upload_id"] == made["id"]
    assert listed["file"] == {
        "name": "diagnostics.zip",
        "size_bytes": 12,
        "sha256": "cd" * 32,
        "state": "used",
        "expires_at": made["file"]["expires_at"],
    }


def test_an_upload_is_known_as_long_as_it_is_kept_or_its_grant_is(api, connected, stores):
    made = ask(api, UPLOADS)
    receive(stores, made["id"])

    stores.uploaded_files.delete(made["id"])
    deleted = api.get(f"{API}{UPLOADS}/{made['id']}").json
    assert deleted["upload_id"] is None
    assert (deleted["file"]["state"], deleted["file"]["size_bytes"]) == ("used", 12)

    stores.link.call("DEL", *stores.link.call("KEYS", "csms:file-grant:*"))
    assert api.get(f"{API}{UPLOADS}/{made['id']}").json["file"] is None


def test_an_upload_outlives_its_grant(api, connected, stores):
    made = ask(api, UPLOADS)
    receive(stores, made["id"])

    stores.link.call("DEL", *stores.link.call("KEYS", "csms:file-grant:*"))

    read = api.get(f"{API}{UPLOADS}/{made['id']}").json
    assert read["upload_id"] == made["id"]
    assert (read["file"]["state"], read["file"]["expires_at"]) == ("used", None)


def test_an_address_that_is_over_is_said_to_be(api, connected, stores, library):
    update, upload = ask(api, UPDATES, firmware_id=IMAGE.image_id), ask(api, UPLOADS)
    [key] = stores.link.call("KEYS", f"csms:file-grant:*{update['id']}")
    stores.link.call("HSET", key, "expires_at_ms", NOON_MS)
    stores.file_grants.withdraw(upload["id"])

    assert api.get(f"{API}{UPDATES}/{update['id']}").json["file"]["state"] == "expired"
    assert api.get(f"{API}{UPLOADS}/{upload['id']}").json["file"]["state"] == "withdrawn"


def test_what_goes_elsewhere_has_no_file_here(api, connected):
    made = ask(api, UPLOADS, location="ftp://elsewhere.example/in")

    assert (made["file"], made["upload_id"]) == (None, None)


@pytest.mark.parametrize(
    "fields", [{}, {"location": "https://h/fw.bin", "firmware_id": IMAGE.image_id}]
)
def test_an_update_names_one_file(api, connected, library, stores, fields):
    problem = ask(api, UPDATES, 422, **fields)

    assert [error["field"] for error in problem["errors"]] == ["location"]
    assert stores.commands.page(None, 10).items == []


def test_unknown_firmware_is_told(api, connected):
    assert "firmware" in ask(api, UPDATES, 404, firmware_id="9" * 32)["detail"]


def test_where_there_is_no_way_for_files_it_is_said_what_to_do(api, connected, stores):
    told = ConfigurationKey("SupportedFileTransferProtocols", "FTP", True, NOON_MS)
    stores.configurations.record("CP001", [told], is_all=False)

    problem = ask(api, UPLOADS, 409)

    assert "CP001 supports FTP only" in problem["detail"]
    assert "set FILES_FTP_URL" in problem["detail"]


def test_where_no_files_are_hosted_a_location_is_needed(make_application, stores, connected):
    api = program(make_application(stores))

    problem = ask(api, UPLOADS, 409)

    assert "or give a location" in problem["detail"]


@pytest.mark.parametrize("path", [UPDATES, UPLOADS, "/charge-points/CP001/commands"])
def test_where_hosts_are_listed_others_are_refused(make_application, stores, connected, path):
    api = program(make_application(stores, FILE_HOSTS="*.vendor.example"))
    fields = {"location": "https://evil.example/"}
    if path.endswith("commands"):
        fields = {"action": "GetDiagnostics", "payload": fields}

    [error] = ask(api, path, 422, **fields)["errors"]

    assert error["field"] == ("payload.location" if path.endswith("commands") else "location")
    assert "FILE_HOSTS: *.vendor.example" in error["problem"]


# -- the page


def test_the_library_is_offered_with_what_fits_first(browser, connected, stores, library):
    stores.charge_points.update(
        "CP001", facts={"chargePointVendor": "nordwerk", "chargePointModel": "NW-22"}
    )

    text = browser.get(PAGE).text

    fits, others = text.split('<optgroup label="For others">')
    assert "Nordwerk NW-22 5.0: nw-5.bin" in fits.split('<optgroup label="That may fit">')[1]
    assert "Suedwerk NW-22 5.0: &#39;&#34;&gt;&lt;img" in others
    assert "<img" not in text


def test_no_more_firmware_is_offered_than_fits_a_list(browser, connected, stores):
    for number in range(transfers._IMAGES_MAX + 1):
        image = replace(IMAGE, image_id=f"{number:032x}", created_at_ms=NOON_MS + number)
        stores.firmware_images.create(image, 10_000_000)

    text = browser.get(PAGE).text

    assert text.count("Nordwerk NW-22") == transfers._IMAGES_MAX
    assert f'value="{0:032x}"' not in text


def test_firmware_is_chosen_from_the_library(browser, connected, stores, library):
    form = {"firmware_id": IMAGE.image_id, "location": "", "signed": "auto"}

    answer = browser.post(UPDATES, form)

    assert answer.status_code == 303
    shown = " ".join(browser.get(answer.headers["Location"]).text.split())
    assert "nw-5.bin</code>, 8.8 KiB. Its address is valid until" in shown
    [update] = stores.transfers.page("CP001", "firmware", None, 10).items
    assert update.is_hosted


def test_a_choice_is_kept_where_the_form_was_wrong(browser, connected, library):
    answer = browser.post(UPDATES, {"firmware_id": IMAGE.image_id, "location": "ftp://h/fw.bin"})

    assert answer.status_code == 422
    assert f'value="{IMAGE.image_id}" selected' in answer.text


def test_an_upload_here_is_what_an_empty_form_asks_for(browser, connected, stores):
    text = browser.get(PAGE).text
    assert 'placeholder="here"' in text
    assert '<a href="/firmware">put it into the library</a>' in text

    answer = browser.post(UPLOADS, {"kind": "auto", "location": ""})

    assert answer.status_code == 303
    [upload] = stores.transfers.page("CP001", "logs", None, 10).items
    assert upload.kind == "log"
    receive(stores, upload.transfer_id, NASTY)
    shown = browser.get(PAGE).text
    assert "It has arrived." in shown
    assert f'href="/uploads/{upload.transfer_id}/file"' in shown
    assert "<img" not in shown


def test_where_no_files_are_hosted_the_page_asks_for_a_location(
    make_application, stores, connected, library
):
    app = make_application(stores)
    around = app.extensions["around"]
    around.parts.accounts.create_user(User("otto", f"hash of {PASSWORD}", clock.now_ms()))
    browser = Browser(app.test_client())
    browser.log_in("otto")

    text = browser.get(PAGE).text
    answer = browser.post(UPLOADS, {"kind": "diagnostics", "location": ""})

    assert text.count('name="location" value="" required') == 2
    assert "nw-5.bin" not in text
    assert answer.status_code == 409
    assert "set FILES_URL or FILES_FTP_URL" in answer.text
