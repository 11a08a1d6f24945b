"""One charge point's socket: frames come off it, answers and commands go onto it."""

import time

import gevent

from csms import metrics
from csms.clock import now_ms
from csms.commands.delivery import Delivery
from csms.config import Settings
from csms.domain.charge_point import RegistrationStatus
from csms.domain.command import TriggeredMessage
from csms.domain.transfer import KINDS, STATUS_MESSAGES
from csms.errors import CSMSError, StaleEpoch, StoreRefused, StoreUnavailable
from csms.handlers.context import CallContext, OwnedChargePoint
from csms.handlers.dispatch import ROUTES, answer
from csms.logs import get_logger
from csms.protocol.call_errors import FormationViolation
from csms.protocol.frames import (
    Call,
    CallError,
    CallResult,
    Frame,
    Undecodable,
    UnknownMessageType,
    decode,
    encode,
)
from csms.protocol.pending_calls import PendingCall, PendingCalls
from csms.protocol.triggers import Triggers, connector_of, triggered_action
from csms.state.stores import Stores
from csms.transport.websocket import ConnectionClosed, WebSocket

log = get_logger(__name__)

# Before it is accepted nothing a charge point says is longer.
UNREGISTERED_MESSAGE_BYTES = 65_536
# Some charge points drop the link when they are called before their boot is answered; one that
# does not boot after a reconnect is called after this pause.
HOLD_S = 3.0
MALFORMED_MAX = 10
TIMEOUTS_MAX = 3
# A charge point that sends more is read more slowly: TCP tells it to wait.
FRAMES_PER_S_MAX = 200

REPLACED = "replaced by a newer connection"
UNSUPPORTED_DATA, POLICY_VIOLATION, UNEXPECTED_CONDITION = 1003, 1008, 1011
# What a charge point may send while it is Pending, because we asked for it.
_SEQUELS = {action: STATUS_MESSAGES[kind] for action, kind in KINDS.items()}


class ChargePointConnection:
    """Reads in its own greenlet, one frame after the other, so that a charge point's messages are
    handled in the order of their arrival; commands are sent from there or from wake()."""

    def __init__(
        self,
        ws: WebSocket,
        owned: OwnedChargePoint,
        stores: Stores,
        delivery: Delivery,
        settings: Settings,
    ) -> None:
        self.ws = ws
        self.owned = owned
        self.charge_point_id = owned.charge_point_id
        self.last_frame_at_ms = 0
        self._stores = stores
        self._delivery = delivery
        self._settings = settings
        self._pending = PendingCalls()
        self._triggers = Triggers()
        self._malformed = 0
        self._second = 0
        self._frames_this_second = 0
        self._called = False
        self._pumping = False
        self._pump_again = False
        self._limit_messages()

    @property
    def has_outstanding(self) -> bool:
        return self._pending.outstanding is not None

    def run(self) -> None:
        """Until the socket is closed, by whomever."""
        hold = gevent.spawn_later(HOLD_S, self._release)
        try:
            while (message := self.ws.receive()) is not None:
                if isinstance(message, bytes):
                    self.ws.close(UNSUPPORTED_DATA, "OCPP is spoken in text frames")
                    return
                self._slow_down()
                self._take(message)
        except StaleEpoch:
            metrics.duplicate_connections.inc()
            self.ws.close(POLICY_VIOLATION, REPLACED)
        except ConnectionClosed:
            pass  # the state of the socket tells the rest
        finally:
            hold.kill(block=False)
            self._lose()

    def _lose(self) -> None:
        try:
            self._delivery.lose(self.charge_point_id, self._pending, now_ms())
        except (StoreUnavailable, StoreRefused) as error:
            log.error("lost command not recorded", reason=str(error))

    def displace(self) -> None:
        """End for a newer connection of the same charge point."""
        metrics.duplicate_connections.inc()
        self.dismiss(POLICY_VIOLATION, REPLACED)

    def dismiss(self, code: int, reason: str) -> None:
        """End the connection from outside its greenlet, without waiting for the peer."""
        gevent.spawn(self.ws.close, code, reason)

    # -- what comes in

    def _take(self, text: str) -> None:
        received_at_ms = self.last_frame_at_ms = now_ms()
        try:
            frame = decode(text)
        except Undecodable as problem:
            self._malformed_frame(text, problem, received_at_ms)
            return
        except UnknownMessageType as unknown:
            log.warning("message of unknown type ignored", message_type=str(unknown))
            self._stores.messages.received(self.charge_point_id, text, received_at_ms)
            return
        self._malformed = 0
        if isinstance(frame, Call):
            self._answer(frame, text, received_at_ms)
        else:
            self._stores.messages.received(self.charge_point_id, text, received_at_ms)
            self._settle(frame, received_at_ms)

    def _answer(self, call: Call, text: str, received_at_ms: int) -> None:
        began = time.perf_counter()
        context = CallContext(self.owned, self._stores, self._settings, received_at_ms)
        reply = answer(call, context)
        encoded = encode(reply)
        self.ws.send(encoded)
        self._stores.messages.received(
            self.charge_point_id, text, received_at_ms, encoded.decode(), now_ms()
        )
        _count(call, reply, time.perf_counter() - began)
        if isinstance(reply, CallResult) and self._delivery.sequels.has_after_answer(call.action):
            gevent.spawn(self._after_answer, call, reply, received_at_ms)
        if self._triggers.waiting:
            self._link_triggered(call, received_at_ms)
        if call.action == "BootNotification":
            self._limit_messages()
        if not self._called and self._may_be_called(call.action):
            self._release()

    def _after_answer(self, call: Call, reply: CallResult, received_at_ms: int) -> None:
        self._delivery.sequels.after_answer(
            self.charge_point_id,
            call.action,
            call.payload if isinstance(call.payload, dict) else {},
            reply.payload,
            received_at_ms,
        )

    def _link_triggered(self, call: Call, received_at_ms: int) -> None:
        """Note a message with the command that asked for it, if one did."""
        command_id = self._triggers.claim(call.action, call.payload, received_at_ms)
        if command_id is not None:
            message = TriggeredMessage(
                call.action, call.unique_id, connector_of(call.payload), received_at_ms
            )
            self._stores.commands.record_triggered(self.charge_point_id, command_id, message)

    def _settle(self, frame: CallResult | CallError, received_at_ms: int) -> None:
        try:
            self._settle_command(frame, received_at_ms)
        except (StoreUnavailable, StoreRefused) as error:
            # The sweep gives the command an end; the link has done nothing wrong.
            log.error("answer not recorded", unique_id=frame.unique_id, reason=str(error))
        self.pump()

    def _settle_command(self, frame: CallResult | CallError, received_at_ms: int) -> None:
        settled = self._delivery.settle(self.charge_point_id, self._pending, frame, received_at_ms)
        if settled is not None and isinstance(frame, CallResult):
            self._expect_sequel(settled, frame, received_at_ms)

    def _expect_sequel(self, settled: PendingCall, result: CallResult, received_at_ms: int) -> None:
        call = settled.call
        accepted = isinstance(result.payload, dict) and result.payload.get("status") == "Accepted"
        message = triggered_action(call.action, call.payload)
        if message is not None:
            if accepted:
                self.owned.triggered.add(message)
                self._triggers.expect(settled.command_id, message, call.payload, received_at_ms)
        elif call.action in _SEQUELS:
            self.owned.triggered.add(_SEQUELS[call.action])

    def _malformed_frame(self, text: str, problem: Undecodable, received_at_ms: int) -> None:
        self._malformed += 1
        log.warning("malformed message", problem=problem.problem, in_a_row=self._malformed)
        answered = ""
        if problem.unique_id is not None:
            error = CallError(problem.unique_id, FormationViolation.code, problem.problem)
            encoded = encode(error)
            self.ws.send(encoded)
            metrics.call_errors.labels(error.code).inc()
            answered = encoded.decode()
        self._stores.messages.received(
            self.charge_point_id, text, received_at_ms, answered, now_ms()
        )
        if self._malformed >= MALFORMED_MAX:
            self.ws.close(POLICY_VIOLATION, "too many malformed messages")

    def _slow_down(self) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._frames_this_second = second, 0
        self._frames_this_second += 1
        if self._frames_this_second > FRAMES_PER_S_MAX:
            gevent.sleep(max(0.0, second + 1 - time.monotonic()))

    def _limit_messages(self) -> None:
        accepted = self.owned.registration is RegistrationStatus.ACCEPTED
        self.ws.max_message_bytes = (
            self._settings.max_message_bytes if accepted else UNREGISTERED_MESSAGE_BYTES
        )

    # -- what goes out

    def _may_be_called(self, answered: str) -> bool:
        return (
            answered == "BootNotification" or self.owned.registration is RegistrationStatus.ACCEPTED
        )

    def _release(self) -> None:
        """From now on commands may be sent: its boot is answered, or it won't boot."""
        self._called = True
        self.wake()

    def wake(self) -> None:
        """Something may wait in the outbox."""
        if self._called:
            gevent.spawn(self.pump)

    def pump(self) -> None:
        """Send the next command, unless one is on its way."""
        if self._pumping:
            self._pump_again = True
            return
        if not self._called or self.owned.registration is RegistrationStatus.REJECTED:
            return
        self._pumping = True
        try:
            self._pump_again = True
            while self._pump_again:
                self._pump_again = False
                self._send_next()
        except StaleEpoch:
            self.displace()
        except ConnectionClosed:
            pass  # run() settles what was on its way
        except CSMSError as error:
            log.error("commands can't be sent now", reason=str(error))
        finally:
            self._pumping = False

    def _send_next(self) -> None:
        call = self._delivery.next_call(
            self.owned.record, self.owned.epoch, self._pending, now_ms()
        )
        if call is None:
            return
        if not self.ws.is_open:
            self._lose()
            return
        encoded = encode(call)
        self.ws.send(encoded)
        metrics.frames.count_sent(call.action)
        self._stores.messages.sent(self.charge_point_id, encoded.decode(), now_ms())

    def tick(self, at_ms: int) -> None:
        """Once a second while a CALL is outstanding: its time may be over."""
        if not self._delivery.expire(self.charge_point_id, self._pending, at_ms):
            return
        if self._pending.consecutive_timeouts >= TIMEOUTS_MAX:
            log.warning("several calls unanswered, closing", in_a_row=TIMEOUTS_MAX)
            self.dismiss(UNEXPECTED_CONDITION, "several calls were not answered")
            return
        self.wake()


def _count(call: Call, reply: Frame, seconds: float) -> None:
    # Only known actions become labels: what comes off the wire must not make new ones.
    tally = _tallies.get(call.action) or _tallies["unknown"]
    tally.add(seconds, is_error=isinstance(reply, CallError))


_tallies = metrics.frames.received
_tallies.update({action: metrics.CallTally() for action in (*ROUTES, "unknown")})
