"""Bytes the store takes for each thing it keeps: `python -m bench.store_size`.

Fills an embedded store in a temporary directory through the modules of csms.state, a kind of
thing at a time, and reads INFO after each: `used_memory` for memory, the growth of the
append-only file for what is written to disc. docs/redis.md has the figures and what they mean for
a fleet.
"""

import argparse
import os
import platform
import random
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gevent.pool
import orjson

from csms.clock import now_ms, text_of
from csms.domain.authorization import ActiveTransaction, AuthorizationStatus, IdTag, TagStatus
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.command import CommandState
from csms.domain.connector import ChargePointStatus, Connector
from csms.domain.credentials import SALT_BYTES, hash_key
from csms.domain.metering import MeterValue, SampledValue, read_latest
from csms.domain.transaction import start_fingerprint
from csms.state import id_tags, keys
from csms.state.commands import NewCommand
from csms.state.embedded import EmbeddedStore
from csms.state.link import MultiplexedLink
from csms.state.link_sync import SyncLink
from csms.state.meter_values import Metered
from csms.state.stores import Stores
from csms.state.transactions import Start, Stop, started_commands, stopped_commands
from workers.housekeeping import pack_closed

PROCESS = "bench-0123456789ab"
PEPPER = b"0123456789abcdef0123456789abcdef"
DAY_MS = 86_400_000
GREENLETS = 50
POSTS_IN_A_ROW = 500
# A charge point with three sessions of an hour a day, MeterValues each minute, a Heartbeat each
# five minutes; of 200 exchanges in its log so many are of each kind.
LOG_OF_A_DAY = (("Heartbeat", 118), ("MeterValues", 74), ("StatusNotification", 8))


@dataclass(frozen=True, slots=True)
class Size:
    """memory: used_memory; written: to the append-only file since it was made or rewritten."""

    memory: int
    written: int


class Fleet:
    """What is put into the store: all of it by the same code that serves a fleet."""

    def __init__(self, stores: Stores, charge_points: int, messages_kept: int) -> None:
        self._stores = stores
        self._messages_kept = messages_kept
        self._random = random.Random(16)
        self._names = [f"CP-{number:06d}" for number in range(charge_points)]
        self._began_ms = now_ms() - DAY_MS
        self._epochs: dict[str, int] = {}
        self._closed = 0

    def enter_charge_points(self) -> int:
        """As an operator does, each with a key."""
        for name in self._names:
            key_hash = hash_key(secrets.token_bytes(20), secrets.token_bytes(SALT_BYTES), PEPPER)
            self._stores.charge_points.create(
                ChargePoint(name, key_hash=key_hash, created_at_ms=self._began_ms)
            )
        return len(self._names)

    def connect(self) -> int:
        """Boot, and status of the charge point and two connectors."""
        for name in self._names:
            connected = self._stores.presences.connect(
                name, PROCESS, self._began_ms, "203.0.113.77", secure=False
            )
            self._epochs[name] = connected.epoch
            self._stores.charge_points.record_boot(
                name, connected.epoch, _facts(name), RegistrationStatus.ACCEPTED, self._began_ms
            )
            for connector_id in range(3):
                self._stores.charge_points.record_connector(
                    name, connected.epoch, _connector(connector_id, self._began_ms), None
                )
        return len(self._names)

    def fill_message_logs(self) -> int:
        """Beyond what is kept, to a different length for each: trimming goes by whole nodes."""
        at_ms = self._began_ms
        kinds = [kind for kind, share in LOG_OF_A_DAY for _ in range(share)]
        self._random.shuffle(kinds)
        for index, name in enumerate(self._names):
            for number in range(self._messages_kept + 100 + index % 100):
                at_ms += 1_000
                frame, answer = self._exchange(kinds[number % len(kinds)], at_ms)
                self._stores.messages.received(name, frame, at_ms, answer, at_ms + 3)
                if number % 20 == 19:
                    self._write_messages()
            self._write_messages()
        return len(self._names)

    def _write_messages(self) -> None:
        for _ in self._stores.messages.write():
            pass
        self._settle_posts()

    def _exchange(self, kind: str, at_ms: int) -> tuple[str, str]:
        unique_id = f"{self._random.getrandbits(128):032x}"
        result: dict[str, object] = {}
        if kind == "MeterValues":
            value = self._meter_value(at_ms, 1_000, 30)
            payload: dict[str, object] = {
                "connectorId": 1,
                "transactionId": 216_000_000,
                "meterValue": [
                    {"timestamp": value.timestamp, "sampledValue": value.sampled_values}
                ],
            }
        elif kind == "StatusNotification":
            payload = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
            payload["timestamp"] = text_of(at_ms)
        else:
            payload, result = {}, {"currentTime": text_of(at_ms)}
        frame = orjson.dumps([2, unique_id, kind, payload])
        return frame.decode(), orjson.dumps([3, unique_id, result]).decode()

    def enter_id_tags(self) -> int:
        for index in range(len(self._names)):
            tag = IdTag(_id_tag(index), TagStatus.ACCEPTED, None, None, 1)
            self._stores.id_tags.create(tag)
        return len(self._names)

    def charge(self, transactions: int, values: int) -> int:
        """Transactions from their start to their stop."""
        pool = gevent.pool.Pool(GREENLETS)
        for session in range(transactions):
            pool.spawn(self._session, session, values).link_exception(_give_up)
        pool.join()
        self._settle_posts()
        self._closed += transactions
        return transactions

    def _session(self, session: int, values: int) -> None:
        stores = self._stores
        name = self._names[session % len(self._names)]
        # Connectors of their own, or the sessions of a charge point would supersede each other.
        connector_id = 1 + session // len(self._names)
        id_tag, epoch = _id_tag(session % len(self._names)), self._epochs[name]
        at_ms = self._began_ms + session * 1_000
        meter_start_wh = self._random.randrange(10_000_000)
        transaction_id = stores.transaction_ids.take(at_ms)
        timestamp = text_of(at_ms)
        stores.transactions.start(
            name,
            epoch,
            transaction_id,
            Start(
                connector_id=connector_id,
                id_tag=id_tag,
                fingerprint=start_fingerprint(
                    connector_id, id_tag, timestamp, meter_start_wh, None
                ),
                meter_start_wh=meter_start_wh,
                started_at_ms=at_ms,
                timestamp=timestamp,
                received_at_ms=at_ms + 40,
                reservation_id=None,
                clock_guard_ms=0,
                flags=(),
            ),
            AuthorizationStatus.ACCEPTED,
        )
        active = ActiveTransaction(name, connector_id, transaction_id)
        for command in started_commands(name, transaction_id, at_ms, is_open=True):
            stores.link.post(*command)
        stores.link.post(*id_tags.activate_command(id_tag, active))
        for minute in range(values):
            value = self._meter_value(at_ms + minute * 60_000, meter_start_wh, minute)
            reading = read_latest([value])
            register_wh = reading.energy_wh if reading and reading.energy_wh is not None else 0
            energy_wh = register_wh - meter_start_wh
            stores.meter_values.record(
                name,
                epoch,
                Metered(connector_id, transaction_id, [value], (), energy_wh, value.at_ms, reading),
            )
        self._stop(name, epoch, transaction_id, meter_start_wh, at_ms + values * 60_000)
        for command in stopped_commands(name, transaction_id):
            stores.link.post(*command)
        stores.link.post(*id_tags.deactivate_command(id_tag, active))

    def _stop(
        self, name: str, epoch: int, transaction_id: int, meter_start_wh: int, at_ms: int
    ) -> None:
        stop = Stop(
            transaction_id=transaction_id,
            stated_transaction_id=transaction_id,
            meter_stop_wh=meter_start_wh + 11_000,
            stopped_at_ms=at_ms,
            timestamp=text_of(at_ms),
            received_at_ms=at_ms + 40,
            reason="EVDisconnected",
            id_tag="",
            transaction_data=(),
            flags=(),
        )
        transactions = self._stores.transactions
        reply = self._stores.link.call(*transactions.stop_command(name, epoch, stop))
        assert transactions.read_stopped(name, reply).is_new

    def pack(self) -> int:
        """What the worker's housekeeping does with closed transactions."""
        while pack_closed(self._stores.meter_values):
            pass
        return self._closed

    def command(self, count: int) -> int:
        """Commands queued, sent and answered."""
        for index in range(count):
            name = self._names[index % len(self._names)]
            command_id = f"{self._random.getrandbits(128):032x}"
            at_ms = self._began_ms + index
            self._stores.commands.queue(
                NewCommand(
                    command_id=command_id,
                    charge_point_id=name,
                    action="RemoteStartTransaction",
                    payload={"connectorId": 1, "idTag": _id_tag(index)},
                    sealed="",
                    requested_by="admin",
                    reply_to=PROCESS,
                    created_at_ms=at_ms,
                    deadline_at_ms=at_ms + 120_000,
                ),
                None,
            )
            unique_id = f"{self._random.getrandbits(128):036x}"
            taken, _ = self._stores.commands.take(name, self._epochs[name], unique_id, at_ms)
            assert taken is not None
            self._stores.commands.settle(
                name, command_id, CommandState.ANSWERED, at_ms, answer={"status": "Accepted"}
            )
        self._settle_posts()
        return count

    def refuse(self, count: int) -> int:
        """Refused connections, each of another stranger."""
        for index in range(count):
            self._stores.refusals.record(
                f"STRANGER-{index:06d}", "unknown charge point", "203.0.113.78", self._began_ms
            )
            if index % POSTS_IN_A_ROW == 0:
                self._settle_posts()
        self._settle_posts()
        return count

    def _settle_posts(self) -> None:
        """Posts go in order, so that they are all done when a call after them is."""
        self._stores.link.call("PING")

    def _meter_value(self, at_ms: int, meter_start_wh: int, minute: int) -> MeterValue:
        """Eight samples, as a three-phase charge point sends them."""
        current = self._random.uniform(15.2, 16.1)
        samples: list[SampledValue] = [
            _sample(str(meter_start_wh + minute * 183), "Energy.Active.Import.Register", "Wh"),
            _sample(f"{current * 3 * 230:.0f}", "Power.Active.Import", "W"),
        ]
        for phase in ("L1", "L2", "L3"):
            amperes = f"{current + self._random.uniform(-0.2, 0.2):.1f}"
            samples.append({**_sample(amperes, "Current.Import", "A"), "phase": phase})
            volts = f"{self._random.uniform(228, 233):.1f}"
            samples.append({**_sample(volts, "Voltage", "V"), "phase": f"{phase}-N"})
        return MeterValue(at_ms, text_of(at_ms), samples)


def _sample(value: str, measurand: str, unit: str) -> SampledValue:
    return {
        "value": value,
        "context": "Sample.Periodic",
        "measurand": measurand,
        "location": "Outlet",
        "unit": unit,
    }


def _facts(name: str) -> dict[str, str]:
    return {
        "chargePointVendor": "Nordwerk",
        "chargePointModel": "NW-22 Duo",
        "chargePointSerialNumber": name,
        "firmwareVersion": "4.2.0",
        "iccid": "89490200001234567890",
        "meterType": "NW-M3",
    }


def _connector(connector_id: int, at_ms: int) -> Connector:
    status = ChargePointStatus.AVAILABLE
    return Connector(connector_id, status, "NoError", "", "", "", "", at_ms, at_ms + 40)


def _id_tag(index: int) -> str:
    return f"04{index:012X}"


def _give_up(ended: "gevent.Greenlet[..., None]") -> None:
    """A session that failed would make every figure wrong."""
    raise SystemExit(f"a session failed: {ended.exception!r}")


def _facts_of(admin: SyncLink, section: str) -> dict[str, str]:
    lines = (line.partition(":") for line in admin.call("INFO", section).splitlines())
    return {name: value for name, colon, value in lines if colon}


def _read(admin: SyncLink) -> Size:
    memory, persistence = _facts_of(admin, "memory"), _facts_of(admin, "persistence")
    return Size(int(memory["used_memory"]), int(persistence["aof_current_size"]))


def _keys_of_one(admin: SyncLink, charge_point_id: str) -> list[str]:
    transaction_id = admin.call("ZRANGE", keys.transactions_of(charge_point_id), 0, 0)[0]
    return [
        keys.charge_point(charge_point_id),
        keys.live(charge_point_id),
        keys.connectors(charge_point_id),
        keys.messages(charge_point_id),
        keys.transaction(charge_point_id, transaction_id),
        keys.packed_meter_values(charge_point_id, transaction_id),
    ]


def measure(wanted: argparse.Namespace) -> None:
    """Print a row for each kind of thing, and what single keys take by the server's reckoning."""
    with tempfile.TemporaryDirectory() as directory, EmbeddedStore(Path(directory)) as store:
        admin = SyncLink(store.url)
        admin.call("CONFIG", "SET", "hash-max-listpack-value", wanted.listpack_value)
        admin.call("CONFIG", "SET", "auto-aof-rewrite-percentage", 0)
        link = MultiplexedLink(store.url)
        stores = Stores.behind(link, wanted.messages)
        _print_machine(admin, wanted.listpack_value)
        _print_sizes(admin, Fleet(stores, wanted.charge_points, wanted.messages), wanted)
        print("MEMORY USAGE of single keys:")
        for key in _keys_of_one(admin, "CP-000000"):
            print(f"  {key:50}{admin.call('MEMORY', 'USAGE', key):12,}")
        link.close()
        admin.close()


def _print_machine(admin: SyncLink, listpack_value: int) -> None:
    facts = _facts_of(admin, "server")
    print(
        f"Valkey {facts.get('valkey_version', '?')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; "
        f"hash-max-listpack-value {listpack_value}"
    )


def _print_sizes(admin: SyncLink, fleet: Fleet, wanted: argparse.Namespace) -> None:
    steps: tuple[tuple[str, Callable[[], int]], ...] = (
        ("charge point entered", fleet.enter_charge_points),
        ("… connected, booted, two connectors", fleet.connect),
        (f"… its message log of {wanted.messages} exchanges", fleet.fill_message_logs),
        ("idTag", fleet.enter_id_tags),
        (
            f"closed transaction, {wanted.meter_values} meter values",
            lambda: fleet.charge(wanted.transactions, wanted.meter_values),
        ),
        ("… what packing it changes", fleet.pack),
        ("settled command", lambda: fleet.command(wanted.charge_points)),
        ("refused connection", lambda: fleet.refuse(wanted.charge_points)),
    )
    print(f"{'':44}{'count':>8}{'bytes each':>12}{'written each':>14}")
    before = _read(admin)
    for name, step in steps:
        count = step()
        after = _read(admin)
        print(
            f"{name:44}{count:8,}{(after.memory - before.memory) / count:12,.0f}"
            f"{(after.written - before.written) / count:14,.0f}"
        )
        before = after
    print(f"{'in all':44}{'':8}{before.memory:12,}{before.written:14,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--charge-points", type=int, default=1_000)
    parser.add_argument("--transactions", type=int, default=2_000)
    parser.add_argument("--meter-values", type=int, default=60)
    parser.add_argument("--messages", type=int, default=200, help="MESSAGE_LOG_LENGTH")
    parser.add_argument(
        "--listpack-value",
        type=int,
        default=512,
        help="hash-max-listpack-value: 512 is the embedded store's, 64 a server's own default",
    )
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
