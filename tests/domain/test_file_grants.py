"""What lets a charge point fetch a file or leave one."""

import pytest
from cast import HOUR_MS, NOON_MS

from csms.domain.file_grant import (
    FileGrant,
    GrantKind,
    GrantState,
    is_grant_id,
    is_secret_of,
    location_of,
    read_token,
    secret_of,
    token_of,
)

PEPPER = "pepper-of-the-tests-0123456789abcdef"
GRANT_ID = "0123456789abcdef" * 2
UPLOAD = FileGrant(GRANT_ID, "CP001", GrantKind.UPLOAD, NOON_MS, NOON_MS + HOUR_MS)
DOWNLOAD = FileGrant(
    GRANT_ID,
    "CP001",
    GrantKind.DOWNLOAD,
    NOON_MS,
    NOON_MS + HOUR_MS,
    storage_key="key",
    file_name="nw 5/ä.bin",
)


def test_a_grant_is_open_until_it_expires():
    assert UPLOAD.is_open(NOON_MS)
    assert not UPLOAD.is_open(NOON_MS + HOUR_MS)


@pytest.mark.parametrize("state", [GrantState.USED, GrantState.WITHDRAWN])
def test_a_grant_that_is_used_or_withdrawn_is_not_open(state):
    grant = FileGrant(GRANT_ID, "CP001", GrantKind.UPLOAD, 0, NOON_MS * 2, state)

    assert not grant.is_open(NOON_MS)


def test_the_secret_is_that_of_the_grant_and_of_nobody_else():
    secret = secret_of(GRANT_ID, PEPPER)

    assert is_secret_of(GRANT_ID, secret, PEPPER)
    assert not is_secret_of(GRANT_ID[::-1], secret, PEPPER)
    assert not is_secret_of(GRANT_ID, secret, PEPPER[::-1])
    assert not is_secret_of(GRANT_ID, "\ud800", PEPPER)


def test_a_token_names_its_grant():
    assert read_token(token_of(GRANT_ID, PEPPER), PEPPER) == GRANT_ID


@pytest.mark.parametrize(
    "token",
    ["", GRANT_ID, GRANT_ID * 2, token_of(GRANT_ID, "another"), "x" * 64, token_of("0" * 32, "")],
)
def test_another_token_names_none(token):
    assert read_token(token, PEPPER) is None


@pytest.mark.parametrize("text", ["", "anonymous", GRANT_ID.upper(), GRANT_ID + "0", "*" * 32])
def test_what_is_no_id_of_a_grant_is_told_apart(text):
    assert is_grant_id(GRANT_ID)
    assert not is_grant_id(text)


def test_an_upload_goes_to_a_directory_of_its_own():
    location = location_of(UPLOAD, "https://files.example/a", PEPPER)

    assert location == f"https://files.example/a/files/{token_of(GRANT_ID, PEPPER)}/"


def test_a_download_ends_with_the_name_of_its_file():
    location = location_of(DOWNLOAD, "http://files.example:8000", PEPPER)

    assert location.endswith(f"/files/{token_of(GRANT_ID, PEPPER)}/nw%205%2F%C3%A4.bin")
    assert len(location) < 512


@pytest.mark.parametrize(("grant", "name"), [(UPLOAD, ""), (DOWNLOAD, "nw%205%2F%C3%A4.bin")])
def test_over_ftp_grant_and_secret_are_user_and_password(grant, name):
    location = location_of(grant, "ftps://files.example:2121", PEPPER)

    secret = secret_of(GRANT_ID, PEPPER)
    assert location == f"ftps://{GRANT_ID}:{secret}@files.example:2121/{name}"
