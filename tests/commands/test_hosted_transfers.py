"""Firmware that is fetched from here and logs that are left here: what the charge point is sent,
what is let in by it, and what anybody else gets to see."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from cast import DAY_MS, ENVIRONMENT, FIRMWARE, HOUR_MS, MINUTE_MS, NOON_MS, PEPPER, SETTINGS
from memory_storage import NO_FILES

from csms.commands import transfers
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.dispatch import CommandDesk
from csms.commands.sealing import Sealer
from csms.commands.sequel import Sequel
from csms.commands.signing import Signing
from csms.commands.transfer_requests import TransferDesk
from csms.commands.transfer_wishes import FirmwareUpdate, LogUpload, Signed, Wish
from csms.config import Settings
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.configuration import ConfigurationKey
from csms.domain.file_grant import FileGrant, GrantKind, GrantState, read_token, secret_of
from csms.domain.transfer import LogKind, Subject, TransferKind, TransferState
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    FieldError,
    FilesNotHosted,
    IdempotencyConflict,
    NotFound,
    NoWayForFiles,
)
from csms.state.commands import NEVER_WAS, Commands
from csms.state.transfers import LOOK_MS

OFFERED = {"FILES_URL": "https://files.example", "FILES_FTP_URL": "ftp://files.example:2121"}
IMAGE = replace(FIRMWARE, file_name="nw 5.bin")
SIGNED_IMAGE = replace(IMAGE, image_id="3" * 32, signature="c2ln", signing_certificate="PEM")
ID = "0123456789abcdef" * 2


class Died(Exception):
    """The process, before it could queue a command."""


class Dying(Commands):
    def queue(self, command, idempotency):
        raise Died


class Here:
    """Wishes for files that are kept here, of CP001, which is connected."""

    def __init__(self, desk, socket):
        self.stores = desk.stores
        self.socket = socket
        self.queue_with(Commands)
        for image in (IMAGE, SIGNED_IMAGE):
            self.stores.firmware_images.create(image, 1_000)

    def queue_with(self, commands):
        """commands: the class of who puts them into the store."""
        stores = replace(self.stores, commands=commands(self.stores.link))
        self.desk = CommandDesk(stores, Sealer(PEPPER), 60, BEFORE_QUEUEING, ())
        self.settings(**OFFERED)

    def settings(self, **environ):
        settings = Settings.from_env({**ENVIRONMENT, **environ})
        self.signing = Signing(self.stores, Sealer(PEPPER), lambda work: work())
        self.transfers = TransferDesk(self.stores, self.desk, self.signing, settings)

    def update(self, now_ms=NOON_MS, wish=(), image_id=IMAGE.image_id, **fields):
        update = FirmwareUpdate(image_id=image_id, **fields)
        return self.transfers.update_firmware(Wish("CP001", "olga", **dict(wish)), update, now_ms)

    def upload(self, now_ms=NOON_MS, wish=(), **fields):
        upload = LogUpload(**fields)
        return self.transfers.upload_log(Wish("CP001", "olga", **dict(wish)), upload, now_ms)

    def supports(self, protocols):
        told = ConfigurationKey("SupportedFileTransferProtocols", protocols, True, NOON_MS)
        self.stores.configurations.record("CP001", [told], is_all=False)

    def sent(self):
        return self.socket.next().payload

    def grant(self, command):
        return self.stores.file_grants.find(command.command_id)

    def grants(self):
        return self.stores.link.call("KEYS", "csms:file-grant:*")

    def of(self, command):
        return self.stores.transfers.find("CP001", command.command_id)

    def refuse(self, code="NotSupported"):
        self.socket.refuse(self.socket.next(), code)


@pytest.fixture
def here(desk, socket):
    return Here(desk, socket)


# -- the address, and what stands behind it


def test_an_update_from_the_library_is_granted_before_it_is_asked_for(here):
    found = []

    class Looking(Commands):
        def queue(self, command, idempotency):
            found.append(here.stores.file_grants.find(command.command_id))
            return super().queue(command, idempotency)

    here.queue_with(Looking)
    command = here.update()

    grant = FileGrant(
        grant_id=command.command_id,
        charge_point_id="CP001",
        kind=GrantKind.DOWNLOAD,
        created_at_ms=NOON_MS,
        expires_at_ms=NOON_MS + 72 * HOUR_MS,
        storage_key=IMAGE.storage_key,
        file_name="nw 5.bin",
        size_bytes=9,
        sha256=IMAGE.sha256,
    )
    assert found == [grant]
    assert here.grant(command) == grant


def test_an_upload_gets_a_target_of_its_own(here):
    here.settings(**OFFERED, UPLOAD_MAX_BYTES="77", FILE_LINK_HOURS="1")

    grants = [here.grant(here.upload()) for _ in range(2)]

    assert grants[0].grant_id != grants[1].grant_id
    assert grants[0] == FileGrant(
        grant_id=grants[0].grant_id,
        charge_point_id="CP001",
        kind=GrantKind.UPLOAD,
        created_at_ms=NOON_MS,
        expires_at_ms=NOON_MS + HOUR_MS,
        max_bytes=77,
    )


@pytest.mark.parametrize("protocols", ["HTTPS,FTP", "FTP"])
@pytest.mark.parametrize("what", ["update", "signed", "diagnostics", "log"])
def test_only_the_charge_point_gets_the_secret(here, what, protocols):
    here.supports(protocols)
    command = {
        "update": here.update,
        "signed": lambda: here.update(image_id=SIGNED_IMAGE.image_id),
        "diagnostics": here.upload,
        "log": lambda: here.upload(kind=LogKind.SECURITY_LOG),
    }[what]()
    secret = secret_of(command.command_id, PEPPER)

    sent = str(here.sent())
    here.socket.expire(NOON_MS + MINUTE_MS)

    assert secret in sent
    transfer = here.of(command)
    assert transfer.location.startswith("https://" if "HTTPS" in protocols else "ftp://")
    assert transfer.is_hosted
    assert "****" in transfer.location
    assert secret not in str(transfer)
    assert secret not in str(here.stores.commands.get(command.command_id))
    assert not any(
        secret in str(here.stores.link.call("HGETALL", key))
        for key in here.stores.link.call("KEYS", "*")
        if here.stores.link.call("TYPE", key) == "hash"
    )


def test_over_https_the_address_holds_a_token_and_the_name(here):
    here.supports("FTP, HTTPS")
    command = here.update()

    _, _, host, files, token, name = here.sent()["location"].split("/")

    assert (host, files, name) == ("files.example", "files", "nw%205.bin")
    assert read_token(token, PEPPER) == command.command_id


def test_one_that_speaks_ftp_only_is_sent_there_with_user_and_password(here):
    here.supports("FTP")
    command = here.upload()

    location = urlsplit(here.sent()["location"])

    assert (location.scheme, location.hostname, location.port) == ("ftp", "files.example", 2121)
    assert location.username == command.command_id
    assert location.password == secret_of(command.command_id, PEPPER)
    assert location.path == "/"


def test_one_that_has_told_nothing_is_sent_where_the_setting_says(here):
    here.settings(**OFFERED, FILES_PROTOCOL="ftp")

    here.upload()

    assert here.sent()["location"].startswith("ftp://")


@pytest.mark.parametrize("ask", ["update", "upload"])
@pytest.mark.parametrize(
    ("protocols", "offered", "said"),
    [
        (
            "FTP,FTPS",
            "FILES_URL",
            "supports FTP, FTPS only, .* HTTPS here: set FILES_FTP_URL",
        ),
        ("HTTP", "FILES_FTP_URL", "CP001 supports HTTP only, .* FTP here: set FILES_URL"),
    ],
)
def test_where_both_share_no_protocol_it_is_said_what_to_set(here, ask, protocols, offered, said):
    here.settings(**{offered: OFFERED[offered]})
    here.supports(protocols)

    with pytest.raises(NoWayForFiles, match=said):
        getattr(here, ask)()

    assert here.grants() == []


@pytest.mark.parametrize("ask", ["update", "upload"])
def test_where_no_files_are_hosted_it_is_said_what_to_set(here, ask):
    here.settings()

    with pytest.raises(FilesNotHosted, match="set FILES_URL or FILES_FTP_URL"):
        getattr(here, ask)()


@pytest.mark.parametrize(
    ("wish", "retrieve_at_ms", "begins_at_ms"),
    [
        ({}, NOON_MS + 9 * DAY_MS, NOON_MS + 9 * DAY_MS),
        ({}, NOON_MS - 9 * DAY_MS, NOON_MS),
        ({"deadline_s": 864_000}, None, NOON_MS + 10 * DAY_MS),
        ({"deadline_s": 60}, NOON_MS + DAY_MS, NOON_MS + DAY_MS),
    ],
)
def test_the_address_outlives_the_latest_beginning(here, wish, retrieve_at_ms, begins_at_ms):
    command = here.update(wish=wish, retrieve_at_ms=retrieve_at_ms)

    assert here.grant(command).expires_at_ms == begins_at_ms + 72 * HOUR_MS


@pytest.mark.parametrize("ask", ["update", "upload"])
def test_an_address_that_is_too_long_for_the_request_is_told(here, ask):
    here.settings(FILES_URL="https://files.example/" + "x" * 450)
    wished = {
        "update": ({"image_id": SIGNED_IMAGE.image_id}, {"signed": Signed.NO}, "firmware_id"),
        "upload": ({"kind": LogKind.SECURITY_LOG}, {}, "location"),
    }
    limited, unlimited, named = wished[ask]

    with pytest.raises(FieldError, match="FILES_URL") as refusal:
        getattr(here, ask)(**limited)

    assert refusal.value.field == named
    assert here.grants() == []
    assert here.grant(getattr(here, ask)(**unlimited))


# -- one wish is one command and one grant


@pytest.mark.parametrize("ask", ["update", "upload"])
def test_a_wish_with_the_same_id_is_one_command_and_one_grant(here, ask):
    first = getattr(here, ask)(wish={"command_id": ID})
    before = here.grant(first)
    second = getattr(here, ask)(wish={"command_id": ID}, now_ms=NOON_MS + MINUTE_MS)

    assert first == second
    assert first.command_id == ID
    assert here.grant(first) == before
    assert len(here.grants()) == len(here.stores.commands.page(None, 10).items) == 1


def test_what_was_granted_before_a_crash_is_what_is_sent_after_it(here):
    here.queue_with(Dying)
    with pytest.raises(Died):
        here.update(wish={"command_id": ID})
    assert here.stores.commands.page(None, 10).items == []
    here.queue_with(Commands)

    command = here.update(wish={"command_id": ID}, now_ms=NOON_MS + MINUTE_MS)

    assert here.grant(command).created_at_ms == NOON_MS
    assert ID in here.sent()["location"]
    assert len(here.grants()) == 1


@pytest.mark.parametrize("ask", ["update", "upload"])
def test_a_repeated_idempotency_key_leaves_no_second_grant(here, ask):
    first = getattr(here, ask)(wish={"idempotency_key": "once"})
    second = getattr(here, ask)(wish={"idempotency_key": "once"}, now_ms=NOON_MS + MINUTE_MS)

    assert first == second
    with pytest.raises(IdempotencyConflict):
        getattr(here, ask)(wish={"idempotency_key": "once"}, retries=9)
    assert len(here.grants()) == 1


def test_what_is_not_queued_is_not_granted(here):
    with pytest.raises(FieldError):
        here.upload(retries=-1)
    here.stores.presences.disconnect("CP001", "process-1", here.socket.line.epoch, NOON_MS, "gone")
    with pytest.raises(ChargePointNotConnected):
        here.upload()
    here.stores.charge_points.update("CP001", registration="Rejected")
    with pytest.raises(CommandForbidden):
        here.update(wish={"deadline_s": 60})

    assert here.grants() == []


def test_with_a_refusal_the_grant_is_withdrawn(here):
    command = here.upload(kind=LogKind.SECURITY_LOG)
    here.refuse()

    assert here.of(command).state is TransferState.REFUSED
    assert here.grant(command).state is GrantState.WITHDRAWN


def test_with_an_answer_that_promises_nothing_it_stays(here):
    command = here.upload()
    here.socket.answer(here.socket.next(), {})

    assert here.of(command).state is TransferState.NOTHING
    assert here.grant(command).state is GrantState.OPEN


def test_what_was_never_queued_is_withdrawn_by_the_sweep(here, desk):
    here.queue_with(Dying)
    with pytest.raises(Died):
        here.upload(wish={"command_id": ID})

    transfers.sweep(Sequel(here.stores, desk.requests, SETTINGS, NO_FILES, NOON_MS + LOOK_MS))

    assert here.stores.transfers.find("CP001", ID).reason == NEVER_WAS
    assert here.stores.file_grants.find(ID).state is GrantState.WITHDRAWN


def test_a_location_elsewhere_is_granted_nothing(here):
    command = here.upload(location="ftp://elsewhere.example/in", wish={"command_id": ID})

    assert command.command_id == ID
    assert not here.of(command).is_hosted
    here.refuse()
    assert here.grants() == []


# -- the firmware


def test_firmware_comes_from_the_library_or_from_elsewhere(here):
    for update in (FirmwareUpdate(), FirmwareUpdate("https://host/fw.bin", IMAGE.image_id)):
        with pytest.raises(FieldError) as refusal:
            here.transfers.update_firmware(Wish("CP001", "olga"), update, NOON_MS)
        assert refusal.value.field == "location"
    with pytest.raises(NotFound, match="firmware"):
        here.update(image_id="4" * 32)


def test_signed_firmware_brings_its_signature(here):
    command = here.update(image_id=SIGNED_IMAGE.image_id)

    firmware = here.sent()["firmware"]
    assert command.action == "SignedUpdateFirmware"
    assert (firmware["signature"], firmware["signingCertificate"]) == ("c2ln", "PEM")
    assert here.of(command).sha256 == IMAGE.sha256
    assert here.of(command).warnings


def test_a_signature_of_the_wish_is_put_before_that_of_the_library(here):
    here.update(image_id=SIGNED_IMAGE.image_id, signature="b3Ro", signing_certificate="other")

    assert here.sent()["firmware"]["signature"] == "b3Ro"


def test_a_key_of_ours_signs_what_is_in_the_library(here):
    here.signing.make("nw", SignatureAlgorithm.ECDSA, "Nordwerk", "", 30, "olga", NOON_MS)

    command = here.update(signing_key="nw")

    transfer = here.of(command)
    assert (transfer.kind, transfer.signing_key) == (TransferKind.SIGNED_FIRMWARE, "nw")
    assert (transfer.sha256, transfer.warnings) == (IMAGE.sha256, ())


def test_another_digest_than_that_of_the_library_is_refused(here):
    with pytest.raises(FieldError) as refusal:
        here.update(sha256="cd" * 32)

    assert refusal.value.field == "sha256"
    assert here.of(here.update(sha256=IMAGE.sha256)).sha256 == IMAGE.sha256


def test_signed_firmware_may_be_sent_unsigned(here):
    here.signing.make("nw", SignatureAlgorithm.ECDSA, "Nordwerk", "", 30, "olga", NOON_MS)

    command = here.update(signed=Signed.NO, signing_key="nw")

    transfer = here.of(command)
    assert command.action == "UpdateFirmware"
    assert (transfer.sha256, transfer.signing_key, transfer.warnings) == (IMAGE.sha256, "", ())


def test_firmware_that_does_not_fit_is_warned_of_and_sent(here):
    facts = {"chargePointVendor": "V", "chargePointModel": "nw-22", "firmwareVersion": "4"}
    here.socket.line.call("BootNotification", facts)

    command = here.update(wish={"command_id": ID})

    [warning] = here.of(command).warnings
    assert "vendor Nordwerk, and the charge point has told V" in warning
    assert here.sent()

    here.socket.line.call("BootNotification", {**facts, "firmwareVersion": "5.0"})
    here.update(wish={"command_id": ID}, now_ms=NOON_MS + MINUTE_MS)
    assert here.of(command).warnings == (warning,)


# -- which log


def test_the_diagnostics_log_is_asked_for_until_the_charge_point_does_not_know_it(here):
    first = here.upload(kind=LogKind.AUTO)
    assert first.action == "GetLog"
    assert here.of(first).log_type == "DiagnosticsLog"
    here.refuse("NotImplemented")

    assert here.upload(kind=LogKind.AUTO).action == "GetDiagnostics"
    assert here.upload(kind=LogKind.SECURITY_LOG).action == "GetLog"
    assert len(here.stores.transfers.page("CP001", Subject.LOGS, None, 10).items) == 3


# -- other hosts


@pytest.mark.parametrize("ask", ["update", "upload"])
def test_where_hosts_are_listed_a_wish_names_one_of_them_or_none(here, ask):
    here.settings(**OFFERED, FILE_HOSTS="*.vendor.example")
    where = {"image_id": ""} if ask == "update" else {}

    with pytest.raises(FieldError, match="FILE_HOSTS") as refusal:
        getattr(here, ask)(location="https://evil.example/", **where)

    assert refusal.value.field == "location"
    for location in ("https://eu.vendor.example/", "https://files.example/elsewhere"):
        assert getattr(here, ask)(location=location, **where)
    assert getattr(here, ask)()
