"""Files that charge points have uploaded: what is known of each, and what they take together.

One script takes an upload: it uses the grant up, writes the record and counts the bytes, so that of
two uploads for one grant one is taken, and the sum stays true whatever is repeated or dies.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from csms.domain.hosted_file import UploadedFile
from csms.errors import NotFound
from csms.state import keys
from csms.state.link import Argument, Link, Script
from csms.state.pages import Page, newest_first, records
from csms.state.unclaimed_files import AT_ONCE_MS

_FORGOTTEN_AT_A_TIME = 500

_RECEIVE = Script(
    "receive-upload",
    """
    -- KEYS: 1 grant, 2 record, 3 uploads, 4 uploads of the charge point, 5 bytes of all uploads,
    --   6 unclaimed files
    -- ARGV: 1 now, 2 most bytes of all uploads, 3 id, 4 storage key, 5 size, 6 received at,
    --   7 file name, 8 SHA-256, 9.. fields and values
    if redis.call('HGET', KEYS[2], 'storage_key') == ARGV[4] then return 'received' end
    local grant = redis.call('HMGET', KEYS[1], 'kind', 'state', 'expires_at_ms')
    if grant[1] ~= 'upload' then return 'unknown' end
    if grant[2] ~= 'open' then return grant[2] end
    if tonumber(grant[3]) <= tonumber(ARGV[1]) then return 'expired' end
    local size = tonumber(ARGV[5])
    if tonumber(redis.call('GET', KEYS[5]) or 0) + size > tonumber(ARGV[2]) then return 'full' end
    redis.call('HSET', KEYS[1], 'state', 'used', 'storage_key', ARGV[4], 'file_name', ARGV[7],
      'size_bytes', ARGV[5], 'sha256', ARGV[8])
    redis.call('HSET', KEYS[2], unpack(ARGV, 9))
    redis.call('ZADD', KEYS[3], ARGV[6], ARGV[3])
    redis.call('ZADD', KEYS[4], ARGV[6], ARGV[3])
    redis.call('INCRBY', KEYS[5], size)
    redis.call('ZREM', KEYS[6], ARGV[4])
    return 'received'
    """,
)
_DELETE = Script(
    "delete-uploads",
    """
    -- KEYS: 1 uploads, 2 bytes of all uploads, 3 unclaimed files
    -- ARGV: 1 key prefix of records, 2 key prefix of the uploads of charge points,
    --   3 since when their files are unclaimed, 4.. ids. Answers how many were there.
    local deleted = 0
    for i = 4, #ARGV do
      local key = ARGV[1] .. ARGV[i]
      local is = redis.call('HMGET', key, 'charge_point_id', 'storage_key', 'size_bytes')
      if is[1] then
        redis.call('DEL', key)
        redis.call('ZREM', KEYS[1], ARGV[i])
        redis.call('ZREM', ARGV[2] .. is[1], ARGV[i])
        redis.call('DECRBY', KEYS[2], is[3])
        redis.call('ZADD', KEYS[3], ARGV[3], is[2])
        deleted = deleted + 1
      end
    end
    return deleted
    """,
)


class Receipt(StrEnum):
    """What became of an upload that has arrived; all but received left nothing."""

    RECEIVED = "received"
    USED = "used"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    FULL = "full"


class UploadedFiles:
    def __init__(self, link: Link) -> None:
        self._link = link

    def receive(
        self, grant_id: str, uploaded: UploadedFile, now_ms: int, total_max_bytes: int
    ) -> Receipt:
        """Take a file that is in the storage; may be repeated. now_ms: by which the grant is
        judged."""
        charge_point_id = uploaded.charge_point_id
        outcome = self._link.run(
            _RECEIVE,
            [
                keys.file_grant(grant_id),
                keys.uploaded_file(uploaded.upload_id),
                keys.UPLOADED_FILES,
                keys.uploaded_files_of(charge_point_id),
                keys.UPLOADED_BYTES,
                keys.UNCLAIMED_FILES,
            ],
            [
                *(now_ms, total_max_bytes, uploaded.upload_id, uploaded.storage_key),
                *(uploaded.size_bytes, uploaded.received_at_ms),
                *(uploaded.file_name, uploaded.sha256),
                *_fields(uploaded),
            ],
        )
        return Receipt(outcome)

    def find(self, charge_point_id: str, upload_id: str) -> UploadedFile | None:
        """What this charge point has uploaded for a transfer."""
        found = self._load([upload_id])[0]
        return found if found and found.charge_point_id == charge_point_id else None

    def get(self, upload_id: str) -> UploadedFile:
        """Whoever's it is. Raises NotFound."""
        found = self._load([upload_id])[0]
        if found is None:
            raise NotFound("upload", upload_id)
        return found

    def here(self, upload_ids: Sequence[str]) -> dict[str, UploadedFile]:
        """Those of the ids whose files are here."""
        return {one.upload_id: one for one in self._load(upload_ids) if one is not None}

    def page(
        self, cursor: str | None, limit: int, charge_point_id: str | None = None
    ) -> Page[UploadedFile]:
        """Newest first. Raises FieldError for a foreign cursor."""
        key = (
            keys.UPLOADED_FILES
            if charge_point_id is None
            else keys.uploaded_files_of(charge_point_id)
        )
        return newest_first(self._link, key, cursor, limit, self._load)

    def older_than(self, before_ms: int, limit: int) -> list[str]:
        """Ids of those that came in before an instant, the oldest first."""
        found: list[str] = self._link.call(
            "ZRANGEBYSCORE", keys.UPLOADED_FILES, "-inf", f"({before_ms}", "LIMIT", 0, limit
        )
        return found

    def delete(self, upload_id: str) -> None:
        """The record; its file is unclaimed from now on. May be repeated."""
        _delete(self._link, [upload_id])

    def total_bytes(self) -> int:
        return int(self._link.call("GET", keys.UPLOADED_BYTES) or 0)

    def _load(self, upload_ids: Sequence[str]) -> list[UploadedFile | None]:
        found = records(self._link, [keys.uploaded_file(upload_id) for upload_id in upload_ids])
        return [
            _uploaded(upload_id, fields) if fields else None
            for upload_id, fields in zip(upload_ids, found, strict=True)
        ]


def forget_of(link: Link, charge_point_id: str) -> None:
    """Delete all uploads of a charge point, for its own deletion."""
    index = keys.uploaded_files_of(charge_point_id)
    while upload_ids := link.call("ZRANGE", index, 0, _FORGOTTEN_AT_A_TIME - 1):
        _delete(link, upload_ids)
        link.call("ZREM", index, *upload_ids)  # whatever of them was there


def _delete(link: Link, upload_ids: Sequence[str]) -> None:
    link.run(
        _DELETE,
        [keys.UPLOADED_FILES, keys.UPLOADED_BYTES, keys.UNCLAIMED_FILES],
        [keys.uploaded_file(""), keys.uploaded_files_of(""), AT_ONCE_MS, *upload_ids],
    )


def _fields(uploaded: UploadedFile) -> list[Argument]:
    return [
        *("charge_point_id", uploaded.charge_point_id, "storage_key", uploaded.storage_key),
        *("file_name", uploaded.file_name, "size_bytes", uploaded.size_bytes),
        *("sha256", uploaded.sha256, "protocol", uploaded.protocol),
        *("remote_address", uploaded.remote_address, "received_at_ms", uploaded.received_at_ms),
    ]


def _uploaded(upload_id: str, fields: Mapping[str, str]) -> UploadedFile:
    return UploadedFile(
        upload_id=upload_id,
        charge_point_id=fields["charge_point_id"],
        storage_key=fields["storage_key"],
        file_name=fields["file_name"],
        size_bytes=int(fields["size_bytes"]),
        sha256=fields["sha256"],
        protocol=fields["protocol"],
        remote_address=fields["remote_address"],
        received_at_ms=int(fields["received_at_ms"]),
    )
