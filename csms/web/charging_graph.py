"""A composite schedule as a step graph and as rows: ours, and beside it the charge point's."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from csms.domain.charging_profile import RateUnit
from csms.domain.charging_schedule import SECOND_MS, CompositeSchedule, converted
from csms.web.charging import Comparison

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 14, 28
TICKS_OF_TIME = 4
# Of a longer schedule the table shows the beginning.
ROWS_MAX = 200


@dataclass(frozen=True, slots=True)
class Stretch:
    """From start_ms to end_ms the same limit; None is unlimited."""

    start_ms: int
    end_ms: int
    limit: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """A path of the graph. kind: `ours` or `theirs`; unlimited stretches lie at the upper edge."""

    kind: str
    path: str
    is_unlimited: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """In the units of an SVG viewBox; ticks are (place, what it stands for)."""

    lines: Sequence[Line]
    limits: Sequence[tuple[float, str]]
    times: Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Row:
    """is_answered: whether the charge point spoke of this time at all."""

    start_ms: int
    computed: float | None
    reported: float | None
    is_answered: bool
    differs: bool


def graph(comparison: Comparison) -> Graph:
    computed = comparison.computed
    ours = list(_stretches(computed, computed, comparison.voltage_v))
    reported = comparison.reported
    theirs = (
        list(_stretches(reported, computed, comparison.voltage_v)) if reported is not None else []
    )
    limits = [stretch.limit for stretch in (*ours, *theirs) if stretch.limit is not None]
    highest = max([*limits, 1.0]) * 1.15
    begin_ms, end_ms = computed.start_at_ms, _end_ms(computed)

    def x(at_ms: int) -> float:
        share = (at_ms - begin_ms) / (end_ms - begin_ms)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(limit: float | None) -> float:
        share = 1.0 if limit is None else limit / highest
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    lines = [
        Line(kind, _path([(x(s.start_ms), x(s.end_ms), y(s.limit)) for s in part]), is_unlimited)
        for kind, stretches in (("ours", ours), ("theirs", theirs))
        for is_unlimited, part in _runs(stretches)
    ]
    shown = sorted({0.0, max(limits)}) if limits else [0.0]
    span_ms = end_ms - begin_ms
    return Graph(
        lines,
        [(y(limit), figure(limit, computed.unit)) for limit in shown],
        [
            (x(at_ms), at_ms)
            for at_ms in (begin_ms + span_ms * n // TICKS_OF_TIME for n in range(TICKS_OF_TIME + 1))
        ],
    )


def _stretches(
    schedule: CompositeSchedule, window: CompositeSchedule, voltage_v: float
) -> Iterator[Stretch]:
    """A schedule within the time of another and in its unit."""
    begin_ms = max(schedule.start_at_ms, window.start_at_ms)
    end_ms = min(_end_ms(schedule), _end_ms(window))
    starts = [schedule.start_at_ms + p.start_s * SECOND_MS for p in schedule.periods]
    bounds = [begin_ms, *(at_ms for at_ms in starts if begin_ms < at_ms < end_ms), end_ms]
    for start_ms, until_ms in pairwise(bounds):
        if start_ms >= until_ms:
            continue
        begun = bisect_right(starts, start_ms)
        rate = schedule.periods[begun - 1].rate if begun else None
        limit = (
            None
            if rate is None
            else round(
                converted(rate.limit, schedule.unit, window.unit, voltage_v, rate.number_phases),
                1,
            )
        )
        yield Stretch(start_ms, until_ms, limit)


def _runs(stretches: Sequence[Stretch]) -> Iterator[tuple[bool, list[Stretch]]]:
    """Stretches that follow each other, with and without a limit."""
    run: list[Stretch] = []
    for stretch in stretches:
        if run and (run[-1].limit is None) is not (stretch.limit is None):
            yield run[-1].limit is None, run
            run = []
        run.append(stretch)
    if run:
        yield run[-1].limit is None, run


def _path(steps: Sequence[tuple[float, float, float]]) -> str:
    """Steps of (from x, to x, y): along, then up or down to the next."""
    first = steps[0]
    return f"M{first[0]} {first[2]}" + "".join(f"V{y}H{to_x}" for _, to_x, y in steps)


def rows(comparison: Comparison) -> list[Row]:
    """Both by the times at which one of them changes, the beginning of a long schedule only."""
    computed, reported, voltage_v = comparison.computed, comparison.reported, comparison.voltage_v
    ours = list(_stretches(computed, computed, voltage_v))
    theirs = [] if reported is None else list(_stretches(reported, computed, voltage_v))
    changes = sorted({s.start_ms for s in (*ours, *theirs)} | {s.end_ms for s in theirs[-1:]})
    # Of the changes within a second, which is all that is shown of a time, the last one.
    starts = list({at_ms // SECOND_MS: at_ms for at_ms in changes}.values())
    found = []
    for start_ms in starts[:ROWS_MAX]:
        own, answered = _at(ours, start_ms), _at(theirs, start_ms)
        if own is None:
            continue
        found.append(
            Row(
                start_ms,
                own.limit,
                answered.limit if answered is not None else None,
                answered is not None,
                any(d.start_at_ms <= start_ms < d.end_at_ms for d in comparison.differences),
            )
        )
    return found


def _at(stretches: Sequence[Stretch], at_ms: int) -> Stretch | None:
    return next((s for s in stretches if s.start_ms <= at_ms < s.end_ms), None)


def figure(limit: float | None, unit: RateUnit) -> str:
    """`16 A`, `7,360 W`, `no limit`."""
    return "no limit" if limit is None else f"{limit:,.10g} {unit}"


def _end_ms(schedule: CompositeSchedule) -> int:
    return schedule.start_at_ms + schedule.duration_s * SECOND_MS
