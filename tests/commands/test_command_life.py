"""A command's life: queued, sent once, settled once, whatever dies meanwhile."""

import threading
import uuid
from dataclasses import replace

import orjson
import pytest
from cast import CP002, NOON_MS, SECOND_MS

from csms.domain.command import FINAL_STATES, CommandState
from csms.errors import (
    ChargePointNotConnected,
    ChargePointUnknown,
    IdempotencyConflict,
    NotFound,
    StaleEpoch,
)
from csms.state import keys
from csms.state.commands import KEPT_IN_ALL, KEPT_PER_CHARGE_POINT, is_final
from csms.state.inbox import Inbox, Note, NoteKind

SILENT_AT_MS = NOON_MS + 60 * SECOND_MS


# -- queued


def test_a_command_is_recorded_before_anything_is_sent(desk, socket):
    command = desk.queue("ChangeAvailability", {"connectorId": 0, "type": "Operative"})

    assert command == desk.look(command)
    assert command.state is CommandState.QUEUED
    assert command.payload == {"connectorId": 0, "type": "Operative"}
    assert command.requested_by == "operator"
    assert (command.created_at_ms, command.deadline_at_ms) == (NOON_MS, NOON_MS + 120_000)
    assert not is_final(command)


def test_an_unknown_charge_point_is_told(desk, stores):
    stores.charge_points.delete("CP001")

    with pytest.raises(ChargePointUnknown, match="CP001"):
        desk.queue()


def test_a_charge_point_that_is_not_connected_is_told_at_once(desk):
    with pytest.raises(ChargePointNotConnected):
        desk.queue()

    assert desk.stores.commands.page(None, 10).items == []


def test_a_charge_point_of_a_dead_process_is_not_connected(desk, socket):
    desk.stores.link.call("ZADD", keys.PROCESSES, 1, "process-1")

    with pytest.raises(ChargePointNotConnected):
        desk.queue()


def test_with_a_deadline_a_command_waits_for_its_charge_point(desk):
    command = desk.queue(deadline_s=600)

    assert command.state is CommandState.QUEUED
    assert command.deadline_at_ms == NOON_MS + 600_000
    assert desk.stores.commands.waiting_outboxes(10) == ["CP001"]


def test_the_process_that_holds_the_socket_is_woken(desk, socket):
    desk.queue()
    inbox = Inbox(desk.stores.link, "process-1", "0-0")

    assert inbox.read()[0] == [Note(NoteKind.WAKE, "CP001")]


# -- sent


def test_commands_are_sent_in_the_order_of_their_queueing(desk, socket):
    commands = [desk.queue("ClearCache"), desk.queue("Reset"), desk.queue("GetConfiguration")]

    sent = []
    while (call := socket.next()) is not None:
        sent.append(call.action)
        socket.answer(call, {"status": "Accepted"} if call.action != "GetConfiguration" else {})

    assert sent == ["ClearCache", "Reset", "GetConfiguration"]
    assert {desk.look(c).state for c in commands} == {CommandState.ANSWERED}
    assert desk.stores.commands.waiting_outboxes(10) == []


def test_a_sent_command_says_when_and_under_which_id(desk, socket):
    command = desk.queue()
    call = socket.next(NOON_MS + 5)

    sent = desk.look(command)
    assert sent.state is CommandState.SENT
    assert (sent.sent_at_ms, sent.unique_id) == (NOON_MS + 5, call.unique_id)
    assert (call.action, call.payload) == ("Reset", {"type": "Soft"})
    assert len(call.unique_id) == 36


def test_one_call_is_outstanding_at_a_time(desk, socket):
    """OCPP-J 1.6, 4.1.1."""
    desk.queue()
    second = desk.queue("ClearCache")
    first = socket.next()

    assert socket.next() is None
    assert desk.look(second).state is CommandState.QUEUED
    socket.answer(first, {"status": "Accepted"})
    assert socket.next().action == "ClearCache"


def test_nothing_is_taken_while_a_command_is_in_flight(desk, socket):
    """Also by a process that does not know of it: the store does."""
    desk.queue()
    desk.queue("ClearCache")
    socket.next()

    taken, expired = desk.stores.commands.take("CP001", socket.line.epoch, "u", NOON_MS)

    assert (taken, list(expired)) == (None, [])


def test_two_takers_never_get_the_same_command(desk, socket):
    for _ in range(20):
        desk.queue("ClearCache")
    epoch = socket.line.epoch
    taken = []
    begin = threading.Barrier(2)

    def take_all():
        begin.wait()
        misses = 0
        while misses < 200:
            unique_id = str(uuid.uuid4())
            command, _ = desk.stores.commands.take("CP001", epoch, unique_id, NOON_MS)
            if command is None:
                misses += 1
                continue
            taken.append(command.command_id)
            desk.stores.commands.settle(
                "CP001", command.command_id, CommandState.ANSWERED, NOON_MS, answer={}
            )

    threads = [threading.Thread(target=take_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 20


def test_a_displaced_connection_takes_nothing(desk, socket):
    command = desk.queue()
    desk.stores.presences.connect("CP001", "process-2", NOON_MS, "", secure=False)

    with pytest.raises(StaleEpoch):
        socket.next()

    assert desk.look(command).state is CommandState.QUEUED


def test_a_command_of_another_charge_point_stays_there(desk, socket):
    desk.stores.charge_points.create(CP002)
    desk.record = CP002
    desk.queue(deadline_s=60)

    assert socket.next() is None


# -- settled


def test_an_answer_is_kept_as_it_came(desk, socket):
    command = desk.queue("GetConfiguration", {"key": ["A", "B"]})
    answer = {
        "configurationKey": [{"key": "A", "readonly": False, "value": "1"}],
        "unknownKey": ["B"],
    }

    settled = socket.answer(socket.next(), answer, NOON_MS + 9)

    assert settled.command_id == command.command_id
    final = desk.look(command)
    assert (final.state, final.answer, final.error) == (CommandState.ANSWERED, answer, None)
    assert final.settled_at_ms == NOON_MS + 9
    assert is_final(final)
    assert desk.stores.commands.due(NOON_MS + 10**9, 10) == []


@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
def test_rejected_is_an_answer(desk, socket, status):
    command = desk.queue()
    socket.answer(socket.next(), {"status": status})

    assert desk.look(command).state is CommandState.ANSWERED
    assert desk.look(command).answer == {"status": status}


def test_a_call_error_is_a_refusal_with_all_it_said(desk, socket):
    command = desk.queue()
    socket.refuse(socket.next(), "FormatViolation", "later spelling", {"a": [1]})

    refused = desk.look(command)
    assert refused.state is CommandState.REFUSED
    assert (refused.error.code, refused.error.description) == ("FormatViolation", "later spelling")
    assert refused.error.details == {"a": [1]}
    assert refused.answer is None


NONSENSE = {
    "no status": {},
    "an unknown status": {"status": "Perhaps"},
    "a status that is a list": {"status": ["Accepted"]},
    "a list": [],
    "a text": "Accepted",
    "a number": 5,
    "false": False,
}


@pytest.mark.parametrize("payload", NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_makes_no_sense_is_a_refusal_with_the_raw_answer(desk, socket, payload):
    command = desk.queue()
    socket.answer(socket.next(), payload)

    refused = desk.look(command)
    raw = payload if isinstance(payload, dict) else {"payload": payload}
    assert refused.state is CommandState.REFUSED
    assert refused.error.code == "InvalidAnswer"
    assert refused.error.details == {"answer": raw}


def test_small_deviations_in_an_answer_are_not_worth_a_refusal(desk, socket):
    """Quirk 5: values as numbers, readonly as text, values without end, unknown fields."""
    command = desk.queue("GetConfiguration")
    answer = {
        "configurationKey": [
            {"key": "HeartbeatInterval", "readonly": "false", "value": 60},
            {"key": "SupportedFeatureProfiles", "readonly": 1, "value": "x" * 2_000},
        ],
        "vendorField": True,
    }
    socket.answer(socket.next(), answer)

    assert desk.look(command).state is CommandState.ANSWERED
    assert desk.look(command).answer == answer


def test_silence_ends_in_timed_out_and_the_next_call_goes_out(desk, socket):
    """Quirk 34."""
    command = desk.queue()
    desk.queue("ClearCache")
    socket.next()

    assert not socket.expire(SILENT_AT_MS - 1)
    assert socket.expire(SILENT_AT_MS)

    assert desk.look(command).state is CommandState.TIMED_OUT
    assert "did not answer" in desk.look(command).reason
    assert socket.next(SILENT_AT_MS).action == "ClearCache"


def test_a_charge_point_may_have_a_time_out_of_its_own(desk, socket):
    """Quirk 14."""
    desk.queue()
    socket.record = replace(socket.record, call_timeout_s=200)
    socket.next()

    assert not socket.expire(NOON_MS + 199_999)
    assert socket.expire(NOON_MS + 200_000)


def test_a_late_answer_is_noted_and_changes_nothing_else(desk, socket):
    command = desk.queue()
    call = socket.next()
    socket.expire(SILENT_AT_MS)

    assert socket.answer(call, {"status": "Accepted"}, SILENT_AT_MS + 1) is None

    late = desk.look(command)
    assert late.state is CommandState.TIMED_OUT
    assert late.answer is None
    assert late.late_answer == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("payload", "kept"), [([], {"error": "InvalidAnswer"}), ({"status": 5}, {"status": 5})]
)
def test_a_late_answer_may_make_no_sense(desk, socket, payload, kept):
    command = desk.queue()
    call = socket.next()
    socket.expire(SILENT_AT_MS)
    socket.answer(call, payload)

    assert desk.look(command).late_answer == kept


def test_a_late_refusal_is_noted(desk, socket):
    command = desk.queue()
    call = socket.next()
    socket.expire(SILENT_AT_MS)
    socket.refuse(call, "NotSupported")

    assert desk.look(command).late_answer == {"error": "NotSupported"}


def test_a_stranger_s_answer_settles_nothing(desk, socket):
    command = desk.queue()
    call = socket.next()

    stranger = type(call)("another", call.action, {})
    assert socket.answer(stranger, {"status": "Accepted"}) is None
    assert desk.look(command).state is CommandState.SENT


def test_an_answer_sent_twice_settles_once(desk, socket):
    command = desk.queue()
    call = socket.next()
    socket.answer(call, {"status": "Accepted"})

    assert socket.answer(call, {"status": "Rejected"}) is None
    assert desk.look(command).answer == {"status": "Accepted"}


def test_a_lost_socket_leaves_unknown_and_nothing_is_sent_again(desk, socket):
    command = desk.queue()
    socket.next()
    socket.lose(NOON_MS + 7)

    unknown = desk.look(command)
    assert unknown.state is CommandState.UNKNOWN
    assert "connection was lost" in unknown.reason
    assert socket.next() is None


def test_what_was_in_flight_on_an_older_connection_becomes_unknown(desk, socket):
    """The process died between sending and settling."""
    command = desk.queue()
    waiting = desk.queue("ClearCache")
    socket.next()
    connected = desk.stores.presences.connect("CP001", "process-2", NOON_MS, "", secure=False)
    assert connected.command_in_flight == command.command_id

    socket.delivery.settle_left_behind("CP001", connected.command_in_flight, NOON_MS + 1)

    assert desk.look(command).state is CommandState.UNKNOWN
    taken, _ = desk.stores.commands.take("CP001", connected.epoch, "u", NOON_MS)
    assert taken.command_id == waiting.command_id


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_final_state_is_final(desk, socket, state):
    command = desk.queue()
    socket.next()
    desk.stores.commands.settle("CP001", command.command_id, state, NOON_MS, reason="first")

    for later in FINAL_STATES:
        settled = desk.stores.commands.settle("CP001", command.command_id, later, NOON_MS + 1)
        assert settled is None
    assert (desk.look(command).state, desk.look(command).reason) == (state, "first")


# -- deadlines


def test_a_command_whose_deadline_passed_is_never_sent(desk, socket):
    late = desk.queue(deadline_s=10)
    in_time = desk.queue("ClearCache", deadline_s=11)

    call = socket.next(NOON_MS + 10_000)

    assert call.action == "ClearCache"
    assert desk.look(late).state is CommandState.UNDELIVERABLE
    assert "deadline passed" in desk.look(late).reason
    assert desk.look(in_time).state is CommandState.SENT


def test_the_sweep_settles_what_waits_for_nobody(desk, socket):
    command = desk.queue(deadline_s=10)
    assert desk.stores.commands.due(NOON_MS + 9_999, 10) == []
    assert desk.stores.commands.due(NOON_MS + 10_000, 10) == [command.command_id]

    socket.delivery.settle_undelivered("CP001", command.command_id, NOON_MS + 10_000)

    assert desk.look(command).state is CommandState.UNDELIVERABLE
    assert desk.stores.commands.due(NOON_MS + 10_000, 10) == []
    assert socket.next(NOON_MS) is None


def test_the_sweep_leaves_alone_what_was_sent_meanwhile(desk, socket):
    command = desk.queue(deadline_s=10)
    socket.next()

    socket.delivery.settle_undelivered("CP001", command.command_id, NOON_MS + 10_000)

    assert desk.look(command).state is CommandState.SENT


def test_a_sent_command_is_due_when_its_owner_should_have_settled_it(desk, socket):
    command = desk.queue(deadline_s=10)
    socket.next()

    assert desk.stores.commands.due(SILENT_AT_MS + 14_999, 10) == []
    assert desk.stores.commands.due(SILENT_AT_MS + 15_000, 10) == [command.command_id]


# -- Idempotency-Key


def test_the_same_key_and_request_is_the_same_command(desk, socket):
    first = desk.queue(idempotency_key="k")
    again = desk.queue(idempotency_key="k", now_ms=NOON_MS + 5)

    assert again == first
    assert socket.next() is not None
    socket.lose()
    assert socket.next() is None
    assert desk.queue(idempotency_key="k").state is CommandState.UNKNOWN


def test_the_key_recognises_its_request_also_when_nobody_is_connected_any_more(desk, socket):
    first = desk.queue(idempotency_key="k")
    desk.stores.presences.disconnect("CP001", "process-1", socket.line.epoch, NOON_MS, "")

    assert desk.queue(idempotency_key="k").command_id == first.command_id


def test_an_id_chosen_by_who_asks_is_queued_once(desk, socket):
    """A campaign names its steps, so that none is sent twice whatever dies."""
    chosen = "0123456789abcdef0123456789abcdef"
    first = desk.queue(command_id=chosen)
    socket.next()
    socket.lose()

    assert first.command_id == chosen
    assert desk.queue(command_id=chosen).state is CommandState.UNKNOWN
    assert socket.next() is None


@pytest.mark.parametrize(
    "other",
    [
        {"payload": {"type": "Hard"}},
        {"action": "ClearCache"},
        {"deadline_s": 60},
    ],
)
def test_the_same_key_with_another_request_is_a_conflict(desk, socket, other):
    desk.queue(idempotency_key="k")

    with pytest.raises(IdempotencyConflict):
        desk.queue(idempotency_key="k", **other)

    assert len(desk.stores.commands.page(None, 10).items) == 1


def test_the_order_of_fields_is_no_other_request(desk, socket):
    one = {"connectorId": 1, "type": "Operative"}
    first = desk.queue("ChangeAvailability", one, idempotency_key="k")
    again = desk.queue("ChangeAvailability", dict(reversed(one.items())), idempotency_key="k")

    assert again == first


def test_two_requests_with_one_key_at_once_make_one_command(desk, socket):
    commands = []
    begin = threading.Barrier(6)

    def queue():
        begin.wait()
        commands.append(desk.queue(idempotency_key="k").command_id)

    threads = [threading.Thread(target=queue) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(commands)) == 1
    assert len(desk.stores.commands.page(None, 10).items) == 1
    assert desk.stores.link.call("LLEN", keys.outbox("CP001")) == 1


def test_without_a_key_the_same_request_is_another_command(desk, socket):
    assert desk.queue().command_id != desk.queue().command_id


# -- who waits


def test_who_waits_in_the_same_process_is_woken(desk, socket):
    command = desk.queue(reply_to="process-1")
    answered = threading.Event()

    def wait():
        socket.waiting.wait(
            command.command_id, 60, lambda: desk.look(command).state in FINAL_STATES
        )
        answered.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    socket.answer(socket.next(), {"status": "Accepted"})
    waiter.join(timeout=60)

    assert answered.is_set()


def test_who_waits_in_another_process_is_told(desk, socket):
    command = desk.queue(reply_to="process-2")
    socket.answer(socket.next(), {"status": "Accepted"})

    notes, _ = Inbox(desk.stores.link, "process-2", "0-0").read()
    assert notes == [Note(NoteKind.SETTLED, command.command_id)]


def test_waiting_ends_with_its_time(desk, socket):
    socket.waiting.wait("nobody-settles-this", 0.01, lambda: False)
    socket.waiting.wake("nobody-waits-for-this")


# -- what grows


def test_only_the_newest_final_commands_of_a_charge_point_are_kept(desk, socket):
    waiting = desk.queue("ClearCache", deadline_s=600)
    first = desk.queue(now_ms=NOON_MS + 1)
    desk.stores.commands.settle(
        "CP001", first.command_id, CommandState.ANSWERED, NOON_MS, was=CommandState.QUEUED
    )
    for number in range(KEPT_PER_CHARGE_POINT):
        desk.queue(now_ms=NOON_MS + 2 + number)

    with pytest.raises(NotFound):
        desk.look(first)
    assert desk.look(waiting).state is CommandState.QUEUED


def test_the_list_of_all_commands_is_trimmed(desk, socket):
    newest = desk.queue()
    older = [word for n in range(KEPT_IN_ALL) for word in (n, f"older-{n}")]
    desk.stores.link.call("ZADD", keys.COMMANDS, *older)

    desk.stores.commands.trim()

    assert desk.stores.link.call("ZCARD", keys.COMMANDS) == KEPT_IN_ALL
    assert desk.stores.link.call("ZSCORE", keys.COMMANDS, "older-0") is None
    assert desk.look(newest) == newest


def test_final_commands_leave_the_store_by_themselves(desk, socket):
    command = desk.queue()
    key = keys.command("CP001", command.command_id)
    assert desk.stores.link.call("TTL", key) == -1

    socket.answer(socket.next(), {"status": "Accepted"})

    assert desk.stores.link.call("TTL", key) > 86_400


def test_the_lists_show_the_newest_first_and_by_state(desk, socket):
    first = desk.queue()
    second = desk.queue("ClearCache", now_ms=NOON_MS + 1)
    socket.answer(socket.next(), {"status": "Accepted"})

    def ids(**filters):
        return [c.command_id for c in desk.stores.commands.page(None, 10, **filters).items]

    assert ids() == ids(charge_point_id="CP001") == [second.command_id, first.command_id]
    assert ids(state=CommandState.ANSWERED) == [first.command_id]
    assert ids(charge_point_id="CP001", state=CommandState.QUEUED) == [second.command_id]
    assert ids(charge_point_id="CP404") == []


def test_a_command_nobody_knows_is_told(desk):
    with pytest.raises(NotFound, match="no command nothing"):
        desk.stores.commands.get("nothing")


def test_a_record_is_plain_json(desk, socket):
    command = desk.queue("DataTransfer", {"vendorId": "ü", "data": "☃\n"})

    raw = desk.stores.link.call("HGET", keys.command("CP001", command.command_id), "payload")
    assert orjson.loads(raw) == {"vendorId": "ü", "data": "☃\n"}
