"""Raising the security profile by ChangeConfiguration (white paper, A05)."""

from dataclasses import replace

import pytest
from cast import CP001, NOON_MS

from csms.domain.command import INVALID_ANSWER, Command, CommandError, CommandState
from csms.domain.security_profile import (
    check_profile_change,
    missing_for_next_profile,
    profile_to_expect,
)
from csms.errors import FieldError


def wish(value, key="SecurityProfile"):
    return {"key": key, "value": value}


@pytest.mark.parametrize(
    ("current", "value"), [(0, "1"), (0, "3"), (1, "2"), (2, "3"), (1, "1"), (3, "3"), (0, "0")]
)
@pytest.mark.parametrize("key", ["SecurityProfile", "securityprofile"])
def test_a_profile_may_be_raised_or_said_again(current, value, key):
    """TC_083 sends the next one."""
    check_profile_change(wish(value, key), replace(CP001, security_profile=current))


@pytest.mark.parametrize("value", ["4", "-1", "", "two", "1.0", "02", " 2", "٢"])
def test_what_is_no_profile_is_told(value):
    with pytest.raises(FieldError, match="is 0, 1, 2 or 3") as problem:
        check_profile_change(wish(value), CP001)

    assert problem.value.field == "payload.value"


@pytest.mark.parametrize(("current", "value"), [(1, "0"), (2, "1"), (2, "0"), (3, "2"), (3, "1")])
def test_a_profile_is_never_lowered_through_ocpp(current, value):
    with pytest.raises(FieldError, match=r"A00\.FR\.005") as problem:
        check_profile_change(wish(value), replace(CP001, security_profile=current))

    assert problem.value.field == "payload.value"


def test_other_keys_are_left_alone():
    check_profile_change(wish("many", "HeartbeatInterval"), replace(CP001, security_profile=3))


def ended(state, status=None, code=None, late=None, key="SecurityProfile", value="2"):
    return Command(
        command_id="1",
        charge_point_id="CP001",
        action="ChangeConfiguration",
        payload=wish(value, key),
        state=state,
        requested_by="olga",
        created_at_ms=NOON_MS,
        deadline_at_ms=NOON_MS,
        answer={"status": status} if status else None,
        late_answer={"status": late} if late else None,
        error=CommandError(code, "", {}) if code else None,
    )


ANSWERED, REFUSED, TIMED_OUT = (
    CommandState.ANSWERED,
    CommandState.REFUSED,
    CommandState.TIMED_OUT,
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (ended(ANSWERED, "Accepted"), 2),
        (ended(ANSWERED, "Accepted", key="SECURITYPROFILE", value="3"), 3),
        (ended(ANSWERED, "RebootRequired"), 2),
        (ended(ANSWERED, "Rejected"), None),
        (ended(ANSWERED, "NotSupported"), None),
        (ended(TIMED_OUT), 2),
        (ended(TIMED_OUT, late="Accepted"), 2),
        (ended(TIMED_OUT, late="Rejected"), None),
        (ended(CommandState.UNKNOWN), 2),
        (ended(CommandState.UNDELIVERABLE), None),
        (ended(REFUSED, code="NotSupported"), None),
        (ended(REFUSED, code="InternalError"), None),
        (ended(REFUSED, code=INVALID_ANSWER), 2),
        (ended(ANSWERED, "Accepted", key="HeartbeatInterval"), None),
    ],
)
def test_it_is_expected_unless_it_said_no(command, expected):
    assert profile_to_expect(command) == expected


@pytest.mark.parametrize(
    ("profile", "key_hash", "has_root", "has_certificate", "said"),
    [
        (0, "", False, False, "no key"),
        (0, "a$b", False, False, ""),
        (1, "a$b", False, False, "no CentralSystemRootCertificate"),
        (1, "a$b", True, False, ""),
        (2, "a$b", False, False, "no client certificate"),
        (2, "a$b", False, True, ""),
        (3, "", False, False, ""),
    ],
)
def test_what_is_missing_for_the_next_profile_is_told(
    profile, key_hash, has_root, has_certificate, said
):
    record = replace(CP001, security_profile=profile, key_hash=key_hash)

    missing = missing_for_next_profile(record, has_root=has_root, has_certificate=has_certificate)

    assert missing.startswith(said) or said in missing
    assert bool(missing) is bool(said)
