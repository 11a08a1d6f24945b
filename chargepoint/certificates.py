"""The keys and certificates of a charge point (security white paper, A02, M03 to M05).

Its own certificate with the key it asked for it with, and the roots it was given.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

KeyKind = Literal["ec", "rsa"]
HashAlgorithm = Literal["SHA256", "SHA384", "SHA512"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with the chain above it, and the key that belongs to it; both as PEM."""

    chain: str
    key: str


class Certificates:
    """What a charge point holds. `identity` is None until a CertificateSigned has been accepted."""

    def __init__(self, key_kind: KeyKind, hash_algorithm: HashAlgorithm) -> None:
        self.identity: Identity | None = None
        self.roots: dict[str, list[x509.Certificate]] = {}
        self._key_kind = key_kind
        self._hash_algorithm = hash_algorithm
        self._asked_with: PrivateKey | None = None

    def ask(self, common_name: str, organisation: str) -> str:
        """A certificate signing request in PEM, for a key made for it."""
        key: PrivateKey
        if self._key_kind == "ec":
            key = ec.generate_private_key(ec.SECP256R1())
        else:
            key = rsa.generate_private_key(65537, 2048)
        names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organisation:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        self._asked_with = key
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def take_signed(self, chain: str, now: datetime) -> bool:
        """Whether the chain's first certificate is one for the key asked with, and valid now."""
        try:
            certificates = x509.load_pem_x509_certificates(chain.encode())
        except ValueError:
            return False
        leaf, key = certificates[0], self._asked_with
        if key is None or leaf.public_key() != key.public_key() or leaf.not_valid_after_utc <= now:
            return False
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self.identity = Identity(chain, private)
        return True

    def install(self, kind: str, pem: str, now: datetime) -> str:
        """The status of an InstallCertificate.conf; a root must be an authority and valid."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        except (ValueError, x509.ExtensionNotFound):
            return "Rejected"
        if not constraints.value.ca or certificate.not_valid_after_utc <= now:
            return "Rejected"
        held = self.roots.setdefault(kind, [])
        if certificate not in held:
            held.append(certificate)
        return "Accepted"

    def list(self, kind: str) -> list[dict[str, str]]:
        """certificateHashData of the roots of a kind."""
        return [hash_data(root, self._hash_algorithm) for root in self.roots.get(kind, [])]

    def delete(self, wanted: Mapping[str, Any]) -> str:
        """The status of a DeleteCertificate.conf."""
        algorithm = str(wanted.get("hashAlgorithm"))
        if algorithm not in _HASHES:
            return "Failed"
        for held in self.roots.values():
            for root in held:
                if hash_data(root, algorithm) == dict(wanted):
                    held.remove(root)
                    return "Accepted"
        return "NotFound"


_HASHES = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384, "SHA512": hashlib.sha512}


def hash_data(root: x509.Certificate, algorithm: str) -> dict[str, str]:
    """certificateHashData of a certificate that signed itself (edition 3)."""
    digest = _HASHES[algorithm]
    # PKCS#1 and the uncompressed point are what the BIT STRING of the public key holds.
    key = root.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        bits = key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        bits = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    else:
        raise ValueError("neither an RSA nor an EC key")
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(root.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": digest(bits).hexdigest(),
        "serialNumber": f"{root.serial_number:X}",
    }
