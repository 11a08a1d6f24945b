"""Indexes that a crash left wrong are put right; what is right stays."""

from dataclasses import replace

import pytest
from cast import ALICE, CP001, HOUR_MS, NOON_MS, Line, enter_the_cast, instant

from csms.domain.authorization import ActiveTransaction
from csms.state import keys
from csms.state.id_tags import activate_command, group_command
from csms.state.repair import Repair

INDEXES = (
    keys.TRANSACTIONS,
    keys.OPEN_TRANSACTIONS,
    keys.TRANSACTION_OWNERS,
    keys.active_transactions("alice"),
    keys.connectors_in("Charging"),
    keys.connectors_in("Available"),
)


@pytest.fixture
def line(stores):
    """CP001 with a stopped and a running transaction, and two connectors."""
    enter_the_cast(stores)
    line = Line(stores)
    line.stop(line.start()["transactionId"])
    line.start(timestamp=instant(HOUR_MS))
    line.status("Charging", 1)
    line.status("Available", 2)
    return line


def content(stores):
    """What every index holds, in any order."""
    found = {}
    for name in INDEXES:
        kind = stores.link.call("TYPE", name)
        read = {
            "zset": ("ZRANGE", name, 0, -1),
            "hash": ("HGETALL", name),
            "set": ("SMEMBERS", name),
        }
        found[name] = sorted(stores.link.call(*read[kind])) if kind in read else []
    return found


@pytest.mark.parametrize("lost", INDEXES)
def test_a_lost_index_comes_back(line, lost):
    before = content(line.stores)
    assert before[lost]
    line.stores.link.call("DEL", lost)

    Repair(line.stores.link).step(10)

    assert content(line.stores) == before


def test_what_is_right_stays(line):
    before = content(line.stores)
    for _ in range(3):
        Repair(line.stores.link).step(10)

    assert content(line.stores) == before


def test_a_member_too_many_is_taken_out(line):
    before = content(line.stores)
    stopped = line.stores.transactions.page(None, 10).items[-1].transaction_id
    strangers = [
        ("ZADD", keys.OPEN_TRANSACTIONS, NOON_MS, f"{stopped}/CP001"),
        ("ZADD", keys.OPEN_TRANSACTIONS, NOON_MS, "4711/CP404"),
        ("SADD", keys.connectors_in("Available"), "CP001/1"),
        activate_command("ALICE", ActiveTransaction("CP001", 1, stopped)),
        activate_command("ALICE", ActiveTransaction("CP404", 1, 4711)),
    ]
    for command in strangers:
        line.stores.link.call(*command)

    Repair(line.stores.link).step(10)

    assert content(line.stores) == before


def test_an_open_transaction_older_than_the_newest_is_mended_too(line):
    """A connector that was forgotten while the other one went on."""
    line.start(connectorId=2, timestamp=instant(-HOUR_MS))
    for number in range(25):
        line.start(timestamp=instant(2 * HOUR_MS + number * 1000))
    before = content(line.stores)
    line.stores.link.call("DEL", keys.OPEN_TRANSACTIONS)

    Repair(line.stores.link).step(10)

    assert content(line.stores)[keys.OPEN_TRANSACTIONS] == before[keys.OPEN_TRANSACTIONS]


def test_the_walk_goes_round_the_whole_fleet_and_all_tags(line):
    stores = line.stores
    for number in range(5):
        record = replace(CP001, charge_point_id=f"CP1{number}")
        stores.charge_points.create(record)
        stores.id_tags.create(replace(ALICE, id_tag=f"TAG{number}"))
        Line(stores, record).start(idTag=f"TAG{number}")
    tags = [keys.active_transactions(f"tag{number}") for number in range(5)]
    before = stores.link.call("ZCARD", keys.OPEN_TRANSACTIONS)
    stores.link.call("DEL", keys.OPEN_TRANSACTIONS, *tags)

    for _ in range(10):
        Repair(stores.link).step(2)

    assert stores.link.call("ZCARD", keys.OPEN_TRANSACTIONS) == before
    assert stores.link.call("EXISTS", *tags) == 5


def test_a_transaction_that_was_refused_is_not_counted_by_repair(line):
    line.start(idTag="BOB", connectorId=3)

    Repair(line.stores.link).step(10)

    assert line.stores.id_tags.active("BOB") == []


# -- tag groups and local lists


def test_a_lost_index_of_a_group_comes_back_and_its_lists_hear_of_it(stores):
    stores.id_tags.create(replace(ALICE, tag_groups=("night", "staff")))
    before = stores.id_tags.version("group:staff")
    stores.link.call("DEL", keys.tag_group("staff"))
    stores.link.call("HDEL", keys.TAG_VERSIONS, "group:night")

    Repair(stores.link).step(10)

    assert [tag.id_tag for tag in stores.id_tags.of_source("group:staff", 10)] == ["ALICE"]
    assert stores.id_tags.version("group:staff") != before
    assert stores.id_tags.groups() == ["night", "staff"]
    told = stores.id_tags.version("group:staff")
    for _ in range(5):
        Repair(stores.link).step(10)
    assert stores.id_tags.version("group:staff") == told


def test_who_is_not_in_a_group_leaves_its_index(stores):
    for number in range(5):
        groups = ("staff",) if number % 2 else ()
        stores.id_tags.create(replace(ALICE, id_tag=f"TAG{number}", tag_groups=groups))
        stores.link.call(*group_command("ZADD", "staff", f"TAG{number}"))
    stores.link.call(*group_command("ZADD", "staff", "GONE"))

    for _ in range(10):
        Repair(stores.link).step(2)

    assert stores.link.call("ZRANGE", keys.tag_group("staff"), 0, -1) == ["tag1", "tag3"]


def test_a_group_without_tags_is_forgotten(stores):
    for name in ("a", "b", "c"):
        stores.id_tags.create(replace(ALICE, id_tag=name, tag_groups=(name,)))
    for name in ("a", "c"):
        stores.id_tags.delete(name)

    for _ in range(5):
        Repair(stores.link).step(10)

    assert stores.id_tags.groups() == ["b"]


def test_who_is_to_be_kept_in_step_is_looked_at(stores):
    stores.charge_points.create(replace(CP001, local_list="all", local_list_auto_sync=True))
    stores.charge_points.create(
        replace(CP001, charge_point_id="CP002", local_list="none", local_list_auto_sync=True)
    )
    stores.charge_points.create(replace(CP001, charge_point_id="CP003", local_list="all"))

    Repair(stores.link).step(10)
    assert stores.local_lists.watched_due(NOON_MS, 10) == ["CP001"]
    stores.local_lists.watch("CP001", NOON_MS + HOUR_MS)
    Repair(stores.link).step(10)

    assert stores.local_lists.watched_due(NOON_MS, 10) == []


def test_an_empty_store_needs_no_repair(stores):
    Repair(stores.link).step(10)
