"""What most Python central systems are made of, done well: asyncio, `websockets` and `ocpp`.

    python -m bench.baseline_asyncio --port 9000 --memory
    python -m bench.baseline_asyncio --port 9000 --redis redis://127.0.0.1:6379

The `ocpp` package's ChargePoint with its own validation as it comes. With --redis each message
makes the same writes as this system, in one pipeline, which is confirmed before the answer is
sent; what a charge point's connection knows of itself it keeps in memory, as ours does. It leaves
out what ours does beside (fencing, resends, a page's events): nothing here makes it slower than it
has to be.
"""

# The decorators of the `ocpp` package have no types.
# mypy: disable-error-code="untyped-decorator"

import argparse
import asyncio
import contextlib
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import redis.asyncio
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from redis.asyncio.client import Pipeline
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

HEARTBEAT_INTERVAL_S = 300
MESSAGES_KEPT = 200
GATHERED_WRITTEN_EVERY_S = 5.0
MESSAGES_WRITTEN_EVERY_S = 0.3
MESSAGES_KEPT_S = 90 * 86_400
STORE_CONNECTIONS = 50
ENERGY = "Energy.Active.Import.Register"
ENERGY_KEPT_S = 400 * 86_400

Payload = Mapping[str, Any]


@dataclass(slots=True)
class Session:
    """A transaction as the connection that began it knows it."""

    transaction_id: int
    connector_id: int
    meter_start_wh: int
    energy_wh: int = 0


class Records(Protocol):
    """The writes of one charge point's messages; exchange() ends each message's."""

    async def new_transaction_id(self) -> int: ...
    def boot(self, facts: Payload) -> None: ...
    def connector(self, connector_id: int, record: Payload, before: str | None) -> None: ...
    def start(self, session: Session, record: Payload, started_at_ms: int) -> None: ...
    def meter(
        self, session: Session | None, connector_id: int, values: Sequence[tuple[int, str, Any]]
    ) -> None: ...
    def stop(self, session: Session, record: Payload) -> None: ...
    async def exchange(self, frame: str, answer: str) -> None: ...


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def timestamp_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@dataclass(slots=True)
class MemoryRecords:
    """The state of one charge point in dicts, as much of it as the store would keep."""

    ids: "itertools.count[int]"
    facts: Payload = field(default_factory=dict)
    connectors: dict[int, Payload] = field(default_factory=dict)
    transactions: dict[int, dict[str, Any]] = field(default_factory=dict)
    meter_values: dict[int, dict[str, Any]] = field(default_factory=dict)
    readings: dict[int, Any] = field(default_factory=dict)
    messages: "deque[tuple[int, str, str]]" = field(
        default_factory=lambda: deque(maxlen=MESSAGES_KEPT)
    )

    async def new_transaction_id(self) -> int:
        return next(self.ids)

    def boot(self, facts: Payload) -> None:
        self.facts = facts

    def connector(self, connector_id: int, record: Payload, before: str | None) -> None:
        self.connectors[connector_id] = record

    def start(self, session: Session, record: Payload, started_at_ms: int) -> None:
        self.transactions[session.transaction_id] = dict(record)
        self.meter_values[session.transaction_id] = {}

    def meter(
        self, session: Session | None, connector_id: int, values: Sequence[tuple[int, str, Any]]
    ) -> None:
        kept = self.meter_values.setdefault(session.transaction_id if session else 0, {})
        for _, timestamp, samples in values:
            kept[timestamp] = samples
            self.readings[connector_id] = samples
        if session is not None:
            self.transactions[session.transaction_id]["energy_wh"] = session.energy_wh

    def stop(self, session: Session, record: Payload) -> None:
        self.transactions[session.transaction_id].update(record)

    async def exchange(self, frame: str, answer: str) -> None:
        self.messages.append((now_ms(), frame, answer))


class RedisRecords:
    """The keys and values of csms/state, written by redis.asyncio."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        charge_point_id: str,
        gathered: defaultdict[str, list[str]] | None,
    ) -> None:
        """gathered: the message log by key, written for all charge points together; None writes
        it with each message."""
        self._client = client
        self._gathered = gathered
        self._id = charge_point_id
        self._key = f"csms:{{{charge_point_id}}}"
        self._writes: Pipeline | None = None

    @property
    def _pipeline(self) -> Pipeline:
        if self._writes is None:
            # MULTI and EXEC would be two commands more.
            self._writes = self._client.pipeline(transaction=False)
        return self._writes

    async def new_transaction_id(self) -> int:
        return int(await self._client.incr("csms:transaction-ids"))

    def boot(self, facts: Payload) -> None:
        self._pipeline.hset(
            self._key, mapping={"facts": orjson.dumps(facts), "booted_at_ms": now_ms()}
        )

    def connector(self, connector_id: int, record: Payload, before: str | None) -> None:
        pipeline, status = self._pipeline, record["status"]
        member = f"{self._id}/{connector_id}"
        pipeline.hset(f"{self._key}:connectors", str(connector_id), orjson.dumps(record))
        if before != status:
            if before is not None:
                pipeline.srem(f"csms:connectors:{before}", member)
            pipeline.sadd(f"csms:connectors:{status}", member)

    def start(self, session: Session, record: Payload, started_at_ms: int) -> None:
        pipeline, transaction_id = self._pipeline, session.transaction_id
        member = f"{transaction_id}/{self._id}"
        pipeline.hset(f"{self._key}:transaction:{transaction_id}", mapping=dict[Any, Any](record))
        pipeline.hset(f"{self._key}:open", str(session.connector_id), transaction_id)
        pipeline.zadd(f"{self._key}:transactions", {str(transaction_id): started_at_ms})
        pipeline.zadd("csms:transactions", {member: started_at_ms})
        pipeline.zadd("csms:open-transactions", {member: started_at_ms})
        pipeline.hset("csms:transaction-owners", str(transaction_id), self._id)

    def meter(
        self, session: Session | None, connector_id: int, values: Sequence[tuple[int, str, Any]]
    ) -> None:
        pipeline = self._pipeline
        key = (
            f"{self._key}:meter-values:{session.transaction_id}"
            if session is not None
            else f"{self._key}:loose-meter-values"
        )
        pipeline.zadd(
            key,
            {
                orjson.dumps((connector_id, timestamp, samples)): at_ms
                for at_ms, timestamp, samples in values
            },
        )
        at_ms, _, samples = values[-1]
        reading = {"at_ms": at_ms, **_figures(samples)}
        pipeline.hset(f"{self._key}:readings", str(connector_id), orjson.dumps(reading))
        if session is not None:
            pipeline.hset(
                f"{self._key}:transaction:{session.transaction_id}",
                mapping={"energy_wh": session.energy_wh, "metered_at_ms": at_ms},
            )

    def stop(self, session: Session, record: Payload) -> None:
        member = f"{session.transaction_id}/{self._id}"
        pipeline = self._pipeline
        pipeline.hset(
            f"{self._key}:transaction:{session.transaction_id}", mapping=dict[Any, Any](record)
        )
        pipeline.hdel(f"{self._key}:open", str(session.connector_id))
        pipeline.zrem("csms:open-transactions", member)

    async def exchange(self, frame: str, answer: str) -> None:
        at_ms = now_ms()
        key = f"{self._key}:messages"
        exchange = f"{at_ms} r {at_ms} {at_ms} {len(frame)} {frame}{answer}"
        if self._gathered is not None:
            self._gathered[key].append(exchange)
        else:
            # One command, as one would write it; a list is for many at once.
            self._pipeline.xadd(key, {"e": exchange}, maxlen=MESSAGES_KEPT, approximate=True)
        pipeline, self._writes = self._writes, None
        if pipeline is not None:
            await pipeline.execute()


def _log(pipeline: Pipeline, key: str, exchanges: list[str]) -> None:
    pipeline.rpush(key, *exchanges)
    pipeline.ltrim(key, -MESSAGES_KEPT, -1)
    pipeline.expire(key, MESSAGES_KEPT_S)


def _figures(samples: Sequence[Payload]) -> dict[str, float]:
    names = {ENERGY: "energy_wh", "Power.Active.Import": "power_w", "SoC": "state_of_charge"}
    return {
        names[sample["measurand"]]: float(sample["value"])
        for sample in samples
        if sample.get("measurand") in names and "phase" not in sample
    }


class CentralSystem(ChargePoint):  # type: ignore[misc]  # the package has no types
    """One connection; the handlers are what the package's documentation tells one to write."""

    def __init__(
        self, charge_point_id: str, connection: Any, records: Records, energy: Counter[str]
    ) -> None:
        """energy: Wh by day, of all charge points."""
        super().__init__(charge_point_id, connection)
        self.records = records
        self.energy = energy
        self.last_seen_ms = now_ms()
        self.statuses: dict[int, str] = {}
        self.sessions: dict[int, Session] = {}
        self._frame = ""

    async def route_message(self, raw_msg: str) -> None:
        self._frame = raw_msg
        self.last_seen_ms = now_ms()
        await super().route_message(raw_msg)

    async def _send(self, message: str) -> None:
        """Persist first, answer then."""
        await self.records.exchange(self._frame, message)
        await super()._send(message)

    @on(Action.boot_notification)
    def on_boot_notification(self, **facts: str) -> Any:
        self.records.boot(facts)
        return call_result.BootNotification(
            current_time=datetime.now(UTC).isoformat(),
            interval=HEARTBEAT_INTERVAL_S,
            status=RegistrationStatus.accepted,
        )

    @on(Action.heartbeat)
    def on_heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on(Action.authorize)
    def on_authorize(self, id_tag: str) -> Any:
        return call_result.Authorize(id_tag_info=IdTagInfo(AuthorizationStatus.accepted))

    @on(Action.status_notification)
    def on_status_notification(
        self, connector_id: int, error_code: str, status: str, **rest: Any
    ) -> Any:
        record = {"status": status, "error_code": error_code, "at_ms": now_ms(), **rest}
        self.records.connector(connector_id, record, self.statuses.get(connector_id))
        self.statuses[connector_id] = status
        return call_result.StatusNotification()

    @on(Action.start_transaction)
    async def on_start_transaction(
        self, connector_id: int, id_tag: str, meter_start: int, timestamp: str, **rest: Any
    ) -> Any:
        transaction_id = await self.records.new_transaction_id()
        session = Session(transaction_id, connector_id, meter_start)
        self.sessions[transaction_id] = session
        started_at_ms = timestamp_ms(timestamp)
        record = {
            "state": "open",
            "connector_id": connector_id,
            "id_tag": id_tag,
            "meter_start_wh": meter_start,
            "started_at_ms": started_at_ms,
        }
        self.records.start(session, record, started_at_ms)
        return call_result.StartTransaction(
            transaction_id=transaction_id, id_tag_info=IdTagInfo(AuthorizationStatus.accepted)
        )

    @on(Action.meter_values)
    def on_meter_values(
        self,
        connector_id: int,
        meter_value: Sequence[Payload],
        transaction_id: int | None = None,
    ) -> Any:
        session = None if transaction_id is None else self.sessions.get(transaction_id)
        values = [
            (timestamp_ms(value["timestamp"]), value["timestamp"], value["sampled_value"])
            for value in meter_value
        ]
        energy = _figures(values[-1][2]).get("energy_wh")
        if session is not None and energy is not None:
            energy_wh = round(energy) - session.meter_start_wh
            self.energy[datetime.now(UTC).date().isoformat()] += energy_wh - session.energy_wh
            session.energy_wh = energy_wh
        self.records.meter(session, connector_id, values)
        return call_result.MeterValues()

    @on(Action.stop_transaction)
    def on_stop_transaction(
        self, transaction_id: int, meter_stop: int, timestamp: str, **rest: Any
    ) -> Any:
        session = self.sessions.pop(transaction_id, None)
        if session is not None:
            record = {
                "state": "stopped",
                "meter_stop_wh": meter_stop,
                "stopped_at_ms": timestamp_ms(timestamp),
                "energy_wh": max(0, meter_stop - session.meter_start_wh),
            }
            self.records.stop(session, record)
        return call_result.StopTransaction()


class Server:
    """All connections; client None keeps everything in memory."""

    def __init__(self, client: "redis.asyncio.Redis | None", *, gathers: bool) -> None:
        """gathers: whether the message log is written for all together, a few times a second."""
        self._client = client
        self._gathers = gathers
        self._connected: dict[str, CentralSystem] = {}
        self._ids = itertools.count(1)
        self._energy: Counter[str] = Counter()
        self._messages: defaultdict[str, list[str]] = defaultdict(list)

    async def connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        charge_point_id = connection.request.path.rsplit("/", 1)[-1]
        charge_point = CentralSystem(
            charge_point_id, connection, self._records(charge_point_id), self._energy
        )
        self._connected[charge_point_id] = charge_point
        with contextlib.suppress(ConnectionClosed):
            await charge_point.start()
        del self._connected[charge_point_id]

    def _records(self, charge_point_id: str) -> Records:
        if self._client is None:
            return MemoryRecords(self._ids)
        return RedisRecords(
            self._client, charge_point_id, self._messages if self._gathers else None
        )

    async def write_messages(self) -> None:
        """The message log, a few times a second for all, as ours."""
        while self._client is not None:
            await asyncio.sleep(MESSAGES_WRITTEN_EVERY_S)
            pipeline = self._client.pipeline(transaction=False)
            for key, exchanges in self._messages.items():
                _log(pipeline, key, exchanges)
            self._messages.clear()
            await pipeline.execute()

    async def write_gathered(self) -> None:
        """Signs of life and the day's energy, every few seconds for all, as ours."""
        while self._client is not None:
            await asyncio.sleep(GATHERED_WRITTEN_EVERY_S)
            pipeline = self._client.pipeline(transaction=False)
            for charge_point in self._connected.values():
                key = f"csms:{{{charge_point.id}}}:live"
                pipeline.hset(key, "last_seen_ms", str(charge_point.last_seen_ms))
            for day, grown_wh in self._energy.items():
                pipeline.incrby(f"csms:energy:{day}", grown_wh)
                pipeline.expire(f"csms:energy:{day}", ENERGY_KEPT_S)
            self._energy.clear()
            await pipeline.execute()


async def run(port: int, redis_url: str | None, *, gathers: bool) -> None:
    client = None
    if redis_url is not None:
        # The default pool raises for the 101st message in hand instead of making it wait.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            redis_url, max_connections=STORE_CONNECTIONS, timeout=60
        )
        client = redis.asyncio.Redis(connection_pool=pool)
        await client.ping()
    server = Server(client, gathers=gathers)
    async with serve(
        server.connected, "127.0.0.1", port, subprotocols=[Subprotocol("ocpp1.6")], compression=None
    ):
        await asyncio.gather(server.write_gathered(), server.write_messages())
        await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(description="The asyncio server we compare with.")
    parser.add_argument("--port", type=int, required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--memory", action="store_true")
    where.add_argument("--redis", metavar="URL")
    parser.add_argument("--gather", action="store_true", help="write the message log as ours")
    asked = parser.parse_args()
    asyncio.run(run(asked.port, asked.redis, gathers=asked.gather))


if __name__ == "__main__":
    main()
