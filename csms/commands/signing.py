"""Signs firmware with operators' keys, which nobody sees again once they are entered."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from csms.commands.sealing import Sealer, Unsealable
from csms.domain.certificate_authority import PrivateKey, SignatureAlgorithm
from csms.domain.firmware_signature import (
    SigningKey,
    UnusableSigningKey,
    certify,
    read_signing_key,
)
from csms.domain.security_event import EventSource, SecurityEvent
from csms.errors import FieldError
from csms.logs import get_logger
from csms.state.security_events import SYSTEM
from csms.state.signing_keys import SealedSigningKey
from csms.state.stores import Stores

log = get_logger(__name__)

NAME_RULE = "1 to 64 letters, digits and ._- ; it starts with a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}", re.ASCII)
# As strong as 128 bits (NIST SP 800-57).
RSA_BITS = 3072
# Making an RSA key takes a quarter of a second and more, during which no socket would be served.
InAThread = Callable[[Callable[[], PrivateKey]], PrivateKey]


@dataclass(frozen=True, slots=True)
class FirmwareSignature:
    """What SignedUpdateFirmware.req needs: signature in base64, certificate in PEM."""

    signature: str
    signing_certificate: str
    sha256: str
    algorithm: SignatureAlgorithm


@dataclass(frozen=True, slots=True)
class Signing:
    """Whose keys sign, and how they are kept."""

    stores: Stores
    sealer: Sealer
    in_a_thread: InAThread

    def enter(
        self,
        name: str,
        private_pem: str,
        certificate_pem: str,
        algorithm: SignatureAlgorithm | None,
        requested_by: str,
        now_ms: int,
    ) -> SealedSigningKey:
        """Keep a key that an operator brings. Raises FieldError, AlreadyExists, StoreRefused."""
        try:
            key = read_signing_key(private_pem, certificate_pem, algorithm)
        except UnusableSigningKey as problem:
            raise FieldError(problem.field, str(problem)) from None
        return self._keep(name, key, requested_by, now_ms)

    def make(
        self,
        name: str,
        algorithm: SignatureAlgorithm,
        common_name: str,
        organisation: str,
        days: int,
        requested_by: str,
        now_ms: int,
    ) -> SealedSigningKey:
        """Make a key, with a certificate signed by itself: charge points must be given it as
        ManufacturerRootCertificate. Raises FieldError, AlreadyExists, StoreRefused."""
        private_key = self.in_a_thread(lambda: _new_key(algorithm))
        serial_number = x509.random_serial_number()
        try:
            key = certify(
                private_key, common_name, organisation, serial_number, algorithm, now_ms, days
            )
        except ValueError as problem:
            raise FieldError("common_name", str(problem)) from None
        return self._keep(name, key, requested_by, now_ms)

    def _keep(self, name: str, key: SigningKey, requested_by: str, now_ms: int) -> SealedSigningKey:
        if not _NAME.fullmatch(name):
            raise FieldError("name", f"must have {NAME_RULE}")
        kept = SealedSigningKey(
            name=name,
            algorithm=key.algorithm,
            certificate=key.certificate_pem,
            sealed=self.sealer.seal({"private_key": key.private_pem()}),
            created_at_ms=now_ms,
            created_by=requested_by,
        )
        self.stores.signing_keys.create(kept)
        self._note("SigningKeyEntered", name, requested_by, now_ms)
        return kept

    def delete(self, name: str, requested_by: str, now_ms: int) -> None:
        """Raises NotFound."""
        self.stores.signing_keys.delete(name)
        self._note("SigningKeyDeleted", name, requested_by, now_ms)

    def sign(self, name: str, sha256: str, requested_by: str) -> FirmwareSignature:
        """Sign the file with this digest, in hex. Raises NotFound; FieldError where the key can't
        be opened."""
        kept = self.stores.signing_keys.get(name)
        try:
            opened: dict[str, Any] = self.sealer.unseal(kept.sealed)
        except Unsealable as problem:
            raise FieldError("signing_key", f"{problem} Enter the key again.") from None
        key = read_signing_key(opened["private_key"], kept.certificate, kept.algorithm)
        signature = key.sign(bytes.fromhex(sha256))
        log.info("firmware signed", signing_key=name, sha256=sha256, requested_by=requested_by)
        return FirmwareSignature(signature, kept.certificate, sha256, kept.algorithm)

    def _note(self, event_type: str, name: str, requested_by: str, now_ms: int) -> None:
        event = SecurityEvent(
            event_type,
            now_ms,
            now_ms,
            EventSource.CENTRAL_SYSTEM,
            tech_info=name,
            actor=requested_by,
        )
        self.stores.security_events.record(SYSTEM, event)


def _new_key(algorithm: SignatureAlgorithm) -> PrivateKey:
    if algorithm is SignatureAlgorithm.ECDSA:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, RSA_BITS)
