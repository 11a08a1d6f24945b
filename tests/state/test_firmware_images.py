"""The firmware library as records: counted together, and never a file that nobody knows."""

from dataclasses import replace

import pytest
from cast import FIRMWARE, NOON_MS

from csms.errors import FieldError, FirmwareLibraryFull, NotFound

KEY = "a" * 32
IMAGE = replace(
    FIRMWARE,
    storage_key=KEY,
    file_name="../../etc/passwd",
    size_bytes=600,
    description="Fixes é\nand more",
    signature="c2lnbmVk",
    signing_certificate="-----BEGIN CERTIFICATE-----",
    warnings=("the signature is not of this file and certificate",),
)
OTHER = replace(IMAGE, image_id="2" * 32, storage_key="b" * 32, created_at_ms=NOON_MS + 1)
ROOM = 1_000


def test_what_was_created_is_found_as_it_was(stores):
    stores.firmware_images.create(IMAGE, ROOM)

    assert stores.firmware_images.get(IMAGE.image_id) == IMAGE
    assert stores.firmware_images.total_bytes() == 600


def test_what_is_not_there_is_not_found(stores):
    images = stores.firmware_images

    assert images.find("f" * 32) is None
    assert images.total_bytes() == 0
    with pytest.raises(NotFound, match="There is no firmware f"):
        images.get("f" * 32)
    with pytest.raises(NotFound):
        images.delete("f" * 32)
    with pytest.raises(NotFound):
        images.update("f" * 32, version="3")
    assert images.find("f" * 32) is None


def test_an_image_that_is_created_again_is_counted_once(stores):
    for _ in range(3):
        stores.firmware_images.create(IMAGE, ROOM)

    assert stores.firmware_images.total_bytes() == 600
    assert len(stores.firmware_images.page(None, 10).items) == 1


def test_a_library_that_is_full_takes_no_more(stores):
    stores.firmware_images.create(IMAGE, ROOM)
    stores.unclaimed_files.note(OTHER.storage_key, NOON_MS)

    with pytest.raises(FirmwareLibraryFull, match="1000 bytes"):
        stores.firmware_images.create(replace(OTHER, size_bytes=401), ROOM)

    assert stores.firmware_images.find(OTHER.image_id) is None
    assert stores.firmware_images.total_bytes() == 600
    assert stores.unclaimed_files.older_than(NOON_MS + 1, 10) == [OTHER.storage_key]
    stores.firmware_images.create(replace(OTHER, size_bytes=400), ROOM)
    assert stores.firmware_images.total_bytes() == 1_000


def test_a_file_has_its_record_or_is_unclaimed(stores):
    stores.unclaimed_files.note(KEY, NOON_MS)

    stores.firmware_images.create(IMAGE, ROOM)
    assert stores.unclaimed_files.older_than(NOON_MS + 1, 10) == []

    stores.firmware_images.delete(IMAGE.image_id)
    assert stores.unclaimed_files.older_than(NOON_MS, 10) == [KEY]
    assert stores.firmware_images.total_bytes() == 0
    assert stores.firmware_images.page(None, 10).items == []


def test_pages_begin_with_the_newest(stores):
    for image in (IMAGE, OTHER):
        stores.firmware_images.create(replace(image, size_bytes=1), ROOM)

    first = stores.firmware_images.page(None, 1)
    second = stores.firmware_images.page(first.next_cursor, 1)

    assert [image.image_id for image in first.items] == [OTHER.image_id]
    assert [image.image_id for image in second.items] == [IMAGE.image_id]
    assert second.next_cursor is None
    with pytest.raises(FieldError):
        stores.firmware_images.page("nonsense", 1)


def test_what_is_said_of_a_file_is_changed(stores):
    stores.firmware_images.create(IMAGE, ROOM)

    stores.firmware_images.update(IMAGE.image_id, version="2.1", warnings=())

    changed = stores.firmware_images.get(IMAGE.image_id)
    assert changed == replace(IMAGE, version="2.1", warnings=())
