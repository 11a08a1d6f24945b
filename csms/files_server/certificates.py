"""The certificate that FTPS is spoken with, read anew when its files change."""

from dataclasses import dataclass

from OpenSSL import SSL

from csms.config import CertificateFiles
from csms.errors import ConfigurationError
from csms.logs import get_logger
from csms.watched_files import WatchedFiles

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Contexts:
    """For control and for data connections.

    Data travels with TLS 1.2. With 1.3 a server begins with tickets, and a client that only sends
    its file, and closes without having read them, resets its connection by that: the end of the
    file is lost. OpenSSL could be told to send none, but not through pyOpenSSL.
    """

    control: SSL.Context
    data: SSL.Context


class ServerTLS:
    """contexts: for the connections that come now; open ones keep theirs.

    Raises ConfigurationError for files that can't be used.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._watched = WatchedFiles((files.certificate, files.key))
        try:
            self.contexts = _contexts(files)
        except (OSError, SSL.Error) as error:
            raise ConfigurationError("TLS_CERTIFICATES", _why(files, error)) from None

    def look(self) -> None:
        """Read the files again if they have changed."""
        if not self._watched.look():
            return
        try:
            self.contexts = _contexts(self._files)
        except (OSError, SSL.Error) as error:
            log.error(
                "new certificates can't be used",
                setting="TLS_CERTIFICATES",
                reason=_why(self._files, error),
            )
            return
        log.info("certificates read anew")


def _contexts(files: CertificateFiles) -> Contexts:
    """Raises OSError and SSL.Error."""
    data = _context(files)
    data.set_max_proto_version(SSL.TLS1_2_VERSION)
    return Contexts(_context(files), data)


def _context(files: CertificateFiles) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    for path in (files.certificate, files.key):
        path.open("rb").close()  # OpenSSL does not say that a file is not there
    context.use_certificate_chain_file(files.certificate)
    context.use_privatekey_file(files.key)
    context.check_privatekey()
    return context


def _why(files: CertificateFiles, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or "no certificate in PEM with its key"
    return f"{files.certificate} with {files.key}: {reason}"
