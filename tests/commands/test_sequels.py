"""What follows from a command's end, from an answer of ours and from the time: always, and once."""

from dataclasses import replace

import pytest
from cast import CP001, NOON_MS, SECOND_MS, SETTINGS
from gevent import GreenletExit
from memory_storage import NO_FILES

from csms.commands.delivery import GRACE_MS
from csms.commands.sequels import TRY_AGAIN_MS, Sequels
from csms.domain.command import CommandState
from csms.errors import CommandForbidden, StoreUnavailable
from csms.state import keys

LATER_MS = NOON_MS + 60 * SECOND_MS


class Recorder:
    """A follow-up that fails as often as it is told to."""

    def __init__(self, failure=None, failures=0):
        self.seen = []
        self.failure = failure
        self.failures = failures

    def __call__(self, *given):
        if self.failures:
            self.failures -= 1
            raise self.failure
        self.seen.append(given)


def sequels(desk, **tables):
    return Sequels(desk.stores, desk.requests, SETTINGS, NO_FILES, **tables)


@pytest.fixture
def follow_up(desk, socket):
    """What follows a Reset at the socket of CP001."""
    recorder = Recorder()
    tables = {"follow_ups": {"Reset": (recorder,)}}
    object.__setattr__(socket.delivery, "sequels", sequels(desk, **tables))
    return recorder


def due(desk, at_ms=NOON_MS + 10**9):
    return desk.stores.commands.due(at_ms, 10)


def test_a_follow_up_sees_the_command_at_its_end(desk, socket, follow_up):
    command = desk.queue("Reset")

    socket.answer(socket.next(), {"status": "Rejected"})

    [(seen, sequel)] = follow_up.seen
    assert seen == desk.look(command)
    assert seen.state is CommandState.ANSWERED
    assert seen.status == "Rejected"
    assert sequel.desk is desk.requests
    assert due(desk) == []


def test_who_waits_finds_what_follows_done(desk, socket, follow_up):
    command = desk.queue("Reset", reply_to="process-1")
    order = []
    follow_up.seen = order
    socket.waiting.wake = order.append

    socket.answer(socket.next(), {"status": "Accepted"})

    assert order[0][0].command_id == command.command_id
    assert order[1] == command.command_id


@pytest.mark.parametrize("end", ["refused", "timed out", "lost", "undeliverable"])
def test_every_end_is_followed_up(desk, socket, follow_up, end):
    desk.queue("Reset")
    if end == "undeliverable":
        socket.next(NOON_MS + 3_600 * SECOND_MS)
    else:
        call = socket.next()
        match end:
            case "refused":
                socket.refuse(call, "NotSupported")
            case "timed out":
                socket.expire(LATER_MS)
            case "lost":
                socket.lose()

    [(seen, _)] = follow_up.seen
    assert str(seen.state).replace("_", " ") in {end, "unknown"}


def test_a_late_answer_is_followed_up_once_more(desk, socket, follow_up):
    desk.queue("Reset")
    call = socket.next()
    socket.expire(LATER_MS)

    socket.answer(call, {"status": "Accepted"}, now_ms=LATER_MS + 1)

    assert [seen.status for seen, _ in follow_up.seen] == [None, "Accepted"]
    assert follow_up.seen[1][0].state is CommandState.TIMED_OUT


def test_a_late_answer_whose_follow_up_a_crash_has_cut_off_is_due(desk, socket, follow_up):
    command = desk.queue("Reset")
    call = socket.next()
    socket.expire(LATER_MS)
    assert due(desk) == []
    follow_up.failure, follow_up.failures = GreenletExit(), 1

    with pytest.raises(GreenletExit):
        socket.answer(call, {"status": "Accepted"}, now_ms=LATER_MS + 1)

    assert due(desk, LATER_MS + 1 + GRACE_MS) == [command.command_id]
    socket.delivery.settle_again("CP001", desk.look(command), LATER_MS + 1 + GRACE_MS)
    assert follow_up.seen[-1][0].late_answer == {"status": "Accepted"}
    assert due(desk) == []


def test_other_commands_are_not_followed_up(desk, socket, follow_up):
    desk.queue("ClearCache")

    socket.answer(socket.next(), {"status": "Accepted"})

    assert follow_up.seen == []
    assert due(desk) == []


@pytest.mark.parametrize("failure", [StoreUnavailable("gone"), ZeroDivisionError("ours")])
def test_what_fails_is_done_again_by_the_sweep(desk, socket, follow_up, failure):
    follow_up.failure, follow_up.failures = failure, 1
    command = desk.queue("Reset")

    socket.answer(socket.next(), {"status": "Accepted"})

    assert desk.look(command).state is CommandState.ANSWERED
    assert due(desk, NOON_MS + TRY_AGAIN_MS - 1) == []
    assert due(desk, NOON_MS + TRY_AGAIN_MS) == [command.command_id]
    socket.delivery.settle_again("CP001", desk.look(command), LATER_MS)
    assert len(follow_up.seen) == 1
    assert due(desk) == []


def test_a_command_whose_follow_up_a_crash_has_cut_off_is_still_due(desk, socket):
    """Settled, and then nothing: the process died."""
    command = desk.queue("Reset")
    socket.next()

    desk.stores.commands.settle("CP001", command.command_id, CommandState.ANSWERED, NOON_MS)

    assert due(desk) == [command.command_id]


def test_a_command_that_is_no_longer_kept_is_no_longer_due(desk, socket, follow_up):
    command = desk.queue("Reset")
    desk.stores.link.call("DEL", keys.command("CP001", command.command_id))

    socket.delivery.settle_again("CP001", command, LATER_MS)

    assert follow_up.seen == []
    assert due(desk) == []


# -- after an answer


def test_what_follows_an_answer_is_given_request_and_confirmation(desk):
    after = Recorder()
    given = sequels(desk, after_answers={"Heartbeat": (after,)})

    assert given.has_after_answer("Heartbeat")
    assert not given.has_after_answer("Authorize")
    given.after_answer("CP001", "Heartbeat", {}, {"currentTime": "now"}, NOON_MS)
    [(charge_point_id, request, confirmation, sequel)] = after.seen
    assert (charge_point_id, request, confirmation) == ("CP001", {}, {"currentTime": "now"})
    assert sequel.now_ms == NOON_MS


@pytest.mark.parametrize("failure", [StoreUnavailable("gone"), ZeroDivisionError("ours")])
def test_one_that_fails_after_an_answer_does_not_keep_the_others(desk, failure):
    broken, sound = Recorder(failure, 1), Recorder()
    given = sequels(desk, after_answers={"Heartbeat": (broken, sound)})

    given.after_answer("CP001", "Heartbeat", {}, {}, NOON_MS)

    assert len(sound.seen) == 1


# -- in the sweep


@pytest.mark.parametrize("failure", [StoreUnavailable("gone"), ZeroDivisionError("ours")])
def test_a_sweep_that_fails_does_not_keep_the_others_from_theirs(desk, failure):
    broken, sound = Recorder(failure, 1), Recorder()

    sequels(desk, sweeps=(broken, sound)).sweep(NOON_MS)

    [(sequel,)] = sound.seen
    assert sequel.now_ms == NOON_MS


# -- before it is queued


def test_what_is_noted_before_queueing_stands_before_the_command_can_be_sent(desk, socket):
    noted = []

    def note(command, stores):
        noted.append((command.command_id, stores.commands.find("CP001", command.command_id)))

    desk.requests._before_queueing = {"Reset": (note,)}
    command = desk.queue("Reset")

    assert noted == [(command.command_id, None)]


def test_a_note_that_can_not_be_made_keeps_the_command_from_being_queued(desk, socket):
    def refuse(*_):
        raise CommandForbidden("CP001", "Reset", "of the test")

    desk.requests._before_queueing = {"Reset": (refuse,)}
    with pytest.raises(CommandForbidden):
        desk.queue("Reset")

    assert socket.next() is None


# -- quiet mode


def test_a_quiet_charge_point_is_sent_nothing_unsolicited(desk, socket):
    desk.stores.charge_points.update("CP001", quiet=True)

    with pytest.raises(CommandForbidden, match="quiet"):
        desk.queue("Reset", unsolicited=True)
    assert desk.queue("Reset").state is CommandState.QUEUED


def test_others_may_be_sent_what_nobody_asked_for(desk, socket):
    assert desk.queue("Reset", unsolicited=True).state is CommandState.QUEUED


def test_quiet_mode_is_kept_with_the_charge_point(stores):
    stores.charge_points.create(replace(CP001, quiet=True))

    assert stores.charge_points.get("CP001").quiet


def test_a_long_list_is_kept_short_once_what_follows_from_it_is_done(desk, socket):
    entries = [
        {"idTag": f"TAG-{number}", "idTagInfo": {"status": "Accepted"}} for number in range(100)
    ]
    payload = {"listVersion": 1, "localAuthorizationList": entries, "updateType": "Full"}
    command = desk.queue("SendLocalList", payload)
    assert len(desk.look(command).payload["localAuthorizationList"]) == 100

    call = socket.next()
    socket.answer(call, {"status": "Accepted"})

    assert len(call.payload["localAuthorizationList"]) == 100
    kept = desk.look(command)
    assert kept.payload_cut
    assert len(kept.payload["localAuthorizationList"]) == 20


def test_a_command_is_over_when_what_follows_from_it_is_done(desk, socket):
    command = desk.queue("Reset")
    looks = []
    call = socket.next()

    def look(*_):
        return desk.stores.commands.look("CP001", command.command_id)

    follow_ups = {"Reset": (lambda *_: looks.append(look()),)}
    object.__setattr__(socket.delivery, "sequels", sequels(desk, follow_ups=follow_ups))
    before = look()
    socket.answer(call, {"status": "Accepted"})

    assert (before[0].state, before[1]) == (CommandState.SENT, False)
    [(during, was_over)] = looks
    assert (during.state, was_over) == (CommandState.ANSWERED, False)
    assert look() == (during, True)


def test_a_command_that_is_not_kept_is_not_over(desk):
    assert desk.stores.commands.look("CP001", "gone") == (None, False)
