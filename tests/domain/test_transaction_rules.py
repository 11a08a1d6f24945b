"""What makes a transaction itself, and which ids mean none (OCPP 1.6 ed. 2, 3.7, 4.8)."""

import pytest
from cast import NOON, NOON_MS

from csms.domain.transaction import (
    TRANSACTION_ID_MAX,
    first_transaction_id,
    start_fingerprint,
    usable_reservation_id,
    usable_transaction_id,
)

START = (1, "ALICE", NOON, 1_000, None)


def test_the_same_content_has_the_same_fingerprint():
    assert start_fingerprint(*START) == start_fingerprint(1, " alice", NOON, 1_000, None)


@pytest.mark.parametrize(
    "other",
    [
        (2, "ALICE", NOON, 1_000, None),
        (1, "BOB", NOON, 1_000, None),
        (1, "ALICE", "2026-11-22T12:00:01Z", 1_000, None),
        (1, "ALICE", NOON, 1_001, None),
        (1, "ALICE", NOON, 1_000, 5),
    ],
)
def test_other_content_has_another_fingerprint(other):
    assert start_fingerprint(*START) != start_fingerprint(*other)


@pytest.mark.parametrize("none", [None, 0, -1, -(2**40), 2**31, 2**63 - 1])
def test_what_cannot_be_an_id_of_ours_means_none(none):
    """Errata 3.18 and 3.54; real charge points send 2^63-1 too."""
    assert usable_transaction_id(none) is None


@pytest.mark.parametrize("usable", [1, TRANSACTION_ID_MAX])
def test_what_can_be_an_id_of_ours_is_one(usable):
    assert usable_transaction_id(usable) == usable


@pytest.mark.parametrize(("sent", "meant"), [(None, None), (0, None), (-1, None), (7, 7)])
def test_a_reservation_of_zero_or_less_means_none(sent, meant):
    assert usable_reservation_id(sent) == meant


def test_ids_of_an_empty_store_begin_higher_every_second():
    assert first_transaction_id(NOON_MS + 1000) == first_transaction_id(NOON_MS) + 1
    assert 1 < first_transaction_id(NOON_MS) < TRANSACTION_ID_MAX


def test_ids_are_positive_even_where_the_clock_is_not_set():
    assert first_transaction_id(0) == 1
