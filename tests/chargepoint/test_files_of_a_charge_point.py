"""Charge points that really fetch firmware and really leave logs."""

import base64
import hashlib
import threading
import time
from email import message_from_bytes

import certificates
import gevent
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from file_servers import ftp_files, http_files
from honest_central_system import wait_until

from chargepoint import firmware
from chargepoint.files import (
    THREADS,
    Download,
    SchemeUnknown,
    TransferFailed,
    TransferRefused,
    Trust,
    patiently,
    upload,
)
from chargepoint.options import Faults
from csms.domain.certificate_authority import pem_chain

IMAGE = firmware.image("NW-5.0", bytes(range(256)) * 1_000)
IMAGE_SHA256 = hashlib.sha256(IMAGE).hexdigest()
LOG = b"it hums\n" * 30_000
SOON = "2026-01-01T00:00:00Z"


@pytest.fixture
def http_server():
    with http_files() as files:
        files.content = IMAGE
        yield files


@pytest.fixture
def ftp_server(tmp_path):
    with ftp_files(tmp_path) as files:
        (tmp_path / "NW-5.0.bin").write_bytes(IMAGE)
        yield files


@pytest.fixture(scope="module")
def server_certificate(tmp_path_factory):
    """A root in a file, and chain and key of a server below it."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = certificates.root()
    root = directory / "root.pem"
    root.write_text(pem_chain(authority.chain))
    return root, certificates.server(authority, "ec").write(directory, "server")


# --- fetching ---


def test_a_file_is_fetched_over_http(http_server):
    fetched = Download(f"{http_server.url}/files/secret/NW%205.0.bin").go_on()

    assert fetched.name == "NW 5.0.bin"
    assert (fetched.size_bytes, fetched.sha256) == (len(IMAGE), IMAGE_SHA256)
    assert fetched.head.startswith(b"VIRTUAL-FIRMWARE NW-5.0\n")
    assert fetched.offsets == (0,)
    assert http_server.asked[0].path == "/files/secret/NW%205.0.bin"


def test_a_file_is_fetched_over_ftp(ftp_server):
    fetched = Download(f"{ftp_server.url}/NW-5.0.bin").go_on()

    assert (fetched.size_bytes, fetched.sha256) == (len(IMAGE), IMAGE_SHA256)
    assert ftp_server.said("RETR", "REST", "TYPE")[0] == ("TYPE", "I")


def test_a_download_over_http_goes_on_where_it_broke_off(http_server):
    download = Download(f"{http_server.url}/NW-5.0.bin", breaks_after=100_000)

    with pytest.raises(TransferFailed):
        download.go_on()
    fetched = download.go_on()

    assert (fetched.size_bytes, fetched.sha256) == (len(IMAGE), IMAGE_SHA256)
    assert fetched.offsets == (0, 100_000)
    assert http_server.ranges() == [None, "bytes=100000-"]
    assert http_server.asked[1].headers["If-Range"] == '"one"'


def test_an_answer_that_ends_too_early_is_gone_on_with_too(http_server):
    http_server.cut_after = 70_000
    download = Download(f"{http_server.url}/NW-5.0.bin")

    with pytest.raises(TransferFailed):
        download.go_on()
    fetched = download.go_on()

    assert (fetched.sha256, fetched.offsets) == (IMAGE_SHA256, (0, 70_000))


def test_a_download_over_ftp_goes_on_where_it_broke_off(ftp_server):
    download = Download(f"{ftp_server.url}/NW-5.0.bin", breaks_after=100_000)

    with pytest.raises(TransferFailed):
        download.go_on()
    fetched = download.go_on()

    assert (fetched.size_bytes, fetched.sha256) == (len(IMAGE), IMAGE_SHA256)
    assert fetched.offsets == (0, 100_000)
    assert ftp_server.said("REST") == [("REST", "100000")]


def test_another_file_of_the_name_is_fetched_from_its_beginning(http_server):
    download = Download(f"{http_server.url}/NW-5.0.bin", breaks_after=100_000)
    with pytest.raises(TransferFailed):
        download.go_on()
    http_server.content, http_server.entity_tag = b"another", '"two"'

    fetched = download.go_on()

    assert fetched.sha256 == hashlib.sha256(b"another").hexdigest()
    assert fetched.offsets == (0, 0)


@pytest.mark.parametrize("entity_tag", [None, 'W/"one"'])
def test_where_nothing_tells_one_file_from_another_it_begins_again(http_server, entity_tag):
    http_server.entity_tag = entity_tag
    download = Download(f"{http_server.url}/NW-5.0.bin", breaks_after=100_000)
    with pytest.raises(TransferFailed):
        download.go_on()

    fetched = download.go_on()

    assert (fetched.sha256, fetched.offsets) == (IMAGE_SHA256, (0, 0))
    assert http_server.ranges() == [None, None]


@pytest.mark.parametrize("location", ["sftp://127.0.0.1/x", "http:///x", "x", "http://[/x"])
def test_what_is_no_address_is_not_tried(location):
    with pytest.raises(SchemeUnknown):
        Download(location).go_on()


def check_trust(url, root):
    location = f"{url}/NW-5.0.bin"

    assert Download(location, Trust(str(root))).go_on().sha256 == IMAGE_SHA256
    assert Download(location, Trust(checks_certificates=False)).go_on().sha256 == IMAGE_SHA256
    with pytest.raises(TransferFailed, match="CERTIFICATE_VERIFY_FAILED"):
        Download(location).go_on()


def test_the_certificate_of_a_server_of_https_is_checked(server_certificate):
    root, certificate = server_certificate
    with http_files(certificate) as files:
        files.content = IMAGE

        check_trust(files.url, root)


def test_the_certificate_of_a_server_of_ftps_is_checked(server_certificate, tmp_path):
    root, certificate = server_certificate
    (tmp_path / "NW-5.0.bin").write_bytes(IMAGE)
    with ftp_files(tmp_path, certificate) as files:
        check_trust(files.url, root)


# --- leaving ---


@pytest.mark.parametrize("directory", ["/files/secret", "/files/secret/"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_name_of_an_upload_is_appended_to_its_location(http_server, method, directory):
    left = upload(f"{http_server.url}{directory}", "a b/../c.log", LOG, method=method)

    asked = http_server.asked[0]
    assert (asked.method, asked.path) == (method, "/files/secret/a%20b%2F..%2Fc.log")
    assert asked.body == LOG
    assert (left.name, left.sha256) == ("a b/../c.log", hashlib.sha256(LOG).hexdigest())


def test_an_upload_as_a_form_names_its_file_within(http_server):
    upload(f"{http_server.url}/files/secret/", 'a"b.log', LOG, method="multipart")

    asked = http_server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/files/secret/")
    head = f"Content-Type: {asked.headers['Content-Type']}\r\n\r\n".encode()
    (part,) = message_from_bytes(head + asked.body).get_payload()
    assert part["Content-Disposition"] == 'form-data; name="file"; filename="a%22b.log"'
    assert part.get_payload(decode=True) == LOG


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_upload_over_ftp_is_stored_under_its_name(ftp_server, tmp_path, slash):
    upload(f"{ftp_server.url}{slash}", "CP001.log", LOG)

    assert ftp_server.said("STOR") == [("STOR", "/CP001.log")]
    assert (tmp_path / "CP001.log").read_bytes() == LOG


def test_an_upload_over_ftps_is_encrypted(server_certificate, tmp_path):
    root, certificate = server_certificate
    with ftp_files(tmp_path, certificate) as files:
        upload(files.url, "CP001.log", LOG, trust=Trust(str(root)))

        assert files.said("PROT") == [("PROT", "P")]
        assert (tmp_path / "CP001.log").read_bytes() == LOG


# --- trying again ---


def test_what_fails_is_tried_again_after_a_pause(http_server):
    http_server.statuses = [503, 500]
    download = Download(f"{http_server.url}/NW-5.0.bin")

    fetched = patiently(download.go_on, attempts=3, pause_s=0.01)

    assert fetched.sha256 == IMAGE_SHA256
    assert len(http_server.asked) == 3


def test_it_is_tried_no_oftener_than_was_said(http_server):
    http_server.statuses = [503, 503]
    download = Download(f"{http_server.url}/NW-5.0.bin")

    with pytest.raises(TransferFailed, match="HTTP 503: not now"):
        patiently(download.go_on, attempts=2, pause_s=0.01)

    assert len(http_server.asked) == 2


def test_what_is_refused_is_not_tried_again(http_server, ftp_server):
    http_server.statuses = [403]

    with pytest.raises(TransferRefused, match="HTTP 403"):
        patiently(Download(f"{http_server.url}/x").go_on, attempts=3, pause_s=0.01)
    with pytest.raises(TransferRefused, match="550"):
        patiently(Download(f"{ftp_server.url}/x").go_on, attempts=3, pause_s=0.01)

    assert len(http_server.asked) == 1
    assert len(ftp_server.said("RETR")) == 1


def test_greenlets_go_on_while_a_file_moves(http_server):
    turns = []

    def count():
        while True:
            turns.append(1)
            gevent.sleep(0.001)

    counting = gevent.spawn(count)
    http_server.statuses = [503]
    patiently(Download(f"{http_server.url}/NW-5.0.bin").go_on, attempts=2, pause_s=0.05)
    counting.kill()

    assert len(turns) > 5


def test_many_charge_points_share_a_few_threads():
    seen = set()

    def one_try():
        seen.add(threading.get_ident())
        time.sleep(0.005)

    gevent.joinall([gevent.spawn(patiently, one_try, 1, 0.0) for _ in range(100)], raise_error=True)

    assert 1 < len(seen) <= THREADS


# --- what is firmware ---


def test_the_first_line_of_firmware_says_its_version():
    assert firmware.version_of(IMAGE[:200]) == "NW-5.0"


@pytest.mark.parametrize(
    "content", [b"", b"MZ", b"VIRTUAL-FIRMWARE \n", b"VIRTUAL-FIRMWARE NW 5\n", b"x" + IMAGE[:99]]
)
def test_what_begins_otherwise_is_none(content):
    assert firmware.version_of(content) is None


PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
WAYS = {
    "PSS": ("rsa", (PSS, hashes.SHA256())),
    "PKCS1v15": ("rsa", (padding.PKCS1v15(), hashes.SHA256())),
    "ECDSA": ("ec", (ec.ECDSA(hashes.SHA256()),)),
}


def signed(way, content=IMAGE):
    """Signature and signing certificate."""
    kind, how = WAYS[way]
    signer = certificates.server(certificates.root(), kind)
    return base64.b64encode(signer.key.sign(content, *how)).decode(), signer.pem


@pytest.mark.parametrize("way", WAYS)
def test_firmware_is_signed_with_the_key_of_its_certificate(way):
    signature, certificate = signed(way)

    assert firmware.is_signed(IMAGE_SHA256, signature, certificate)
    assert not firmware.is_signed(hashlib.sha256(b"another").hexdigest(), signature, certificate)


def test_what_is_no_signature_and_no_certificate_has_signed_nothing():
    signature, certificate = signed("ECDSA")

    assert not firmware.is_signed(IMAGE_SHA256, "none!", certificate)
    assert not firmware.is_signed(IMAGE_SHA256, signature, "-----BEGIN CERTIFICATE-----")
    assert not firmware.is_signed(IMAGE_SHA256, signature, signed("PSS")[1])


# --- what a charge point makes of it, and tells ---


def told(central_system, action):
    return [one["status"] for one in central_system.payloads(action)]


def wait_told(central_system, action, *statuses):
    wait_until(lambda: told(central_system, action) == list(statuses), f"{action}: {statuses}")


def update(central_system, location, **more):
    request = {"location": location, "retrieveDate": SOON, **more}
    assert central_system.call("UpdateFirmware", request)[2] == {}


def update_signed(central_system, location, signature, certificate):
    wanted = {
        "location": location,
        "retrieveDateTime": SOON,
        "signature": signature,
        "signingCertificate": certificate,
    }
    request = {"requestId": 7, "firmware": wanted}
    assert central_system.call("SignedUpdateFirmware", request)[2] == {"status": "Accepted"}


def test_an_update_is_fetched_installed_and_booted(central_system, power_up, http_server):
    charge_point = power_up(moves_files=True)

    update(central_system, f"{http_server.url}/any.bin")

    wait_told(
        central_system,
        "FirmwareStatusNotification",
        "Downloading",
        "Downloaded",
        "Installing",
        "Installed",
    )
    assert central_system.payloads("BootNotification")[-1]["firmwareVersion"] == "NW-5.0"
    assert charge_point.received_firmware.sha256 == IMAGE_SHA256


def test_what_is_no_firmware_is_not_installed(central_system, power_up, http_server):
    http_server.content = b"MZ"
    charge_point = power_up(moves_files=True)

    update(central_system, f"{http_server.url}/NW-5.0.bin")

    wait_told(
        central_system,
        "FirmwareStatusNotification",
        "Downloading",
        "Downloaded",
        "Installing",
        "InstallationFailed",
    )
    assert charge_point.firmware_version == "4.2.0"
    assert len(central_system.payloads("BootNotification")) == 1


def test_a_broken_update_goes_on_by_itself(central_system, power_up, ftp_server):
    charge_point = power_up(moves_files=True, faults=Faults(breaks_download_after=100_000))

    update(central_system, f"{ftp_server.url}/NW-5.0.bin")

    wait_until(lambda: "Installed" in told(central_system, "FirmwareStatusNotification"))
    received = charge_point.received_firmware
    assert (received.sha256, received.offsets) == (IMAGE_SHA256, (0, 100_000))


def test_a_download_fails_after_as_many_tries_as_were_asked_for(
    central_system, power_up, http_server
):
    http_server.statuses = [503] * 9
    power_up(moves_files=True)

    update(central_system, f"{http_server.url}/NW-5.0.bin", retries=2, retryInterval=0)

    wait_told(central_system, "FirmwareStatusNotification", "Downloading", "DownloadFailed")
    assert len(http_server.asked) == 2


def test_a_signed_update_is_checked_and_installed(central_system, power_up, http_server):
    power_up(moves_files=True)

    update_signed(central_system, f"{http_server.url}/NW-5.0.bin", *signed("PSS"))

    wait_told(
        central_system,
        "SignedFirmwareStatusNotification",
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "InstallRebooting",
        "Installed",
    )
    assert central_system.payloads("BootNotification")[-1]["firmwareVersion"] == "NW-5.0"


def test_a_file_that_was_changed_on_its_way_is_not_installed(central_system, power_up, http_server):
    power_up(moves_files=True, faults=Faults(corrupts_download=True))

    update_signed(central_system, f"{http_server.url}/NW-5.0.bin", *signed("ECDSA"))

    wait_told(
        central_system,
        "SignedFirmwareStatusNotification",
        "Downloading",
        "Downloaded",
        "InvalidSignature",
    )
    wait_until(
        lambda: (
            [one["type"] for one in central_system.payloads("SecurityEventNotification")]
            == ["InvalidFirmwareSignature"]
        )
    )


def test_diagnostics_are_left_under_the_name_that_was_told(central_system, power_up, http_server):
    charge_point = power_up(moves_files=True, log_bytes=5_000)

    answer = central_system.call("GetDiagnostics", {"location": f"{http_server.url}/in/"})

    wait_told(central_system, "DiagnosticsStatusNotification", "Uploading", "Uploaded")
    asked = http_server.asked[0]
    assert asked.path == f"/in/{answer[2]['fileName']}"
    assert len(asked.body) == 5_000
    assert charge_point.uploaded_file.sha256 == hashlib.sha256(asked.body).hexdigest()


def test_a_log_is_left_over_ftp(central_system, power_up, ftp_server, tmp_path):
    charge_point = power_up(moves_files=True)

    central_system.call(
        "GetLog",
        {"requestId": 7, "logType": "SecurityLog", "log": {"remoteLocation": ftp_server.url}},
    )

    wait_told(central_system, "LogStatusNotification", "Uploading", "Uploaded")
    stored = (tmp_path / "CP001-SecurityLog.log").read_bytes()
    assert charge_point.uploaded_file.sha256 == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize(
    ("status", "scheme", "failure"),
    [
        (413, "http", "PermissionDenied"),
        (503, "http", "UploadFailure"),
        (201, "sftp", "NotSupportedOperation"),
    ],
)
def test_an_upload_that_fails_is_told(
    central_system, power_up, http_server, status, scheme, failure
):
    http_server.statuses = [status]
    power_up(moves_files=True)
    location = http_server.url.replace("http", scheme)
    log = {"logType": "DiagnosticsLog", "log": {"remoteLocation": location}}

    central_system.call("GetLog", {"requestId": 7, "retries": 1, **log})

    wait_told(central_system, "LogStatusNotification", "Uploading", failure)


def test_diagnostics_that_are_refused_have_failed(central_system, power_up, http_server):
    http_server.statuses = [413]
    power_up(moves_files=True)

    central_system.call("GetDiagnostics", {"location": f"{http_server.url}/in/"})

    wait_told(central_system, "DiagnosticsStatusNotification", "Uploading", "UploadFailed")


def test_reports_may_come_out_of_order(central_system, power_up, http_server):
    http_server.content = b"MZ"
    power_up(moves_files=True, faults=Faults(reports_out_of_order=True))

    update(central_system, f"{http_server.url}/NW-5.0.bin")
    update_signed(central_system, f"{http_server.url}/NW-5.0.bin", *signed("ECDSA"))

    wait_told(
        central_system,
        "FirmwareStatusNotification",
        "Downloaded",
        "Downloading",
        "InstallationFailed",
        "Installing",
    )
    wait_told(
        central_system,
        "SignedFirmwareStatusNotification",
        "Downloaded",
        "Downloading",
        "InvalidSignature",
    )


def test_one_that_never_finishes_is_not_heard_of_again(central_system, power_up, http_server):
    charge_point = power_up(
        moves_files=True, faults=Faults(never_finishes=True, file_name="../../etc/passwd")
    )

    answer = central_system.call("GetDiagnostics", {"location": f"{http_server.url}/in/"})
    update(central_system, f"{http_server.url}/NW-5.0.bin")

    assert answer[2] == {"fileName": "../../etc/passwd"}
    wait_until(lambda: charge_point.received_firmware is not None)
    wait_told(central_system, "DiagnosticsStatusNotification", "Uploading")
    wait_told(central_system, "FirmwareStatusNotification", "Downloading")
    assert [one.method for one in http_server.asked] == ["GET"]
