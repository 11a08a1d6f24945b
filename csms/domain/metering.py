"""What sampled values mean: energy, power and state of charge (OCPP 1.6 ed. 2, 3.13 and 7.43)."""

import math
from collections.abc import Iterable, Sequence
from typing import TypedDict

from csms.domain.values import frame_value


class SampledValue(TypedDict, total=False):
    value: str
    context: str
    format: str
    measurand: str
    phase: str
    location: str
    unit: str


"""As on the wire, where unknown texts are kept. A dict because eight of them in every frame as
dataclasses would double the cost of reading it."""

ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
STATE_OF_CHARGE = "SoC"
_KILO = {"kwh", "kw", "kvarh", "kvar", "kva"}
_NOT_OUTLET = {"Inlet", "EV"}
# Beyond what any connector can deliver in its life; such a register is a fault, not energy.
REGISTER_MAX_WH = 10**12
# A hundred times the largest charging systems; beyond it no figure is one people should see.
POWER_MAX_W = 10**9


@frame_value
class MeterValue:
    """Samples taken at one moment. timestamp is the text as sent, at_ms what it is read as."""

    at_ms: int
    timestamp: str
    sampled_values: Sequence[SampledValue]


@frame_value
class Reading:
    """The figures people look at, of the newest meter value that has any of them."""

    at_ms: int
    energy_wh: int | None = None
    power_w: int | None = None
    state_of_charge_percent: int | None = None


def read_latest(meter_values: Iterable[MeterValue]) -> Reading | None:
    """The newest figures in a message, or None where it has none.

    Values of a transaction's beginning are left out: some charge points repeat them in every
    sample, and they are older than the rest.
    """
    at_ms = 0
    energy: float | None = None
    power: float | None = None
    charge: float | None = None
    for meter_value in sorted(meter_values, key=lambda value: value.at_ms):
        found_energy, found_power, found_charge = _figures(meter_value.sampled_values)
        if found_energy is None and found_power is None and found_charge is None:
            continue
        at_ms = meter_value.at_ms
        energy = found_energy if found_energy is not None else energy
        power = found_power if found_power is not None else power
        charge = found_charge if found_charge is not None else charge
    if energy is None and power is None and charge is None:
        return None
    return Reading(
        at_ms,
        None if energy is None else round(energy),
        None if power is None else round(power),
        None if charge is None else round(charge),
    )


def _figures(
    samples: Sequence[SampledValue],
) -> tuple[float | None, float | None, float | None]:
    energy = power = charge = None
    phase_powers = 0.0
    has_phase_power = False
    for sample in samples:
        if sample.get("context") == "Transaction.Begin" or sample.get("format") == "SignedData":
            continue
        # An absent measurand means the energy register (ed. 2, 7.43).
        measurand = sample.get("measurand", ENERGY)
        if measurand == ENERGY:
            unit = sample.get("unit", "Wh")
            if (
                "phase" not in sample
                and sample.get("location") not in _NOT_OUTLET
                and ("measurand" in sample or unit.casefold() in {"wh", "kwh"})
            ):
                value = _number(sample)
                if value is not None and 0 <= value <= REGISTER_MAX_WH:
                    energy = value
        elif measurand == POWER:
            value = _number(sample)
            if value is None or abs(value) > POWER_MAX_W:
                continue
            if "phase" not in sample:
                power = value
            else:
                phase_powers += value
                has_phase_power = True
        elif measurand == STATE_OF_CHARGE:
            value = _number(sample)
            if value is not None and 0 <= value <= 100:
                charge = value
    if power is None and has_phase_power:
        power = phase_powers
    return energy, power, charge


def _number(sample: SampledValue) -> float | None:
    """The value in Wh, W or percent; None where it is no finite number."""
    try:
        value = float(sample["value"])
    except (KeyError, ValueError, TypeError):
        return None
    if not math.isfinite(value):
        return None
    if "unit" in sample and sample["unit"].casefold() in _KILO:
        return value * 1000
    return value
