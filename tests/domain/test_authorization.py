"""Whether an idTag may charge (OCPP 1.6 ed. 2, 4.1, 4.8 and 7.2)."""

from dataclasses import replace

import pytest
from cast import ALICE, BOB, CAROL, NOON_MS

from csms.domain.authorization import (
    INVALID,
    ActiveTransaction,
    AuthorizationStatus,
    IdTagInfo,
    authorize,
    authorize_start,
    fold,
)

Status = AuthorizationStatus


def start(tag, *active):
    return authorize_start(tag, NOON_MS, active, "CP001", 1).status


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        (ALICE, Status.ACCEPTED),
        (BOB, Status.BLOCKED),
        (CAROL, Status.EXPIRED),
        (None, Status.INVALID),
        (replace(BOB, expires_at_ms=1), Status.BLOCKED),
        (replace(ALICE, expires_at_ms=NOON_MS), Status.EXPIRED),
        (replace(ALICE, expires_at_ms=NOON_MS + 1), Status.ACCEPTED),
    ],
)
def test_a_tag_is_accepted_blocked_expired_or_invalid(tag, status):
    assert authorize(tag, NOON_MS).status == status
    assert start(tag) == status


def test_parent_and_expiry_are_told_whatever_the_status():
    """The charge point needs the parent for group stops and reservations (ed. 2, 4.1)."""
    tag = replace(BOB, parent_id_tag="FAMILY", expires_at_ms=NOON_MS + 5)

    assert authorize(tag, NOON_MS) == IdTagInfo(Status.BLOCKED, "FAMILY", NOON_MS + 5)


def test_an_unknown_tag_says_nothing_but_invalid():
    assert authorize(None, NOON_MS) == INVALID == IdTagInfo(Status.INVALID, None, None)


ONE_AT_A_TIME = replace(ALICE, max_active_transactions=1, parent_id_tag="FAMILY")
ELSEWHERE = ActiveTransaction("CP002", 1, 7)
OTHER_CONNECTOR = ActiveTransaction("CP001", 2, 8)
SAME_CONNECTOR = ActiveTransaction("CP001", 1, 9)


def test_a_tag_without_a_limit_starts_anywhere():
    assert start(ALICE, ELSEWHERE, OTHER_CONNECTOR) == Status.ACCEPTED


@pytest.mark.parametrize("running", [ELSEWHERE, OTHER_CONNECTOR])
def test_a_second_transaction_elsewhere_is_concurrent(running):
    assert start(ONE_AT_A_TIME, running) == Status.CONCURRENT_TX


def test_a_concurrent_start_still_names_the_parent():
    info = authorize_start(ONE_AT_A_TIME, NOON_MS, [ELSEWHERE], "CP001", 1)

    assert info.parent_id_tag == "FAMILY"


def test_a_transaction_on_the_same_connector_does_not_count():
    """This start supersedes it, or is a resend of it."""
    assert start(ONE_AT_A_TIME, SAME_CONNECTOR) == Status.ACCEPTED


def test_the_limit_counts_only_up_to_itself():
    two = replace(ALICE, max_active_transactions=2)

    assert start(two, ELSEWHERE) == Status.ACCEPTED
    assert start(two, ELSEWHERE, OTHER_CONNECTOR) == Status.CONCURRENT_TX


def test_a_limit_of_zero_lets_nobody_start():
    assert start(replace(ALICE, max_active_transactions=0)) == Status.CONCURRENT_TX


def test_a_blocked_tag_is_blocked_not_concurrent():
    assert start(replace(BOB, max_active_transactions=1), ELSEWHERE) == Status.BLOCKED


def test_authorize_never_answers_concurrent():
    """A member of the group may come to stop what runs (ed. 2, 4.1)."""
    assert authorize(ONE_AT_A_TIME, NOON_MS).status == Status.ACCEPTED


@pytest.mark.parametrize("written", ["alice", "ALICE", " Alice ", "aLiCe\n"])
def test_tags_are_compared_without_case_and_blanks(written):
    """CiString20Type (ed. 2, 3.9)."""
    assert fold(written) == fold("ALICE")
