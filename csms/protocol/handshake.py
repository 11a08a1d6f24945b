"""Who may connect: the order of questions at the door (OCPP-J 1.6, 3 and 6; white paper, A00)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from csms.domain.charge_point import ChargePoint
from csms.domain.credentials import key_matches, read_basic_credentials

SUBPROTOCOL = "ocpp1.6"


class RefusalReason(StrEnum):
    """Why a connection was refused: what operators read in the list of refusals."""

    NOT_AN_OCPP_PATH = "not an address for charge points"
    UNKNOWN_CHARGE_POINT = "unknown charge point"
    WRONG_TRANSPORT = "transport does not fit the security profile"
    MISSING_CREDENTIALS = "no credentials"
    WRONG_CREDENTIALS = "wrong credentials"
    NO_SUBPROTOCOL = "no common subprotocol"
    FROM_A_BROWSER = "sent by a web page"
    AT_CAPACITY = "over capacity or draining"
    STORE_UNAVAILABLE = "the store does not answer"
    MALFORMED = "malformed handshake"
    TLS_HANDSHAKE_FAILED = "TLS handshake failed"


class HandshakeRefused(Exception):
    """status: the HTTP status; explanation: one sentence for whoever set up the charge point."""

    def __init__(self, status: int, reason: RefusalReason, explanation: str) -> None:
        super().__init__(explanation)
        self.status = status
        self.reason = reason
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a charge point presented. pending_key_hash: of the pending key it used, for the first
    time; None where it used the one in force, or needed none."""

    pending_key_hash: str | None = None


def check_transport(charge_point: ChargePoint, *, secure: bool) -> None:
    """Raises HandshakeRefused where the link is not the one its security profile demands.

    A charge point of profile 2 or 3 is never admitted without TLS; one of profile 0 or 1 may come
    over TLS, since a proxy may end it and more protection harms nobody.
    """
    if charge_point.security_profile >= 2 and not secure:
        raise HandshakeRefused(
            403,
            RefusalReason.WRONG_TRANSPORT,
            f"Security profile {charge_point.security_profile} needs TLS (wss).",
        )


def check_credentials(
    charge_point: ChargePoint, presented_id: str, authorization: str | None, pepper: bytes
) -> Credentials:
    """Raises HandshakeRefused (401) unless the Basic credentials are right for the profile.

    presented_id: the identity as decoded from the URL, which the user must equal (OCPP-J 6.2.2).
    Answer and cost are the same for a wrong user and a wrong password.
    """
    if charge_point.security_profile == 0:
        return Credentials()
    credentials = read_basic_credentials(authorization)
    if credentials is None:
        raise HandshakeRefused(
            401, RefusalReason.MISSING_CREDENTIALS, "Basic authentication is required."
        )
    user, password = credentials
    current = key_matches(password, charge_point.key_hash, pepper)
    pending = [
        stored
        for stored in charge_point.pending_key_hashes
        if key_matches(password, stored, pepper)
    ]
    if user.lower() != presented_id.encode().lower() or not (current or pending):
        raise HandshakeRefused(
            401, RefusalReason.WRONG_CREDENTIALS, "The credentials are not right."
        )
    return Credentials(None if current else pending[0])


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
