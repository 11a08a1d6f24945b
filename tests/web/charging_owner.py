"""The process that holds CP001's socket, for tests of what the web side asks of charging."""

import threading
import time
from contextlib import contextmanager

from cast import CP001, PEPPER, SETTINGS

from csms import clock
from csms.commands.delivery import Delivery
from csms.commands.sealing import Sealer
from csms.commands.sequels import Sequels
from csms.protocol.frames import CallResult
from csms.protocol.pending_calls import PendingCalls

ACCEPTED = {"status": "Accepted"}


class Owner:
    """Sends what waits and hands in an answer, with all that follows."""

    def __init__(self, parts, epoch):
        self.parts = parts
        self.epoch = epoch
        self.pending = PendingCalls()
        self.delivery = Delivery(
            parts.stores,
            Sealer(PEPPER),
            parts.waiting,
            parts.process_id,
            PEPPER,
            60,
            Sequels(parts.stores, parts.desk, SETTINGS, parts.storage),
        )

    def answer_next(self, answer=ACCEPTED):
        """The CALL that was sent, which gets this answer; waits until there is one."""
        deadline = time.monotonic() + 30
        call = None
        while call is None and time.monotonic() < deadline:
            call = self.delivery.next_call(CP001, self.epoch, self.pending, clock.now_ms())
        self.delivery.settle(
            "CP001", self.pending, CallResult(call.unique_id, answer), clock.now_ms()
        )
        return call

    @contextmanager
    def answering(self, answer=ACCEPTED):
        """While somebody waits: the list holds the CALL afterwards."""
        sent = []
        thread = threading.Thread(target=lambda: sent.append(self.answer_next(answer)))
        thread.start()
        yield sent
        thread.join()
