"""The firmware library: what comes in whole is kept and checked, what does not leaves nothing."""

import base64
import hashlib

import pytest
from cast import ENVIRONMENT, NOON_MS
from cryptography.hazmat.primitives.asymmetric import ec
from memory_storage import MemoryStorage

from csms.commands.firmware_library import FirmwareDetails, FirmwareLibrary
from csms.config import Settings
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.firmware_signature import certify
from csms.errors import (
    FieldError,
    FirmwareLibraryFull,
    NotFound,
    StorageUnavailable,
    StoreUnavailable,
    UploadTooLarge,
)

CONTENT = b"firmware of Nordwerk"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DETAILS = FirmwareDetails("n1-2.0.bin", "Nordwerk", "N1", "2.0", "Mends the clock")
KEY = certify(
    ec.generate_private_key(ec.SECP256R1()),
    "Nordwerk firmware",
    "Nordwerk",
    77,
    SignatureAlgorithm.ECDSA,
    NOON_MS,
    365,
)
SIGNATURE = KEY.sign(bytes.fromhex(SHA256))
WRONG = KEY.sign(hashlib.sha256(b"another file").digest())
CERTIFICATE = KEY.certificate_pem
OLGA = "user:olga"


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def library(stores, storage):
    """Takes 100 bytes in all, and 60 a file."""
    limits = {"FIRMWARE_MAX_BYTES": "60", "FIRMWARE_TOTAL_BYTES": "100"}
    return FirmwareLibrary(stores, storage, Settings.from_env({**ENVIRONMENT, **limits}))


def add(library, content=CONTENT, details=DETAILS):
    with library.incoming() as file:
        for begin in range(0, len(content), 7):
            file.write(content[begin : begin + 7])
        return library.add(file, details, OLGA, NOON_MS)


def leaves_nothing(stores, storage):
    return (
        storage.is_empty
        and stores.unclaimed_files.older_than(NOON_MS + 1, 10) == []
        and stores.firmware_images.total_bytes() == 0
        and stores.firmware_images.page(None, 10).items == []
    )


def test_a_file_is_kept_with_what_is_said_of_it(library, stores, storage):
    image = add(library)

    assert image == stores.firmware_images.get(image.image_id)
    assert (image.file_name, image.vendor, image.model) == ("n1-2.0.bin", "Nordwerk", "N1")
    assert (image.version, image.description) == ("2.0", "Mends the clock")
    assert (image.size_bytes, image.sha256) == (len(CONTENT), SHA256)
    assert (image.uploaded_by, image.created_at_ms, image.warnings) == (OLGA, NOON_MS, ())
    assert storage.files == {image.storage_key: CONTENT}
    assert stores.unclaimed_files.older_than(NOON_MS + 1, 10) == []


def test_a_file_is_given_out_as_it_came(library):
    image, file = library.open(add(library).image_id)

    with file:
        assert file.read() == CONTENT
    assert image.file_name == "n1-2.0.bin"


def test_a_file_that_is_too_large_leaves_nothing(library, stores, storage):
    with pytest.raises(UploadTooLarge):
        add(library, b"x" * 61)

    assert leaves_nothing(stores, storage)
    assert add(library, b"x" * 60).size_bytes == 60


def test_what_all_files_take_is_bounded(library, stores, storage):
    add(library, b"x" * 60)

    with pytest.raises(FirmwareLibraryFull):
        add(library, b"y" * 41)

    assert len(storage.files) == 1
    assert not storage.pending
    assert stores.unclaimed_files.older_than(NOON_MS + 1, 10) == []
    add(library, b"z" * 40)
    assert stores.firmware_images.total_bytes() == 100


def test_a_file_for_which_there_is_no_room_is_refused_before_it_comes(library, storage):
    add(library, b"x" * 60)

    with pytest.raises(FirmwareLibraryFull), library.incoming(announced_bytes=41):
        pytest.fail("it was begun")

    assert not storage.pending


def test_a_file_that_is_cut_short_leaves_nothing(library, stores, storage):
    with pytest.raises(ConnectionError), library.incoming() as file:
        file.write(b"firm")
        raise ConnectionError

    assert leaves_nothing(stores, storage)


def test_an_empty_file_is_none(library, stores, storage):
    with pytest.raises(FieldError) as refused:
        add(library, b"")

    assert refused.value.field == "file"
    assert leaves_nothing(stores, storage)


@pytest.mark.parametrize("failing", ["create", "write", "commit"])
def test_a_storage_that_fails_leaves_no_record(library, stores, storage, failing):
    storage.failing = {failing}

    with pytest.raises(StorageUnavailable):
        add(library)

    storage.failing = set()
    assert storage.is_empty
    assert stores.firmware_images.page(None, 10).items == []


def test_a_store_that_fails_may_have_the_record_so_the_file_stays_for_the_sweep(
    library, stores, storage, monkeypatch
):
    def silent(*_):
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(type(stores.firmware_images), "create", silent)

    with pytest.raises(StoreUnavailable):
        add(library)

    assert stores.unclaimed_files.older_than(NOON_MS + 1, 10) == list(storage.files)


def signed(signature, certificate=CERTIFICATE):
    return FirmwareDetails("n1.bin", signature=signature, signing_certificate=certificate)


def test_a_right_signature_gives_no_warning(library):
    image = add(library, details=signed(SIGNATURE))

    assert image.warnings == ()
    assert (image.signature, image.signing_certificate) == (SIGNATURE, CERTIFICATE)


@pytest.mark.parametrize(
    ("details", "warning"),
    [
        (signed(WRONG), "the signature is not of this file"),
        (signed(base64.b64encode(b"nonsense").decode()), "the signature is not of this file"),
        (signed("%%%"), "the signature is not base64"),
        (signed(SIGNATURE, "nonsense"), "the signing certificate is not one certificate in PEM"),
    ],
)
def test_a_wrong_signature_is_a_warning_and_no_more(library, stores, details, warning):
    image = add(library, details=details)

    assert any(warning in said for said in image.warnings)
    assert stores.firmware_images.get(image.image_id).warnings == image.warnings


@pytest.mark.parametrize(
    ("details", "missing"),
    [
        (signed(SIGNATURE, ""), "signing_certificate"),
        (signed("", CERTIFICATE), "signature"),
    ],
)
def test_a_signature_and_its_certificate_come_both_or_not_at_all(
    library, stores, storage, details, missing
):
    with pytest.raises(FieldError) as refused:
        add(library, details=details)

    assert refused.value.field == missing
    assert leaves_nothing(stores, storage)


def test_what_is_said_of_a_file_is_changed_and_checked_anew(library):
    image = add(library)

    changed = library.describe(
        image.image_id,
        {"version": "2.1", "signature": WRONG, "signing_certificate": CERTIFICATE},
        NOON_MS,
    )
    assert (changed.version, changed.vendor) == ("2.1", "Nordwerk")
    assert changed.warnings == ("the signature is not of this file and certificate",)

    assert library.describe(image.image_id, {"signature": SIGNATURE}, NOON_MS).warnings == ()
    with pytest.raises(FieldError):
        library.describe(image.image_id, {"signature": ""}, NOON_MS)


def test_what_is_not_there_is_not_described(library):
    with pytest.raises(NotFound):
        library.describe("f" * 32, {"version": "2.1"}, NOON_MS)


def test_a_file_that_is_removed_makes_room(library, stores, storage):
    image = add(library)

    library.remove(image.image_id, OLGA)

    assert leaves_nothing(stores, storage)
    for use in (library.open, lambda image_id: library.remove(image_id, OLGA)):
        with pytest.raises(NotFound):
            use(image.image_id)


def test_a_file_that_can_not_be_deleted_now_is_left_to_the_sweep(library, stores, storage):
    image = add(library)
    storage.failing = {"delete"}

    library.remove(image.image_id, OLGA)

    assert stores.firmware_images.find(image.image_id) is None
    assert stores.unclaimed_files.older_than(NOON_MS, 10) == [image.storage_key]
