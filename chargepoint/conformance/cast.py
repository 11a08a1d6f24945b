"""Who takes part in a run: id tags of its own, so that it may run beside anybody's business, or
those that an operator has entered."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chargepoint.conformance.operator import CannotBegin, Operator, id_tag_path


def _token() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Cast:
    """Names of at most 20 characters. group: the parent of `valid` and `second`. unknown: entered
    nowhere. tag_group: by which id tags are assigned to a local list."""

    valid: str
    second: str
    group: str
    blocked: str
    expired: str
    unknown: str = field(default_factory=lambda: f"CT-{_token().upper()}-UNKNOWN")
    tag_group: str = field(default_factory=lambda: f"conformance-{_token()}")


def make_cast(name: str) -> Cast:
    """name: 11 characters at most."""
    roles = ("VALID", "SECOND", "GROUP", "BLOCKED", "EXPIRED", "UNKNOWN")
    return Cast(*(f"{name}-{role}" for role in roles))


def enter_cast(operator: Operator, cast: Cast) -> None:
    """Enter the id tags of a run. Raises ApiUnusable."""
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    for body in (
        {"id_tag": cast.valid, "status": "Accepted", "parent_id_tag": cast.group},
        {"id_tag": cast.second, "status": "Accepted", "parent_id_tag": cast.group},
        {"id_tag": cast.blocked, "status": "Blocked"},
        {"id_tag": cast.expired, "status": "Accepted", "expires_at": yesterday},
    ):
        operator.must("POST", "/id-tags", body)


def dismiss_cast(operator: Operator, cast: Cast) -> None:
    """Delete what enter_cast entered."""
    for id_tag in (cast.valid, cast.second, cast.blocked, cast.expired):
        operator.forget(id_tag_path(id_tag))


def check_cast(operator: Operator, cast: Cast) -> None:
    """Whether an operator has entered these id tags as the cases need them. Raises CannotBegin."""
    for option, id_tag, status, group in (
        ("--id-tag", cast.valid, "Accepted", cast.group),
        ("--id-tag-2", cast.second, "Accepted", cast.group),
        ("--blocked", cast.blocked, "Blocked", None),
        ("--expired", cast.expired, "Expired", None),
    ):
        found = operator.request("GET", id_tag_path(id_tag))
        if not found.is_ok:
            raise CannotBegin(f"{option}: the id tag {id_tag} is not entered")
        if _status(found.body) != status:
            raise CannotBegin(f"{option}: the id tag {id_tag} is not {status.lower()}")
        parent = found.body.get("parent_id_tag") or ""
        if group is not None and parent.casefold() != group.casefold():
            raise CannotBegin(f"{option}: the parent of {id_tag} is not {group}, as --parent says")
    if operator.request("GET", id_tag_path(cast.unknown)).is_ok:
        raise CannotBegin(f"--unknown: the id tag {cast.unknown} is entered")


def _status(record: dict[str, str | None]) -> str:
    expires_at = record.get("expires_at")
    is_over = expires_at is not None and datetime.fromisoformat(expires_at) <= datetime.now(UTC)
    return "Expired" if is_over and record["status"] == "Accepted" else str(record["status"])
