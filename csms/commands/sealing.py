"""Keeps secrets in payloads unreadable while they wait in the store."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken

from csms.errors import CSMSError


class Unsealable(CSMSError):
    """Sealed with another pepper: the setting has changed since."""


class Sealer:
    """pepper: the CREDENTIAL_PEPPER setting; the key is derived from it for this purpose alone."""

    def __init__(self, pepper: str) -> None:
        digest = hashlib.blake2b(pepper.encode(), digest_size=32, person=b"csms sealing").digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def seal(self, payload: Mapping[str, Any]) -> str:
        return self._fernet.encrypt(orjson.dumps(payload)).decode("ascii")

    def unseal(self, sealed: str) -> dict[str, Any]:
        """Raises Unsealable."""
        try:
            payload: dict[str, Any] = orjson.loads(self._fernet.decrypt(sealed.encode("ascii")))
        except InvalidToken:
            raise Unsealable("The payload was sealed with another CREDENTIAL_PEPPER.") from None
        return payload
