"""A server over a real store and a directory, and charge points that speak FTP to it."""

import ftplib
import io
import secrets
import threading
import time
from dataclasses import replace

from cast import HOUR_MS, PEPPER

from csms.clock import now_ms
from csms.domain.file_grant import FileGrant, GrantKind, secret_of
from csms.files_server.exchange import Exchange
from csms.files_server.server import FilesServer
from csms.storage.directory import DirectoryStorage

PATIENCE_S = 20
FIRMWARE = secrets.token_bytes(300_000)
MOST_BYTES = 1_000_000
QUICK = {"refusal_pause_s": 0.01, "greeting_pause_s": 0.01}


class Site:
    """What stands behind the server, and a way in for charge points."""

    def __init__(self, stores, directory):
        self.stores = stores
        self.directory = directory
        self.storage = DirectoryStorage(directory)
        self.exchange = Exchange(stores, self.storage, PEPPER, uploads_total_bytes=3 * MOST_BYTES)
        self.port = 0
        self._opened = []

    def grant(self, kind, **facts):
        grant = FileGrant(
            grant_id=secrets.token_hex(16),
            charge_point_id="CP001",
            kind=kind,
            created_at_ms=now_ms(),
            expires_at_ms=now_ms() + HOUR_MS,
        )
        grant = replace(grant, **facts)
        self.stores.file_grants.grant(grant)
        return grant

    def download(self, content=FIRMWARE, file_name="firmware.bin", **facts):
        key = secrets.token_hex(16)
        pending = self.storage.create(key)
        pending.write(content)
        pending.commit()
        return self.grant(
            GrantKind.DOWNLOAD,
            storage_key=key,
            file_name=file_name,
            size_bytes=len(content),
            **facts,
        )

    def upload(self, max_bytes=MOST_BYTES, **facts):
        return self.grant(GrantKind.UPLOAD, max_bytes=max_bytes, **facts)

    def connect(self, kind=ftplib.FTP):
        ftp = kind(timeout=PATIENCE_S)
        self._opened.append(ftp)
        ftp.connect("127.0.0.1", self.port)
        return ftp

    def login(self, grant):
        ftp = self.connect()
        ftp.login(grant.grant_id, secret_of(grant.grant_id, PEPPER))
        return ftp

    def hang_up(self):
        for ftp in self._opened:
            ftp.close()

    @property
    def files(self):
        """Names of everything in the storage, finished or not."""
        return sorted(path.name for path in self.directory.glob("*"))

    def content_of(self, grant):
        uploaded = self.stores.uploaded_files.get(grant.grant_id)
        with self.storage.open(uploaded.storage_key) as file:
            return file.read()

    def is_uploaded(self, grant):
        return bool(self.stores.uploaded_files.here([grant.grant_id]))


class Serving:
    """A server in a thread of its own."""

    def __init__(self, site, drain_s=0, **more):
        self.server = FilesServer(("127.0.0.1", 0), site.exchange, **{**QUICK, **more})
        self.server.poll_timeout = 0.02  # so that it stops at once
        site.port = self.server.address[1]
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.server.serve, args=(self.stopping, drain_s))
        self._thread.start()

    @property
    def is_busy(self):
        """Whether any connection still has its thread."""
        return any(thread.name.startswith("('127.0.0.1'") for thread in threading.enumerate())

    def stop(self):
        self.stopping.set()
        self._thread.join()


def fetch(ftp, path="firmware.bin", rest=None):
    got = []
    ftp.retrbinary(f"RETR {path}", got.append, rest=rest)
    return b"".join(got)


def listing(ftp):
    names = []
    ftp.retrlines("NLST", names.append)
    return names


def store(ftp, content, path="diagnostics.zip"):
    """What it is answered."""
    return ftp.storbinary(f"STOR {path}", io.BytesIO(content))


def until(check):
    """Wait for what happens in a thread of the server."""
    end = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
