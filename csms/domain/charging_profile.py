"""Charging profiles: their values, and what the specification allows of them (3.13, 5.16, 7.8).

The rules are those a schema can't know. They read payloads that are valid by the schema, and raise
FieldError with the path of the field that is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from csms.clock import text_of
from csms.domain.configuration import Configuration
from csms.domain.timestamps import epoch_ms
from csms.errors import FieldError

# More than any charge point takes: what is kept, and walked, must have an end.
PERIODS_MAX = 1_024
PHASES_MAX = 3
DAY_S = 86_400

Payload = Mapping[str, Any]


class Purpose(StrEnum):
    CHARGE_POINT_MAX = "ChargePointMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Kind(StrEnum):
    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    DAILY = "Daily"
    WEEKLY = "Weekly"


# Every 24 hours and every 7 days, whatever the local clock does in between (errata 3.79).
RECURRENCE_S: Mapping[Recurrency, int] = {Recurrency.DAILY: DAY_S, Recurrency.WEEKLY: 7 * DAY_S}


class RateUnit(StrEnum):
    """A: amperes of each phase; W: watts of all phases together."""

    A = "A"
    W = "W"


@dataclass(frozen=True, slots=True)
class SchedulePeriod:
    """start_s: after the start of the schedule. number_phases: None counts as 3 (7.14)."""

    start_s: int
    limit: float
    number_phases: int | None = None


@dataclass(frozen=True, slots=True)
class ChargingSchedule:
    """start_at_ms: None counts from the start of charging (7.13). duration_s: None never ends."""

    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    start_at_ms: int | None = None
    duration_s: int | None = None
    min_charging_rate: float | None = None


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """Valid from valid_from_ms until just before valid_to_ms; None: without that end."""

    charging_profile_id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedule: ChargingSchedule
    recurrency: Recurrency | None = None
    transaction_id: int | None = None
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ChargingLimits:
    """What a charge point has said it can do; None where it has not said."""

    max_stack_level: int | None = None
    units: frozenset[RateUnit] | None = None
    max_periods: int | None = None
    max_installed: int | None = None
    switches_phases: bool | None = None

    @classmethod
    def told(cls, configuration: Configuration) -> "ChargingLimits":
        named = configuration.items("ChargingScheduleAllowedChargingRateUnit") or ()
        units = frozenset(_UNITS[name.casefold()] for name in named if name.casefold() in _UNITS)
        return cls(
            max_stack_level=configuration.integer("ChargeProfileMaxStackLevel"),
            units=units or None,
            max_periods=configuration.integer("ChargingScheduleMaxPeriods"),
            max_installed=configuration.integer("MaxChargingProfilesInstalled"),
            switches_phases=configuration.boolean("ConnectorSwitch3to1PhaseSupported"),
        )


# The key has words of its own for the units (errata 3.88); some write the units themselves.
_UNITS = {"current": RateUnit.A, "a": RateUnit.A, "power": RateUnit.W, "w": RateUnit.W}
UNKNOWN = ChargingLimits()


def read_profile(payload: Payload, path: str = "chargingProfile") -> ChargingProfile:
    """A profile from its form on the wire. Raises FieldError for an instant that is none."""
    below = f"{path}.chargingSchedule"
    schedule = payload["chargingSchedule"]
    recurrency = payload.get("recurrencyKind")
    return ChargingProfile(
        charging_profile_id=payload["chargingProfileId"],
        stack_level=payload["stackLevel"],
        purpose=Purpose(payload["chargingProfilePurpose"]),
        kind=Kind(payload["chargingProfileKind"]),
        schedule=ChargingSchedule(
            unit=RateUnit(schedule["chargingRateUnit"]),
            periods=tuple(
                SchedulePeriod(period["startPeriod"], period["limit"], period.get("numberPhases"))
                for period in schedule["chargingSchedulePeriod"]
            ),
            start_at_ms=_instant(schedule, "startSchedule", below),
            duration_s=schedule.get("duration"),
            min_charging_rate=schedule.get("minChargingRate"),
        ),
        recurrency=Recurrency(recurrency) if recurrency is not None else None,
        transaction_id=payload.get("transactionId"),
        valid_from_ms=_instant(payload, "validFrom", path),
        valid_to_ms=_instant(payload, "validTo", path),
    )


def _instant(payload: Payload, name: str, path: str) -> int | None:
    if name not in payload:
        return None
    at_ms = epoch_ms(payload[name])
    if at_ms is None:
        raise FieldError(f"{path}.{name}", "is no instant of the calendar (OCPP 1.6 ed. 2, 3.15)")
    return at_ms


def write_profile(profile: ChargingProfile) -> dict[str, Any]:
    """A profile in its form on the wire; what is None is left out."""
    schedule = profile.schedule
    return _present(
        chargingProfileId=profile.charging_profile_id,
        transactionId=profile.transaction_id,
        stackLevel=profile.stack_level,
        chargingProfilePurpose=str(profile.purpose),
        chargingProfileKind=str(profile.kind),
        recurrencyKind=str(profile.recurrency) if profile.recurrency else None,
        validFrom=_text(profile.valid_from_ms),
        validTo=_text(profile.valid_to_ms),
        chargingSchedule=_present(
            duration=schedule.duration_s,
            startSchedule=_text(schedule.start_at_ms),
            chargingRateUnit=str(schedule.unit),
            chargingSchedulePeriod=[
                _present(
                    startPeriod=period.start_s,
                    limit=period.limit,
                    numberPhases=period.number_phases,
                )
                for period in schedule.periods
            ],
            minChargingRate=schedule.min_charging_rate,
        ),
    )


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(at_ms: int | None) -> str | None:
    return None if at_ms is None else text_of(at_ms)


# -- the rules of one profile


def check_profile(profile: ChargingProfile, path: str) -> None:
    """What holds of every profile, wherever it is sent."""
    for rule in _RULES:
        rule(profile, path)


def _ids_and_levels(profile: ChargingProfile, path: str) -> None:
    if profile.charging_profile_id < 1:
        raise FieldError(f"{path}.chargingProfileId", "must be above 0 (OCPP 1.6 ed. 2, 7.8)")
    if profile.stack_level < 0:
        raise FieldError(
            f"{path}.stackLevel",
            "must not be negative: the lowest level is 0 (OCPP 1.6 ed. 2, 7.8)",
        )


def _purpose_and_kind(profile: ChargingProfile, path: str) -> None:
    if profile.purpose is Purpose.CHARGE_POINT_MAX and profile.kind is Kind.RELATIVE:
        raise FieldError(
            f"{path}.chargingProfileKind",
            "must be Absolute or Recurring in a ChargePointMaxProfile: the charge point itself has "
            "no start of charging to be relative to (OCPP 1.6 ed. 2, 3.13.1)",
        )


def _recurrency(profile: ChargingProfile, path: str) -> None:
    if profile.kind is Kind.RECURRING and profile.recurrency is None:
        raise FieldError(
            f"{path}.recurrencyKind", "is required with Recurring (OCPP 1.6 ed. 2, 7.8)"
        )
    if profile.kind is not Kind.RECURRING and profile.recurrency is not None:
        raise FieldError(f"{path}.recurrencyKind", "goes with Recurring only (errata 3.56)")


def _validity(profile: ChargingProfile, path: str) -> None:
    since, until = profile.valid_from_ms, profile.valid_to_ms
    if since is not None and until is not None and since >= until:
        raise FieldError(f"{path}.validTo", "must be after validFrom (OCPP 1.6 ed. 2, 7.8)")


def _start(profile: ChargingProfile, path: str) -> None:
    field = f"{path}.chargingSchedule.startSchedule"
    start_at_ms = profile.schedule.start_at_ms
    if profile.kind is Kind.RELATIVE and start_at_ms is not None:
        raise FieldError(
            field,
            "must be absent with Relative, which counts from the start of charging "
            "(OCPP 1.6 ed. 2, 7.9)",
        )
    if profile.purpose is Purpose.CHARGE_POINT_MAX and start_at_ms is None:
        raise FieldError(
            field,
            "is required in a ChargePointMaxProfile: without it a schedule counts from the start "
            "of charging, which only a transaction has (OCPP 1.6 ed. 2, 7.13)",
        )


def _duration(profile: ChargingProfile, path: str) -> None:
    duration_s = profile.schedule.duration_s
    if duration_s is not None and duration_s < 1:
        raise FieldError(
            f"{path}.chargingSchedule.duration",
            "must be above 0 seconds; leave it out for a schedule without end "
            "(OCPP 1.6 ed. 2, 7.13)",
        )


def _periods(profile: ChargingProfile, path: str) -> None:
    field = f"{path}.chargingSchedule.chargingSchedulePeriod"
    periods = profile.schedule.periods
    if not 1 <= len(periods) <= PERIODS_MAX:
        raise FieldError(field, f"must hold 1 to {PERIODS_MAX} periods (OCPP 1.6 ed. 2, 7.13)")
    if periods[0].start_s != 0:
        raise FieldError(
            f"{field}.0.startPeriod",
            "must be 0: the first period starts the schedule (errata 3.45)",
        )
    for number in range(1, len(periods)):
        if periods[number].start_s <= periods[number - 1].start_s:
            raise FieldError(
                f"{field}.{number}.startPeriod",
                "must be later than that of the period before (OCPP 1.6 ed. 2, 7.14)",
            )
    _periods_that_never_run(profile, field)


def _periods_that_never_run(profile: ChargingProfile, field: str) -> None:
    """Such a period is no error to a charge point, which passes over it; who wrote it meant
    something else."""
    ends = []
    if profile.schedule.duration_s is not None:
        ends.append((profile.schedule.duration_s, "the duration of the schedule", "3.43"))
    if profile.recurrency is not None:
        ends.append((RECURRENCE_S[profile.recurrency], "the length of a recurrence", "3.44"))
    for end_s, name, erratum in ends:
        for number, period in enumerate(profile.schedule.periods):
            if period.start_s >= end_s:
                raise FieldError(
                    f"{field}.{number}.startPeriod",
                    f"is not before {end_s} s, {name}: the period would never run "
                    f"(errata {erratum})",
                )


def _rates(profile: ChargingProfile, path: str) -> None:
    schedule = f"{path}.chargingSchedule"
    for number, period in enumerate(profile.schedule.periods):
        field = f"{schedule}.chargingSchedulePeriod.{number}"
        _rate(period.limit, f"{field}.limit", "7.14")
        if period.number_phases is not None and not 1 <= period.number_phases <= PHASES_MAX:
            raise FieldError(
                f"{field}.numberPhases", f"must be 1 to {PHASES_MAX} (OCPP 1.6 ed. 2, 7.14)"
            )
    if profile.schedule.min_charging_rate is not None:
        _rate(profile.schedule.min_charging_rate, f"{schedule}.minChargingRate", "7.13")


def _rate(rate: float, field: str, section: str) -> None:
    if rate < 0:
        raise FieldError(field, f"must not be negative (OCPP 1.6 ed. 2, {section})")
    # Of the numbers a text may hold, those with one decimal are what rounding leaves alone: 6.1 is
    # the nearest number to 6.1 both as it was read and as it is rounded.
    if rate != round(rate, 1):
        raise FieldError(field, f"must have one decimal at most (OCPP 1.6 ed. 2, {section})")


_RULES: Sequence[Callable[[ChargingProfile, str], None]] = (
    _ids_and_levels,
    _purpose_and_kind,
    _recurrency,
    _validity,
    _start,
    _duration,
    _periods,
    _rates,
)


# -- the rules of what is sent


def check_set_charging_profile(payload: Payload, limits: ChargingLimits = UNKNOWN) -> None:
    """SetChargingProfile.req: purpose, connector and transaction must fit (3.13.1, 5.16)."""
    path = "payload.csChargingProfiles"
    profile = read_profile(payload["csChargingProfiles"], path)
    _connector_fits(profile.purpose, payload["connectorId"])
    if profile.purpose is Purpose.TX:
        _transaction_required(profile.transaction_id, f"{path}.transactionId")
    elif profile.transaction_id is not None:
        raise FieldError(
            f"{path}.transactionId", f"must be absent in a {profile.purpose} (OCPP 1.6 ed. 2, 7.8)"
        )
    check_profile(profile, path)
    check_limits(profile, limits, path)


def _connector_fits(purpose: Purpose, connector_id: int) -> None:
    field = "payload.connectorId"
    if connector_id < 0:
        raise FieldError(field, "must not be negative (OCPP 1.6 ed. 2, 5.16)")
    if purpose is Purpose.CHARGE_POINT_MAX and connector_id != 0:
        raise FieldError(
            field,
            "must be 0 for a ChargePointMaxProfile, which is of the whole charge point "
            "(OCPP 1.6 ed. 2, 3.13.1)",
        )
    if purpose is Purpose.TX and connector_id == 0:
        raise FieldError(
            field,
            "must be above 0 for a TxProfile, which is of one transaction (OCPP 1.6 ed. 2, 3.13.1)",
        )


def _transaction_required(transaction_id: int | None, field: str) -> None:
    if transaction_id is None:
        raise FieldError(
            field,
            "is required in a TxProfile: which running transaction it is for "
            "(OCPP 1.6 ed. 2, 5.16.3)",
        )
    if transaction_id < 1:
        raise FieldError(field, "must be above 0 (errata 3.54)")


def check_remote_start_profile(payload: Payload, limits: ChargingLimits = UNKNOWN) -> None:
    """RemoteStartTransaction.req: a profile is a TxProfile of a transaction that has no id yet
    (5.11, 5.16.2)."""
    if "chargingProfile" not in payload:
        return
    path = "payload.chargingProfile"
    profile = read_profile(payload["chargingProfile"], path)
    if profile.purpose is not Purpose.TX:
        raise FieldError(
            f"{path}.chargingProfilePurpose", "must be TxProfile (OCPP 1.6 ed. 2, 5.16.2)"
        )
    if profile.transaction_id is not None:
        raise FieldError(
            f"{path}.transactionId",
            "must be absent: the transaction has no id yet (OCPP 1.6 ed. 2, 5.16.2)",
        )
    check_profile(profile, path)
    check_limits(profile, limits, path)


def check_clear_charging_profile(payload: Payload) -> None:
    """ClearChargingProfile.req: everything in it is optional; an id overrides the rest (5.5)."""
    for name in ("connectorId", "stackLevel"):
        if payload.get(name, 0) < 0:
            raise FieldError(f"payload.{name}", "must not be negative (OCPP 1.6 ed. 2, 5.5)")


def check_get_composite_schedule(payload: Payload) -> None:
    """GetCompositeSchedule.req (5.7)."""
    if payload["connectorId"] < 0:
        raise FieldError("payload.connectorId", "must not be negative (OCPP 1.6 ed. 2, 5.7)")
    if payload["duration"] < 1:
        raise FieldError("payload.duration", "must be above 0 seconds (OCPP 1.6 ed. 2, 5.7)")


def check_limits(profile: ChargingProfile, limits: ChargingLimits, path: str) -> None:
    """What this charge point has said it can do (OCPP 1.6 ed. 2, chapter 9.4)."""
    periods = profile.schedule.periods
    if limits.max_stack_level is not None and profile.stack_level > limits.max_stack_level:
        raise _too_much(f"{path}.stackLevel", "ChargeProfileMaxStackLevel", limits.max_stack_level)
    if limits.units is not None and profile.schedule.unit not in limits.units:
        raise FieldError(
            f"{path}.chargingSchedule.chargingRateUnit",
            f"this charge point takes {' and '.join(sorted(limits.units))} only, by its "
            "ChargingScheduleAllowedChargingRateUnit" + _STALE,
        )
    field = f"{path}.chargingSchedule.chargingSchedulePeriod"
    if limits.max_periods is not None and len(periods) > limits.max_periods:
        raise _too_much(field, "ChargingScheduleMaxPeriods", limits.max_periods)
    if limits.switches_phases is False:
        _phases_stay(periods, field)


def _phases_stay(periods: Sequence[SchedulePeriod], field: str) -> None:
    first = periods[0].number_phases or PHASES_MAX
    for number, period in enumerate(periods):
        if (period.number_phases or PHASES_MAX) != first:
            raise FieldError(
                f"{field}.{number}.numberPhases",
                f"must stay {first}: this charge point does not switch phases while charging, by "
                "its ConnectorSwitch3to1PhaseSupported" + _STALE,
            )


def _too_much(field: str, key: str, value: int) -> FieldError:
    return FieldError(field, f"is more than this charge point takes: its {key} is {value}" + _STALE)


_STALE = " (OCPP 1.6 ed. 2, 9.4); GetConfiguration asks it anew, where that has changed"


def check_room(installed: int, limits: ChargingLimits, path: str) -> None:
    """installed: how many there would be with the new one."""
    if limits.max_installed is not None and installed > limits.max_installed:
        raise FieldError(
            path,
            f"this charge point holds {limits.max_installed} profiles at most, by its "
            "MaxChargingProfilesInstalled: clear one first" + _STALE,
        )
