"""The files process: serves over FTP, ends decently, and never ends the others needlessly."""

import ftplib
import io
import os
import secrets
import signal
import socket
from collections.abc import Iterator

import pytest
from system import Started, System, eventually

from csms.clock import now_ms
from csms.domain.file_grant import FileGrant, GrantKind, secret_of
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores
from csms.storage.directory import DirectoryStorage

pytestmark = pytest.mark.e2e

CONTENT = os.urandom(2_000_000)
PEPPER = "p" * 40


@pytest.fixture
def stores(own_system: System) -> Iterator[Stores]:
    link = SyncLink(own_system.store.url)
    yield Stores.behind(link, 10)
    link.close()


@pytest.fixture
def files(own_system: System) -> Started:
    files = own_system.start_files()
    eventually(lambda: files.has_logged("serving files over ftp"), "it serves")
    return files


def granted(stores: Stores, kind: GrantKind, **facts: object) -> FileGrant:
    at = now_ms()
    grant = FileGrant(secrets.token_hex(16), "CP001", kind, at, at + 3_600_000, **facts)  # type: ignore[arg-type]
    stores.file_grants.grant(grant)
    return grant


def logged_in(files: Started, grant: FileGrant) -> ftplib.FTP:
    ftp = ftplib.FTP(timeout=20)  # noqa: S321  # it is what is tested
    try:
        ftp.connect("127.0.0.1", files.port)
        ftp.login(grant.grant_id, secret_of(grant.grant_id, PEPPER))
    except ftplib.Error:
        ftp.close()
        raise
    return ftp


def test_files_come_and_go(own_system: System, files: Started, stores: Stores) -> None:
    storage = DirectoryStorage(own_system.directory / "files")
    key = secrets.token_hex(16)
    pending = storage.create(key)
    pending.write(CONTENT)
    pending.commit()
    download = granted(
        stores,
        GrantKind.DOWNLOAD,
        storage_key=key,
        file_name="firmware.bin",
        size_bytes=len(CONTENT),
    )
    upload = granted(stores, GrantKind.UPLOAD, max_bytes=10_000_000)
    got: list[bytes] = []

    with logged_in(files, download) as ftp:
        ftp.retrbinary("RETR firmware.bin", got.append)
    with logged_in(files, upload) as ftp:
        ftp.storbinary("STOR log.zip", io.BytesIO(CONTENT))

    assert b"".join(got) == CONTENT
    with storage.open(stores.uploaded_files.get(upload.grant_id).storage_key) as file:
        assert file.read() == CONTENT
    assert files.stop() == 0
    text = files.log.read_text()
    assert "Traceback" not in text
    assert secret_of(upload.grant_id, PEPPER) not in text
    assert all(line["event"] for line in files.log_lines())


def test_an_upload_that_is_nearly_there_arrives_after_sigterm(
    files: Started, stores: Stores
) -> None:
    grant = granted(stores, GrantKind.UPLOAD, max_bytes=10_000_000)
    ftp = logged_in(files, grant)
    data = ftp.transfercmd("STOR log.zip")
    data.sendall(CONTENT[:1_000_000])
    files.process.send_signal(signal.SIGTERM)
    eventually(lambda: not listens(files.port), "the port is closed")
    data.sendall(CONTENT[1_000_000:])
    data.close()

    assert ftp.voidresp().startswith("226")
    assert files.process.wait(20) == 0
    assert stores.uploaded_files.get(grant.grant_id).size_bytes == len(CONTENT)
    ftp.close()


def test_one_that_is_not_is_cut_and_may_be_tried_again(
    own_system: System, files: Started, stores: Stores
) -> None:
    grant = granted(stores, GrantKind.UPLOAD, max_bytes=10_000_000)
    ftp = logged_in(files, grant)
    data = ftp.transfercmd("STOR log.zip")
    data.sendall(CONTENT[:1_000_000])
    eventually(lambda: list((own_system.directory / "files").glob("*")), "it has begun")

    assert files.stop() == 0

    data.close()
    ftp.close()
    assert list((own_system.directory / "files").glob("*")) == []
    again = own_system.start_files()
    eventually(lambda: again.has_logged("serving files over ftp"), "it serves")
    with logged_in(again, grant) as ftp:
        ftp.storbinary("STOR log.zip", io.BytesIO(CONTENT))
    assert stores.uploaded_files.get(grant.grant_id).size_bytes == len(CONTENT)


def test_a_port_that_is_taken_is_said_once_and_waited_for(own_system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        files = own_system.start_files(other.getsockname()[1])
        eventually(lambda: files.has_logged("can't listen for ftp"), "it says so")
    eventually(lambda: files.has_logged("serving files over ftp"), "the port is free")

    assert [line["event"] for line in files.log_lines()] == [
        "can't listen for ftp",
        "serving files over ftp",
    ]
    assert files.stop() == 0


def test_without_an_address_of_its_own_it_does_nothing_until_it_is_stopped(
    own_system: System,
) -> None:
    files = own_system.start_files(FILES_FTP_URL="")
    eventually(lambda: "FILES_FTP_URL is not set" in files.log.read_text(), "it says so")

    assert not listens(files.port)
    assert files.stop() == 0
    assert len(files.log_lines()) == 1


def test_while_the_store_is_away_charge_points_are_asked_to_come_again(
    own_system: System, files: Started, stores: Stores
) -> None:
    grant = granted(stores, GrantKind.UPLOAD, max_bytes=1_000)
    own_system.store.stop()

    with pytest.raises(ftplib.error_temp, match="421"):
        logged_in(files, grant)

    assert files.stop() == 0


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"FTP_PORT": "many"}, "FTP_PORT"),
        ({"FILES_FTP_URL": "ftps://127.0.0.1"}, "TLS_CERTIFICATES"),
        (
            {"FILES_FTP_URL": "ftps://127.0.0.1", "TLS_CERTIFICATES": "none.pem"},
            "TLS_CERTIFICATES",
        ),
    ],
)
def test_wrong_settings_end_it_with_one_line(
    own_system: System, environment: dict[str, str], variable: str
) -> None:
    files = own_system.start_files(**environment)

    assert files.process.wait(20) == 78
    (line,) = files.log.read_text().splitlines()
    assert line.startswith(f"csms: {variable}: ")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
