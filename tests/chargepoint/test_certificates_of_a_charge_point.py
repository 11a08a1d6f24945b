"""Keys and roots of a charge point: asked for, signed, installed, listed and deleted."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from honest_central_system import wait_until

CENTRAL = "CentralSystemRootCertificate"
MANUFACTURER = "ManufacturerRootCertificate"
NOW = datetime.now(UTC)
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    public_key=None, name="SN-1", ca=False, key=ROOT_KEY, days=30, serial=4095, issuer="Root"
):
    names = {
        text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer)
    }
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[name])
        .issuer_name(names[issuer])
        .public_key(public_key or key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


ROOT = certificate(name="Root", ca=True)


def asked(central_system):
    """The request for a certificate, once it has been sent."""
    wait_until(lambda: central_system.payloads("SignCertificate"))
    return x509.load_pem_x509_csr(central_system.payloads("SignCertificate")[-1]["csr"].encode())


def trigger(central_system):
    wanted = {"requestedMessage": "SignChargePointCertificate"}
    assert central_system.call("ExtendedTriggerMessage", wanted)[2] == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("key_kind", "key"), [("ec", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)]
)
def test_asked_to_it_sends_a_request_for_a_key_of_its_own(central_system, power_up, key_kind, key):
    power_up(key_kind=key_kind, serial_number="SN-1", configuration={"CpoName": "Nordwerk"})

    trigger(central_system)

    request = asked(central_system)
    assert request.is_signature_valid
    assert isinstance(request.public_key(), key)
    assert request.subject.rfc4514_string() == "O=Nordwerk,CN=SN-1"


def test_a_certificate_for_its_key_is_taken(central_system, power_up):
    charge_point = power_up(serial_number="SN-1")
    trigger(central_system)
    chain = certificate(asked(central_system).public_key()) + ROOT

    answer = central_system.call("CertificateSigned", {"certificateChain": chain})

    assert answer[2] == {"status": "Accepted"}
    assert charge_point.certificates.identity.chain == chain


@pytest.mark.parametrize("fault", ["another key", "expired", "no PEM"])
def test_any_other_is_rejected_and_reported(central_system, power_up, fault):
    charge_point = power_up()
    trigger(central_system)
    own_key = asked(central_system).public_key()
    chain = {
        "another key": certificate(),
        "expired": certificate(own_key, days=-1),
        "no PEM": "nonsense",
    }[fault]

    answer = central_system.call("CertificateSigned", {"certificateChain": chain})

    assert answer[2] == {"status": "Rejected"}
    wait_until(lambda: central_system.payloads("SecurityEventNotification"))
    [event] = central_system.payloads("SecurityEventNotification")
    assert event["type"] == "InvalidChargePointCertificate"
    assert charge_point.certificates.identity is None


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("key", [ROOT_KEY, rsa.generate_private_key(65537, 2048)])
def test_a_root_is_installed_listed_and_deleted(central_system, power_up, algorithm, key):
    power_up(hash_algorithm=algorithm)
    pem = certificate(name="Root", ca=True, key=key)
    install = {"certificateType": CENTRAL, "certificate": pem}

    assert central_system.call("InstallCertificate", install)[2] == {"status": "Accepted"}
    listed = central_system.call("GetInstalledCertificateIds", {"certificateType": CENTRAL})[2]
    [hashed] = listed["certificateHashData"]
    assert hashed["hashAlgorithm"] == algorithm
    assert hashed["serialNumber"] == "FFF"
    deleted = central_system.call("DeleteCertificate", {"certificateHashData": hashed})[2]
    assert deleted == {"status": "Accepted"}
    again = central_system.call("DeleteCertificate", {"certificateHashData": hashed})[2]
    assert again == {"status": "NotFound"}
    none = central_system.call("GetInstalledCertificateIds", {"certificateType": CENTRAL})[2]
    assert none == {"status": "NotFound"}


@pytest.mark.parametrize(
    "pem", [certificate(), certificate(name="Root", ca=True, days=-1), "nonsense"]
)
def test_what_is_no_valid_root_is_rejected_and_reported(central_system, power_up, pem):
    power_up()

    answer = central_system.call(
        "InstallCertificate", {"certificateType": CENTRAL, "certificate": pem}
    )

    assert answer[2] == {"status": "Rejected"}
    wait_until(lambda: central_system.payloads("SecurityEventNotification"))
    [event] = central_system.payloads("SecurityEventNotification")
    assert event["type"] == "InvalidCentralSystemCertificate"


def test_a_full_store_takes_no_more(central_system, power_up):
    power_up(configuration={"CertificateStoreMaxLength": "1"})
    install = {"certificateType": MANUFACTURER, "certificate": ROOT}
    central_system.call("InstallCertificate", install)

    assert central_system.call("InstallCertificate", install)[2] == {"status": "Rejected"}


def test_an_extended_trigger_brings_what_the_plain_one_does(central_system, power_up):
    power_up()

    central_system.call("ExtendedTriggerMessage", {"requestedMessage": "Heartbeat"})

    wait_until(lambda: central_system.payloads("Heartbeat"))
