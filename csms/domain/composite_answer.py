"""What a charge point answers to GetCompositeSchedule, held against our own reckoning (5.7)."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

from csms.domain.charging_profile import PERIODS_MAX, PHASES_MAX, RateUnit
from csms.domain.charging_schedule import (
    SECOND_MS,
    CompositePeriod,
    CompositeSchedule,
    Rate,
    converted,
)
from csms.domain.timestamps import TEXT_MAX, epoch_ms

# Two clocks, and the way of the question: so long a difference is none.
TOLERATED_S = 5
TOLERATED_LIMIT = 0.1
# Where amperes are held against watts, the nominal voltage is our guess.
TOLERATED_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class CompositeAnswer:
    """connector_id, duration_s and unit: as asked; payload: the confirmation as it came."""

    command_id: str
    connector_id: int
    duration_s: int
    unit: str | None
    asked_at_ms: int
    answered_at_ms: int
    payload: Mapping[str, Any]

    @property
    def schedule(self) -> CompositeSchedule | None:
        """What it says, read leniently; None where it says nothing."""
        schedule = self.payload.get("chargingSchedule")
        if self.payload.get("status") != "Accepted" or not isinstance(schedule, dict):
            return None
        periods = tuple(_periods(schedule.get("chargingSchedulePeriod")))
        unit = schedule.get("chargingRateUnit")
        if not periods or unit not in tuple(RateUnit):
            return None
        duration_s = schedule.get("duration")
        return CompositeSchedule(
            self.connector_id,
            self._start_at_ms(),
            duration_s if _is_whole(duration_s) and duration_s > 0 else self.duration_s,
            RateUnit(unit),
            periods,
        )

    def _start_at_ms(self) -> int:
        text = self.payload.get("scheduleStart")
        stated = epoch_ms(text) if isinstance(text, str) and len(text) <= TEXT_MAX else None
        return self.answered_at_ms if stated is None else stated


def _periods(listed: Any) -> Iterator[CompositePeriod]:
    """Those that make sense, in the order of their starts."""
    if not isinstance(listed, list):
        return
    last_s = -1
    for period in listed[:PERIODS_MAX]:
        if not isinstance(period, dict):
            continue
        start_s, limit = period.get("startPeriod"), period.get("limit")
        if not _is_whole(start_s) or start_s <= last_s or not _is_number(limit):
            continue
        phases = period.get("numberPhases")
        if not _is_whole(phases) or not 1 <= phases <= PHASES_MAX:
            phases = PHASES_MAX
        last_s = start_s
        yield CompositePeriod(start_s, Rate(limit, phases))


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class Difference:
    """From start_at_ms until end_at_ms; None is unlimited. Both in the unit of our reckoning."""

    start_at_ms: int
    end_at_ms: int
    computed: float | None
    reported: float | None


def overlap(computed: CompositeSchedule, reported: CompositeSchedule) -> tuple[int, int] | None:
    """The time that both speak of; None where there is none."""
    begin_ms = max(computed.start_at_ms, reported.start_at_ms)
    end_ms = min(_end_ms(computed), _end_ms(reported))
    return (begin_ms, end_ms) if begin_ms < end_ms else None


def differences(
    computed: CompositeSchedule, reported: CompositeSchedule, voltage_v: float
) -> list[Difference]:
    """Where the two say different things, within the time that both speak of."""
    both = overlap(computed, reported)
    if both is None:
        return []
    begin_ms, end_ms = both
    ours_by, theirs_by = _starts_ms(computed), _starts_ms(reported)
    inner = {at_ms for at_ms in (*ours_by, *theirs_by) if begin_ms < at_ms < end_ms}
    ordered = sorted({begin_ms, end_ms, *inner})
    found: list[Difference] = []
    for start_ms, until_ms in pairwise(ordered):
        ours = _limit(computed, bisect_right(ours_by, start_ms), computed.unit, voltage_v)
        theirs = _limit(reported, bisect_right(theirs_by, start_ms), computed.unit, voltage_v)
        if _agree(ours, theirs, same_unit=computed.unit is reported.unit):
            continue
        last = found[-1] if found else None
        if last is not None and (last.end_at_ms, last.computed, last.reported) == (
            start_ms,
            ours,
            theirs,
        ):
            found[-1] = Difference(last.start_at_ms, until_ms, ours, theirs)
        else:
            found.append(Difference(start_ms, until_ms, ours, theirs))
    return [d for d in found if d.end_at_ms - d.start_at_ms > TOLERATED_S * SECOND_MS]


def _end_ms(schedule: CompositeSchedule) -> int:
    return schedule.start_at_ms + schedule.duration_s * SECOND_MS


def _starts_ms(schedule: CompositeSchedule) -> list[int]:
    return [schedule.start_at_ms + period.start_s * SECOND_MS for period in schedule.periods]


def _limit(
    schedule: CompositeSchedule, begun: int, unit: RateUnit, voltage_v: float
) -> float | None:
    """The limit once so many periods have begun; None is unlimited, also before the first."""
    rate = schedule.periods[begun - 1].rate if begun else None
    if rate is None:
        return None
    return round(converted(rate.limit, schedule.unit, unit, voltage_v, rate.number_phases), 1)


def _agree(ours: float | None, theirs: float | None, *, same_unit: bool) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    tolerated = TOLERATED_LIMIT
    if not same_unit:
        tolerated = max(tolerated, TOLERATED_SHARE * max(ours, theirs))
    # One decimal has no exact form in binary.
    return abs(ours - theirs) <= tolerated + 1e-9
