"""Who signs: this system, in three ways of signing, or a server that is asked over HTTPS."""

import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cast import NOON_MS
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from signing_cast import (
    CHARGE_POINT_KEYS,
    EC_KEY,
    EC_ROOT,
    ROOT,
    csr,
    intermediate,
    leaf,
    pem_of,
    settings,
)

from csms.commands.certificate_authority import ANSWER_MAX, AuthorityFailure, authority_of
from csms.config import SubjectRule
from csms.domain.certificate_authority import (
    Authority,
    Purpose,
    SignatureAlgorithm,
    issue,
    pem_chain,
    subject,
)
from csms.domain.certificate_request import ExpectedSubject, judge_request
from csms.domain.certificates import read_pem
from csms.errors import ConfigurationError

PSS_ROOT = Authority(ROOT.key, ROOT.chain, SignatureAlgorithm.RSA_PSS)


def request(key="EC"):
    return judge_request(csr(key), ExpectedSubject(("SN-1",), "Nordwerk"), SubjectRule.FILL)


@pytest.mark.parametrize("key", CHARGE_POINT_KEYS)
@pytest.mark.parametrize(
    ("authority", "parameters"),
    [(ROOT, padding.PKCS1v15), (PSS_ROOT, padding.PSS), (EC_ROOT, ec.ECDSA)],
)
def test_this_system_signs_for_both_kinds_of_keys_in_three_ways(authority, parameters, key):
    chain = authority_of(settings(authority)).sign(request(key), NOON_MS)

    [certificate] = read_pem(chain, "chain")
    certificate.verify_directly_issued_by(authority.certificate)
    assert isinstance(certificate.signature_algorithm_parameters, parameters)
    assert certificate.public_key() == CHARGE_POINT_KEYS[key].public_key()
    assert certificate.subject == subject("SN-1", "Nordwerk")
    assert 0 < certificate.serial_number < 2**160


def test_what_stands_between_the_root_and_a_certificate_is_sent_with_it():
    authority = intermediate()

    chain = authority_of(settings(authority)).sign(request(), NOON_MS)

    certificate, above = read_pem(chain, "chain")
    assert above == authority.certificate
    certificate.verify_directly_issued_by(above)


def test_certificates_live_as_long_as_the_setting_says():
    [certificate] = read_pem(
        authority_of(settings(CERTIFICATE_DAYS="7")).sign(request(), NOON_MS), "chain"
    )

    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life.days == 7


def test_an_authority_that_has_expired_signs_nothing():
    with pytest.raises(AuthorityFailure, match="own certificate has expired"):
        authority_of(settings()).sign(request(), NOON_MS + 4000 * 86_400_000)


def test_without_a_key_it_is_an_operator_s_turn():
    assert authority_of(settings(None)) is None
    assert authority_of(settings(ROOT, CERTIFICATE_AUTHORITY="manual")) is None


def test_key_and_certificate_may_be_files_or_have_their_line_ends_written(tmp_path):
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    key.write_text(pem_of(ROOT.key))
    chain.write_text(pem_chain(ROOT.chain))
    files = settings(
        None,
        CERTIFICATE_AUTHORITY_KEY=str(key),
        CERTIFICATE_AUTHORITY_CERTIFICATE=str(chain),
    )
    lines = settings(
        None,
        CERTIFICATE_AUTHORITY_KEY=pem_of(ROOT.key).replace("\n", "\\n"),
        CERTIFICATE_AUTHORITY_CERTIFICATE=pem_chain(ROOT.chain).replace("\n", "\\n"),
    )

    for found in (authority_of(files), authority_of(lines)):
        assert found.chain == ROOT.chain
        assert found.words == "this system (rsa-pkcs1v15)"


ENCRYPTED = ROOT.key.private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
).decode()


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"CERTIFICATE_AUTHORITY_KEY": ""}, "CERTIFICATE_AUTHORITY_KEY"),
        ({"CERTIFICATE_AUTHORITY_KEY": "/nowhere/key.pem"}, "CERTIFICATE_AUTHORITY_KEY"),
        ({"CERTIFICATE_AUTHORITY_KEY": "-----BEGIN nonsense"}, "CERTIFICATE_AUTHORITY_KEY"),
        ({"CERTIFICATE_AUTHORITY_KEY": ENCRYPTED}, "CERTIFICATE_AUTHORITY_KEY"),
        (
            {"CERTIFICATE_AUTHORITY_KEY": pem_of(ed25519.Ed25519PrivateKey.generate())},
            "CERTIFICATE_AUTHORITY_KEY",
        ),
        ({"CERTIFICATE_AUTHORITY_KEY": pem_of(EC_KEY)}, "CERTIFICATE_AUTHORITY_CERTIFICATE"),
        ({"CERTIFICATE_AUTHORITY_CERTIFICATE": ""}, "CERTIFICATE_AUTHORITY_CERTIFICATE"),
        (
            {"CERTIFICATE_AUTHORITY_CERTIFICATE": "-----BEGIN nonsense"},
            "CERTIFICATE_AUTHORITY_CERTIFICATE",
        ),
        (
            {
                "CERTIFICATE_AUTHORITY_KEY": pem_of(CHARGE_POINT_KEYS["EC"]),
                "CERTIFICATE_AUTHORITY_CERTIFICATE": pem_chain([leaf()]),
                "CERTIFICATE_SIGNATURE": "ecdsa",
            },
            "CERTIFICATE_AUTHORITY_CERTIFICATE",
        ),
        ({"CERTIFICATE_SIGNATURE": "ecdsa"}, "CERTIFICATE_SIGNATURE"),
        ({"CERTIFICATE_AUTHORITY": "https://"}, "CERTIFICATE_AUTHORITY"),
        ({"CERTIFICATE_AUTHORITY": "https://ca.example:0"}, "CERTIFICATE_AUTHORITY"),
        ({"CERTIFICATE_AUTHORITY": "https://ca.example:x"}, "CERTIFICATE_AUTHORITY"),
        (
            {
                "CERTIFICATE_AUTHORITY": "https://ca.example",
                "CERTIFICATE_AUTHORITY_ROOTS": "-----BEGIN nonsense",
            },
            "CERTIFICATE_AUTHORITY_ROOTS",
        ),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(environ, variable):
    environ = {"CERTIFICATE_AUTHORITY": "built-in", **environ}

    with pytest.raises(ConfigurationError) as problem:
        authority_of(settings(ROOT, **environ))

    assert problem.value.variable == variable
    assert "PRIVATE" not in str(problem.value)


class Asked(HTTPServer):
    """An authority elsewhere: what it was asked, and what it is to answer."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = []
        self.status = 200
        self.answer = b""
        self.slowness_s = 0.0
        self.drip_s = 0.0


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), body.decode()))
        time.sleep(self.server.slowness_s)
        try:
            self.send_response(self.server.status)
            self.end_headers()
            for byte in self.server.answer if self.server.drip_s else ():
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.drip_s)
            if not self.server.drip_s:
                self.wfile.write(self.server.answer)
        except OSError:  # whoever asked has gone
            pass

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server_files(tmp_path_factory):
    key = CHARGE_POINT_KEYS["EC"]
    certificate = issue(
        EC_ROOT,
        key.public_key(),
        subject("localhost"),
        7,
        Purpose.SERVER,
        int(time.time() * 1000),
        30,
        ["localhost", "127.0.0.1"],
    )
    path = tmp_path_factory.mktemp("authority") / "server.pem"
    path.write_text(pem_chain([certificate]) + pem_of(key))
    return path


@contextmanager
def listening(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def elsewhere(server_files):
    server = Asked()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_files)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with listening(server):
        yield server


def remote(server, path="/sign?profile=cp", login="", **environ):
    address = f"https://{login}localhost:{server.server_port}{path}"
    return authority_of(
        settings(
            None,
            CERTIFICATE_AUTHORITY=address,
            **{"CERTIFICATE_AUTHORITY_ROOTS": pem_chain(EC_ROOT.chain), **environ},
        )
    )


def test_a_server_is_sent_the_request_and_answers_the_chain(elsewhere):
    chain = pem_chain([leaf(), ROOT.certificate])
    elsewhere.answer = b"subject=CP001\r\n" + chain.replace("\n", "\r\n").encode()
    authority = remote(elsewhere, login="olga:p%40ss@")

    assert authority.sign(request("RSA"), NOON_MS) == chain
    [(path, headers, body)] = elsewhere.asked
    assert (path, headers["Content-Type"]) == ("/sign?profile=cp", "application/pkcs10")
    assert headers["Authorization"] == "Basic b2xnYTpwQHNz"  # olga:p@ss
    assert body == csr("RSA")
    assert "p%40ss" not in authority.words


@pytest.mark.parametrize(
    ("status", "answer", "problem"),
    [
        (403, b"quota\nexceeded", "answered 403 quota exceeded"),
        (500, b"", "answered 500$"),
        (302, b"", "answered 302"),
        (200, b"x" * (ANSWER_MAX + 1), f"more than {ANSWER_MAX} bytes"),
    ],
)
def test_a_server_that_does_not_sign_is_quoted(elsewhere, status, answer, problem):
    elsewhere.status, elsewhere.answer = status, answer

    with pytest.raises(AuthorityFailure, match=problem):
        remote(elsewhere, path="").sign(request(), NOON_MS)


def test_a_server_that_takes_too_long_is_given_up(elsewhere):
    elsewhere.slowness_s = 1.0
    authority = remote(elsewhere, CERTIFICATE_AUTHORITY_TIMEOUT_S="0.2")

    with pytest.raises(AuthorityFailure, match=r"did not answer within 0\.2 s"):
        authority.sign(request(), NOON_MS)


def test_a_server_that_answers_a_little_at_a_time_is_given_up(elsewhere):
    elsewhere.answer, elsewhere.drip_s = b"x" * 20, 0.05
    authority = remote(elsewhere, CERTIFICATE_AUTHORITY_TIMEOUT_S="0.2")

    with pytest.raises(AuthorityFailure, match=r"did not answer within 0\.2 s"):
        authority.sign(request(), NOON_MS)


def test_a_server_with_a_certificate_of_somebody_else_is_not_asked(elsewhere):
    authority = remote(elsewhere, CERTIFICATE_AUTHORITY_ROOTS=pem_chain(ROOT.chain))

    with pytest.raises(AuthorityFailure, match="its certificate is not trusted"):
        authority.sign(request(), NOON_MS)
    assert elsewhere.asked == []


def test_a_server_that_is_not_there_is_told():
    address = "https://127.0.0.1:1/sign"
    authority = authority_of(settings(None, CERTIFICATE_AUTHORITY=address))

    with pytest.raises(AuthorityFailure, match="refused"):
        authority.sign(request(), NOON_MS)


def test_the_roots_of_the_system_are_trusted_where_none_are_given():
    authority = authority_of(settings(None, CERTIFICATE_AUTHORITY="https://ca.example/sign"))

    assert authority.is_remote
    assert authority.words == "https://ca.example/sign"
    assert isinstance(authority.chain, tuple)
