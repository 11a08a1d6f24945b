"""An upload from its first byte to its record, and what is left of one that does not get there."""

import hashlib
from dataclasses import replace

import pytest
import structlog
from cast import CP001, DAY_MS, HOUR_MS, NOON_MS, SETTINGS
from memory_storage import MemoryStorage

from csms.commands import stored_files, uploads
from csms.commands.sequel import Sequel
from csms.commands.sweeps import SWEEPS
from csms.commands.uploads import UploadDesk
from csms.domain.file_grant import FileGrant, GrantKind, GrantState
from csms.errors import (
    CSMSError,
    FileGrantExpired,
    FileGrantUnknown,
    FileGrantUsed,
    FileGrantWithdrawn,
    NotFound,
    StorageUnavailable,
    StoreUnavailable,
    UploadEmpty,
    UploadsFull,
    UploadTooLarge,
)

GRANT_ID = "a" * 32
LATER_MS = NOON_MS + 5_000


class Uploading:
    """The desk, and CP001 that was granted one upload of ten bytes."""

    def __init__(self, stores):
        self.stores = stores
        self.storage = MemoryStorage()
        self.desk = UploadDesk(stores, self.storage, 100)
        stores.charge_points.create(CP001)
        self.grant()

    def grant(self, grant_id=GRANT_ID, kind=GrantKind.UPLOAD, max_bytes=10):
        self.stores.file_grants.grant(
            FileGrant(grant_id, "CP001", kind, NOON_MS, NOON_MS + HOUR_MS, max_bytes=max_bytes)
        )

    def upload(self, content=b"0123456789", grant_id=GRANT_ID, now_ms=NOON_MS):
        with self.desk.begin(grant_id, now_ms) as receiving:
            receiving.write(content)
            return receiving.finish("log.txt", "https", "203.0.113.5", LATER_MS)

    def state(self, grant_id=GRANT_ID):
        return self.stores.file_grants.find(grant_id).state

    def sequel(self, now_ms):
        return Sequel(self.stores, None, SETTINGS, self.storage, now_ms)

    @property
    def left_nothing(self):
        return (
            self.storage.is_empty
            and self.stores.uploaded_files.total_bytes() == 0
            and self.stores.unclaimed_files.older_than(NOON_MS + DAY_MS, 10) == []
        )


@pytest.fixture
def around(stores):
    return Uploading(stores)


def test_an_upload_becomes_a_file_and_a_record_of_it(around):
    receiving = around.desk.begin(GRANT_ID, NOON_MS, announced_bytes=10)
    for chunk in (b"01234", b"", b"56789"):
        receiving.write(chunk)
    uploaded = receiving.finish("../a\0b.log", "ftps", "203.0.113.5", LATER_MS)
    receiving.abandon()

    assert around.storage.files == {uploaded.storage_key: b"0123456789"}
    assert around.stores.uploaded_files.get(GRANT_ID) == uploaded
    assert (uploaded.charge_point_id, uploaded.file_name) == ("CP001", "../ab.log")
    assert (uploaded.size_bytes, uploaded.received_at_ms) == (10, LATER_MS)
    assert (uploaded.protocol, uploaded.remote_address) == ("ftps", "203.0.113.5")
    assert uploaded.sha256 == hashlib.sha256(b"0123456789").hexdigest()
    assert around.state() is GrantState.USED
    assert around.stores.unclaimed_files.older_than(NOON_MS + DAY_MS, 10) == []


def test_the_log_tells_of_an_upload_and_of_a_refusal_and_of_no_secret(around):
    with structlog.testing.capture_logs() as logs:
        around.upload()
        with pytest.raises(FileGrantUsed):
            around.upload()

    received, refused = logs
    assert received["event"] == "upload received"
    assert received["charge_point_id"] == "CP001"
    assert received["transfer_id"] == refused["transfer_id"] == GRANT_ID
    assert received["size_bytes"] == 10
    assert refused["event"] == "upload refused"
    assert "before" in refused["reason"]


@pytest.mark.parametrize(
    ("prepare", "now_ms", "refusal"),
    [
        (lambda around: around.upload(), NOON_MS, FileGrantUsed),
        (lambda around: around.stores.file_grants.withdraw(GRANT_ID), NOON_MS, FileGrantWithdrawn),
        (lambda around: None, NOON_MS + HOUR_MS, FileGrantExpired),
        (lambda around: around.stores.charge_points.delete("CP001"), NOON_MS, FileGrantUnknown),
    ],
)
def test_what_may_not_come_in_is_refused_before_its_first_byte(around, prepare, now_ms, refusal):
    prepare(around)
    before = dict(around.storage.files)

    with pytest.raises(refusal):
        around.desk.begin(GRANT_ID, now_ms)

    assert around.storage.files == before
    assert not around.storage.pending


def test_the_grant_of_a_download_takes_no_upload(around):
    around.grant("d" * 32, GrantKind.DOWNLOAD)

    with pytest.raises(FileGrantUnknown):
        around.desk.begin("d" * 32, NOON_MS)


def test_what_says_that_it_is_too_large_is_refused_before_its_first_byte(around):
    with pytest.raises(UploadTooLarge):
        around.desk.begin(GRANT_ID, NOON_MS, announced_bytes=11)

    assert around.left_nothing


def test_what_turns_out_too_large_leaves_nothing_and_may_be_tried_again(around):
    with pytest.raises(UploadTooLarge) as refused, around.desk.begin(GRANT_ID, NOON_MS) as one:
        one.write(b"0123456789")
        one.write(b"x")

    assert refused.value.max_bytes == 10
    assert around.left_nothing
    assert around.state() is GrantState.OPEN
    around.upload()


def test_uploads_have_a_total(around):
    desk, elsewhere = (UploadDesk(around.stores, around.storage, 10) for _ in range(2))
    around.grant("b" * 32)
    around.grant("c" * 32)
    first, second = desk.begin(GRANT_ID, NOON_MS, 10), elsewhere.begin("b" * 32, NOON_MS, 10)
    for receiving in (first, second):
        receiving.write(b"0123456789")

    first.finish("", "http", "", LATER_MS)

    with pytest.raises(UploadsFull):  # there was room when it began
        second.finish("", "http", "", LATER_MS)
    with pytest.raises(UploadsFull):
        desk.begin("c" * 32, NOON_MS)

    assert len(around.storage.files) == 1
    assert around.state("b" * 32) is GrantState.OPEN


def test_what_would_not_fit_into_the_total_is_refused_before_its_first_byte(around):
    desk = UploadDesk(around.stores, around.storage, 19)
    around.grant("b" * 32)
    around.upload()

    with pytest.raises(UploadsFull):
        desk.begin("b" * 32, NOON_MS, announced_bytes=10)
    desk.begin("b" * 32, NOON_MS, announced_bytes=9)


def test_uploads_on_their_way_take_no_more_room_than_there_is(around):
    desk = UploadDesk(around.stores, around.storage, 25)
    first, second, third = (desk.begin(GRANT_ID, NOON_MS) for _ in range(3))
    first.write(b"0123456789")
    second.write(b"0123456789")

    with pytest.raises(UploadsFull):
        third.write(b"0123456789")
    third.abandon()
    first.abandon()
    fourth = desk.begin(GRANT_ID, NOON_MS)
    fourth.write(b"0123456789")
    fourth.finish("", "http", "", LATER_MS)
    with pytest.raises(FileGrantUsed):
        second.finish("", "http", "", LATER_MS)

    around.grant("b" * 32)
    fifth = desk.begin("b" * 32, NOON_MS, announced_bytes=10)
    fifth.write(b"0123456789")
    fifth.finish("", "http", "", LATER_MS)
    assert len(around.storage.files) == 2
    assert around.stores.uploaded_files.total_bytes() == 20


def test_of_two_uploads_for_one_grant_the_first_at_its_end_is_taken(around):
    first, second = around.desk.begin(GRANT_ID, NOON_MS), around.desk.begin(GRANT_ID, NOON_MS)
    first.write(b"first")
    second.write(b"second")
    uploaded = second.finish("second", "http", "", LATER_MS)

    with pytest.raises(FileGrantUsed):
        first.finish("first", "http", "", LATER_MS)

    assert around.storage.files == {uploaded.storage_key: b"second"}
    assert around.stores.uploaded_files.total_bytes() == 6
    assert around.stores.unclaimed_files.older_than(NOON_MS + DAY_MS, 10) == []


def test_what_began_in_time_is_taken_however_long_it_takes(around):
    receiving = around.desk.begin(GRANT_ID, NOON_MS)
    receiving.write(b"slow")

    receiving.finish("", "http", "", NOON_MS + 2 * HOUR_MS)

    assert around.state() is GrantState.USED


def test_an_abandoned_upload_leaves_nothing_and_the_grant_open(around):
    receiving = around.desk.begin(GRANT_ID, NOON_MS)
    receiving.write(b"half")
    with structlog.testing.capture_logs() as logs:
        receiving.abandon()
        receiving.abandon()

    assert [one["event"] for one in logs] == ["upload abandoned"]
    assert around.left_nothing
    assert around.state() is GrantState.OPEN


def test_whatever_ends_the_block_abandons_the_upload(around):
    with pytest.raises(KeyboardInterrupt), around.desk.begin(GRANT_ID, NOON_MS) as receiving:
        receiving.write(b"half")
        raise KeyboardInterrupt

    assert around.left_nothing


def test_an_empty_file_does_not_use_the_grant_up(around):
    with pytest.raises(UploadEmpty):
        around.upload(b"")

    assert around.left_nothing
    assert around.state() is GrantState.OPEN


@pytest.mark.parametrize("failing", ["create", "write", "commit"])
def test_a_failing_storage_leaves_nothing_and_the_grant_open(around, failing):
    around.storage.failing.add(failing)
    with pytest.raises(StorageUnavailable):
        around.upload()
    around.storage.failing.clear()

    assert around.storage.is_empty
    assert around.stores.uploaded_files.total_bytes() == 0
    assert around.state() is GrantState.OPEN
    around.upload()


def test_the_file_of_a_process_that_died_before_the_record_is_swept_after_a_day(
    around, monkeypatch
):
    receiving = around.desk.begin(GRANT_ID, NOON_MS)
    receiving.write(b"lost")

    def die(*_):
        raise StoreUnavailable("gone")

    with monkeypatch.context() as dying, pytest.raises(StoreUnavailable):
        dying.setattr(type(around.stores.uploaded_files), "receive", die)
        receiving.finish("", "http", "", NOON_MS)
    receiving.abandon()

    stored_files.sweep_unclaimed(around.sequel(NOON_MS + DAY_MS))
    assert len(around.storage.files) == 1
    stored_files.sweep_unclaimed(around.sequel(NOON_MS + DAY_MS + 1))
    assert around.left_nothing


def test_an_upload_that_is_deleted_takes_its_file_along(around):
    around.upload()
    around.desk.delete(GRANT_ID, "operator")

    assert around.left_nothing
    with pytest.raises(NotFound):
        around.desk.delete(GRANT_ID, "operator")


def test_an_upload_is_opened_by_the_id_of_its_transfer(around):
    uploaded = around.upload()

    found, file = around.desk.open(GRANT_ID)

    assert found == uploaded
    with file:
        assert file.read() == b"0123456789"
    around.storage.delete(uploaded.storage_key)
    with pytest.raises(NotFound) as missing:
        around.desk.open(GRANT_ID)
    assert uploaded.storage_key not in str(missing.value)


def test_a_file_that_cant_be_deleted_now_is_deleted_by_the_sweep(around):
    around.upload()
    around.storage.failing.add("delete")
    around.desk.delete(GRANT_ID, "operator")
    assert len(around.storage.files) == 1
    with pytest.raises(StorageUnavailable):
        stored_files.sweep_unclaimed(around.sequel(NOON_MS))
    around.storage.failing.clear()

    stored_files.sweep_unclaimed(around.sequel(NOON_MS))

    assert around.left_nothing


def test_old_uploads_are_swept_and_younger_ones_stay(around):
    around.upload()
    around.grant("b" * 32)
    kept_ms = SETTINGS.upload_retention_days * DAY_MS
    uploads.sweep(around.sequel(LATER_MS + kept_ms))
    assert around.stores.uploaded_files.total_bytes() == 10

    uploads.sweep(around.sequel(LATER_MS + kept_ms + 1))
    stored_files.sweep_unclaimed(around.sequel(LATER_MS + kept_ms + 1))

    assert around.left_nothing
    assert around.state() is GrantState.USED


def test_the_files_of_a_deleted_charge_point_are_swept(around):
    around.upload()
    around.stores.charge_points.delete("CP001")

    stored_files.sweep_unclaimed(around.sequel(NOON_MS))

    assert around.left_nothing


def test_what_arrives_while_its_charge_point_is_deleted_leaves_nothing(around):
    receiving = around.desk.begin(GRANT_ID, NOON_MS)
    receiving.write(b"late")
    around.stores.charge_points.delete("CP001")

    with pytest.raises(FileGrantUnknown):
        receiving.finish("log.txt", "http", "", LATER_MS)

    assert around.left_nothing
    assert around.stores.uploaded_files.page(None, 10).items == []


def test_no_timer_waits_for_a_storage_that_hangs(around):
    around.stores.unclaimed_files.note("c" * 32, NOON_MS - 2 * DAY_MS)
    without_storage = replace(around.sequel(NOON_MS), storage=None)

    for sweep in SWEEPS:
        sweep(without_storage)

    assert around.stores.unclaimed_files.older_than(NOON_MS, 10) == ["c" * 32]


def test_half_written_files_are_looked_for_once_an_hour(around):
    for _ in range(3):
        stored_files.sweep_unfinished(around.sequel(NOON_MS))

    assert around.storage.forgotten_before_ms == [NOON_MS - DAY_MS]


def test_every_refusal_is_an_error_that_says_why():
    for refusal in uploads._REFUSALS.values():
        assert issubclass(refusal, CSMSError)
        assert str(refusal())
