"""Files that are kept here: firmware for charge points, and what charge points have uploaded."""

import re
import unicodedata
from dataclasses import dataclass

FILE_NAME_MAX = 255
_UNSAFE = re.compile(r"[^\w .()+,=@-]")


def as_file_name(text: str) -> str:
    """What somebody calls a file, as text that can be kept and shown: no control characters, none
    that turn the direction of writing, and FILE_NAME_MAX at most."""
    shown = (character for character in text if not unicodedata.category(character).startswith("C"))
    return "".join(shown).strip()[:FILE_NAME_MAX]


def download_name(file_name: str, otherwise: str) -> str:
    """A name under which a file may be saved anywhere: no directory, nothing hidden, no surprise
    for a shell. otherwise: where nothing of it remains."""
    safe = _UNSAFE.sub("_", as_file_name(file_name)).lstrip(". -")
    return safe or otherwise


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """A file of the firmware library.

    storage_key: its name in the storage, made by us; file_name: what it was called, as text.
    vendor, model, version: what it is for and what a charge point reports that runs it; "" where
    nobody said. signature, signing_certificate: base64 and PEM, both or neither; warnings: what is
    odd about them.
    """

    image_id: str
    storage_key: str
    file_name: str
    size_bytes: int
    sha256: str
    vendor: str
    model: str
    version: str
    description: str
    signature: str
    signing_certificate: str
    warnings: tuple[str, ...]
    uploaded_by: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """What a charge point has uploaded for a transfer, whose id it has.

    file_name: as the charge point called it, as text only; it never names anything on disk.
    protocol: http, https, ftp or ftps.
    """

    upload_id: str
    charge_point_id: str
    storage_key: str
    file_name: str
    size_bytes: int
    sha256: str
    protocol: str
    remote_address: str
    received_at_ms: int
