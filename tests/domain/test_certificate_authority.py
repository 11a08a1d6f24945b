"""Certificates that we issue: what they say, how they are signed, how long they live."""

from datetime import UTC, datetime, timedelta

import pytest
from cast import DAY_MS, NOON_MS
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csms.domain.certificate_authority import (
    Authority,
    Purpose,
    SignatureAlgorithm,
    is_strong,
    issue,
    make_root,
    pem_chain,
    subject,
)

NOON = datetime.fromtimestamp(NOON_MS // 1000, UTC)
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
CHARGE_POINT_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
KEYS = {
    SignatureAlgorithm.RSA_PKCS1V15: RSA_KEY,
    SignatureAlgorithm.RSA_PSS: RSA_KEY,
    SignatureAlgorithm.ECDSA: EC_KEY,
}


def root(algorithm=SignatureAlgorithm.RSA_PKCS1V15, now_ms=NOON_MS, days=3650):
    name = subject("Test root", "Nordwerk")
    return make_root(KEYS[algorithm], name, 1, algorithm, now_ms, days)


def issued(authority, **fields):
    wanted = {
        "public_key": CHARGE_POINT_KEY,
        "name": subject("SN-1", "Nordwerk"),
        "serial_number": 4095,
        "purpose": Purpose.CLIENT,
        "now_ms": NOON_MS,
        "days": 365,
        **fields,
    }
    return issue(authority, **wanted)


@pytest.mark.parametrize("algorithm", SignatureAlgorithm)
def test_a_certificate_is_signed_by_its_authority_in_the_way_asked_for(algorithm):
    authority = root(algorithm)

    certificate = issued(authority)

    certificate.verify_directly_issued_by(authority.certificate)
    parameters = certificate.signature_algorithm_parameters
    if algorithm is SignatureAlgorithm.ECDSA:
        assert isinstance(parameters, ec.ECDSA)
    else:
        is_pss = algorithm is SignatureAlgorithm.RSA_PSS
        assert isinstance(parameters, padding.PSS if is_pss else padding.PKCS1v15)
    assert certificate.signature_hash_algorithm.name == "sha256"


def test_a_root_may_sign_certificates_and_says_so():
    certificate = root().certificate

    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value.ca
    assert usage.value.key_cert_sign
    assert certificate.issuer == certificate.subject


@pytest.mark.parametrize(
    ("purpose", "usage"),
    [
        (Purpose.CLIENT, ExtendedKeyUsageOID.CLIENT_AUTH),
        (Purpose.SERVER, ExtendedKeyUsageOID.SERVER_AUTH),
    ],
)
def test_a_certificate_may_do_what_it_is_for_and_sign_nothing(purpose, usage):
    extensions = issued(root(), purpose=purpose).extensions

    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_subject_and_serial_number_are_those_given():
    certificate = issued(root())

    names = certificate.subject
    assert names.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "SN-1"
    assert names.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Nordwerk"
    assert certificate.serial_number == 4095


def test_without_an_organisation_a_subject_has_none():
    assert [attribute.oid for attribute in subject("SN-1")] == [NameOID.COMMON_NAME]


def test_a_server_certificate_has_the_names_clients_look_for():
    certificate = issued(root(), alternative_names=["csms.example", "127.0.0.1", "::1"])

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["csms.example"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["127.0.0.1", "::1"]


def test_a_certificate_is_valid_from_a_little_before_now_for_the_days_given():
    certificate = issued(root(now_ms=NOON_MS - 10 * DAY_MS))

    assert certificate.not_valid_before_utc == NOON - timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOON + timedelta(days=365)


def test_a_certificate_does_not_outlive_its_authority():
    certificate = issued(root(days=30))

    assert certificate.not_valid_after_utc == NOON + timedelta(days=30)
    assert certificate.not_valid_before_utc == NOON - timedelta(hours=1)


def test_a_chain_is_pem_with_line_feeds_only_and_the_leaf_first():
    authority = root()
    certificate = issued(authority)

    text = pem_chain([certificate, authority.certificate])

    assert "\r" not in text
    assert text.startswith("-----BEGIN CERTIFICATE-----\n")
    assert x509.load_pem_x509_certificates(text.encode()) == [certificate, authority.certificate]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA_KEY, SignatureAlgorithm.ECDSA),
        (EC_KEY, SignatureAlgorithm.RSA_PKCS1V15),
        (EC_KEY, SignatureAlgorithm.RSA_PSS),
    ],
)
def test_a_key_that_does_not_fit_the_algorithm_is_no_authority(key, algorithm):
    chain = make_root(key, subject("R"), 1, _natural(key), NOON_MS, 1).chain

    with pytest.raises(ValueError, match="can't sign"):
        Authority(key, chain, algorithm)


def test_an_authority_has_the_certificate_of_its_key():
    with pytest.raises(ValueError, match="not that of the key"):
        Authority(EC_KEY, root().chain, SignatureAlgorithm.ECDSA)
    with pytest.raises(ValueError, match="not that of the key"):
        Authority(EC_KEY, (), SignatureAlgorithm.ECDSA)


def _natural(key):
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    return SignatureAlgorithm.RSA_PKCS1V15 if is_rsa else SignatureAlgorithm.ECDSA


@pytest.mark.parametrize(
    ("key", "strong"),
    [
        (RSA_KEY, True),
        (rsa.generate_private_key(65537, 1024), False),
        (EC_KEY, True),
        (ec.generate_private_key(ec.SECP224R1()), True),
        (ec.generate_private_key(ec.SECP192R1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
    ],
)
def test_keys_have_112_bits_of_strength(key, strong):
    """White paper, A00.FR.503."""
    assert is_strong(key.public_key()) is strong
