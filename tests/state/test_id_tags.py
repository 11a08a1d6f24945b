"""IdTags as recorded, and which transactions each has running."""

from dataclasses import replace

import pytest
from cast import ALICE, BOB, CAROL, NOON_MS

from csms.domain.authorization import ActiveTransaction, IdTag, TagStatus
from csms.errors import AlreadyExists, NotFound
from csms.state.id_tags import activate_command, deactivate_command

FULL = IdTag("Älfa-1", TagStatus.BLOCKED, "FAMILY", NOON_MS, 0)


@pytest.mark.parametrize("tag", [ALICE, BOB, CAROL, FULL])
def test_every_field_is_read_back_as_written(stores, tag):
    stores.id_tags.create(tag)

    assert stores.id_tags.get(tag.id_tag) == tag


@pytest.mark.parametrize("written", ["alice", " ALICE ", "aLICE"])
def test_a_tag_is_found_and_taken_in_every_case(stores, written):
    stores.id_tags.create(ALICE)

    assert stores.id_tags.find(written) == ALICE
    with pytest.raises(AlreadyExists):
        stores.id_tags.create(replace(BOB, id_tag=written))
    assert stores.id_tags.get("ALICE") == ALICE


def test_what_is_not_there_is_none_or_told(stores):
    assert stores.id_tags.find("MALLORY") is None
    for act in (
        lambda: stores.id_tags.get("MALLORY"),
        lambda: stores.id_tags.update("MALLORY", status=TagStatus.ACCEPTED),
        lambda: stores.id_tags.delete("MALLORY"),
    ):
        with pytest.raises(NotFound, match="id tag MALLORY"):
            act()
    assert stores.id_tags.find("MALLORY") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"status": TagStatus.ACCEPTED},
        {"parent_id_tag": None},
        {"expires_at_ms": None, "max_active_transactions": None},
        {"max_active_transactions": 2},
        {},
    ],
)
def test_changes_change_nothing_else(stores, changes):
    stores.id_tags.create(FULL)
    stores.id_tags.update("älfa-1", **changes)

    assert stores.id_tags.get("Älfa-1") == replace(FULL, **changes)


def test_a_deleted_tag_is_gone_and_may_come_again(stores):
    stores.id_tags.create(ALICE)
    stores.id_tags.delete("alice")

    assert stores.id_tags.find("ALICE") is None
    assert stores.id_tags.page(None, 10).items == []
    stores.id_tags.create(ALICE)


def test_a_list_is_in_order_a_page_at_a_time(stores):
    for name in ("b", "A", "c", "ab", "ä"):
        stores.id_tags.create(IdTag(name, TagStatus.ACCEPTED))

    names, cursor = [], None
    while True:
        page = stores.id_tags.page(cursor, 2)
        names.append([tag.id_tag for tag in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break

    assert names == [["A", "ab"], ["b", "c"], ["ä"]]
    assert [tag.id_tag for tag in stores.id_tags.page(None, 10, "a").items] == ["A", "ab"]
    assert [tag.id_tag for tag in stores.id_tags.page("a", 10, "A").items] == ["ab"]


def test_counting_a_transaction_may_be_repeated(stores):
    running = ActiveTransaction("CP|1/x", 2, 7)
    for _ in range(2):
        stores.link.call(*activate_command("Alice", running))
    assert stores.id_tags.active("ALICE") == [running]

    for _ in range(2):
        stores.link.call(*deactivate_command("alice", running))
    assert stores.id_tags.active("ALICE") == []


@pytest.mark.parametrize("name", ["", " ", "{x}", "a:b/c", "\x1b[31m", "x" * 300, "\U0010ffff"])
def test_any_text_may_be_a_tag(stores, name):
    stores.id_tags.create(IdTag(name, TagStatus.ACCEPTED))

    assert stores.id_tags.get(name).id_tag == name
