"""The local authorization list: what should be in it, what is sent, what an answer means."""

import itertools
from dataclasses import replace

import pytest
from cast import ALICE, BOB, CAROL, DAY_MS, NOON_MS
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.domain.authorization import AuthorizationStatus, IdTag, IdTagInfo, TagStatus, fold
from csms.domain.command import Command, CommandError, CommandState
from csms.domain.local_list import (
    ENTRIES_MAX,
    PER_MESSAGE_MAX,
    PER_MESSAGE_UNKNOWN,
    VERSION_MAX,
    Acknowledged,
    Change,
    Course,
    Ended,
    Entry,
    Limits,
    ListState,
    Message,
    Sending,
    SyncEnd,
    UpdateType,
    after_report,
    after_update,
    after_update_answer,
    after_version_answer,
    difference,
    digest,
    is_as_wanted,
    limits_of,
    list_state,
    next_expiry_ms,
    next_message,
    read_group,
    read_message,
    read_source,
    reported_version,
    too_long,
    update_status,
    wanted_list,
)
from csms.protocol.schemas import REQUESTS_SENT

ACCEPTED = IdTagInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTagInfo(AuthorizationStatus.BLOCKED)
SOME = Limits(per_message=3, in_total=100)
FULL, DIFFERENTIAL = UpdateType.FULL, UpdateType.DIFFERENTIAL


def listed(*names, info=ACCEPTED):
    return {fold(name): Entry(name, info) for name in names}


numbers = itertools.count(1)


def asked(action, payload=None, state=CommandState.ANSWERED, answer=None, **fields):
    """A command as recorded at its end, sent after all those before."""
    number = next(numbers)
    return Command(
        f"c{number}",
        "CP001",
        action,
        payload or {},
        state,
        "operator",
        NOON_MS,
        NOON_MS,
        answer=answer,
        **{"sent_at_ms": NOON_MS + number, **fields},
    )


def version_answer(version):
    return asked("GetLocalListVersion", answer={"listVersion": version})


def update_answer(message, status):
    return asked("SendLocalList", message.payload(), answer={"status": status})


REFUSED = {"state": CommandState.REFUSED, "answer": None}


def call_error(code):
    return {**REFUSED, "error": CommandError(code, "why", {})}


# -- what a charge point should have


def test_the_list_says_of_every_tag_what_authorize_would():
    child = replace(ALICE, id_tag="Child", parent_id_tag="FAMILY", expires_at_ms=NOON_MS + DAY_MS)

    wanted = wanted_list([ALICE, BOB, CAROL, child], NOON_MS)

    assert wanted == {
        "alice": Entry("ALICE", ACCEPTED),
        "bob": Entry("BOB", BLOCKED),
        "carol": Entry("CAROL", IdTagInfo(AuthorizationStatus.EXPIRED, None, CAROL.expires_at_ms)),
        "child": Entry(
            "Child", replace(ACCEPTED, parent_id_tag="FAMILY", expires_at_ms=NOON_MS + DAY_MS)
        ),
    }
    assert next_expiry_ms(wanted) == NOON_MS + DAY_MS
    assert next_expiry_ms(wanted_list([ALICE, BOB, CAROL], NOON_MS)) is None


def test_a_tag_that_expires_changes_the_list():
    soon = [replace(ALICE, expires_at_ms=NOON_MS + 1)]

    assert digest(wanted_list(soon, NOON_MS)) != digest(wanted_list(soon, NOON_MS + 1))


def test_the_spelling_of_a_tag_makes_no_difference():
    assert digest(listed("Alice")) == digest(listed("ALICE"))
    assert difference(listed("Alice"), listed("ALICE")).changes() == ()


def test_an_entry_is_written_as_the_schema_and_the_conformance_tool_want_it():
    info = IdTagInfo(AuthorizationStatus.ACCEPTED, "FAMILY", NOON_MS)
    message = Message(3, DIFFERENTIAL, (Change("ALICE", info), Change("BOB", None)))

    payload = message.payload()

    assert list(payload) == ["listVersion", "localAuthorizationList", "updateType"]
    assert payload == {
        "listVersion": 3,
        "localAuthorizationList": [
            {
                "idTag": "ALICE",
                "idTagInfo": {
                    "expiryDate": "2026-11-22T12:00:00.000Z",
                    "parentIdTag": "FAMILY",
                    "status": "Accepted",
                },
            },
            {"idTag": "BOB"},
        ],
        "updateType": "Differential",
    }
    assert REQUESTS_SENT["SendLocalList"].is_valid(payload)
    assert read_message(payload) == message


def test_what_an_operator_wrote_is_read_like_our_own():
    info = {"status": "Invalid", "parentIdTag": "", "expiryDate": "2026-11-22t13:00:00.5+01:00"}
    payload = {
        "listVersion": 7,
        "updateType": "Full",
        "localAuthorizationList": [{"idTag": "x", "idTagInfo": info}],
    }

    message = read_message(payload)

    read = IdTagInfo(AuthorizationStatus.INVALID, None, NOON_MS + 500)
    assert message == Message(7, FULL, (Change("x", read),))
    assert read_message({"listVersion": 8, "updateType": "Full"}) == Message(8, FULL, ())
    info["expiryDate"] = "2016-12-31T23:59:60Z"
    assert read_message(payload).changes[0].info.expires_at_ms is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Staff", "staff"),
        (" north-west_2.b ", "north-west_2.b"),
        ("Köln", "köln"),
        ("x" * 40, "x" * 40),
        ("x" * 41, None),
        ("", None),
        ("a b", None),
        ("-a", None),
        ("a:b", None),
        ("a\n", "a"),
        ("a\nb", None),
    ],
)
def test_the_name_of_a_tag_group(text, name):
    assert read_group(text) == name


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("none", "none"),
        ("all", "all"),
        ("group:Staff", "group:staff"),
        ("group:", None),
        ("group:a b", None),
        ("staff", None),
        ("All", None),
        ("", None),
    ],
)
def test_what_may_be_assigned(text, source):
    assert read_source(text) == source


# -- limits


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ((None, None), Limits(PER_MESSAGE_UNKNOWN, ENTRIES_MAX)),
        ((0, 0), Limits(PER_MESSAGE_UNKNOWN, ENTRIES_MAX)),
        ((-1, -1), Limits(PER_MESSAGE_UNKNOWN, ENTRIES_MAX)),
        ((1, 2), Limits(1, 2)),
        ((10**9, 10**9), Limits(PER_MESSAGE_MAX, ENTRIES_MAX)),
    ],
)
def test_limits_are_those_of_the_configuration_within_ours(said, limits):
    assert limits_of(*said) == limits


def test_a_list_that_is_too_long_says_how_much_and_whose_limit():
    assert too_long(100, SOME) == ""
    assert "101 entries" in too_long(101, SOME)
    assert "the charge point takes no more than 100" in too_long(101, SOME)
    assert "this system sends no more than 10000" in too_long(10_001, Limits())


# -- what it has, by its answers


def test_a_version_it_reports_is_compared_with_what_it_acknowledged():
    known = Acknowledged(5, listed("A"), doubtful=True, highest=5)

    assert after_report(known, version_answer(5)) == replace(known, doubtful=False)
    assert after_report(known, version_answer(6)) == Acknowledged(6, None, highest=6)
    assert after_report(known, version_answer(4)) == Acknowledged(4, None, highest=5)
    assert after_report(known, version_answer(0)) == Acknowledged(0, {}, highest=5)
    assert after_report(known, version_answer(-1)) == known
    assert after_report(known, version_answer("x")) == known


def test_an_old_report_says_nothing_of_what_was_sent_since():
    report = version_answer(0)
    update = update_answer(Message(1, FULL, (Change("A", ACCEPTED),)), "Accepted")
    known = after_update(Acknowledged(), update)

    assert after_report(known, report) == known


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"answer": {"status": "Accepted"}}, "Accepted"),
        ({"answer": {"status": "Failed"}}, "Failed"),
        ({"answer": {"status": "NotSupported"}}, "NotSupported"),
        ({"answer": {"status": "VersionMismatch"}}, "VersionMismatch"),
        ({"answer": {"status": "Rejected"}}, None),
        ({"answer": {}}, None),
        (call_error("NotImplemented"), "NotSupported"),
        (call_error("NotSupported"), "NotSupported"),
        (call_error("InternalError"), None),
        ({"state": CommandState.TIMED_OUT}, None),
    ],
)
def test_what_an_answer_to_an_update_says(fields, status):
    assert update_status(asked("SendLocalList", **fields)) == status


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"answer": {"listVersion": 7}}, 7),
        ({"answer": {"listVersion": "7"}}, 7),
        ({"answer": {"listVersion": -1}}, -1),
        ({"answer": {"listVersion": True}}, None),
        ({"answer": {"listVersion": 7.5}}, None),
        ({"answer": {"listVersion": "9" * 5_000}}, None),
        ({"answer": {}}, None),
        (call_error("NotImplemented"), -1),
        (call_error("GenericError"), None),
        ({"state": CommandState.UNKNOWN}, None),
    ],
)
def test_what_an_answer_about_the_version_says(fields, version):
    assert reported_version(asked("GetLocalListVersion", **fields)) == version


def known_after(known, command):
    """What is known after it, but for the note that this one is reckoned with."""
    after = after_update(known, command)
    assert (after.command_id, after.sent_at_ms) == (command.command_id, command.sent_at_ms)
    assert after_update(after, command) == after
    return replace(after, command_id="", sent_at_ms=0)


def test_an_accepted_full_is_exactly_what_it_has():
    known = Acknowledged(9, listed("A", "B"), doubtful=True, highest=12)
    full = Message(2, FULL, (Change("C", ACCEPTED),))

    assert known_after(known, update_answer(full, "Accepted")) == Acknowledged(
        2, listed("C"), highest=2
    )


def test_an_accepted_differential_is_applied_to_what_it_had():
    known = Acknowledged(1, listed("A", "B"), highest=1)
    changes = (Change("a", None), Change("GONE", None), Change("b", BLOCKED), Change("C", ACCEPTED))
    message = Message(2, DIFFERENTIAL, changes)

    got = known_after(known, update_answer(message, "Accepted"))

    assert got == Acknowledged(2, {"b": Entry("b", BLOCKED), "c": Entry("C", ACCEPTED)}, highest=2)


@pytest.mark.parametrize(
    "known", [Acknowledged(), Acknowledged(1, listed("A"), doubtful=True, highest=1)]
)
def test_a_differential_on_what_is_not_known_is_not_known_either(known):
    message = Message(2, DIFFERENTIAL, (Change("B", ACCEPTED),))

    assert known_after(known, update_answer(message, "Accepted")) == Acknowledged(
        2, None, highest=2
    )


@pytest.mark.parametrize("status", ["Failed", "NotSupported", "VersionMismatch"])
def test_what_it_did_not_take_changes_nothing(status):
    known = Acknowledged(1, listed("A"), highest=1)
    full = Message(2, FULL, ())

    assert after_update(known, update_answer(full, status)) == known


@pytest.mark.parametrize(
    "fields",
    [
        {"state": CommandState.TIMED_OUT},
        {"state": CommandState.UNKNOWN},
        call_error("InternalError"),
    ],
)
def test_an_update_whose_fate_is_open_leaves_doubt(fields):
    known = Acknowledged(1, listed("A"), highest=1)
    lost = asked("SendLocalList", Message(2, FULL, ()).payload(), **fields)
    same_version = asked("SendLocalList", Message(1, FULL, ()).payload(), **fields)

    assert known_after(known, lost) == replace(known, doubtful=True)
    assert known_after(known, same_version) == replace(known, entries=None)


def test_an_update_that_was_never_sent_leaves_none():
    known = Acknowledged(1, listed("A"), highest=1)
    payload = Message(2, FULL, ()).payload()
    command = asked("SendLocalList", payload, CommandState.UNDELIVERABLE, sent_at_ms=None)

    assert after_update(known, command) == known


def test_an_update_that_comes_to_light_too_late_makes_what_followed_a_guess():
    missed = update_answer(Message(2, DIFFERENTIAL, (Change("B", ACCEPTED),)), "Accepted")
    later = update_answer(Message(3, DIFFERENTIAL, (Change("C", ACCEPTED),)), "Accepted")
    known = after_update(Acknowledged(1, listed("A"), highest=1), later)

    assert after_update(known, missed) == replace(known, entries=None)
    # One that was reckoned with as lost gets its late answer: that changes nothing.
    lost = replace(missed, state=CommandState.TIMED_OUT, answer=None, late_answer={})
    assert after_update(known, lost) == known
    refused = update_answer(Message(2, FULL, ()), "Failed")
    assert after_update(known, replace(refused, sent_at_ms=1)) == known


# -- what is sent


def test_the_first_message_of_a_list_is_full_and_the_rest_differential():
    want = listed("A", "B", "C", "D", "E", "F", "G")
    known, sent = Acknowledged(), []

    while (message := next_message(known, want, SOME, full=False)) is not None:
        sent.append((message.version, message.update_type, [c.id_tag for c in message.changes]))
        known = after_update(known, update_answer(message, "Accepted"))

    assert sent == [
        (1, FULL, ["A", "B", "C"]),
        (2, DIFFERENTIAL, ["D", "E", "F"]),
        (3, DIFFERENTIAL, ["G"]),
    ]


def test_one_new_tag_is_one_entry():
    known = Acknowledged(4, listed("A", "B"), highest=4)

    message = next_message(known, listed("A", "B", "C"), SOME, full=False)

    assert message == Message(5, DIFFERENTIAL, (Change("C", ACCEPTED),))


def test_what_is_taken_out_goes_first_under_the_name_it_was_sent():
    known = Acknowledged(1, listed("Gone", "Stays"), highest=1)
    want = {**listed("new"), **listed("STAYS", info=BLOCKED)}

    message = next_message(known, want, SOME, full=False)

    assert message.changes == (
        Change("Gone", None),
        Change("Stays", BLOCKED),
        Change("new", ACCEPTED),
    )


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (Acknowledged(), "nothing is known"),
        (Acknowledged(3, None, highest=3), "the content is not known"),
        (Acknowledged(3, listed("X"), doubtful=True, highest=3), "an update was lost"),
        (Acknowledged(0, {}, highest=3), "the charge point has lost its list"),
        (Acknowledged(VERSION_MAX, listed("X"), highest=VERSION_MAX), "no version is left"),
    ],
)
def test_full_where_a_difference_would_be_a_guess(known, why):
    message = next_message(known, listed("A"), SOME, full=False)

    assert message.update_type is FULL, why
    assert message.version == (1 if known.highest in {0, VERSION_MAX} else 4)


def test_full_is_sent_when_asked_for_though_nothing_has_changed():
    known = Acknowledged(3, listed("A"), highest=3)

    assert next_message(known, listed("A"), SOME, full=False) is None
    assert next_message(known, listed("A"), SOME, full=True) == Message(
        4, FULL, (Change("A", ACCEPTED),)
    )


def test_an_empty_list_is_one_full_message():
    assert next_message(
        Acknowledged(3, listed("A", "B", "C", "D"), highest=3), {}, SOME, full=False
    ) == Message(4, FULL, ())
    assert next_message(Acknowledged(0, {}), {}, SOME, full=False) is None


# -- the course of a sync

KNOWN = Acknowledged(3, listed("A"), highest=3)
WANT = listed("A", "B")


def after_version(version, known=KNOWN, want=WANT, course=None):
    command = version_answer(version)
    answered = after_report(known, command)
    return after_version_answer(command, course or Course(), answered, want, SOME)


def test_the_version_decides_between_full_and_differential():
    assert after_version(3).message.update_type is DIFFERENTIAL
    assert after_version(0).message == next_message(
        Acknowledged(0, {}, highest=3), WANT, SOME, full=False
    )
    assert after_version(0).message.update_type is FULL
    assert after_version(2).message.update_type is FULL
    assert after_version(9).message.update_type is FULL
    assert after_version(9).message.version == 10
    assert after_version(3, want=listed("A")) == Ended(SyncEnd.DONE)
    assert after_version(3, course=Course(full=True)).message.update_type is FULL


def test_a_charge_point_without_lists_is_sent_none():
    assert after_version(-1).how is SyncEnd.NOT_SUPPORTED
    command = asked("GetLocalListVersion", **call_error("NotImplemented"))
    assert after_version_answer(command, Course(), KNOWN, WANT, SOME).how is SyncEnd.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": CommandState.TIMED_OUT}, "not answered in time"),
        ({"state": CommandState.UNDELIVERABLE, "sent_at_ms": None}, "could not be sent"),
        ({"state": CommandState.UNKNOWN}, "connection lost"),
        ({"answer": {"listVersion": "x", "status": "x"}}, "makes no sense"),
        (call_error("GenericError"), "GenericError why"),
    ],
)
def test_without_an_answer_a_sync_is_interrupted(fields, words):
    for action, after, payload in (
        ("GetLocalListVersion", after_version_answer, {}),
        ("SendLocalList", after_update_answer, Message(4, FULL, ()).payload()),
    ):
        ended = after(asked(action, payload, **fields), Course(), KNOWN, WANT, SOME)

        assert ended.how is SyncEnd.INTERRUPTED
        assert words in ended.reason
        assert action in ended.reason


def after_status(message, status, course):
    command = update_answer(message, status)
    return after_update_answer(command, course, after_update(KNOWN, command), WANT, SOME)


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
def test_a_differential_that_is_not_taken_is_followed_by_one_full(status):
    message = Message(4, DIFFERENTIAL, (Change("B", ACCEPTED),))

    step = after_status(message, status, Course())

    everything = (Change("A", ACCEPTED), Change("B", ACCEPTED))
    assert step == Sending(Message(5, FULL, everything), Course(full=True, may_fall_back=False))
    again = after_status(message, status, step.course)
    assert again.how is SyncEnd.FAILED
    assert status in again.reason
    assert "Full update had been tried" in again.reason


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
def test_a_full_that_is_not_taken_ends_the_sync(status):
    ended = after_status(Message(4, FULL, ()), status, Course())

    assert ended.how is SyncEnd.FAILED
    assert f"Full update to version 4 with {status}" in ended.reason


def test_not_supported_ends_the_sync():
    assert after_status(Message(4, FULL, ()), "NotSupported", Course()).how is SyncEnd.NOT_SUPPORTED


def test_after_an_accepted_full_only_the_rest_is_sent():
    step = after_status(Message(4, FULL, (Change("A", ACCEPTED),)), "Accepted", Course(full=True))

    assert step == Sending(Message(5, DIFFERENTIAL, (Change("B", ACCEPTED),)), Course())


@pytest.mark.parametrize(
    ("source", "is_syncing", "last_end", "in_step", "state"),
    [
        ("none", True, SyncEnd.FAILED, True, ListState.NONE),
        ("all", True, SyncEnd.FAILED, True, ListState.SYNCING),
        ("all", False, SyncEnd.FAILED, True, ListState.FAILED),
        ("all", False, SyncEnd.NOT_SUPPORTED, False, ListState.NOT_SUPPORTED),
        ("all", False, SyncEnd.INTERRUPTED, False, ListState.INTERRUPTED),
        ("all", False, SyncEnd.DONE, True, ListState.IN_STEP),
        ("all", False, SyncEnd.DONE, False, ListState.OUT_OF_STEP),
        ("group:x", False, None, False, ListState.OUT_OF_STEP),
    ],
)
def test_how_a_list_stands(source, is_syncing, last_end, in_step, state):
    assert list_state(source, is_syncing=is_syncing, last_end=last_end, in_step=in_step) is state


# -- everything together, against a charge point that is not ours


class Charger:
    """Keeps a list as the specification says, and refuses what it must."""

    def __init__(self, per_message, in_total):
        self.per_message, self.in_total = per_message, in_total
        self.version, self.entries = 0, {}
        self.seen = []

    def update(self, payload):
        """The UpdateStatus; nothing changes unless it is Accepted."""
        assert REQUESTS_SENT["SendLocalList"].is_valid(payload)
        version, is_full = payload["listVersion"], payload["updateType"] == "Full"
        entries = payload["localAuthorizationList"]
        names = [entry["idTag"].casefold() for entry in entries]
        assert len(entries) <= self.per_message
        assert len(set(names)) == len(names)
        assert 0 < version <= VERSION_MAX
        if not is_full and version <= self.version:
            return "VersionMismatch"
        new = {} if is_full else dict(self.entries)
        for name, entry in zip(names, entries, strict=True):
            if "idTagInfo" in entry:
                new[name] = entry["idTagInfo"]
            else:
                assert not is_full
                del new[name]  # what it does not have is never taken out
        if len(new) > self.in_total:
            return "Failed"
        self.version, self.entries = version, new
        self.seen.append(version)
        return "Accepted"


names = st.text("abcdEFGH12ßÄ", min_size=1, max_size=3)
tags = st.dictionaries(
    names.map(fold),
    st.tuples(
        st.sampled_from(TagStatus),
        st.sampled_from([None, "FAMILY"]),
        st.sampled_from([None, NOON_MS - 1, NOON_MS + 1, NOON_MS + DAY_MS]),
        st.booleans(),
    ),
    max_size=25,
)
fates = st.sampled_from(["answered"] * 12 + ["done and lost", "not done and lost", "Failed"])
# What happens to a list between two syncs.
events = st.sampled_from(["nothing", "nothing", "lost its list", "another has sent a list"])


def entered(chosen):
    return [
        IdTag(
            name.upper() if upper and fold(name.upper()) == name else name, status, parent, expiry
        )
        for name, (status, parent, expiry, upper) in chosen.items()
    ]


def one_sync(charger, known, want, limits, fates=(), full=False):
    """What is known after it, and how it ended; fates: what becomes of each exchange."""
    course, message, fates = Course(full=full), None, iter(fates)
    for _ in range(200):
        fate = next(fates, "answered")
        if message is None:
            command = version_answer(charger.version)
            if "lost" in fate:
                command = replace(command, state=CommandState.TIMED_OUT, answer=None)
            else:
                known = after_report(known, command)
            step = after_version_answer(command, course, known, want, limits)
        else:
            is_done = fate in {"answered", "done and lost"}
            status = charger.update(message.payload()) if is_done else "Failed"
            command = update_answer(message, status)
            if "lost" in fate:
                command = replace(command, state=CommandState.TIMED_OUT, answer=None)
            known = after_update(known, command)
            step = after_update_answer(command, course, known, want, limits)
        if isinstance(step, Ended):
            return known, step
        message, course = step.message, step.course
        assert message.version > charger.version or charger.version == VERSION_MAX
    raise AssertionError("it goes on for ever")


def befall(charger, event, known):
    if event == "lost its list":
        charger.version, charger.entries = 0, {}
    elif event == "another has sent a list":
        charger.version, charger.entries = known.highest + 3, {"x": {"status": "Accepted"}}


def as_kept(want):
    """A list as a charge point keeps it."""
    changes = tuple(Change(entry.id_tag, entry.info) for entry in want.values())
    written = Message(1, FULL, changes).payload()["localAuthorizationList"]
    return {entry["idTag"].casefold(): entry["idTagInfo"] for entry in written}


rounds = st.lists(
    st.tuples(tags, events, st.lists(fates, max_size=12), st.booleans()), min_size=1, max_size=5
)


@settings(max_examples=200)
@given(rounds=rounds, per_message=st.integers(1, 8), room=st.integers(0, 3))
def test_a_sync_that_is_done_leaves_exactly_the_wanted_list(rounds, per_message, room):
    """Whatever was lost before. And where nothing is lost, the next sync is done."""
    total = max(1, *(len(chosen) for chosen, *_ in rounds)) + room
    limits = Limits(per_message, total)
    charger, known = Charger(per_message, total), Acknowledged()

    for chosen, event, what_happens, full in [*rounds, (rounds[-1][0], "nothing", [], False)]:
        befall(charger, event, known)
        want = wanted_list(entered(chosen), NOON_MS)
        known, end = one_sync(charger, known, want, limits, what_happens, full)

        if end.how is SyncEnd.DONE:
            assert is_as_wanted(known, want)
            assert charger.entries == as_kept(want)

    assert end == Ended(SyncEnd.DONE)


@given(before=tags, after=tags, per_message=st.integers(1, 8))
def test_an_undisturbed_sync_sends_rising_versions_and_no_more_than_it_must(
    before, after, per_message
):
    limits = Limits(per_message, 100)
    charger = Charger(per_message, max(len(before), len(after), 1))
    first, second = (wanted_list(entered(chosen), NOON_MS) for chosen in (before, after))
    known, _ = one_sync(charger, Acknowledged(), first, limits)
    sent_before = len(charger.seen)

    known, end = one_sync(charger, known, second, limits)

    changes = len(difference(first, second).changes())
    messages = len(charger.seen) - sent_before
    assert end.how is SyncEnd.DONE
    assert charger.seen == sorted(set(charger.seen))
    assert charger.seen[:1] in ([], [1])
    assert sent_before == -(-len(first) // per_message)
    if second and first:
        assert messages == -(-changes // per_message)
    assert known.version == charger.version


def test_versions_begin_anew_where_they_end():
    charger = Charger(1, 10)
    charger.version, charger.entries = VERSION_MAX, {"x": {"status": "Accepted"}}

    known, end = one_sync(charger, Acknowledged(), listed("A", "B"), Limits(1, 10))

    assert end.how is SyncEnd.DONE
    assert charger.seen == [1, 2]
    assert is_as_wanted(known, listed("A", "B"))
