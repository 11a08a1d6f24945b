"""A file on its way into the storage: counted and limited, and found again whatever happens."""

import hashlib

import pytest
from cast import NOON_MS

from csms.commands.incoming_file import IncomingFile
from csms.errors import StorageUnavailable, UploadTooLarge
from csms.storage.directory import DirectoryStorage


@pytest.fixture
def storage(tmp_path):
    return DirectoryStorage(tmp_path / "files")


@pytest.fixture
def incoming(storage, stores):
    """A file that may have 10 bytes."""
    return IncomingFile(storage, stores.unclaimed_files, 10)


def unclaimed(stores):
    return stores.unclaimed_files.older_than(NOON_MS + 1, 10)


def left_in(tmp_path):
    return [path.name for path in (tmp_path / "files").iterdir()]


def test_what_came_in_is_counted_and_hashed(incoming, storage, stores):
    incoming.write(b"firm")
    incoming.write(b"ware")

    incoming.keep(NOON_MS)

    assert incoming.size_bytes == 8
    assert incoming.sha256 == hashlib.sha256(b"firmware").hexdigest()
    with storage.open(incoming.storage_key) as file:
        assert file.read() == b"firmware"


def test_what_is_kept_is_unclaimed_until_a_record_has_it(incoming, stores):
    incoming.write(b"firmware")
    assert unclaimed(stores) == []

    incoming.keep(NOON_MS)

    assert unclaimed(stores) == [incoming.storage_key]


def test_each_file_has_a_key_of_its_own(storage, stores):
    files = [IncomingFile(storage, stores.unclaimed_files, 10) for _ in range(3)]

    assert len({file.storage_key for file in files}) == 3
    for file in files:
        file.abandon()


def test_a_file_may_have_so_many_bytes_and_no_more(incoming):
    incoming.write(b"0123456789")

    with pytest.raises(UploadTooLarge, match="10 bytes"):
        incoming.write(b"x")

    assert incoming.size_bytes == 10
    assert incoming.sha256 == hashlib.sha256(b"0123456789").hexdigest()
    incoming.abandon()


def test_what_was_abandoned_on_the_way_leaves_nothing(incoming, stores, tmp_path):
    incoming.write(b"firm")

    incoming.abandon()
    incoming.abandon()

    assert left_in(tmp_path) == []
    assert unclaimed(stores) == []


def test_what_is_kept_can_not_be_abandoned(incoming, storage, stores):
    incoming.write(b"firmware")
    incoming.keep(NOON_MS)

    incoming.abandon()

    with storage.open(incoming.storage_key) as file:
        assert file.read() == b"firmware"


def test_what_could_not_be_kept_stays_noted_for_the_sweep(incoming, storage, stores):
    incoming.write(b"firmware")
    storage.forget_unfinished(10**14)

    with pytest.raises(StorageUnavailable):
        incoming.keep(NOON_MS)
    incoming.abandon()

    assert unclaimed(stores) == [incoming.storage_key]
