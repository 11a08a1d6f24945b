"""Whether a grant lets its bearer fetch or leave a file now, and why not."""

from csms.domain.file_grant import FileGrant, GrantState
from csms.errors import FileGrantExpired, FileGrantUnknown, FileGrantUsed, FileGrantWithdrawn
from csms.state.stores import Stores


def open_grant(grant_id: str, stores: Stores, now_ms: int) -> FileGrant:
    """Raises FileGrantUnknown, FileGrantUsed, FileGrantWithdrawn, FileGrantExpired."""
    grant = stores.file_grants.find(grant_id)
    if grant is None:
        raise FileGrantUnknown
    if grant.state is GrantState.USED:
        raise FileGrantUsed
    if grant.state is GrantState.WITHDRAWN:
        raise FileGrantWithdrawn
    if not grant.is_open(now_ms):
        raise FileGrantExpired
    return grant
