"""Who signs the certificates of charge points: this system, a server elsewhere, or an operator
(docs/adr/0012-certificate-authority.md)."""

import ssl
import time
from base64 import b64encode
from functools import lru_cache
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from csms import __version__
from csms.config import Settings
from csms.domain.certificate_authority import (
    Authority,
    PrivateKey,
    Purpose,
    SignatureAlgorithm,
    issue,
    pem_chain,
    subject,
)
from csms.domain.certificate_request import CertificateRequest
from csms.domain.certificates import tidied_pem
from csms.errors import ConfigurationError

CERTIFICATE = "CERTIFICATE_AUTHORITY_CERTIFICATE"
KEY = "CERTIFICATE_AUTHORITY_KEY"
ROOTS = "CERTIFICATE_AUTHORITY_ROOTS"
ANSWER_MAX = 65_536


class AuthorityFailure(Exception):
    """Why there is no certificate, in plain words for the operator."""


class CertificateAuthority(Protocol):
    """Signs what a charge point asks for.

    words: what it is, for people. is_remote: it may take its time. chain: its own certificates,
    where it is this system.
    """

    words: str
    is_remote: bool
    chain: tuple[x509.Certificate, ...]

    def sign(self, request: CertificateRequest, now_ms: int) -> str:
        """The certificate, and those above it but the root, in PEM. Raises AuthorityFailure."""
        ...


class BuiltIn:
    """This system's own key."""

    is_remote = False

    def __init__(self, authority: Authority, days: int) -> None:
        self._authority = authority
        self._days = days
        self.chain = authority.chain
        self.words = f"this system ({authority.algorithm})"

    def sign(self, request: CertificateRequest, now_ms: int) -> str:
        own = self._authority.certificate
        if int(own.not_valid_after_utc.timestamp() * 1000) <= now_ms:
            raise AuthorityFailure("the authority's own certificate has expired")
        leaf = issue(
            self._authority,
            request.public_key,
            subject(request.common_name, request.organisation),
            x509.random_serial_number(),
            Purpose.CLIENT,
            now_ms,
            self._days,
        )
        above = [one for one in self._authority.chain if one.issuer != one.subject]
        return pem_chain([leaf, *above])


class Remote:
    """A server that is sent the request (application/pkcs10) and answers the chain in PEM.

    Its answer is awaited by one greenlet, so that nobody else waits.
    """

    is_remote = True
    chain: tuple[x509.Certificate, ...] = ()

    def __init__(self, address: str, roots: str | None, timeout_s: float) -> None:
        """Raises ValueError for an address or roots of no use."""
        self._url = urlsplit(address)
        if not self._url.hostname or self._url.port == 0:
            raise ValueError("has no host")
        self._context = ssl.create_default_context(cadata=roots)
        self._timeout_s = timeout_s
        self.words = f"https://{_place(self._url)}"

    def sign(self, request: CertificateRequest, now_ms: int) -> str:
        host, port = self._url.hostname or "", self._url.port or 443
        connection = HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context)
        try:
            return self._ask(connection, request.pem)
        except ssl.SSLCertVerificationError as error:
            problem = f"its certificate is not trusted: {error.verify_message}"
        except TimeoutError:
            problem = f"it did not answer within {self._timeout_s:g} s"
        except (OSError, HTTPException) as error:
            problem = str(error) or type(error).__name__
        finally:
            connection.close()
        raise AuthorityFailure(f"{self.words}: {problem}")

    def _ask(self, connection: HTTPSConnection, csr: str) -> str:
        until = time.monotonic() + self._timeout_s
        path = self._url.path or "/"
        target = f"{path}?{self._url.query}" if self._url.query else path
        connection.request("POST", target, csr.encode(), self._headers())
        answer = connection.getresponse()
        body = b""
        while chunk := answer.read1(ANSWER_MAX):
            body += chunk
            if len(body) > ANSWER_MAX:
                raise AuthorityFailure(f"{self.words} answered more than {ANSWER_MAX} bytes")
            if time.monotonic() > until:
                raise TimeoutError
        text = body.decode("utf-8", "replace")
        if answer.status not in {200, 201}:
            said = " ".join(text.split())[:200]
            raise AuthorityFailure(f"{self.words} answered {answer.status} {said}".rstrip())
        return tidied_pem(text)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/pkcs10",
            "Accept": "application/x-pem-file, application/pem-certificate-chain, text/plain",
            "User-Agent": f"csms/{__version__}",
        }
        if self._url.username is not None:
            login = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        return headers


def _place(url: SplitResult) -> str:
    """An address without its login."""
    return f"{url.netloc.rpartition('@')[2]}{url.path}"


@lru_cache(maxsize=8)
def authority_of(settings: Settings) -> CertificateAuthority | None:
    """The one the settings choose; None where an operator has it done.

    Raises ConfigurationError, naming the variable.
    """
    chosen = settings.chosen_authority
    if chosen == "manual":
        return None
    if chosen == "built-in":
        return _built_in(settings)
    try:
        roots = _material(ROOTS, settings.certificate_authority_roots)
        return Remote(chosen, roots or None, settings.certificate_authority_timeout_s)
    except (ValueError, ssl.SSLError) as error:
        variable = ROOTS if isinstance(error, ssl.SSLError) else "CERTIFICATE_AUTHORITY"
        raise ConfigurationError(variable, str(error)) from None


def _built_in(settings: Settings) -> BuiltIn:
    key_text = _material(KEY, settings.certificate_authority_key)
    chain_text = _material(CERTIFICATE, settings.certificate_authority_certificate)
    for variable, text in ((KEY, key_text), (CERTIFICATE, chain_text)):
        if not text:
            raise ConfigurationError(variable, "is needed for CERTIFICATE_AUTHORITY=built-in")
    key = _private_key(key_text)
    try:
        chain = tuple(x509.load_pem_x509_certificates(chain_text.encode()))
    except ValueError as error:
        raise ConfigurationError(CERTIFICATE, f"is no certificate in PEM ({error})") from None
    algorithm = SignatureAlgorithm(settings.certificate_signature)
    try:
        authority = Authority(key, chain, algorithm)
    except ValueError as error:
        variable = CERTIFICATE if "certificate" in str(error) else "CERTIFICATE_SIGNATURE"
        raise ConfigurationError(variable, str(error)) from None
    if not _may_sign(chain[0]):
        raise ConfigurationError(CERTIFICATE, "is not the certificate of an authority")
    return BuiltIn(authority, settings.certificate_days)


def _private_key(text: str) -> PrivateKey:
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):  # nothing of it is repeated: it may be a key all the same
        problem = "is no private key in PEM, or is encrypted"
        raise ConfigurationError(KEY, problem) from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigurationError(KEY, "must be RSA or EC")
    return key


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound):
        return False
    return constraints.value.ca


def _material(variable: str, value: str | None) -> str:
    """PEM from the environment itself, whose line ends may be written as \\n, or from a file."""
    if not value:
        return ""
    if "-----BEGIN" in value:
        return value.replace("\\n", "\n")
    try:
        return Path(value).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(variable, f"can't be read: {error.strerror}") from None
