"""What a connector last said of itself (OCPP 1.6 ed. 2, 4.9 and 7.6)."""

from dataclasses import replace

import pytest
from cast import NOON_MS
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.connector import (
    ERROR_CODES,
    ChargePointStatus,
    Connector,
    known_error_code,
    supersedes,
)
from csms.domain.timestamps import Timestamp

BEFORE = Connector(
    connector_id=1,
    status=ChargePointStatus.CHARGING,
    error_code="NoError",
    info="",
    vendor_id="",
    vendor_error_code="",
    raw_error_code="",
    at_ms=NOON_MS,
    received_at_ms=NOON_MS,
)


def at(ms, *, plausible=True):
    return Timestamp(NOON_MS + ms, "", plausible)


@pytest.mark.parametrize("error_code", sorted(ERROR_CODES))
def test_an_error_code_of_the_specification_is_itself(error_code):
    assert known_error_code(error_code) == (error_code, "")


def test_an_unknown_error_code_is_other_error_and_kept():
    assert known_error_code("Error") == ("OtherError", "Error")


@given(st.text())
def test_every_error_code_becomes_one_of_the_specification(error_code):
    code, raw = known_error_code(error_code)

    assert code in ERROR_CODES
    assert len(raw) <= 255


def test_a_newer_or_equal_notification_is_news():
    assert supersedes(at(0), None)
    assert supersedes(at(0), BEFORE)
    assert supersedes(at(1), BEFORE)


def test_an_older_notification_is_no_news():
    assert not supersedes(at(-1), BEFORE)


def test_a_wrong_clock_is_judged_by_arrival():
    assert supersedes(at(-1, plausible=False), BEFORE)
    assert supersedes(at(-1), replace(BEFORE, clock_wrong=True))
