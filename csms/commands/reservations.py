"""Keeps the books of reservations: what is asked for, what was answered, what is over (OCPP 1.6
ed. 2, 5.1 and 5.13)."""

from collections.abc import Mapping
from typing import Any

from csms import jobs
from csms.commands.sequel import Sequel
from csms.domain.command import FINAL_STATES, Command, CommandState
from csms.domain.reservation import (
    Reservation,
    ReservationState,
    Terms,
    Wish,
    cancel_requested,
    effective,
    requested,
    settled,
)
from csms.domain.timestamps import epoch_ms
from csms.state.commands import NEVER_WAS, NewCommand
from csms.state.repair import Repair
from csms.state.reservations import LOOK_AGAIN_MS, Due
from csms.state.stores import Stores

PER_SWEEP_MAX = 200


def before_reserving(command: NewCommand, stores: Stores) -> None:
    """It is requested from here on, or, where its id is one that stands, to be changed."""
    payload, now_ms = command.payload, command.created_at_ms
    terms = _terms(payload)
    wish = Wish(command.command_id, terms, now_ms)

    def rule(before: Reservation | None) -> Reservation:
        return requested(
            before,
            payload["reservationId"],
            command.charge_point_id,
            wish,
            terms,
            command.requested_by,
            now_ms,
        )

    stores.reservations.change(command.charge_point_id, payload["reservationId"], rule, now_ms)


def before_cancelling(command: NewCommand, stores: Stores) -> None:
    """One that is in no book of ours may be cancelled too: nothing is noted of it."""
    now_ms = command.created_at_ms

    def rule(before: Reservation | None) -> Reservation | None:
        return before and cancel_requested(before, command.command_id, now_ms)

    stores.reservations.change(
        command.charge_point_id, command.payload["reservationId"], rule, now_ms
    )


def after_end(command: Command, sequel: Sequel) -> None:
    """The end of a ReserveNow or CancelReservation."""
    changed = _settle(sequel.stores, command.payload["reservationId"], command, sequel.now_ms)
    if changed is not None and changed.state is ReservationState.ACCEPTED:
        jobs.wake_at_expiry(
            sequel.settings.rq_redis_url,
            changed.charge_point_id,
            changed.reservation_id,
            changed.terms.expires_at_ms,
        )


def sweep(sequel: Sequel) -> None:
    """Those whose time is over, and those whose command should have its end by now."""
    reservations = sequel.stores.reservations
    for due in reservations.due(sequel.now_ms, PER_SWEEP_MAX):
        look_at(sequel.stores, due, sequel.now_ms)
    reservations.trim()


def look_at(stores: Stores, due: Due, now_ms: int) -> None:
    """Have one reservation be what it is by now. May be done by anybody, at any time, twice."""
    charge_point_id, reservation_id = due.charge_point_id, due.reservation_id
    record = stores.reservations.find(charge_point_id, reservation_id)
    if record is not None:
        for wish in record.wishes:
            _catch_up(stores, record, wish, now_ms)
        if effective(record, now_ms) != record:
            # Whoever was to note its use may have died: a transaction says more than the clock.
            Repair(stores.link).mend_reservations(charge_point_id)
        stores.reservations.change(
            charge_point_id,
            reservation_id,
            lambda before: before and effective(before, now_ms),
            now_ms,
        )
        stores.changed.add(charge_point_id)
    stores.reservations.looked_at(due, now_ms)


def _catch_up(stores: Stores, record: Reservation, wish: Wish, now_ms: int) -> None:
    """A command that has its end, or that never came to be."""
    command = stores.commands.find(record.charge_point_id, wish.command_id)
    if command is not None and command.state in FINAL_STATES:
        _settle(stores, record.reservation_id, command, now_ms)
    elif (
        command is None
        and now_ms - wish.asked_at_ms >= LOOK_AGAIN_MS
        and stores.commands.never_was(record.charge_point_id, wish.command_id)
    ):
        never = Command(
            command_id=wish.command_id,
            charge_point_id=record.charge_point_id,
            action="",
            payload={},
            state=CommandState.UNDELIVERABLE,
            requested_by=record.requested_by,
            created_at_ms=wish.asked_at_ms,
            deadline_at_ms=wish.asked_at_ms,
            reason=NEVER_WAS,
        )
        _settle(stores, record.reservation_id, never, now_ms)


def _settle(
    stores: Stores, reservation_id: int, command: Command, now_ms: int
) -> Reservation | None:
    stores.changed.add(command.charge_point_id)
    return stores.reservations.change(
        command.charge_point_id,
        reservation_id,
        lambda before: before and settled(before, command, now_ms),
        now_ms,
    )


def _terms(payload: Mapping[str, Any]) -> Terms:
    """Of a ReserveNow.req that has been checked."""
    return Terms(
        connector_id=payload["connectorId"],
        id_tag=payload["idTag"],
        parent_id_tag=payload.get("parentIdTag"),
        expires_at_ms=epoch_ms(payload["expiryDate"]) or 0,
    )
