"""What is kept of a command, and what its charge point said."""

from dataclasses import replace

import pytest
from cast import NOON_MS

from csms.domain.command import ENTRIES_KEPT, Command, CommandState, shortened

ENTRIES = [{"idTag": f"TAG-{number}"} for number in range(ENTRIES_KEPT + 1)]
PAYLOAD = {"listVersion": 7, "updateType": "Full", "localAuthorizationList": ENTRIES}
COMMAND = Command(
    "c1", "CP001", "SendLocalList", PAYLOAD, CommandState.ANSWERED, "operator", NOON_MS, NOON_MS
)


@pytest.mark.parametrize(
    "state", [CommandState.ANSWERED, CommandState.REFUSED, CommandState.UNDELIVERABLE]
)
def test_of_long_lists_the_first_entries_are_kept(state):
    kept = shortened(replace(COMMAND, state=state))

    assert kept == {**PAYLOAD, "localAuthorizationList": ENTRIES[:ENTRIES_KEPT]}


@pytest.mark.parametrize(
    "state",
    [CommandState.QUEUED, CommandState.SENT, CommandState.TIMED_OUT, CommandState.UNKNOWN],
)
def test_a_command_whose_answer_may_still_come_is_kept_whole(state):
    assert shortened(replace(COMMAND, state=state)) is None


def test_what_is_short_stays():
    short = {**PAYLOAD, "localAuthorizationList": ENTRIES[:ENTRIES_KEPT]}

    assert shortened(replace(COMMAND, payload=short)) is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"answer": {"status": "Accepted"}}, "Accepted"),
        ({"late_answer": {"status": "Rejected"}}, "Rejected"),
        ({"answer": {}, "late_answer": {"status": "Rejected"}}, None),
        ({"answer": {"status": 7}}, None),
        ({}, None),
    ],
)
def test_the_status_is_that_of_the_answer_whenever_it_came(fields, status):
    assert replace(COMMAND, **fields).status == status
