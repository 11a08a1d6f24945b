"""What charge points have uploaded, in the API and on the page: found, downloaded, deleted."""

import pytest
from cast import CP001, CP002

from csms import clock
from csms.domain.file_grant import FileGrant, GrantKind

URL = "/api/v1/uploads"
NASTY = '../<script>alert(1)</script>"\u202e.zip'
FIRST, SECOND, THIRD = "1" * 32, "2" * 32, "3" * 32


@pytest.fixture
def upload(stores, around):
    """Has a charge point upload something."""
    for record in (CP001, CP002):
        stores.charge_points.create(record)
    now_ms = clock.now_ms()

    def take(upload_id=FIRST, charge_point_id="CP001", name="diag.zip", content=b"a log"):
        stores.file_grants.grant(
            FileGrant(
                upload_id,
                charge_point_id,
                GrantKind.UPLOAD,
                now_ms,
                now_ms + 60_000,
                max_bytes=1_000,
            )
        )
        with around.parts.uploads.begin(upload_id, now_ms) as receiving:
            receiving.write(content)
            at_ms = now_ms + int(upload_id[0])
            return receiving.finish(name, "ftps", "203.0.113.5", at_ms)

    return take


def test_an_upload_is_read(api, upload):
    uploaded = upload()

    assert api.get(f"{URL}/{FIRST}").json == {
        "id": FIRST,
        "charge_point_id": "CP001",
        "name": "diag.zip",
        "size_bytes": 5,
        "sha256": uploaded.sha256,
        "protocol": "ftps",
        "remote_address": "203.0.113.5",
        "received_at": clock.text_of(uploaded.received_at_ms),
    }


def test_uploads_are_listed_newest_first_and_by_charge_point(api, upload):
    for upload_id, charge_point_id in ((FIRST, "CP001"), (SECOND, "CP002"), (THIRD, "CP001")):
        upload(upload_id, charge_point_id)

    def ids(**query):
        page = api.get(URL, query_string=query).json
        return [item["id"] for item in page["items"]], page["next_cursor"]

    assert ids() == ([THIRD, SECOND, FIRST], None)
    assert ids(charge_point_id="CP001") == ([THIRD, FIRST], None)
    assert ids(charge_point_id="CP404") == ([], None)
    first, cursor = ids(limit=2)
    assert first == [THIRD, SECOND]
    assert ids(limit=2, cursor=cursor) == ([FIRST], None)
    assert api.get(URL, query_string={"cursor": "x"}).status_code == 422


@pytest.mark.parametrize("name", ["diag.zip", NASTY, ""])
def test_a_file_is_downloaded_as_bytes_under_a_name_that_harms_nobody(api, browser, upload, name):
    upload(name=name, content=b"<html>")

    for answer in (api.get(f"{URL}/{FIRST}/file"), browser.get(f"/uploads/{FIRST}/file")):
        assert answer.data == b"<html>"
        assert answer.content_length == 6
        assert answer.mimetype == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        said = answer.headers["Content-Disposition"]
        assert said.startswith("attachment; filename=")
        assert not set("<>/\\\u202e") & set(said)
        assert ".." not in said.split("filename=")[1][:3]


def test_what_is_not_there_is_not_found(api, browser, upload, around):
    uploaded = upload()
    around.parts.storage.delete(uploaded.storage_key)

    missing = api.get(f"{URL}/{FIRST}/file")
    assert missing.status_code == 404
    assert uploaded.storage_key not in missing.text
    for method, path in (("GET", ""), ("GET", "/file"), ("DELETE", "")):
        assert api.open(f"{URL}/{SECOND}{path}", method=method).status_code == 404
    assert browser.get(f"/uploads/{SECOND}/file").status_code == 404


def test_an_upload_is_deleted_with_its_file(api, upload, around, stores):
    upload()

    assert api.delete(f"{URL}/{FIRST}").status_code == 204

    assert api.get(f"{URL}/{FIRST}").status_code == 404
    assert around.parts.storage.is_empty
    assert stores.uploaded_files.total_bytes() == 0


def test_the_page_lists_uploads_with_what_is_known_of_them(browser, upload):
    uploaded = upload(name=NASTY)
    upload(SECOND, "CP002", name="")

    shown = browser.get("/uploads").text

    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown
    assert uploaded.sha256 in shown
    assert "203.0.113.5" in shown
    assert f"/uploads/{FIRST}/file" in shown
    assert shown.index("CP002") < shown.index("CP001")
    of_one = browser.get("/uploads?charge_point_id=CP002").text
    assert SECOND in of_one
    assert FIRST not in of_one


def test_the_page_says_that_there_is_nothing_yet(browser):
    assert "No uploads yet" in browser.get("/uploads").text


def test_the_page_deletes_an_upload(browser, upload, around):
    upload()

    assert "deleted" in browser.post(f"/uploads/{FIRST}/delete", follow_redirects=True).text
    again = browser.post(f"/uploads/{FIRST}/delete", follow_redirects=True)

    assert "There is no upload" in again.text
    assert around.parts.storage.is_empty


def test_the_many_uploads_of_the_page_have_pages(browser, upload, monkeypatch):
    monkeypatch.setattr("csms.web.pages.uploads.PER_PAGE", 1)
    upload(FIRST)
    upload(SECOND)

    first = browser.get("/uploads").text
    assert SECOND in first
    assert FIRST not in first
    address = first.split('href="/uploads?cursor=')[1].split('"')[0].replace("&amp;", "&")
    assert FIRST in browser.get(f"/uploads?cursor={address}").text
