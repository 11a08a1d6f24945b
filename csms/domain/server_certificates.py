"""The certificates this server shows, and when one of them has to be replaced."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from csms.domain.certificate_authority import is_strong
from csms.domain.certificate_facts import common_name

DAY_MS = 86_400_000
SOON_MS = 21 * DAY_MS


class UnusableCertificate(ValueError):
    """Says in plain words what is wrong with a certificate of ours."""


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """algorithm: of its key, `RSA` or `ECDSA`."""

    common_name: str
    algorithm: str
    not_before_ms: int
    not_after_ms: int

    def days_left(self, now_ms: int) -> float:
        """Below 0 when it has ended."""
        return (self.not_after_ms - now_ms) / DAY_MS

    def ends_soon(self, now_ms: int) -> bool:
        """In the last third of its life, three weeks at most: some live for a day only, since that
        is how a server's certificate is revoked (white paper, A00)."""
        life_ms = self.not_after_ms - self.not_before_ms
        return self.not_after_ms - now_ms < min(SOON_MS, life_ms // 3)


def read_server_certificate(pem: bytes) -> ServerCertificate:
    """The first certificate of a chain in PEM. Raises UnusableCertificate."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError as error:
        raise UnusableCertificate(f"holds no certificate in PEM ({error})") from None
    if not is_strong(key):
        raise UnusableCertificate(
            "its key must be RSA of 2048 bits or EC of 224 bits at least (A00.FR.503)"
        )
    return ServerCertificate(
        common_name=common_name(certificate.subject),
        algorithm="RSA" if isinstance(key, rsa.RSAPublicKey) else "ECDSA",
        not_before_ms=int(certificate.not_valid_before_utc.timestamp() * 1000),
        not_after_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
    )
