"""What the owner of a socket reckons of a transaction that runs: its samples, its energy."""

import pytest
from cast import NOON_MS, SECOND_MS

from csms.domain.metering import REGISTER_MAX_WH
from csms.domain.transaction import BEFORE_START_MS, Metering, RunningTransaction


def running(transaction_id=7, connector_id=1, **fields):
    return RunningTransaction(
        transaction_id,
        connector_id,
        **{"meter_start_wh": 1_000, "started_at_ms": NOON_MS, **fields},
    )


@pytest.mark.parametrize(
    ("before_ms", "owned"), [(0, True), (BEFORE_START_MS, True), (BEFORE_START_MS + 1, False)]
)
def test_a_sample_a_little_older_than_the_start_is_its_own(before_ms, owned):
    assert running().owns(NOON_MS - before_ms) is owned


@pytest.mark.parametrize(
    ("fields", "register_wh", "at_ms", "energy_wh"),
    [
        ({}, 3_500, NOON_MS, 2_500),
        ({"metered_at_ms": NOON_MS + SECOND_MS}, 3_500, NOON_MS, None),
        ({"meter_start_wh": -1}, 3_500, NOON_MS, None),
        ({"meter_start_wh": REGISTER_MAX_WH + 1}, 3_500, NOON_MS, None),
        ({}, 500, NOON_MS, 0),
        ({"energy_wh": 2_000}, 500, NOON_MS, 2_000),
        ({"energy_wh": 2_000}, REGISTER_MAX_WH + 1, NOON_MS, 2_000),
    ],
)
def test_its_energy_is_what_the_register_has_grown_by(fields, register_wh, at_ms, energy_wh):
    """None: the register says nothing new, or nothing sound."""
    assert running(**fields).energy_at(register_wh, at_ms) == energy_wh


@pytest.mark.parametrize(
    ("named", "connector_id", "found"), [(7, 2, 7), (9, 1, None), (None, 1, 7), (None, 2, None)]
)
def test_samples_belong_to_the_transaction_named_or_to_that_of_their_connector(
    named, connector_id, found
):
    metering = Metering({1: running()}, {})

    transaction = metering.transaction(named, connector_id)

    assert (transaction and transaction.transaction_id) == found


def test_the_main_meter_has_no_transaction_of_its_own():
    assert Metering({0: running(connector_id=0)}, {}).transaction(None, 0) is None
