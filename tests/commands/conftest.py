"""Both ends of a command: the desk that queues it, and the process that holds CP001's socket."""

from dataclasses import dataclass, field

import pytest
from cast import CP001, NOON_MS, PEPPER, SETTINGS, Line, enter_the_cast
from memory_storage import MemoryStorage

from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.delivery import Delivery
from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.sealing import Sealer
from csms.commands.sequels import Sequels
from csms.commands.waiting import Waiting
from csms.domain.charge_point import ChargePoint
from csms.protocol.frames import CallError, CallResult
from csms.protocol.pending_calls import PendingCalls
from csms.state.stores import Stores

TIMEOUT_S = 60
DEADLINE_S = 120


def new_desk(stores):
    return CommandDesk(stores, Sealer(PEPPER), DEADLINE_S, BEFORE_QUEUEING, ())


class Socket:
    """The owner's side of CP001: takes commands, and hands answers in."""

    def __init__(self, stores, process_id="process-1", record=CP001, now_ms=NOON_MS):
        self.stores = stores
        self.record = record
        self.line = Line(stores, record, process_id, now_ms)
        self.pending = PendingCalls()
        self.waiting = Waiting()
        self.delivery = Delivery(
            stores,
            Sealer(PEPPER),
            self.waiting,
            process_id,
            PEPPER,
            TIMEOUT_S,
            Sequels(stores, new_desk(stores), SETTINGS, MemoryStorage()),
        )
        stores.presences.renew(process_id)

    def next(self, now_ms=NOON_MS):
        return self.delivery.next_call(self.record, self.line.epoch, self.pending, now_ms)

    def answer(self, call, payload, now_ms=NOON_MS):
        return self._settle(CallResult(call.unique_id, payload), now_ms)

    def refuse(self, call, code, description="", details=None, now_ms=NOON_MS):
        frame = CallError(call.unique_id, code, description, details or {})
        return self._settle(frame, now_ms)

    def _settle(self, frame, now_ms):
        return self.delivery.settle(self.record.charge_point_id, self.pending, frame, now_ms)

    def expire(self, now_ms):
        return self.delivery.expire(self.record.charge_point_id, self.pending, now_ms)

    def lose(self, now_ms=NOON_MS):
        self.delivery.lose(self.record.charge_point_id, self.pending, now_ms)


@dataclass
class Desk:
    """Where operators' wishes are taken: a soft Reset of CP001 unless told otherwise."""

    stores: Stores
    record: ChargePoint = CP001
    requests: CommandDesk = field(init=False)

    def __post_init__(self):
        self.requests = new_desk(self.stores)

    def queue(self, action="Reset", payload=None, now_ms=NOON_MS, **fields):
        if payload is None:
            payload = {"type": "Soft"} if action == "Reset" else {}
        request = CommandRequest(
            self.record.charge_point_id, action, payload, requested_by="operator", **fields
        )
        return self.requests.queue(request, now_ms)

    def look(self, command):
        """The command as recorded now."""
        return self.stores.commands.get(command.command_id)


@pytest.fixture
def desk(stores):
    enter_the_cast(stores)
    return Desk(stores)


@pytest.fixture
def socket(desk):
    return Socket(desk.stores)


@pytest.fixture
def plug_in(desk):
    """Connects any charge point."""
    return lambda record, now_ms=NOON_MS: Socket(desk.stores, record=record, now_ms=now_ms)
