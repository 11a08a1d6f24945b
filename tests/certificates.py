"""Certificates for the tests: two roots of ours, servers, clients good and bad."""

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from csms.domain.certificate_authority import (
    Authority,
    Purpose,
    SignatureAlgorithm,
    issue,
    make_root,
    pem_chain,
    subject,
)

DAY_MS = 86_400_000
ALGORITHMS = {"rsa": SignatureAlgorithm.RSA_PKCS1V15, "ec": SignatureAlgorithm.ECDSA}
CPO = "Nordwerk Charging"


@cache
def key(kind: str, name: str = ""):
    """One for each name, since making RSA keys takes a while."""
    if kind == "rsa":
        return rsa.generate_private_key(65_537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    certificate: x509.Certificate
    key: object
    chain: tuple = ()

    @property
    def pem(self) -> str:
        return pem_chain([self.certificate, *self.chain])

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Its chain and its key."""
        paths = directory / f"{name}.pem", directory / f"{name}.key"
        paths[0].write_text(self.pem)
        paths[1].write_text(self.key_pem)
        return paths


def root(kind: str = "ec", name: str = "Root", now_ms: int | None = None) -> Authority:
    """A year old, for two more."""
    now_ms = now_ms or round(time.time() * 1000)
    return make_root(
        key(kind, f"root {name}"),
        subject(f"{name} {kind}"),
        x509.random_serial_number(),
        ALGORITHMS[kind],
        now_ms - 365 * DAY_MS,
        3 * 365,
    )


def issued(
    authority: Authority,
    common_name: str,
    *,
    kind: str = "ec",
    organisation: str = CPO,
    purpose: Purpose = Purpose.CLIENT,
    now_ms: int | None = None,
    days: int = 90,
    names: tuple[str, ...] = (),
) -> Issued:
    """days: below 0 it has ended so long ago."""
    now_ms = now_ms or round(time.time() * 1000)
    begin_ms = now_ms if days > 0 else now_ms + (days - 30) * DAY_MS
    own = key(kind, f"{purpose} {common_name}")
    certificate = issue(
        authority,
        own.public_key(),
        subject(common_name, organisation),
        x509.random_serial_number(),
        purpose,
        begin_ms,
        days if days > 0 else 30,
        names,
    )
    return Issued(certificate, own)


def server(authority: Authority, kind: str, **more) -> Issued:
    return issued(
        authority,
        "localhost",
        kind=kind,
        purpose=Purpose.SERVER,
        names=("localhost", "127.0.0.1"),
        **more,
    )


def self_made(common_name: str, now_ms: int | None = None) -> Issued:
    """Signed by itself, whatever it says."""
    authority = make_root(
        key("ec", f"own {common_name}"),
        subject(common_name, CPO),
        x509.random_serial_number(),
        SignatureAlgorithm.ECDSA,
        now_ms or round(time.time() * 1000),
        90,
    )
    return Issued(authority.certificate, authority.key)


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()
