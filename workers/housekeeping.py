"""Packs, forgets and mends: what grows must shrink, and what a crash left half-done is finished."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from csms import clock, logs
from csms.commands import stored_files
from csms.errors import StorageUnavailable
from csms.state.meter_values import MeterValues
from csms.state.repair import Repair
from csms.state.transactions import Transactions
from workers.parts import Parts, asked_for_again, open_parts

log = logs.get_logger(__name__)

PER_STEP = 500
BUDGET_S = 20.0
MENDED_PER_RUN = 500
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Duty:
    """step: does some of it; True while there is more to do at once."""

    every_s: int
    step: Callable[[Parts], bool]


@asked_for_again
def run(name: str) -> None:
    """Do a duty, if it is due; it ends by itself after BUDGET_S, long before RQ would end it."""
    duty = DUTIES[name]
    until = time.monotonic() + BUDGET_S
    with open_parts() as parts:
        duties = parts.stores.duties
        if not duties.take(name, PERIODS_MS[name], clock.now_ms()):
            return
        try:
            while (is_more := duty.step(parts)) and time.monotonic() < until:
                pass
        except Exception:
            duties.done(name, clock.now_ms())  # not done: whoever tries again finds it due
            raise
        duties.done(name, clock.now_ms() + (0 if is_more else PERIODS_MS[name]))


def _pack(parts: Parts) -> bool:
    return pack_closed(parts.stores.meter_values) == PER_STEP


def pack_closed(meter_values: MeterValues) -> int:
    """Compress the meter values of some closed transactions; how many were."""
    packed = 0
    for charge_point_id, transaction_id in meter_values.unpacked(PER_STEP):
        if meter_values.pack(charge_point_id, transaction_id):
            meter_values.mark_packed(charge_point_id, transaction_id)
            packed += 1
    return packed


def _forget(parts: Parts) -> bool:
    days = parts.settings.transaction_retention_days
    if not days:
        return False
    return forget_old(parts.stores.transactions, clock.now_ms() - days * DAY_MS) == PER_STEP


def forget_old(transactions: Transactions, before_ms: int) -> int:
    """Take some transactions that began before an instant out of the store; how many were."""
    old = transactions.started_before(before_ms, PER_STEP)
    for charge_point_id, transaction_id in old:
        transactions.forget(charge_point_id, transaction_id)
    if old:
        log.info("old transactions forgotten", count=len(old))
    return len(old)


def _mend(parts: Parts) -> bool:
    """A slice of the fleet a time."""
    Repair(parts.stores.link).step(MENDED_PER_RUN)
    return False


def _delete_files(parts: Parts) -> bool:
    sequel = parts.sequel()
    try:
        stored_files.sweep_unfinished(sequel)
        return stored_files.sweep_unclaimed(sequel)
    except StorageUnavailable as error:
        log.warning("file not deleted", reason=str(error))
        return False


DUTIES: Mapping[str, Duty] = {
    # A bucket that hangs holds the worker up for a minute and a half.
    "files": Duty(300, _delete_files),
    "packing": Duty(30, _pack),
    "retention": Duty(3_600, _forget),
    "repair": Duty(30, _mend),
}
PERIODS_MS: Mapping[str, int] = {name: duty.every_s * 1_000 for name, duty in DUTIES.items()}
