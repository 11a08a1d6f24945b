"""A local authorization list is brought to what it should be, whatever the charge point answers and
whatever dies on the way."""

from dataclasses import replace

import pytest
from cast import CP001, HOUR_MS, MINUTE_MS, NOON_MS, SECOND_MS, SETTINGS
from memory_storage import NO_FILES

from csms.commands import local_lists
from csms.commands.local_lists import SYSTEM, SyncRequest
from csms.commands.sequel import Sequel
from csms.domain.authorization import IdTag, TagStatus
from csms.domain.command import CommandState
from csms.domain.configuration import ConfigurationKey
from csms.domain.local_list import ENTRIES_MAX, SyncEnd
from csms.errors import (
    ChargePointNotConnected,
    ChargePointUnknown,
    CommandForbidden,
    LocalListNotAssigned,
    LocalListSyncRunning,
    StoreUnavailable,
)
from csms.protocol.schemas import REQUESTS_SENT
from csms.state import inbox, keys

HALF_A_MINUTE_MS = 30 * SECOND_MS


class Lists:
    """CP001's end of the conversation, and ours; each message is a second after the one before."""

    def __init__(self, desk, socket):
        self.desk, self.socket, self.stores = desk, socket, desk.stores
        self.now_ms = NOON_MS
        self.stores.charge_points.update("CP001", local_list="all")

    def tell_limits(self, per_message, in_total=1_000):
        told = {"SendLocalListMaxLength": per_message, "LocalAuthListMaxLength": in_total}
        keys_told = [
            ConfigurationKey(name, str(value), readonly=True, at_ms=NOON_MS)
            for name, value in told.items()
        ]
        self.stores.configurations.record("CP001", keys_told, is_all=True)

    def start(self, **fields):
        request = SyncRequest("CP001", fields.pop("requested_by", "olga"), **fields)
        return local_lists.start(self.stores, self.desk.requests, request, self.now_ms)

    @property
    def sequel(self):
        return Sequel(self.stores, self.desk.requests, SETTINGS, NO_FILES, self.now_ms)

    @property
    def record(self):
        return self.stores.local_lists.find("CP001")

    @property
    def known(self):
        """The folded tags that are acknowledged."""
        entries = self.stores.local_lists.entries(self.record)
        return None if entries is None else set(entries)

    def next(self):
        self.now_ms += SECOND_MS
        return self.socket.next(self.now_ms)

    def version(self, version):
        """Answer the question for the version."""
        call = self.next()
        assert (call.action, call.payload) == ("GetLocalListVersion", {})
        self.now_ms += SECOND_MS
        self.socket.answer(call, {"listVersion": version}, self.now_ms)

    def update(self, status="Accepted"):
        """Answer an update: its version, its type and its tags."""
        call = self.next()
        assert call.action == "SendLocalList"
        assert REQUESTS_SENT["SendLocalList"].is_valid(call.payload)
        self.now_ms += SECOND_MS
        self.socket.answer(call, {"status": status}, self.now_ms)
        return told(call)

    def sync(self, version):
        """A whole sync, all accepted: the updates it took."""
        self.start()
        self.version(version)
        sent = []
        while self.record.sync is not None:
            sent.append(self.update())
        return sent

    def send_by_hand(self, version, update_type, *tags, status="Accepted"):
        entries = [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in tags]
        payload = {
            "listVersion": version,
            "updateType": update_type,
            "localAuthorizationList": entries,
        }
        self.desk.queue("SendLocalList", payload, now_ms=self.now_ms)
        return self.update(status)


def told(call):
    payload = call.payload
    tags = [entry["idTag"] for entry in payload["localAuthorizationList"]]
    return payload["listVersion"], payload["updateType"], tags


@pytest.fixture
def lists(desk, socket):
    return Lists(desk, socket)


@pytest.fixture
def in_step(lists):
    """Version 1 with ALICE, BOB and CAROL was accepted."""
    assert lists.sync(0) == [(1, "Full", ["ALICE", "BOB", "CAROL"])]
    return lists


# -- the course


def test_the_first_sync_asks_for_the_version_and_sends_all(lists):
    record = lists.start()
    assert (record.sync.requested_by, record.sync.action) == ("olga", "GetLocalListVersion")

    lists.version(0)
    assert lists.record.sync.action == "SendLocalList"
    sent = lists.next()
    assert list(sent.payload) == ["listVersion", "localAuthorizationList", "updateType"]
    statuses = [e["idTagInfo"]["status"] for e in sent.payload["localAuthorizationList"]]
    assert statuses == ["Accepted", "Blocked", "Expired"]
    lists.socket.answer(sent, {"status": "Accepted"}, lists.now_ms)

    record = lists.record
    assert (record.sync, record.last_end, record.reason) == (None, SyncEnd.DONE, "")
    assert (record.version, record.count) == (1, 3)
    assert lists.known == {"alice", "bob", "carol"}
    assert record.acknowledged_at_ms is not None
    assert lists.next() is None
    assert lists.stores.local_lists.syncs_due(lists.now_ms + HOUR_MS, 10) == []


def test_a_change_is_sent_alone(in_step):
    in_step.stores.id_tags.create(IdTag("DAVE", TagStatus.ACCEPTED))

    assert in_step.sync(1) == [(2, "Differential", ["DAVE"])]
    assert in_step.known == {"alice", "bob", "carol", "dave"}


def test_what_is_in_step_is_sent_nothing(in_step):
    assert in_step.sync(1) == []
    assert in_step.record.last_end is SyncEnd.DONE


def test_a_full_sync_sends_all_again(in_step):
    in_step.start(full=True)
    in_step.version(1)

    assert in_step.update() == (2, "Full", ["ALICE", "BOB", "CAROL"])
    assert in_step.record.last_end is SyncEnd.DONE


@pytest.mark.parametrize(("reported", "version"), [(0, 2), (5, 6)])
def test_a_charge_point_that_has_something_else_is_sent_all(in_step, reported, version):
    assert in_step.sync(reported) == [(version, "Full", ["ALICE", "BOB", "CAROL"])]


def test_a_long_list_is_sent_in_parts(lists):
    for number in range(5):
        lists.stores.id_tags.create(IdTag(f"TAG{number}", TagStatus.ACCEPTED))
    lists.tell_limits(3)

    assert lists.sync(0) == [
        (1, "Full", ["ALICE", "BOB", "CAROL"]),
        (2, "Differential", ["TAG0", "TAG1", "TAG2"]),
        (3, "Differential", ["TAG3", "TAG4"]),
    ]
    assert len(lists.known) == 8


def test_without_a_limit_told_twenty_are_sent_at_a_time(lists):
    for number in range(30):
        lists.stores.id_tags.create(IdTag(f"TAG{number}", TagStatus.ACCEPTED))

    assert [len(tags) for _, _, tags in lists.sync(0)] == [20, 13]


def test_only_the_tags_of_the_group_assigned_are_sent(lists):
    lists.stores.charge_points.update("CP001", local_list="group:staff")
    lists.stores.id_tags.update("ALICE", tag_groups=("staff", "night"))
    lists.stores.id_tags.update("BOB", tag_groups=("night",))

    assert lists.sync(0) == [(1, "Full", ["ALICE"])]
    lists.stores.id_tags.update("ALICE", tag_groups=())
    assert lists.sync(1) == [(2, "Full", [])]
    assert lists.known == set()
    # An empty list is version 0 to some, and needs nothing.
    assert lists.sync(0) == []


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
def test_a_differential_that_is_not_taken_is_followed_by_a_full(in_step, status):
    in_step.stores.id_tags.delete("BOB")
    in_step.start()
    in_step.version(1)

    assert in_step.update(status) == (2, "Differential", ["BOB"])
    assert in_step.update() == (3, "Full", ["ALICE", "CAROL"])
    assert in_step.known == {"alice", "carol"}
    assert in_step.record.last_end is SyncEnd.DONE


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
def test_a_full_that_is_not_taken_is_not_tried_again(in_step, status):
    in_step.start(full=True)
    in_step.version(1)
    in_step.update(status)

    assert in_step.next() is None
    record = in_step.record
    assert (record.last_end, record.sync) == (SyncEnd.FAILED, None)
    assert status in record.reason
    assert (record.version, in_step.known) == (1, {"alice", "bob", "carol"})


@pytest.mark.parametrize("where", ["version", "update"])
def test_a_charge_point_without_lists_is_believed(lists, where):
    lists.start()
    if where == "version":
        lists.version(-1)
    else:
        lists.version(0)
        lists.update("NotSupported")

    record = lists.record
    assert (record.last_end, record.version) == (SyncEnd.NOT_SUPPORTED, 0)
    assert lists.next() is None


@pytest.mark.parametrize("end", ["timed out", "lost", "refused"])
def test_an_update_without_an_answer_interrupts_and_is_assumed_neither_done_nor_not(in_step, end):
    in_step.stores.id_tags.delete("BOB")
    in_step.start()
    in_step.version(1)
    call = in_step.next()
    match end:
        case "timed out":
            in_step.socket.expire(in_step.now_ms + HOUR_MS)
        case "lost":
            in_step.socket.lose(in_step.now_ms)
        case "refused":
            in_step.socket.refuse(call, "InternalError", now_ms=in_step.now_ms)

    record = in_step.record
    assert (record.last_end, record.sync, record.doubtful) == (SyncEnd.INTERRUPTED, None, True)
    assert "asks for the version" in record.reason
    assert in_step.next() is None
    # It was done after all: version 2.
    assert in_step.sync(2) == [(3, "Full", ["ALICE", "CAROL"])]


def test_an_update_that_was_not_done_is_repeated_as_a_difference(in_step):
    in_step.stores.id_tags.delete("BOB")
    in_step.start()
    in_step.version(1)
    in_step.next()
    in_step.socket.lose(in_step.now_ms)

    assert in_step.sync(1) == [(2, "Differential", ["BOB"])]


def test_a_late_answer_changes_nothing_that_the_version_would_not_tell(in_step):
    in_step.stores.id_tags.delete("BOB")
    in_step.start()
    in_step.version(1)
    call = in_step.next()
    in_step.socket.expire(in_step.now_ms + HOUR_MS)
    before = in_step.record

    in_step.socket.answer(call, {"status": "Accepted"}, in_step.now_ms + 2 * HOUR_MS)

    assert replace(in_step.record, revision=0) == replace(before, revision=0)


def test_the_tags_of_the_beginning_are_sent_to_the_end(lists):
    lists.tell_limits(2)
    lists.start()
    lists.version(0)
    lists.stores.id_tags.delete("CAROL")
    lists.stores.id_tags.create(IdTag("DAVE", TagStatus.ACCEPTED))

    assert [lists.update()[2], lists.update()[2]] == [["ALICE", "BOB"], ["CAROL"]]
    assert lists.sync(2) == [(3, "Differential", ["CAROL", "DAVE"])]


# -- what is not begun


def test_without_a_list_assigned_there_is_nothing_to_sync(lists):
    lists.stores.charge_points.update("CP001", local_list="none")
    with pytest.raises(LocalListNotAssigned):
        lists.start()
    assert lists.next() is None


def test_one_sync_at_a_time(lists):
    lists.start()
    with pytest.raises(LocalListSyncRunning):
        lists.start()

    lists.version(0)
    with pytest.raises(LocalListSyncRunning):
        lists.start(full=True)
    lists.update()
    assert lists.start().sync is not None


def test_two_who_begin_at_once_begin_one(lists):
    """Both have read that none runs."""
    find, first = lists.stores.local_lists.find, []

    def late(charge_point_id):
        record = find(charge_point_id)
        if not first:
            first.append(record)
            lists.start(requested_by="oscar")
        return record

    lists.stores.local_lists.find = late
    with pytest.raises(LocalListSyncRunning):
        lists.start()

    assert lists.record.sync.requested_by == "oscar"
    lists.version(0)
    lists.update()
    assert lists.next() is None


def test_a_charge_point_that_is_not_connected_is_not_begun_with(lists):
    lists.stores.presences.disconnect("CP001", "process-1", lists.socket.line.epoch, NOON_MS, "")
    with pytest.raises(ChargePointNotConnected):
        lists.start()
    assert lists.record.sync is None


def test_a_sync_that_may_not_send_is_taken_back(lists):
    lists.stores.charge_points.update("CP001", quiet=True)
    with pytest.raises(CommandForbidden):
        lists.start(unsolicited=True)

    assert (lists.record.sync, lists.record.last_end) == (None, None)
    assert lists.stores.local_lists.syncs_due(NOON_MS + HOUR_MS, 10) == []
    assert lists.start().sync is not None  # an operator may


def test_an_unknown_charge_point(lists):
    with pytest.raises(ChargePointUnknown):
        local_lists.start(lists.stores, lists.desk.requests, SyncRequest("CP404", "olga"), NOON_MS)


def test_a_list_that_is_too_long_is_not_sent_at_all(lists):
    lists.tell_limits(20, in_total=2)
    record = lists.start()

    assert (record.sync, record.last_end) == (None, SyncEnd.FAILED)
    assert "3 entries" in record.reason
    assert "LocalAuthListMaxLength" in record.reason
    assert lists.next() is None


def test_more_tags_than_any_list_may_have_are_not_even_read(lists):
    names = [f"t{number:06}" for number in range(ENTRIES_MAX)]
    link = lists.stores.link
    commands = [("HSET", keys.id_tag(name), "id_tag", name) for name in names]
    for start in range(0, len(commands), 1_000):
        link.batch(*commands[start : start + 1_000])
    link.call("ZADD", keys.ID_TAGS, *[word for name in names for word in (0, name)])

    record = lists.start()

    assert record.last_end is SyncEnd.FAILED
    assert "10003 entries" in record.reason


def test_who_waits_for_the_end_is_told(lists):
    sync = lists.start(reply_to="web-2").sync
    lists.version(0)
    lists.update()

    notes = lists.stores.link.call("XRANGE", keys.inbox("web-2"), "-", "+")
    assert sync.sync_id in str(notes)
    assert str(inbox.NoteKind.SETTLED) in str(notes)


# -- what operators send by hand


def test_what_an_operator_sends_is_what_the_charge_point_has(in_step):
    in_step.send_by_hand(7, "Full", "X", "Y")
    assert (in_step.record.version, in_step.known) == (7, {"x", "y"})

    in_step.send_by_hand(8, "Differential", "Z")
    assert (in_step.record.version, in_step.known) == (8, {"x", "y", "z"})

    in_step.send_by_hand(9, "Full", "NO", status="Failed")
    assert (in_step.record.version, in_step.known) == (8, {"x", "y", "z"})
    assert in_step.record.last_end is None
    assert in_step.sync(8) == [(9, "Differential", ["X", "Y", "Z", "ALICE", "BOB", "CAROL"])]


def test_a_differential_by_hand_on_an_unknown_list_is_not_taken_for_all_of_it(lists):
    lists.send_by_hand(3, "Differential", "X")

    assert (lists.record.version, lists.known) == (3, None)
    assert lists.sync(3) == [(4, "Full", ["ALICE", "BOB", "CAROL"])]


def test_a_question_by_hand_shows_that_the_list_is_lost(in_step):
    in_step.desk.queue("GetLocalListVersion", now_ms=in_step.now_ms)
    in_step.version(0)

    assert (in_step.record.reported_version, in_step.known) == (0, set())
    assert in_step.sync(0) == [(2, "Full", ["ALICE", "BOB", "CAROL"])]


def test_a_list_by_hand_in_the_middle_of_a_sync_is_reckoned_with(lists):
    lists.tell_limits(2)
    lists.start()
    lists.version(0)
    lists.desk.queue(
        "SendLocalList",
        {"listVersion": 9, "updateType": "Full", "localAuthorizationList": []},
        now_ms=lists.now_ms,
    )

    assert lists.update() == (1, "Full", ["ALICE", "BOB"])
    assert lists.update() == (9, "Full", [])
    # The rest was on its way; the charge point has version 9 and says so.
    assert lists.update("VersionMismatch") == (2, "Differential", ["CAROL"])
    assert lists.update() == (10, "Full", ["ALICE", "BOB"])
    assert lists.update() == (11, "Differential", ["CAROL"])
    assert lists.known == {"alice", "bob", "carol"}


# -- what dies on the way


def test_a_follow_up_that_runs_twice_does_nothing_twice(lists):
    lists.start()
    call = lists.next()
    lists.socket.answer(call, {"listVersion": 0}, lists.now_ms)
    command = lists.stores.commands.page(None, 10).items[-1]
    assert command.action == "GetLocalListVersion"

    local_lists.after_get_version(command, lists.sequel)
    lists.update()
    sent = next(
        c for c in lists.stores.commands.page(None, 10).items if c.action == "SendLocalList"
    )
    before = lists.record
    local_lists.after_send(sent, lists.sequel)
    local_lists.after_get_version(command, lists.sequel)

    assert lists.next() is None
    assert len(lists.stores.commands.page(None, 10).items) == 2
    assert lists.known == {"alice", "bob", "carol"}
    assert (lists.record.version, lists.record.last_end) == (before.version, SyncEnd.DONE)


def test_an_answer_that_is_followed_up_late_goes_on(lists):
    """The process died between the answer and what follows from it."""
    lists.start()
    call = lists.next()
    command_id = lists.socket.pending.outstanding.command_id
    lists.stores.commands.settle(
        "CP001", command_id, CommandState.ANSWERED, lists.now_ms, answer={"listVersion": 0}
    )
    lists.socket.pending.settle(call.unique_id)
    assert lists.record.sync.action == "GetLocalListVersion"

    lists.now_ms += HALF_A_MINUTE_MS
    local_lists.sweep_syncs(lists.sequel)

    assert lists.update() == (1, "Full", ["ALICE", "BOB", "CAROL"])


def test_an_answer_before_its_command_is_noted_is_recognised(lists):
    """The charge point may be quicker than the process that asked."""
    lists.start()
    lists.stores.link.call("HSET", keys.local_list("CP001"), "step_command_id", "")

    lists.version(0)

    assert lists.update() == (1, "Full", ["ALICE", "BOB", "CAROL"])


def test_a_step_that_was_never_queued_ends_the_sync(lists):
    lists.start()
    lists.stores.link.call("HSET", keys.local_list("CP001"), "step_command_id", "")

    lists.stores.local_lists.look_at_sync("CP001", lists.now_ms)
    local_lists.sweep_syncs(lists.sequel)
    assert lists.record.sync is not None  # too early to tell
    lists.now_ms += HALF_A_MINUTE_MS
    local_lists.sweep_syncs(lists.sequel)

    assert (lists.record.sync, lists.record.last_end) == (None, SyncEnd.INTERRUPTED)
    assert lists.stores.local_lists.syncs_due(lists.now_ms + HOUR_MS, 10) == []
    lists.start()


def test_a_step_that_waits_for_its_answer_is_left_alone(lists):
    lists.start()
    lists.next()
    for _ in range(5):
        lists.now_ms += HALF_A_MINUTE_MS
        local_lists.sweep_syncs(lists.sequel)

    assert lists.record.sync is not None


def test_a_command_that_is_no_longer_kept_ends_the_sync(lists):
    sync = lists.start().sync
    lists.stores.link.call("DEL", keys.command("CP001", sync.step_command_id))
    lists.now_ms += HALF_A_MINUTE_MS

    local_lists.sweep_syncs(lists.sequel)

    assert lists.record.last_end is SyncEnd.INTERRUPTED


def test_a_charge_point_that_leaves_in_the_middle_interrupts_the_sync(lists):
    lists.start()
    call = lists.next()
    lists.stores.presences.disconnect("CP001", "process-1", lists.socket.line.epoch, NOON_MS, "")
    lists.socket.answer(call, {"listVersion": 0}, lists.now_ms)

    assert lists.record.last_end is SyncEnd.INTERRUPTED
    assert "not connected" in lists.record.reason


def test_a_store_that_fails_in_the_middle_leaves_the_sync_to_the_sweep(lists):
    class FailingDesk:
        def queue(self, *_):
            raise StoreUnavailable("gone")

    lists.start()
    call = lists.next()
    command_id = lists.socket.pending.outstanding.command_id
    lists.socket.pending.settle(call.unique_id)
    lists.stores.commands.settle(
        "CP001", command_id, CommandState.ANSWERED, lists.now_ms, answer={"listVersion": 0}
    )
    command = lists.stores.commands.get(command_id)
    with pytest.raises(StoreUnavailable):
        local_lists.after_get_version(command, replace(lists.sequel, desk=FailingDesk()))
    assert lists.record.sync.action == "SendLocalList"

    lists.now_ms += HALF_A_MINUTE_MS
    local_lists.sweep_syncs(lists.sequel)

    assert lists.record.last_end is SyncEnd.INTERRUPTED
    assert lists.sync(0) == [(1, "Full", ["ALICE", "BOB", "CAROL"])]


def test_a_deleted_charge_point_leaves_nothing(lists):
    lists.start()
    call = lists.next()
    lists.stores.charge_points.delete("CP001")
    lists.socket.answer(call, {"listVersion": 0}, lists.now_ms)

    left = lists.stores.link.call("KEYS", "csms:{CP001}:local-list*")
    assert left == []
    assert lists.stores.local_lists.syncs_due(lists.now_ms + HOUR_MS, 10) == []


# -- by itself


@pytest.fixture
def watched(in_step):
    """In step, and to be kept so."""
    in_step.stores.charge_points.update("CP001", local_list_auto_sync=True)
    in_step.stores.local_lists.watch("CP001", NOON_MS)
    in_step.now_ms += MINUTE_MS
    return in_step


def look(lists, after_ms=MINUTE_MS):
    lists.now_ms += after_ms
    local_lists.sweep_watched(lists.sequel)


def test_what_is_in_step_is_left_alone(watched):
    look(watched)

    assert watched.next() is None


def test_a_sync_that_is_done_is_known_to_be_without_reading_a_tag(watched):
    version = watched.stores.local_lists.tags_version("all")

    assert watched.record.is_checked("all", version, watched.now_ms)


def test_an_update_whose_fate_is_open_is_looked_into_by_itself(watched):
    payload = {"listVersion": 5, "updateType": "Full"}
    watched.desk.queue("SendLocalList", payload, now_ms=watched.now_ms)
    watched.next()
    watched.socket.lose(watched.now_ms)
    assert watched.record.doubtful

    look(watched)
    watched.version(5)
    assert watched.update() == (6, "Full", ["ALICE", "BOB", "CAROL"])
    assert not watched.record.doubtful


def test_a_change_of_the_tags_is_sent_by_itself(watched):
    watched.stores.id_tags.update("BOB", status=TagStatus.ACCEPTED)
    look(watched)

    assert watched.record.sync.requested_by == SYSTEM
    watched.version(1)
    assert watched.update() == (2, "Differential", ["BOB"])
    look(watched)
    assert watched.next() is None


def test_a_change_that_is_none_for_this_list_is_looked_at_once(watched):
    watched.stores.id_tags.update("BOB", max_active_transactions=3)
    look(watched)

    assert watched.next() is None
    record = watched.record
    version = watched.stores.local_lists.tags_version("all")
    assert record.is_checked("all", version, watched.now_ms)


def test_a_tag_that_expires_is_sent_by_itself(watched):
    soon = IdTag("SOON", TagStatus.ACCEPTED, expires_at_ms=watched.now_ms + HOUR_MS)
    watched.stores.id_tags.create(soon)
    assert watched.sync(1) == [(2, "Differential", ["SOON"])]
    look(watched)
    assert watched.next() is None

    look(watched, HOUR_MS)
    watched.version(2)
    assert watched.update() == (3, "Differential", ["SOON"])


@pytest.mark.parametrize(
    "state", ["quiet", "not accepted", "not connected", "no longer wanted", "no list", "syncing"]
)
def test_who_may_not_be_asked_is_left_alone(watched, state):
    watched.stores.id_tags.delete("BOB")
    change = watched.stores.charge_points.update
    match state:
        case "quiet":
            change("CP001", quiet=True)
        case "not accepted":
            change("CP001", registration="Pending")
        case "not connected":
            watched.stores.presences.disconnect(
                "CP001", "process-1", watched.socket.line.epoch, NOON_MS, ""
            )
        case "no longer wanted":
            change("CP001", local_list_auto_sync=False)
        case "no list":
            change("CP001", local_list="none")
        case "syncing":
            watched.start()
            watched.next()
    count = len(watched.stores.commands.page(None, 50).items)
    revision = watched.record.revision

    look(watched)

    assert watched.record.revision == revision
    assert len(watched.stores.commands.page(None, 50).items) == count
    is_watched = watched.stores.link.call("ZSCORE", keys.LOCAL_LISTS_WATCHED, "CP001")
    assert (is_watched is None) == (state in {"no longer wanted", "no list"})


@pytest.mark.parametrize(
    ("status", "patience_ms"), [("Failed", 6 * HOUR_MS), ("NotSupported", 24 * HOUR_MS)]
)
def test_after_a_failure_it_is_long_before_the_next_try(watched, status, patience_ms):
    watched.start(full=True)
    watched.version(1)
    watched.update(status)

    look(watched, patience_ms - MINUTE_MS)
    assert watched.next() is None
    look(watched, 2 * MINUTE_MS)
    assert watched.next().action == "GetLocalListVersion"


def test_only_so_many_are_begun_at_once(watched):
    for number in range(local_lists.BEGUN_PER_SWEEP + 3):
        record = replace(
            CP001,
            charge_point_id=f"CP1{number}",
            local_list="all",
            local_list_auto_sync=True,
        )
        watched.stores.charge_points.create(record)
        watched.stores.presences.connect(
            record.charge_point_id, "process-1", NOON_MS, "127.0.0.1", secure=False
        )
        watched.stores.local_lists.watch(record.charge_point_id, NOON_MS)

    def begun():
        return sum(
            watched.stores.local_lists.find(f"CP1{number}").sync is not None
            for number in range(local_lists.BEGUN_PER_SWEEP + 3)
        )

    look(watched)
    assert begun() == local_lists.BEGUN_PER_SWEEP
    look(watched, 2 * SECOND_MS)
    assert begun() == local_lists.BEGUN_PER_SWEEP + 3


def test_one_that_goes_just_then_does_not_keep_the_others(watched):
    watched.stores.id_tags.delete("BOB")
    owner, asked = watched.stores.presences.owner, []

    def gone(charge_point_id):
        asked.append(charge_point_id)
        return owner(charge_point_id) if len(asked) == 1 else ""

    watched.stores.presences.owner = gone
    look(watched)

    assert watched.record.sync is None
    assert len(asked) == 2
