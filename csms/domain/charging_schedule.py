"""The composite schedule a charge point's profiles make together (OCPP 1.6 ed. 2, 3.13, 5.7).

What the specification leaves to the charge point is decided here as follows: a TxProfile that is
not active lets the TxDefaultProfile through; a recurring schedule has not begun before its
startSchedule; a connector without a transaction is reckoned as if one began with the schedule; a
limit of the whole charge point is not divided among connectors.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from csms.domain.charging_profile import (
    PHASES_MAX,
    RECURRENCE_S,
    ChargingProfile,
    ChargingSchedule,
    Kind,
    Purpose,
    RateUnit,
)

SECOND_MS = 1_000
# How often profiles may be looked at for one composite schedule: a third of a second at worst. A
# step counts as some looks, so that there are 5,000 periods at most.
LOOKS_MAX = 50_000
LOOKS_OF_STEP = 10


@dataclass(frozen=True, slots=True)
class Placed:
    """A profile on the connector it is installed on; 0 is the whole charge point."""

    connector_id: int
    profile: ChargingProfile


@dataclass(frozen=True, slots=True)
class Charging:
    """A transaction that runs on a connector."""

    transaction_id: int
    started_at_ms: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit in the unit asked for, and how many phases it is of."""

    limit: float
    number_phases: int


@dataclass(frozen=True, slots=True)
class CompositePeriod:
    """From start_s after the start of the schedule on. rate: None is unlimited."""

    start_s: int
    rate: Rate | None


@dataclass(frozen=True, slots=True)
class CompositeSchedule:
    """duration_s: as asked, or how far the reckoning came where there is too much of it."""

    connector_id: int
    start_at_ms: int
    duration_s: int
    unit: RateUnit
    periods: tuple[CompositePeriod, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """All that limits a charge point.

    charging: the transactions that run, by connector. connector_ids: those above 0.
    voltage_v: nominal, of a phase to neutral (3.13.6: 230 or 110).
    """

    placed: Sequence[Placed]
    connector_ids: Sequence[int]
    charging: Mapping[int, Charging]
    voltage_v: float


def composite_schedule(
    installation: Installation,
    connector_id: int,
    start_at_ms: int,
    duration_s: int,
    unit: RateUnit,
) -> CompositeSchedule:
    """From start_at_ms on, on a grid of whole seconds; connector 0 is the charge point's total."""
    layers = _layers(installation, connector_id, start_at_ms)
    looks = LOOKS_MAX
    periods: list[CompositePeriod] = []
    offset_s = 0
    while offset_s < duration_s and looks > 0:
        at_ms = start_at_ms + offset_s * SECOND_MS
        rate = layers.rate(at_ms, unit, installation.voltage_v)
        if not periods or periods[-1].rate != rate:
            periods.append(CompositePeriod(offset_s, rate))
        looks -= LOOKS_OF_STEP + layers.size
        change_ms = layers.next_change_ms(at_ms)
        # The first whole second at which the change is seen.
        offset_s = duration_s if change_ms is None else -((start_at_ms - change_ms) // SECOND_MS)
    return CompositeSchedule(
        connector_id, start_at_ms, min(offset_s, duration_s), unit, tuple(periods)
    )


@dataclass(frozen=True, slots=True)
class _Running:
    """A profile with the instant its schedule counts from."""

    profile: ChargingProfile
    origin_ms: int

    def offset_s(self, at_ms: int) -> float | None:
        """How far its schedule is at an instant; None while it is not active."""
        profile = self.profile
        if profile.valid_from_ms is not None and at_ms < profile.valid_from_ms:
            return None
        if profile.valid_to_ms is not None and at_ms >= profile.valid_to_ms:
            return None
        offset_ms = at_ms - self.origin_ms
        if offset_ms < 0:
            return None
        if profile.recurrency is not None:
            offset_ms %= RECURRENCE_S[profile.recurrency] * SECOND_MS
        duration_s = profile.schedule.duration_s
        if duration_s is not None and offset_ms >= duration_s * SECOND_MS:
            return None
        return offset_ms / SECOND_MS

    def rate(self, at_ms: int, unit: RateUnit, voltage_v: float) -> Rate | None:
        offset_s = self.offset_s(at_ms)
        if offset_s is None:
            return None
        schedule = self.profile.schedule
        period = schedule.periods[begun(schedule, offset_s) - 1]
        phases = period.number_phases or PHASES_MAX
        return Rate(converted(period.limit, schedule.unit, unit, voltage_v, phases), phases)

    def next_change_ms(self, at_ms: int) -> int | None:
        """The first instant after this one at which it may say something else."""
        return min((ms for ms in self._changes_ms(at_ms) if ms > at_ms), default=None)

    def _changes_ms(self, at_ms: int) -> Iterator[int]:
        profile = self.profile
        if profile.valid_from_ms is not None:
            yield profile.valid_from_ms
        if profile.valid_to_ms is not None:
            yield profile.valid_to_ms
        begun_ms = self.origin_ms
        yield begun_ms
        if profile.recurrency is not None and at_ms > begun_ms:
            length_ms = RECURRENCE_S[profile.recurrency] * SECOND_MS
            begun_ms += (at_ms - begun_ms) // length_ms * length_ms
            yield begun_ms + length_ms
        if profile.schedule.duration_s is not None:
            yield begun_ms + profile.schedule.duration_s * SECOND_MS
        following = begun(profile.schedule, (at_ms - begun_ms) / SECOND_MS)
        if following < len(profile.schedule.periods):
            yield begun_ms + profile.schedule.periods[following].start_s * SECOND_MS


def begun(schedule: ChargingSchedule, offset_s: float) -> int:
    """How many of its periods have begun so far into a schedule."""
    return bisect_right(schedule.periods, offset_s, key=attrgetter("start_s"))


def converted(
    limit: float, unit: RateUnit, wanted: RateUnit, voltage_v: float, phases: int
) -> float:
    """A limit in another unit: watts are of all phases, amperes of each (3.13.6)."""
    if unit is wanted:
        return limit
    factor = voltage_v * phases
    return limit * factor if wanted is RateUnit.W else limit / factor


@dataclass(frozen=True, slots=True)
class _Stack:
    """Profiles of one purpose, the highest level first: the first active one counts (3.13.2)."""

    running: Sequence[_Running]

    def rate(self, at_ms: int, unit: RateUnit, voltage_v: float) -> Rate | None:
        for running in self.running:
            rate = running.rate(at_ms, unit, voltage_v)
            if rate is not None:
                return rate
        return None


@dataclass(frozen=True, slots=True)
class _Layers:
    """The limit of the charge point, and of each connector its TxProfiles before its defaults."""

    whole: _Stack
    connectors: Sequence[tuple[_Stack, _Stack]]
    size: int

    def rate(self, at_ms: int, unit: RateUnit, voltage_v: float) -> Rate | None:
        """The smaller of the charge point's limit and what its connectors may take together."""
        whole = self.whole.rate(at_ms, unit, voltage_v)
        each = [
            tx.rate(at_ms, unit, voltage_v) or default.rate(at_ms, unit, voltage_v)
            for tx, default in self.connectors
        ]
        total = _total(each)
        if whole is None or total is None:
            smaller = whole or total
            return None if smaller is None else Rate(round(smaller.limit, 1), smaller.number_phases)
        return Rate(
            round(min(whole.limit, total.limit), 1), min(whole.number_phases, total.number_phases)
        )

    def next_change_ms(self, at_ms: int) -> int | None:
        changes = (running.next_change_ms(at_ms) for running in self._running())
        return min((ms for ms in changes if ms is not None), default=None)

    def _running(self) -> Iterator[_Running]:
        yield from self.whole.running
        for tx, default in self.connectors:
            yield from tx.running
            yield from default.running


def _total(rates: Sequence[Rate | None]) -> Rate | None:
    """None where one of them, or all that there are none of, may take what it likes."""
    known = [rate for rate in rates if rate is not None]
    if not known or len(known) < len(rates):
        return None
    return Rate(sum(rate.limit for rate in known), max(rate.number_phases for rate in known))


def _layers(installation: Installation, connector_id: int, start_at_ms: int) -> _Layers:
    placed = installation.placed
    wanted = installation.connector_ids if connector_id == 0 else (connector_id,)
    whole = _stack(
        (p.profile for p in placed if p.profile.purpose is Purpose.CHARGE_POINT_MAX), start_at_ms
    )
    connectors = [_stacks_of(installation, number, start_at_ms) for number in wanted]
    size = len(whole.running) + sum(len(tx.running) + len(d.running) for tx, d in connectors)
    return _Layers(whole, connectors, size)


def _stacks_of(
    installation: Installation, connector_id: int, start_at_ms: int
) -> tuple[_Stack, _Stack]:
    """The TxProfiles of what runs on a connector, and its defaults: those of the connector itself
    replace those for all connectors (3.13.1)."""
    charging = installation.charging.get(connector_id)
    origin_ms = charging.started_at_ms if charging is not None else start_at_ms
    own = [p.profile for p in installation.placed if p.connector_id == connector_id]
    for_all = [p.profile for p in installation.placed if p.connector_id == 0]
    tx = [
        profile
        for profile in own
        if profile.purpose is Purpose.TX
        and charging is not None
        and profile.transaction_id == charging.transaction_id
    ]
    defaults = [profile for profile in own if profile.purpose is Purpose.TX_DEFAULT] or [
        profile for profile in for_all if profile.purpose is Purpose.TX_DEFAULT
    ]
    return _stack(tx, origin_ms), _stack(defaults, origin_ms)


def _stack(profiles: Iterable[ChargingProfile], origin_ms: int) -> _Stack:
    ordered = sorted(profiles, key=lambda profile: profile.stack_level, reverse=True)
    return _Stack([_running(profile, origin_ms) for profile in ordered])


def _running(profile: ChargingProfile, charging_since_ms: int) -> _Running:
    """An Absolute or Recurring schedule without a start counts from that of charging (7.13)."""
    schedule = profile.schedule
    if profile.kind is Kind.RELATIVE or schedule.start_at_ms is None:
        origin_ms = charging_since_ms
    else:
        origin_ms = schedule.start_at_ms
    return _Running(profile, origin_ms)
