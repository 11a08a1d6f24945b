"""SignCertificate: kept, then answered whether it can be processed."""

import pytest
from cast import CP001, NOON_MS, Line
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from signing_cast import csr, settings

from csms.domain.certificate_request import RequestState
from csms.domain.configuration import ConfigurationKey
from csms.errors import StaleEpoch
from csms.state.certificate_requests import PER_HOUR


@pytest.fixture
def signing_line(line):
    line.settings = settings()
    return line


def sign(line, text, now_ms=NOON_MS):
    return line.call("SignCertificate", {"csr": text}, now_ms)["status"]


def kept(line):
    return line.stores.certificate_requests.page(None, 100).items


def refusals(line):
    events = line.stores.security_events.page(None, 100).items
    return [
        kept.event.tech_info
        for kept in events
        if kept.event.event_type == "CertificateRequestRefused"
    ]


@pytest.mark.parametrize("key", ["RSA", "EC"])
def test_a_good_request_is_kept_and_accepted(signing_line, key):
    text = csr(key)

    assert sign(signing_line, text) == "Accepted"

    [request] = kept(signing_line)
    assert (request.charge_point_id, request.state) == ("CP001", RequestState.RECEIVED)
    assert (request.csr, request.common_name) == (text, "CP001")
    assert signing_line.stores.certificate_requests.open_of("CP001") == request.request_id
    assert refusals(signing_line) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the CSR can't be read"),
        ("nonsense", "the CSR can't be read"),
        (csr(rsa.generate_private_key(65537, 1024)), "the key is weak (RSA 1024)"),
        (csr(ec.generate_private_key(ec.SECP192R1())), "the key is weak (EC secp192r1)"),
        (csr(common_name="CP002"), "its CN is “CP002” and must be CP001"),
        (csr() + "x" * 6_000, "the CSR is longer than 5500 characters"),
    ],
)
def test_a_request_that_can_t_be_processed_is_rejected_with_its_reason_kept(
    signing_line, text, reason
):
    assert sign(signing_line, text) == "Rejected"

    [request] = kept(signing_line)
    assert request.state is RequestState.REFUSED
    assert request.reason.startswith(reason)
    assert len(request.csr) <= 5_500
    [told] = refusals(signing_line)
    assert told.startswith(reason)
    [listed] = signing_line.stores.refusals.page(None, 10).items
    assert listed.charge_point_id == "CP001"
    assert listed.reason.startswith(f"certificate request refused: {reason}")
    assert signing_line.stores.certificate_requests.open_of("CP001") is None


@pytest.mark.parametrize(
    ("told", "set_", "organisation", "status"),
    [
        ("Nordwerk", {}, "Nordwerk", "Accepted"),
        ("Nordwerk", {}, "Other", "Rejected"),
        ("Other", {"CPO_NAME": "Nordwerk"}, "Nordwerk", "Accepted"),
        ("Nordwerk", {"CPO_NAME": "Other"}, "Nordwerk", "Rejected"),
        (None, {}, "Any", "Accepted"),
        ("Nordwerk", {"CERTIFICATE_SUBJECT": "ignore"}, "Other", "Accepted"),
        ("Nordwerk", {"CERTIFICATE_SUBJECT": "strict"}, None, "Rejected"),
    ],
)
def test_the_organisation_is_the_setting_s_or_what_the_charge_point_has_told(
    line, told, set_, organisation, status
):
    line.settings = settings(**set_)
    if told is not None:
        key = ConfigurationKey("CpoName", told, readonly=False, at_ms=NOON_MS)
        line.stores.configurations.record("CP001", [key], is_all=False)

    text = csr(common_name="CP001", organisation=organisation)

    assert sign(line, text) == status


def test_a_serial_number_an_operator_entered_names_the_certificate(signing_line):
    """What a charge point says of itself in its boot may be another's."""
    boot = {
        "chargePointVendor": "V",
        "chargePointModel": "M",
        "chargePointSerialNumber": "SN-1",
    }
    signing_line.call("BootNotification", boot)
    assert sign(signing_line, csr(common_name="SN-1")) == "Rejected"
    assert refusals(signing_line)[0].endswith("enter it as its serial number if that is right")

    signing_line.stores.charge_points.update("CP001", serial_number="SN-1")

    assert sign(signing_line, csr(common_name="SN-1"), NOON_MS + 1) == "Accepted"
    assert kept(signing_line)[0].common_name == "SN-1"


def test_the_same_request_again_is_the_same(signing_line):
    text = csr()
    for later in range(3):
        assert sign(signing_line, text, NOON_MS + later) == "Accepted"

    assert len(kept(signing_line)) == 1


def test_another_request_ends_the_one_before(signing_line):
    assert sign(signing_line, csr("RSA")) == "Accepted"
    assert sign(signing_line, csr("EC"), NOON_MS + 1) == "Accepted"

    newer, older = kept(signing_line)
    assert (newer.state, older.state) == (RequestState.RECEIVED, RequestState.FAILED)
    assert older.reason == "another request came after it"
    assert signing_line.stores.certificate_requests.open_of("CP001") == newer.request_id


def test_a_charge_point_that_asks_without_end_is_rejected(signing_line):
    for number in range(PER_HOUR):
        sign(signing_line, f"nonsense {number}", NOON_MS + number)

    assert sign(signing_line, csr(), NOON_MS + 1_000) == "Rejected"
    assert refusals(signing_line)[0] == "too many requests within an hour"
    assert sign(signing_line, csr(), NOON_MS + 3_700_000) == "Accepted"
    assert len(kept(signing_line)) == PER_HOUR + 1


def test_a_request_without_csr_has_no_use(signing_line):
    assert signing_line.refused("SignCertificate", {}) == "OccurenceConstraintViolation"
    assert kept(signing_line) == []


def test_a_displaced_connection_asks_for_nothing(signing_line):
    Line(signing_line.stores)

    with pytest.raises(StaleEpoch):
        sign(signing_line, csr())
    assert kept(signing_line) == []
    assert signing_line.stores.link.call("KEYS", "csms:*certificate-request*") == []


def test_a_charge_point_that_was_deleted_meanwhile_asks_for_nothing(signing_line):
    signing_line.stores.charge_points.delete(CP001.charge_point_id)

    with pytest.raises(StaleEpoch):
        sign(signing_line, csr())


@pytest.mark.parametrize(("environ", "due"), [({}, 1), ({"CERTIFICATE_AUTHORITY": "manual"}, 0)])
def test_only_what_the_system_signs_itself_is_swept(line, environ, due):
    line.settings = settings(**environ)
    sign(line, csr())

    assert len(line.stores.certificate_requests.due(NOON_MS + 60_000, 10)) == due
    assert line.stores.certificate_requests.due(NOON_MS, 10) == []
