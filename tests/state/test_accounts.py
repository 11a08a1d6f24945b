"""Operators, their sessions, and the keys of programs."""

import pytest
from cast import NOON_MS, PEPPER

from csms.errors import AlreadyExists, NotFound
from csms.state.accounts import SESSION_IDLE_S, Accounts, User

ADMIN = User("admin", "$argon2id$…", NOON_MS)


@pytest.fixture
def accounts(sync_link):
    return Accounts(sync_link, PEPPER)


def test_a_user_is_read_back_as_written(accounts):
    assert not accounts.has_users()
    accounts.create_user(ADMIN)

    assert accounts.find_user("admin") == ADMIN
    assert accounts.find_user("nobody") is None
    assert accounts.has_users()


def test_a_name_is_taken_once(accounts):
    accounts.create_user(ADMIN)

    with pytest.raises(AlreadyExists, match="user admin"):
        accounts.create_user(User("admin", "another", 0))
    assert accounts.find_user("admin") == ADMIN


def test_a_password_can_be_changed(accounts):
    accounts.create_user(ADMIN)
    accounts.set_password("admin", "another")

    assert accounts.find_user("admin") == User("admin", "another", NOON_MS)
    with pytest.raises(NotFound):
        accounts.set_password("nobody", "x")


def test_a_session_is_its_user_s_until_it_is_closed(accounts):
    token = accounts.open_session("admin", NOON_MS)
    other = accounts.open_session("admin", NOON_MS)
    assert accounts.session_user(token) == "admin"
    assert accounts.session_user("guess") is None
    assert token != other

    accounts.close_session(token)

    assert accounts.session_user(token) is None
    assert accounts.session_user(other) == "admin"


def test_a_session_ends_when_it_is_idle(accounts, sync_link):
    token = accounts.open_session("admin", NOON_MS)
    [key] = sync_link.call("KEYS", "csms:session:*")
    sync_link.call("EXPIRE", key, 5)

    accounts.session_user(token)

    assert sync_link.call("TTL", key) > SESSION_IDLE_S - 60


def test_the_store_holds_no_token_and_no_secret(accounts, sync_link):
    token = accounts.open_session("admin", NOON_MS)
    presented = accounts.create_api_key("backup", NOON_MS)
    secret = presented.split("_", 2)[2]

    held = [sync_link.call("KEYS", "*"), sync_link.call("HGETALL", "csms:api-keys")]
    assert token not in str(held)
    assert secret not in str(held)


def test_an_api_key_is_known_by_its_secret(accounts):
    assert not accounts.has_api_keys()
    presented = accounts.create_api_key("backup", NOON_MS)

    found = accounts.find_api_key(presented)

    assert (found.name, found.created_at_ms) == ("backup", NOON_MS)
    assert accounts.api_keys() == [found]
    assert accounts.has_api_keys()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: key + "x",
        lambda key: key[:-1],
        lambda key: key.replace("csms_", "cpms_", 1),
        lambda key: key.rpartition("_")[0],
        lambda key: "csms__" + key.split("_", 2)[2],
        lambda key: "csms_000000000000_" + key.split("_", 2)[2],
        lambda key: "",
        lambda key: "ü_ü_ü",
    ],
)
def test_no_other_key_is_known(accounts, wrong):
    presented = accounts.create_api_key("backup", NOON_MS)

    assert accounts.find_api_key(wrong(presented)) is None


def test_a_deleted_key_is_known_no_more(accounts):
    presented = accounts.create_api_key("backup", NOON_MS)
    accounts.delete_api_key(accounts.find_api_key(presented).key_id)

    assert accounts.find_api_key(presented) is None
    with pytest.raises(NotFound, match="API key"):
        accounts.delete_api_key("nothing")


def test_a_key_is_of_its_pepper(accounts, sync_link):
    presented = accounts.create_api_key("backup", NOON_MS)

    assert Accounts(sync_link, "another pepper").find_api_key(presented) is None
