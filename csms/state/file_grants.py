"""Grants of files: which charge point may fetch or leave which one, and until when."""

from collections.abc import Mapping, Sequence

from csms.domain.file_grant import FileGrant, GrantKind, GrantState
from csms.state import keys
from csms.state.commands import BARRED_S
from csms.state.link import Argument, Link, Script
from csms.state.pages import records

# After its expiry: whoever comes late is told so, instead of that there never was a grant.
KEPT_S = 7 * 86_400

_GRANT = Script(
    "grant-file",
    """
    -- KEYS: 1 grant, 2 grants of its charge point
    -- ARGV: 1 id, 2 now, 3 when it is forgotten, 4 s until then, 5.. fields and values
    if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HSET', KEYS[1], unpack(ARGV, 5))
    redis.call('EXPIRE', KEYS[1], ARGV[4])
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
    if redis.call('TTL', KEYS[2]) < tonumber(ARGV[4]) then
      redis.call('EXPIRE', KEYS[2], ARGV[4])
    end
    return 1
    """,
)
_WITHDRAW = Script(
    "withdraw-file-grant",
    """
    -- KEYS[1] grant; ARGV[1] s. One that was used stays so. Who is to make one that is not there
    -- may only stand still: it is not made for so long.
    local state = redis.call('HGET', KEYS[1], 'state')
    if state and state ~= 'open' then return 0 end
    redis.call('HSET', KEYS[1], 'state', 'withdrawn')
    if not state then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
    return 1
    """,
)


class FileGrants:
    """They leave by themselves, KEPT_S after their expiry."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def grant(self, grant: FileGrant) -> None:
        """May be repeated: what has become of it since stays, also that it was withdrawn before it
        came to be."""
        lifetime_s = max(0, grant.expires_at_ms - grant.created_at_ms) // 1000 + KEPT_S
        self._link.run(
            _GRANT,
            [keys.file_grant(grant.grant_id), keys.file_grants_of(grant.charge_point_id)],
            [
                *(grant.grant_id, grant.created_at_ms),
                *(grant.created_at_ms + lifetime_s * 1000, lifetime_s),
                *_fields(grant),
            ],
        )

    def find(self, grant_id: str) -> FileGrant | None:
        return self.find_all([grant_id]).get(grant_id)

    def find_all(self, grant_ids: Sequence[str]) -> dict[str, FileGrant]:
        """Those of the ids that there are."""
        found = records(self._link, [keys.file_grant(grant_id) for grant_id in grant_ids])
        return {
            grant_id: _grant(grant_id, fields)
            for grant_id, fields in zip(grant_ids, found, strict=True)
            if "kind" in fields
        }

    def withdraw(self, grant_id: str) -> None:
        """Nobody comes in with it any more; may be repeated."""
        self._link.run(_WITHDRAW, [keys.file_grant(grant_id)], [BARRED_S])


def keys_of(link: Link, charge_point_id: str) -> list[str]:
    """All keys of a charge point's grants, for its deletion."""
    index = keys.file_grants_of(charge_point_id)
    grant_ids = link.call("ZRANGE", index, 0, -1)
    return [index, *[keys.file_grant(grant_id) for grant_id in grant_ids]]


def _fields(grant: FileGrant) -> list[Argument]:
    return [
        *("charge_point_id", grant.charge_point_id, "kind", grant.kind, "state", grant.state),
        *("created_at_ms", grant.created_at_ms, "expires_at_ms", grant.expires_at_ms),
        *("storage_key", grant.storage_key, "file_name", grant.file_name),
        *("size_bytes", grant.size_bytes, "sha256", grant.sha256, "max_bytes", grant.max_bytes),
    ]


def _grant(grant_id: str, fields: Mapping[str, str]) -> FileGrant:
    return FileGrant(
        grant_id=grant_id,
        charge_point_id=fields["charge_point_id"],
        kind=GrantKind(fields["kind"]),
        created_at_ms=int(fields["created_at_ms"]),
        expires_at_ms=int(fields["expires_at_ms"]),
        state=GrantState(fields["state"]),
        storage_key=fields["storage_key"],
        file_name=fields["file_name"],
        size_bytes=int(fields["size_bytes"]),
        sha256=fields["sha256"],
        max_bytes=int(fields["max_bytes"]),
    )
