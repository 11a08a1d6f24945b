"""The firmware library over HTTP: streamed in by API and page, given out safely, never in part."""

import hashlib
import io
import re
import tracemalloc
from dataclasses import replace

import pytest
from cast import FIRMWARE, NOON_MS
from cryptography.hazmat.primitives.asymmetric import ec
from test_web_pages import NASTY, Document, read
from visitors import PASSWORD, Browser, program

from csms import clock
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.firmware_signature import certify
from csms.state.accounts import User
from csms.storage.directory import DirectoryStorage

PATH = "/api/v1/firmware"
PAGE = "/firmware"
OCTETS = "application/octet-stream"
CONTENT = b"\x00firmware\r\n--boundary\xff" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MIB = 1_048_576
DETAILS = {"vendor": "Nordwerk", "model": "N1", "version": "2.0", "description": "Mends it"}
KEY = certify(
    ec.generate_private_key(ec.SECP256R1()),
    "Nordwerk firmware",
    "Nordwerk",
    77,
    SignatureAlgorithm.ECDSA,
    NOON_MS,
    3_650,
)
SIGNED = {
    "signature": KEY.sign(bytes.fromhex(SHA256)),
    "signing_certificate": KEY.certificate_pem,
}


@pytest.fixture
def storage(around):
    return around.parts.storage


@pytest.fixture
def small(make_application, stores):
    """An application that takes 1,000 bytes a file, and 1,500 in all."""
    return make_application(stores, FIRMWARE_MAX_BYTES="1000", FIRMWARE_TOTAL_BYTES="1500")


def send(client, content=CONTENT, **query):
    query = {"name": "n1-2.0.bin", **query}
    return client.post(PATH, query_string=query, data=content, content_type=OCTETS)


def send_form(client, content=CONTENT, file_name="n1-2.0.bin", **fields):
    form = {**fields, "file": (io.BytesIO(content), file_name)}
    return client.post(PATH, data=form, content_type="multipart/form-data")


def is_empty(stores, storage):
    return (
        storage.is_empty
        and stores.firmware_images.page(None, 10).items == []
        and stores.firmware_images.total_bytes() == 0
    )


class CutShort(io.RawIOBase):
    """A body whose sender goes away in the middle."""

    def __init__(self, begin):
        super().__init__()
        self._begin = io.BytesIO(begin)

    def readable(self):
        return True

    def read(self, size=-1):
        chunk = self._begin.read(size)
        if not chunk:
            raise OSError("request body cut short")
        return chunk

    def readinto(self, buffer):
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class Made(io.RawIOBase):
    """A body of so many bytes that is nowhere in memory as a whole."""

    def __init__(self, before, size, after=b""):
        super().__init__()
        self.size = len(before) + size + len(after)
        self._parts = [(io.BytesIO(before), len(before)), (None, size), (io.BytesIO(after), None)]

    def readable(self):
        return True

    def readinto(self, buffer):
        begin, size = self._parts[0]
        if begin is not None:
            count = begin.readinto(buffer)
            if count or len(self._parts) == 1:
                return count
        elif size:
            count = min(len(buffer), size)
            buffer[:count] = bytes(count)
            self._parts[0] = (None, size - count)
            return count
        self._parts.pop(0)
        return self.readinto(buffer)


def form_around(boundary="b0undary", **fields):
    """What stands before the bytes of a form's file, and after it."""
    before = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    before += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return before.encode(), f"\r\n--{boundary}--\r\n".encode()


FORM = "multipart/form-data; boundary=b0undary"


def stream(client, path, body, kind, length=None, **more):
    """Send what can be read once only, as a socket can. length: None where it is not said."""
    given = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": kind}
    if length is not None:
        given["CONTENT_LENGTH"] = str(length)
    return client.post(path, environ_overrides=given, **more)


def test_a_file_is_added_read_fetched_and_deleted(api, stores, storage):
    added = send(api, **DETAILS)

    assert added.status_code == 201
    image = added.json
    assert image | DETAILS == image
    assert (image["name"], image["size_bytes"], image["sha256"]) == (
        "n1-2.0.bin",
        len(CONTENT),
        SHA256,
    )
    assert (image["uploaded_by"], image["warnings"]) == ("api:bootstrap", [])
    assert added.headers["Location"] == f"{PATH}/{image['id']}"
    assert api.get(added.headers["Location"]).json == image
    assert api.get(PATH).json == {"items": [image], "next_cursor": None}

    with api.get(f"{PATH}/{image['id']}/file") as fetched:
        assert fetched.data == CONTENT
    assert fetched.content_length == len(CONTENT)
    assert fetched.mimetype == OCTETS
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    assert fetched.headers["Content-Disposition"].startswith('attachment; filename="n1-2.0.bin"')
    assert all(file.closed for file in storage.opened)

    assert api.delete(f"{PATH}/{image['id']}").status_code == 204
    assert is_empty(stores, storage)


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_what_is_not_there_is_not_found(api, method):
    answer = getattr(api, method)(
        f"{PATH}/{'f' * 32}", **({"json": {}} if method == "patch" else {})
    )

    assert answer.status_code == 404
    assert api.get(f"{PATH}/{'f' * 32}/file").status_code == 404


def test_a_form_brings_a_file_with_its_signature(api, storage):
    image = send_form(api, **DETAILS, **SIGNED).json

    assert image | DETAILS | SIGNED == image
    assert (image["name"], image["warnings"]) == ("n1-2.0.bin", [])
    assert list(storage.files.values()) == [CONTENT]


def test_a_form_may_name_its_file_otherwise(api):
    assert send_form(api, name="other.bin").json["name"] == "other.bin"


def test_a_wrong_signature_is_told_and_the_file_kept(api):
    image = send_form(api, **{**SIGNED, "signature": KEY.sign(b"x" * 32)}).json

    assert image["warnings"] == ["the signature is not of this file and certificate"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"signature": "c2ln"}, "signing_certificate"),
        ({"vendor": "V" * 21}, "vendor"),
        ({"name": ""}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_form_that_is_wrong_leaves_nothing(api, stores, storage, fields, field):
    refused = send_form(api, **fields)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json["errors"]] == [field]
    assert is_empty(stores, storage)


@pytest.mark.parametrize(
    ("query", "field"),
    [({"name": ""}, "name"), ({"name": "a\r\nb"}, "name"), ({"version": "9" * 51}, "version")],
)
def test_a_query_that_is_wrong_leaves_nothing(api, stores, storage, query, field):
    refused = send(api, **query)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json["errors"]] == [field]
    assert is_empty(stores, storage)


def test_a_file_needs_a_name(api):
    refused = api.post(PATH, data=CONTENT, content_type=OCTETS)

    assert [error["field"] for error in refused.json["errors"]] == ["name"]


def test_a_form_needs_one_file_and_takes_no_more(api, stores, storage):
    without = api.post(PATH, data={"name": "n1.bin"}, content_type="multipart/form-data")
    several = api.post(
        PATH,
        data={"file": [(io.BytesIO(b"one"), "1.bin"), (io.BytesIO(b"two"), "2.bin")]},
        content_type="multipart/form-data",
    )
    empty = send_form(api, b"")

    for refused in (without, several, empty):
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json["errors"]] == ["file"]
    assert is_empty(stores, storage)


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", None])
def test_a_body_of_another_kind_is_refused(api, kind):
    assert api.post(f"{PATH}?name=a", data=b"a=b", content_type=kind).status_code == 415


def test_a_file_over_the_limit_leaves_nothing(small, stores):
    storage = small.extensions["around"].parts.storage
    client = program(small)

    for refused in (send(client, b"x" * 1_001), send_form(client, b"x" * 1_001)):
        assert refused.status_code == 413
        assert refused.mimetype == "application/problem+json"
    assert is_empty(stores, storage)
    assert send(client, b"x" * 1_000).status_code == 201


def test_a_file_that_does_not_say_how_long_it_is_is_cut_at_the_limit(small, stores):
    storage = small.extensions["around"].parts.storage

    refused = stream(program(small), f"{PATH}?name=big.bin", Made(b"", 2_000), OCTETS)

    assert refused.status_code == 413
    assert is_empty(stores, storage)


def test_a_library_that_is_full_says_so(small, stores):
    storage = small.extensions["around"].parts.storage
    client = program(small)
    send(client, b"x" * 1_000)

    for refused in (send(client, b"y" * 501), send_form(client, b"y" * 501)):
        assert refused.status_code == 507
        assert "1500 bytes" in refused.json["detail"]
    assert len(storage.files) == 1
    assert not storage.pending
    assert stores.firmware_images.total_bytes() == 1_000


@pytest.mark.parametrize("is_form", [False, True])
def test_an_upload_that_is_cut_in_the_middle_leaves_nothing(api, stores, storage, is_form):
    before = form_around()[0] if is_form else b""
    body = CutShort(before + b"x" * 200_000)

    refused = stream(api, f"{PATH}?name=big.bin", body, FORM if is_form else OCTETS, 1_000_000)

    assert refused.status_code == 400
    assert is_empty(stores, storage)


def test_a_form_that_ends_too_early_leaves_nothing(api, stores, storage):
    before, _ = form_around()

    refused = api.post(PATH, data=before + b"x" * 200_000, content_type=FORM)

    assert refused.status_code == 400
    assert "cut short" in refused.json["detail"]
    assert is_empty(stores, storage)


def test_a_storage_that_is_full_is_a_503(api, stores, storage):
    storage.failing = {"write"}

    refused = send(api)

    assert refused.status_code == 503
    assert refused.json["detail"].endswith("No space left on device.")
    assert is_empty(stores, storage)


@pytest.mark.parametrize("is_form", [False, True])
def test_a_large_file_is_never_in_memory_as_a_whole(app, api, around, tmp_path, is_form):
    library = around.parts.firmware_library
    object.__setattr__(library, "storage", DirectoryStorage(tmp_path / "files"))
    before, after = form_around() if is_form else (b"", b"")
    body = Made(before, 20 * MIB, after)

    tracemalloc.start()
    try:
        kind = FORM if is_form else OCTETS
        added = stream(api, f"{PATH}?name=big.bin", body, kind, body.size)
        fetched = api.get(f"{PATH}/{added.json['id']}/file", buffered=False)
        length = sum(len(chunk) for chunk in fetched.response)
        fetched.close()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert added.status_code == 201
    assert added.json["sha256"] == hashlib.sha256(bytes(20 * MIB)).hexdigest()
    assert length == 20 * MIB
    assert most < 5 * MIB


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a"; filename="b.html', "a__ filename=_b.html"),
        ("a\r\nSet-Cookie: a=b", "aSet-Cookie_ a=b"),
        ("größe.bin", "gr__e.bin"),
        ("..", "file"),
        ("C:\\boot.ini", "C__boot.ini"),
    ],
)
def test_no_name_leads_anywhere(api, stores, around, name, plain):
    storage = around.parts.storage
    storage.keep("a" * 32, CONTENT)
    image = replace(
        FIRMWARE,
        image_id="a" * 32,
        storage_key="a" * 32,
        file_name=name,
        size_bytes=len(CONTENT),
        sha256=SHA256,
    )
    stores.firmware_images.create(image, 10**9)

    answer = api.get(f"{PATH}/{'a' * 32}/file")

    assert answer.data == CONTENT
    said = answer.headers["Content-Disposition"]
    assert said.startswith(f"attachment; filename=\"{plain}\"; filename*=UTF-8''")
    assert "Set-Cookie" not in answer.headers
    encoded = said.rpartition("''")[2]
    assert not set(encoded) & set('/\\";:\r\n ')


def test_a_path_as_a_name_is_text_only(api, storage):
    for answer in (send(api, name="../../etc/passwd"), send_form(api, name="../../etc/passwd")):
        assert answer.json["name"] == "../../etc/passwd"
        assert answer.json["id"] in storage.files


def test_what_is_said_of_a_file_is_changed(api):
    image = send(api, **DETAILS).json
    where = f"{PATH}/{image['id']}"

    changed = api.patch(where, json={"version": "2.1", **SIGNED})

    assert changed.json == {**image, "version": "2.1", **SIGNED}
    assert api.get(where).json == changed.json
    for wrong, field in (
        ({"signature": ""}, "signature"),
        ({"vendor": "V" * 21}, "vendor"),
        ({"sha256": "0" * 64}, "sha256"),
    ):
        refused = api.patch(where, json=wrong)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json["errors"]] == [field]


def test_the_list_is_paged_newest_first(api, monkeypatch):
    ids = []
    for number in range(3):
        monkeypatch.setattr(clock, "now_ms", lambda number=number: NOON_MS + number)
        ids.append(send(api, name=f"{number}.bin").json["id"])

    first = api.get(PATH, query_string={"limit": 2}).json
    second = api.get(PATH, query_string={"limit": 2, "cursor": first["next_cursor"]}).json

    assert [image["id"] for image in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


# -- the page


def add_by_page(browser, content=CONTENT, file_name="n1-2.0.bin", token=None, **fields):
    token = browser.token() if token is None else token
    form = {**fields, "file": (io.BytesIO(content), file_name)}
    return browser.client.post(
        PAGE, query_string={"csrf_token": token}, data=form, content_type="multipart/form-data"
    )


def test_an_empty_library_says_what_to_do(browser):
    page = read(browser, PAGE)

    assert "No firmware yet" in page.text
    assert f'href="{PAGE}"' in browser.get("/").text
    [form] = [
        attributes
        for tag, attributes in page.elements
        if tag == "form" and attributes.get("enctype") == "multipart/form-data"
    ]
    assert form["action"].startswith(f"{PAGE}?csrf_token=")


def test_a_file_is_added_on_the_page(browser, stores, storage):
    certificate = KEY.certificate_pem.replace("\n", "\r\n")
    signature = SIGNED["signature"][:60] + "\r\n" + SIGNED["signature"][60:]
    added = add_by_page(browser, **DETAILS, signature=signature, signing_certificate=certificate)

    assert (added.status_code, added.headers["Location"]) == (303, PAGE)
    [image] = stores.firmware_images.page(None, 10).items
    assert (image.file_name, image.uploaded_by, image.warnings) == ("n1-2.0.bin", "user:olga", ())
    page = read(browser, PAGE).text
    for part in ("is in the library", "Nordwerk N1", "2.0", "Mends it", SHA256, "signed"):
        assert part in page, part
    assert storage.files[image.storage_key] == CONTENT


def test_a_file_of_the_page_is_fetched_and_deleted(browser, stores, storage):
    add_by_page(browser)
    [image] = stores.firmware_images.page(None, 10).items

    fetched = browser.get(f"{PAGE}/{image.image_id}/file")
    assert fetched.data == CONTENT
    assert "attachment" in fetched.headers["Content-Disposition"]

    assert browser.post(f"{PAGE}/{image.image_id}/delete").status_code == 303
    assert is_empty(stores, storage)
    assert browser.post(f"{PAGE}/{image.image_id}/delete").status_code == 303
    assert "There is no firmware" in read(browser, PAGE).text


def test_what_is_said_is_changed_on_the_page(browser, stores):
    add_by_page(browser, **DETAILS)
    [image] = stores.firmware_images.page(None, 10).items
    where = f"{PAGE}/{image.image_id}"

    assert browser.post(where, {"version": "2.1", "signature": "c2ln"}).status_code == 422
    refused = browser.post(where, {"vendor": "V" * 21})
    assert "Vendor must have" in Document(refused.text).text
    assert browser.post(where, {"version": "2.1"}).status_code == 303

    changed = stores.firmware_images.get(image.image_id)
    assert (changed.version, changed.vendor, changed.sha256) == ("2.1", "", SHA256)


def test_a_warning_stands_on_the_page(browser):
    add_by_page(browser, **{**SIGNED, "signature": "c2ln"})

    assert (
        "Charge points may refuse it: the signature is not of this file" in read(browser, PAGE).text
    )


def test_what_was_filled_in_stays_where_a_file_is_not_taken(browser, stores, storage):
    refused = add_by_page(browser, version="2.0", signature="c2ln")

    assert refused.status_code == 422
    page = Document(refused.text)
    assert "Signing certificate is needed too" in page.text
    assert re.search(r'name="signing_certificate" aria-invalid="true"', refused.text)
    assert ("input", "2.0") in [(tag, more.get("value")) for tag, more in page.elements]
    assert is_empty(stores, storage)


def test_without_a_file_the_page_asks_for_one(browser, stores, storage):
    refused = add_by_page(browser, b"", "")

    assert refused.status_code == 422
    assert "File is required" in Document(refused.text).text
    assert is_empty(stores, storage)


def test_a_file_that_is_too_large_is_told_on_the_page(small, stores):
    around = small.extensions["around"]
    around.parts.accounts.create_user(User("olga", f"hash of {PASSWORD}", NOON_MS))
    visitor = Browser(small.test_client())
    visitor.log_in()

    refused = add_by_page(visitor, b"x" * 1_001)

    assert refused.status_code == 413
    assert "A file may have 1000 bytes here." in Document(refused.text).text
    assert is_empty(stores, around.parts.storage)


class Untouched(io.RawIOBase):
    """A body that nobody may read."""

    def readable(self):
        return True

    def readinto(self, _buffer):
        pytest.fail("the body was read")


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_without_its_token_no_byte_of_a_form_is_read(browser, storage, token):
    where = f"{PAGE}?csrf_token={token}"

    refused = stream(browser.client, where, Untouched(), FORM, 1_000)

    assert refused.status_code == 400
    assert storage.is_empty


def test_a_token_in_the_address_is_for_streamed_forms_only(browser, stores):
    add_by_page(browser)
    [image] = stores.firmware_images.page(None, 10).items

    refused = browser.client.post(
        f"{PAGE}/{image.image_id}/delete", query_string={"csrf_token": browser.token()}
    )

    assert refused.status_code == 400
    assert stores.firmware_images.find(image.image_id)


@pytest.mark.parametrize(
    ("referrer", "status"), [("https://localhost/firmware", 303), ("https://elsewhere/", 400)]
)
def test_under_https_the_form_must_come_from_here(browser, storage, referrer, status):
    answer = browser.client.post(
        PAGE,
        base_url="https://localhost",
        query_string={"csrf_token": browser.token()},
        data={"file": (io.BytesIO(CONTENT), "a.bin")},
        content_type="multipart/form-data",
        headers={"Referer": referrer},
    )

    assert answer.status_code == status
    assert len(storage.files) == (status == 303)


def test_whatever_is_said_of_a_file_is_shown_as_text(browser, api, stores):
    send_form(api, **dict.fromkeys(("name", "description", "version"), NASTY))

    assert read(browser, PAGE).text.count(NASTY) >= 3
