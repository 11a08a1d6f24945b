"""What an operator may decide about a charge point, whether through the API or the page."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csms.domain import security_profile
from csms.domain.certificate_request import CertificateState
from csms.domain.charge_point import PROFILES_WITH_KEY, Admission, ChargePoint
from csms.domain.credentials import (
    KEY_BYTES_MAX,
    SALT_BYTES,
    UnusableKey,
    hash_key,
    read_authorization_key,
)
from csms.domain.local_list import SOURCE_RULE, read_source
from csms.domain.security_event import own_event
from csms.domain.traits import TAG_RULE, TAGS_MAX, each_once, is_tag
from csms.errors import FieldError
from csms.web.parts import WebParts

GENERATE = "generate"
ROOT = "CentralSystemRootCertificate"
_USABLE = frozenset({CertificateState.PENDING, CertificateState.ACTIVE})
PROFILE_WORDS: Mapping[int, str] = {
    0: "0: no key, so that anybody can pretend to be it",
    1: "1: a key",
    2: "2: a key, over TLS",
    3: "3: a client certificate, over TLS",
}


@dataclass(frozen=True, slots=True)
class Key:
    """shown: the key in hex where we made it, to be shown once; None where it was given."""

    stored: str
    shown: str | None


def create(parts: WebParts, wishes: Mapping[str, Any], now_ms: int) -> tuple[ChargePoint, Key]:
    """Enter a charge point. wishes: fields of ChargePoint by name, and `authorization_key`: given,
    or left out to have one made for security profiles 1 and 2.

    Raises FieldError, ChargePointExists.
    """
    wishes = dict(wishes)
    given = wishes.pop("authorization_key", None)
    profile = wishes.get("security_profile", 1)
    if given is not None:
        _check_use_of_key(profile)
    key = _key(parts, given or GENERATE) if profile in PROFILES_WITH_KEY else Key("", None)
    record = ChargePoint(created_at_ms=now_ms, key_hash=key.stored, **wishes)
    parts.stores.charge_points.create(record)
    _watch(parts, wishes, record.charge_point_id, now_ms)
    parts.stores.changed.add(record.charge_point_id)
    return record, key


def change(
    parts: WebParts,
    charge_point_id: str,
    wishes: Mapping[str, Any],
    requested_by: str,
    now_ms: int,
) -> Key | None:
    """Change what wishes names. A new key or security profile ends the connection, so that the
    charge point comes back under it; what is left takes effect with its next BootNotification.

    A security profile may be lowered here, and nowhere else (white paper, A00.FR.005); naming one
    ends an upgrade that is pending. Raises ChargePointUnknown, FieldError.
    """
    record = parts.stores.charge_points.get(charge_point_id)
    changes = dict(wishes)
    given = changes.pop("authorization_key", None)
    profile = changes.get("security_profile", record.security_profile)
    key = None
    if given is not None:
        _check_use_of_key(profile)
        key = _key(parts, given)
        changes |= {"key_hash": key.stored, "pending_key_hashes": ()}
    elif profile in PROFILES_WITH_KEY and not record.key_hash and "security_profile" in changes:
        raise FieldError(
            "authorization_key", f"is needed for security_profile {profile}; give one or {GENERATE}"
        )
    if "security_profile" in changes:
        changes["pending_security_profile"] = None
    parts.stores.charge_points.update(charge_point_id, **changes)
    _watch(parts, changes, charge_point_id, now_ms)
    parts.stores.changed.add(charge_point_id)
    if profile != record.security_profile:
        _note_profile(parts, record, profile, requested_by, now_ms)
    if key is not None or profile != record.security_profile:
        parts.evict(charge_point_id)
    return key


def _check_use_of_key(profile: int) -> None:
    if profile not in PROFILES_WITH_KEY:
        raise FieldError("authorization_key", f"is of no use with security_profile {profile}")


def _note_profile(
    parts: WebParts, record: ChargePoint, profile: int, requested_by: str, now_ms: int
) -> None:
    lowered = profile < record.security_profile
    parts.stores.security_events.record(
        record.charge_point_id,
        own_event(
            "SecurityProfileLowered" if lowered else "SecurityProfileRaised",
            now_ms,
            f"from {record.security_profile} to {profile}, in its settings",
            critical=lowered,
            actor=requested_by,
        ),
    )


def missing_for_next_profile(parts: WebParts, record: ChargePoint) -> str:
    """One sentence, "" where nothing is known to be missing."""
    stores, charge_point_id = parts.stores, record.charge_point_id
    told = stores.installed_certificates.lists(charge_point_id)
    sent = stores.installed_certificates.installations(charge_point_id)
    issued = stores.certificates.of(charge_point_id)
    return security_profile.missing_for_next_profile(
        record,
        has_root=any(each.certificate_type == ROOT and each.certificates for each in told)
        or any(each.certificate_type == ROOT and each.status == "Accepted" for each in sent),
        has_certificate=record.client_certificate is not None
        or any(each.state in _USABLE for each in issued),
    )


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


def tags_of(text: str) -> tuple[str, ...]:
    """Of words with blanks or commas between them. Raises FieldError."""
    tags = each_once(text.replace(",", " ").split())
    if len(tags) > TAGS_MAX or not all(map(is_tag, tags)):
        raise FieldError("tags", f"must be {TAGS_MAX} at most, each of {TAG_RULE}")
    return tags


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
