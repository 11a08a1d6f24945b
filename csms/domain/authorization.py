"""Whether an idTag may charge (OCPP 1.6 ed. 2, 4.1, 4.8 and 7.2)."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class AuthorizationStatus(StrEnum):
    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


class TagStatus(StrEnum):
    """What an operator may set; Expired and Invalid follow from expires_at and absence."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"


@dataclass(frozen=True, slots=True)
class IdTag:
    """An identifier the operator has entered. id_tag is as entered; tokens compare caseless.

    max_active_transactions None means no limit. tag_groups: names by which operators assign tags
    to local authorization lists (domain/local_list.py); parent_id_tag is OCPP's own group.
    """

    id_tag: str
    status: TagStatus
    parent_id_tag: str | None = None
    expires_at_ms: int | None = None
    max_active_transactions: int | None = None
    tag_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IdTagInfo:
    status: AuthorizationStatus
    parent_id_tag: str | None = None
    expires_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ActiveTransaction:
    """A transaction that counts against its idTag's limit."""

    charge_point_id: str
    connector_id: int
    transaction_id: int


INVALID = IdTagInfo(AuthorizationStatus.INVALID)


def fold(id_tag: str) -> str:
    """The form in which idTags are compared: CiString20 ignores case (ed. 2, 3.9)."""
    return id_tag.strip().casefold()


def authorize(tag: IdTag | None, now_ms: int) -> IdTagInfo:
    """The answer to Authorize.req. Never ConcurrentTx: a member of the group may come to stop."""
    if tag is None:
        return INVALID
    if tag.status is TagStatus.BLOCKED:
        status = AuthorizationStatus.BLOCKED
    elif tag.expires_at_ms is not None and tag.expires_at_ms <= now_ms:
        status = AuthorizationStatus.EXPIRED
    else:
        status = AuthorizationStatus.ACCEPTED
    return IdTagInfo(status, tag.parent_id_tag, tag.expires_at_ms)


def authorize_start(
    tag: IdTag | None,
    now_ms: int,
    active: Collection[ActiveTransaction],
    charge_point_id: str,
    connector_id: int,
) -> IdTagInfo:
    """The answer to StartTransaction.req: validated anew, whatever a cache or list said (4.8).

    Transactions on the same connector don't count: this start supersedes them, or is a resend of
    one of them.
    """
    info = authorize(tag, now_ms)
    if tag is None or info.status is not AuthorizationStatus.ACCEPTED:
        return info
    if tag.max_active_transactions is None:
        return info
    elsewhere = sum(
        1
        for transaction in active
        if (transaction.charge_point_id, transaction.connector_id)
        != (charge_point_id, connector_id)
    )
    if elsewhere >= tag.max_active_transactions:
        return IdTagInfo(AuthorizationStatus.CONCURRENT_TX, info.parent_id_tag, info.expires_at_ms)
    return info
