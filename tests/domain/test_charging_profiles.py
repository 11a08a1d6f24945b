"""Charging profiles: read and written as on the wire, and every rule of the specification."""

from copy import deepcopy

import pytest
from cast import NOON, NOON_MS, instant

from csms.domain.charging_profile import (
    PERIODS_MAX,
    ChargingLimits,
    ChargingProfile,
    ChargingSchedule,
    Kind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
    check_clear_charging_profile,
    check_get_composite_schedule,
    check_limits,
    check_remote_start_profile,
    check_room,
    check_set_charging_profile,
    read_profile,
    write_profile,
)
from csms.domain.configuration import Configuration, ConfigurationKey, fold_key
from csms.errors import FieldError

HOUR_S = 3_600
PROFILE = "payload.csChargingProfiles"
SCHEDULE = f"{PROFILE}.chargingSchedule"
PERIOD = f"{SCHEDULE}.chargingSchedulePeriod"


def profile(purpose="TxDefaultProfile", **fields):
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule(),
        **fields,
    }


def schedule(*periods, **fields):
    """Periods are (start, limit) or (start, limit, phases); 16 A for ever where none is given."""
    return {
        "startSchedule": NOON,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            dict(zip(("startPeriod", "limit", "numberPhases"), period, strict=False))
            for period in periods or [(0, 16)]
        ],
        **fields,
    }


def without(payload, *names):
    return {name: value for name, value in payload.items() if name not in names}


def setting(connector_id=1, **fields):
    return {"connectorId": connector_id, "csChargingProfiles": profile(**fields)}


RELATIVE = {
    "chargingProfileKind": "Relative",
    "chargingSchedule": without(schedule(), "startSchedule"),
}
TX = {"purpose": "TxProfile", "transactionId": 7}
MAX = {"purpose": "ChargePointMaxProfile"}
DAILY = {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}

FULL = ChargingProfile(
    charging_profile_id=5,
    stack_level=2,
    purpose=Purpose.TX,
    kind=Kind.RECURRING,
    schedule=ChargingSchedule(
        RateUnit.W,
        (SchedulePeriod(0, 11_000), SchedulePeriod(HOUR_S, 3_680.5, 1)),
        start_at_ms=NOON_MS,
        duration_s=2 * HOUR_S,
        min_charging_rate=1_380.0,
    ),
    recurrency=Recurrency.WEEKLY,
    transaction_id=7,
    valid_from_ms=NOON_MS,
    valid_to_ms=NOON_MS + 500,
)


def test_a_profile_is_written_as_on_the_wire():
    assert write_profile(FULL) == {
        "chargingProfileId": 5,
        "transactionId": 7,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Weekly",
        "validFrom": "2026-11-22T12:00:00.000Z",
        "validTo": "2026-11-22T12:00:00.500Z",
        "chargingSchedule": {
            "duration": 7_200,
            "startSchedule": "2026-11-22T12:00:00.000Z",
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 11_000},
                {"startPeriod": 3_600, "limit": 3_680.5, "numberPhases": 1},
            ],
            "minChargingRate": 1_380.0,
        },
    }


@pytest.mark.parametrize("payload", [profile(), profile(**RELATIVE), write_profile(FULL)])
def test_a_profile_is_read_back_as_written(payload):
    read = read_profile(payload)

    assert read_profile(write_profile(read)) == read


GOOD = [
    setting(),
    setting(0),
    setting(**RELATIVE),
    setting(**DAILY),
    setting(0, **MAX),
    setting(0, **MAX, **DAILY),
    setting(**TX),
    setting(**TX, **RELATIVE),
    setting(**TX, chargingProfileKind="Recurring", recurrencyKind="Weekly"),
    # Without a start it counts from the start of charging (7.13).
    setting(**TX, chargingSchedule=without(schedule(), "startSchedule")),
    setting(chargingSchedule=without(schedule(), "startSchedule")),
    setting(**TX, validFrom=NOON, validTo=instant(1)),
    setting(validTo="2000-01-01T00:00:00+02:00"),
    setting(stackLevel=99),
    setting(chargingSchedule=schedule((0, 6.1, 1), (1, 0, 2), (2, 32.0, 3))),
    setting(chargingSchedule=schedule((0, 22_000.7), duration=1, minChargingRate=0.3)),
    setting(chargingSchedule=schedule((0, 6), (59, 7), duration=60)),
    setting(**DAILY, chargingSchedule=schedule((0, 6), (86_399, 7))),
    setting(**DAILY, chargingSchedule=schedule((0, 6), duration=90_000)),
    setting(chargingSchedule=schedule(*[(second, 1) for second in range(PERIODS_MAX)])),
]


@pytest.mark.parametrize("payload", GOOD)
def test_a_good_profile_is_let_through(payload):
    before = deepcopy(payload)

    check_set_charging_profile(payload)

    assert payload == before


BAD = [
    # purpose × connector (3.13.1)
    (setting(-1), "payload.connectorId", "must not be negative"),
    (setting(1, **MAX), "payload.connectorId", "must be 0"),
    (setting(0, **TX), "payload.connectorId", "must be above 0"),
    # purpose × transaction (5.16, errata 3.54)
    (setting(purpose="TxProfile"), f"{PROFILE}.transactionId", "is required in a TxProfile"),
    (setting(purpose="TxProfile", transactionId=0), f"{PROFILE}.transactionId", "above 0"),
    (setting(purpose="TxProfile", transactionId=-1), f"{PROFILE}.transactionId", "above 0"),
    (setting(transactionId=7), f"{PROFILE}.transactionId", "absent in a TxDefaultProfile"),
    (setting(0, **MAX, transactionId=7), f"{PROFILE}.transactionId", "absent in a ChargePointMax"),
    # purpose × kind × start
    (setting(0, **MAX, **RELATIVE), f"{PROFILE}.chargingProfileKind", "Absolute or Recurring"),
    (
        setting(0, **MAX, chargingSchedule=without(schedule(), "startSchedule")),
        f"{SCHEDULE}.startSchedule",
        "is required in a ChargePointMaxProfile",
    ),
    (setting(chargingProfileKind="Relative"), f"{SCHEDULE}.startSchedule", "must be absent"),
    # recurrency
    (setting(recurrencyKind="Daily"), f"{PROFILE}.recurrencyKind", "with Recurring only"),
    (setting(**RELATIVE, recurrencyKind="Daily"), f"{PROFILE}.recurrencyKind", "Recurring only"),
    (setting(chargingProfileKind="Recurring"), f"{PROFILE}.recurrencyKind", "is required"),
    # ids, levels, validity
    (setting(chargingProfileId=0), f"{PROFILE}.chargingProfileId", "above 0"),
    (setting(chargingProfileId=-5), f"{PROFILE}.chargingProfileId", "above 0"),
    (setting(stackLevel=-1), f"{PROFILE}.stackLevel", "must not be negative"),
    (setting(validFrom=NOON, validTo=NOON), f"{PROFILE}.validTo", "after validFrom"),
    (setting(validFrom=instant(1), validTo=NOON), f"{PROFILE}.validTo", "after validFrom"),
    (setting(validTo="2026-12-31T23:59:60Z"), f"{PROFILE}.validTo", "no instant"),
    (
        setting(chargingSchedule=schedule(startSchedule="2026-12-31T23:59:60Z")),
        f"{SCHEDULE}.startSchedule",
        "no instant",
    ),
    # schedule
    (setting(chargingSchedule=schedule(duration=0)), f"{SCHEDULE}.duration", "above 0"),
    (setting(chargingSchedule=schedule(duration=-1)), f"{SCHEDULE}.duration", "above 0"),
    (setting(chargingSchedule=schedule(minChargingRate=-1)), f"{SCHEDULE}.minChargingRate", "neg"),
    (
        setting(chargingSchedule=schedule(minChargingRate=0.05)),
        f"{SCHEDULE}.minChargingRate",
        "one decimal",
    ),
    # periods
    (setting(chargingSchedule={**schedule(), "chargingSchedulePeriod": []}), PERIOD, "1 to 1024"),
    (
        setting(chargingSchedule=schedule(*[(second, 1) for second in range(PERIODS_MAX + 1)])),
        PERIOD,
        "1 to 1024",
    ),
    (setting(chargingSchedule=schedule((1, 6))), f"{PERIOD}.0.startPeriod", "must be 0"),
    (setting(chargingSchedule=schedule((-1, 6))), f"{PERIOD}.0.startPeriod", "must be 0"),
    (setting(chargingSchedule=schedule((0, 6), (0, 7))), f"{PERIOD}.1.startPeriod", "later than"),
    (
        setting(chargingSchedule=schedule((0, 6), (9, 7), (8, 7))),
        f"{PERIOD}.2.startPeriod",
        "later than",
    ),
    (
        setting(chargingSchedule=schedule((0, 6), (60, 7), duration=60)),
        f"{PERIOD}.1.startPeriod",
        "never run",
    ),
    (
        setting(**DAILY, chargingSchedule=schedule((0, 6), (86_400, 7))),
        f"{PERIOD}.1.startPeriod",
        "never run",
    ),
    (
        setting(
            chargingProfileKind="Recurring",
            recurrencyKind="Weekly",
            chargingSchedule=schedule((0, 6), (604_800, 7)),
        ),
        f"{PERIOD}.1.startPeriod",
        "never run",
    ),
    # rates
    (setting(chargingSchedule=schedule((0, -0.1))), f"{PERIOD}.0.limit", "must not be negative"),
    (setting(chargingSchedule=schedule((0, 6), (9, 6.15))), f"{PERIOD}.1.limit", "one decimal"),
    (setting(chargingSchedule=schedule((0, 6.1000001))), f"{PERIOD}.0.limit", "one decimal"),
    (setting(chargingSchedule=schedule((0, 6, 0))), f"{PERIOD}.0.numberPhases", "must be 1 to 3"),
    (setting(chargingSchedule=schedule((0, 6, 4))), f"{PERIOD}.0.numberPhases", "must be 1 to 3"),
]


@pytest.mark.parametrize(("payload", "field", "words"), BAD)
def test_a_bad_profile_names_the_field_and_the_rule(payload, field, words):
    with pytest.raises(FieldError) as refusal:
        check_set_charging_profile(payload)

    assert refusal.value.field == field
    assert words in refusal.value.problem
    assert "ed. 2" in refusal.value.problem or "errata" in refusal.value.problem


def test_every_number_with_one_decimal_is_a_limit():
    """0.1 has no exact form in binary; that is not the operator's mistake."""
    for tenths in (*range(400), 220_007, 10**9 + 1):
        limit = float(f"{tenths // 10}.{tenths % 10}")

        check_set_charging_profile(setting(chargingSchedule=schedule((0, limit))))


def starting(**fields):
    return {"idTag": "ALICE", "connectorId": 1, "chargingProfile": profile("TxProfile", **fields)}


@pytest.mark.parametrize(
    "payload", [{"idTag": "ALICE"}, starting(), starting(**RELATIVE), starting(**DAILY)]
)
def test_a_remote_start_may_bring_a_profile(payload):
    check_remote_start_profile(payload)


BAD_START = "payload.chargingProfile"


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (starting(transactionId=7), f"{BAD_START}.transactionId"),
        (
            {"idTag": "ALICE", "chargingProfile": profile("TxDefaultProfile")},
            f"{BAD_START}.chargingProfilePurpose",
        ),
        (
            starting(chargingSchedule=schedule((0, 6.15))),
            f"{BAD_START}.chargingSchedule.chargingSchedulePeriod.0.limit",
        ),
    ],
)
def test_a_remote_start_with_a_bad_profile_names_the_field(payload, field):
    with pytest.raises(FieldError) as refusal:
        check_remote_start_profile(payload)

    assert refusal.value.field == field


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"id": 0},
        {"id": -5, "connectorId": 3},
        {"connectorId": 0, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0},
    ],
)
def test_profiles_may_be_cleared_by_id_by_criteria_or_all(payload):
    check_clear_charging_profile(payload)


@pytest.mark.parametrize("name", ["connectorId", "stackLevel"])
def test_criteria_of_a_clear_are_not_negative(name):
    with pytest.raises(FieldError, match="must not be negative") as refusal:
        check_clear_charging_profile({name: -1})

    assert refusal.value.field == f"payload.{name}"


def test_a_composite_schedule_may_be_asked_for_the_charge_point():
    check_get_composite_schedule({"connectorId": 0, "duration": 1})


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"connectorId": -1, "duration": 60}, "payload.connectorId"),
        ({"connectorId": 1, "duration": 0}, "payload.duration"),
        ({"connectorId": 1, "duration": -60}, "payload.duration"),
    ],
)
def test_a_bad_question_for_a_composite_schedule_names_the_field(payload, field):
    with pytest.raises(FieldError) as refusal:
        check_get_composite_schedule(payload)

    assert refusal.value.field == field


# -- what the charge point says of itself

LIMITS = ChargingLimits(
    max_stack_level=2,
    units=frozenset({RateUnit.A}),
    max_periods=2,
    max_installed=3,
    switches_phases=False,
)


@pytest.mark.parametrize("limits", [LIMITS, ChargingLimits(), ChargingLimits(switches_phases=True)])
def test_what_the_charge_point_can_do_is_let_through(limits):
    read = read_profile(
        profile(stackLevel=2, chargingSchedule=schedule((0, 6, 3), (9, 7))), "profile"
    )

    check_limits(read, limits, "profile")
    check_room(3, limits, "profile")


@pytest.mark.parametrize(
    ("payload", "field", "key"),
    [
        (profile(stackLevel=3), "stackLevel", "ChargeProfileMaxStackLevel is 2"),
        (
            profile(chargingSchedule=schedule(chargingRateUnit="W")),
            "chargingSchedule.chargingRateUnit",
            "ChargingScheduleAllowedChargingRateUnit",
        ),
        (
            profile(chargingSchedule=schedule((0, 6), (1, 6), (2, 6))),
            "chargingSchedule.chargingSchedulePeriod",
            "ChargingScheduleMaxPeriods is 2",
        ),
        (
            profile(chargingSchedule=schedule((0, 6), (1, 6, 1))),
            "chargingSchedule.chargingSchedulePeriod.1.numberPhases",
            "ConnectorSwitch3to1PhaseSupported",
        ),
    ],
)
def test_what_the_charge_point_can_not_do_names_what_it_said(payload, field, key):
    with pytest.raises(FieldError) as refusal:
        check_limits(read_profile(payload), LIMITS, "profile")

    assert refusal.value.field == f"profile.{field}"
    assert key in refusal.value.problem
    assert "GetConfiguration" in refusal.value.problem


def told(**values):
    keys = {
        fold_key(name): ConfigurationKey(name, value, readonly=True, at_ms=NOON_MS)
        for name, value in values.items()
    }
    return ChargingLimits.told(Configuration(keys))


def test_limits_are_what_the_charge_point_has_told():
    assert told() == ChargingLimits()
    assert (
        told(
            ChargeProfileMaxStackLevel="2",
            ChargingScheduleAllowedChargingRateUnit="Current",
            ChargingScheduleMaxPeriods="2",
            MaxChargingProfilesInstalled="3",
            ConnectorSwitch3to1PhaseSupported="false",
        )
        == LIMITS
    )


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Current,Power", {RateUnit.A, RateUnit.W}),
        ("power", {RateUnit.W}),
        (" A , W ", {RateUnit.A, RateUnit.W}),
        ("Current,Torque", {RateUnit.A}),
        ("Torque", None),
        ("", None),
        (None, None),
    ],
)
def test_units_are_read_as_charge_points_write_them(text, units):
    """Errata 3.88: Current is A, Power is W."""
    assert told(ChargingScheduleAllowedChargingRateUnit=text).units == units


def test_what_is_sent_is_held_against_what_the_charge_point_said():
    with pytest.raises(FieldError, match="ChargeProfileMaxStackLevel") as refusal:
        check_set_charging_profile(setting(stackLevel=3), LIMITS)
    assert refusal.value.field == f"{PROFILE}.stackLevel"

    with pytest.raises(FieldError, match="ChargeProfileMaxStackLevel") as refusal:
        check_remote_start_profile(starting(stackLevel=3), LIMITS)
    assert refusal.value.field == f"{BAD_START}.stackLevel"


def test_a_full_charge_point_takes_no_more():
    with pytest.raises(FieldError, match="MaxChargingProfilesInstalled") as refusal:
        check_room(4, LIMITS, "profile")

    assert refusal.value.field == "profile"
    check_room(4, ChargingLimits(), "profile")
