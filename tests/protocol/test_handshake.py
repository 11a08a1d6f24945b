"""Who may connect (OCPP-J 1.6, 3 and 6; white paper, A00)."""

from base64 import b64encode
from dataclasses import replace

import pytest
from cast import CP001, NOON_MS
from certificates import issued, root, self_made

from csms.domain.certificate_facts import facts_of
from csms.domain.client_certificates import CertificateProblem, ClientTrust, PresentedCertificate
from csms.domain.credentials import hash_key
from csms.protocol.handshake import (
    IMPOSTURES,
    Caller,
    HandshakeRefused,
    Recognised,
    RefusalReason,
    check_credentials,
    choose_subprotocol,
    recognise,
)

PEPPER = b"pepper"
KEY = bytes(range(200, 220))
NEW_KEY = b"sixteen letters!"
SECURED = replace(CP001, security_profile=1, key_hash=hash_key(KEY, bytes(16), PEPPER))
CHANGING = replace(SECURED, pending_key_hashes=(hash_key(NEW_KEY, bytes(16), PEPPER),))


ROOT = root(now_ms=NOON_MS)
TRUST = ClientTrust(ROOT.chain)
GOOD = issued(ROOT, "CP001", now_ms=NOON_MS)


def presented(client):
    return PresentedCertificate((client.der,), path_verified=False)


CLIENT = presented(GOOD)


def basic(user, password):
    return "Basic " + b64encode(user + b":" + password).decode()


@pytest.mark.parametrize(
    "offered",
    ["ocpp1.6", "ocpp2.0.1, ocpp1.6", "ocpp1.6,ocpp1.5", " ocpp1.6 ", "ocpp2.0.1,,ocpp1.6"],
)
@pytest.mark.parametrize("assume", [False, True])
def test_ocpp_1_6_is_agreed_on_wherever_it_is_offered(offered, assume):
    assert choose_subprotocol(offered, assume=assume) == "ocpp1.6"


@pytest.mark.parametrize("offered", ["ocpp0.1", "ocpp2.0.1, ocpp1.5", "OCPP1.6", "ocpp1.6j"])
@pytest.mark.parametrize("assume", [False, True])
def test_nothing_in_common_is_refused_and_told(offered, assume):
    """TC_088; a header that names another version is never taken for 1.6."""
    with pytest.raises(HandshakeRefused) as refused:
        choose_subprotocol(offered, assume=assume)

    assert refused.value.status == 400
    assert refused.value.reason is RefusalReason.NO_SUBPROTOCOL
    assert offered in refused.value.explanation


@pytest.mark.parametrize("offered", [None, "", " , "])
def test_a_missing_header_is_refused_unless_1_6_is_assumed(offered):
    """Quirk 9."""
    assert choose_subprotocol(offered, assume=True) is None
    with pytest.raises(HandshakeRefused, match="none was offered"):
        choose_subprotocol(offered, assume=False)


# -- the security profile


def caller(profile=1, **changes):
    """Shows all that a profile asks for, and nothing else."""
    shown = {
        "presented_id": "CP001",
        "secure": profile >= 2,
        "authorization": basic(b"CP001", KEY) if profile in {1, 2} else None,
        "certificate": CLIENT if profile == 3 else None,
    }
    return Caller(**{**shown, **changes})


def recognised(charge_point, caller_, now_ms=NOON_MS):
    return recognise(charge_point, caller_, PEPPER, TRUST, now_ms)


def refused(charge_point, caller_):
    with pytest.raises(HandshakeRefused) as refusal:
        recognised(charge_point, caller_)
    assert refusal.value.explanation
    return refusal.value.status, refusal.value.reason


def of_profile(profile, pending=None):
    return replace(SECURED, security_profile=profile, pending_security_profile=pending)


@pytest.mark.parametrize("profile", [0, 1, 2, 3])
def test_what_a_profile_asks_for_admits_with_it(profile):
    assert recognised(of_profile(profile), caller(profile)) == Recognised(
        profile, certificate=facts_of(GOOD.certificate) if profile == 3 else None
    )


@pytest.mark.parametrize("profile", [0, 1])
def test_a_profile_without_tls_may_come_over_tls(profile):
    """A proxy may end it."""
    assert recognised(of_profile(profile), caller(profile, secure=True)).profile == profile


@pytest.mark.parametrize(
    ("profile", "shown", "reason"),
    [
        (1, {"authorization": None}, RefusalReason.MISSING_CREDENTIALS),
        (1, {"authorization": basic(b"CP001", b"wrong")}, RefusalReason.WRONG_CREDENTIALS),
        (1, {"authorization": None, "certificate": CLIENT}, RefusalReason.MISSING_CREDENTIALS),
        (2, {"secure": False}, RefusalReason.WRONG_TRANSPORT),
        (2, {"authorization": None}, RefusalReason.MISSING_CREDENTIALS),
        (2, {"authorization": None, "certificate": CLIENT}, RefusalReason.MISSING_CREDENTIALS),
        (2, {"authorization": basic(b"CP002", KEY)}, RefusalReason.WRONG_CREDENTIALS),
        (3, {"secure": False}, RefusalReason.WRONG_TRANSPORT),
        (3, {"certificate": None}, RefusalReason.NO_CLIENT_CERTIFICATE),
        (
            3,
            {"certificate": None, "authorization": basic(b"CP001", KEY)},
            RefusalReason.NO_CLIENT_CERTIFICATE,
        ),
        (
            3,
            {"certificate": PresentedCertificate((), True)},
            RefusalReason.CERTIFICATE_UNREADABLE,
        ),
        (
            3,
            {"certificate": PresentedCertificate((self_made("CP001", NOON_MS).der,), False)},
            RefusalReason.CERTIFICATE_UNTRUSTED,
        ),
    ],
    ids=str,
)
def test_less_than_a_profile_asks_for_is_refused(profile, shown, reason):
    """A00.FR.002."""
    credentials = {RefusalReason.MISSING_CREDENTIALS, RefusalReason.WRONG_CREDENTIALS}

    assert refused(of_profile(profile), caller(profile, **shown)) == (
        401 if reason in credentials else 403,
        reason,
    )


def test_every_problem_of_a_certificate_is_a_reason_to_refuse():
    assert {problem.value for problem in CertificateProblem} < {
        reason.value for reason in IMPOSTURES
    }


def test_a_certificate_issued_for_a_charge_point_needs_no_name():
    other = presented(issued(ROOT, "SERIAL-9", now_ms=NOON_MS))
    strange = caller(3, certificate=other)

    assert refused(of_profile(3), strange)[1] is RefusalReason.CERTIFICATE_OTHER_NAME
    assert recognised(of_profile(3), replace(strange, is_own=True)).profile == 3


def test_a_certificate_issued_for_another_does_not_admit_by_its_name():
    assert (
        refused(of_profile(3), caller(3, is_own=False))[1] is RefusalReason.CERTIFICATE_OTHER_NAME
    )


@pytest.mark.parametrize(("profile", "pending"), [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
def test_while_an_upgrade_is_pending_both_profiles_admit(profile, pending):
    """A05.FR.08: it may fall back."""
    upgrading = of_profile(profile, pending)

    assert recognised(upgrading, caller(profile)).profile == profile
    assert recognised(upgrading, caller(pending)).profile == pending


@pytest.mark.parametrize(("profile", "pending"), [(1, 2), (1, 3), (2, 3)])
def test_while_an_upgrade_is_pending_neither_admits_with_less(profile, pending):
    upgrading = of_profile(profile, pending)
    wrong = basic(b"CP001", b"wrong")

    assert refused(upgrading, caller(0)) == refused(of_profile(profile), caller(0))
    assert refused(upgrading, caller(profile, authorization=wrong))[0] == 401


@pytest.mark.parametrize(("profile", "pending"), [(1, 1), (2, 1), (3, 2), (3, 0)])
def test_a_profile_is_never_lowered_by_what_is_pending(profile, pending):
    """B29."""
    assert refused(of_profile(profile, pending), caller(0))[0] in {401, 403}
    if pending < profile and profile != 1:
        assert refused(of_profile(profile, pending), caller(pending))[0] == 403


# -- credentials


def credentials(charge_point, authorization, presented_id="CP001"):
    return check_credentials(charge_point, Caller(presented_id, False, authorization), PEPPER)


@pytest.mark.parametrize("password", [KEY, KEY.hex().encode(), KEY.hex().upper().encode()])
def test_the_key_admits_in_every_form(password):
    """Quirks 23 and 35."""
    assert credentials(SECURED, basic(b"CP001", password)) == SECURED.key_hash


def test_the_user_is_compared_without_case():
    """Quirk 24: some change the case of what was typed into them."""
    assert credentials(SECURED, basic(b"CP001", KEY), "cp001") == SECURED.key_hash


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Basic !!"])
def test_missing_credentials_are_refused(header):
    with pytest.raises(HandshakeRefused) as refusal:
        credentials(SECURED, header)

    assert (refusal.value.status, refusal.value.reason) == (401, RefusalReason.MISSING_CREDENTIALS)


@pytest.mark.parametrize(
    "header",
    [
        basic(b"CP001", b"wrong"),
        basic(b"CP001", b""),
        basic(b"CP002", KEY),
        basic(b"", KEY),
        basic(b"CP001", KEY + b"x"),
        basic(b"\xff", KEY),
    ],
)
def test_wrong_credentials_are_refused_alike(header):
    with pytest.raises(HandshakeRefused) as refusal:
        credentials(SECURED, header)

    assert (refusal.value.status, refusal.value.reason) == (401, RefusalReason.WRONG_CREDENTIALS)
    assert str(refusal.value) == "The credentials are not right."


def test_both_keys_admit_while_a_change_is_open():
    """White paper, A01: until the first login with the new one."""
    new = caller(1, authorization=basic(b"CP001", NEW_KEY))

    assert recognised(CHANGING, caller(1)).pending_key_hash is None
    assert (recognised(CHANGING, new).pending_key_hash,) == CHANGING.pending_key_hashes


@pytest.mark.parametrize("password", [b"", b"x"])
def test_a_charge_point_without_a_key_is_not_admitted_to_profile_1(password):
    with pytest.raises(HandshakeRefused):
        credentials(replace(SECURED, key_hash=""), basic(b"CP001", password))
