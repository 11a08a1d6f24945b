"""Packs, forgets and mends: what grows must shrink, and what a crash left half-done is finished."""

import os
import time

from csms import logs
from csms.clock import now_ms
from csms.config import Settings
from csms.state import shared_clock
from csms.state.link_sync import SyncLink
from csms.state.meter_values import MeterValues
from csms.state.repair import Repair
from csms.state.transactions import Transactions

log = logs.get_logger(__name__)

PER_STEP = 500
BUDGET_S = 20.0
MENDED_PER_RUN = 500
DAY_MS = 86_400_000


def run() -> None:
    """One round; it ends by itself after BUDGET_S, long before RQ would end it."""
    settings = Settings.from_env(os.environ)
    link = SyncLink(settings.redis_url)
    until = time.monotonic() + BUDGET_S
    try:
        shared_clock.follow(link)
        transactions = Transactions(link)
        meter_values = MeterValues(link)
        while pack_closed(meter_values) == PER_STEP and time.monotonic() < until:
            pass
        if settings.transaction_retention_days:
            before_ms = now_ms() - settings.transaction_retention_days * DAY_MS
            while forget_old(transactions, before_ms) == PER_STEP and time.monotonic() < until:
                pass
        Repair(link).step(MENDED_PER_RUN)
    finally:
        link.close()


def pack_closed(meter_values: MeterValues) -> int:
    """Compress the meter values of some closed transactions; how many were."""
    packed = 0
    for charge_point_id, transaction_id in meter_values.unpacked(PER_STEP):
        if meter_values.pack(charge_point_id, transaction_id):
            meter_values.mark_packed(charge_point_id, transaction_id)
            packed += 1
    return packed


def forget_old(transactions: Transactions, before_ms: int) -> int:
    """Take some transactions that began before an instant out of the store; how many were."""
    old = transactions.started_before(before_ms, PER_STEP)
    for charge_point_id, transaction_id in old:
        transactions.forget(charge_point_id, transaction_id)
    if old:
        log.info("old transactions forgotten", count=len(old))
    return len(old)
