"""What a charge point asks to have signed (SignCertificate), and what an authority makes of it
(security white paper, A02, A03; A00.FR.501 to 512)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from csms.config import CommonNameRule, SubjectRule
from csms.domain.certificate_authority import PublicKey, is_strong
from csms.domain.certificate_facts import CertificateFacts, common_name, facts_of, organisation
from csms.domain.certificates import has_signed
from csms.domain.charge_point import ChargePoint
from csms.domain.client_certificates import common_names

CSR_MAX = 5_500
CHAIN_MAX = 10_000
COMMON_NAME_MAX = 64


class RequestState(StrEnum):
    # The charge point was told that it can be processed; nobody has signed yet.
    RECEIVED = "received"
    SIGNED = "signed"
    # CertificateSigned is on its way.
    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    # There will be no certificate of this request; the reason says why.
    FAILED = "failed"
    # The charge point was told that it can't be processed.
    REFUSED = "refused"


class CertificateState(StrEnum):
    """Of a certificate that was signed for a charge point."""

    # Signed; what the charge point says of it is not known.
    ISSUED = "issued"
    # The charge point took it, and has not used it yet.
    PENDING = "pending"
    ACTIVE = "active"
    # A newer one was used.
    SUPERSEDED = "superseded"
    # The charge point did not take it.
    REJECTED = "rejected"
    # An operator has ended it.
    REVOKED = "revoked"


# These admit nobody, whatever their time of validity.
OVER = frozenset({CertificateState.SUPERSEDED, CertificateState.REJECTED, CertificateState.REVOKED})


class UnacceptableRequest(ValueError):
    """Why a charge point's request can't be signed, in plain words."""


class UnusableChain(ValueError):
    """Why what an authority gave is not sent to the charge point, in plain words."""


@dataclass(frozen=True, slots=True)
class ExpectedSubject:
    """What may stand in the certificate of a charge point.

    common_names: the first is what we set ourselves. organisation: "" where nobody knows it.
    claimed: serial numbers that the charge point says are its own.
    """

    common_names: tuple[str, ...]
    organisation: str = ""
    claimed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A request that can be signed, and the subject its certificate gets. key: such as RSA 2048."""

    pem: str
    public_key: PublicKey
    key: str
    common_name: str
    organisation: str


def expected_subject(
    record: ChargePoint, rule: CommonNameRule, organisation: str | None
) -> ExpectedSubject:
    """What the door will ask for: the serial number that an operator entered, the id, or either.

    What the charge point says of its serial number in its boot is not enough: it may be another's.
    """
    told = (record.facts.get(name, "").strip() for name in _SERIAL_FACTS)
    claimed = tuple(serial for serial in told if serial)
    return ExpectedSubject(common_names(record, rule), organisation or "", claimed)


_SERIAL_FACTS = ("chargePointSerialNumber", "chargeBoxSerialNumber")
_ENTER_IT = "enter it as its serial number if that is right"


def judge_request(text: str, expected: ExpectedSubject, rule: SubjectRule) -> CertificateRequest:
    """The request, with the subject its certificate gets. Raises UnacceptableRequest.

    The signature proves that the charge point has the key. Its subject must be the expected one;
    it may be missing (rule `fill`), or is not looked at (rule `ignore`): the charge point has
    proved who it is on its connection, and what is signed is what we know of it.
    """
    if len(text) > CSR_MAX:
        raise UnacceptableRequest(f"the CSR is longer than {CSR_MAX} characters")
    try:
        csr = x509.load_pem_x509_csr(text.encode("utf-8", "replace"))
        key = csr.public_key()
        is_signed = csr.is_signature_valid
        asked_name, asked_organisation = common_name(csr.subject), organisation(csr.subject)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnacceptableRequest("the CSR can't be read: it must be PKCS#10 in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise UnacceptableRequest("the key must be RSA or EC")
    if not is_strong(key):
        raise UnacceptableRequest(
            f"the key is weak ({_key_words(key)}): RSA of 2048 bits or EC of 224 at least "
            "(A00.FR.503)"
        )
    if not is_signed:
        raise UnacceptableRequest("the signature of the CSR is not that of its key")
    if not expected.common_names:
        hint = f" (it says {expected.claimed[0]})" if expected.claimed else ""
        raise UnacceptableRequest(f"no serial number is entered for it{hint}, which the CN must be")
    name, named_organisation = expected.common_names[0], expected.organisation
    if rule is not SubjectRule.IGNORE:
        is_strict = rule is SubjectRule.STRICT
        name = _expected_name(asked_name, expected, is_strict=is_strict)
        named_organisation = _expected_organisation(
            asked_organisation, expected.organisation, is_strict=is_strict
        )
    if len(name) > COMMON_NAME_MAX:
        raise UnacceptableRequest(f"{name} is too long for a CN of {COMMON_NAME_MAX} characters")
    return CertificateRequest(text, key, _key_words(key), name, named_organisation)


def _expected_name(asked: str, expected: ExpectedSubject, *, is_strict: bool) -> str:
    names = expected.common_names
    if not asked and not is_strict:
        return names[0]
    for name in names:
        if name.casefold() == asked.strip().casefold():
            return name
    hint = f"; {_ENTER_IT}" if asked.strip() in expected.claimed else ""
    raise UnacceptableRequest(f"its CN is {_quoted(asked)} and must be {' or '.join(names)}{hint}")


def _expected_organisation(asked: str, wanted: str, *, is_strict: bool) -> str:
    if not wanted:  # nobody has said what it must be
        return asked[:COMMON_NAME_MAX]
    if (asked or is_strict) and asked.strip().casefold() != wanted.strip().casefold():
        raise UnacceptableRequest(f"its O is {_quoted(asked)} and must be {wanted} (CpoName)")
    return wanted


def _quoted(asked: str) -> str:
    return f"“{asked[:COMMON_NAME_MAX]}”" if asked else "missing"


def _key_words(key: PublicKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"EC {key.curve.name}"


def check_chain(
    chain: Sequence[x509.Certificate],
    request: CertificateRequest,
    expected: ExpectedSubject,
    now_ms: int,
) -> CertificateFacts:
    """Whether an authority's answer is of use to the charge point: its leaf first, for the key that
    was asked for, in the name that will be checked at the door. Raises UnusableChain."""
    leaf = chain[0]
    try:
        facts = facts_of(leaf)
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableChain("the first certificate can't be read") from None
    if key != request.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise UnusableChain(
            "the first certificate is not for the key of the CSR: the charge point's comes first"
        )
    if facts.not_after_ms <= now_ms:
        raise UnusableChain("the certificate has expired")
    if facts.common_name.casefold() not in {name.casefold() for name in expected.common_names}:
        wanted = " or ".join(expected.common_names)
        raise UnusableChain(f"its CN is {_quoted(facts.common_name)} and must be {wanted}")
    for below, issuer in pairwise(chain):
        if not has_signed(issuer, below):
            raise UnusableChain("the certificates must stand in order, each signed by the next")
    return facts
