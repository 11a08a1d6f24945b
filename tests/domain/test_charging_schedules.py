"""The composite schedule, case by case and against a reckoning second by second."""

from dataclasses import replace

import pytest
from cast import DAY_MS, HOUR_MS, NOON_MS, SECOND_MS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from csms.domain import charging_schedule
from csms.domain.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    Kind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from csms.domain.charging_schedule import (
    Charging,
    Installation,
    Placed,
    composite_schedule,
    converted,
)

HOUR_S = 3_600
EMPTY = Installation((), (1, 2), {}, 230)
RUNNING = {1: Charging(7, NOON_MS)}


def profile(purpose=Purpose.TX_DEFAULT, kind=Kind.RELATIVE, *periods, **fields):
    """Periods are (start, limit[, phases]) in A; a TxProfile is that of transaction 7."""
    of_schedule = {
        name: fields.pop(name) for name in ("start_at_ms", "duration_s") if name in fields
    }
    unit = fields.pop("unit", RateUnit.A)
    return ChargingProfile(
        charging_profile_id=fields.pop("charging_profile_id", 1),
        stack_level=fields.pop("stack_level", 0),
        purpose=purpose,
        kind=kind,
        schedule=ChargingSchedule(
            unit, tuple(SchedulePeriod(*period) for period in periods), **of_schedule
        ),
        transaction_id=fields.pop("transaction_id", 7 if purpose is Purpose.TX else None),
        **fields,
    )


def default(*periods, kind=Kind.RELATIVE, **fields):
    return profile(Purpose.TX_DEFAULT, kind, *periods, **fields)


def of_transaction(*periods, kind=Kind.RELATIVE, **fields):
    return profile(Purpose.TX, kind, *periods, **fields)


def whole(*periods, **fields):
    kind = Kind.RECURRING if "recurrency" in fields else Kind.ABSOLUTE
    return profile(
        Purpose.CHARGE_POINT_MAX, kind, *periods, **{"start_at_ms": NOON_MS - DAY_MS, **fields}
    )


def reckon(*placed, connector_id=1, duration_s=HOUR_S, unit=RateUnit.A, at_ms=NOON_MS, **others):
    """(start, limit) or (start, limit, phases) where they are not 3."""
    installation = replace(
        EMPTY, placed=[Placed(number, profile) for number, profile in placed], **others
    )
    found = composite_schedule(installation, connector_id, at_ms, duration_s, unit)
    assert found.duration_s == duration_s
    return [
        (period.start_s, None)
        if period.rate is None
        else (period.start_s, period.rate.limit)
        + (() if period.rate.number_phases == 3 else (period.rate.number_phases,))
        for period in found.periods
    ]


def test_without_profiles_there_is_no_limit():
    assert reckon() == [(0, None)]
    assert reckon(connector_id=0) == [(0, None)]


def test_periods_follow_each_other_until_the_end():
    assert reckon((1, default((0, 16), (600, 10), (4_000, 6)))) == [(0, 16), (600, 10)]


def test_after_its_duration_a_schedule_limits_nothing():
    """Errata 3.43."""
    assert reckon((1, default((0, 16), duration_s=600))) == [(0, 16), (600, None)]


def test_the_highest_active_level_counts():
    lower = default((0, 16))
    higher = default((0, 10), stack_level=2, duration_s=600)

    assert reckon((1, lower), (1, higher)) == [(0, 10), (600, 16)]
    assert reckon((1, higher), (1, lower)) == [(0, 10), (600, 16)]


def test_a_profile_counts_while_it_is_valid():
    """validFrom is within, validTo is not."""
    since, until = NOON_MS + 60 * SECOND_MS, NOON_MS + 120 * SECOND_MS

    assert reckon((1, default((0, 16), valid_from_ms=since, valid_to_ms=until))) == [
        (0, None),
        (60, 16),
        (120, None),
    ]


def test_fractions_of_a_second_count_from_the_next_one():
    assert reckon((1, default((0, 16), valid_from_ms=NOON_MS + 59_001))) == [(0, None), (60, 16)]
    assert reckon((1, default((0, 16), valid_to_ms=NOON_MS + 59_001))) == [(0, 16), (60, None)]


def test_an_absolute_schedule_counts_from_its_start():
    started = default(
        (0, 16), (HOUR_S, 10), kind=Kind.ABSOLUTE, start_at_ms=NOON_MS - HOUR_MS + 60 * SECOND_MS
    )
    to_start = default((0, 16), kind=Kind.ABSOLUTE, start_at_ms=NOON_MS + 60 * SECOND_MS)

    assert reckon((1, started)) == [(0, 16), (60, 10)]
    assert reckon((1, to_start)) == [(0, None), (60, 16)]


@pytest.mark.parametrize("kind", [Kind.RELATIVE, Kind.ABSOLUTE])
def test_a_schedule_without_a_start_counts_from_that_of_charging(kind):
    charging = {1: Charging(7, NOON_MS - 60 * SECOND_MS)}
    placed = (1, default((0, 16), (600, 10), kind=kind))

    assert reckon(placed, charging=charging) == [(0, 16), (540, 10)]
    assert reckon(placed, charging={}) == [(0, 16), (600, 10)]


def test_a_daily_schedule_repeats_every_24_hours():
    daily = default(
        (0, 16),
        (60, 10),
        kind=Kind.RECURRING,
        recurrency=Recurrency.DAILY,
        start_at_ms=NOON_MS - DAY_MS,
        duration_s=120,
    )

    found = reckon((1, daily), duration_s=2 * 86_400)

    assert found == [
        (0, 16),
        (60, 10),
        (120, None),
        (86_400, 16),
        (86_460, 10),
        (86_520, None),
    ]


def test_a_weekly_schedule_repeats_every_7_days():
    weekly = whole((0, 16), recurrency=Recurrency.WEEKLY, duration_s=HOUR_S)

    assert reckon((0, weekly), duration_s=7 * 86_400) == [
        (0, None),
        (6 * 86_400, 16),
        (6 * 86_400 + HOUR_S, None),
    ]


def test_a_recurring_schedule_has_not_begun_before_its_start():
    daily = whole((0, 16), recurrency=Recurrency.DAILY, start_at_ms=NOON_MS + 60 * SECOND_MS)

    assert reckon((0, daily)) == [(0, None), (60, 16)]


def test_the_default_of_a_connector_replaces_that_of_all():
    """Also while it is not active itself (3.13.1)."""
    for_all, own = default((0, 16)), default((0, 10), duration_s=600)

    assert reckon((0, for_all), (2, own), connector_id=1) == [(0, 16)]
    assert reckon((0, for_all), (2, own), connector_id=2) == [(0, 10), (600, None)]


def test_a_profile_of_the_transaction_goes_before_the_default():
    placed = (1, default((0, 16))), (1, of_transaction((0, 32), duration_s=600))

    assert reckon(*placed, charging=RUNNING) == [(0, 32), (600, 16)]


def test_a_profile_of_another_transaction_does_not_count():
    placed = (1, default((0, 16))), (1, of_transaction((0, 32), transaction_id=6))

    assert reckon(*placed, charging=RUNNING) == [(0, 16)]
    assert reckon(*placed, charging={}) == [(0, 16)]


def test_the_limit_of_the_charge_point_holds_for_every_connector():
    placed = (0, whole((0, 20))), (1, default((0, 32), (600, 10)))

    assert reckon(*placed) == [(0, 20), (600, 10)]
    assert reckon(*placed, connector_id=2) == [(0, 20)]


def test_a_limit_of_nothing_is_a_limit():
    assert reckon((0, whole((0, 20))), (1, default((0, 0)))) == [(0, 0)]
    assert reckon((0, whole((0, 0))), (1, default((0, 16)))) == [(0, 0)]


def test_the_charge_point_takes_what_its_connectors_may_take_together():
    placed = (1, default((0, 16))), (2, default((0, 10, 1), (600, 6, 1)))

    assert reckon(*placed, connector_id=0) == [(0, 26), (600, 22)]
    assert reckon(*placed, (0, whole((0, 24))), connector_id=0) == [(0, 24), (600, 22)]
    assert reckon((1, default((0, 16))), connector_id=0) == [(0, None)]
    assert reckon((0, default((0, 16))), connector_id=0) == [(0, 32)]


def test_watts_are_of_all_phases_and_amperes_of_each():
    assert converted(16, RateUnit.A, RateUnit.W, 230, 3) == 11_040
    assert converted(11_040, RateUnit.W, RateUnit.A, 230, 3) == 16
    assert converted(1_920, RateUnit.W, RateUnit.A, 120, 1) == 16
    assert converted(16, RateUnit.A, RateUnit.A, 230, 1) == 16


def test_units_are_converted_before_limits_are_compared():
    """7,360 W of one phase are 32 A; 11,040 W of three are 16 A."""
    placed = (0, whole((0, 11_040), unit=RateUnit.W)), (1, default((0, 32, 1)))

    assert reckon(*placed, unit=RateUnit.A) == [(0, 16, 1)]
    assert reckon(*placed, unit=RateUnit.W) == [(0, 7_360, 1)]


def test_converted_limits_have_one_decimal():
    assert reckon((1, default((0, 1_000, 1), unit=RateUnit.W))) == [(0, 4.3, 1)]


def test_equal_periods_are_one():
    assert reckon((1, default((0, 16), (60, 16), (120, 6)))) == [(0, 16), (120, 6)]


def test_too_much_work_ends_the_schedule_early(monkeypatch):
    monkeypatch.setattr(charging_schedule, "LOOKS_MAX", 3 * (charging_schedule.LOOKS_OF_STEP + 1))
    every_second = default(*[(second, second + 1) for second in range(60)])
    installation = replace(EMPTY, placed=[Placed(1, every_second)])

    found = composite_schedule(installation, 1, NOON_MS, 60, RateUnit.A)

    assert found.duration_s == 3
    assert [period.start_s for period in found.periods] == [0, 1, 2]


# -- against a reckoning second by second


def brute_limit(candidates, at_ms, charging_since_ms):
    """The period of the highest level that is active now, as the specification words it."""
    best = None
    for candidate in candidates:
        if candidate.valid_from_ms is not None and candidate.valid_from_ms > at_ms:
            continue
        if candidate.valid_to_ms is not None and candidate.valid_to_ms <= at_ms:
            continue
        plan = candidate.schedule
        begin_ms = plan.start_at_ms
        if candidate.kind is Kind.RELATIVE or begin_ms is None:
            begin_ms = charging_since_ms
        if begin_ms > at_ms:
            continue
        gone_s = (at_ms - begin_ms) / 1000
        while candidate.recurrency is Recurrency.DAILY and gone_s >= 86_400:
            gone_s -= 86_400
        while candidate.recurrency is Recurrency.WEEKLY and gone_s >= 604_800:
            gone_s -= 604_800
        if plan.duration_s is not None and gone_s >= plan.duration_s:
            continue
        if best is None or candidate.stack_level > best[0].stack_level:
            period = [p for p in plan.periods if p.start_s <= gone_s][-1]
            best = candidate, period
    return best


def brute_amount(best, unit, voltage_v):
    if best is None:
        return None
    chosen, period = best
    phases = 3 if period.number_phases is None else period.number_phases
    amount = period.limit
    if chosen.schedule.unit is RateUnit.A and unit is RateUnit.W:
        amount = amount * phases * voltage_v
    if chosen.schedule.unit is RateUnit.W and unit is RateUnit.A:
        amount = amount / phases / voltage_v
    return amount, phases


def brute(installation, connector_id, at_ms, start_ms, unit):
    profiles = [(p.connector_id, p.profile) for p in installation.placed]
    maximum = brute_amount(
        brute_limit(
            [p for _, p in profiles if p.purpose is Purpose.CHARGE_POINT_MAX], at_ms, start_ms
        ),
        unit,
        installation.voltage_v,
    )
    numbers = [connector_id] if connector_id else list(installation.connector_ids)
    amounts = []
    for number in numbers:
        charging = installation.charging.get(number)
        since_ms = charging.started_at_ms if charging else start_ms
        mine = [
            p
            for place, p in profiles
            if place == number
            and p.purpose is Purpose.TX
            and charging
            and p.transaction_id == charging.transaction_id
        ]
        defaults = [
            p for place, p in profiles if place == number and p.purpose is Purpose.TX_DEFAULT
        ]
        if not defaults:
            defaults = [
                p for place, p in profiles if place == 0 and p.purpose is Purpose.TX_DEFAULT
            ]
        best = brute_limit(mine, at_ms, since_ms)
        if best is None:
            best = brute_limit(defaults, at_ms, since_ms)
        amounts.append(brute_amount(best, unit, installation.voltage_v))
    together = None
    if amounts and all(amount is not None for amount in amounts):
        together = sum(a for a, _ in amounts), max(p for _, p in amounts)
    both = [value for value in (maximum, together) if value is not None]
    if not both:
        return None
    return min(a for a, _ in both), min(p for _, p in both)


WINDOW_S = 90
# Instants near the window, off the grid of seconds too, and a recurrence or two before it.
near = st.one_of(
    st.integers(-100_000, 120_000),
    st.integers(-100, 120).map(lambda s: s * 1_000),
    st.integers(-2_000, 100_000).map(lambda ms: ms - DAY_MS),
    st.integers(-2_000, 100_000).map(lambda ms: ms - 14 * DAY_MS),
).map(lambda ms: NOON_MS + ms)
limits = st.integers(0, 320).map(lambda tenths: tenths / 10)


@st.composite
def schedules(draw, *, needs_start):
    starts = draw(st.lists(st.integers(1, 100), max_size=4, unique=True).map(sorted))
    kind = draw(st.sampled_from([Kind.ABSOLUTE, Kind.RECURRING, Kind.RELATIVE][: 3 - needs_start]))
    has_start = kind is not Kind.RELATIVE and (needs_start or draw(st.booleans()))
    return (
        kind,
        draw(st.sampled_from(Recurrency)) if kind is Kind.RECURRING else None,
        ChargingSchedule(
            draw(st.sampled_from(RateUnit)),
            tuple(
                SchedulePeriod(start, draw(limits), draw(st.sampled_from([None, 1, 2, 3])))
                for start in [0, *starts]
            ),
            start_at_ms=draw(near) if has_start else None,
            duration_s=draw(st.none() | st.integers(max([0, *starts]) + 1, 200)),
        ),
    )


@st.composite
def placements(draw):
    """Profiles as a charge point may hold them: one of a purpose and level on each connector."""
    found = {}
    for number in range(draw(st.integers(0, 6))):
        purpose = draw(st.sampled_from(Purpose))
        lowest, highest = {
            Purpose.CHARGE_POINT_MAX: (0, 0),
            Purpose.TX_DEFAULT: (0, 2),
            Purpose.TX: (1, 2),
        }[purpose]
        connector_id = draw(st.integers(lowest, highest))
        kind, recurrency, schedule = draw(
            schedules(needs_start=purpose is Purpose.CHARGE_POINT_MAX)
        )
        valid_from_ms = draw(st.none() | near)
        level = draw(st.integers(0, 2))
        found[connector_id, purpose, level] = Placed(
            connector_id,
            ChargingProfile(
                number + 1,
                level,
                purpose,
                kind,
                schedule,
                recurrency,
                draw(st.sampled_from([7, 8])) if purpose is Purpose.TX else None,
                valid_from_ms,
                draw(st.none() | near),
            ),
        )
    return list(found.values())


charging = st.dictionaries(
    st.sampled_from([1, 2]), st.builds(Charging, st.sampled_from([7, 8]), near)
)
NOTHING = Installation((), (1, 2), {}, 230)


@settings(max_examples=150)
@given(
    installation=st.builds(
        Installation,
        placements(),
        st.sampled_from([(1,), (1, 2), ()]),
        charging,
        st.sampled_from([230.0, 110.0]),
    ),
    connector_id=st.integers(0, 2),
    unit=st.sampled_from(RateUnit),
)
@example(installation=NOTHING, connector_id=0, unit=RateUnit.A)
def test_every_second_is_as_the_specification_words_it(installation, connector_id, unit):
    found = composite_schedule(installation, connector_id, NOON_MS, WINDOW_S, unit)

    assert found.periods[0].start_s == 0
    assert found.duration_s == WINDOW_S
    starts = [period.start_s for period in found.periods]
    assert starts == sorted(set(starts))
    for before, after in zip(found.periods, found.periods[1:], strict=False):
        assert before.rate != after.rate
    for second in range(WINDOW_S):
        rate = [p for p in found.periods if p.start_s <= second][-1].rate
        wanted = brute(installation, connector_id, NOON_MS + second * 1_000, NOON_MS, unit)
        if wanted is None:
            assert rate is None, second
        else:
            assert rate is not None, second
            assert rate.limit == pytest.approx(wanted[0], abs=0.0501)
            assert rate.number_phases == wanted[1]
