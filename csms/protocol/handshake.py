"""Who may connect: the order of questions at the door (OCPP-J 1.6, 3 and 6; white paper, A00)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from csms.domain.certificate_facts import CertificateFacts
from csms.domain.charge_point import ChargePoint
from csms.domain.client_certificates import (
    CertificateProblem,
    CertificateRefused,
    ClientTrust,
    PresentedCertificate,
    check_client_certificate,
)
from csms.domain.credentials import key_matches, read_basic_credentials

SUBPROTOCOL = "ocpp1.6"


class RefusalReason(StrEnum):
    """Why a connection was refused: what operators read in the list of refusals."""

    NOT_AN_OCPP_PATH = "not an address for charge points"
    UNKNOWN_CHARGE_POINT = "unknown charge point"
    WRONG_TRANSPORT = "transport does not fit the security profile"
    MISSING_CREDENTIALS = "no credentials"
    WRONG_CREDENTIALS = "wrong credentials"
    NO_CLIENT_CERTIFICATE = "no client certificate"
    CERTIFICATE_UNREADABLE = CertificateProblem.UNREADABLE.value
    CERTIFICATE_UNTRUSTED = CertificateProblem.UNTRUSTED.value
    CERTIFICATE_EXPIRED = CertificateProblem.EXPIRED.value
    CERTIFICATE_WEAK = CertificateProblem.WEAK.value
    CERTIFICATE_OTHER_ORGANISATION = CertificateProblem.OTHER_ORGANISATION.value
    CERTIFICATE_OTHER_NAME = CertificateProblem.OTHER_NAME.value
    TOO_MANY_ATTEMPTS = "too many wrong credentials"
    NO_SUBPROTOCOL = "no common subprotocol"
    FROM_A_BROWSER = "sent by a web page"
    AT_CAPACITY = "over capacity or draining"
    STORE_UNAVAILABLE = "the store does not answer"
    MALFORMED = "malformed handshake"
    TLS_HANDSHAKE_FAILED = "TLS handshake failed"


DOWNGRADES = frozenset({RefusalReason.WRONG_TRANSPORT, RefusalReason.NO_CLIENT_CERTIFICATE})
"""A charge point that comes with less than its security profile demands."""

IMPOSTURES = frozenset(
    {
        *DOWNGRADES,
        RefusalReason.MISSING_CREDENTIALS,
        RefusalReason.WRONG_CREDENTIALS,
        *[RefusalReason(problem.value) for problem in CertificateProblem],
    }
)
"""Somebody may have pretended to be the charge point."""


class HandshakeRefused(Exception):
    """status: the HTTP status; explanation: one sentence for whoever set up the charge point;
    retry_after_s: 0 where it does not matter when it comes back."""

    def __init__(
        self, status: int, reason: RefusalReason, explanation: str, retry_after_s: int = 0
    ) -> None:
        super().__init__(explanation)
        self.retry_after_s = retry_after_s
        self.status = status
        self.reason = reason
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class Caller:
    """What somebody shows who says that it is a charge point.

    presented_id: the identity as decoded from the URL. secure: TLS was spoken. authorization: the
    header. is_own: whether the certificate was issued for this charge point; None: not through us.
    """

    presented_id: str
    secure: bool
    authorization: str | None = None
    certificate: PresentedCertificate | None = None
    is_own: bool | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """profile: the security profile it came with; above that of the record where an upgrade was
    pending. pending_key_hash: of the pending key it used, for the first time; None where it used
    the one in force, or none. certificate: of profile 3."""

    profile: int
    pending_key_hash: str | None = None
    certificate: CertificateFacts | None = None


def recognise(
    charge_point: ChargePoint, caller: Caller, pepper: bytes, trust: ClientTrust, now_ms: int
) -> Recognised:
    """Raises HandshakeRefused unless the caller fits the charge point's security profile.

    While an upgrade is pending both profiles admit, since the charge point may fall back (white
    paper, A05.FR.08); after the first success with the higher one only that does (FR.09).
    """
    pending = charge_point.pending_security_profile
    if pending is not None and pending > charge_point.security_profile:
        try:
            return _recognise(charge_point, pending, caller, pepper, trust, now_ms)
        except HandshakeRefused:
            pass  # it may still come with the old one
    return _recognise(charge_point, charge_point.security_profile, caller, pepper, trust, now_ms)


def _recognise(
    charge_point: ChargePoint,
    profile: int,
    caller: Caller,
    pepper: bytes,
    trust: ClientTrust,
    now_ms: int,
) -> Recognised:
    """With profile 2 or 3 nobody is admitted without TLS; with 0 or 1 it does not matter, since a
    proxy may end TLS and more protection harms nobody (ADR 0013)."""
    if profile >= 2 and not caller.secure:
        raise HandshakeRefused(
            403, RefusalReason.WRONG_TRANSPORT, f"Security profile {profile} needs TLS (wss)."
        )
    if profile == 3:
        certificate = _check_certificate(charge_point, caller, trust, now_ms)
        return Recognised(profile, certificate=certificate)
    if profile == 0:
        return Recognised(profile)
    key_hash = check_credentials(charge_point, caller, pepper)
    return Recognised(profile, None if key_hash == charge_point.key_hash else key_hash)


def _check_certificate(
    charge_point: ChargePoint, caller: Caller, trust: ClientTrust, now_ms: int
) -> CertificateFacts:
    presented = caller.certificate
    if presented is None:
        raise HandshakeRefused(
            403,
            RefusalReason.NO_CLIENT_CERTIFICATE,
            "Security profile 3 needs a client certificate.",
        )
    try:
        return check_client_certificate(charge_point, presented, trust, now_ms, caller.is_own)
    except CertificateRefused as refused:
        reason = RefusalReason(refused.problem.value)
        raise HandshakeRefused(403, reason, refused.explanation) from None


def check_credentials(charge_point: ChargePoint, caller: Caller, pepper: bytes) -> str:
    """The hash of the key that the caller has; it may be a pending one.

    Raises HandshakeRefused (401) unless its Basic credentials are right; the user must be the
    identity (OCPP-J 6.2.2). Answer and cost are the same for a wrong user and a wrong password.
    """
    credentials = read_basic_credentials(caller.authorization)
    if credentials is None:
        raise HandshakeRefused(
            401, RefusalReason.MISSING_CREDENTIALS, "Basic authentication is required."
        )
    user, password = credentials
    keys = (charge_point.key_hash, *charge_point.pending_key_hashes)
    fitting = [stored for stored in keys if key_matches(password, stored, pepper)]
    if user.lower() != caller.presented_id.encode().lower() or not fitting:
        raise HandshakeRefused(
            401, RefusalReason.WRONG_CREDENTIALS, "The credentials are not right."
        )
    return fitting[0]


def choose_subprotocol(offered: str | None, *, assume: bool) -> str | None:
    """The subprotocol to agree on; None where none was offered and it may be assumed.

    Raises HandshakeRefused (400) where nothing is common: the conformance tests demand a refusal
    (TC_088), where the specification's text would close after the upgrade (OCPP-J 3.2).
    """
    tokens: Sequence[str] = [token.strip() for token in (offered or "").split(",") if token.strip()]
    if SUBPROTOCOL in tokens:
        return SUBPROTOCOL
    if not tokens and assume:
        return None
    detail = f"offered: {', '.join(tokens)[:100]}" if tokens else "none was offered"
    raise HandshakeRefused(
        400,
        RefusalReason.NO_SUBPROTOCOL,
        f"Sec-WebSocket-Protocol must offer {SUBPROTOCOL}; {detail}.",
    )
