"""Commands as records: what the scripts do by themselves (their life is told in tests/commands)."""

from dataclasses import replace

import pytest
from cast import CP001, NOON_MS, enter_the_cast

from csms.domain.command import CommandError, CommandState
from csms.errors import IdempotencyConflict, StoreUnavailable
from csms.state import keys
from csms.state.commands import Idempotency, NewCommand, Queued


def new_command(command_id="c1", **changes):
    fields = {
        "command_id": command_id,
        "charge_point_id": "CP001",
        "action": "Reset",
        "payload": {"type": "Soft"},
        "sealed": "",
        "requested_by": "operator",
        "reply_to": "",
        "created_at_ms": NOON_MS,
        "deadline_at_ms": NOON_MS + 1_000,
    }
    return NewCommand(**{**fields, **changes})


def connected(stores):
    enter_the_cast(stores)
    return stores.presences.connect(
        CP001.charge_point_id, "process-1", NOON_MS, "", secure=False
    ).epoch


def test_a_command_is_found_as_soon_as_it_is_queued(stores):
    queued = stores.commands.queue(new_command(), None)

    assert (queued.command_id, queued.is_new) == ("c1", True)
    assert stores.commands.owner("c1") == "CP001"
    assert stores.commands.get("c1") == stores.commands.find("CP001", "c1")
    assert stores.commands.find("CP002", "c1") is None
    assert stores.commands.waiting_outboxes(5) == ["CP001"]


def test_a_key_is_recognised_by_the_record_itself(stores):
    """Two requests may pass recall() at once: the script decides."""
    first = Idempotency(keys.idempotency("CP001", "operator", "k"), "digest")
    stores.commands.queue(new_command(), first)

    assert stores.commands.recall(first) == "c1"
    assert stores.commands.queue(new_command("c2"), first) == Queued("c1", is_new=False)
    with pytest.raises(IdempotencyConflict):
        stores.commands.queue(new_command("c3"), replace(first, digest="another"))
    with pytest.raises(IdempotencyConflict):
        stores.commands.recall(replace(first, digest="another"))
    assert [c.command_id for c in stores.commands.page(None, 10).items] == ["c1"]
    assert stores.commands.owner("c2") is stores.commands.owner("c3") is None
    assert stores.commands.due(NOON_MS * 2, 10) == ["c1"]


def test_an_id_is_queued_once(stores):
    stores.commands.queue(new_command(), None)

    assert stores.commands.queue(new_command(), None) == Queued("c1", is_new=False)
    assert stores.commands.owner("c1") == "CP001"
    assert stores.link.call("LRANGE", keys.outbox("CP001"), 0, -1) == ["c1"]


def test_an_id_that_has_its_end_is_not_queued_again(stores):
    epoch = connected(stores)
    stores.commands.queue(new_command(), None)
    stores.commands.take("CP001", epoch, "u1", NOON_MS)
    stores.commands.settle("CP001", "c1", CommandState.ANSWERED, NOON_MS, answer={})

    assert not stores.commands.queue(new_command(), None).is_new
    assert stores.commands.get("c1").state is CommandState.ANSWERED
    assert stores.commands.take("CP001", epoch, "u2", NOON_MS) == (None, [])


def test_a_command_whose_record_is_gone_is_skipped(stores):
    epoch = connected(stores)
    for command_id in ("c1", "c2"):
        stores.commands.queue(new_command(command_id), None)
    stores.link.call("DEL", keys.command("CP001", "c1"))

    taken, expired = stores.commands.take("CP001", epoch, "u", NOON_MS)

    assert taken.command_id == "c2"
    assert list(expired) == []


def test_what_was_taken_without_a_confirmation_is_taken_again_by_its_id(stores):
    epoch = connected(stores)
    for command_id in ("c1", "c2"):
        stores.commands.queue(new_command(command_id, sealed="secret"), None)
    first, _ = stores.commands.take("CP001", epoch, "u", NOON_MS)

    assert stores.commands.take("CP001", epoch, "u", NOON_MS + 1) == (first, [])
    assert stores.commands.take("CP001", epoch, "another", NOON_MS + 1) == (None, ())
    stores.commands.settle("CP001", "c1", CommandState.ANSWERED, NOON_MS, answer={})
    assert stores.link.call("HGET", keys.command("CP001", "c1"), "sealed") == ""
    assert stores.commands.get("c1").sent_at_ms == NOON_MS
    taken, _ = stores.commands.take("CP001", epoch, "u", NOON_MS + 2)
    assert taken.command_id == "c2"


def test_an_end_recorded_without_a_confirmation_is_told_again(stores):
    epoch = connected(stores)
    stores.commands.queue(new_command(), None)
    stores.commands.take("CP001", epoch, "u", NOON_MS)

    def settle(now_ms, state=CommandState.ANSWERED):
        return stores.commands.settle("CP001", "c1", state, now_ms, answer={})

    ended = settle(NOON_MS + 1)
    assert ended.command_id == "c1"
    assert settle(NOON_MS + 1) == ended
    assert settle(NOON_MS + 2) is None
    assert settle(NOON_MS + 1, CommandState.UNKNOWN) is None


def test_a_command_is_settled_from_the_state_it_is_in(stores):
    epoch = connected(stores)
    stores.commands.queue(new_command(), None)

    assert not stores.commands.settle("CP001", "c1", CommandState.ANSWERED, NOON_MS, answer={})
    assert stores.commands.get("c1").state is CommandState.QUEUED

    stores.commands.take("CP001", epoch, "u", NOON_MS)
    error = CommandError("GenericError", "d", {"a": [1, {"b": None}]})
    assert stores.commands.settle(
        "CP001", "c1", CommandState.REFUSED, NOON_MS + 1, error=error, reason="r"
    )
    settled = stores.commands.get("c1")
    assert (settled.error, settled.reason) == (error, "r")
    assert settled.settled_at_ms == NOON_MS + 1


def test_settling_makes_way_for_the_next_even_when_the_record_is_gone(stores):
    epoch = connected(stores)
    for command_id in ("c1", "c2"):
        stores.commands.queue(new_command(command_id), None)
    stores.commands.take("CP001", epoch, "u", NOON_MS)
    stores.link.call("DEL", keys.command("CP001", "c1"))

    assert not stores.commands.settle("CP001", "c1", CommandState.UNKNOWN, NOON_MS)

    assert stores.commands.take("CP001", epoch, "u", NOON_MS)[0].command_id == "c2"


def test_settling_another_command_does_not_free_the_one_in_flight(stores):
    epoch = connected(stores)
    for command_id in ("c1", "c2"):
        stores.commands.queue(new_command(command_id), None)
    stores.commands.take("CP001", epoch, "u", NOON_MS)

    stores.commands.settle(
        "CP001", "c2", CommandState.UNDELIVERABLE, NOON_MS, was=CommandState.QUEUED
    )

    assert stores.commands.take("CP001", epoch, "another", NOON_MS) == (None, ())
    assert (
        stores.presences.connect("CP001", "process-2", NOON_MS, "", secure=False).command_in_flight
        == "c1"
    )


def test_a_late_answer_to_a_command_no_longer_kept_makes_no_record(stores):
    stores.commands.record_late_answer("CP001", "gone", {"status": "Accepted"}, NOON_MS)

    assert stores.commands.find("CP001", "gone") is None


def test_a_deadline_is_looked_at_until_it_is_said_not_to(stores):
    stores.commands.queue(new_command(), None)
    assert stores.commands.due(NOON_MS + 1_000, 5) == ["c1"]

    stores.commands.due_again("c1", NOON_MS + 9_000)
    assert stores.commands.due(NOON_MS + 1_000, 5) == []

    stores.commands.no_longer_due("c1")
    assert stores.commands.due(NOON_MS + 10_000, 5) == []


def test_an_outbox_is_looked_at_only_while_something_waits_in_it(stores):
    connected(stores)
    stores.commands.queue(new_command("c1"), None)
    stores.commands.queue(new_command("c2"), None)

    for command_id, left in (("c1", ["CP001"]), ("c2", [])):
        stores.commands.settle(
            "CP001", command_id, CommandState.UNDELIVERABLE, NOON_MS, was=CommandState.QUEUED
        )
        stores.commands.forget_empty_outbox("CP001")
        assert stores.commands.waiting_outboxes(5) == left

    assert stores.link.call("EXISTS", keys.outbox("CP001")) == 0


def test_what_was_said_never_to_have_been_queued_never_is(stores):
    """Who was to queue it stood still, while somebody looked for it in vain."""
    assert stores.commands.never_was("CP001", "c1")
    assert stores.commands.never_was("CP001", "c1")

    with pytest.raises(StoreUnavailable, match="nothing was sent"):
        stores.commands.queue(new_command(), None)

    assert stores.commands.find("CP001", "c1") is None
    assert stores.commands.page(None, 10).items == []
    assert stores.commands.page(None, 10, charge_point_id="CP001").items == []
    assert stores.commands.due(NOON_MS * 2, 10) == []
    assert stores.commands.waiting_outboxes(5) == []


def test_what_is_queued_is_not_said_never_to_have_been(stores):
    stores.commands.queue(new_command(), None)

    assert not stores.commands.never_was("CP001", "c1")
    assert stores.commands.get("c1").state is CommandState.QUEUED


def test_an_outbox_that_is_filled_while_it_is_found_empty_stays_in_the_list(stores):
    """Its emptiness and its leaving the list are two steps."""
    stores.commands.queue(new_command(), None)

    stores.commands.forget_empty_outbox("CP001")

    assert stores.commands.waiting_outboxes(5) == ["CP001"]
