"""What stands in a certificate, in words."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """serial_number and fingerprint (SHA-256): in hex. issuer: as RFC 4514 writes names."""

    common_name: str
    organisation: str
    issuer: str
    serial_number: str
    fingerprint: str
    not_before_ms: int
    not_after_ms: int


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Raises ValueError for a certificate whose names can't be read."""
    return CertificateFacts(
        common_name=common_name(certificate.subject),
        organisation=organisation(certificate.subject),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:X}",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_before_ms=int(certificate.not_valid_before_utc.timestamp() * 1000),
        not_after_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
    )


def common_name(name: x509.Name) -> str:
    """ "" where there is none."""
    return _text(name, NameOID.COMMON_NAME)


def organisation(name: x509.Name) -> str:
    """ "" where there is none."""
    return _text(name, NameOID.ORGANIZATION_NAME)


def _text(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    return ", ".join(v if isinstance(v, str) else v.hex() for v in values)
