"""Files for charge points and from them over HTTP: what each is told, and what is left of it."""

import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from cast import CP001, HOUR_MS, PEPPER
from visitors import Browser

from csms import clock
from csms.domain.file_grant import FileGrant, GrantKind, GrantState, token_of
from csms.errors import StoreUnavailable
from csms.web import errors
from csms.web.files import AT_ONCE_MAX

IMAGE = bytes(range(256)) * 1_000
SHA256 = hashlib.sha256(IMAGE).hexdigest()
IMAGE_KEY = "e" * 32
DOWNLOAD, UPLOAD = "d" * 32, "a" * 32
MAX_BYTES = 300_000


class Files:
    """CP001 may fetch IMAGE and leave one file."""

    def __init__(self, app, stores, around):
        self.stores = stores
        self.storage = around.parts.storage
        self.client = app.test_client()
        app.extensions["files.taken"].clear()  # by answers of other tests, which nobody has read
        stores.charge_points.create(CP001)
        self.storage.keep(IMAGE_KEY, IMAGE)
        self.grant(
            DOWNLOAD,
            GrantKind.DOWNLOAD,
            storage_key=IMAGE_KEY,
            file_name="nw 5.bin",
            size_bytes=len(IMAGE),
            sha256=SHA256,
        )
        self.grant(UPLOAD, max_bytes=MAX_BYTES)

    def grant(self, grant_id, kind=GrantKind.UPLOAD, valid_ms=HOUR_MS, **fields):
        now_ms = clock.now_ms()
        self.stores.file_grants.grant(
            FileGrant(grant_id, "CP001", kind, now_ms, now_ms + valid_ms, **fields)
        )

    def fetch(self, headers=None, method="GET", name="nw-5.bin"):
        return self.client.open(url(DOWNLOAD, name), method=method, headers=headers, buffered=True)

    def stream(self, body, headers=None, grant_id=UPLOAD):
        """A body as the server hands it over, whose length nobody has said."""
        given = {"wsgi.input": body, "wsgi.input_terminated": True}
        return self.client.put(url(grant_id), headers=headers, environ_overrides=given)

    def put(self, body=b"log", name="diag.log", method="PUT", grant_id=UPLOAD, **kwargs):
        return self.client.open(url(grant_id, name), method=method, data=body, **kwargs)

    @property
    def uploaded(self):
        return self.stores.uploaded_files.get(UPLOAD)

    @property
    def kept(self):
        """The content of the upload."""
        return self.storage.files[self.uploaded.storage_key]

    @property
    def nothing_came_in(self):
        return (
            list(self.storage.files) == [IMAGE_KEY]
            and not self.storage.pending
            and self.stores.uploaded_files.total_bytes() == 0
            and self.stores.file_grants.find(UPLOAD).state is GrantState.OPEN
        )


def url(grant_id, name="", pepper=PEPPER):
    return f"/files/{token_of(grant_id, pepper)}/{name}"


@pytest.fixture
def files(app, stores, around):
    return Files(app, stores, around)


@pytest.fixture
def small_total(make_application, stores):
    app = make_application(stores, UPLOADS_TOTAL_BYTES="100")
    return Files(app, stores, app.extensions["around"])


def is_plain(answer, status):
    return (
        answer.status_code == status
        and answer.mimetype == "text/plain"
        and answer.text.strip()
        and "Set-Cookie" not in answer.headers
    )


def is_refused(answer, status):
    """As a charge point that leaves a file is told: no more of it is read."""
    return is_plain(answer, status) and answer.headers["Connection"] == "close"


# -- fetching


def test_a_charge_point_fetches_its_file(files):
    answer = files.fetch()

    assert answer.status_code == 200
    assert answer.data == IMAGE
    assert answer.content_length == len(IMAGE)
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.mimetype == "application/octet-stream"
    assert "Set-Cookie" not in answer.headers
    assert all(file.closed for file in files.storage.opened)


def test_a_file_may_be_fetched_again(files):
    assert [files.fetch().status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("behind", ["", "/", "/nw-5.bin", "//nw-5.bin", "/a/b/c.bin", "nw-5.bin"])
@pytest.mark.parametrize("before", ["/files/", "/files//"])
def test_whatever_stands_around_the_token_is_taken_as_meant(files, before, behind):
    answer = files.client.get(f"{before}{token_of(DOWNLOAD, PEPPER)}{behind}")

    assert answer.data == IMAGE


def test_head_tells_of_the_file_without_it(files):
    answer = files.fetch(method="HEAD")

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.content_length == len(IMAGE)
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert all(file.closed for file in files.storage.opened)


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100000-", 100_000, len(IMAGE) - 1),
        ("bytes=-1", len(IMAGE) - 1, len(IMAGE) - 1),
        ("bytes=65530-131080", 65_530, 131_080),
    ],
)
def test_a_charge_point_gets_the_part_it_asks_for(files, wanted, first, last):
    answer = files.fetch({"Range": wanted})

    assert answer.status_code == 206
    assert answer.data == IMAGE[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(IMAGE)}"
    assert answer.content_length == last + 1 - first
    assert all(file.closed for file in files.storage.opened)


def test_a_broken_download_goes_on_where_it_was(files):
    begun = files.fetch({"Range": "bytes=0-69999"}).data

    rest = files.fetch({"Range": f"bytes={len(begun)}-", "If-Range": f'"{SHA256}"'})

    assert rest.status_code == 206
    assert begun + rest.data == IMAGE


def test_a_download_of_another_file_begins_anew(files):
    answer = files.fetch({"Range": "bytes=70000-", "If-Range": '"another"'})

    assert answer.status_code == 200
    assert answer.data == IMAGE


def test_a_charge_point_that_has_the_file_is_told_so(files):
    answer = files.fetch({"If-None-Match": f'"{SHA256}"'})

    assert (answer.status_code, answer.data) == (304, b"")
    assert all(file.closed for file in files.storage.opened)


def test_a_part_behind_the_end_is_not_there(files):
    answer = files.fetch({"Range": f"bytes={len(IMAGE)}-"})

    assert is_plain(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(IMAGE)}"
    assert all(file.closed for file in files.storage.opened)


def test_an_image_that_was_deleted_is_not_wanted_any_more(files):
    files.storage.delete(IMAGE_KEY)

    answer = files.fetch()

    assert is_plain(answer, 410)
    assert IMAGE_KEY not in answer.text


def test_what_a_charge_point_may_fetch_it_may_not_replace_and_the_other_way_round(files):
    replaced = files.client.put(url(DOWNLOAD, "x"), data=b"evil")
    fetched = files.client.get(url(UPLOAD, "x"))

    assert is_refused(replaced, 404)
    assert is_plain(fetched, 405)
    assert files.storage.files == {IMAGE_KEY: IMAGE}


# -- who may


@pytest.mark.parametrize(
    "path",
    [
        "/files/",
        "/files/x",
        f"/files/{UPLOAD}/x",
        f"/files/{'0' * 64}/x",
        url(UPLOAD, "x", pepper="another"),
        url(UPLOAD, "x").replace("a", "A"),
        url("0" * 32, "x"),
        f"/files/x/{token_of(UPLOAD, PEPPER)}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
def test_a_wrong_token_opens_nothing(files, path, method):
    answer = files.client.open(path, method=method, data=None if method == "GET" else b"x")

    assert answer.status_code == 404
    assert answer.mimetype == "text/plain"
    assert files.nothing_came_in


def test_a_late_comer_is_told_so(files):
    files.grant("1" * 32, valid_ms=0, max_bytes=9)
    files.grant("2" * 32, GrantKind.DOWNLOAD, valid_ms=0, storage_key=IMAGE_KEY)

    assert is_refused(files.put(grant_id="1" * 32), 410)
    assert is_plain(files.client.get(url("2" * 32)), 410)


def test_what_was_withdrawn_is_gone(files):
    files.stores.file_grants.withdraw(UPLOAD)
    files.stores.file_grants.withdraw(DOWNLOAD)

    assert is_refused(files.put(), 410)
    assert is_plain(files.fetch(), 410)


def test_neither_a_session_nor_a_key_is_needed_and_none_is_given(files):
    browser = Browser(files.client)
    browser.token()

    answer = files.put()

    assert answer.status_code == 201
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PROPFIND", "MKCOL"])
def test_other_methods_are_refused_in_plain_words(files, method):
    assert is_plain(files.put(method=method), 405)


def test_no_answer_and_no_log_names_the_token(files, monkeypatch):
    secret = token_of(UPLOAD, PEPPER)[32:]

    def fail(*_):
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as logs:
        answers = [files.put(b"x" * (MAX_BYTES + 1)), files.put(), files.put()]
        answers += [files.client.get(url(UPLOAD)), files.put(method="DELETE")]
        monkeypatch.setattr("csms.web.files.read_token", fail)
        answers.append(files.put())
        monkeypatch.setattr(
            "csms.web.files.read_token", lambda *_: (_ for _ in ()).throw(StoreUnavailable("gone"))
        )
        answers.append(files.put())

    assert [answer.status_code for answer in answers] == [413, 201, 403, 403, 405, 500, 503]
    assert {"request failed", "store unavailable"} <= {one["event"] for one in logs}
    assert all(secret not in answer.text + str(answer.headers) for answer in answers)
    assert all(secret not in str(one) for one in logs)


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-"}, {"If-None-Match": "*"}])
def test_with_one_address_so_much_at_once_is_fetched(files, headers):
    begun = [files.client.get(url(DOWNLOAD), headers=headers) for _ in range(AT_ONCE_MAX + 1)]
    statuses = [answer.status_code for answer in begun]
    assert is_plain(begun[-1], 429)
    assert 429 not in statuses[:-1]

    for answer in begun[:1] * 2:
        answer.close()

    assert files.client.get(url(DOWNLOAD), headers=headers).status_code == statuses[0]
    assert files.client.get(url(DOWNLOAD), headers=headers).status_code == 429


# -- leaving


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_charge_point_leaves_its_file(files, method):
    answer = files.put(IMAGE, "diag.zip", method, environ_base={"REMOTE_ADDR": "203.0.113.5"})

    assert is_plain(answer, 201)
    assert files.kept == IMAGE
    assert files.uploaded.file_name == "diag.zip"
    assert (files.uploaded.size_bytes, files.uploaded.sha256) == (len(IMAGE), SHA256)
    assert (files.uploaded.protocol, files.uploaded.remote_address) == ("http", "203.0.113.5")
    assert files.stores.file_grants.find(UPLOAD).state is GrantState.USED


FORM_TYPE = "multipart/form-data; boundary=x"
FORM_BEGIN = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'


@pytest.mark.parametrize("is_form", [False, True])
def test_a_file_may_be_larger_than_other_requests(files, is_form):
    files.grant("b" * 32, max_bytes=3_000_000)
    body = bytes(2_500_000)
    wrapped = FORM_BEGIN + body + b"\r\n--x--\r\n" if is_form else body

    answer = files.put(
        wrapped, grant_id="b" * 32, content_type=FORM_TYPE if is_form else "application/zip"
    )

    assert answer.status_code == 201
    assert files.stores.uploaded_files.get("b" * 32).size_bytes == 2_500_000


def test_an_upload_over_tls_is_known_as_such(files):
    files.put(base_url="https://csms.example")

    assert files.uploaded.protocol == "https"


@pytest.mark.parametrize(
    "content_type", ["application/zip", "application/x-www-form-urlencoded", "text/plain", ""]
)
def test_the_body_is_the_file_whatever_it_is_said_to_be(files, content_type):
    files.put(b"a=1&b=2", content_type=content_type)

    assert files.kept == b"a=1&b=2"


def test_a_body_of_unknown_length_is_taken_as_it_comes(files):
    answer = files.stream(io.BytesIO(IMAGE), {"Transfer-Encoding": "chunked"})

    assert answer.status_code == 201
    assert files.kept == IMAGE


def form(content=IMAGE, name="diag.zip", **more):
    return {"note": "x", "file": (io.BytesIO(content), name), **more}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_first_file_of_a_form_is_taken(files, method):
    second = {"more": (io.BytesIO(b"second"), "second.zip")}

    answer = files.put(form(**second), name="", method=method)

    assert answer.status_code == 201
    assert files.kept == IMAGE
    assert files.uploaded.file_name == "diag.zip"


def test_nothing_of_a_form_is_spooled(files, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("a temporary file")

    monkeypatch.setattr("werkzeug.formparser.default_stream_factory", fail)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", fail)

    assert files.put(form(), method="POST").status_code == 201


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        (FORM_TYPE, b"no form"),
        ("multipart/form-data; boundary=\xe4", b"no form"),
        (
            FORM_TYPE,
            FORM_BEGIN + b"half of it",
        ),
        (
            FORM_TYPE,
            b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n%b\r\n--x--' % bytes(400_000),
        ),
        (
            FORM_TYPE,
            b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nno file\r\n--x--\r\n',
        ),
    ],
)
def test_a_form_that_is_none_leaves_nothing(files, content_type, body):
    assert is_refused(files.put(body, content_type=content_type), 400)
    assert files.nothing_came_in


@pytest.mark.parametrize(
    ("behind", "kept"),
    [
        ("diag.zip", "diag.zip"),
        ("a/b//diag.zip//", "diag.zip"),
        ("../../etc/passwd", "passwd"),
        ("..%2f..%2fetc%2fpasswd", "passwd"),
        ("..%5c..%5cwindows%5cwin.ini", "..\\..\\windows\\win.ini"),
        ("a%00b%0d%0aX-Evil:%201", "abX-Evil: 1"),
        ("%C3%A4" * 255, "ä" * 255),
        ("%C3%A4" * 300, "ä" * 255),
        ("%ff%fe", "\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_the_name_is_text_and_never_a_place(files, behind, kept):
    answer = files.put(name=behind)

    assert answer.status_code == 201
    assert files.uploaded.file_name == kept
    assert set(files.storage.files) == {IMAGE_KEY, files.uploaded.storage_key}


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b;c.zip", "ä" * 255])
def test_the_name_in_a_form_is_text_too(files, name):
    files.put(form(name=name), name="", method="POST")

    assert files.uploaded.file_name == name


def test_a_name_glued_to_the_token_is_a_name(files):
    answer = files.client.put(f"/files/{token_of(UPLOAD, PEPPER)}diag.zip", data=b"x")

    assert answer.status_code == 201
    assert files.uploaded.file_name == "diag.zip"


def test_the_name_in_the_path_comes_before_others_and_a_header_helps_out(files):
    header = {"Content-Disposition": 'attachment; filename="header.zip"'}
    files.grant("b" * 32, max_bytes=9)
    files.put(name="", headers=header)
    files.put(name="path.zip", headers=header, grant_id="b" * 32)

    assert files.uploaded.file_name == "header.zip"
    assert files.stores.uploaded_files.get("b" * 32).file_name == "path.zip"


@pytest.mark.parametrize("in_path", [True, False])
def test_a_name_that_repeats_the_address_tells_no_secret(files, in_path):
    token = token_of(UPLOAD, PEPPER)
    if in_path:
        files.put(name=f"files/{token}/")
    else:
        files.put(form(name=f"http://x/files/{token}"), name="", method="POST")

    assert token[32:] not in files.uploaded.file_name


def test_a_second_file_is_refused(files):
    files.put(b"first")

    assert is_refused(files.put(b"second"), 403)
    assert files.kept == b"first"
    assert len(files.storage.files) == 2


class Together:
    """A body whose end comes when another one is there as well."""

    def __init__(self, content, meet):
        self._left = io.BytesIO(content)
        self._meet = meet

    def read(self, size=-1):
        chunk = self._left.read(size)
        if not chunk:
            self._meet()
        return chunk


def test_of_two_files_at_once_one_is_taken(files):
    barrier = threading.Barrier(2, timeout=10)

    def put(content):
        return files.stream(Together(content, barrier.wait))

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(put, [b"first", b"second"]))

    assert sorted(answer.status_code for answer in answers) == [201, 403]
    assert files.kept == (b"first" if answers[0].status_code == 201 else b"second")
    assert len(files.storage.files) == 2
    assert files.stores.uploaded_files.total_bytes() == len(files.kept)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_over_its_quota_leaves_nothing(files, chunked):
    body = io.BytesIO(bytes(MAX_BYTES + 1))
    answer = files.stream(body) if chunked else files.put(body)

    assert is_refused(answer, 413)
    assert str(MAX_BYTES) in answer.text
    assert files.nothing_came_in
    assert files.put().status_code == 201


def test_with_one_address_so_much_at_once_is_left(files):
    statuses = []

    class WithAnother:
        """A body: before its end another is begun."""

        def read(self, _=-1):
            if 429 not in statuses:
                statuses.append(files.stream(WithAnother()).status_code)
            return b""

    assert files.stream(WithAnother()).status_code == 400

    assert statuses == [429, *[400] * (AT_ONCE_MAX - 1)]
    assert files.put().status_code == 201


def test_a_file_over_its_quota_in_a_form_leaves_nothing(files):
    assert is_refused(files.put(form(bytes(MAX_BYTES + 1)), method="POST"), 413)
    assert files.nothing_came_in


def test_an_endless_file_is_read_as_far_as_its_quota_only(files):
    class Endless:
        given = 0

        def read(self, size=-1):
            self.given += size
            return bytes(size)

    endless = Endless()
    answer = files.stream(endless)

    assert is_refused(answer, 413)
    assert endless.given <= MAX_BYTES + 65_536


def test_without_room_no_file_is_taken(small_total):
    small_total.grant("b" * 32, max_bytes=60)
    small_total.grant("c" * 32, max_bytes=60)

    assert small_total.put(bytes(60), grant_id="b" * 32).status_code == 201
    assert is_refused(small_total.put(bytes(60), grant_id="c" * 32), 507)
    assert len(small_total.storage.files) == 2


class CutShort:
    """A body that breaks off, as the server tells of it."""

    def __init__(self, content):
        self._left = io.BytesIO(content)

    def read(self, size=-1):
        chunk = self._left.read(size)
        if not chunk:
            raise OSError("request body cut short")
        return chunk


@pytest.mark.parametrize("begin", [b"half", form])
def test_a_file_that_breaks_off_leaves_nothing_and_may_be_sent_again(files, begin):
    headers = {}
    if begin is form:
        headers = {"Content-Type": FORM_TYPE}
        begin = FORM_BEGIN + b"half"
    answer = files.stream(CutShort(begin), headers)

    assert is_refused(answer, 400)
    assert files.nothing_came_in
    assert files.put(b"whole").status_code == 201
    assert files.kept == b"whole"


def test_an_empty_body_is_no_file(files):
    assert is_refused(files.put(b""), 400)
    assert files.nothing_came_in


@pytest.mark.parametrize("failing", ["create", "write", "commit"])
def test_a_failing_storage_is_told_and_the_file_may_be_sent_again(files, failing):
    files.storage.failing.add(failing)
    answer = files.put()
    files.storage.failing.clear()

    assert is_refused(answer, 503)
    assert answer.headers["Retry-After"] == str(errors.RETRY_AFTER_S)
    assert files.nothing_came_in


def test_a_failing_storage_is_told_to_who_fetches(files):
    files.storage.failing.add("open")

    assert is_plain(files.fetch(), 503)


def test_only_who_has_a_token_is_waited_for(files):
    waited = []
    patience = {"csms.be_patient": lambda: waited.append(True)}

    files.put(environ_overrides=patience)
    files.client.get(url(DOWNLOAD), environ_overrides=patience)
    assert len(waited) == 2
    files.put(environ_overrides=patience)
    files.client.get(url("0" * 32), environ_overrides=patience)

    assert len(waited) == 2
