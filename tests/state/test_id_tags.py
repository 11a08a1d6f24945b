"""IdTags as recorded, and which transactions each has running."""

from dataclasses import replace

import pytest
from cast import ALICE, BOB, CAROL, NOON_MS

from csms.domain.authorization import ActiveTransaction, IdTag, TagStatus
from csms.errors import AlreadyExists, NotFound, StoreUnavailable
from csms.state import keys
from csms.state.id_tags import (
    _UPDATE_TAG,
    PER_TRIP,
    IdTags,
    activate_command,
    deactivate_command,
    group_command,
)

FULL = IdTag("Älfa-1", TagStatus.BLOCKED, "FAMILY", NOON_MS, 0, ("day", "night"))


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
        {"tag_groups": ()},
        {"tag_groups": ("staff",)},
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


# -- tag groups


def names(tags):
    return [tag.id_tag for tag in tags]


def test_a_group_has_the_tags_that_say_so(stores):
    stores.id_tags.create(replace(ALICE, tag_groups=("night", "staff")))
    stores.id_tags.create(replace(BOB, tag_groups=("staff",)))
    stores.id_tags.create(CAROL)

    assert stores.id_tags.get("ALICE").tag_groups == ("night", "staff")
    assert names(stores.id_tags.of_source("group:staff", 10)) == ["ALICE", "BOB"]
    assert names(stores.id_tags.of_source("group:night", 10)) == ["ALICE"]
    assert names(stores.id_tags.of_source("all", 10)) == ["ALICE", "BOB", "CAROL"]
    assert names(stores.id_tags.of_source("all", 2)) == ["ALICE", "BOB"]
    assert stores.id_tags.of_source("group:nobody", 10) == []
    assert stores.id_tags.groups() == ["night", "staff"]
    assert stores.id_tags.count("group:staff") == 2


def test_a_tag_moves_between_groups(stores):
    stores.id_tags.create(replace(ALICE, tag_groups=("night", "staff")))
    stores.id_tags.update("alice", tag_groups=("staff", "day"))

    assert stores.id_tags.count("group:night") == 0
    assert names(stores.id_tags.of_source("group:day", 10)) == ["ALICE"]
    assert names(stores.id_tags.of_source("group:staff", 10)) == ["ALICE"]
    stores.id_tags.delete("ALICE")
    assert [stores.id_tags.count(f"group:{name}") for name in ("day", "staff")] == [0, 0]


def test_the_record_says_who_is_in_a_group_not_the_index(stores):
    stores.id_tags.create(ALICE)
    stores.link.call(*group_command("ZADD", "staff", "ALICE"))
    stores.link.call(*group_command("ZADD", "staff", "GONE"))

    assert stores.id_tags.of_source("group:staff", 10) == []


CHANGES = [
    ("a new tag in it", lambda tags: tags.create(replace(BOB, tag_groups=("staff",))), True),
    ("a new tag elsewhere", lambda tags: tags.create(BOB), False),
    ("its tag blocked", lambda tags: tags.update("alice", status=TagStatus.BLOCKED), True),
    ("its tag gone", lambda tags: tags.delete("alice"), True),
    ("its tag taken out", lambda tags: tags.update("alice", tag_groups=()), True),
    ("a tag put in", lambda tags: tags.update("carol", tag_groups=("staff",)), True),
    ("another blocked", lambda tags: tags.update("carol", status=TagStatus.BLOCKED), False),
    ("nothing", lambda tags: tags.update("alice"), False),
]


@pytest.mark.parametrize(("what", "change", "is_changed"), CHANGES)
def test_a_source_has_another_version_after_every_change_of_its_tags(
    stores, what, change, is_changed
):
    stores.id_tags.create(replace(ALICE, tag_groups=("staff",)))
    stores.id_tags.create(CAROL)
    before = {source: stores.id_tags.version(source) for source in ("all", "group:staff")}

    change(stores.id_tags)

    after = {source: stores.id_tags.version(source) for source in before}
    assert (after["group:staff"] != before["group:staff"]) == is_changed, what
    assert (after["all"] != before["all"]) == (what != "nothing")
    assert stores.id_tags.version("group:unknown") == "0"


def test_a_version_does_not_come_again_when_a_group_does(stores):
    stores.id_tags.create(replace(ALICE, tag_groups=("staff",)))
    before = stores.id_tags.version("group:staff")
    stores.link.call("HDEL", keys.TAG_VERSIONS, "group:staff")
    stores.id_tags.delete("ALICE")
    stores.id_tags.create(replace(ALICE, tag_groups=("staff",)))

    assert stores.id_tags.version("group:staff") not in {before, "0"}


def test_a_group_somebody_else_put_it_into_meanwhile_is_told_too(stores):
    """Between our reading the tag and our writing it."""
    stores.id_tags.create(replace(ALICE, tag_groups=("day",)))
    tags = IdTags(stores.link)
    get = tags.get

    def read_and_overtaken(id_tag):
        found = get(id_tag)
        stores.id_tags.update(id_tag, tag_groups=("night",))
        return found

    tags.get = read_and_overtaken
    tags.update("ALICE", tag_groups=("staff",))
    night = stores.id_tags.version("group:night")

    assert stores.id_tags.get("ALICE").tag_groups == ("staff",)
    assert [stores.id_tags.count(f"group:{name}") for name in ("day", "night", "staff")] == [
        0,
        0,
        1,
    ]
    assert night == stores.link.call("HGET", keys.TAG_VERSIONS, "last")


def test_a_list_of_many_tags_is_read_in_trips(stores):
    for number in range(PER_TRIP + 3):
        stores.id_tags.create(IdTag(f"T{number:04}", TagStatus.ACCEPTED, tag_groups=("many",)))

    assert len(stores.id_tags.of_source("group:many", 10_000)) == PER_TRIP + 3
    assert len(stores.id_tags.of_source("group:many", PER_TRIP + 1)) == PER_TRIP + 1


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


class Stopping:
    """A link whose batches stop at a script, as where the store dies in the middle of one."""

    def __init__(self, link, script):
        self._link = link
        self._sha = script.sha

    def __getattr__(self, name):
        return getattr(self._link, name)

    def batch(self, *commands):
        for command in commands:
            self._link.call(*command)
            if command[0] == "EVALSHA" and command[1] == self._sha:
                raise StoreUnavailable("gone")


def test_a_change_that_is_cut_off_shows_in_the_versions_all_the_same(stores):
    """Else a charge point would keep a blocked tag on its list for good."""
    stores.id_tags.create(replace(ALICE, tag_groups=("staff",)))
    before = {source: stores.id_tags.version(source) for source in ("all", "group:staff")}

    with pytest.raises(StoreUnavailable):
        IdTags(Stopping(stores.link, _UPDATE_TAG)).update("ALICE", status=TagStatus.BLOCKED)

    assert stores.id_tags.get("ALICE").status is TagStatus.BLOCKED
    assert all(stores.id_tags.version(source) != version for source, version in before.items())
