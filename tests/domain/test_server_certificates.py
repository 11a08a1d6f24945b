"""When a certificate of ours has to be replaced (white paper, A00)."""

import certificates
import pytest
from cast import DAY_MS, HOUR_MS, NOON_MS
from certificates import root, server
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from csms.domain.certificate_authority import SignatureAlgorithm, make_root, subject
from csms.domain.server_certificates import (
    ServerCertificate,
    UnusableCertificate,
    read_server_certificate,
)


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "RSA"), ("ec", "ECDSA")])
def test_a_certificate_is_read_with_the_kind_of_its_key(kind, algorithm):
    pem = server(root(kind, now_ms=NOON_MS), kind, now_ms=NOON_MS, days=30).pem

    read = read_server_certificate(pem.encode())

    assert (read.common_name, read.algorithm) == ("localhost", algorithm)
    assert read.days_left(NOON_MS) == 30
    assert read.days_left(NOON_MS + 31 * DAY_MS) == -1


def test_only_the_first_of_a_chain_is_read():
    authority = root(now_ms=NOON_MS)
    pem = server(authority, "ec", now_ms=NOON_MS).pem + certificates.pem_chain(authority.chain)

    assert read_server_certificate(pem.encode()).common_name == "localhost"


@pytest.mark.parametrize("pem", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_told(pem):
    with pytest.raises(UnusableCertificate, match="holds no certificate in PEM"):
        read_server_certificate(pem)


def test_a_weak_key_is_no_key():
    """A00.FR.503."""
    weak = ec.generate_private_key(ec.SECP192R1())
    made = make_root(weak, subject("weak"), 1, SignatureAlgorithm.ECDSA, NOON_MS, 10)
    pem = made.certificate.public_bytes(serialization.Encoding.PEM)

    with pytest.raises(UnusableCertificate, match="2048 bits"):
        read_server_certificate(pem)


@pytest.mark.parametrize(
    ("life_ms", "left_ms", "soon"),
    [
        (365 * DAY_MS, 22 * DAY_MS, False),
        (365 * DAY_MS, 20 * DAY_MS, True),
        (30 * DAY_MS, 11 * DAY_MS, False),
        (30 * DAY_MS, 9 * DAY_MS, True),
        (DAY_MS, 9 * HOUR_MS, False),
        (DAY_MS, 7 * HOUR_MS, True),
        (DAY_MS, -HOUR_MS, True),
    ],
)
def test_the_last_third_of_a_life_is_soon_three_weeks_at_most(life_ms, left_ms, soon):
    ends_ms = NOON_MS + left_ms
    certificate = ServerCertificate("csms", "RSA", ends_ms - life_ms, ends_ms)

    assert certificate.ends_soon(NOON_MS) is soon
