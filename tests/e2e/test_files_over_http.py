"""Files through the real server on a real socket: slow senders and readers, and large files."""

import hashlib
import tracemalloc
from dataclasses import fields

import gevent
import pytest
from cast import CP001, ENVIRONMENT, HOUR_MS, PEPPER
from gevent import socket

from csms import clock
from csms.commands.uploads import UploadDesk
from csms.config import Settings
from csms.domain.file_grant import FileGrant, GrantKind, GrantState, token_of
from csms.errors import NotFound
from csms.state.stores import Stores
from csms.storage.directory import DirectoryStorage
from csms.transport.listeners import listen
from csms.transport.server import Limits, Server
from csms.transport.upgrade import Refusal
from csms.web.application import WebParts, create_application

pytestmark = pytest.mark.e2e

MIB = 1_048_576
IMAGE_BYTES = 30 * MIB
IMAGE_KEY = "e" * 32
DOWNLOAD, UPLOAD = "d" * 32, "a" * 32
MAX_BYTES = 8 * MIB
# Longer than the server waits for strangers.
SLOW_S = 0.6


class Served:
    """The application over a directory; CP001 may fetch 30 MiB, and leave 8."""

    def __init__(self, link, store_url, directory):
        self.stores = Stores.behind(link, message_log_length=10)
        self.directory = directory
        self.storage = DirectoryStorage(directory)
        self.stores.charge_points.create(CP001)
        settings = Settings.from_env({**ENVIRONMENT, "REDIS_URL": store_url})
        self.application = create_application(
            WebParts(
                **{
                    **{field.name: None for field in fields(WebParts)},
                    "settings": settings,
                    "stores": self.stores,
                    "storage": self.storage,
                    "uploads": UploadDesk(self.stores, self.storage, settings.uploads_total_bytes),
                }
            )
        )
        self._servers = []
        self._clients = []
        pending = self.storage.create(IMAGE_KEY)
        digest = hashlib.sha256()
        for number in range(30):
            pending.write(bytes([number]) * MIB)
            digest.update(bytes([number]) * MIB)
        pending.commit()
        self.sha256 = digest.hexdigest()
        image = {"storage_key": IMAGE_KEY, "size_bytes": IMAGE_BYTES, "sha256": self.sha256}
        self.grant(DOWNLOAD, GrantKind.DOWNLOAD, **image)
        self.grant(UPLOAD, GrantKind.UPLOAD, max_bytes=MAX_BYTES)

    def grant(self, grant_id, kind, **facts):
        now_ms = clock.now_ms()
        grant = FileGrant(grant_id, "CP001", kind, now_ms, now_ms + HOUR_MS, **facts)
        self.stores.file_grants.grant(grant)

    def serve(self, **limits):
        server = Server(
            [listen("127.0.0.1", 0)],
            self.application,
            lambda _: Refusal(404, "No door."),
            Limits(**limits),
            lambda request, refusal: None,
        )
        server.start()
        self._servers.append(server)
        return server

    def ask(self, server, method, grant_id, *headers):
        """A connection on which a request has been begun."""
        client = socket.create_connection(("127.0.0.1", server.port))
        self._clients.append(client)
        lines = [f"{method} /files/{token_of(grant_id, PEPPER)}/x HTTP/1.1", "Host: x", *headers]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return client

    @property
    def left(self):
        """Names of what the directory holds beside the image."""
        return [path.name for path in self.directory.iterdir() if path.name != IMAGE_KEY]

    def stop(self):
        for each in (*self._clients, *self._servers):
            each.close() if each in self._clients else each.stop()


def answer_of(client):
    """Status, headers and the stream of the body."""
    stream = client.makefile("rb")
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream


def digest_of(stream, size):
    digest = hashlib.sha256()
    while size and (chunk := stream.read(min(size, 65_536))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


@pytest.fixture
def served(link, store_url, tmp_path):
    served = Served(link, store_url, tmp_path / "files")
    with gevent.Timeout(60):
        yield served
    served.stop()


def test_a_large_file_is_fetched_in_little_memory(served):
    server = served.serve()
    digest_of(answer_of(served.ask(server, "GET", DOWNLOAD, "Range: bytes=0-9"))[2], 10)
    tracemalloc.start()
    try:
        client = served.ask(server, "GET", DOWNLOAD)
        status, headers, stream = answer_of(client)
        digest = digest_of(stream, IMAGE_BYTES)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (status, headers["content-length"]) == (200, str(IMAGE_BYTES))
    assert digest == served.sha256
    assert peak_bytes < 2 * MIB


def test_a_large_file_is_left_in_little_memory(served):
    client = served.ask(served.serve(), "PUT", UPLOAD, f"Content-Length: {MAX_BYTES}")
    tracemalloc.start()
    try:
        for _ in range(MAX_BYTES // 65_536):
            client.sendall(bytes(65_536))
        status, _, _ = answer_of(client)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert status == 201
    assert peak_bytes < 2 * MIB
    uploaded = served.stores.uploaded_files.get(UPLOAD)
    assert uploaded.sha256 == hashlib.sha256(bytes(MAX_BYTES)).hexdigest()
    assert served.left == [uploaded.storage_key]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_modem_gets_its_file_through(served, chunked):
    server = served.serve(body_timeout_s=SLOW_S / 2)
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 8"
    client = served.ask(server, "PUT", UPLOAD, length)
    for piece in (b"slow", b"ly!!"):
        gevent.sleep(SLOW_S)
        client.sendall(b"4\r\n%b\r\n" % piece if chunked else piece)
    if chunked:
        client.sendall(b"0\r\n\r\n")

    assert answer_of(client)[0] == 201
    uploaded = served.stores.uploaded_files.get(UPLOAD)
    with served.storage.open(uploaded.storage_key) as file:
        assert file.read() == b"slowly!!"


@pytest.mark.parametrize("leaves", [False, True])
def test_an_upload_that_stops_is_given_up_and_may_be_sent_again(served, leaves):
    server = served.serve(patience_s=SLOW_S)
    client = served.ask(server, "PUT", UPLOAD, "Content-Length: 8")
    client.sendall(b"half")
    if leaves:
        client.shutdown(socket.SHUT_WR)

    status, headers, stream = answer_of(client)
    assert (status, headers["connection"]) == (400, "close")
    stream.read()
    assert served.left == []
    again = served.ask(server, "PUT", UPLOAD, "Content-Length: 5")
    again.sendall(b"whole")
    assert answer_of(again)[0] == 201


def test_who_reads_slowly_gets_the_whole_file_and_who_stops_is_let_go(served):
    patient, impatient = served.serve(send_deadline_s=0.1), served.serve(patience_s=0.2)
    slow, stopped = (served.ask(server, "GET", DOWNLOAD) for server in (patient, impatient))
    gevent.sleep(SLOW_S)

    assert digest_of(answer_of(slow)[2], IMAGE_BYTES) == served.sha256
    assert len(answer_of(stopped)[2].read()) < IMAGE_BYTES


def test_a_download_that_broke_goes_on(served):
    server = served.serve()
    broken = answer_of(served.ask(server, "GET", DOWNLOAD))[2]
    begun = broken.read(5 * MIB + 7)

    wanted = f"Range: bytes={len(begun)}-"
    client = served.ask(server, "GET", DOWNLOAD, wanted, f'If-Range: "{served.sha256}"')
    status, headers, stream = answer_of(client)

    rest = stream.read(int(headers["content-length"]))
    assert status == 206
    assert hashlib.sha256(begun + rest).hexdigest() == served.sha256


def test_an_upload_over_its_quota_ends_the_connection(served):
    server = served.serve()
    announced = served.ask(server, "PUT", UPLOAD, f"Content-Length: {10**9}")
    assert answer_of(announced)[0] == 413

    endless = served.ask(server, "PUT", UPLOAD, "Transfer-Encoding: chunked")
    chunk, sent = b"10000\r\n%b\r\n" % bytes(65_536), 0
    with pytest.raises(OSError):
        while sent < 10**9:
            endless.sendall(chunk)
            sent += len(chunk)

    assert MAX_BYTES < sent < 10**8
    assert served.left == []
    assert served.stores.file_grants.find(UPLOAD).state is GrantState.OPEN
    with pytest.raises(NotFound):
        served.stores.uploaded_files.get(UPLOAD)
