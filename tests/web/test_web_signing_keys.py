"""The page of signing keys: made or brought, listed, deleted; never their private part."""

import pytest
from cast import NOON_MS
from cryptography.hazmat.primitives.asymmetric import ec
from test_web_pages import NASTY, Document, read

from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.firmware_signature import certify

PAGE = "/signing-keys"
PAIR = certify(
    ec.generate_private_key(ec.SECP256R1()),
    "Nordwerk firmware",
    "Nordwerk",
    77,
    SignatureAlgorithm.ECDSA,
    NOON_MS,
    365,
)
MADE = {"name": "made", "algorithm": "ecdsa", "valid_days": "30"}
BROUGHT = {
    "name": "brought",
    "private_key": PAIR.private_pem().replace("\n", "\r\n"),
    "certificate": PAIR.certificate_pem.replace("\n", "\r\n"),
    "algorithm": "",
}


def names(stores):
    return [key.name for key in stores.signing_keys.all()]


def test_without_keys_the_page_says_what_to_do(browser):
    assert "No key yet" in read(browser, PAGE).text
    assert f'href="{PAGE}"' in browser.get("/security").text


def test_a_key_is_made(browser, stores):
    made = browser.post(f"{PAGE}/make", {**MADE, "organisation": "A CPO"})

    assert made.headers["Location"] == PAGE
    page = read(browser, PAGE).text
    for part in ("made is kept", "ecdsa", "made of A CPO", "by user:olga", "BEGIN CERTIFICATE"):
        assert part in page, part
    assert names(stores) == ["made"]


def test_a_key_is_brought_and_its_private_part_is_never_shown(browser, stores):
    brought = browser.post(f"{PAGE}/bring", BROUGHT)

    assert brought.status_code == 303
    page = browser.get(PAGE).text
    assert "Nordwerk firmware of Nordwerk" in page
    assert "PRIVATE" not in page
    [key] = stores.signing_keys.all()
    assert key.certificate == PAIR.certificate_pem
    assert key.algorithm is SignatureAlgorithm.ECDSA


@pytest.mark.parametrize(
    ("path", "change", "complaint"),
    [
        ("make", {"name": "-"}, "name: must have"),
        ("make", {"name": ""}, "name: "),
        ("make", {"valid_days": "0"}, "valid_days: must be 1 to 36500"),
        ("make", {"valid_days": "soon"}, "valid_days: "),
        ("make", {"algorithm": "md5"}, "algorithm: must be one of"),
        ("bring", {"private_key": "nonsense"}, "private_key: is not a private key in PEM"),
        ("bring", {"private_key": " "}, "private_key: is required"),
        ("bring", {"certificate": ""}, "certificate: is required"),
        ("bring", {"algorithm": "rsa-pss"}, "algorithm: "),
    ],
)
def test_what_is_wrong_is_shown_beside_the_form(browser, stores, path, change, complaint):
    form = {**(MADE if path == "make" else BROUGHT), **change}
    refused = browser.post(f"{PAGE}/{path}", form)

    assert refused.status_code == 422
    assert complaint in Document(refused.text).text
    if change.get("name") is None:
        assert f'value="{form["name"]}"' in refused.text
    assert "PRIVATE" not in refused.text
    assert names(stores) == []


def test_a_name_is_given_once(browser, stores):
    browser.post(f"{PAGE}/make", MADE)
    refused = browser.post(f"{PAGE}/bring", {**BROUGHT, "name": "made"})

    assert refused.status_code == 422
    assert "exists already" in refused.text
    assert "BEGIN CERTIFICATE" in refused.text
    assert PAIR.private_pem().splitlines()[1] not in refused.text


def test_a_key_is_deleted_where_its_name_is_typed(browser, stores):
    browser.post(f"{PAGE}/make", MADE)
    refused = browser.post(f"{PAGE}/delete", {"name": "made", "typed_name": "Made"})
    assert refused.status_code == 422
    assert "type made to delete it" in Document(refused.text).text
    assert names(stores) == ["made"]

    for said in ("made is deleted", "There is no signing key made"):
        browser.post(f"{PAGE}/delete", {"name": "made", "typed_name": "made"})
        assert said in read(browser, PAGE).text
    assert names(stores) == []


def test_hostile_names_are_shown_as_text(browser):
    browser.post(f"{PAGE}/make", {**MADE, "common_name": NASTY, "organisation": NASTY})

    assert NASTY in read(browser, PAGE).text
