"""The firmware library: what is known of each file, and what they take together.

The record counts the bytes in the same script that writes it, and takes its file off those without
a record.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from csms.domain.hosted_file import FirmwareImage
from csms.errors import FirmwareLibraryFull, NotFound
from csms.state import keys
from csms.state.link import Argument, Link, Script
from csms.state.pages import Page, newest_first, records
from csms.state.records import UPDATE
from csms.state.unclaimed_files import AT_ONCE_MS

_CREATE = Script(
    "create-firmware-image",
    """
    -- KEYS: 1 record, 2 images, 3 bytes of all images, 4 unclaimed files
    -- ARGV: 1 most bytes of all images, 2 id, 3 storage key, 4 size, 5 created at,
    --   6.. fields and values. Answers the bytes that are left, below 0 where it does not fit.
    local left = tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[3]) or 0)
    if redis.call('EXISTS', KEYS[1]) == 1 then return math.max(left, 0) end
    left = left - tonumber(ARGV[4])
    if left < 0 then return left end
    redis.call('HSET', KEYS[1], unpack(ARGV, 6))
    redis.call('ZADD', KEYS[2], ARGV[5], ARGV[2])
    redis.call('INCRBY', KEYS[3], ARGV[4])
    redis.call('ZREM', KEYS[4], ARGV[3])
    return left
    """,
)
_DELETE = Script(
    "delete-firmware-image",
    """
    -- KEYS: 1 record, 2 images, 3 bytes of all images, 4 unclaimed files
    -- ARGV: 1 id, 2 since when its file is unclaimed. 0 where it is not there.
    local is = redis.call('HMGET', KEYS[1], 'storage_key', 'size_bytes')
    if not is[1] then return 0 end
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('DECRBY', KEYS[3], is[2])
    redis.call('ZADD', KEYS[4], ARGV[2], is[1])
    return 1
    """,
)


class FirmwareImages:
    def __init__(self, link: Link) -> None:
        self._link = link

    def create(self, image: FirmwareImage, total_max_bytes: int) -> None:
        """Of a file that is in the storage; may be repeated. Raises FirmwareLibraryFull."""
        left = self._link.run(
            _CREATE,
            _keys(image.image_id),
            [
                *(total_max_bytes, image.image_id, image.storage_key, image.size_bytes),
                image.created_at_ms,
                *_words({name: getattr(image, name) for name in image.__dataclass_fields__}),
            ],
        )
        if left < 0:
            raise FirmwareLibraryFull(total_max_bytes)

    def find(self, image_id: str) -> FirmwareImage | None:
        return self._load([image_id])[0]

    def get(self, image_id: str) -> FirmwareImage:
        """Raises NotFound."""
        found = self.find(image_id)
        if found is None:
            raise NotFound("firmware", image_id)
        return found

    def page(self, cursor: str | None, limit: int) -> Page[FirmwareImage]:
        """Newest first. Raises FieldError for a foreign cursor."""
        return newest_first(self._link, keys.FIRMWARE_IMAGES, cursor, limit, self._load)

    def update(self, image_id: str, **changes: Any) -> None:
        """Change what is said of a file, by the names of FirmwareImage; the file itself never
        changes. Raises NotFound."""
        if not self._link.run(UPDATE, [keys.firmware_image(image_id)], _words(changes)):
            raise NotFound("firmware", image_id)

    def delete(self, image_id: str) -> None:
        """The record; its file is unclaimed from now on. Raises NotFound."""
        if not self._link.run(_DELETE, _keys(image_id), [image_id, AT_ONCE_MS]):
            raise NotFound("firmware", image_id)

    def total_bytes(self) -> int:
        return int(self._link.call("GET", keys.FIRMWARE_BYTES) or 0)

    def _load(self, image_ids: Sequence[str]) -> list[FirmwareImage | None]:
        found = records(self._link, [keys.firmware_image(image_id) for image_id in image_ids])
        return [_image(fields) if fields else None for fields in found]


def _keys(image_id: str) -> list[str]:
    return [
        keys.firmware_image(image_id),
        keys.FIRMWARE_IMAGES,
        keys.FIRMWARE_BYTES,
        keys.UNCLAIMED_FILES,
    ]


def _words(fields: Mapping[str, Any]) -> list[Argument]:
    words: list[Argument] = []
    for name, value in fields.items():
        words += (name, orjson.dumps(value) if name == "warnings" else value)
    return words


def _image(fields: Mapping[str, str]) -> FirmwareImage:
    return FirmwareImage(
        image_id=fields["image_id"],
        storage_key=fields["storage_key"],
        file_name=fields["file_name"],
        size_bytes=int(fields["size_bytes"]),
        sha256=fields["sha256"],
        vendor=fields["vendor"],
        model=fields["model"],
        version=fields["version"],
        description=fields["description"],
        signature=fields["signature"],
        signing_certificate=fields["signing_certificate"],
        warnings=tuple(orjson.loads(fields["warnings"])),
        uploaded_by=fields["uploaded_by"],
        created_at_ms=int(fields["created_at_ms"]),
    )
