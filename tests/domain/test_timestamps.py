"""How the timestamps of charge points are read (OCPP 1.6 ed. 2, 3.15)."""

import time

import pytest
from cast import DAY_MS, HOUR_MS, NOON, NOON_MS
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.timestamps import EARLIEST_MS, FUTURE_MS, TEXT_MAX, read_timestamp

READ = {
    "zulu": (NOON, 0),
    "milliseconds": ("2026-11-22T12:00:00.123Z", 123),
    "one digit of a fraction": ("2026-11-22T12:00:00.5Z", 500),
    "nanoseconds": ("2026-11-22T12:00:00.425767854Z", 426),
    "offset zero": ("2026-11-22T12:00:00.659+00:00", 659),
    "offset ahead": ("2026-11-22T14:00:00+02:00", 0),
    "offset behind": ("2026-11-22T06:30:00-05:30", 0),
    "offset without colon": ("2026-11-22T14:00:00+0200", 0),
    "offset of hours only": ("2026-11-22T14:00:00+02", 0),
    "no offset is UTC": ("2026-11-22T12:00:00", 0),
    "no offset, with a fraction": ("2026-11-22T12:00:00.250", 250),
    "comma before the fraction": ("2026-11-22T12:00:00,25", 250),
    "blank for T": ("2026-11-22 12:00:00", 0),
    "no seconds": ("2026-11-22T12:00Z", 0),
    "small z": ("2026-11-22T12:00:00z", 0),
    "blanks around it": (" 2026-11-22T12:00:00 Z\n", 0),
    "single digits": ("2026-11-22T12:00:00.0 +00:00", 0),
    "an hour of one digit": ("2026-11-22T9:00:00", -3 * HOUR_MS),
}


@pytest.mark.parametrize(("text", "shift_ms"), READ.values(), ids=READ)
def test_every_way_of_writing_an_instant_is_read(text, shift_ms):
    timestamp = read_timestamp(text, NOON_MS)

    assert timestamp.plausible
    assert timestamp.at_ms == NOON_MS + shift_ms
    assert timestamp.text == text


NOT_TRUE = {
    "nothing": "",
    "a word": "yesterday",
    "1970": "1970-01-01T00:00:12Z",
    "2000": "2000-01-01T00:00:00.000Z",
    "before OCPP 1.6": "2014-12-31T23:59:59Z",
    "two days ahead": "2026-11-24T12:00:00Z",
    "a day that is not": "2026-02-30T12:00:00Z",
    "hour 25": "2026-11-22T25:00:00",
    "hour 25 zulu": "2026-11-22T25:00:00Z",
    "year zero": "0000-01-01T00:00:00Z",
    "before the first year": "0001-01-01T00:00:00+02:00",
    "after the last year": "9999-12-31T23:59:59-02:00",
    "half an offset": "2026-11-22T12:00:00+2",
    "other digits": "٢٠٢٦-11-22T12:00:00Z",
}


@pytest.mark.parametrize("text", NOT_TRUE.values(), ids=NOT_TRUE)
def test_what_cannot_be_true_counts_as_the_time_of_receipt(text):
    timestamp = read_timestamp(text, NOON_MS)

    assert not timestamp.plausible
    assert timestamp.at_ms == NOON_MS
    assert timestamp.text == text


@pytest.mark.parametrize("missing", [None, 5, ["x"], {"a": 1}, True])
def test_what_is_no_text_is_kept_as_no_text(missing):
    timestamp = read_timestamp(missing, NOON_MS)

    assert (timestamp.at_ms, timestamp.text, timestamp.plausible) == (NOON_MS, "", False)


def test_a_clock_may_run_ahead_by_a_day_and_no_more():
    assert read_timestamp("2026-11-23T12:00:00Z", NOON_MS).plausible
    assert not read_timestamp("2026-11-23T12:00:00.001Z", NOON_MS).plausible


def test_a_clock_may_be_as_old_as_ocpp_1_6():
    assert read_timestamp("2015-01-01T00:00:00Z", NOON_MS).at_ms == EARLIEST_MS
    assert read_timestamp("2015-01-01T00:00:00Z", NOON_MS).plausible


def test_a_long_text_is_cut_and_costs_nothing():
    """A frame may be a mebibyte: matching blanks must not take time by its square."""
    hostile = "2026-11-22T12:00:00" + " " * 100_000 + "x"

    began = time.process_time()
    timestamp = read_timestamp(hostile, NOON_MS)

    # By the square it would be a minute.
    assert time.process_time() - began < 5
    assert timestamp.text == hostile[:TEXT_MAX]
    assert not timestamp.plausible


def test_an_instant_with_a_thousand_digits_is_cut():
    timestamp = read_timestamp("2026-11-22T12:00:00." + "1" * 1_000 + "Z", NOON_MS)

    assert len(timestamp.text) == TEXT_MAX


_digits = st.integers(0, 99).map(lambda n: f"{n:02d}")
_nearly = st.tuples(
    st.integers(0, 99_999).map(str),
    st.sampled_from(["-", "/", ""]),
    _digits,
    st.just("-"),
    _digits,
    st.sampled_from(["T", " ", "t", ""]),
    _digits,
    st.just(":"),
    _digits,
    st.sampled_from(["", ":00", ":61", ":00.999999999", ":00,5", "."]),
    st.sampled_from(["", "Z", "z", "+02", "+02:00", "-9999", "+99:99", " Z ", "+"]),
).map("".join)


@given(st.one_of(st.text(), _nearly, st.integers(), st.none(), st.floats(), st.binary()))
def test_reading_never_raises_and_is_always_near_now(text):
    timestamp = read_timestamp(text, NOON_MS)

    assert EARLIEST_MS <= timestamp.at_ms <= NOON_MS + FUTURE_MS
    assert len(timestamp.text) <= TEXT_MAX
    assert timestamp.plausible or timestamp.at_ms == NOON_MS


@given(st.integers(EARLIEST_MS, NOON_MS + DAY_MS), st.integers(-14 * 60, 14 * 60))
def test_an_instant_is_the_same_with_every_offset(at_ms, offset_min):
    local_s, ms = divmod(at_ms + offset_min * 60_000, 1000)
    local = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(local_s))
    sign = "-" if offset_min < 0 else "+"
    hours, minutes = divmod(abs(offset_min), 60)

    text = f"{local}.{ms:03d}{sign}{hours:02d}:{minutes:02d}"

    assert read_timestamp(text, NOON_MS).at_ms == at_ms
