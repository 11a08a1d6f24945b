"""Signatures of firmware files: made with an operator's key, and checked (white paper, L01).

Of a file only its SHA-256 digest is needed, so that files of any size are hashed as they arrive.
The white paper names RSA-PSS and ECSchnorr; the latter no library has, so that keys on elliptic
curves sign with ECDSA.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from csms.domain.certificate_authority import (
    BACKDATED,
    PrivateKey,
    SignatureAlgorithm,
    fits,
    is_strong,
    pem_chain,
    subject,
)

SIGNATURE_MAX = 800
CERTIFICATE_MAX = 5500
# As base64 the signature of a longer key is more than SignedUpdateFirmware.req takes.
RSA_BITS_MAX = 4800
_DIGEST = Prehashed(hashes.SHA256())


class UnusableSigningKey(ValueError):
    """field: `private_key`, `certificate` or `algorithm`; the text says what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs firmware, its certificate, and how it signs."""

    private_key: PrivateKey
    certificate: x509.Certificate
    algorithm: SignatureAlgorithm

    def sign(self, digest: bytes) -> str:
        """The signature as SignedUpdateFirmware.req carries it: base64, 800 characters at most."""
        return base64.b64encode(_signature(self.private_key, digest, self.algorithm)).decode()

    @property
    def certificate_pem(self) -> str:
        return pem_chain([self.certificate])

    def private_pem(self) -> str:
        """PKCS#8, unencrypted: to be sealed."""
        return self.private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()


def _signature(key: PrivateKey, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(digest, ec.ECDSA(_DIGEST))
    if algorithm is SignatureAlgorithm.RSA_PSS:
        return key.sign(digest, _pss(padding.PSS.DIGEST_LENGTH), _DIGEST)
    return key.sign(digest, padding.PKCS1v15(), _DIGEST)


def _pss(salt_length: object) -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), salt_length)  # type: ignore[arg-type]


def read_signing_key(
    private_pem: str, certificate_pem: str, algorithm: SignatureAlgorithm | None = None
) -> SigningKey:
    """algorithm None: RSA-PSS, as the white paper wants it, or ECDSA, whichever the key can.

    Raises UnusableSigningKey.
    """
    try:
        key = load_pem_private_key(private_pem.encode(), None)
    except TypeError:
        problem = "is encrypted: give it without a passphrase; it is stored sealed"
        raise UnusableSigningKey("private_key", problem) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableSigningKey("private_key", "is not a private key in PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise UnusableSigningKey("private_key", "must be an RSA key or one on an elliptic curve")
    if not is_strong(key.public_key()):
        raise UnusableSigningKey("private_key", "is too weak: RSA has 2048 bits at least, EC 224")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size > RSA_BITS_MAX:
        raise UnusableSigningKey(
            "private_key",
            f"is too long: a signature of more than {RSA_BITS_MAX} bits does not fit the message",
        )
    certificate = read_certificate(certificate_pem)
    if certificate is None:
        raise UnusableSigningKey("certificate", "is not one certificate in PEM")
    if len(pem_chain([certificate])) > CERTIFICATE_MAX:
        raise UnusableSigningKey("certificate", f"has more than {CERTIFICATE_MAX} characters")
    if certificate.public_key() != key.public_key():
        raise UnusableSigningKey("certificate", "is not that of the private key")
    return SigningKey(key, certificate, _algorithm_for(key, algorithm))


def _algorithm_for(key: PrivateKey, wanted: SignatureAlgorithm | None) -> SignatureAlgorithm:
    if wanted is None:
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        return SignatureAlgorithm.RSA_PSS if is_rsa else SignatureAlgorithm.ECDSA
    if not fits(key, wanted):
        raise UnusableSigningKey("algorithm", f"the key can't sign with {wanted}")
    return wanted


def certify(
    key: PrivateKey,
    common_name: str,
    organisation: str,
    serial_number: int,
    algorithm: SignatureAlgorithm,
    now_ms: int,
    days: int,
) -> SigningKey:
    """A signing key with a certificate that it has signed itself, for signing code only.

    Raises ValueError for a name that is too long, UnusableSigningKey for a key that does not fit
    the algorithm.
    """
    name = subject(common_name, organisation)
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return SigningKey(key, certificate, _algorithm_for(key, algorithm))


def read_certificate(pem: str) -> x509.Certificate | None:
    """The one certificate in a text; None where there is none of use, or more than one."""
    try:
        (certificate,) = x509.load_pem_x509_certificates(pem.encode())
        certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return certificate


def signed_with(
    certificate: x509.Certificate, digest: bytes, signature: str
) -> SignatureAlgorithm | None:
    """How a signature was made; None where it is not of this digest and certificate."""
    raw = _decoded(signature)
    key = certificate.public_key()
    if raw is None:
        return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _first_verified([(SignatureAlgorithm.ECDSA, (ec.ECDSA(_DIGEST),))], key, raw, digest)
    if isinstance(key, rsa.RSAPublicKey):
        ways = [
            (SignatureAlgorithm.RSA_PSS, (_pss(padding.PSS.AUTO), _DIGEST)),
            (SignatureAlgorithm.RSA_PKCS1V15, (padding.PKCS1v15(), _DIGEST)),
        ]
        return _first_verified(ways, key, raw, digest)
    return None


def _first_verified(
    ways: Sequence[tuple[SignatureAlgorithm, tuple[object, ...]]],
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    raw: bytes,
    digest: bytes,
) -> SignatureAlgorithm | None:
    for algorithm, how in ways:
        try:
            key.verify(raw, digest, *how)  # type: ignore[arg-type]
        except InvalidSignature:
            continue
        return algorithm
    return None


def _decoded(signature: str) -> bytes | None:
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None


def signature_warnings(
    signature: str, certificate_pem: str, now_ms: int, sha256: str = ""
) -> list[str]:
    """What a charge point will hold against a signature or its certificate, in plain words.

    Never more than a warning: what is sent is the operator's business (conformance case TC_081
    sends an invalid signature). sha256: of the file, in hex, where it is known.
    """
    warnings: list[str] = []
    if not _decoded(signature):
        warnings.append("the signature is not base64")
    certificate = read_certificate(certificate_pem)
    if certificate is None:
        return [*warnings, "the signing certificate is not one certificate in PEM"]
    warnings += _certificate_warnings(certificate, now_ms)
    if sha256 and signed_with(certificate, bytes.fromhex(sha256), signature) is None:
        warnings.append("the signature is not of this file and certificate")
    return warnings


def _certificate_warnings(certificate: x509.Certificate, now_ms: int) -> list[str]:
    warnings = []
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    if now > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc
        warnings.append(f"the signing certificate expired on {ended:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc
        warnings.append(f"the signing certificate is not valid before {begins:%Y-%m-%d}")
    if not is_strong(certificate.public_key()):
        warnings.append(
            "the key of the signing certificate is too weak: RSA has 2048 bits at least, EC 224"
        )
    return warnings
