"""Refused connections: counted by who, why and whence."""

import pytest
from cast import NOON_MS

from csms.errors import FieldError
from csms.state import keys
from csms.state.refusals import KEPT, KEPT_S, RefusedConnection


def record(stores, charge_point_id="CP404", reason="unknown", address="192.0.2.1", at_ms=NOON_MS):
    stores.refusals.record(charge_point_id, reason, address, at_ms)


def test_the_same_refusal_is_counted_not_listed_again(stores):
    for second in range(3):
        record(stores, at_ms=NOON_MS + second)

    assert stores.refusals.page(None, 10).items == [
        RefusedConnection("CP404", "unknown", "192.0.2.1", 3, NOON_MS, NOON_MS + 2)
    ]


def test_another_id_reason_or_address_is_another_refusal(stores):
    record(stores)
    record(stores, charge_point_id="CP405")
    record(stores, reason="no credentials")
    record(stores, address="192.0.2.2")

    assert len(stores.refusals.page(None, 10).items) == 4


def test_the_newest_comes_first_a_page_at_a_time(stores):
    for number in range(3):
        record(stores, charge_point_id=f"CP{number}", at_ms=NOON_MS + number)

    first = stores.refusals.page(None, 2)
    second = stores.refusals.page(first.next_cursor, 2)

    assert [r.charge_point_id for r in (*first.items, *second.items)] == ["CP2", "CP1", "CP0"]
    assert second.next_cursor is None


def test_a_list_may_be_of_one_charge_point(stores):
    record(stores)
    record(stores, charge_point_id="CP405")

    found = stores.refusals.page(None, 10, charge_point_id="CP404").items
    assert [r.charge_point_id for r in found] == ["CP404"]


@pytest.mark.parametrize(
    "hostile", ["x" * 10_000, "\x1b[31m\r\n", "☃", "", "{a}", "\ud800 of no character"[1:]]
)
def test_any_id_is_counted(stores, hostile):
    record(stores, charge_point_id=hostile)

    [refused] = stores.refusals.page(None, 10).items
    assert refused.charge_point_id == hostile[:64]


def test_what_is_old_or_too_much_is_dropped(stores):
    old = NOON_MS - KEPT_S * 1000
    record(stores, at_ms=old)
    record(stores, charge_point_id="CP405")
    many = [word for n in range(KEPT + 5) for word in (old + 1, f"digest-{n}")]
    stores.link.call("ZADD", keys.REFUSALS, *many)

    stores.refusals.trim(NOON_MS)

    assert stores.link.call("ZCARD", keys.REFUSALS) == KEPT
    kept = stores.refusals.page(None, 1).items
    assert [r.charge_point_id for r in kept] == ["CP405"]


def test_a_record_that_has_left_is_left_out(stores):
    record(stores)
    for key in stores.link.call("KEYS", "csms:refusal:*"):
        assert stores.link.call("TTL", key) > 0
        stores.link.call("DEL", key)

    assert stores.refusals.page(None, 10).items == []


def test_a_page_holds_at_least_one(stores):
    with pytest.raises(FieldError, match="limit"):
        stores.refusals.page(None, 0)
