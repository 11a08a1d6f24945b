"""`make certs`: what it makes fits together, and is kept where it still serves."""

import time
from pathlib import Path

import pytest
from cryptography import x509

from csms.config import CertificateFiles
from csms.development_certificates import DevelopmentFiles, main
from csms.transport.tls import TLSFiles


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("CSMS_VAR", str(tmp_path))
    assert main(["--name", "csms.example"]) == 0
    return DevelopmentFiles.in_var(str(tmp_path))


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_server_certificates_of_both_kinds_fit_the_tls_ports(files):
    settings = files.environment()
    pairs = [
        CertificateFiles(*map(Path, pair.split(":")))
        for pair in settings["TLS_CERTIFICATES"].split()
    ]

    tls = TLSFiles(pairs, Path(settings["TLS_CLIENT_CA"]))

    assert [c.algorithm for c in tls.certificates] == ["RSA", "ECDSA"]
    assert {c.common_name for c in tls.certificates} == {"csms.example"}
    assert len(tls.client_roots) == 2


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_server_certificate_names_this_machine_and_is_signed_by_its_root(files, kind):
    certificate = read(files.chain(f"server-{kind}"))

    certificate.verify_directly_issued_by(read(files.chain(f"root-{kind}")))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"csms.example", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))


def test_again_the_authority_stays_and_its_servers_are_new(files):
    names = ("root-rsa", "root-ecdsa", "server-rsa", "server-ecdsa")
    before = {name: read(files.chain(name)) for name in names}

    assert main(["--name", "csms.example"]) == 0

    same = {name for name in names if read(files.chain(name)) == before[name]}
    assert same == {"root-rsa", "root-ecdsa"}


def test_an_authority_that_ends_soon_is_made_anew(files, monkeypatch):
    before = read(files.chain("root-rsa"))
    soon_ns = time.time_ns() + 3_640 * 86_400 * 10**9
    monkeypatch.setattr("csms.development_certificates.time.time_ns", lambda: soon_ns)

    assert main(["--name", "csms.example"]) == 0
    assert read(files.chain("root-rsa")) != before


def test_a_client_certificate_names_whom_it_is_for(files):
    assert main(["--client", "SN-1", "--organisation", "A CPO"]) == 0

    certificate = read(files.chain("client-SN-1"))
    assert certificate.subject.rfc4514_string() == "O=A CPO,CN=SN-1"
    certificate.verify_directly_issued_by(read(files.chain("root-rsa")))


def test_keys_are_nobody_else_s_to_read(files):
    keys = list(files.directory.glob("*.key"))

    assert len(keys) == 4
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert files.directory.stat().st_mode & 0o777 == 0o700


def test_nothing_is_set_where_nothing_was_made(tmp_path):
    assert DevelopmentFiles(tmp_path).environment() == {}


def test_a_name_that_is_none_is_told(files, capsys):
    assert main(["--name", "x" * 65]) == 1
    assert "certificates: " in capsys.readouterr().err
