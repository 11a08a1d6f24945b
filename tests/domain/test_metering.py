"""What sampled values mean (OCPP 1.6 ed. 2, 3.13 and 7.43)."""

import orjson
import pytest
from cast import NOON_MS
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.metering import REGISTER_MAX_WH, MeterValue, Reading, read_latest


def reading_of(*samples):
    return read_latest([MeterValue(NOON_MS, "", samples)])


FIGURES = {
    "all defaults: the energy register in Wh": ({"value": "5"}, (5, None, None)),
    "energy in Wh": (
        {"value": "5.4", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        (5, None, None),
    ),
    "energy in kWh": (
        {"value": "3051.29", "measurand": "Energy.Active.Import.Register", "unit": "kWh"},
        (3_051_290, None, None),
    ),
    "energy in KWH": ({"value": "1", "unit": "KWH"}, (1000, None, None)),
    "power in W": (
        {"value": "2692", "measurand": "Power.Active.Import", "unit": "W"},
        (None, 2692, None),
    ),
    "power in kW": (
        {"value": "11.04", "measurand": "Power.Active.Import", "unit": "kW"},
        (None, 11_040, None),
    ),
    "negative power": ({"value": "-5", "measurand": "Power.Active.Import"}, (None, -5, None)),
    "state of charge": ({"value": "80", "measurand": "SoC", "unit": "Percent"}, (None, None, 80)),
    "charge beyond full": ({"value": "101", "measurand": "SoC"}, None),
    "charge of no number": ({"value": "full", "measurand": "SoC"}, None),
    "amperes without a measurand are no energy": ({"value": "15.63", "unit": "A"}, None),
    "energy of one phase": (
        {"value": "5", "measurand": "Energy.Active.Import.Register", "phase": "L1"},
        None,
    ),
    "energy at the inlet": ({"value": "2939167", "location": "Inlet"}, None),
    "energy at the outlet": ({"value": "7", "location": "Outlet"}, (7, None, None)),
    "negative energy": ({"value": "-1"}, None),
    "energy no connector delivers": ({"value": str(REGISTER_MAX_WH + 1)}, None),
    "energy at the bound": ({"value": str(REGISTER_MAX_WH)}, (REGISTER_MAX_WH, None, None)),
    "no number": ({"value": "n/a"}, None),
    "not a number": ({"value": "NaN"}, None),
    "infinite": ({"value": "inf", "measurand": "Power.Active.Import"}, None),
    "power no charge point has": ({"value": "1e300", "measurand": "Power.Active.Import"}, None),
    "power infinite in W": (
        {"value": "1e308", "measurand": "Power.Active.Import", "unit": "kW"},
        None,
    ),
    "power of no number": ({"value": "", "measurand": "Power.Active.Import"}, None),
    "signed data": ({"value": "OCMF|{}", "format": "SignedData"}, None),
    "signed data that looks like a number": ({"value": "12", "format": "SignedData"}, None),
    "the beginning, repeated": ({"value": "0", "context": "Transaction.Begin"}, None),
    "something else": ({"value": "230", "measurand": "Voltage", "unit": "V"}, None),
    "no value": ({"measurand": "Energy.Active.Import.Register"}, None),
}


@pytest.mark.parametrize(("sample", "figures"), FIGURES.values(), ids=FIGURES)
def test_a_sample_is_read_as_what_it_means(sample, figures):
    assert reading_of(sample) == (None if figures is None else Reading(NOON_MS, *figures))


def test_power_of_the_phases_is_added_up():
    phases = [
        {"value": "1000", "measurand": "Power.Active.Import", "phase": phase}
        for phase in ("L1", "L2", "L3")
    ]

    assert reading_of(*phases) == Reading(NOON_MS, power_w=3000)


def test_total_power_stands_above_the_phases():
    total = {"value": "2", "measurand": "Power.Active.Import", "unit": "kW"}
    phase = {"value": "1000", "measurand": "Power.Active.Import", "phase": "L1"}

    assert reading_of(total, phase) == Reading(NOON_MS, power_w=2000)


def test_the_newest_figures_win_whatever_their_order():
    newer = MeterValue(NOON_MS + 2, "", [{"value": "20"}])
    older = MeterValue(NOON_MS + 1, "", [{"value": "10"}, {"value": "50", "measurand": "SoC"}])
    without = MeterValue(NOON_MS + 3, "", [{"value": "230", "measurand": "Voltage"}])

    assert read_latest([without, newer, older]) == Reading(
        NOON_MS + 2, energy_wh=20, state_of_charge_percent=50
    )


def test_values_without_a_figure_make_no_reading():
    assert read_latest([]) is None
    assert reading_of() is None


_texts = st.one_of(st.text(), st.floats().map(str), st.integers().map(str))
_samples = st.fixed_dictionaries(
    {"value": _texts},
    optional={
        "context": st.sampled_from(["Sample.Clock", "Transaction.Begin", "CurrentMax"]),
        "format": st.sampled_from(["Raw", "SignedData"]),
        "measurand": st.sampled_from(
            ["Energy.Active.Import.Register", "Power.Active.Import", "SoC", "Voltage"]
        ),
        "phase": st.sampled_from(["L1", "N"]),
        "location": st.sampled_from(["Inlet", "Outlet", "EV"]),
        "unit": st.sampled_from(["Wh", "kWh", "W", "kW", "Percent", "Hertz", ""]),
    },
)


@given(st.lists(st.lists(_samples, max_size=8), max_size=4))
def test_whatever_is_sampled_a_reading_can_be_kept(values):
    reading = read_latest(
        [MeterValue(NOON_MS + n, "", samples) for n, samples in enumerate(values)]
    )

    assert len(orjson.dumps(reading)) < 200
    if reading is not None and reading.energy_wh is not None:
        assert 0 <= reading.energy_wh <= REGISTER_MAX_WH
