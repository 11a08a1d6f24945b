"""The firmware of virtual charge points: what a file must be to be installed, and whose it is."""

import base64
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

# FirmwareVersion has 50 characters at most (OCPP 1.6 ed. 2, 6.3).
_FIRST_LINE = re.compile(rb"VIRTUAL-FIRMWARE ([!-~]{1,50})\n")
_DIGEST = Prehashed(hashes.SHA256())


def image(version: str, content: bytes = b"") -> bytes:
    """A file that a virtual charge point installs, and reports as `version` from then on."""
    return f"VIRTUAL-FIRMWARE {version}\n".encode() + content


def version_of(head: bytes) -> str | None:
    """What a file that begins like this makes of a charge point; None: it is no firmware."""
    found = _FIRST_LINE.match(head)
    return found.group(1).decode() if found else None


def is_signed(sha256: str, signature: str, certificate_pem: str) -> bool:
    """Whether the key of the certificate has signed a file with this digest (white paper, L01)."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    except ValueError:
        return False
    digest = bytes.fromhex(sha256)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, digest, ec.ECDSA(_DIGEST))
            return True
        return isinstance(key, rsa.RSAPublicKey) and _is_signed_by_rsa(key, raw, digest)
    except InvalidSignature:
        return False


def _is_signed_by_rsa(key: rsa.RSAPublicKey, raw: bytes, digest: bytes) -> bool:
    try:
        key.verify(
            raw, digest, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO), _DIGEST
        )
    except InvalidSignature:
        key.verify(raw, digest, padding.PKCS1v15(), _DIGEST)
    return True
