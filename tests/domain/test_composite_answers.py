"""What charge points answer of their composite schedule, read leniently and held against ours."""

import pytest
from cast import NOON, NOON_MS, SECOND_MS

from csms.domain.charging_profile import RateUnit
from csms.domain.charging_schedule import CompositePeriod, CompositeSchedule, Rate
from csms.domain.composite_answer import (
    CompositeAnswer,
    Difference,
    differences,
    overlap,
)

GOOD = {
    "status": "Accepted",
    "connectorId": 1,
    "scheduleStart": NOON,
    "chargingSchedule": {
        "duration": 600,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 16},
            {"startPeriod": 60, "limit": 6.5, "numberPhases": 1},
        ],
    },
}


def answer(**changes):
    """GOOD with fields of it, or of its schedule, changed or left out (None)."""
    schedule = {**GOOD["chargingSchedule"]}
    payload = {**GOOD, "chargingSchedule": schedule}
    for name, value in changes.items():
        place = schedule if name in {*schedule, "startSchedule"} else payload
        place[name] = value
        if value is None:
            del place[name]
    return CompositeAnswer("c1", 1, 3_600, "A", NOON_MS, NOON_MS + 2_000, payload)


def test_an_answer_is_read_as_it_says():
    assert answer().schedule == CompositeSchedule(
        1,
        NOON_MS,
        600,
        RateUnit.A,
        (CompositePeriod(0, Rate(16, 3)), CompositePeriod(60, Rate(6.5, 1))),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "Rejected"},
        {"status": None},
        {"chargingSchedule": None},
        {"chargingSchedule": []},
        {"chargingSchedulePeriod": None},
        {"chargingSchedulePeriod": "none"},
        {"chargingSchedulePeriod": []},
        {"chargingSchedulePeriod": [5, {"startPeriod": "0", "limit": 6}, {"startPeriod": 0}]},
        {"chargingSchedulePeriod": [{"startPeriod": True, "limit": 6}]},
        {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": "6"}]},
        {"chargingRateUnit": None},
        {"chargingRateUnit": "kW"},
        {"chargingRateUnit": ["A"]},
    ],
)
def test_an_answer_that_says_nothing_is_none(changes):
    assert answer(**changes).schedule is None


@pytest.mark.parametrize("text", [None, "soon", 5, "1" * 1_000])
def test_without_a_sound_start_it_starts_when_it_came(text):
    assert answer(scheduleStart=text).schedule.start_at_ms == NOON_MS + 2_000


@pytest.mark.parametrize("duration", [None, 0, -5, "600", 1.5, True])
def test_without_a_sound_duration_it_lasts_as_long_as_was_asked(duration):
    assert answer(duration=duration).schedule.duration_s == 3_600


@pytest.mark.parametrize("phases", [0, 4, "1", True, 1.0])
def test_unsound_phases_are_three(phases):
    periods = [{"startPeriod": 0, "limit": 6, "numberPhases": phases}]

    assert answer(chargingSchedulePeriod=periods).schedule.periods[0].rate == Rate(6, 3)


def test_periods_out_of_order_are_passed_over():
    periods = [{"startPeriod": start, "limit": start} for start in (0, 60, 60, 30, 90)]

    read = answer(chargingSchedulePeriod=periods).schedule.periods

    assert [period.start_s for period in read] == [0, 60, 90]


def schedule(*periods, start_at_ms=NOON_MS, duration_s=600, unit=RateUnit.A):
    return CompositeSchedule(
        1,
        start_at_ms,
        duration_s,
        unit,
        tuple(
            CompositePeriod(start, None if limit is None else Rate(limit, 3))
            for start, limit in periods
        ),
    )


def found(ours, theirs):
    """(start s, end s, ours, theirs)"""
    return [
        (
            (difference.start_at_ms - NOON_MS) // SECOND_MS,
            (difference.end_at_ms - NOON_MS) // SECOND_MS,
            difference.computed,
            difference.reported,
        )
        for difference in differences(ours, theirs, 230)
    ]


OURS = schedule((0, 16), (60, 6))


@pytest.mark.parametrize(
    "theirs",
    [
        OURS,
        schedule((0, 16.1), (60, 5.9)),
        # Their clock, or the way of the question.
        schedule((0, 16), (64, 6)),
        schedule((0, 16), (57, 6), start_at_ms=NOON_MS + 2_500),
        # 11,040 W of three phases at 230 V; a per cent is our guess of the voltage.
        schedule((0, 11_100), (60, 4_140), unit=RateUnit.W),
        # Another time.
        schedule((0, 1), start_at_ms=NOON_MS + 600 * SECOND_MS),
        schedule((0, 1), start_at_ms=NOON_MS - 600 * SECOND_MS),
    ],
)
def test_what_agrees_is_no_difference(theirs):
    assert found(OURS, theirs) == []
    assert differences(theirs, OURS, 230) == []


@pytest.mark.parametrize(
    ("theirs", "wanted"),
    [
        (schedule((0, 32), (60, 6)), [(0, 60, 16, 32)]),
        (schedule((0, 16), (60, 6.2)), [(60, 600, 6, 6.2)]),
        (schedule((0, 16), (90, 6)), [(60, 90, 6, 16)]),
        (schedule((0, None)), [(0, 60, 16, None), (60, 600, 6, None)]),
        (schedule((0, 16), (60, 6), (120, 7), (180, 7.0)), [(120, 600, 6, 7)]),
        (schedule((30, 16), (60, 6)), [(0, 30, 16, None)]),
        (schedule((0, 13_800), (60, 4_140), unit=RateUnit.W), [(0, 60, 16, 20)]),
        (schedule((0, 9), start_at_ms=NOON_MS - 500_000), [(0, 60, 16, 9), (60, 100, 6, 9)]),
    ],
)
def test_what_differs_is_told_with_its_time(theirs, wanted):
    assert found(OURS, theirs) == wanted


def test_the_time_that_both_speak_of():
    later = schedule((0, 1), start_at_ms=NOON_MS + 500 * SECOND_MS)
    after = schedule((0, 1), start_at_ms=NOON_MS + 600 * SECOND_MS)

    assert overlap(OURS, later) == (NOON_MS + 500 * SECOND_MS, NOON_MS + 600 * SECOND_MS)
    assert overlap(OURS, after) is None


def test_a_difference_tells_instants():
    (difference,) = differences(OURS, schedule((0, 32), (60, 6)), 230)

    assert difference == Difference(NOON_MS, NOON_MS + 60 * SECOND_MS, 16, 32)
