"""Keys, requests and roots that the kit makes, and what it reads of others' certificates."""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from ssl import MemoryBIO
from typing import Any, Literal

import gevent.ssl
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from chargepoint.wire import client_context

KeyKind = Literal["RSA", "EC"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

ORGANISATION = "Conformance Kit"
# 112 bits of strength (security white paper, A00.FR.503).
RSA_BITS_MIN = 2048
EC_BITS_MIN = 224


@cache
def make_key(kind: KeyKind) -> PrivateKey:
    """One of each kind serves a whole run: to make one for RSA takes long."""
    if kind == "RSA":
        return rsa.generate_private_key(65_537, RSA_BITS_MIN)
    return ec.generate_private_key(ec.SECP256R1())


def make_request(key: PrivateKey, common_name: str = "") -> str:
    """A CSR in PEM; without a name in it, as that of the official tool."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def make_root(common_name: str, key: PrivateKey | None = None) -> x509.Certificate:
    """A real authority's, for a year; nobody keeps its key, unless it is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
        ]
    )
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with the chain above it, in PEM, and the key that belongs to it."""

    chain: str
    key: PrivateKey

    def context(self, ca_file: str | None) -> gevent.ssl.SSLContext:
        """For connections that show it."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
            chain_file, key_file = Path(directory, "chain.pem"), Path(directory, "key.pem")
            chain_file.write_text(self.chain)
            key_file.touch(mode=0o600)
            key_file.write_bytes(key)
            return client_context(ca_file, str(chain_file), str(key_file))


def suite_context(context: gevent.ssl.SSLContext, suite: str) -> gevent.ssl.SSLContext:
    """The same, but for TLS 1.2 with this one cipher suite, by its name in OpenSSL."""
    context.maximum_version = gevent.ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    return context


def outdated_context(ca_file: str | None) -> gevent.ssl.SSLContext | None:
    """For connections over TLS 1.1; None where this machine's OpenSSL can't do that."""
    if not gevent.ssl.HAS_TLSv1_1:
        return None
    context = client_context(ca_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is outdated is the point
        try:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = gevent.ssl.TLSVersion.TLSv1_1
            greeting = context.wrap_bio(MemoryBIO(), MemoryBIO(), server_hostname="localhost")
            greeting.do_handshake()
        except gevent.ssl.SSLWantReadError:
            return context  # it has greeted nobody with TLS 1.1, and waits for the answer
        except (ValueError, gevent.ssl.SSLError):
            pass
    return None


def tls_facts(sock: gevent.ssl.SSLSocket) -> dict[str, Any]:
    """What was agreed in a handshake: `version`, `cipher`, `compression`; and `certificate`, the
    other end's."""
    agreed = sock.cipher()
    shown = sock.getpeercert(binary_form=True)
    return {
        "version": sock.version(),
        "cipher": agreed[0] if agreed else None,
        "compression": sock.compression(),
        "certificate": certificate_facts(x509.load_der_x509_certificate(shown)) if shown else None,
    }


def certificate_facts(certificate: x509.Certificate) -> dict[str, Any]:
    """The fields that cases look at."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    kind, bits = key_facts(certificate.public_key())
    return {
        "common_name": str(names[0].value) if names else "",
        "serial_number": f"{certificate.serial_number:X}",
        "key": kind,
        "key_bits": bits,
        "signature": signature_kind(certificate),
    }


def key_facts(key: Any) -> tuple[str, int]:
    """Its kind and its length."""
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.curve.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    return type(key).__name__, 0


def is_strong(kind: str, bits: int) -> bool:
    return bits >= {"RSA": RSA_BITS_MIN, "DSA": RSA_BITS_MIN, "EC": EC_BITS_MIN}.get(kind, bits + 1)


def signature_kind(certificate: x509.Certificate) -> str:
    """How it was signed: `RSA`, `RSA-PSS` or `ECDSA`; the official tool does not know PSS."""
    parameters = certificate.signature_algorithm_parameters
    if isinstance(parameters, ec.ECDSA):
        return "ECDSA"
    return "RSA" if isinstance(parameters, PKCS1v15) else "RSA-PSS"


def same_key(certificate: x509.Certificate, key: PrivateKey) -> bool:
    shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*shape) == key.public_key().public_bytes(*shape)


def read_chain(text: str) -> Sequence[x509.Certificate]:
    """Empty for what is no PEM as charge points want it: LF line ends, nothing in between."""
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return ()
    return chain if "".join(map(pem, chain)).rstrip("\n") == text.rstrip("\n") else ()


def is_in_order(chain: Sequence[x509.Certificate]) -> bool:
    """Whether each was signed by the next."""
    try:
        for below, above in pairwise(chain):
            below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
