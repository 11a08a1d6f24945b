"""Certificates that are sent to charge points: read strictly, and named by their hashes (security
white paper, M03 to M05)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from csms.domain.certificate_authority import is_strong
from csms.errors import FieldError

E = TypeVar("E", bound=x509.ExtensionType)

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"
_BLOCK = re.compile(
    r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+?\n-----END CERTIFICATE-----(?:\n|\Z)"
)
# What the white paper names, and how Python does.
HASH_ALGORITHMS: Mapping[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
# No chain is longer; each certificate costs its parsing.
CERTIFICATES_MAX = 10
_ENDS_SOON_DAYS = 90


def read_pem(text: str, field: str) -> tuple[x509.Certificate, ...]:
    """One certificate or several, in PEM as charge points want it: LF line ends, and nothing but
    the certificates. Raises FieldError."""
    if not text.isascii():
        raise FieldError(field, "must be PEM, which is ASCII only")
    if "\r" in text:
        raise FieldError(field, "must have LF line ends only, no CR")
    if not text.startswith(_BEGIN):
        raise FieldError(field, f"must begin with {_BEGIN}, with nothing before it")
    end = blocks = 0
    while block := _BLOCK.match(text, end):
        end, blocks = block.end(), blocks + 1
    if end < len(text):
        place = "after its certificates" if blocks else "in it"
        raise FieldError(field, f"must be PEM: there is something else {place}")
    if blocks > CERTIFICATES_MAX:
        raise FieldError(field, f"must hold {CERTIFICATES_MAX} certificates at most")
    try:
        return tuple(x509.load_pem_x509_certificates(text.encode("ascii")))
    except ValueError:
        raise FieldError(field, "is no certificate that can be read") from None


def tidied_pem(text: str) -> str:
    """The certificates of a text, as read_pem wants them: browsers and authorities send CRLF, and
    explanations between certificates. What holds none stays as it is."""
    blocks = []
    for part in text.split(_END)[:-1]:
        _, begin, inside = part.rpartition(_BEGIN)
        if begin:
            blocks.append("\n".join([_BEGIN, *inside.split(), _END, ""]))
    return "".join(blocks) or text


def hash_data(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str
) -> dict[str, str]:
    """certificateHashData of Edition 3, as OCSP has it (RFC 6960, 4.1.1): hashes of the issuer's
    name in DER and of its key without tag and length; the serial number without leading zeros."""
    asked = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, issuer, HASH_ALGORITHMS[algorithm])
        .build()
    )
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": asked.issuer_name_hash.hex(),
        "issuerKeyHash": asked.issuer_key_hash.hex(),
        "serialNumber": f"{certificate.serial_number:X}",
    }


def all_hash_data(
    certificate: x509.Certificate, others: Sequence[x509.Certificate] = ()
) -> Iterator[dict[str, str]]:
    """Under each algorithm; nothing where its issuer is neither itself nor one of the others."""
    for issuer in (certificate, *others):
        if issuer.subject == certificate.issuer and has_signed(issuer, certificate):
            yield from (hash_data(certificate, issuer, name) for name in HASH_ALGORITHMS)
            return


def hash_key(data: Mapping[str, object]) -> str:
    """What tells hash data from others: hex ignores case, and leading zeros are tolerated."""
    names = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
    algorithm, name, key, serial = (str(data.get(field, "")).strip().casefold() for field in names)
    return " ".join((algorithm, name, key, serial.removeprefix("0x").lstrip("0") or "0"))


def has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether a certificate bears the issuer's name and signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def root_problems(certificates: Sequence[x509.Certificate], now_ms: int) -> list[str]:
    """Why a charge point may refuse these as a root certificate. To be shown, not to be enforced:
    what a charge point makes of a bad one must remain testable."""
    problems = []
    if len(certificates) != 1:
        problems.append(f"InstallCertificate takes one certificate, not {len(certificates)}")
    for certificate in certificates[:1]:
        problems += _problems(certificate, datetime.fromtimestamp(now_ms / 1000, UTC))
    return problems


def _problems(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    try:
        constraints = _extension(certificate, x509.BasicConstraints)
        usage = _extension(certificate, x509.KeyUsage)
        strong = is_strong(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        yield "it can't be read in full"
        return
    if constraints is None or not constraints.ca:
        yield "it is not the certificate of an authority (basicConstraints)"
    if usage is not None and not usage.key_cert_sign:
        yield "its key may not sign certificates (keyUsage)"
    if not strong:
        yield "its key is weak: RSA of 2048 bits or EC of 224 at least (A00.FR.503)"
    if not has_signed(certificate, certificate):
        yield "it is no root: it is not signed with its own key"
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        yield f"it is not valid before {begins:%Y-%m-%d}"
    if ends < now:
        yield f"it has expired on {ends:%Y-%m-%d}"
    elif (ends - now).days < _ENDS_SOON_DAYS:
        yield f"it expires soon, on {ends:%Y-%m-%d}"


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
