"""Whose client certificate it is, and whether it may be believed (white paper, A00)."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import certificates
import pytest
from cast import CP001, DAY_MS, NOON_MS
from certificates import CPO, Issued, issued, root, self_made
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from csms.config import CommonNameRule
from csms.domain.certificate_authority import Purpose, SignatureAlgorithm, make_root, subject
from csms.domain.certificate_facts import facts_of
from csms.domain.client_certificates import (
    PATH_MAX,
    CertificateProblem,
    CertificateRefused,
    ClientTrust,
    PresentedCertificate,
    check_client_certificate,
    leads_to_root,
    read_passed_on,
)

ROOT = root(now_ms=NOON_MS)
TRUST = ClientTrust(ROOT.chain, CPO)
OWNER = replace(CP001, serial_number="SN-1")
GOOD = issued(ROOT, "SN-1", now_ms=NOON_MS)


ORGANISATION_ONLY = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, CPO)])


def shown(*certificates_, path_verified=False):
    return PresentedCertificate(tuple(c.der for c in certificates_), path_verified)


def made(name="SN-1", issuer=None, *, ca=False, key=None, **changes):
    """A certificate with anything wrong that a test wants.

    changes: `path_length`, `usage`, `purposes`, `extra`, `begin` and `end` in days from NOON.
    """
    own = key or certificates.key("ec", f"made {name}")
    noon = datetime.fromtimestamp(NOON_MS // 1000, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject(name, CPO) if name else ORGANISATION_ONLY)
        .issuer_name(issuer.certificate.subject if issuer else subject(name, CPO))
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(noon + timedelta(days=changes.get("begin", -1)))
        .not_valid_after(noon + timedelta(days=changes.get("end", 30)))
    )
    if changes.get("constrained", True):
        builder = builder.add_extension(x509.BasicConstraints(ca, changes.get("path_length")), True)
    if "usage" in changes:
        bits = [False] * 9
        bits[5] = changes["usage"]
        bits[0] = True
        builder = builder.add_extension(x509.KeyUsage(*bits), True)
    if "purposes" in changes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(changes["purposes"]), False)
    if "extra" in changes:
        builder = builder.add_extension(changes["extra"], True)
    signer = issuer.key if issuer else own
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signer, algorithm), own)


def paths(leaf, *between, roots=ROOT.chain):
    chain = [leaf.certificate, *[c.certificate for c in between]]
    return leads_to_root(chain, roots, NOON_MS)


def refusal(presented, owner=OWNER, trust=TRUST, now_ms=NOON_MS):
    with pytest.raises(CertificateRefused) as refused:
        check_client_certificate(owner, presented, trust, now_ms)
    assert refused.value.explanation
    return refused.value.problem


# -- whose it is


@pytest.mark.parametrize("path_verified", [False, True])
def test_a_good_certificate_admits_and_is_described(path_verified):
    presented = shown(GOOD, path_verified=path_verified)

    facts = check_client_certificate(OWNER, presented, TRUST, NOON_MS)

    assert facts == facts_of(GOOD.certificate)
    assert (facts.common_name, facts.organisation) == ("SN-1", CPO)
    assert facts.fingerprint == certificates.fingerprint(GOOD.certificate)
    assert facts.fingerprint == presented.fingerprint
    assert int(facts.serial_number, 16) == GOOD.certificate.serial_number
    assert facts.not_before_ms < NOON_MS < facts.not_after_ms
    assert facts.issuer == "CN=Root ec"


@pytest.mark.parametrize("organisation", ["", "Nordwerk", "nordwerk charging"])
def test_the_o_contains_the_organisation_whatever_its_case(organisation):
    """A00.FR.405: contains."""
    trust = ClientTrust(ROOT.chain, organisation)

    assert check_client_certificate(OWNER, shown(GOOD), trust, NOON_MS)


@pytest.mark.parametrize("chain", [(), (b"",), (b"nonsense",), (GOOD.der[:-1],)])
def test_what_can_t_be_read_is_refused(chain):
    presented = PresentedCertificate(chain, True)

    assert refusal(presented) is CertificateProblem.UNREADABLE
    assert bool(presented.fingerprint) is bool(chain)


@pytest.mark.parametrize("now_ms", [NOON_MS - 2 * DAY_MS, NOON_MS + 91 * DAY_MS])
def test_a_certificate_out_of_its_time_is_refused(now_ms):
    """Even where TLS has verified it: a session may have been resumed."""
    assert refusal(shown(GOOD, path_verified=True), now_ms=now_ms) is CertificateProblem.EXPIRED


def test_a_weak_key_is_refused():
    weak = made(key=ec.generate_private_key(ec.SECP192R1()), issuer=ROOT)

    assert refusal(shown(weak, path_verified=True)) is CertificateProblem.WEAK


FOREIGN = issued(root(name="Foreign", now_ms=NOON_MS), "SN-1", now_ms=NOON_MS)


@pytest.mark.parametrize("certificate", [self_made("SN-1", NOON_MS), FOREIGN])
def test_a_certificate_that_leads_to_no_root_is_refused(certificate):
    assert refusal(shown(certificate)) is CertificateProblem.UNTRUSTED


def test_another_organisation_is_refused():
    other = issued(ROOT, "SN-1", organisation="Nordwerk", now_ms=NOON_MS)
    none = issued(ROOT, "SN-1", organisation="", now_ms=NOON_MS)

    assert refusal(shown(other)) is CertificateProblem.OTHER_ORGANISATION
    assert refusal(shown(none)) is CertificateProblem.OTHER_ORGANISATION


SERIAL, ID, EITHER = CommonNameRule.SERIAL, CommonNameRule.ID, CommonNameRule.EITHER


@pytest.mark.parametrize(
    ("rule", "common_name", "serial_number", "admitted"),
    [
        (SERIAL, "SN-1", "SN-1", True),
        (SERIAL, "sn-1", "SN-1", True),
        (SERIAL, "SN-10", "SN-1", False),
        (SERIAL, "SN", "SN-1", False),
        (SERIAL, "CP001", "SN-1", False),
        (SERIAL, "SN-1", "", False),
        (SERIAL, "CP001", "", False),
        (ID, "CP001", "SN-1", True),
        (ID, "cp001", "", True),
        (ID, "SN-1", "SN-1", False),
        (EITHER, "SN-1", "SN-1", True),
        (EITHER, "CP001", "SN-1", True),
        (EITHER, "CP001", "", True),
        (EITHER, "CP002", "SN-1", False),
        (EITHER, "BOOTED", "", False),
    ],
)
def test_the_cn_is_the_serial_number_or_the_id(rule, common_name, serial_number, admitted):
    """Quirk 36. What a boot says counts for nothing: anybody may have sent it."""
    owner = replace(CP001, serial_number=serial_number, facts={"chargePointSerialNumber": "BOOTED"})
    presented = shown(issued(ROOT, common_name, now_ms=NOON_MS))
    trust = ClientTrust(ROOT.chain, CPO, rule)
    if admitted:
        assert check_client_certificate(owner, presented, trust, NOON_MS)
    else:
        assert refusal(presented, owner, trust) is CertificateProblem.OTHER_NAME


def test_a_certificate_without_a_name_is_nobody_s():
    """An unknown serial number is no name either."""
    assert refusal(shown(made("", ROOT)), CP001) is CertificateProblem.OTHER_NAME


def test_the_names_in_a_certificate_issued_for_it_do_not_matter():
    other = shown(issued(ROOT, "SN-2", organisation="", now_ms=NOON_MS))
    foreign = shown(self_made("SN-1", NOON_MS))

    assert check_client_certificate(OWNER, other, TRUST, NOON_MS, True)
    with pytest.raises(CertificateRefused, match="no root of ours"):
        check_client_certificate(OWNER, foreign, TRUST, NOON_MS, True)


def test_one_issued_for_another_is_refused_whatever_its_name():
    with pytest.raises(CertificateRefused, match="not issued for it") as refused:
        check_client_certificate(OWNER, shown(GOOD), TRUST, NOON_MS, False)

    assert refused.value.problem is CertificateProblem.OTHER_NAME


# -- the path


def test_paths_that_lead_to_a_root():
    middle = made("Sub", ROOT, ca=True, usage=True)
    client = ExtendedKeyUsageOID.CLIENT_AUTH

    assert paths(GOOD)
    assert paths(made(issuer=ROOT))
    assert paths(made(issuer=ROOT, purposes=[client]))
    assert paths(made(issuer=ROOT, purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))
    assert paths(made(issuer=middle), middle)
    assert paths(made(issuer=middle), roots=(middle.certificate,))  # trusted by itself
    assert paths(made(issuer=middle), self_made("stranger"), middle)
    assert paths(GOOD, roots=(GOOD.certificate,))  # pinned


def _tall(height):
    chain = [Issued(ROOT.certificate, ROOT.key)]
    top = make_root(
        certificates.key("ec", "tall"), subject("Tall"), 1, SignatureAlgorithm.ECDSA, NOON_MS, 30
    )
    chain = [made("Tall", key=top.key, ca=True)]
    for level in range(height):
        chain.append(made(f"Level {level}", chain[-1], ca=True))
    return chain


def test_a_path_is_no_longer_than_it_may_be():
    fits, too_long = _tall(PATH_MAX - 2), _tall(PATH_MAX - 1)

    for tall, expected in ((fits, True), (too_long, False)):
        top, *between = tall
        leaf = made("SN-1", tall[-1])
        assert paths(leaf, *between, roots=(top.certificate,)) is expected


def _wrong_paths():
    middle = made("Sub", ROOT, ca=True)
    yield "no certificate signed it", (made("SN-1", made("Root ec", ca=True)),)
    yield "the one between is missing", (made(issuer=middle),)
    for name, changes in {
        "is no authority": {"ca": False},
        "does not say what it is": {"constrained": False},
        "may not sign": {"ca": True, "usage": False},
        "has ended": {"ca": True, "end": -1, "begin": -2},
        "has not begun": {"ca": True, "begin": 1},
        "is weak": {"ca": True, "key": ec.generate_private_key(ec.SECP192R1())},
        "constrains names": {
            "ca": True,
            "extra": x509.NameConstraints([x509.DNSName("example")], None),
        },
    }.items():
        wrong = made("Wrong", ROOT, **changes)
        yield f"the one between {name}", (made("SN-1", wrong), wrong)
    short = made("Short", ROOT, ca=True, path_length=0)
    below = made("Below", short, ca=True)
    yield "there are more between than one allows", (made("SN-1", below), below, short)
    yield "it is for servers", (made(issuer=ROOT, purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),)
    yield "it has ended", (made(issuer=ROOT, end=-1, begin=-2),)
    edwards = made("Edwards", key=ed25519.Ed25519PrivateKey.generate(), ca=True)
    yield "one signs with a key of no kind we know", (made("SN-1", edwards), edwards)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    yield "it has a critical extension nobody knows", (made(issuer=ROOT, extra=unknown),)
    loop = made("Loop", ca=True)
    yield "it leads in a circle", (made("SN-1", loop), loop)


@pytest.mark.parametrize(("why", "chain"), list(_wrong_paths()), ids=lambda v: str(v)[:40])
def test_paths_that_lead_nowhere(why, chain):
    assert not paths(*chain), why


def test_the_signature_counts_and_not_the_name():
    impostor = make_root(
        certificates.key("ec", "impostor"),
        ROOT.certificate.subject,
        1,
        SignatureAlgorithm.ECDSA,
        NOON_MS,
        30,
    )

    assert not paths(issued(impostor, "SN-1", now_ms=NOON_MS))


# A root valid for a hundred years, and what it signed with SHA-1: no library makes such any more.
SHA_1 = b"""
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUH/IPjfDwhKE369TcecBZZWwnuSIwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBUjAgFw0yNjExMjUyMjQ0MTlaGA8yMTI2MTEwMTIyNDQxOVow
DDEKMAgGA1UEAwwBUjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABM0be8/zPd1Z
AlQAC6YvAS+NeHwpWnSBb2poKY+h2xbKmkLRFxaul6JABNKp9ogoGvNnO9jP7rf6
0b0D5by0qzmjUzBRMB0GA1UdDgQWBBQopbcmXbwnE4k2TckvTy7LAZwCeDAfBgNV
HSMEGDAWgBQopbcmXbwnE4k2TckvTy7LAZwCeDAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIEug7tbPGD1Oxm+8N1sTZqvQ+fZhBcE4QNwJgvBqGZjg
AiEAyTNGiZzjtfKFxFHjT/DFqfuoiAVAI1Pvj8blTKd+Gew=
-----END CERTIFICATE-----
-----BEGIN CERTIFICATE-----
MIIBAzCBqgIBBzAJBgcqhkjOPQQBMAwxCjAIBgNVBAMMAVIwIBcNMjYxMTI1MjI0
NDE5WhgPMjEyNjExMDEyMjQ0MTlaMA8xDTALBgNVBAMMBFNOLTEwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAAS75YPFloDmvXJX8pzMMPoaSu/z5rqoeqjXEQGRMXB1
j4o97kQZiccnlqwX4l0IQtO1Dzq48DtfEnz6kRD/fYSXMAkGByqGSM49BAEDSQAw
RgIhAN/9zmY5zuFnDpHA0eWhc2W7j7FS0t3daFjRro7NJpT0AiEA2gKb+fGlY+jg
e8G48TJtTmt+J8+GDXEYe5RvKTQicRk=
-----END CERTIFICATE-----
"""


def test_sha_1_is_no_signature():
    signer, signed = x509.load_pem_x509_certificates(SHA_1)
    now_ms = facts_of(signed).not_before_ms + DAY_MS

    assert leads_to_root([signed], [signed], now_ms)
    assert not leads_to_root([signed], [signer], now_ms)


def test_a_certificate_with_broken_extensions_leads_nowhere():
    doubled = made(issuer=ROOT, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]).der
    oid = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string
    assert oid
    broken = doubled.replace(b"\x06\x03\x55\x1d\x25", b"\x06\x03\x55\x1d\x13")  # now twice

    assert not leads_to_root([x509.load_der_x509_certificate(broken)], ROOT.chain, NOON_MS)


def test_rsa_leads_to_a_root_as_well():
    authority = root("rsa", now_ms=NOON_MS)
    client = issued(authority, "SN-1", kind="rsa", now_ms=NOON_MS)

    assert paths(client, roots=authority.chain)
    assert not paths(client, roots=ROOT.chain)


# -- what proxies pass on

MIDDLE = made("Sub", ROOT, ca=True)
LEAF = made("SN-1", MIDDLE)
PEM = LEAF.pem.strip()
BASE64 = b64encode(LEAF.der).decode()
ENVOY = f'Hash=abc;Cert="{quote(PEM, safe="")}";Subject="CN=SN-1,O=A;Cert=x"'


@pytest.mark.parametrize(
    "header",
    [
        quote(PEM),
        quote(PEM, safe=""),
        PEM.replace("\n", " "),
        PEM.replace("\n", "\t"),
        BASE64,
        f"  {BASE64} ",
        quote(BASE64),
        ENVOY,
        f"By=spiffe://x;{ENVOY}",
        f'Cert="Zm9yZ2Vk";Subject="CN=a,b",{ENVOY}',
    ],
    ids=lambda header: header[:12],
)
def test_a_header_is_read_however_proxies_write_it(header):
    assert read_passed_on(header) == shown(LEAF)


@pytest.mark.parametrize(
    "header", [quote(PEM + MIDDLE.pem), f"{BASE64},{b64encode(MIDDLE.der).decode()}"]
)
def test_those_above_it_come_behind(header):
    assert read_passed_on(header) == shown(LEAF, MIDDLE)


@pytest.mark.parametrize("header", ["", "  ", 'Hash=abc;Subject="CN=a"', f"{ENVOY},Hash=abc"])
def test_a_proxy_may_say_that_there_was_none(header):
    """Also where an element of another proxy, or of the client, says something else."""
    assert read_passed_on(header) is None


@pytest.mark.parametrize(
    "header", ["(null)", "%%%", "-----BEGIN CERTIFICATE-----", "AAAA", "Cert=x"]
)
def test_what_can_t_be_read_does_not_admit(header):
    presented = read_passed_on(header)

    assert presented is None or refusal(presented) is CertificateProblem.UNREADABLE


def test_a_header_holds_no_more_than_a_path():
    assert len(read_passed_on(",".join([BASE64] * 50)).chain) == 8


def test_several_names_in_a_subject_are_all_read():
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "B"),
        ]
    )
    made_root = make_root(
        certificates.key("ec", "names"), name, 1, SignatureAlgorithm.ECDSA, NOON_MS, 30
    )

    facts = facts_of(made_root.certificate)
    assert (facts.organisation, facts.common_name) == ("A, B", "")


def test_the_purpose_is_that_of_a_client():
    assert not paths(issued(ROOT, "SN-1", purpose=Purpose.SERVER, now_ms=NOON_MS))
