"""Changing a charge point's key (security white paper, A01): who may log in, and who sees it."""

import pytest
from cast import NOON_MS, PEPPER

from csms.commands.sealing import Sealer, Unsealable
from csms.domain.command import CommandState
from csms.domain.credentials import SALT_BYTES, hash_key, key_matches
from csms.state import keys

OLD_KEY = bytes(20)
NEW_KEY = bytes(range(16))
CHANGE = {"key": "AuthorizationKey", "value": NEW_KEY.hex()}
SILENT_AT_MS = NOON_MS + 60_000


@pytest.fixture
def key_change(desk, socket):
    """CP001 has OLD_KEY, and NEW_KEY waits to be sent."""
    stored = hash_key(OLD_KEY, bytes(SALT_BYTES), PEPPER.encode())
    desk.stores.charge_points.update("CP001", key_hash=stored, security_profile=1)
    return desk.queue("ChangeConfiguration", CHANGE)


def admitted(desk):
    """Which keys CP001 may log in with."""
    record = desk.stores.charge_points.get("CP001")
    return {
        name
        for name, key in (("old", OLD_KEY), ("new", NEW_KEY))
        for stored in (record.key_hash, *record.pending_key_hashes)
        if key_matches(key, stored, PEPPER.encode())
    }


def raw_record(desk, command):
    record = desk.stores.link.call("HGETALL", keys.command("CP001", command.command_id))
    return dict(zip(record[::2], record[1::2], strict=True))


def test_only_the_old_key_admits_until_the_new_one_is_sent(desk, socket, key_change):
    assert admitted(desk) == {"old"}


def test_both_keys_admit_from_the_moment_of_sending(desk, socket, key_change):
    call = socket.next()

    assert call.payload == CHANGE
    assert admitted(desk) == {"old", "new"}


@pytest.mark.parametrize(
    ("status", "keys_left"),
    [
        ("Accepted", {"new"}),
        ("Rejected", {"old"}),
        ("NotSupported", {"old"}),
        ("RebootRequired", {"old", "new"}),
        ("Nonsense", {"old", "new"}),
    ],
)
def test_the_answer_decides_which_key_stays(desk, socket, key_change, status, keys_left):
    """A01.FR.03 and FR.04; where it says nothing certain both stay."""
    socket.answer(socket.next(), {"status": status})

    assert admitted(desk) == keys_left


def test_a_call_error_leaves_both_keys(desk, socket, key_change):
    socket.refuse(socket.next(), "InternalError")

    assert admitted(desk) == {"old", "new"}


def test_silence_leaves_both_keys(desk, socket, key_change):
    socket.next()
    socket.expire(SILENT_AT_MS)

    assert admitted(desk) == {"old", "new"}


def test_a_lost_socket_leaves_both_keys(desk, socket, key_change):
    socket.next()
    socket.lose()

    assert admitted(desk) == {"old", "new"}


def test_a_late_answer_leaves_both_keys(desk, socket, key_change):
    call = socket.next()
    socket.expire(SILENT_AT_MS)
    socket.answer(call, {"status": "Accepted"})

    assert admitted(desk) == {"old", "new"}


def test_the_first_login_with_the_new_key_ends_the_old_one(desk, socket, key_change):
    socket.next()
    socket.lose()
    (pending,) = desk.stores.charge_points.get("CP001").pending_key_hashes

    assert desk.stores.charge_points.promote_key("CP001", pending)

    assert admitted(desk) == {"new"}
    assert not desk.stores.charge_points.promote_key("CP001", pending)


def test_the_command_never_shows_the_key(desk, socket, key_change):
    masked = {"key": "AuthorizationKey", "value": "****"}
    assert key_change.payload == masked

    socket.answer(socket.next(), {"status": "Accepted"})

    assert desk.look(key_change).payload == masked


def test_the_store_never_holds_the_key_in_the_open(desk, socket, key_change):
    waiting = raw_record(desk, key_change)
    assert waiting["sealed"]
    assert NEW_KEY.hex() not in str(waiting)

    call = socket.next()
    assert NEW_KEY.hex() not in str(raw_record(desk, key_change))

    socket.answer(call, {"status": "Accepted"})
    over = raw_record(desk, key_change)
    assert over["sealed"] == ""
    assert NEW_KEY.hex() not in str(over)


def test_an_undelivered_key_is_not_kept_either(desk, socket, key_change):
    assert socket.next(key_change.deadline_at_ms) is None

    assert raw_record(desk, key_change)["sealed"] == ""
    assert desk.look(key_change).state is CommandState.UNDELIVERABLE
    assert admitted(desk) == {"old"}


def test_a_key_settled_by_the_sweep_is_not_kept_either(desk, socket, key_change):
    socket.delivery.settle_undelivered("CP001", key_change.command_id, NOON_MS)

    assert raw_record(desk, key_change)["sealed"] == ""


def test_a_password_in_a_location_is_sent_but_not_shown(desk, socket):
    command = desk.queue("GetDiagnostics", {"location": "ftp://me:secret@host/dir"})

    assert command.payload == {"location": "ftp://me:****@host/dir"}
    assert "secret" not in str(raw_record(desk, command))
    assert socket.next().payload == {"location": "ftp://me:secret@host/dir"}


def test_other_configuration_is_shown_as_it_is(desk, socket):
    payload = {"key": "HeartbeatInterval", "value": "60"}
    command = desk.queue("ChangeConfiguration", payload)

    assert command.payload == payload
    assert raw_record(desk, command)["sealed"] == ""
    socket.answer(socket.next(), {"status": "Accepted"})
    assert desk.stores.charge_points.get("CP001").key_hash == ""


def test_what_is_sealed_opens_with_the_same_pepper_only():
    sealed = Sealer(PEPPER).seal(CHANGE)

    assert Sealer(PEPPER).unseal(sealed) == CHANGE
    assert NEW_KEY.hex() not in sealed
    with pytest.raises(Unsealable, match="CREDENTIAL_PEPPER"):
        Sealer("another pepper").unseal(sealed)


def test_an_accepted_key_that_was_used_already_stays(desk, socket, key_change):
    """The charge point logged in with it before its answer was read."""
    call = socket.next()
    (pending,) = desk.stores.charge_points.get("CP001").pending_key_hashes
    desk.stores.charge_points.promote_key("CP001", pending)

    socket.answer(call, {"status": "Accepted"})

    assert admitted(desk) == {"new"}


TOLD = {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "0011"}]}


def test_a_key_in_an_answer_is_not_kept(desk, socket):
    command = desk.queue("GetConfiguration")
    socket.answer(socket.next(), TOLD)

    assert desk.look(command).answer["configurationKey"][0]["value"] == "****"


def test_a_key_in_a_late_answer_is_not_kept(desk, socket):
    command = desk.queue("GetConfiguration")
    call = socket.next()
    socket.expire(SILENT_AT_MS)
    socket.answer(call, TOLD)

    assert desk.look(command).late_answer["configurationKey"][0]["value"] == "****"


def test_a_key_whose_fate_is_open_still_admits_while_another_is_tried(desk, socket, key_change):
    """Silence after the first: the charge point may have taken it, and may not take the second."""
    socket.next()
    socket.expire(SILENT_AT_MS)
    third = bytes(range(100, 120))
    desk.queue("ChangeConfiguration", {"key": "AuthorizationKey", "value": third.hex()})

    socket.answer(socket.next(), {"status": "Rejected"})

    assert admitted(desk) == {"old", "new"}
    record = desk.stores.charge_points.get("CP001")
    assert not any(
        key_matches(third, stored, PEPPER.encode()) for stored in record.pending_key_hashes
    )


def test_only_the_last_few_open_keys_admit(desk):
    for number in range(7):
        desk.stores.charge_points.add_pending_key("CP001", f"00${number}")

    assert desk.stores.charge_points.get("CP001").pending_key_hashes == tuple(
        f"00${number}" for number in range(2, 7)
    )
