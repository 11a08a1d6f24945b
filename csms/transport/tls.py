"""TLS for the listeners: certificates from files, read anew when the files change, and the failures
of handshakes in plain words (security white paper, A00)."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from ssl import (
    CERT_NONE,
    CERT_OPTIONAL,
    CERT_REQUIRED,
    OP_CIPHER_SERVER_PREFERENCE,
    OP_NO_COMPRESSION,
    OP_NO_RENEGOTIATION,
    PROTOCOL_TLS_SERVER,
    VERIFY_X509_PARTIAL_CHAIN,
    SSLCertVerificationError,
    SSLEOFError,
    SSLError,
    TLSVersion,
)
from typing import Final

import gevent
from cryptography import x509
from gevent.ssl import SSLContext

from csms import metrics
from csms.clock import now_ms
from csms.config import CertificateFiles, ClientCertificates
from csms.domain.certificate_authority import pem_chain
from csms.domain.server_certificates import (
    ServerCertificate,
    UnusableCertificate,
    read_server_certificate,
)
from csms.logs import get_logger
from csms.watched_files import WatchedFiles

log = get_logger(__name__)

# The four that the white paper demands (A00.FR.316) need an ECDSA and an RSA certificate; the
# ECDHE-RSA ones have forward secrecy with the latter. TLS 1.3 brings its own.
SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
# 112 bits: what is weaker is no key and no signature (A00.FR.503).
_STRENGTH = "@SECLEVEL=2"
LOOK_S = 2.0
_REMIND_S = 86_400.0

_VERIFY_MODES = {
    ClientCertificates.NONE: CERT_NONE,
    ClientCertificates.OPTIONAL: CERT_OPTIONAL,
    ClientCertificates.REQUIRED: CERT_REQUIRED,
}


class UnusableFile(Exception):
    """setting: the one that names the file."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(problem)
        self.setting = setting
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Loaded:
    contexts: dict[ClientCertificates, SSLContext]
    certificates: tuple[ServerCertificate, ...]
    client_roots: tuple[x509.Certificate, ...]


class TLSFiles:
    """What TLS is spoken with, from files that may be replaced at any time.

    Open sockets keep what they began with; new handshakes get the new files. Files that can't be
    used leave the ones before in force.
    """

    def __init__(
        self,
        certificates: Sequence[CertificateFiles],
        client_roots: Path | None,
        own_roots: Sequence[x509.Certificate] = (),
    ) -> None:
        """certificates: without any there are roots only, for what proxies pass on. own_roots: of
        the authority that signs for charge points here, beside those in the file client_roots.

        Raises UnusableFile.
        """
        self._certificate_files = tuple(certificates)
        self._client_roots_file = client_roots
        self._own_roots = tuple(own_roots)
        self._watched = WatchedFiles(self._paths())
        self._loaded = self._load()
        self._reminded_at: dict[ServerCertificate, float] = {}
        self._show()

    @property
    def certificates(self) -> tuple[ServerCertificate, ...]:
        return self._loaded.certificates

    @property
    def client_roots(self) -> tuple[x509.Certificate, ...]:
        """Whom client certificates may lead to."""
        return self._loaded.client_roots

    def context(self, client_certificates: ClientCertificates) -> SSLContext:
        """For one handshake. Without any roots no port can ask for client certificates."""
        contexts = self._loaded.contexts
        return contexts.get(client_certificates) or contexts[ClientCertificates.NONE]

    def watch_forever(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            try:
                self.look()
            except Exception:  # the edge: the loop of a greenlet everyone relies on
                log.exception("looking at the certificates failed")

    def look(self) -> None:
        """Read the files again if they have changed, and say which certificates end soon."""
        if self._watched.look():
            self._reload()
        self._remind()

    def _reload(self) -> None:
        try:
            self._loaded = self._load()
        except UnusableFile as error:
            log.error("new certificates can't be used", setting=error.setting, reason=str(error))
            return
        self._show()
        log.info(
            "certificates read anew",
            certificates=[f"{c.common_name} ({c.algorithm})" for c in self.certificates],
        )

    def _paths(self) -> Iterable[Path]:
        for files in self._certificate_files:
            yield files.certificate
            yield files.key
        if self._client_roots_file is not None:
            yield self._client_roots_file

    def _load(self) -> _Loaded:
        roots = (*self._own_roots, *self._read_client_roots())
        roots_pem = pem_chain(roots)
        return _Loaded(
            contexts={
                demand: self._context(demand, roots_pem)
                for demand in ClientCertificates
                if self._certificate_files and (roots or demand is ClientCertificates.NONE)
            },
            certificates=tuple(_read_certificate(files) for files in self._certificate_files),
            client_roots=roots,
        )

    def _read_client_roots(self) -> tuple[x509.Certificate, ...]:
        if self._client_roots_file is None:
            return ()
        pem = _read("TLS_CLIENT_CA", self._client_roots_file)
        try:
            return tuple(x509.load_pem_x509_certificates(pem))
        except ValueError as error:
            problem = f"{self._client_roots_file} holds no certificates in PEM ({error})"
            raise UnusableFile("TLS_CLIENT_CA", problem) from None

    def _context(self, demand: ClientCertificates, roots_pem: str) -> SSLContext:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.minimum_version = TLSVersion.TLSv1_2
        context.set_ciphers(":".join((*SUITES, _STRENGTH)))
        context.options |= OP_NO_COMPRESSION | OP_NO_RENEGOTIATION | OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        # TLS 1.3 would send tickets after the handshake. No other process could take one, every
        # client certificate is to be looked at anew, and there are clients that stumble over what
        # comes while they send their request.
        context.num_tickets = 0
        for files in self._certificate_files:
            try:
                context.load_cert_chain(files.certificate, files.key)
            except (OSError, ValueError) as error:
                raise UnusableFile(
                    "TLS_CERTIFICATES", f"{files.certificate} with {files.key}: {_why(error)}"
                ) from None
        context.verify_mode = _VERIFY_MODES[demand]
        if demand is not ClientCertificates.NONE:
            context.verify_flags |= VERIFY_X509_PARTIAL_CHAIN
            try:
                context.load_verify_locations(cadata=roots_pem)
            except SSLError as error:
                problem = f"{self._client_roots_file}: {_why(error)}"
                raise UnusableFile("TLS_CLIENT_CA", problem) from None
        return context

    def _show(self) -> None:
        gauge = metrics.certificate_days_left
        gauge.clear()
        for certificate in self.certificates:
            gauge.labels(certificate.common_name, certificate.algorithm).set_function(
                partial(_days_left, certificate)
            )

    def _remind(self) -> None:
        at = time.monotonic()
        for certificate in self.certificates:
            reminded_at = self._reminded_at.get(certificate)
            due = reminded_at is None or at - reminded_at >= _REMIND_S
            if due and certificate.ends_soon(now_ms()):
                self._reminded_at[certificate] = at
                log.warning(
                    "certificate ends soon",
                    common_name=certificate.common_name,
                    algorithm=certificate.algorithm,
                    days_left=round(certificate.days_left(now_ms()), 1),
                )


def _days_left(certificate: ServerCertificate) -> float:
    return certificate.days_left(now_ms())


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableFile(setting, f"{path}: {_why(error)}") from None


def _read_certificate(files: CertificateFiles) -> ServerCertificate:
    try:
        return read_server_certificate(_read("TLS_CERTIFICATES", files.certificate))
    except UnusableCertificate as error:
        raise UnusableFile("TLS_CERTIFICATES", f"{files.certificate}: {error}") from None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, str) and reason:
        return reason.replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


_FAILURES = {
    "UNSUPPORTED_PROTOCOL": "it offers nothing newer than TLS 1.1",
    "NO_SHARED_CIPHER": "it offers no cipher suite of ours, or none for our kinds of certificate",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "it offers no signature algorithm of our certificates",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "it offers no signature algorithm of our certificates",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no client certificate, which this port needs",
    "HTTP_REQUEST": "it spoke HTTP without TLS",
    "WRONG_VERSION_NUMBER": "what it sent was not TLS",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate's authority",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it takes our certificate for expired: look at its clock",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it can't use our kind of certificate",
    "EE_KEY_TOO_SMALL": "the key of its certificate is too weak",
    "CA_KEY_TOO_SMALL": "the key of its certificate's authority is too weak",
    "CA_MD_TOO_WEAK": "its certificate is signed with a weak digest",
    "NO_RENEGOTIATION": "it wanted to renegotiate",
}


def describe_failure(error: Exception) -> str:
    """Why a handshake failed, for whoever set up the peer; it is the peer's doing."""
    if isinstance(error, SSLCertVerificationError):
        return f"its client certificate is not valid: {error.verify_message}"
    if isinstance(error, SSLEOFError):
        return "it hung up during the handshake"
    if isinstance(error, SSLError) and error.reason:
        return _FAILURES.get(error.reason, error.reason.replace("_", " ").lower())
    if isinstance(error, TimeoutError):
        return "it took too long"
    return "the connection broke"
