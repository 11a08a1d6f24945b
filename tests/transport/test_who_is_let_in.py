"""The door with a real store: who is let in under which security profile, and what remains."""

from base64 import b64encode
from dataclasses import replace

import pytest
from cast import CP001, ENVIRONMENT, PEPPER
from certificates import CPO, issued, root, self_made

from csms.config import Settings
from csms.domain.certificate_facts import facts_of
from csms.domain.certificate_request import CertificateState
from csms.domain.client_certificates import PresentedCertificate
from csms.domain.credentials import hash_key
from csms.transport.door import Door
from csms.transport.upgrade import Admission, Refusal, UpgradeRequest

KEY = bytes(range(200, 220))
OTHER_KEY = bytes(range(100, 120))
ROOT = root()
SECURED = replace(
    CP001,
    serial_number="SN-1",
    key_hash=hash_key(KEY, bytes(16), PEPPER.encode()),
)
OTHER = replace(
    SECURED,
    charge_point_id="CP002",
    serial_number="SN-2",
    key_hash=hash_key(OTHER_KEY, bytes(16), PEPPER.encode()),
)


def basic(user, password):
    return "Basic " + b64encode(user + b":" + password).decode()


# Whether TLS has verified the path makes no difference to what is wrong beside it.
CERTIFICATES = {
    "no certificate": None,
    "its certificate": issued(ROOT, "SN-1"),
    "one with its id": issued(ROOT, "CP001"),
    "another's certificate": issued(ROOT, "SN-2"),
    "of another organisation": issued(ROOT, "SN-1", organisation="Else"),
    "ended": issued(ROOT, "SN-1", days=-1),
    "self-made": self_made("SN-1"),
    "of a foreign root": issued(root(name="Foreign"), "SN-1"),
}
GOOD_CERTIFICATES = {"its certificate", "one with its id"}
CREDENTIALS = {
    "nothing": None,
    "wrong user": basic(b"CP002", KEY),
    "wrong key": basic(b"CP001", bytes(20)),
    "another's key": basic(b"CP001", OTHER_KEY),
    "another's credentials": basic(b"CP002", OTHER_KEY),
    "its credentials": basic(b"CP001", KEY),
}


@pytest.fixture
def served():
    return []


@pytest.fixture
def door(stores, served):
    stores.charge_points.create(OTHER)
    # The matrix below is not to be stopped half-way.
    return new_door(stores, served, FAILED_ATTEMPTS_PER_MINUTE="0")


def new_door(stores, served, **environ):
    settings = Settings.from_env({**ENVIRONMENT, "CPO_NAME": CPO, **environ})
    return Door(stores, settings, lambda *facts: served.append(facts), lambda: ROOT.chain)


def knock(
    door,
    *,
    secure=False,
    credentials="nothing",
    certificate="no certificate",
    path="CP001",
    address="192.0.2.7",
):
    headers = {"sec-websocket-protocol": "ocpp1.6"}
    if CREDENTIALS[credentials] is not None:
        headers["authorization"] = CREDENTIALS[credentials]
    shown = CERTIFICATES[certificate]
    return door(
        UpgradeRequest(
            path=f"/ocpp/{path}",
            query="",
            headers=headers,
            remote_address=address,
            secure=secure,
            client_certificate=PresentedCertificate((shown.der,), False) if shown else None,
        )
    )


def fits(profile, secure, credentials, certificate):
    """White paper, A00."""
    return {
        0: True,
        1: credentials == "its credentials",
        2: secure and credentials == "its credentials",
        3: secure and certificate in GOOD_CERTIFICATES,
    }[profile]


@pytest.mark.parametrize("profile", [0, 1, 2, 3])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_only_what_the_profile_asks_for_is_let_in(stores, door, profile, secure):
    """B1: all that can be shown, with every profile, over both."""
    record = replace(SECURED, security_profile=profile)
    stores.charge_points.create(record)
    for credentials in CREDENTIALS:
        for certificate in CERTIFICATES:
            answer = knock(door, secure=secure, credentials=credentials, certificate=certificate)
            expected = fits(profile, secure, credentials, certificate)
            assert isinstance(answer, Admission) is expected, (credentials, certificate)
            if not expected:
                assert answer.status in {401, 403}
            elif profile < 3:
                assert stores.charge_points.get("CP001") == record

    kept = stores.charge_points.get("CP001")
    assert replace(kept, client_certificate=None) == record
    assert not stores.presences.find("CP001").epoch


def test_wrong_user_and_wrong_key_are_answered_alike(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=2))
    answers = [
        knock(door, secure=True, credentials=credentials)
        for credentials in CREDENTIALS
        if credentials not in {"nothing", "its credentials"}
    ]

    assert {(answer.status, answer.reason, answer.headers) for answer in answers} == {
        (401, "The credentials are not right.", answers[0].headers)
    }
    assert answers[0].headers[0][0] == "WWW-Authenticate"


def reasons(stores):
    return {(r.charge_point_id, r.reason): r.count for r in stores.refusals.page(None, 50).items}


def events(stores, charge_point_id="CP001"):
    page = stores.security_events.page(None, 50, charge_point_id=charge_point_id)
    return {(k.event.event_type, k.event.tech_info): k.event.critical for k in page.items}


def test_each_refusal_is_listed_with_its_reason_and_is_a_security_event(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=3))
    for certificate in CERTIFICATES:
        knock(door, secure=True, certificate=certificate)
    knock(door, secure=False, certificate="its certificate")
    knock(door, secure=True, path="NOBODY")

    expected = {
        "no client certificate": 1,
        "client certificate of another charge point": 1,
        "client certificate of another organisation": 1,
        "client certificate is not valid now": 1,
        "client certificate leads to no root of ours": 2,
        "transport does not fit the security profile": 1,
    }
    assert reasons(stores) == {
        **{("CP001", reason): count for reason, count in expected.items()},
        ("NOBODY", "unknown charge point"): 1,
    }
    assert events(stores) == {
        ("ConnectionRefused", f"{reason}, from 192.0.2.7"): reason
        in {"no client certificate", "transport does not fit the security profile"}
        for reason in expected
    }
    assert events(stores, "NOBODY") == {}


def test_failed_handshakes_are_listed_by_address(stores, door):
    for address in ("192.0.2.8", "192.0.2.9"):
        door.tls_handshake_failed(address, "it took too long")

    refused = stores.refusals.page(None, 10).items
    assert {(one.charge_point_id, one.remote_address) for one in refused} == {
        ("", "192.0.2.8"),
        ("", "192.0.2.9"),
    }
    assert {one.reason for one in refused} == {"TLS handshake failed: it took too long"}


def test_failed_handshakes_are_one_security_event_of_the_system_an_hour(stores, door):
    for address in ("192.0.2.8", "192.0.2.9"):
        door.tls_handshake_failed(address, "it took too long")

    (kept,) = stores.security_events.page(None, 10).items
    assert kept.charge_point_id == ""
    assert kept.event.event_type == "ConnectionRefused"
    assert kept.event.tech_info == "TLS handshake failed: it took too long"
    assert kept.count == 2


def renew_key(stores):
    renewed = hash_key(OTHER_KEY, bytes(16), PEPPER.encode())
    stores.charge_points.update("CP001", key_hash=renewed)


@pytest.mark.parametrize(
    ("profile", "change", "is_welcome"),
    [
        (1, lambda stores: None, True),
        (1, lambda stores: stores.charge_points.update("CP001", description="new"), True),
        (1, renew_key, False),
        (1, lambda stores: stores.charge_points.update("CP001", security_profile=2), False),
        (1, lambda stores: stores.charge_points.delete("CP001"), False),
        (3, lambda stores: None, True),
        (3, lambda stores: stores.charge_points.update("CP001", serial_number="OTHER"), False),
    ],
)
def test_whoever_was_let_in_is_judged_again_by_what_the_record_says_then(
    stores, door, served, profile, change, is_welcome
):
    """A change of the settings ends a connection; one that is just coming in it does not find."""
    stores.charge_points.create(replace(SECURED, security_profile=profile))
    shown = {"secure": True, "certificate": "its certificate"} if profile == 3 else {}
    knock(door, credentials="its credentials", **shown).serve(None)

    change(stores)

    assert served[0][3]() is is_welcome


def test_the_certificate_of_a_success_is_remembered(stores, door, served):
    stores.charge_points.create(replace(SECURED, security_profile=3))
    facts = facts_of(CERTIFICATES["its certificate"].certificate)

    knock(door, secure=True, certificate="its certificate").serve(None)
    knock(door, secure=True, certificate="another's certificate")

    assert stores.charge_points.get("CP001").client_certificate == facts
    assert served[0][0].client_certificate == facts


def test_a_certificate_signed_here_for_it_needs_no_name_and_is_in_force_from_its_first_use(
    stores, door
):
    stores.charge_points.create(replace(SECURED, security_profile=3))
    stores.charge_points.create(replace(SECURED, charge_point_id="CP003", security_profile=3))
    facts = facts_of(CERTIFICATES["another's certificate"].certificate)
    assert isinstance(knock(door, secure=True, certificate="another's certificate"), Refusal)
    stores.certificates.issue("CP001", facts, "request", 1)

    assert isinstance(knock(door, secure=True, certificate="another's certificate"), Admission)
    assert stores.certificates.find("CP001", facts.fingerprint).state is CertificateState.ACTIVE
    assert isinstance(
        knock(door, secure=True, certificate="another's certificate", path="CP003"), Refusal
    )


def test_a_certificate_signed_here_for_another_is_refused_whatever_it_says(stores, door):
    """CP003 has claimed the serial number of CP001 in its boot, and got a certificate for it."""
    stores.charge_points.create(replace(SECURED, security_profile=3))
    facts = facts_of(CERTIFICATES["its certificate"].certificate)
    stores.certificates.issue("CP003", facts, "request", 1)

    assert isinstance(knock(door, secure=True, certificate="its certificate"), Refusal)


def test_a_certificate_that_it_has_refused_is_bound_to_nothing(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=3))
    facts = facts_of(CERTIFICATES["another's certificate"].certificate)
    stores.certificates.issue("CP001", facts, "request", 1)
    stores.certificates.answered("CP001", facts.fingerprint, accepted=False)

    assert isinstance(knock(door, secure=True, certificate="another's certificate"), Refusal)


def test_a_certificate_is_over_once_a_newer_one_was_used(stores, door):
    """A02: it stays valid until then, since the newer one may be installed for later."""
    stores.charge_points.create(replace(SECURED, security_profile=3))
    for at_ms, name in enumerate(("its certificate", "another's certificate")):
        facts = facts_of(CERTIFICATES[name].certificate)
        stores.certificates.issue("CP001", facts, "request", at_ms)
        assert isinstance(knock(door, secure=True, certificate=name), Admission)

    assert isinstance(knock(door, secure=True, certificate="another's certificate"), Admission)
    assert isinstance(knock(door, secure=True, certificate="its certificate"), Refusal)


def test_a_revoked_certificate_admits_nobody(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=3))
    facts = facts_of(CERTIFICATES["its certificate"].certificate)
    stores.certificates.issue("CP001", facts, "request", 1)
    assert isinstance(knock(door, secure=True, certificate="its certificate"), Admission)

    stores.certificates.revoke("CP001", facts.fingerprint)

    assert isinstance(knock(door, secure=True, certificate="its certificate"), Refusal)


SHOWN = {
    0: {},
    1: {"credentials": "its credentials"},
    2: {"secure": True, "credentials": "its credentials"},
    3: {"secure": True, "certificate": "its certificate"},
}


@pytest.mark.parametrize(("profile", "pending"), [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)])
def test_an_upgrade_is_pending_until_its_first_success_and_final_then(
    stores, door, served, profile, pending
):
    """A05.FR.08 and FR.09; TC_083."""
    stores.charge_points.create(replace(SECURED, security_profile=profile))
    assert isinstance(knock(door, **SHOWN[profile]), Admission)
    stores.charge_points.expect_profile("CP001", pending)
    # It falls back, as it may.
    assert isinstance(knock(door, **SHOWN[profile]), Admission)
    assert stores.charge_points.get("CP001").pending_security_profile == pending

    knock(door, **SHOWN[pending]).serve(None)

    record = stores.charge_points.get("CP001")
    assert (record.security_profile, record.pending_security_profile) == (pending, None)
    assert served[0][0].security_profile == pending
    refused = knock(door, **SHOWN[profile])
    assert isinstance(refused, Refusal)
    assert refused.status in {401, 403}
    assert isinstance(knock(door, **SHOWN[pending]), Admission)
    assert (
        events(stores)["SecurityProfileRaised", f"from {profile} to {pending}: it came with it"]
        is False
    )


def test_upgrades_lead_from_1_to_2_to_3(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    for profile in (2, 3):
        stores.charge_points.expect_profile("CP001", profile)
        assert isinstance(knock(door, **SHOWN[profile]), Admission)

    answers = {profile: knock(door, **SHOWN[profile]) for profile in SHOWN}
    assert [isinstance(answer, Admission) for answer in answers.values()] == [False] * 3 + [True]
    assert {answers[profile].status for profile in (0, 1, 2)} == {403}


def test_a_first_success_needs_all_that_the_new_profile_asks_for(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    stores.charge_points.expect_profile("CP001", 2)

    for wrong in ("wrong key", "nothing", "another's credentials"):
        assert isinstance(knock(door, secure=True, credentials=wrong), Refusal)

    assert stores.charge_points.get("CP001").security_profile == 1


def test_a_refused_subprotocol_is_no_success(stores, door):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    stores.charge_points.expect_profile("CP001", 2)
    request = UpgradeRequest(
        "/ocpp/CP001", "", {"authorization": CREDENTIALS["its credentials"]}, "192.0.2.7", True
    )

    assert door(request).status == 400
    assert stores.charge_points.get("CP001").security_profile == 1


# -- who tries again and again (B2)


def test_wrong_keys_are_looked_at_ten_times_a_minute_by_all_processes_together(stores, served):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    doors = [new_door(stores, served) for _ in range(2)]

    answers = [knock(doors[n % 2], credentials="wrong key") for n in range(40)]

    assert [answer.status for answer in answers] == [401] * 10 + [429] * 30
    header, seconds = answers[-1].headers[0]
    assert header == "Retry-After"
    assert 1 <= int(seconds) <= 6
    assert reasons(stores) == {
        ("CP001", "wrong credentials"): 10,
        ("CP001", "too many wrong credentials"): 30,
    }


def test_not_even_the_right_key_is_looked_at_where_too_many_were_wrong(stores, served):
    """Or the limit would be none."""
    stores.charge_points.create(replace(SECURED, security_profile=1))
    door = new_door(stores, served)
    for _ in range(10):
        knock(door, credentials="wrong key")

    assert knock(door, credentials="its credentials").status == 429
    assert knock(door, credentials="nothing").status == 401  # which is no guess


def test_a_charge_point_gets_in_from_its_usual_address_while_others_try(stores, served):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    door = new_door(stores, served, FAILED_ATTEMPTS_PER_MINUTE="2")
    stores.presences.connect("CP001", "process-1", 1, "198.51.100.1", secure=False)
    for number in range(40):
        knock(door, credentials="wrong key", address=f"192.0.2.{number}")

    stranger = knock(door, credentials="its credentials", address="192.0.2.200")
    usual = knock(door, credentials="its credentials", address="198.51.100.1")

    assert stranger.status == 429
    assert isinstance(usual, Admission)


def test_other_charge_points_at_the_same_address_are_not_kept_out_by_one(stores, served):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    stores.charge_points.create(OTHER)
    door = new_door(stores, served)
    for _ in range(20):
        knock(door, credentials="wrong key")

    assert isinstance(knock(door, credentials="another's credentials", path="CP002"), Admission)


def test_the_right_key_is_never_counted(stores, served):
    stores.charge_points.create(replace(SECURED, security_profile=1))
    door = new_door(stores, served, FAILED_ATTEMPTS_PER_MINUTE="1")

    answers = [knock(door, credentials="its credentials") for _ in range(20)]

    assert all(isinstance(answer, Admission) for answer in answers)
