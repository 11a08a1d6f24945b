"""Keeps our books of the charging profiles that charge points hold (OCPP 1.6 ed. 2, 3.13, 5.16).

A profile is noted before its command is queued, and settled by the command's end, by what clears or
replaces it, and by the transaction it is for. The last is also done whenever the books are read,
since what follows from an answer may be lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from csms.commands.sequel import Sequel
from csms.domain.charging_books import (
    LIVE_STATES,
    OPEN_STATES,
    Change,
    ClearCriteria,
    ProfileRecord,
    ProfileState,
    after_answer,
    after_clear,
    after_transactions,
    after_unanswered_clear,
    changed,
    installed_with,
)
from csms.domain.charging_profile import ChargingLimits, Purpose, check_room, read_profile
from csms.domain.command import Command, CommandState
from csms.domain.transaction import Transaction, TransactionState
from csms.errors import FieldError
from csms.state.commands import NEVER_WAS, NewCommand
from csms.state.stores import Stores

UNANSWERED_STATES = frozenset({CommandState.TIMED_OUT, CommandState.UNKNOWN})
# No charge point holds so many; more would be a program gone wild.
OPEN_MAX = 200
# Between the note and the queueing lie milliseconds: what is not queued by now never will be.
NOT_QUEUED_MS = 60_000


# -- before it is queued


def note_set(command: NewCommand, stores: Stores) -> None:
    """SetChargingProfile. Raises FieldError where the charge point has no room."""
    profile = read_profile(command.payload["csChargingProfiles"])
    record = ProfileRecord(
        command_id=command.command_id,
        profile=profile,
        connector_id=command.payload["connectorId"],
        state=ProfileState.REQUESTED,
        requested_by=command.requested_by,
        requested_at_ms=command.created_at_ms,
        changed_at_ms=command.created_at_ms,
        transaction_id=profile.transaction_id,
    )
    _note(record, command.charge_point_id, stores, "payload.csChargingProfiles")


def note_remote_start(command: NewCommand, stores: Stores) -> None:
    """RemoteStartTransaction, where it brings a profile. Raises FieldError as well."""
    if "chargingProfile" not in command.payload:
        return
    record = ProfileRecord(
        command_id=command.command_id,
        profile=read_profile(command.payload["chargingProfile"]),
        connector_id=command.payload.get("connectorId"),
        state=ProfileState.REQUESTED,
        requested_by=command.requested_by,
        requested_at_ms=command.created_at_ms,
        changed_at_ms=command.created_at_ms,
        id_tag=command.payload["idTag"],
    )
    _note(record, command.charge_point_id, stores, "payload.chargingProfile")


def _note(record: ProfileRecord, charge_point_id: str, stores: Stores, path: str) -> None:
    records = up_to_date(stores, charge_point_id, record.requested_at_ms)
    if sum(known.state in OPEN_STATES for known in records) >= OPEN_MAX:
        raise FieldError(
            path, f"{OPEN_MAX} profiles are kept of a charge point at most: clear some first"
        )
    limits = ChargingLimits.told(stores.configurations.find(charge_point_id))
    check_room(installed_with(records, record), limits, path)
    stores.charging_profiles.add(charge_point_id, record)


# -- after the end of a command


def after_bringing(command: Command, sequel: Sequel) -> None:
    """SetChargingProfile and RemoteStartTransaction: whether the charge point took the profile."""
    stores, charge_point_id = sequel.stores, command.charge_point_id
    records = up_to_date(stores, charge_point_id, sequel.now_ms)
    record = next((r for r in records if r.command_id == command.command_id), None)
    if record is None:
        return
    state, reason = _outcome(command)
    sent = replace(record, sent_at_ms=command.sent_at_ms)
    changes = after_answer(sent, records, state, reason, sequel.now_ms)
    stores.charging_profiles.change(charge_point_id, changes)


def _outcome(command: Command) -> tuple[ProfileState, str]:
    """A CALLERROR is a refusal like another (errata 3.24, 3.38, 3.39)."""
    if command.status == "Accepted":
        return ProfileState.INSTALLED, ""
    if command.status is not None:
        return ProfileState.REFUSED, f"the charge point answered {command.status}"
    if command.error is not None:
        text = f"{command.error.code}: {command.error.description}"
        return ProfileState.REFUSED, text.removesuffix(": ")
    if command.late_answer is not None:
        return ProfileState.REFUSED, str(
            command.late_answer.get("error", "its answer makes no sense")
        )
    if command.state in UNANSWERED_STATES:
        return ProfileState.UNCERTAIN, command.reason
    return ProfileState.REFUSED, command.reason


def after_clearing(command: Command, sequel: Sequel) -> None:
    """ClearChargingProfile: Unknown means that the charge point had nothing of the kind."""
    is_done = command.status in {"Accepted", "Unknown"}
    is_open = command.state in UNANSWERED_STATES and command.late_answer is None
    if command.sent_at_ms is None or not (is_done or is_open):
        return
    stores, charge_point_id = sequel.stores, command.charge_point_id
    records = [
        _with_sent_at(record, charge_point_id, stores)
        for record in up_to_date(stores, charge_point_id, sequel.now_ms)
    ]
    criteria = ClearCriteria.of_payload(command.payload)
    if is_open:
        changes = after_unanswered_clear(records, criteria, command.sent_at_ms, sequel.now_ms)
    else:
        reason = "" if command.status == "Accepted" else "the charge point did not know it"
        changes = after_clear(records, criteria, command.sent_at_ms, reason, sequel.now_ms)
    stores.charging_profiles.change(charge_point_id, changes)


def _with_sent_at(record: ProfileRecord, charge_point_id: str, stores: Stores) -> ProfileRecord:
    """A profile whose answer has not been followed up may have been sent all the same."""
    if record.state is not ProfileState.REQUESTED:
        return record
    command = stores.commands.find(charge_point_id, record.command_id)
    return record if command is None else replace(record, sent_at_ms=command.sent_at_ms)


# -- after the start or the end of a transaction


def after_transaction(
    charge_point_id: str, _: Mapping[str, Any], __: Mapping[str, Any], sequel: Sequel
) -> None:
    """A remote start's profile learns its transaction; that of an ended one leaves the books."""
    up_to_date(sequel.stores, charge_point_id, sequel.now_ms)


def up_to_date(stores: Stores, charge_point_id: str, now_ms: int) -> list[ProfileRecord]:
    """The books of a charge point, oldest first, with what its transactions have made of them."""
    records = stores.charging_profiles.all_of(charge_point_id)
    changes = [
        *_never_queued(records, charge_point_id, stores, now_ms),
        *_by_transactions(records, charge_point_id, stores, now_ms),
    ]
    stores.charging_profiles.change(charge_point_id, changes)
    after = {change.after.command_id: change.after for change in changes}
    return [after.get(record.command_id, record) for record in records]


def _never_queued(
    records: Sequence[ProfileRecord], charge_point_id: str, stores: Stores, now_ms: int
) -> list[Change]:
    return [
        changed(record, ProfileState.REFUSED, now_ms, NEVER_WAS)
        for record in records
        if record.state is ProfileState.REQUESTED
        and now_ms - record.requested_at_ms > NOT_QUEUED_MS
        and stores.commands.never_was(charge_point_id, record.command_id)
    ]


def _by_transactions(
    records: Sequence[ProfileRecord], charge_point_id: str, stores: Stores, now_ms: int
) -> list[Change]:
    of_transactions = [
        record
        for record in records
        if record.state in LIVE_STATES and record.profile.purpose is Purpose.TX
    ]
    if not of_transactions:
        return []
    bound = {r.transaction_id for r in of_transactions if r.transaction_id is not None}
    running = open_transactions(stores, charge_point_id)
    over = bound - {transaction.transaction_id for transaction in running}
    ended = {
        transaction_id
        for transaction_id in over
        if _has_ended(stores.transactions.find(charge_point_id, transaction_id))
    }
    return after_transactions(of_transactions, running, ended, now_ms)


def _has_ended(transaction: Transaction | None) -> bool:
    """One we know nothing of may run: a charge point takes what it knows."""
    return transaction is not None and transaction.state is not TransactionState.OPEN


def open_transactions(stores: Stores, charge_point_id: str) -> list[Transaction]:
    found = [
        stores.transactions.find(charge_point_id, transaction_id)
        for transaction_id in stores.transactions.open_of(charge_point_id).values()
    ]
    return [transaction for transaction in found if transaction is not None]
