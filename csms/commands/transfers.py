"""Keeps what becomes of the requests that move files: from the wish to the charge point's answer.

What it reports afterwards comes in as messages of its own (handlers/transfer_reports.py).
"""

from collections.abc import Mapping
from typing import Any

from csms.commands.sequel import Sequel
from csms.domain.command import Command
from csms.domain.firmware_signature import signature_warnings
from csms.domain.transfer import (
    KINDS,
    Outcome,
    TransferState,
    outcome_of,
    protocol_warning,
    transfer_of,
)
from csms.logs import get_logger
from csms.state.commands import NEVER_WAS, NewCommand
from csms.state.stores import Stores

log = get_logger(__name__)

PER_SWEEP_MAX = 200
# With these nobody comes for the file, or with it.
_NEVER_FETCHED = frozenset({TransferState.REFUSED, TransferState.UNSENT})


def before_queueing(command: NewCommand, stores: Stores) -> None:
    """Nothing here keeps a request from being sent: what is odd about it is noted."""
    transfer = transfer_of(command)
    supported = stores.configurations.find(command.charge_point_id).items(
        "SupportedFileTransferProtocols"
    )
    warnings = [
        *filter(None, [protocol_warning(transfer.location, supported)]),
        *_signature_warnings(command.payload, command.created_at_ms),
    ]
    stores.transfers.record(transfer_of(command, warnings))


def _signature_warnings(payload: Mapping[str, Any], now_ms: int) -> list[str]:
    firmware = payload.get("firmware")
    if firmware is None:
        return []
    return signature_warnings(firmware["signature"], firmware["signingCertificate"], now_ms)


def after_command(command: Command, sequel: Sequel) -> None:
    """Also for a late answer; may be repeated."""
    outcome = outcome_of(command)
    over = sequel.stores.transfers.settle(
        command.charge_point_id,
        command.command_id,
        KINDS[command.action],
        outcome,
        command.settled_at_ms or sequel.now_ms,
    )
    if outcome.state in _NEVER_FETCHED and transfer_of(command).is_hosted:
        sequel.stores.file_grants.withdraw(command.command_id)
    sequel.stores.changed.add(command.charge_point_id)
    for transfer_id in over:
        log.info(
            "transfer taken over",
            charge_point_id=command.charge_point_id,
            transfer_id=transfer_id,
            by=command.command_id,
            cancelled=outcome.cancels_earlier,
        )


def sweep(sequel: Sequel) -> None:
    """Those that a process noted and then, as it died, never put on their way."""
    stores = sequel.stores
    for charge_point_id, transfer_id in stores.transfers.due(sequel.now_ms, PER_SWEEP_MAX):
        noted = stores.transfers.find(charge_point_id, transfer_id)
        if noted is not None and stores.commands.never_was(charge_point_id, transfer_id):
            unsent = Outcome(TransferState.UNSENT, reason=NEVER_WAS)
            stores.transfers.settle(charge_point_id, transfer_id, noted.kind, unsent, sequel.now_ms)
            if noted.is_hosted:
                stores.file_grants.withdraw(transfer_id)
            stores.changed.add(charge_point_id)
        stores.transfers.looked_at(charge_point_id, transfer_id)
