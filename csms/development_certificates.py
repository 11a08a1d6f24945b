"""`make certs`: an authority and server certificates for trying TLS out on this machine.

`make run` takes them where they are. For a system that others rely on get certificates from an
authority of yours: whoever has the keys of this one can pretend to be it, or any charge point.
"""

import argparse
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from csms.domain.certificate_authority import (
    Authority,
    PrivateKey,
    Purpose,
    SignatureAlgorithm,
    issue,
    make_root,
    pem_chain,
    subject,
)

ROOT = Path(__file__).resolve().parent.parent
ROOT_DAYS = 3_650
LEAF_DAYS = 397
# An authority that ends sooner is made anew.
DAYS_LEFT_MIN = 60
ORGANISATION = "CSMS development"
TLS_PORTS = "8443 8444:required"


@dataclass(frozen=True, slots=True)
class DevelopmentFiles:
    """Where everything is."""

    directory: Path

    @classmethod
    def in_var(cls, environ_var: str | None) -> "DevelopmentFiles":
        """environ_var: the value of CSMS_VAR."""
        return cls(Path(environ_var or ROOT / "var") / "certs")

    def chain(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    @property
    def roots(self) -> Path:
        """What charge points and programs must trust."""
        return self.directory / "roots.pem"

    def environment(self) -> dict[str, str]:
        """Settings that use them; nothing where they are not there."""
        servers = ("server-rsa", "server-ecdsa")
        if not all(self.chain(name).exists() for name in servers):
            return {}
        return {
            "TLS_PORTS": TLS_PORTS,
            "TLS_CERTIFICATES": " ".join(f"{self.chain(s)}:{self.key(s)}" for s in servers),
            "TLS_CLIENT_CA": str(self.roots),
            "CERTIFICATE_AUTHORITY_CERTIFICATE": str(self.chain("root-rsa")),
            "CERTIFICATE_AUTHORITY_KEY": str(self.key("root-rsa")),
        }


ALGORITHMS = {"rsa": SignatureAlgorithm.RSA_PKCS1V15, "ecdsa": SignatureAlgorithm.ECDSA}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m csms.development_certificates")
    parser.add_argument("--name", default=socket.getfqdn(), help="the server's name, its CN")
    parser.add_argument("--client", metavar="CN", help="make a client certificate instead")
    parser.add_argument("--organisation", default=ORGANISATION, help="the O of --client")
    wanted = parser.parse_args(arguments)
    files = DevelopmentFiles.in_var(os.environ.get("CSMS_VAR"))
    files.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    now_ms = time.time_ns() // 1_000_000
    try:
        authorities = {kind: _authority(files, kind, now_ms) for kind in ALGORITHMS}
        files.roots.write_text(pem_chain([a.certificate for a in authorities.values()]))
        if wanted.client:
            name = subject(wanted.client, wanted.organisation)
            _issue(files, f"client-{wanted.client}", authorities["rsa"], name, (), now_ms)
        else:
            names = dict.fromkeys((wanted.name, socket.gethostname(), "localhost"))
            hosts = (*names, "127.0.0.1", "::1")
            for kind, authority in authorities.items():
                name = subject(wanted.name, ORGANISATION)
                _issue(files, f"server-{kind}", authority, name, hosts, now_ms)
    except (ValueError, OSError) as error:
        print(f"certificates: {error}", file=sys.stderr)  # noqa: T201
        return 1
    _say(files, wanted.client)
    return 0


def _authority(files: DevelopmentFiles, kind: str, now_ms: int) -> Authority:
    """The one that is there, unless it ends soon. Raises ValueError for what is none."""
    name = f"root-{kind}"
    if files.chain(name).exists() and files.key(name).exists():
        certificate = x509.load_pem_x509_certificate(files.chain(name).read_bytes())
        left_s = certificate.not_valid_after_utc.timestamp() - now_ms / 1000
        if left_s > DAYS_LEFT_MIN * 86_400:
            key = load_pem_private_key(files.key(name).read_bytes(), None)
            if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
                return Authority(key, (certificate,), ALGORITHMS[kind])
    key = _new_key(kind)
    authority = make_root(
        key,
        subject(f"CSMS development {kind.upper()} root", ORGANISATION),
        x509.random_serial_number(),
        ALGORITHMS[kind],
        now_ms,
        ROOT_DAYS,
    )
    _write(files, name, key, authority.certificate)
    return authority


def _issue(
    files: DevelopmentFiles,
    file_name: str,
    authority: Authority,
    name: x509.Name,
    hosts: Sequence[str],
    now_ms: int,
) -> None:
    """hosts: of a server; without any it is a client's."""
    key = _new_key("rsa" if authority.algorithm is ALGORITHMS["rsa"] else "ecdsa")
    certificate = issue(
        authority,
        key.public_key(),
        name,
        x509.random_serial_number(),
        Purpose.SERVER if hosts else Purpose.CLIENT,
        now_ms,
        LEAF_DAYS,
        hosts,
    )
    _write(files, file_name, key, certificate)


def _new_key(kind: str) -> PrivateKey:
    if kind == "rsa":
        return rsa.generate_private_key(65_537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def _write(
    files: DevelopmentFiles, name: str, key: PrivateKey, certificate: x509.Certificate
) -> None:
    """Each file is whole whenever it is looked at; the key is nobody else's to read."""
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for path, content in ((files.key(name), text), (files.chain(name), _pem(certificate))):
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        new.replace(path)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _say(files: DevelopmentFiles, client: str | None) -> None:
    if client:
        lines = [
            f"  Certificate     {files.chain(f'client-{client}')}",
            f"  Key             {files.key(f'client-{client}')}",
            f"  Roots           {files.roots}",
        ]
    else:
        lines = [
            f"  Roots           {files.roots}   (charge points and programs must trust them)",
            "",
            "  make run takes them from now on. Elsewhere, set:",
            *[f"  {name}={value!r}" for name, value in files.environment().items()],
        ]
    print("\n".join(["", *lines, ""]))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
