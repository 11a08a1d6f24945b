"""What stops the start, and what only warns."""

import pytest

from csms.errors import StoreRefused
from csms.state.checks import StoreCheck, check_store, judge

GOOD = {
    "redis_version": "7.2.4",
    "redis_mode": "standalone",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
}


class ClosedStore:
    """A link to a store whose rules forbid INFO."""

    def call(self, *command):
        raise StoreRefused("NOPERM this user has no permissions to run the 'info' command")


def test_the_embedded_store_passes_on_both_links(link, sync_link):
    for each in (link, sync_link):
        assert check_store(each) == StoreCheck((), ())


def test_an_evicting_policy_stops_the_start(link):
    link.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        (problem,) = check_store(link).problems
    finally:
        link.call("CONFIG", "SET", "maxmemory-policy", "noeviction")

    assert "allkeys-lru" in problem


def test_a_store_without_an_append_only_file_is_warned_of(link):
    link.call("CONFIG", "SET", "appendonly", "no")
    try:
        check = check_store(link)
    finally:
        link.call("CONFIG", "SET", "appendonly", "yes")

    assert check.problems == ()
    assert "append-only" in check.warnings[0]


@pytest.mark.parametrize(
    ("version", "is_good"),
    [("6.2.0", True), ("7.0", True), ("10.0.1", True), ("6.0.16", False), ("5.9.9", False)],
)
def test_redis_is_good_from_6_2(version, is_good):
    check = judge(GOOD | {"redis_version": version})

    assert (check.problems == ()) is is_good


def test_any_valkey_is_good():
    assert judge(GOOD | {"redis_version": "6.0.0", "valkey_version": "7.2.5"}).problems == ()


def test_a_cluster_stops_the_start():
    (problem,) = judge(GOOD | {"redis_mode": "cluster"}).problems

    assert "cluster" in problem


def test_a_store_that_forbids_info_is_warned_of():
    check = check_store(ClosedStore())

    assert check.problems == ()
    assert "NOPERM" in check.warnings[0]


def test_what_a_platform_does_not_tell_is_no_problem():
    assert judge({}) == StoreCheck((), ())
