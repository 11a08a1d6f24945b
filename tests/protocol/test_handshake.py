"""Who may connect (OCPP-J 1.6, 3 and 6; white paper, A00)."""

from base64 import b64encode
from dataclasses import replace

import pytest
from cast import CP001

from csms.domain.credentials import hash_key
from csms.protocol.handshake import (
    Credentials,
    HandshakeRefused,
    RefusalReason,
    check_credentials,
    check_transport,
    choose_subprotocol,
)

PEPPER = b"pepper"
KEY = bytes(range(200, 220))
NEW_KEY = b"sixteen letters!"
SECURED = replace(CP001, security_profile=1, key_hash=hash_key(KEY, bytes(16), PEPPER))
CHANGING = replace(SECURED, pending_key_hashes=(hash_key(NEW_KEY, bytes(16), PEPPER),))


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


@pytest.mark.parametrize(
    ("profile", "secure", "admitted"),
    [
        (0, False, True),
        (0, True, True),
        (1, False, True),
        (1, True, True),
        (2, False, False),
        (2, True, True),
        (3, False, False),
        (3, True, True),
    ],
)
def test_a_profile_with_tls_is_never_admitted_without(profile, secure, admitted):
    charge_point = replace(CP001, security_profile=profile)
    if admitted:
        check_transport(charge_point, secure=secure)
        return
    with pytest.raises(HandshakeRefused) as refused:
        check_transport(charge_point, secure=secure)

    assert refused.value.status == 403
    assert refused.value.reason is RefusalReason.WRONG_TRANSPORT


def test_profile_0_asks_for_no_credentials():
    assert check_credentials(CP001, "CP001", None, PEPPER) == Credentials()


@pytest.mark.parametrize("password", [KEY, KEY.hex().encode(), KEY.hex().upper().encode()])
def test_the_key_admits_in_every_form(password):
    """Quirks 23 and 35."""
    assert check_credentials(SECURED, "CP001", basic(b"CP001", password), PEPPER) == Credentials()


def test_the_user_is_compared_without_case():
    """Quirk 24: some change the case of what was typed into them."""
    assert check_credentials(SECURED, "cp001", basic(b"CP001", KEY), PEPPER) == Credentials()


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Basic !!"])
def test_missing_credentials_are_refused(header):
    with pytest.raises(HandshakeRefused) as refused:
        check_credentials(SECURED, "CP001", header, PEPPER)

    assert (refused.value.status, refused.value.reason) == (401, RefusalReason.MISSING_CREDENTIALS)


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
    with pytest.raises(HandshakeRefused) as refused:
        check_credentials(SECURED, "CP001", header, PEPPER)

    assert (refused.value.status, refused.value.reason) == (401, RefusalReason.WRONG_CREDENTIALS)
    assert str(refused.value) == "The credentials are not right."


def test_both_keys_admit_while_a_change_is_open():
    """White paper, A01: until the first login with the new one."""
    old = check_credentials(CHANGING, "CP001", basic(b"CP001", KEY), PEPPER)
    new = check_credentials(CHANGING, "CP001", basic(b"CP001", NEW_KEY), PEPPER)

    assert old.pending_key_hash is None
    assert (new.pending_key_hash,) == CHANGING.pending_key_hashes


def test_a_charge_point_without_a_key_is_not_admitted_to_profile_1():
    with pytest.raises(HandshakeRefused):
        check_credentials(replace(SECURED, key_hash=""), "CP001", basic(b"CP001", b""), PEPPER)
