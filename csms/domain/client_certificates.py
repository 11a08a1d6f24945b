"""Client certificates: how a proxy passes them on, whether they lead to a root of ours, and whose
they are (security white paper, A00.FR.403 to 408 and 501 to 512; RFC 5280, 6)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from csms.config import CommonNameRule
from csms.domain.certificate_authority import is_strong
from csms.domain.certificate_facts import CertificateFacts, facts_of
from csms.domain.charge_point import ChargePoint

Extension = TypeVar("Extension", bound=x509.ExtensionType)

# A leaf, three authorities between, and a root.
PATH_MAX = 5
# A header full of certificates costs a check of a signature each.
PASSED_ON_MAX = 8


@dataclass(frozen=True, slots=True)
class PresentedCertificate:
    """What a client showed, in DER: its certificate, then those above it as far as it sent them.

    path_verified: TLS has verified that it leads to a root of ours.
    """

    chain: tuple[bytes, ...]
    path_verified: bool

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the client's own certificate, in hex; "" where there is none to read."""
        return hashlib.sha256(self.chain[0]).hexdigest() if self.chain else ""


class CertificateProblem(StrEnum):
    """Why a client certificate does not admit."""

    UNREADABLE = "client certificate can't be read"
    UNTRUSTED = "client certificate leads to no root of ours"
    EXPIRED = "client certificate is not valid now"
    WEAK = "client certificate has a weak key"
    OTHER_ORGANISATION = "client certificate of another organisation"
    OTHER_NAME = "client certificate of another charge point"


class CertificateRefused(Exception):
    """explanation: one sentence for whoever set up the charge point."""

    def __init__(self, problem: CertificateProblem, explanation: str) -> None:
        super().__init__(explanation)
        self.problem = problem
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class ClientTrust:
    """Whose certificates are taken: those that lead to one of roots and whose O contains
    organisation ("" takes any); rule says what their CN must be."""

    roots: Sequence[x509.Certificate] = ()
    organisation: str = ""
    rule: CommonNameRule = CommonNameRule.EITHER


def common_names(charge_point: ChargePoint, rule: CommonNameRule) -> tuple[str, ...]:
    """What the CN of a charge point's certificate may be (quirk 36).

    The serial number is the one an operator entered, never the one in its last boot: that may have
    been sent by anybody while the security profile was 0, and would let whoever has a certificate
    of ours name the charge point it is to be taken for. (A certificate that we issued for a charge
    point is known by its fingerprint.)
    """
    serial = (charge_point.serial_number,) if charge_point.serial_number else ()
    names: Mapping[CommonNameRule, tuple[str, ...]] = {
        CommonNameRule.SERIAL: serial,
        CommonNameRule.ID: (charge_point.charge_point_id,),
        CommonNameRule.EITHER: (*serial, charge_point.charge_point_id),
    }
    return names[rule]


def read_passed_on(header: str) -> PresentedCertificate | None:
    """The certificate in a header of a proxy that ends TLS; None where it says there was none.

    nginx and HAProxy write percent-encoded PEM, Traefik and others the base64 of DER, both with
    those above it behind; Envoy (XFCC) fields of which Cert is one, an element for every proxy.
    What can't be read becomes a certificate that can't be read.
    """
    text = header.strip()
    if _ENVOY.match(text):
        elements = _ENVOY_ELEMENT.findall(text)
        last = _ENVOY_CERTIFICATE.search(elements[-1])
        text = last[1] if last else ""
    if not text:
        return None
    decoded = unquote_to_bytes(text)
    encoded = _PEM.findall(decoded) if b"-----BEGIN" in decoded else decoded.split(b",")
    try:
        chain = tuple(base64.b64decode(b"".join(e.split()), validate=True) for e in encoded)
    except binascii.Error:
        chain = ()
    return PresentedCertificate(chain[:PASSED_ON_MAX], path_verified=False)


_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----", re.ASCII
)
_ENVOY = re.compile(r"(?:By|Hash|Cert|Chain|Subject|URI|DNS)=", re.IGNORECASE)
_ENVOY_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_ENVOY_CERTIFICATE = re.compile(r'(?:^|;)Cert="([^"]*)"', re.IGNORECASE)


def check_client_certificate(
    charge_point: ChargePoint,
    presented: PresentedCertificate,
    trust: ClientTrust,
    now_ms: int,
    is_own: bool | None = None,
) -> CertificateFacts:
    """What stands in a certificate that admits the charge point.

    is_own: True where it was issued for this charge point, whatever names it has; False where it
    was issued for another one, which may have claimed this one's serial number, or where this one
    refused it or has used a newer one; None where nobody knows. Raises CertificateRefused.
    """
    try:
        chain = [x509.load_der_x509_certificate(der) for der in presented.chain]
        leaf = chain[0]
        facts = facts_of(leaf)
        is_weak = not is_strong(leaf.public_key())
    except (ValueError, IndexError, UnsupportedAlgorithm):
        raise CertificateRefused(
            CertificateProblem.UNREADABLE, "The client certificate can't be read."
        ) from None
    if not facts.not_before_ms <= now_ms <= facts.not_after_ms:
        raise CertificateRefused(
            CertificateProblem.EXPIRED,
            f"The client certificate is valid from {_day(facts.not_before_ms)} to "
            f"{_day(facts.not_after_ms)}.",
        )
    if is_weak:
        raise CertificateRefused(
            CertificateProblem.WEAK, "Its key must be RSA of 2048 bits or EC of 224 at least."
        )
    if not presented.path_verified and not leads_to_root(chain, trust.roots, now_ms):
        raise CertificateRefused(
            CertificateProblem.UNTRUSTED, "The client certificate leads to no root of ours."
        )
    if is_own:
        return facts
    if is_own is False:
        raise CertificateRefused(
            CertificateProblem.OTHER_NAME,
            "The client certificate was not issued for it, or a newer one has replaced it.",
        )
    if trust.organisation.casefold() not in facts.organisation.casefold():
        raise CertificateRefused(
            CertificateProblem.OTHER_ORGANISATION,
            f"The O of the client certificate must contain {trust.organisation}.",
        )
    names = common_names(charge_point, trust.rule)
    if facts.common_name.casefold() not in {name.casefold() for name in names}:
        raise CertificateRefused(
            CertificateProblem.OTHER_NAME,
            f"The CN of the client certificate must be {_WANTED[trust.rule]}.",
        )
    return facts


_WANTED = {
    CommonNameRule.SERIAL: "the serial number of the charge point as entered by an operator",
    CommonNameRule.ID: "the id of the charge point",
    CommonNameRule.EITHER: "the id of the charge point or its serial number as entered",
}


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def leads_to_root(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now_ms: int
) -> bool:
    """Whether a client certificate (the first) leads, through the others, to one of roots.

    Each link is a signature by a valid authority that may sign certificates at its depth. Name
    constraints and whatever else is critical and unknown here are refused.
    """
    leaf, *between = chain
    return _is_valid(leaf, now_ms) and _is_client(leaf) and _climb([leaf], between, roots, now_ms)


def _climb(
    path: list[x509.Certificate],
    between: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now_ms: int,
) -> bool:
    below = path[-1]
    if below in roots:
        return True
    if len(path) == PATH_MAX:
        return False
    return any(
        _may_issue(issuer, len(path) - 1, now_ms)
        and _has_signed(issuer, below)
        and _climb([*path, issuer], between, roots, now_ms)
        for issuer in (*roots, *between)
        if issuer not in path
    )


def _may_issue(issuer: x509.Certificate, authorities_below: int, now_ms: int) -> bool:
    if not _is_valid(issuer, now_ms):
        return False
    constraints = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or authorities_below <= constraints.path_length)
        and (usage is None or usage.key_cert_sign)
    )


def _is_client(leaf: x509.Certificate) -> bool:
    usages = _extension(leaf, x509.ExtendedKeyUsage)
    return usages is None or bool(
        {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages)
    )


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


_UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}


def _is_valid(certificate: x509.Certificate, now_ms: int) -> bool:
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    try:
        known = all(not e.critical or e.oid in _UNDERSTOOD for e in certificate.extensions)
        strong = is_strong(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return False
    in_time = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return known and strong and in_time


def _has_signed(issuer: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(issuer)  # which takes neither MD5 nor SHA-1
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
