"""What is kept of local authorization lists, and the lists that follow from the tags."""

from dataclasses import replace

import pytest
from cast import ALICE, BOB, CAROL, CP001, HOUR_MS, NOON_MS, enter_the_cast

from csms.domain.authorization import AuthorizationStatus, IdTagInfo, TagStatus
from csms.domain.local_list import Acknowledged, Course, Entry, Limits, SyncEnd, digest, wanted_list
from csms.state import keys
from csms.state.local_lists import FRESH_MS, SOURCES_KEPT, LocalListRecord, RunningSync

ENTRIES = {
    "älfa": Entry("ÄLFA", IdTagInfo(AuthorizationStatus.INVALID)),
    "bob": Entry("BOB", IdTagInfo(AuthorizationStatus.ACCEPTED, "FAMILY", NOON_MS)),
}
SYNC = RunningSync(
    sync_id="s1",
    requested_by="olga",
    unsolicited=True,
    started_at_ms=NOON_MS,
    reply_to="web-1",
    source="group:staff",
    tags_version="7",
    limits=Limits(3, 5),
    course=Course(full=True, may_fall_back=False),
    step=4,
    step_at_ms=NOON_MS + 1,
    action="SendLocalList",
    payload_digest="d",
    step_command_id="c",
)


@pytest.fixture
def lists(stores):
    enter_the_cast(stores)
    return stores.local_lists


def test_nothing_is_known_of_a_charge_point_that_was_sent_nothing(lists):
    record = lists.find("CP001")

    assert record == LocalListRecord("CP001")
    assert lists.entries(record) is None
    assert lists.acknowledged(record) == Acknowledged()


@pytest.mark.parametrize(
    "known",
    [
        Acknowledged(7, ENTRIES, doubtful=True, highest=9, command_id="c", sent_at_ms=NOON_MS),
        Acknowledged(0, {}, highest=9),
        Acknowledged(7, None, highest=7),
    ],
)
def test_what_is_acknowledged_is_read_back_as_written(lists, known):
    assert lists.change(lists.find("CP001"), acknowledged=known)

    record = lists.find("CP001")
    assert lists.acknowledged(record) == known
    assert record.count == (None if known.entries is None else len(known.entries))
    assert record.digest == ("" if known.entries is None else digest(known.entries))


def test_a_sync_is_read_back_as_written_and_ends(lists):
    lists.change(lists.find("CP001"), sync=SYNC, target=ENTRIES)
    record = lists.find("CP001")
    assert record.sync == SYNC
    assert lists.target("CP001") == ENTRIES

    lists.change(record, without_sync=True, fields={"last_end": SyncEnd.FAILED, "reason": "why"})
    record = lists.find("CP001")
    assert (record.sync, record.last_end, record.reason) == (None, SyncEnd.FAILED, "why")
    assert lists.target("CP001") == {}


def test_who_reckons_from_an_old_record_changes_nothing(lists):
    old = lists.find("CP001")
    assert lists.change(old, acknowledged=Acknowledged(1, ENTRIES, highest=1))

    assert not lists.change(old, acknowledged=Acknowledged(2, {}, highest=2), sync=SYNC)
    record = lists.find("CP001")
    assert (record.version, record.sync, lists.entries(record)) == (1, None, ENTRIES)


def test_nothing_is_kept_of_a_charge_point_that_is_not_there(lists):
    assert not lists.change(lists.find("CP404"), sync=SYNC, target=ENTRIES)

    assert lists.find("CP404") == LocalListRecord("CP404")


def test_what_is_acknowledged_anew_is_no_longer_checked(lists):
    checked = {
        "checked_source": "all",
        "checked_tags_version": "3",
        "checked_until_ms": NOON_MS + 5,
    }
    lists.change(
        lists.find("CP001"), acknowledged=Acknowledged(1, ENTRIES, highest=1), fields=checked
    )
    record = lists.find("CP001")
    assert record.is_checked("all", "3", NOON_MS)
    assert not record.is_checked("all", "4", NOON_MS)
    assert not record.is_checked("group:x", "3", NOON_MS)
    assert not record.is_checked("all", "3", NOON_MS + 5)
    assert not replace(record, doubtful=True).is_checked("all", "3", NOON_MS)

    lists.change(record, acknowledged=Acknowledged(2, ENTRIES, highest=2))
    assert not lists.find("CP001").is_checked("all", "3", NOON_MS)


def test_a_command_is_noted_while_its_step_lasts(lists):
    sync = replace(SYNC, step_command_id="")
    lists.change(lists.find("CP001"), sync=sync, target=ENTRIES)
    lists.note_command("CP001", replace(sync, step=3), "old")
    lists.note_command("CP001", replace(sync, sync_id="s0"), "older")
    assert lists.find("CP001").sync == sync

    lists.note_command("CP001", sync, "c9")
    assert lists.find("CP001").sync == replace(sync, step_command_id="c9")


# -- the list that is wanted


def test_what_is_wanted_follows_the_tags_at_once(lists, stores):
    first = lists.wanted("all", NOON_MS)
    assert (set(first.entries), first.count) == ({"alice", "bob", "carol"}, 3)
    assert lists.wanted("all", NOON_MS + 1) is first

    stores.id_tags.update("BOB", status=TagStatus.ACCEPTED)
    second = lists.wanted("all", NOON_MS + 2)
    assert second.digest != first.digest
    assert second.tags_version != first.tags_version
    assert second.digest == digest(second.entries)


def test_where_nobody_waits_it_may_be_a_little_old(lists, stores):
    first = lists.wanted("all", NOON_MS)
    stores.id_tags.delete("BOB")

    assert lists.wanted("all", NOON_MS + FRESH_MS - 1, FRESH_MS) is first
    assert lists.wanted("all", NOON_MS + FRESH_MS, FRESH_MS) is not first


def test_what_has_not_changed_is_read_again_all_the_same_after_a_while(lists):
    """A crash between a tag and its version must not hide the tag for ever."""
    first = lists.wanted("all", NOON_MS)

    assert lists.wanted("all", NOON_MS + FRESH_MS) is not first


def test_it_changes_by_itself_as_a_tag_expires(lists, stores):
    stores.id_tags.create(replace(ALICE, id_tag="SOON", expires_at_ms=NOON_MS + 10))
    first = lists.wanted("all", NOON_MS)
    assert first.until_ms == NOON_MS + 10

    second = lists.wanted("all", NOON_MS + 10, FRESH_MS)
    assert second.digest != first.digest
    assert second.entries["soon"].info.status is AuthorizationStatus.EXPIRED


def test_lists_of_few_sources_are_kept_in_memory(lists):
    first = lists.wanted("all", NOON_MS)
    for number in range(SOURCES_KEPT):
        lists.wanted(f"group:g{number}", NOON_MS)

    assert lists.wanted("all", NOON_MS) is not first
    assert lists.wanted("all", NOON_MS).entries == wanted_list([ALICE, BOB, CAROL], NOON_MS)


# -- whom the sweeps look at


def test_sweeps_are_told_who_is_due(lists):
    lists.look_at_sync("CP001", NOON_MS)
    lists.look_at_sync("CP002", NOON_MS + HOUR_MS)
    lists.watch("CP003", NOON_MS)
    assert lists.syncs_due(NOON_MS - 1, 10) == []
    assert lists.syncs_due(NOON_MS, 10) == ["CP001"]
    assert lists.syncs_due(NOON_MS + HOUR_MS, 1) == ["CP001"]
    assert lists.watched_due(NOON_MS, 10) == ["CP003"]

    lists.sync_is_over("CP001")
    lists.unwatch("CP003")
    assert lists.syncs_due(NOON_MS, 10) == []
    assert lists.watched_due(NOON_MS, 10) == []


def test_a_deleted_charge_point_takes_its_list_along(lists, stores):
    lists.change(
        lists.find("CP001"), acknowledged=Acknowledged(1, ENTRIES), sync=SYNC, target=ENTRIES
    )
    lists.look_at_sync("CP001", NOON_MS)
    lists.watch("CP001", NOON_MS)
    stores.charge_points.delete("CP001")

    assert (
        stores.link.call(
            "EXISTS",
            keys.local_list("CP001"),
            keys.local_list_entries("CP001"),
            keys.local_list_target("CP001"),
            keys.LOCAL_LIST_SYNCS,
            keys.LOCAL_LISTS_WATCHED,
        )
        == 0
    )
    stores.charge_points.create(CP001)
    assert lists.find("CP001") == LocalListRecord("CP001")
