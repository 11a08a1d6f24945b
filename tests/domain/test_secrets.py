"""Secrets never reach a log, a list or a record (central-system rule: keys are masked)."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.secrets import MASK, is_secret_key, mask_frame, mask_payload, mask_values

KEY = "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize("name", ["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY"])
def test_the_name_of_a_secret_ignores_case(name):
    assert is_secret_key(name)


@pytest.mark.parametrize("name", ["HeartbeatInterval", "", None, 5, ["AuthorizationKey"]])
def test_other_names_are_no_secrets(name):
    assert not is_secret_key(name)


def test_a_new_key_is_masked_in_its_payload():
    payload = {"key": "authorizationKEY", "value": KEY}

    assert mask_payload("ChangeConfiguration", payload) == {**payload, "value": MASK}


def test_other_payloads_are_themselves():
    for action, payload in [
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}),
        ("ChangeConfiguration", {"value": "60"}),
        ("UpdateFirmware", {"location": 5}),
        ("GetLog", {"requestId": 5}),
        ("DataTransfer", {"vendorId": "x", "key": "AuthorizationKey", "value": "y"}),
    ]:
        assert mask_payload(action, payload) is payload


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("ftp://user:secret@host/dir", "ftp://user:****@host/dir"),
        ("FTPS://user:secret@host:21/dir", "FTPS://user:****@host:21/dir"),
        ("ftp://:secret@host", "ftp://:****@host"),
        ("ftp://user:se@cr:et@host/dir", "ftp://user:****@host/dir"),
        ("https://host:8443/dir", "https://host:8443/dir"),
        ("https://user@host/dir", "https://user@host/dir"),
        ("write to me@host", "write to me@host"),
    ],
)
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("UpdateFirmware", {"location": "%"}),
        ("GetDiagnostics", {"location": "%"}),
        ("GetLog", {"requestId": 1, "log": {"remoteLocation": "%", "oldestTimestamp": "t"}}),
        ("SignedUpdateFirmware", {"requestId": 1, "firmware": {"location": "%", "signature": "s"}}),
    ],
)
def test_a_password_in_a_location_is_masked(action, payload, location, shown):
    sent, masked = (
        json.loads(json.dumps(payload).replace("%", text)) for text in (location, shown)
    )

    assert mask_payload(action, sent) == masked
    assert f'"{shown}"' in mask_frame(json.dumps([2, "1", action, sent]))


def test_a_password_behind_escaped_slashes_is_masked():
    frame = mask_frame(r'[2,"1","GetDiagnostics",{"location":"ftp:\/\/me:se\"cret@host\/x"}]')

    assert frame == r'[2,"1","GetDiagnostics",{"location":"ftp:\/\/me:****@host\/x"}]'


HOSTED = "https://files.example/a/files"
GRANT_ID, SECRET = "0123456789abcdef" * 2, "fedcba9876543210" * 2


def test_the_secret_in_the_address_of_a_file_is_masked():
    payload = {"location": f"{HOSTED}/{GRANT_ID}{SECRET}/nw-5.bin"}

    shown = mask_payload("UpdateFirmware", payload)["location"]

    assert shown == f"{HOSTED}/{GRANT_ID}****/nw-5.bin"
    told = json.dumps([3, "1", {"fileName": payload["location"]}])
    for frame in (told, told.replace("/", "\\/")):
        assert GRANT_ID in mask_frame(frame)
        assert SECRET not in mask_frame(frame)


def test_the_secret_of_a_file_is_masked_where_a_charge_point_repeats_it():
    answer = {"fileName": f"{HOSTED}//{GRANT_ID}{SECRET}glued.zip", "more": ["x", 5]}

    assert mask_values(answer) == {**answer, "fileName": f"{HOSTED}//{GRANT_ID}****glued.zip"}
    assert mask_values(same := {"fileName": "files", "more": ["x", 5, "me@x"]}) is same


def test_so_is_that_of_a_file_over_ftp_and_no_other_password():
    answer = {"fileName": f"ftp://{GRANT_ID}:{SECRET}@files.example/a", "own": "ftp://me:pw@x"}

    assert mask_values(answer) == {**answer, "fileName": f"ftp://{GRANT_ID}:****@files.example/a"}


FRAMES = {
    "as we send it": f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{KEY}"}}]',
    "value first": f'[2,"1","ChangeConfiguration",{{"value":"{KEY}","key":"AuthorizationKey"}}]',
    "any case": f'[2,"1","ChangeConfiguration",{{"key":"AuThOrIzAtIoNkEy","value":"{KEY}"}}]',
    "blanks": f'[2, "1", "X", {{ "key" : "AuthorizationKey" ,\n\t"value" : "{KEY}" }}]',
    "fields between": f'[3,"1",{{"configurationKey":[{{"key":"AuthorizationKey","readonly":false,'
    f'"value":"{KEY}"}}]}}]',
    "braces between": f'[3,"1",[{{"key":"AuthorizationKey","x":"}}","value":"{KEY}"}}]]',
    "escaped name": f'[2,"1","X",{{"key":"\\u0041uthorization\\u004Bey","value":"{KEY}"}}]',
    "escaped field": f'[2,"1","X",{{"k\\u0065y":"AuthorizationKey","\\u0076alue":"{KEY}"}}]',
    "escapes in the value": f'[2,"1","X",{{"key":"AuthorizationKey","value":"a\\"{KEY}"}}]',
    "a number": '[2,"1","X",{"key":"AuthorizationKey","value":11223344556677889900}]',
    "twice": f'[2,"1","X",{{"key":"AuthorizationKey","value":"x","value":"{KEY}"}}]',
    "cut off": f'[2,"1","X",{{"key":"AuthorizationKey","value":"{KEY}',
    "cut off, escaped": f'[2,"1","X",{{"key":"A\\u0075thorizationKey","value":"a\\"{KEY}',
    "cut off, a number": '[2,"1","X",{"key":"AuthorizationKey","value":11223344556677889900',
    "cut off, value first": f'[2,"1","X",{{"value":"{KEY}","key":"AuthorizationKey"',
    "too deep": '[2,"1",' + "[" * 900 + f'{{"key":"AuthorizationKey","value":"{KEY}"}}' + "]" * 900,
    "too deep, but JSON": "[" * 900 + f'{{"key":"AuthorizationKey","value":"{KEY}"}}' + "]" * 900,
    "too deep to be written": "[" * 300
    + f'{{"key":"AuthorizationKey","value":"{KEY}"}}'
    + "]" * 300,
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_no_frame_lets_a_key_through(frame):
    masked = mask_frame(frame)

    assert KEY not in masked
    assert "11223344556677889900" not in masked
    assert MASK in masked


UNTOUCHED = {
    "nothing secret": '[2,"1","Heartbeat",{}]',
    "another key": '[2,"1","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]',
    "escapes of something else": '[2,"1","DataTransfer",{"vendorId":"\\u00fc","data":"\\u0041"}]',
    "only the name": '[3,"1",{"unknownKey":["AuthorizationKey"]}]',
    "a key without a value": '[3,"1",{"configurationKey":[{"key":"AuthorizationKey"}]}]',
    "broken": '[2,"1","Heartbeat",{',
    "a digest among files": f'[2,"1","X",{{"data":"files/{GRANT_ID}/{SECRET}"}}]',
    "broken, with escapes": '[2,"1","DataTransfer",{"data":"\\u0041',
}


@pytest.mark.parametrize("frame", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_is_no_secret_stays_as_it_was(frame):
    assert mask_frame(frame) == frame


def test_only_the_key_is_masked_among_many():
    answer = {
        "configurationKey": [
            {"key": "HeartbeatInterval", "readonly": False, "value": "60"},
            {"key": "AuthorizationKey", "readonly": False, "value": KEY},
        ]
    }

    shown = mask_values(answer)

    assert shown["configurationKey"][0] == answer["configurationKey"][0]
    assert shown["configurationKey"][1]["value"] == MASK
    assert mask_values({"status": "Accepted"}) == {"status": "Accepted"}


_case = st.lists(st.booleans(), min_size=16, max_size=16).map(
    lambda upper: "".join(
        letter.upper() if is_upper else letter.lower()
        for letter, is_upper in zip("AuthorizationKey", upper, strict=True)
    )
)
_secrets = st.from_regex(re.compile(r"[0-9a-f]{32,40}"), fullmatch=True)
_others = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name not in {"key", "value"}),
    st.text(max_size=5) | st.integers() | st.none(),
    max_size=3,
)


def _escape(text, positions):
    return "".join(
        f"\\u{ord(letter):04x}" if index in positions and letter.isalnum() else letter
        for index, letter in enumerate(text)
    )


@given(
    _case,
    _secrets,
    _others,
    st.permutations(["key", "value", "other"]),
    st.sampled_from([None, 1, 4]),
    st.sets(st.integers(0, 120)),
)
def test_a_key_never_survives_however_it_is_written(name, secret, others, order, indent, escaped):
    fields = {}
    for field in order:
        fields |= {"key": {"key": name}, "value": {"value": secret}, "other": others}[field]
    text = json.dumps([2, "1", "ChangeConfiguration", fields], indent=indent)
    kept = text.find(secret)
    # Everything but the secret itself may be escaped, so that finding it means that it leaked.
    escaped -= set(range(kept, kept + len(secret)))
    inside = {
        i for i in escaped if text[:i].count('"') % 2 and i < len(text) and text[i - 1] != "u"
    }
    written = _escape(text, inside if "\\" not in text else set())

    assert secret in written
    assert secret not in mask_frame(written)


@given(st.text())
def test_masking_never_fails(text):
    mask_frame(text)


@pytest.mark.parametrize(
    "hostile",
    [
        "://" + "a." * 100_000 + "@",
        '"key":"authorizationkey",' * 10_000,
        '"value":"' * 30_000 + "authorizationkey",
        "a://" * 50_000 + "@",
        "\\u0041" * 50_000 + "authorizationkey",
    ],
    ids=["scheme", "keys", "values", "links", "escapes"],
)
def test_masking_takes_no_time_by_the_square(hostile):
    began = time.process_time()
    mask_frame(hostile)

    # By the square these are minutes.
    assert time.process_time() - began < 10
