"""The worker does the housekeeping by itself, and stops when it is told to."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from system import ROOT, System, eventually

from csms.domain.authorization import AuthorizationStatus
from csms.domain.metering import MeterValue
from csms.state import keys
from csms.state.link_sync import SyncLink
from csms.state.meter_values import Metered
from csms.state.stores import Stores
from csms.state.transactions import Start, Stop, started_commands, stopped_commands

pytestmark = pytest.mark.e2e

NOW_MS = 1_795_000_000_000


@pytest.fixture
def worker(own_system: System) -> Iterator[subprocess.Popen[bytes]]:
    log = own_system.directory / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers"],
            cwd=ROOT,
            env=own_system.environment(8000),
            stdout=output,
            stderr=output,
        )
    yield process
    process.kill()
    process.wait(10)


def closed_transaction(stores: Stores) -> int:
    """One with a meter value, as a charge point leaves it behind."""
    epoch = stores.presences.connect("CP001", "process", NOW_MS, "", secure=False).epoch
    start = Start(1, "ALICE", "fingerprint", 0, NOW_MS, "", NOW_MS, None, 0, ())
    started = stores.transactions.start("CP001", epoch, 7, start, AuthorizationStatus.ACCEPTED)
    transaction_id = started.transaction_id
    value = MeterValue(NOW_MS, "2026-11-18T10:00:00Z", [{"value": "5"}])
    metered = Metered(1, transaction_id, [value], (), None, 0, None)
    stores.meter_values.record("CP001", epoch, metered)
    stop = Stop(transaction_id, 7, 10, NOW_MS, "", NOW_MS, "Local", "", (), ())
    stores.link.call(*stores.transactions.stop_command("CP001", epoch, stop))
    stores.link.batch(
        *started_commands("CP001", transaction_id, NOW_MS, is_open=False),
        *stopped_commands("CP001", transaction_id),
    )
    return transaction_id


def test_values_of_closed_transactions_are_packed_and_still_readable(
    own_system: System, worker: subprocess.Popen[bytes]
) -> None:
    link = SyncLink(own_system.store.url)
    stores = Stores.behind(link, 10)
    transaction_id = closed_transaction(stores)
    before = stores.meter_values.of("CP001", transaction_id)

    eventually(
        lambda: link.call("EXISTS", keys.packed_meter_values("CP001", transaction_id)),
        "the values are packed",
        patience_s=120,
    )

    assert not link.call("EXISTS", keys.meter_values("CP001", transaction_id))
    assert stores.meter_values.of("CP001", transaction_id) == before
    link.close()
    worker.terminate()
    assert worker.wait(20) == 0
