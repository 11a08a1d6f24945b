"""What charge points ask to have signed, and what an authority makes of it."""

from dataclasses import replace

import pytest
from cast import CP001, DAY_MS, NOON_MS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from csms.config import CommonNameRule, SubjectRule
from csms.domain.certificate_authority import (
    Purpose,
    SignatureAlgorithm,
    issue,
    make_root,
    subject,
)
from csms.domain.certificate_request import (
    ExpectedSubject,
    UnacceptableRequest,
    UnusableChain,
    check_chain,
    expected_subject,
    judge_request,
)

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EXPECTED = ExpectedSubject(("SN-1", "CP001"), "Nordwerk")
ANY_NAME = ExpectedSubject(("SN-1",))


def csr(key=EC_KEY, common_name=None, organisation=None, digest=None, rsa_padding=None):
    names = [
        x509.NameAttribute(oid, value)
        for oid, value in (
            (NameOID.COMMON_NAME, common_name),
            (NameOID.ORGANIZATION_NAME, organisation),
        )
        if value is not None
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
    more = {"rsa_padding": rsa_padding} if rsa_padding else {}
    return builder.sign(key, digest, **more).public_bytes(Encoding.PEM).decode()


PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (csr(RSA_KEY), "RSA 2048"),
        (csr(RSA_KEY, rsa_padding=PSS), "RSA 2048"),
        (csr(rsa.generate_private_key(65537, 3072)), "RSA 3072"),
        (csr(EC_KEY), "EC secp256r1"),
        (csr(ec.generate_private_key(ec.SECP384R1()), digest=hashes.SHA384()), "EC secp384r1"),
        (csr(ec.generate_private_key(ec.SECP224R1())), "EC secp224r1"),
        (csr(EC_KEY).replace("\n", "\r\n"), "EC secp256r1"),
        (csr(EC_KEY).rstrip("\n"), "EC secp256r1"),
        (csr(EC_KEY).replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), "EC secp256r1"),
    ],
)
def test_a_good_key_is_taken_whatever_its_kind(text, key):
    request = judge_request(text, EXPECTED, SubjectRule.FILL)

    assert (request.key, request.pem) == (key, text)
    assert (request.common_name, request.organisation) == ("SN-1", "Nordwerk")


def tampered():
    """A request whose subject was changed after it had been signed."""
    der = x509.load_pem_x509_csr(csr(common_name="SN-2").encode()).public_bytes(Encoding.DER)
    return x509.load_der_x509_csr(der.replace(b"SN-2", b"SN-1")).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "can't be read"),
        ("nonsense", "can't be read"),
        ("\ud800", "can't be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "read"),
        (csr()[:200], "can't be read"),
        (csr() + " " * 5_500, "longer than 5500"),
        (csr(rsa.generate_private_key(65537, 1024)), r"weak \(RSA 1024\)"),
        (csr(ec.generate_private_key(ec.SECP192R1())), r"weak \(EC secp192r1\)"),
        (csr(ed25519.Ed25519PrivateKey.generate()), "must be RSA or EC"),
        (csr(dsa.generate_private_key(2048)), "must be RSA or EC"),
        (tampered(), "signature of the CSR"),
    ],
)
def test_a_bad_request_is_refused_in_plain_words(text, problem):
    for rule in SubjectRule:
        with pytest.raises(UnacceptableRequest, match=problem):
            judge_request(text, EXPECTED, rule)


STRICT, FILL, IGNORE = SubjectRule.STRICT, SubjectRule.FILL, SubjectRule.IGNORE


@pytest.mark.parametrize(
    ("rule", "common_name", "organisation", "named"),
    [
        (STRICT, "SN-1", "Nordwerk", ("SN-1", "Nordwerk")),
        (STRICT, "cp001", " nordwerk ", ("CP001", "Nordwerk")),
        (STRICT, "SN-2", "Nordwerk", "its CN is “SN-2” and must be SN-1 or CP001"),
        (STRICT, None, "Nordwerk", "its CN is missing"),
        (STRICT, "SN-1", None, "its O is missing and must be Nordwerk"),
        (STRICT, "SN-1", "Nordwerkstatt", "its O is “Nordwerkstatt”"),
        (FILL, None, None, ("SN-1", "Nordwerk")),
        (FILL, "CP001", None, ("CP001", "Nordwerk")),
        (FILL, "SN-2", None, "its CN is “SN-2”"),
        (FILL, None, "Other", "its O is “Other”"),
        (IGNORE, "anything", "Other", ("SN-1", "Nordwerk")),
        (IGNORE, None, None, ("SN-1", "Nordwerk")),
    ],
)
def test_the_subject_is_looked_at_as_the_rule_says(rule, common_name, organisation, named):
    text = csr(common_name=common_name, organisation=organisation)

    if isinstance(named, tuple):
        request = judge_request(text, EXPECTED, rule)
        assert (request.common_name, request.organisation) == named
    else:
        with pytest.raises(UnacceptableRequest, match=named):
            judge_request(text, EXPECTED, rule)


@pytest.mark.parametrize("rule", SubjectRule)
def test_where_nobody_knows_the_operator_any_organisation_will_do(rule):
    request = judge_request(csr(common_name="SN-1", organisation="Any"), ANY_NAME, rule)

    assert request.organisation == ("" if rule is IGNORE else "Any")


def test_a_name_too_long_for_a_certificate_is_refused():
    with pytest.raises(UnacceptableRequest, match="too long for a CN"):
        judge_request(csr(), ExpectedSubject(("x" * 65,)), FILL)


TOLD = {"chargePointSerialNumber": " SN-1 ", "chargeBoxSerialNumber": ""}


@pytest.mark.parametrize(
    ("rule", "entered", "names"),
    [
        ("serial", "", ()),
        ("serial", "SN-9", ("SN-9",)),
        ("id", "SN-9", ("CP001",)),
        ("either", "", ("CP001",)),
        ("either", "SN-9", ("SN-9", "CP001")),
    ],
)
def test_the_name_is_the_serial_number_or_the_id_by_setting(rule, entered, names):
    """Quirk 36. What the charge point says of itself may be another's serial number."""
    record = replace(CP001, serial_number=entered, facts=TOLD)

    expected = expected_subject(record, CommonNameRule(rule), None)

    assert expected == ExpectedSubject(names, "", ("SN-1",))
    assert expected_subject(record, CommonNameRule(rule), "Nordwerk").organisation == "Nordwerk"


@pytest.mark.parametrize(
    ("names", "claimed", "asked", "problem"),
    [
        (("CP001",), ("SN-1",), "SN-1", "must be CP001; enter it as its serial number if"),
        (("CP001",), ("SN-2",), "SN-1", "must be CP001$"),
        ((), ("SN-1",), "SN-1", r"no serial number is entered for it \(it says SN-1\)"),
        ((), (), None, "no serial number is entered for it, which"),
    ],
)
def test_a_serial_number_nobody_entered_is_refused_with_what_to_do(names, claimed, asked, problem):
    with pytest.raises(UnacceptableRequest, match=problem):
        judge_request(csr(common_name=asked), ExpectedSubject(names, "", claimed), FILL)


ROOT = make_root(
    RSA_KEY, subject("Root"), 1, SignatureAlgorithm.RSA_PKCS1V15, NOON_MS - 400 * DAY_MS, 3650
)
OTHER = make_root(EC_KEY, subject("Other"), 1, SignatureAlgorithm.ECDSA, NOON_MS, 3650)
REQUEST = judge_request(csr(), EXPECTED, FILL)


def leaf(key=EC_KEY, name="SN-1", days=365, now_ms=NOON_MS, authority=ROOT):
    return issue(authority, key.public_key(), subject(name), 255, Purpose.CLIENT, now_ms, days)


@pytest.mark.parametrize("name", ["SN-1", "sn-1", "CP001"])
@pytest.mark.parametrize("above", [(), (ROOT.certificate,)])
def test_a_chain_for_the_key_and_name_asked_for_is_of_use(name, above):
    facts = check_chain([leaf(name=name), *above], REQUEST, EXPECTED, NOON_MS)

    assert (facts.common_name, facts.serial_number) == (name, "FF")
    assert facts.not_after_ms == NOON_MS + 365 * DAY_MS


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        ([leaf(key=RSA_KEY)], "not for the key of the CSR"),
        ([ROOT.certificate, leaf()], "not for the key of the CSR"),
        ([leaf(name="SN-2")], "its CN is “SN-2” and must be SN-1 or CP001"),
        ([leaf(days=10, now_ms=NOON_MS - 20 * DAY_MS)], "has expired"),
        ([leaf(), OTHER.certificate], "in order"),
        ([leaf(), OTHER.certificate, ROOT.certificate], "in order"),
    ],
)
def test_a_chain_that_the_charge_point_can_t_use_is_not_sent(chain, problem):
    with pytest.raises(UnusableChain, match=problem):
        check_chain(chain, REQUEST, EXPECTED, NOON_MS)


def test_a_leaf_of_an_unknown_kind_of_key_is_no_use():
    """An EC key on a curve that does not exist: changed by hand in the DER."""
    der = leaf().public_bytes(Encoding.DER)
    p256, nowhere = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")
    twisted = x509.load_der_x509_certificate(der.replace(p256, nowhere))

    with pytest.raises(UnusableChain, match="can't be read"):
        check_chain([twisted], REQUEST, EXPECTED, NOON_MS)
