"""Firmware and logs that really travel, over HTTP and over FTP, between the system as it is run and
virtual charge points; and what becomes of it when one of them does not play along."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from system import Api, Web, eventually, free_port, in_a_thread, running_system

from chargepoint import firmware
from chargepoint.charge_point import ChargePoint
from chargepoint.files import MovedFile, TransferRefused, upload
from chargepoint.options import Faults, Options

pytestmark = pytest.mark.e2e

QUICK = Options(step_s=0.02, reconnect_first_s=0.02, boot_retry_s=0.05, moves_files=True)
QUOTA_BYTES = 50_000
PROTOCOLS = ("HTTP", "FTP")
both = pytest.mark.parametrize("protocol", PROTOCOLS)


@dataclass(frozen=True, slots=True)
class Site:
    """The system of these tests: one web process and the files process, with their directory."""

    web: Web
    api: Api
    files: Path

    def tree(self) -> set[str]:
        """Every file in and around the directory of files, but for those of the store and logs."""
        around = self.files.parent
        kept = {around / "store"}
        found = [
            path
            for path in around.rglob("*")
            if path.is_file() and kept.isdisjoint(path.parents) and path.suffix != ".log"
        ]
        return {str(path.relative_to(around)) for path in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("files-flow")
    with running_system(directory) as system:
        port, ftp_port = free_port(), free_port()
        environment = {
            "FILES_URL": f"http://127.0.0.1:{port}",
            "FILES_FTP_URL": f"ftp://127.0.0.1:{ftp_port}",
            "FTP_PORT": str(ftp_port),
            "UPLOAD_MAX_BYTES": str(QUOTA_BYTES),
        }
        web = system.start_web(port, **environment)
        files = system.start_files(ftp_port, **environment)
        eventually(lambda: files.has_logged("serving files over ftp"), "the files process listens")
        yield Site(web, Api(web.port), directory / "files")


@contextlib.contextmanager
def charge_point(
    site: Site, charge_point_id: str, protocol: str = "HTTP", **options: Any
) -> Iterator[ChargePoint]:
    """Connected, and its configuration told, so that its protocol is known."""
    key = site.api.create_charge_point(charge_point_id)
    configured = replace(
        QUICK, configuration={"SupportedFileTransferProtocols": protocol}, **options
    )
    with ChargePoint(
        site.web.ocpp_url, charge_point_id, authorization_key=key, options=configured
    ) as one:
        one.wait_accepted()
        one.wait_delivered()
        site.api.command(charge_point_id, "GetConfiguration")
        yield one


def upload_firmware(site: Site, content: bytes, **facts: str) -> dict[str, Any]:
    """The record of the image."""
    query = "&".join(f"{name}={value}" for name, value in facts.items())
    created: dict[str, Any] = site.api.ok(
        "POST",
        f"/api/v1/firmware?name=NW.bin&{query}",
        content,
        headers={"Content-Type": "application/octet-stream"},
    )
    return created


def image(version: str) -> bytes:
    return firmware.image(version, version.encode() * 40_000)


def ask_update(site: Site, charge_point_id: str, image_id: str, **wish: Any) -> dict[str, Any]:
    asked: dict[str, Any] = site.api.ok(
        "POST",
        f"/api/v1/charge-points/{charge_point_id}/firmware-updates?wait=30",
        {"firmware_id": image_id, **wish},
    )
    return asked


def ask_log(site: Site, charge_point_id: str, kind: str = "diagnostics-log") -> dict[str, Any]:
    asked: dict[str, Any] = site.api.ok(
        "POST", f"/api/v1/charge-points/{charge_point_id}/log-uploads?wait=30", {"kind": kind}
    )
    return asked


def read(site: Site, transfer: dict[str, Any], what: str) -> dict[str, Any]:
    path = f"/api/v1/charge-points/{transfer['charge_point_id']}/{what}/{transfer['id']}"
    found: dict[str, Any] = site.api.ok("GET", path)
    return found


def ended(site: Site, transfer: dict[str, Any], what: str) -> dict[str, Any]:
    """A transfer once it has come to its end. what: firmware-updates or log-uploads."""

    def look() -> dict[str, Any] | None:
        found = read(site, transfer, what)
        return found if found["ended_at"] else None

    end: dict[str, Any] = eventually(look, "the transfer has ended")
    return end


def statuses(transfer: dict[str, Any]) -> list[str]:
    return [event["status"] for event in transfer["history"]]


def location_told(one: ChargePoint) -> str:
    """Where it was sent last."""
    for action, payload in reversed(one.conversation.received):
        if action == "GetDiagnostics":
            return str(payload["location"])
        if action == "GetLog":
            return str(payload["log"]["remoteLocation"])
    raise AssertionError("it was asked for no upload")


def left_by(site: Site, transfer: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of the file that is here for it."""
    found = read(site, transfer, "log-uploads")
    file: dict[str, Any] = found["file"]
    assert bool(found["upload_id"]) is (file["state"] == "used")
    return file if found["upload_id"] else None


def leave(location: str, name: str, content: bytes) -> MovedFile:
    """What anybody who has the location may try."""
    return in_a_thread(lambda: upload(location, name, content))


# --- what arrives ---


@both
@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "unsigned"])
def test_firmware_of_the_library_is_fetched_and_installed(
    site: Site, protocol: str, is_signed: bool
) -> None:
    name = f"FW-{protocol}-{is_signed}"
    content = image(f"6.{PROTOCOLS.index(protocol)}.{int(is_signed)}")
    record = upload_firmware(site, content, version=name)
    wish = {}
    if is_signed:
        site.api.ok("POST", "/api/v1/signing-keys", {"name": name, "algorithm": "ecdsa"})
        wish = {"signing_key": name}
    with charge_point(site, name, protocol) as one:
        asked = ask_update(site, name, record["id"], **wish)

        update = ended(site, asked, "firmware-updates")

        assert update["kind"] == ("signed-firmware" if is_signed else "firmware")
        assert update["state"] == "done"
        assert urlsplit(update["location"]).scheme == protocol.lower()
        received = one.received_firmware
        assert received is not None
        assert (received.sha256, received.size_bytes) == (record["sha256"], len(content))
        assert received.sha256 == hashlib.sha256(content).hexdigest()
        boot = next(e for e in update["history"] if e["status"] == "BootNotification")
        assert boot["firmware_after"] == one.firmware_version


@pytest.mark.parametrize("kind", ["diagnostics", "security-log"])
@pytest.mark.parametrize(
    ("protocol", "method"), [("HTTP", "PUT"), ("HTTP", "POST"), ("HTTP", "multipart"), ("FTP", "")]
)
def test_what_a_charge_point_leaves_is_what_is_given_back(
    site: Site, protocol: str, method: str, kind: str
) -> None:
    name = f"LOG-{protocol}{method}-{kind}"
    method_option = {"upload_method": method} if method else {}
    with charge_point(site, name, protocol, **method_option) as one:
        asked = ask_log(site, name, kind)

        end = ended(site, asked, "log-uploads")

        left = one.uploaded_file
        assert left is not None
        assert (end["state"], statuses(end)) == ("done", ["Uploading", "Uploaded"])
    stored = left_by(site, asked)
    assert stored is not None
    assert (stored["name"], stored["size_bytes"]) == (left.name, left.size_bytes)
    assert stored["sha256"] == left.sha256
    record = site.api.ok("GET", f"/api/v1/uploads/{asked['id']}")
    assert (record["charge_point_id"], record["protocol"]) == (name, protocol.lower())
    answer = site.api("GET", f"/api/v1/uploads/{asked['id']}/file")
    assert hashlib.sha256(answer.body.encode()).hexdigest() == left.sha256
    assert answer.headers["Content-Disposition"].startswith("attachment")


@both
def test_a_download_that_breaks_off_goes_on(site: Site, protocol: str) -> None:
    name = f"BROKEN-{protocol}"
    record = upload_firmware(site, image("7.1"), version="7.1")
    faults = Faults(breaks_download_after=70_000)
    with charge_point(site, name, protocol, faults=faults) as one:
        update = ended(site, ask_update(site, name, record["id"]), "firmware-updates")

        assert update["state"] == "done"
        received = one.received_firmware
        assert received is not None
        assert received.sha256 == record["sha256"]
        # The server has answered 206 with Content-Range, or 350 to REST.
        assert received.offsets == (0, 70_000)
    if protocol == "HTTP":
        asked_for = [line for line in site.web.log_lines() if line["event"] == "file requested"]
        ranges = [line["range"] for line in asked_for if line["charge_point_id"] == name]
        assert ranges == ["", "bytes=70000-"]


# --- what does not ---


@both
def test_what_is_no_firmware_fails_plainly(site: Site, protocol: str) -> None:
    name = f"BAD-{protocol}"
    record = upload_firmware(site, b"MZ" * 5_000, version="8.0")
    with charge_point(site, name, protocol) as one:
        update = ended(site, ask_update(site, name, record["id"]), "firmware-updates")

        assert (update["state"], update["reported"]) == ("failed", "InstallationFailed")
        assert statuses(update)[-2:] == ["Installing", "InstallationFailed"]
        assert one.firmware_version == "4.2.0"


def test_a_file_that_was_changed_on_its_way_is_not_installed(site: Site) -> None:
    record = upload_firmware(site, image("8.1"), version="8.1")
    site.api.ok("POST", "/api/v1/signing-keys", {"name": "changed", "algorithm": "ecdsa"})
    with charge_point(site, "CHANGED", faults=Faults(corrupts_download=True)) as one:
        asked = ask_update(site, "CHANGED", record["id"], signing_key="changed")

        update = ended(site, asked, "firmware-updates")

        assert (update["state"], update["reported"]) == ("failed", "InvalidSignature")
        assert one.firmware_version == "4.2.0"


@both
def test_an_upload_over_its_quota_leaves_nothing(site: Site, protocol: str) -> None:
    name = f"LARGE-{protocol}"
    before = site.tree()
    with charge_point(site, name, protocol, log_bytes=QUOTA_BYTES * 40) as one:
        asked = ask_log(site, name, "diagnostics")

        end = ended(site, asked, "log-uploads")

        assert (end["state"], end["reported"]) == ("failed", "UploadFailed")
        assert one.uploaded_file is None
        location = location_told(one)
    with pytest.raises(TransferRefused):
        leave(location, "again.log", bytes(QUOTA_BYTES + 1))
    assert left_by(site, asked) is None
    assert site.tree() == before
    # What was refused has used nothing up: one that fits may still come.
    leave(location, "small.log", bytes(QUOTA_BYTES))
    stored = left_by(site, asked)
    assert stored is not None
    assert (stored["name"], stored["size_bytes"]) == ("small.log", QUOTA_BYTES)


@both
def test_a_target_takes_one_file(site: Site, protocol: str) -> None:
    name = f"TWICE-{protocol}"
    with charge_point(site, name, protocol) as one:
        asked = ask_log(site, name)
        ended(site, asked, "log-uploads")
        location = location_told(one)
    before, stored = site.tree(), left_by(site, asked)

    with pytest.raises(TransferRefused):
        leave(location, "second.log", b"second")

    assert stored is not None
    assert left_by(site, asked) == stored
    assert site.tree() == before


@both
def test_the_name_of_an_upload_is_text_and_no_path(site: Site, protocol: str) -> None:
    name, evil = f"NAME-{protocol}", "../../etc/passwd"
    before = site.tree()
    with charge_point(site, name, protocol, faults=Faults(file_name=evil)) as one:
        asked = ask_log(site, name)

        end = ended(site, asked, "log-uploads")

        assert (end["state"], end["file_name"]) == ("done", evil)
        assert one.uploaded_file is not None
    stored = left_by(site, asked)
    assert stored is not None
    assert stored["name"] == "passwd"
    answer = site.api("GET", f"/api/v1/uploads/{asked['id']}/file")
    assert ".." not in answer.headers["Content-Disposition"]
    assert "/" not in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    appeared = site.tree() - before
    assert appeared
    assert all(path.startswith("files/") and ".." not in path for path in appeared)
    assert not [path for path in appeared if "passwd" in path]


# --- what is told of it ---


def test_reports_out_of_order_end_an_update_all_the_same(site: Site) -> None:
    record = upload_firmware(site, image("9.1"), version="9.1")
    with charge_point(site, "DISORDER-1", faults=Faults(reports_out_of_order=True)) as one:
        asked = ask_update(site, "DISORDER-1", record["id"])
        one_more = ["Downloaded", "Downloading", "BootNotification", "Installed", "Installing"]
        eventually(
            lambda: statuses(read(site, asked, "firmware-updates")) == one_more, "all is told"
        )

        update = read(site, asked, "firmware-updates")

        assert (update["state"], one.firmware_version) == ("done", "9.1")
        remarks = {event["status"]: event["remark"] for event in update["history"]}
        assert remarks["Downloading"] == "step back"
        assert remarks["Installing"] == "after the end"


def test_reports_out_of_order_end_an_upload_all_the_same(site: Site) -> None:
    with charge_point(site, "DISORDER-2", faults=Faults(reports_out_of_order=True)):
        asked = ask_log(site, "DISORDER-2")
        eventually(
            lambda: statuses(read(site, asked, "log-uploads")) == ["Uploaded", "Uploading"],
            "all is told",
        )

        assert read(site, asked, "log-uploads")["state"] == "done"
    assert left_by(site, asked) is not None


def test_what_never_finishes_stays_running(site: Site) -> None:
    record = upload_firmware(site, image("9.2"), version="9.2")
    with charge_point(site, "NEVER", faults=Faults(never_finishes=True)) as one:
        update = ask_update(site, "NEVER", record["id"])
        log = ask_log(site, "NEVER")
        eventually(lambda: one.received_firmware is not None, "it has the file")
        one.wait_delivered()

        for asked, what in ((update, "firmware-updates"), (log, "log-uploads")):
            eventually(
                lambda asked=asked, what=what: read(site, asked, what)["state"] == "running",
                "it is running",
            )
            assert read(site, asked, what)["ended_at"] is None
    assert left_by(site, log) is None
