"""Certificates for charge points: read strictly, hashed as OCSP does, doubted in plain words."""

import hashlib

import pytest
from cast import DAY_MS, NOON_MS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from csms.domain.certificate_authority import (
    Purpose,
    SignatureAlgorithm,
    issue,
    make_root,
    pem_chain,
    subject,
)
from csms.domain.certificates import (
    all_hash_data,
    has_signed,
    hash_data,
    hash_key,
    read_pem,
    root_problems,
    tidied_pem,
)
from csms.errors import FieldError

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = make_root(
    RSA_KEY, subject("Root", "Nordwerk"), 4095, SignatureAlgorithm.RSA_PKCS1V15, NOON_MS, 3650
)
EC_ROOT = make_root(EC_KEY, subject("Root EC"), 2**159 - 1, SignatureAlgorithm.ECDSA, NOON_MS, 3650)
LEAF = issue(ROOT, EC_KEY.public_key(), subject("SN-1"), 1, Purpose.CLIENT, NOON_MS, 365)
PEM = pem_chain([ROOT.certificate])


def elements(der):
    """The contents of a DER value's elements, each with its tag and as it stands there."""
    found, at = [], 0
    while at < len(der):
        tag, length, start = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[start : start + size], "big")
            start += size
        found.append((tag, der[start : start + length], der[at : start + length]))
        at = start + length
    return found


def by_hand(certificate, issuer, algorithm):
    """certificateHashData, by walking through the DER: the white paper's words, literally."""
    digest = getattr(hashlib, algorithm.lower())
    [(_, contents, _)] = elements(certificate.public_bytes(Encoding.DER))
    to_be_signed = [e for e in elements(elements(contents)[0][1]) if e[0] != 0xA0]
    serial, issuer_name = to_be_signed[0][1], to_be_signed[2][2]
    [(_, contents, _)] = elements(issuer.public_bytes(Encoding.DER))
    fields = [e for e in elements(elements(contents)[0][1]) if e[0] != 0xA0]
    tag, bits, _ = elements(fields[5][1])[1]
    assert tag == 3  # BIT STRING; its first byte says how many bits are unused
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(issuer_name).hexdigest(),
        "issuerKeyHash": digest(bits[1:]).hexdigest(),
        "serialNumber": serial.hex().lstrip("0").upper(),
    }


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize(
    ("certificate", "issuer"),
    [
        (ROOT.certificate, ROOT.certificate),
        (EC_ROOT.certificate, EC_ROOT.certificate),
        (LEAF, ROOT.certificate),
    ],
)
def test_hashes_are_those_of_the_issuer_s_name_and_key(certificate, issuer, algorithm):
    assert hash_data(certificate, issuer, algorithm) == by_hand(certificate, issuer, algorithm)


# Made with: openssl ecparam -name prime256v1 -genkey | openssl req -x509 -new -key /dev/stdin
# -subj '/O=Nordwerk/CN=Vector' -set_serial 4095 -days 36500, and hashed with
# openssl ocsp -sha256 -issuer root.pem -cert root.pem -reqout - | openssl asn1parse.
VECTOR = """-----BEGIN CERTIFICATE-----
MIIBjDCCATOgAwIBAgICD/8wCgYIKoZIzj0EAwIwJDERMA8GA1UECgwITm9yZHdl
cmsxDzANBgNVBAMMBlZlY3RvcjAgFw0yNjExMjUyMjM4NThaGA8yMTI2MTEwMTIy
Mzg1OFowJDERMA8GA1UECgwITm9yZHdlcmsxDzANBgNVBAMMBlZlY3RvcjBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABGDgTjPxjsRfCEIZyOIYbNG0lC6Ndxcf0sif
Y2BuuZ3vvuyNDJgdQlX1uyREtGShJ8f5sABv0IvPn73RSO4tKLWjUzBRMB0GA1Ud
DgQWBBRq2URKXMO0kITPSOe8w/JMVH9C4jAfBgNVHSMEGDAWgBRq2URKXMO0kITP
SOe8w/JMVH9C4jAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCID/F
8LSWbONFtKn88hKmR0Wd1xpYkk6tLoQ251T0AFU1AiAzC08CGX+Tm1TP+EdYSzUw
J7h9IwLQpvxWN5X1Pc3Heg==
-----END CERTIFICATE-----
"""
VECTOR_HASHES = {
    "SHA256": (
        ("ba4ee16e936078b06fecbe7707381a9812c9ace504375ce69a36ab81a4752581"),
        ("32b61336a68f22a554ac937013acaa6e55d5473b6cf79e1c1f4a68e57b3bbeb2"),
    ),
    "SHA384": (
        (
            "8e75107aa988a16a7963a6bf3c96750415cd95d3db8d0697ad2c3f7942bd69c0"
            "dad0695fd1e77a731718d52f82e9b0c8"
        ),
        (
            "4a4059e74e712143136f34066c432881bd6106fbbbfd2055197b5575ed5de9b9"
            "05f8d14bec1a30f751950dc6f9f55c71"
        ),
    ),
    "SHA512": (
        (
            "585b137be6da1364c7e32e601c424d0e0cd1d2dca15735836c83b608597997c5"
            "4aca185f8f05468f26604a2964fe9b611b16ce6e38fd2d1974067e97586bc9d5"
        ),
        (
            "43a98f55ebbf303427d40aded8a9d9aea9ac61cab3f4544024e0c44a74730e44"
            "eda694b06c69631501883ee6a70471f3f7052f1ac73e06e48cb7ee872d9bfc34"
        ),
    ),
}


@pytest.mark.parametrize("algorithm", VECTOR_HASHES)
def test_hashes_are_those_that_openssl_makes(algorithm):
    [certificate] = read_pem(VECTOR, "certificate")

    name_hash, key_hash = VECTOR_HASHES[algorithm]
    assert hash_data(certificate, certificate, algorithm) == {
        "hashAlgorithm": algorithm,
        "issuerNameHash": name_hash,
        "issuerKeyHash": key_hash,
        "serialNumber": "FFF",
    }


def test_a_certificate_whose_issuer_is_known_has_a_hash_of_each_kind():
    assert [d["hashAlgorithm"] for d in all_hash_data(ROOT.certificate)] == [
        "SHA256",
        "SHA384",
        "SHA512",
    ]
    assert len(list(all_hash_data(LEAF, [EC_ROOT.certificate, ROOT.certificate]))) == 3
    assert list(all_hash_data(LEAF)) == []
    assert list(all_hash_data(LEAF, [EC_ROOT.certificate])) == []


DATA = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "ab" * 32,
    "issuerKeyHash": "cd" * 32,
    "serialNumber": "FFF",
}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"issuerNameHash": "AB" * 32}, True),
        ({"serialNumber": "fff"}, True),
        ({"serialNumber": "0x0FFF"}, True),
        ({"serialNumber": "0000FFF"}, True),
        ({"serialNumber": "FFF0"}, False),
        ({"serialNumber": "0"}, False),
        ({"hashAlgorithm": "SHA384"}, False),
        ({"issuerKeyHash": "ce" * 32}, False),
    ],
)
def test_hash_data_is_compared_without_case_and_leading_zeros(change, same):
    assert (hash_key({**DATA, **change}) == hash_key(DATA)) is same


def test_a_serial_number_of_zero_is_one():
    assert hash_key({**DATA, "serialNumber": "00"}) == hash_key({**DATA, "serialNumber": "0"})
    assert hash_key({}) == "   0"


@pytest.mark.parametrize("text", [PEM, PEM.rstrip("\n"), pem_chain([LEAF, ROOT.certificate])])
def test_good_pem_is_read(text):
    assert read_pem(text, "certificate")[-1] == ROOT.certificate


BODY = PEM.split("\n", 1)[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with"),
        ("nonsense", "must begin with"),
        (" " + PEM, "must begin with"),
        ("subject=CN = Root\n" + PEM, "must begin with"),
        (PEM.replace("\n", "\r\n"), "LF line ends only"),
        (PEM + "\n", "something else after"),
        (PEM + "trailing", "something else after"),
        (PEM + "\nexplained\n" + PEM, "something else after"),
        (PEM.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "must begin with"),
        ("-----BEGIN CERTIFICATE-----\n", "something else in it"),
        ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "something else in it"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can be read"),
        ("-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", "can be read"),
        ("-----BEGIN CERTIFICATE-----\nA" + BODY, "can be read"),
        (PEM.replace("M", "М", 1), "ASCII"),  # a Cyrillic letter
        (PEM * 11, "10 certificates at most"),
    ],
)
def test_bad_pem_is_refused_in_plain_words(text, problem):
    with pytest.raises(FieldError, match=problem) as refused:
        read_pem(text, "payload.certificate")

    assert refused.value.field == "payload.certificate"


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("\n", "\r\n"),
        "Bag attributes\n" + PEM + "\n\n",
        PEM.replace("\n", "\n  "),
        "-----BEGIN CERTIFICATE-----\ncut off\n" + PEM,
    ],
)
def test_what_browsers_and_authorities_send_is_tidied(text):
    assert tidied_pem(text) == PEM
    assert tidied_pem(text + text) == PEM * 2


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"]
)
def test_what_holds_no_certificate_stays_as_it_is(text):
    assert tidied_pem(text) == text


def test_a_good_root_has_no_problem():
    assert root_problems([ROOT.certificate], NOON_MS) == []
    assert root_problems([EC_ROOT.certificate], NOON_MS) == []


def bad_root(**extensions):
    """A root that signs itself, with extensions of the test's choice."""
    name = subject("Bad")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(EC_KEY.public_key())
        .serial_number(1)
        .not_valid_before(ROOT.certificate.not_valid_before_utc)
        .not_valid_after(ROOT.certificate.not_valid_after_utc)
    )
    for extension in extensions.values():
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(EC_KEY, hashes.SHA256())


def usage(*, sign):
    no = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=sign, **no)


WEAK_KEY = ec.generate_private_key(ec.SECP192R1())


@pytest.mark.parametrize(
    ("certificates", "now_ms", "problem"),
    [
        ([], NOON_MS, "takes one certificate, not 0"),
        ([ROOT.certificate, LEAF], NOON_MS, "takes one certificate, not 2"),
        ([LEAF], NOON_MS, "not the certificate of an authority"),
        ([LEAF], NOON_MS, "not signed with its own key"),
        ([LEAF], NOON_MS, "may not sign certificates"),
        ([bad_root()], NOON_MS, "not the certificate of an authority"),
        (
            [bad_root(a=x509.BasicConstraints(ca=True, path_length=None), b=usage(sign=False))],
            NOON_MS,
            "may not sign certificates",
        ),
        ([ROOT.certificate], NOON_MS - DAY_MS, "not valid before 2026-11-22"),
        ([ROOT.certificate], NOON_MS + 3651 * DAY_MS, "has expired on 2036-11-19"),
        ([ROOT.certificate], NOON_MS + 3600 * DAY_MS, "expires soon, on 2036-11-19"),
        (
            [issue(ROOT, WEAK_KEY.public_key(), subject("W"), 1, Purpose.CLIENT, NOON_MS, 9)],
            NOON_MS,
            "its key is weak",
        ),
        (
            [
                x509.CertificateBuilder()
                .subject_name(subject("Ed"))
                .issuer_name(subject("Ed"))
                .public_key(ed25519.Ed25519PrivateKey.generate().public_key())
                .serial_number(1)
                .not_valid_before(ROOT.certificate.not_valid_before_utc)
                .not_valid_after(ROOT.certificate.not_valid_after_utc)
                .sign(RSA_KEY, hashes.SHA256())
            ],
            NOON_MS,
            "its key is weak",
        ),
    ],
)
def test_a_bad_root_is_doubted_in_plain_words(certificates, now_ms, problem):
    assert any(problem in said for said in root_problems(certificates, now_ms))


def test_a_certificate_whose_extensions_contradict_each_other_is_doubted():
    """Two of a kind: DER that no library would make, changed by hand."""
    der = bad_root(
        a=x509.BasicConstraints(ca=True, path_length=None), b=usage(sign=True)
    ).public_bytes(Encoding.DER)
    key_usage, basic_constraints = bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13")
    twisted = x509.load_der_x509_certificate(der.replace(key_usage, basic_constraints))

    [problem] = root_problems([twisted], NOON_MS)

    assert problem.startswith("it can't be read in full")


def test_only_the_issuer_has_signed():
    assert has_signed(ROOT.certificate, LEAF)
    assert not has_signed(EC_ROOT.certificate, LEAF)
    assert not has_signed(LEAF, ROOT.certificate)
