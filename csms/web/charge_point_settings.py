"""What an operator may decide about a charge point, whether through the API or the page."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csms import clock
from csms.domain.charge_point import Admission, ChargePoint
from csms.domain.credentials import (
    KEY_BYTES_MAX,
    SALT_BYTES,
    UnusableKey,
    hash_key,
    read_authorization_key,
)
from csms.domain.local_list import SOURCE_RULE, read_source
from csms.errors import FieldError
from csms.web.parts import WebParts

GENERATE = "generate"


@dataclass(frozen=True, slots=True)
class Key:
    """shown: the key in hex where we made it, to be shown once; None where it was given."""

    stored: str
    shown: str | None


def create(parts: WebParts, wishes: Mapping[str, Any], now_ms: int) -> tuple[ChargePoint, Key]:
    """Enter a charge point. wishes: fields of ChargePoint by name, and `authorization_key`: given,
    or left out to have one made for security profile 1.

    Raises FieldError, ChargePointExists.
    """
    wishes = dict(wishes)
    given = wishes.pop("authorization_key", None)
    profile = wishes.get("security_profile", 1)
    if profile == 0 and given is not None:
        raise FieldError("authorization_key", "is of no use with security_profile 0")
    key = Key("", None) if profile == 0 else _key(parts, given or GENERATE)
    record = ChargePoint(created_at_ms=now_ms, key_hash=key.stored, **wishes)
    parts.stores.charge_points.create(record)
    _watch(parts, wishes, record.charge_point_id, now_ms)
    parts.stores.changed.add(record.charge_point_id)
    return record, key


def change(parts: WebParts, charge_point_id: str, wishes: Mapping[str, Any]) -> Key | None:
    """Change what wishes names. A new key or security profile ends the connection, so that the
    charge point comes back under it; what is left takes effect with its next BootNotification.

    Raises ChargePointUnknown, FieldError.
    """
    record = parts.stores.charge_points.get(charge_point_id)
    changes = dict(wishes)
    given = changes.pop("authorization_key", None)
    profile = changes.get("security_profile", record.security_profile)
    key = None
    if given is not None:
        if profile == 0:
            raise FieldError("authorization_key", "is of no use with security_profile 0")
        key = _key(parts, given)
        changes |= {"key_hash": key.stored, "pending_key_hashes": ()}
    elif profile > record.security_profile and not record.key_hash:
        raise FieldError(
            "authorization_key", f"is needed for security_profile {profile}; give one or {GENERATE}"
        )
    parts.stores.charge_points.update(charge_point_id, **changes)
    _watch(parts, changes, charge_point_id, clock.now_ms())
    parts.stores.changed.add(charge_point_id)
    if key is not None or profile != record.security_profile:
        parts.evict(charge_point_id)
    return key


def delete(parts: WebParts, charge_point_id: str) -> None:
    """Forget it, and end its connection. Raises ChargePointUnknown."""
    # Told first: once it is deleted nobody knows any more who holds its socket.
    parts.evict(charge_point_id)
    parts.stores.charge_points.delete(charge_point_id)
    parts.stores.changed.add(charge_point_id)


def _watch(parts: WebParts, changes: Mapping[str, Any], charge_point_id: str, now_ms: int) -> None:
    """The sweep finds out itself whom it need not look at any more."""
    if "local_list" in changes or "local_list_auto_sync" in changes:
        parts.stores.local_lists.watch(charge_point_id, now_ms)


def local_list_of(text: str) -> str:
    """Raises FieldError."""
    source = read_source(text.strip())
    if source is None:
        raise FieldError("local_list", SOURCE_RULE)
    return source


def admission_of(text: str) -> Admission:
    """Raises FieldError."""
    try:
        return Admission(text)
    except ValueError:
        raise FieldError("admission", f"must be one of {', '.join(Admission)}") from None


def _key(parts: WebParts, given: str) -> Key:
    if given == GENERATE:
        key = secrets.token_bytes(KEY_BYTES_MAX)
        shown = key.hex()
    else:
        try:
            key = read_authorization_key(given)
        except UnusableKey as error:
            raise FieldError("authorization_key", str(error)) from None
        shown = None
    pepper = parts.settings.credential_pepper.encode()
    return Key(hash_key(key, secrets.token_bytes(SALT_BYTES), pepper), shown)
