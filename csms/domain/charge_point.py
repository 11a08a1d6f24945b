"""What a charge point is to the system: identity, admission, registration, facts from its boot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from csms.domain.certificate_facts import CertificateFacts

ID_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9 ._\-+=@*|]{0,46}[A-Za-z0-9._\-+=@*|])?"
ID_RULE = (
    "1 to 48 characters: letters, digits, blank and ._-+=@*| ; "
    "it starts with a letter or digit and does not end with a blank"
)
_ID = re.compile(ID_PATTERN, re.ASCII)


# White paper, A00: none; Basic; Basic over TLS; client certificates over TLS.
SECURITY_PROFILES = (0, 1, 2, 3)
# Those whose charge points present a key.
PROFILES_WITH_KEY = frozenset({1, 2})


class Admission(StrEnum):
    """What the operator decided: the status every BootNotification is answered with."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    REJECTED = "rejected"


class UnknownChargePoints(StrEnum):
    """What happens at the door to an id nobody has entered."""

    REJECT = "reject"
    PENDING = "pending"
    ACCEPT = "accept"


class RegistrationStatus(StrEnum):
    """What a charge point was told last (BootNotification.conf); it outlives the link."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


REGISTRATION: Mapping[Admission, RegistrationStatus] = {
    Admission.ACCEPTED: RegistrationStatus.ACCEPTED,
    Admission.PENDING: RegistrationStatus.PENDING,
    Admission.REJECTED: RegistrationStatus.REJECTED,
}


@dataclass(frozen=True, slots=True)
class ChargePoint:
    """A charge point as recorded.

    facts: BootNotification.req's fields by their OCPP names, as sent.
    retry_interval_s: answered with Pending or Rejected; None takes the system's default.
    site, tags: as an operator entered them, to pick out many at once (domain/traits.py).
    serial_number: as an operator entered it; client certificates name it.
    pending_security_profile: a higher one with which it may come as well, since it was told to;
    with the first success it takes the place of security_profile (white paper, A05).
    client_certificate: the one with which it came last.
    quiet: nothing is sent to it by the system itself, only what somebody asked for.
    local_list: which id tags make its local authorization list (domain/local_list.py);
    local_list_auto_sync: it is sent what has changed without being asked for.
    key_hash: of the key in force. pending_key_hashes: of keys sent with ChangeConfiguration whose
    fate is open: they admit too, until the first login with one of them (white paper, A01).
    """

    charge_point_id: str
    security_profile: int = 1
    admission: Admission = Admission.ACCEPTED
    retry_interval_s: int | None = None
    heartbeat_interval_s: int | None = None
    call_timeout_s: int | None = None
    description: str = ""
    site: str = ""
    tags: tuple[str, ...] = ()
    assume_ocpp16: bool = False
    quiet: bool = False
    serial_number: str = ""
    pending_security_profile: int | None = None
    client_certificate: CertificateFacts | None = None
    local_list: str = "none"
    local_list_auto_sync: bool = False
    key_hash: str = ""
    pending_key_hashes: tuple[str, ...] = ()
    registration: RegistrationStatus | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    created_at_ms: int = 0
    booted_at_ms: int | None = None
    firmware_status: str = ""
    firmware_status_at_ms: int | None = None
    diagnostics_status: str = ""
    diagnostics_status_at_ms: int | None = None


def is_charge_point_id(text: str) -> bool:
    """Whether text may name a charge point: see ID_RULE."""
    return _ID.fullmatch(text) is not None


def read_charge_point_id(raw_path: str, prefix: str) -> str | None:
    """The identity in the path of an upgrade, or None where the path is not for charge points.

    Percent-decoded once; slashes may be doubled and segments precede the identity, as real charge
    points do both (OCPP-J 1.6, 3.1.1). raw_path is undecoded and without its query.
    """
    segments = [segment for segment in raw_path.split("/") if segment]
    wanted = [segment for segment in prefix.split("/") if segment]
    if segments[: len(wanted)] != wanted or len(segments) <= len(wanted):
        return None
    try:
        identity = unquote_to_bytes(segments[-1]).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return identity if is_charge_point_id(identity) else None
