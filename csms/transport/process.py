"""What a web process does beside its sockets: its lease, its inbox, its clocks, its share of the
sweeping."""

import time
import uuid
from collections.abc import Callable

import gevent
from gevent.pool import Group

from csms import metrics
from csms.clock import now_ms
from csms.commands.delivery import Delivery
from csms.commands.sweeper import Sweeper
from csms.config import Settings, host_name
from csms.domain.charge_point import ChargePoint
from csms.errors import CSMSError
from csms.handlers.context import OwnedChargePoint
from csms.logs import bind_contextvars, clear_contextvars, get_logger
from csms.state import inbox, shared_clock
from csms.state.events import Event
from csms.state.inbox import Inbox, Note, NoteKind
from csms.state.presence import LEASE_MS, RENEW_S
from csms.state.stores import Stores
from csms.transport.connection import POLICY_VIOLATION, ChargePointConnection
from csms.transport.upgrade import UpgradeRequest
from csms.transport.websocket import WebSocket

log = get_logger(__name__)

PUBLISH_S = 0.3
TICK_S = 1.0
SEEN_S = 5.0
SWEEP_S = 2.0
WAITING_OUTBOXES_MAX = 500
# Charge points whose messages are written before others get their turn.
LOGS_PER_TURN = 100
TRY_AGAIN_LATER = 1013
SETTINGS_CHANGED = "its settings have changed"


def new_process_id() -> str:
    """Never used before, readable in a list."""
    return f"{host_name()[:32]}-{uuid.uuid4().hex[:12]}"


class Process:
    """The sockets of this process by charge point, and the loops that serve them all.

    on_events: told what changed anywhere in the system.
    """

    def __init__(
        self,
        process_id: str,
        stores: Stores,
        delivery: Delivery,
        settings: Settings,
        on_events: Callable[[Event], None],
    ) -> None:
        self.process_id = process_id
        self._stores = stores
        self._delivery = delivery
        self._sweeper = Sweeper(delivery)
        self._settings = settings
        self._on_events = on_events
        self._connections: dict[str, ChargePointConnection] = {}
        self._loops = Group()
        self._renewed_at = time.monotonic()
        self._seen_written_ms = 0
        self._draining = False

    def start(self, notes: Inbox) -> None:
        """Take the lease and start the loops. Raises StoreUnavailable."""
        shared_clock.follow(self._stores.link)
        self._stores.presences.renew(self.process_id)
        self._every(RENEW_S, self._renew)
        self._every(PUBLISH_S, self._publish)
        self._every(TICK_S, self._tick)
        self._every(SEEN_S, self._write_seen)
        self._every(SEEN_S, self._look_for_commands)
        self._every(SWEEP_S, self._sweep)
        self._loops.spawn(self._read_inbox, notes)

    def drain(self) -> None:
        """Sockets end from now on because the process does."""
        self._draining = True

    def end(self) -> None:
        """After the last socket: give the lease back."""
        self._loops.kill(timeout=1)
        try:
            self._publish()
            self._stores.presences.retire(self.process_id)
        except CSMSError as error:
            log.error("lease not given back", reason=str(error))

    # -- one socket

    def serve(
        self,
        record: ChargePoint,
        request: UpgradeRequest,
        ws: WebSocket,
        is_still_welcome: Callable[[], bool],
    ) -> None:
        """An admitted socket, from its takeover to its end; runs in the socket's greenlet.

        is_still_welcome: asked once it is known who holds the socket. A change of the settings
        before that found nobody to send away. Where the store does not say, nobody is.
        """
        charge_point_id = record.charge_point_id
        clear_contextvars()
        bind_contextvars(charge_point_id=charge_point_id)
        try:
            connection = self._take_over(record, request, ws)
        except CSMSError as error:
            log.error("connection not taken over", reason=str(error))
            ws.close(TRY_AGAIN_LATER, "try again later")
            return
        try:
            if is_still_welcome():
                connection.run()
            else:
                ws.close(POLICY_VIOLATION, SETTINGS_CHANGED)
        finally:
            self._let_go(connection)

    def _take_over(
        self, record: ChargePoint, request: UpgradeRequest, ws: WebSocket
    ) -> ChargePointConnection:
        charge_point_id = record.charge_point_id
        stores = self._stores
        connected = stores.presences.connect(
            charge_point_id,
            self.process_id,
            now_ms(),
            request.remote_address,
            secure=request.secure,
        )
        connectors = stores.charge_points.connectors(charge_point_id)
        connection = ChargePointConnection(
            ws,
            OwnedChargePoint(
                record,
                connected.epoch,
                record.registration,
                {connector.connector_id: connector for connector in connectors},
            ),
            stores,
            self._delivery,
            self._settings,
        )
        before = self._connections.get(charge_point_id)
        if before is not None and before.owned.epoch > connected.epoch:
            connection.displace()  # a newer one overtook us on the way
            return connection
        self._connections[charge_point_id] = connection
        if before is not None:
            before.displace()
        elif connected.process_before not in {"", self.process_id}:
            note = Note(NoteKind.EVICT, f"{connected.epoch} {charge_point_id}")
            inbox.send(stores.link, connected.process_before, note)
        if connected.command_in_flight:
            self._delivery.settle_left_behind(
                charge_point_id, connected.command_in_flight, now_ms()
            )
        stores.changed.add(charge_point_id)
        log.info(
            "charge point connected",
            remote_address=request.remote_address,
            epoch=connected.epoch,
            replaced=before is not None or connected.process_before != "",
        )
        return connection

    def _let_go(self, connection: ChargePointConnection) -> None:
        charge_point_id = connection.charge_point_id
        if self._connections.get(charge_point_id) is connection:
            del self._connections[charge_point_id]
        ws = connection.ws
        reason = _reason(ws, draining=self._draining)
        metrics.disconnections.labels(str(ws.close_code or "none")).inc()
        try:
            self._write_seen_of(connection)
            self._stores.presences.disconnect(
                charge_point_id, self.process_id, connection.owned.epoch, now_ms(), reason
            )
        except CSMSError as error:
            # The lease runs out or the next connection takes over; nothing is lost by it.
            log.error("disconnect not recorded", reason=str(error))
        self._stores.changed.add(charge_point_id)
        log.info("charge point disconnected", code=ws.close_code, reason=reason)

    # -- what comes from other processes

    def _read_inbox(self, notes: Inbox) -> None:
        while True:
            try:
                received, events = notes.read()
            except CSMSError:
                gevent.sleep(0.5)
                continue
            for note in received:
                self._heed(note)
            for event in events:
                self._on_events(event)

    def _heed(self, note: Note) -> None:
        if note.kind is NoteKind.SETTLED:
            self._delivery.waiting.wake(note.value)
            return
        if note.kind is NoteKind.WAKE:
            connection = self._connections.get(note.value)
            if connection is not None:
                connection.wake()
            return
        epoch_text, _, charge_point_id = note.value.partition(" ")
        connection = self._connections.get(charge_point_id)
        if connection is None:
            return
        epoch = int(epoch_text)
        if epoch == 0:
            connection.dismiss(POLICY_VIOLATION, SETTINGS_CHANGED)
        elif connection.owned.epoch < epoch:
            connection.displace()

    # -- the loops

    def _every(self, period_s: float, work: Callable[[], None]) -> None:
        def loop() -> None:
            while True:
                due = time.monotonic() + period_s
                gevent.sleep(period_s)
                metrics.event_loop_lag.set(max(0.0, time.monotonic() - due))
                try:
                    work()
                except CSMSError as error:
                    log.error("periodic work failed", work=work.__name__, reason=str(error))
                except Exception:  # the edge: the loop of a greenlet
                    log.exception("periodic work failed", work=work.__name__)

        self._loops.spawn(loop)

    def _renew(self) -> None:
        with metrics.store_call_duration.time():
            self._stores.presences.renew(self.process_id)
        late = time.monotonic() - self._renewed_at > LEASE_MS / 1000
        self._renewed_at = time.monotonic()
        if late:
            self._reclaim()
        shared_clock.follow(self._stores.link)

    def _reclaim(self) -> None:
        """This process was thought dead for a while: who has been taken over must go, the others
        are put back under its name."""
        log.warning("lease had run out", connections=len(self._connections))
        for connection in list(self._connections.values()):
            owned = connection.owned
            if not self._stores.presences.reclaim(
                owned.charge_point_id, self.process_id, owned.epoch
            ):
                connection.displace()

    def _publish(self) -> None:
        metrics.energy_delivered.inc(self._stores.overviews.write_energy())
        self._stores.charge_points.write_moves()
        self._write_messages()
        changed = self._stores.changed.take()
        if changed:
            self._stores.events.publish(changed)

    def _write_messages(self) -> None:
        for number, _ in enumerate(self._stores.messages.write()):
            if number % LOGS_PER_TURN == LOGS_PER_TURN - 1:
                gevent.sleep(0)

    def _tick(self) -> None:
        at_ms = now_ms()
        for connection in list(self._connections.values()):
            if connection.has_outstanding:
                connection.tick(at_ms)

    def _write_seen(self) -> None:
        since, self._seen_written_ms = self._seen_written_ms, now_ms()
        seen = {
            charge_point_id: connection.last_frame_at_ms
            for charge_point_id, connection in self._connections.items()
            if connection.last_frame_at_ms > since
        }
        self._stores.presences.record_seen(seen)

    def _write_seen_of(self, connection: ChargePointConnection) -> None:
        if connection.last_frame_at_ms:
            self._stores.presences.record_seen(
                {connection.charge_point_id: connection.last_frame_at_ms}
            )

    def _look_for_commands(self) -> None:
        """Wake-ups can be lost; the outboxes can't."""
        for charge_point_id in self._stores.commands.waiting_outboxes(WAITING_OUTBOXES_MAX):
            connection = self._connections.get(charge_point_id)
            if connection is not None:
                connection.wake()

    def _sweep(self) -> None:
        self._sweeper.sweep(now_ms())


def _reason(ws: WebSocket, *, draining: bool) -> str:
    if draining:
        return "this process was stopped"
    if ws.close_reason:
        return ws.close_reason
    return "closed by the charge point" if ws.close_code else "the connection broke"
