"""Signatures of firmware: made, checked, and never more than warned about."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cast import DAY_MS, NOON_MS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from csms.domain.certificate_authority import SignatureAlgorithm, pem_chain
from csms.domain.firmware_signature import (
    CERTIFICATE_MAX,
    SIGNATURE_MAX,
    UnusableSigningKey,
    certify,
    read_certificate,
    read_signing_key,
    signature_warnings,
    signed_with,
)

FILE = b"firmware 5.0" * 1000
DIGEST = hashlib.sha256(FILE).digest()
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
PSS, PKCS1, ECDSA = (
    SignatureAlgorithm.RSA_PSS,
    SignatureAlgorithm.RSA_PKCS1V15,
    SignatureAlgorithm.ECDSA,
)
KEYS = {PSS: RSA_KEY, PKCS1: RSA_KEY, ECDSA: EC_KEY}


def signing_key(algorithm=PSS, key=None, **fields):
    wanted = {
        "common_name": "Nordwerk firmware",
        "organisation": "Nordwerk",
        "serial_number": 5,
        "now_ms": NOON_MS,
        "days": 365,
        **fields,
    }
    return certify(key=key or KEYS[algorithm], algorithm=algorithm, **wanted)


def private_pem(key, encryption=None):
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()
    ).decode()


# -- made


@pytest.mark.parametrize("algorithm", SignatureAlgorithm)
def test_a_signature_is_of_the_whole_file(algorithm):
    """Checked by the library on the file itself, not on its digest."""
    key = signing_key(algorithm)
    signature = base64.b64decode(key.sign(DIGEST))

    public = key.certificate.public_key()
    if algorithm is ECDSA:
        public.verify(signature, FILE, ec.ECDSA(hashes.SHA256()))
    elif algorithm is PSS:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        public.verify(signature, FILE, pss, hashes.SHA256())
    else:
        public.verify(signature, FILE, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("algorithm", SignatureAlgorithm)
def test_a_signature_is_recognised_by_how_it_was_made(algorithm):
    key = signing_key(algorithm)
    signature = key.sign(DIGEST)

    assert signed_with(key.certificate, DIGEST, signature) is algorithm
    assert len(signature) <= SIGNATURE_MAX
    assert len(key.certificate_pem) <= CERTIFICATE_MAX


def test_the_longest_key_still_fits_the_message():
    key = signing_key(key=rsa.generate_private_key(65537, 4096))

    assert len(key.sign(DIGEST)) <= SIGNATURE_MAX


def test_a_certificate_of_our_own_is_for_signing_code_only():
    certificate = signing_key().certificate
    extensions = certificate.extensions

    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CODE_SIGNING]
    assert certificate.not_valid_after_utc == datetime.fromtimestamp(
        (NOON_MS + 365 * DAY_MS) // 1000, UTC
    )
    certificate.verify_directly_issued_by(certificate)


def test_a_name_that_is_too_long_is_told():
    with pytest.raises(ValueError, match="64"):
        signing_key(common_name="n" * 65)


# -- read


@pytest.mark.parametrize(
    ("wanted", "key", "algorithm"),
    [
        (None, RSA_KEY, PSS),
        (None, EC_KEY, ECDSA),
        (PKCS1, RSA_KEY, PKCS1),
        (PSS, RSA_KEY, PSS),
        (ECDSA, EC_KEY, ECDSA),
    ],
)
def test_a_key_is_read_with_its_certificate(wanted, key, algorithm):
    certificate = signing_key(algorithm).certificate_pem

    read = read_signing_key(private_pem(key), certificate, wanted)

    assert read.algorithm is algorithm
    assert read.certificate_pem == certificate
    assert read.private_pem() == private_pem(key)


CERTIFICATE = signing_key().certificate_pem
DSA_KEY = dsa.generate_private_key(1024)
WEAK_KEY = ec.generate_private_key(ec.SECP192R1())
LONG_KEY = rsa.generate_private_key(65537, 4864)


def long_certificate():
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "n")])
    names = [x509.DNSName(f"{n:03d}." + "a" * 50) for n in range(100)]
    now = datetime.fromtimestamp(NOON_MS // 1000, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA_KEY.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return pem_chain([builder.sign(RSA_KEY, hashes.SHA256())])


UNUSABLE = [
    ("private_key", "not a private key", "nonsense", CERTIFICATE, None),
    ("private_key", "not a private key", CERTIFICATE, CERTIFICATE, None),
    (
        "private_key",
        "encrypted",
        private_pem(RSA_KEY, BestAvailableEncryption(b"secret")),
        CERTIFICATE,
        None,
    ),
    ("private_key", "RSA", private_pem(ed25519.Ed25519PrivateKey.generate()), CERTIFICATE, None),
    ("private_key", "RSA", private_pem(DSA_KEY), CERTIFICATE, None),
    ("private_key", "weak", private_pem(WEAK_KEY), CERTIFICATE, None),
    ("private_key", "long", private_pem(LONG_KEY), CERTIFICATE, None),
    ("certificate", "not one", private_pem(RSA_KEY), "nonsense", None),
    ("certificate", "not one", private_pem(RSA_KEY), CERTIFICATE * 2, None),
    ("certificate", "characters", private_pem(RSA_KEY), long_certificate(), None),
    ("certificate", "not that of", private_pem(OTHER_RSA_KEY), CERTIFICATE, None),
    ("algorithm", "ecdsa", private_pem(RSA_KEY), CERTIFICATE, ECDSA),
    ("algorithm", "rsa-pss", private_pem(EC_KEY), signing_key(ECDSA).certificate_pem, PSS),
]


@pytest.mark.parametrize(("field", "words", "key", "certificate", "algorithm"), UNUSABLE)
def test_a_key_of_no_use_is_told_with_its_field(field, words, key, certificate, algorithm):
    with pytest.raises(UnusableSigningKey, match=words) as refusal:
        read_signing_key(key, certificate, algorithm)

    assert refusal.value.field == field


def test_a_text_around_a_certificate_is_no_harm():
    assert read_certificate(f"Subject: somebody\n{CERTIFICATE}\n") is not None


# -- checked

SIGNATURE = signing_key().sign(DIGEST)
OTHER_FILE = hashlib.sha256(b"other").hexdigest()
WEAK_CERTIFICATE = signing_key(ECDSA, WEAK_KEY).certificate_pem


@pytest.mark.parametrize(
    ("signature", "certificate", "later_ms", "sha256", "warnings"),
    [
        (SIGNATURE, CERTIFICATE, 0, "", []),
        (SIGNATURE, CERTIFICATE, 0, DIGEST.hex(), []),
        (SIGNATURE, CERTIFICATE, 0, OTHER_FILE, ["not of this file"]),
        ("nonsense!", CERTIFICATE, 0, "", ["not base64"]),
        ("", CERTIFICATE, 0, "", ["not base64"]),
        ("nonsense!", CERTIFICATE, 0, DIGEST.hex(), ["not base64", "not of this file"]),
        (SIGNATURE, "nonsense", 0, DIGEST.hex(), ["not one certificate"]),
        ("nonsense!", "nonsense", 0, "", ["not base64", "not one certificate"]),
        (SIGNATURE, CERTIFICATE, 366 * DAY_MS, "", ["expired on 2027-11-22"]),
        (SIGNATURE, CERTIFICATE, -DAY_MS, "", ["not valid before 2026-11-22"]),
        (SIGNATURE, WEAK_CERTIFICATE, 0, "", ["weak"]),
    ],
)
def test_what_a_charge_point_will_not_like_is_warned_of(
    signature, certificate, later_ms, sha256, warnings
):
    """TC_081 sends an invalid signature: it must be possible."""
    found = signature_warnings(signature, certificate, NOON_MS + later_ms, sha256)

    assert len(found) == len(warnings)
    for said, words in zip(found, warnings, strict=True):
        assert words in said


def test_a_signature_of_another_key_or_kind_is_none():
    ecdsa = signing_key(ECDSA)

    assert signed_with(signing_key(key=OTHER_RSA_KEY).certificate, DIGEST, SIGNATURE) is None
    assert signed_with(ecdsa.certificate, DIGEST, SIGNATURE) is None
    assert signed_with(signing_key().certificate, DIGEST, ecdsa.sign(DIGEST)) is None


def test_a_certificate_of_a_key_that_signs_otherwise_verifies_nothing():
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    now = datetime.fromtimestamp(NOON_MS // 1000, UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now).sign(key, None)

    assert signed_with(certificate, DIGEST, SIGNATURE) is None
