"""Firmware signed from the command line, where the private key is."""

import hashlib

import orjson
import pytest
from cast import DAY_MS
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from csms.clock import now_ms
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.firmware_signature import certify, signed_with
from csms.signing import main

FILE = b"firmware" * 100_000


def files(directory, *, made_at_ms=None):
    """The arguments for a file, a key and its certificate in a directory."""
    key = certify(
        ec.generate_private_key(ec.SECP256R1()),
        "Nordwerk",
        "",
        1,
        SignatureAlgorithm.ECDSA,
        made_at_ms or now_ms(),
        30,
    )
    (directory / "fw.bin").write_bytes(FILE)
    (directory / "key.pem").write_text(key.private_pem())
    (directory / "certificate.pem").write_text(key.certificate_pem)
    return [
        str(directory / "fw.bin"),
        "--key",
        str(directory / "key.pem"),
        "--certificate",
        str(directory / "certificate.pem"),
    ]


def test_a_file_is_signed_into_what_the_api_takes(tmp_path, capsys):
    assert main(files(tmp_path)) == 0

    printed = capsys.readouterr()
    made = orjson.loads(printed.out)
    certificate = x509.load_pem_x509_certificate(made["signing_certificate"].encode())
    digest = hashlib.sha256(FILE)
    assert made["sha256"] == digest.hexdigest()
    assert signed_with(certificate, digest.digest(), made["signature"]) == "ecdsa"
    assert printed.err == ""


def test_an_expired_certificate_is_warned_of(tmp_path, capsys):
    assert main(files(tmp_path, made_at_ms=now_ms() - 60 * DAY_MS)) == 0

    assert "warning: the signing certificate expired" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoilt", "content", "complaint"),
    [
        ("key.pem", "nonsense", "the private_key is not a private key"),
        ("certificate.pem", "nonsense", "the certificate is not one certificate"),
        ("key.pem", None, "No such file"),
        ("fw.bin", None, "No such file"),
    ],
)
def test_what_is_of_no_use_is_told_in_a_line(tmp_path, capsys, spoilt, content, complaint):
    arguments = files(tmp_path)
    if content is None:
        (tmp_path / spoilt).unlink()
    else:
        (tmp_path / spoilt).write_text(content)

    assert main(arguments) == 1

    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
