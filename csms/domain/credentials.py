"""Keys that machines present: how they are written, stored and compared.

Machine keys are 16-20 random bytes, so a salted, peppered HMAC is as strong as a slow hash and
costs 3 µs: ten thousand charge points may reconnect at once.
"""

import hashlib
import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error

KEY_BYTES_MIN = 16
KEY_BYTES_MAX = 20
SALT_BYTES = 16

_HEX_KEY = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")


class UnusableKey(ValueError):
    """Says in plain words what an authorization key must be."""


def read_authorization_key(text: str) -> bytes:
    """The bytes an operator means: 32-40 hex digits, or 16-20 characters of ASCII text.

    Raises UnusableKey. (Security white paper, A00.FR.205: 16-20 bytes.)
    """
    raw = text.encode("utf-8")
    if _HEX_KEY.fullmatch(raw):
        return bytes.fromhex(text)
    if KEY_BYTES_MIN <= len(raw) <= KEY_BYTES_MAX and text.isascii() and text.isprintable():
        return raw
    raise UnusableKey("must be 32 to 40 hex digits or 16 to 20 printable ASCII characters")


def hash_key(key: bytes, salt: bytes, pepper: bytes) -> str:
    """`<salt hex>$<HMAC-SHA-256 hex>`; salt is 16 random bytes given by the caller."""
    return f"{salt.hex()}${_mac(key, salt, pepper)}"


def key_matches(presented: bytes, stored: str, pepper: bytes) -> bool:
    """Whether presented is the key behind a stored hash, as raw bytes or as hex text.

    Real charge points send either form as their Basic password (OCPP-J 1.6, 6.2.2).
    """
    salt_text, _, mac = stored.partition("$")
    if not mac:
        return False
    salt = bytes.fromhex(salt_text)
    candidates = [presented]
    if _HEX_KEY.fullmatch(presented):
        candidates.append(bytes.fromhex(presented.decode("ascii")))
    # No early exit: every presented form costs the same whether it fits or not.
    fits = [hmac.compare_digest(_mac(c, salt, pepper), mac) for c in candidates]
    return any(fits)


def _mac(key: bytes, salt: bytes, pepper: bytes) -> str:
    return hmac.new(pepper, salt + key, hashlib.sha256).hexdigest()


def read_basic_credentials(header: str | None) -> tuple[bytes, bytes] | None:
    """User and password of an Authorization header, or None where there are none to read.

    Bytes throughout and split at the first colon: keys need not be text (OCPP-J 1.6, 6.2.2).
    """
    if header is None:
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = b64decode(encoded.strip(), validate=True)
    except (Base64Error, ValueError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None
