"""Charging profiles under a name: what they may hold, and what an instance of them is."""

import pytest
from cast import NOON_MS

from csms.domain.charging_template import (
    Installing,
    as_instance,
    check_template,
    instance,
    is_template_name,
)
from csms.errors import FieldError

PROFILE = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "validFrom": "2020-01-01T00:00:00Z",
    "chargingSchedule": {
        "duration": 600,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}],
    },
}


@pytest.mark.parametrize("name", ["a", "9", "Night tariff", "A.b-c_d", "x" * 64])
def test_a_good_name_is_one(name):
    assert is_template_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "-a", "a/b", "ä", "a\n", "x" * 65])
def test_a_bad_name_is_none(name):
    assert not is_template_name(name)


def test_a_template_is_checked_as_if_it_were_installed():
    assert as_instance(PROFILE, "profile") == {**PROFILE, "chargingProfileId": 1}
    check_template(PROFILE, "profile")


@pytest.mark.parametrize("name", ["chargingProfileId", "transactionId"])
def test_what_belongs_to_an_instance_is_refused(name):
    with pytest.raises(FieldError, match="leave it out") as refusal:
        as_instance({**PROFILE, name: 7}, "profile")

    assert refusal.value.field == f"profile.{name}"


def test_a_bad_template_names_the_field():
    with pytest.raises(FieldError) as refusal:
        check_template({**PROFILE, "recurrencyKind": "Daily"}, "profile")

    assert refusal.value.field == "profile.recurrencyKind"


def test_an_instance_gets_its_id_and_keeps_the_rest():
    assert instance(PROFILE, Installing(5)) == {**PROFILE, "chargingProfileId": 5}


def test_an_instance_has_a_time_and_a_transaction_of_its_own():
    made = instance(PROFILE, Installing(5, 7, NOON_MS, NOON_MS + 1, NOON_MS + 2))

    assert made == {
        **PROFILE,
        "chargingProfileId": 5,
        "transactionId": 7,
        "validFrom": "2026-11-22T12:00:00.001Z",
        "validTo": "2026-11-22T12:00:00.002Z",
        "chargingSchedule": {
            **PROFILE["chargingSchedule"],
            "startSchedule": "2026-11-22T12:00:00.000Z",
        },
    }
    assert "startSchedule" not in PROFILE["chargingSchedule"]
