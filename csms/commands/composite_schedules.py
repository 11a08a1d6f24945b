"""The composite schedule of a charge point: as we reckon it, and as it answers (5.7)."""

from csms.commands.charging_profiles import open_transactions, up_to_date
from csms.commands.sequel import Sequel
from csms.domain.charging_books import placed
from csms.domain.charging_profile import RateUnit
from csms.domain.charging_schedule import (
    SECOND_MS,
    Charging,
    CompositeSchedule,
    Installation,
    composite_schedule,
)
from csms.domain.command import Command
from csms.domain.composite_answer import CompositeAnswer
from csms.domain.connector import CONNECTOR_MAX
from csms.state.stores import Stores


def after_asking(command: Command, sequel: Sequel) -> None:
    """GetCompositeSchedule: keep what was answered, in time or late."""
    answer = command.answer if command.answer is not None else command.late_answer
    if answer is None or command.status is None:
        return
    in_time = command.answer is not None
    asked = command.payload
    sequel.stores.charging_profiles.record_answer(
        command.charge_point_id,
        CompositeAnswer(
            command_id=command.command_id,
            connector_id=asked["connectorId"],
            duration_s=asked["duration"],
            unit=asked.get("chargingRateUnit"),
            asked_at_ms=command.sent_at_ms or command.created_at_ms,
            answered_at_ms=(in_time and command.settled_at_ms) or sequel.now_ms,
            payload=answer,
        ),
    )


def reckon(
    stores: Stores,
    charge_point_id: str,
    connector_id: int,
    duration_s: int,
    unit: RateUnit,
    voltage_v: float,
    now_ms: int,
) -> CompositeSchedule:
    """By our books, from this second on."""
    start_at_ms = now_ms // SECOND_MS * SECOND_MS
    installation = _installation(stores, charge_point_id, voltage_v, start_at_ms)
    return composite_schedule(installation, connector_id, start_at_ms, duration_s, unit)


def _installation(
    stores: Stores, charge_point_id: str, voltage_v: float, start_at_ms: int
) -> Installation:
    profiles = placed(up_to_date(stores, charge_point_id, start_at_ms))
    running = open_transactions(stores, charge_point_id)
    stated = stores.configurations.find(charge_point_id).integer("NumberOfConnectors") or 0
    known = stores.charge_points.connectors(charge_point_id)
    numbers = {connector.connector_id for connector in known}
    numbers |= {profile.connector_id for profile in profiles}
    numbers |= {transaction.connector_id for transaction in running}
    numbers |= set(range(1, min(stated, CONNECTOR_MAX) + 1))
    return Installation(
        placed=profiles,
        connector_ids=sorted(number for number in numbers if number > 0),
        charging={
            # What runs has begun, whatever the charge point's clock says.
            transaction.connector_id: Charging(
                transaction.transaction_id, min(transaction.started_at_ms, start_at_ms)
            )
            for transaction in running
        },
        voltage_v=voltage_v,
    )
