"""Certificates that we issue: roots, server certificates, and those of charge points.

Keys and serial numbers are given, since making them needs chance (white paper, A00.FR.501 to 512:
at least 112 bits of strength, SHA-256, a serial number, keyUsage set).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

RSA_BITS_MIN = 2048
EC_BITS_MIN = 224
# Clocks of charge points lag behind: a certificate is valid a little before it is issued.
BACKDATED = timedelta(hours=1)


class SignatureAlgorithm(StrEnum):
    """How certificates are signed. PKCS#1 v1.5 is what every charge point and the conformance tool
    understand; the white paper would rather have PSS or ECDSA."""

    RSA_PKCS1V15 = "rsa-pkcs1v15"
    RSA_PSS = "rsa-pss"
    ECDSA = "ecdsa"


class Purpose(StrEnum):
    """What a certificate may be used for in TLS."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Authority:
    """A key that signs, with its certificate and those above it, in this order.

    Raises ValueError for a key that its certificate or the algorithm does not fit.
    """

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]
    algorithm: SignatureAlgorithm

    def __post_init__(self) -> None:
        if not self.chain or self.chain[0].public_key() != self.key.public_key():
            raise ValueError("the certificate is not that of the key")
        if not fits(self.key, self.algorithm):
            raise ValueError(f"the key can't sign with {self.algorithm}")

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]


def fits(key: PrivateKey, algorithm: SignatureAlgorithm) -> bool:
    """Whether a key can make such signatures."""
    return isinstance(key, rsa.RSAPrivateKey) is (algorithm is not SignatureAlgorithm.ECDSA)


def is_strong(key: object) -> bool:
    """Whether a public key has 112 bits of strength (A00.FR.503): RSA 2048, EC 224."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= RSA_BITS_MIN
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= EC_BITS_MIN


def subject(common_name: str, organisation: str = "") -> x509.Name:
    """CN, and O where it is known. Raises ValueError for a CN of more than 64 characters."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def make_root(
    key: PrivateKey,
    name: x509.Name,
    serial_number: int,
    algorithm: SignatureAlgorithm,
    now_ms: int,
    days: int,
) -> Authority:
    """A certificate authority of our own: its root signs itself. Raises ValueError."""
    builder = (
        _begun(key.public_key(), name, name, serial_number, now_ms, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(ca=True), critical=True)
    )
    return Authority(key, (_signed(builder, key, algorithm),), algorithm)


def issue(
    authority: Authority,
    public_key: PublicKey,
    name: x509.Name,
    serial_number: int,
    purpose: Purpose,
    now_ms: int,
    days: int,
    alternative_names: Sequence[str] = (),
) -> x509.Certificate:
    """A certificate for somebody else's key; it does not outlive its authority's own.

    alternative_names: host names and addresses of a server: clients of today look there, charge
    points at the CN. Raises ValueError.
    """
    issuer = authority.certificate
    builder = (
        _begun(public_key, name, issuer.subject, serial_number, now_ms, days, issuer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_EXTENDED[purpose]]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if alternative_names:
        names = x509.SubjectAlternativeName([_general_name(text) for text in alternative_names])
        builder = builder.add_extension(names, critical=False)
    return _signed(builder, authority.key, authority.algorithm)


def pem_chain(certificates: Sequence[x509.Certificate]) -> str:
    """PEM, in the order given, with LF line ends only, as charge points want it."""
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


_EXTENDED = {
    Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Purpose.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


def _begun(
    public_key: PublicKey,
    name: x509.Name,
    issuer_name: x509.Name,
    serial_number: int,
    now_ms: int,
    days: int,
    issuer: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    begins, ends = now - BACKDATED, now + timedelta(days=days)
    if issuer is not None:
        begins = max(begins, issuer.not_valid_before_utc)
        ends = min(ends, issuer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer_name)
        .public_key(public_key)
        .serial_number(serial_number)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        # TLS_RSA_… suites encrypt the secret with the server's key.
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _signed(
    builder: x509.CertificateBuilder, key: PrivateKey, algorithm: SignatureAlgorithm
) -> x509.Certificate:
    if algorithm is SignatureAlgorithm.RSA_PSS:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return builder.sign(key, hashes.SHA256(), rsa_padding=pss)
    return builder.sign(key, hashes.SHA256())
