"""One process does for all what is due; what fails keeps nothing else from being done."""

import pytest
from cast import NOON_MS, SECOND_MS, SETTINGS
from memory_storage import MemoryStorage

from csms.commands.sequels import TRY_AGAIN_MS, Sequels
from csms.commands.sweeper import LEASE_MS, Sweeper
from csms.domain.command import CommandState
from csms.state.presence import LEASE_MS as PROCESS_LEASE_MS

LATER_MS = NOON_MS + 3_600 * SECOND_MS


@pytest.fixture
def sweeper(socket):
    return Sweeper(socket.delivery)


def test_a_command_whose_deadline_passed_is_undeliverable(desk, sweeper):
    command = desk.queue("Reset")

    assert sweeper.sweep(LATER_MS)

    assert desk.look(command).state is CommandState.UNDELIVERABLE
    assert desk.stores.commands.due(LATER_MS, 10) == []
    assert desk.stores.commands.waiting_outboxes(10) == []


def test_a_command_whose_owner_died_is_unknown(desk, socket, sweeper):
    command = desk.queue("Reset")
    socket.next()

    sweeper.sweep(LATER_MS)

    assert desk.look(command).state is CommandState.UNKNOWN


def test_a_command_that_is_no_longer_kept_is_no_longer_due(desk, sweeper):
    desk.stores.commands.due_again("gone", NOON_MS)

    sweeper.sweep(LATER_MS)

    assert desk.stores.commands.due(LATER_MS, 10) == []


def test_what_is_not_due_is_left_alone(desk, sweeper):
    command = desk.queue("Reset")

    sweeper.sweep(NOON_MS)

    assert desk.look(command).state is CommandState.QUEUED


def test_a_charge_point_of_a_dead_process_is_let_go(desk, socket, sweeper):
    desk.stores.link.call("ZADD", "csms:processes", 1, "process-1")  # its lease is long over
    assert PROCESS_LEASE_MS > LEASE_MS

    sweeper.sweep(NOON_MS)

    presence = desk.stores.presences.find("CP001")
    assert (presence.process_id, presence.reason) == ("", "the process that held it died")
    assert desk.stores.changed.take()


def test_who_has_not_the_lease_does_nothing(desk, sweeper):
    command = desk.queue("Reset")
    desk.stores.presences.take_sweeper_lease("another", LEASE_MS)

    assert not sweeper.sweep(LATER_MS)

    assert desk.look(command).state is CommandState.QUEUED


def test_who_rests_leaves_the_lease_to_whoever_comes(desk, sweeper):
    sweeper.sweep(NOON_MS)
    assert not desk.stores.presences.take_sweeper_lease("another", LEASE_MS)

    sweeper.rest()
    assert desk.stores.presences.take_sweeper_lease("another", LEASE_MS)

    sweeper.rest()  # that of another is left alone
    assert not desk.stores.presences.take_sweeper_lease("a third", LEASE_MS)


def test_a_record_nobody_can_read_does_not_keep_others_from_their_end(desk, sweeper, monkeypatch):
    broken, sound = desk.queue("Reset"), desk.queue("ClearCache")
    look = desk.stores.commands.find

    def find(owner, command_id):
        if command_id == broken.command_id:
            raise KeyError("action")
        return look(owner, command_id)

    monkeypatch.setattr(desk.stores.commands, "find", find)
    sweeper.sweep(LATER_MS)

    assert desk.look(sound).state is CommandState.UNDELIVERABLE
    assert desk.stores.commands.due(LATER_MS + TRY_AGAIN_MS - 1, 10) == []
    assert desk.stores.commands.due(LATER_MS + TRY_AGAIN_MS, 10) == [broken.command_id]


def test_the_sweeps_of_the_table_run_last(desk, socket):
    seen = []
    sequels = Sequels(desk.stores, desk.requests, SETTINGS, MemoryStorage(), sweeps=(seen.append,))
    object.__setattr__(socket.delivery, "sequels", sequels)

    Sweeper(socket.delivery).sweep(NOON_MS)

    [sequel] = seen
    assert sequel.now_ms == NOON_MS
