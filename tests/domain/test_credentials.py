"""Keys that machines present (OCPP-J 1.6, 6.2.2; security white paper, A00)."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.credentials import (
    UnusableKey,
    hash_key,
    key_matches,
    read_authorization_key,
    read_basic_credentials,
)

SALT = bytes(range(16))
PEPPER = b"pepper"
keys_of_machines = st.binary(min_size=16, max_size=20)


@given(keys_of_machines)
def test_a_key_matches_as_raw_bytes_and_as_hex_text(key):
    stored = hash_key(key, SALT, PEPPER)

    assert key_matches(key, stored, PEPPER)
    assert key_matches(key.hex().encode(), stored, PEPPER)
    assert key_matches(key.hex().upper().encode(), stored, PEPPER)


@given(keys_of_machines, st.binary(max_size=50))
def test_no_other_key_matches(key, other):
    stored = hash_key(key, SALT, PEPPER)

    if other.lower() not in (key.lower(), key.hex().encode()):
        assert not key_matches(other, stored, PEPPER)


def test_a_hash_belongs_to_its_salt_and_pepper():
    key = b"k" * 20

    assert hash_key(key, SALT, PEPPER) != hash_key(key, bytes(16), PEPPER)
    assert not key_matches(key, hash_key(key, SALT, b"another"), PEPPER)


@pytest.mark.parametrize("stored", ["", "00", "no hash at all"])
def test_nothing_matches_where_no_key_is_stored(stored):
    assert not key_matches(b"", stored, PEPPER)
    assert not key_matches(b"k" * 20, stored, PEPPER)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("00" * 16, bytes(16)),
        ("aB" * 20, b"\xab" * 20),
        ("correct-horse-19-ok", b"correct-horse-19-ok"),
        ("0123456789abcdef", b"0123456789abcdef"),
        ("sixteen letters!", b"sixteen letters!"),
    ],
)
def test_an_operator_writes_a_key_as_hex_or_as_text(text, key):
    assert read_authorization_key(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "fifteen letters",
        "00" * 15,
        "00" * 21,
        "0" * 33,
        "g" * 32,
        "ümlauts-are-bytes",
        "line\nbreak-in-a-key",
    ],
)
def test_an_unusable_key_is_told_what_it_must_be(text):
    with pytest.raises(UnusableKey, match="32 to 40 hex digits or 16 to 20 printable"):
        read_authorization_key(text)


def basic(raw):
    return "Basic " + b64encode(raw).decode()


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (basic(b"CP001:secret"), (b"CP001", b"secret")),
        (basic(b"CP001:a:b:c"), (b"CP001", b"a:b:c")),
        (basic(b"CP001:\xff\x00\xfe"), (b"CP001", b"\xff\x00\xfe")),
        (basic(b"CP001:"), (b"CP001", b"")),
        (basic(b":secret"), (b"", b"secret")),
        ("bAsIc  " + b64encode(b"a:b").decode(), (b"a", b"b")),
        ("  Basic YTpi  ", (b"a", b"b")),
        (basic(b"no colon"), None),
        ("Bearer YTpi", None),
        ("Basic", None),
        ("Basic !!!!", None),
        ("Basic YTp", None),
        ("Basic ümlaut", None),
        ("", None),
        (None, None),
    ],
)
def test_basic_credentials_are_bytes_split_at_the_first_colon(header, credentials):
    assert read_basic_credentials(header) == credentials


@given(st.binary().filter(lambda user: b":" not in user), st.binary())
def test_every_user_and_password_comes_through(user, password):
    assert read_basic_credentials(basic(user + b":" + password)) == (user, password)


@given(st.text())
def test_no_header_makes_reading_fail(header):
    read_basic_credentials(header)
