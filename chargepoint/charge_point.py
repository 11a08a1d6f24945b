"""A virtual charge point: hardware with a link, a registration and an offline queue.

Two greenlets each: one keeps the link and reads, one says whatever is due, in order. What acts
on the hardware only queues what is to be said; `call`, `authorize` and the `wait_...` methods
block.
"""

import itertools
import random
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import gevent
import gevent.ssl
from gevent.event import Event

from chargepoint.answers import answers_of
from chargepoint.certificates import Certificates
from chargepoint.connector import Connector, Transaction
from chargepoint.conversation import Answerer, Conversation, Payload
from chargepoint.errors import CallRefused, NoAnswer
from chargepoint.files import MovedFile
from chargepoint.hardware import Hardware
from chargepoint.known_id_tags import KnownIdTags
from chargepoint.ledger import Ledger
from chargepoint.options import Options
from chargepoint.transaction_queue import TransactionMessage, TransactionQueue
from chargepoint.transfers import Transfers
from chargepoint.wire import Link, LinkLost, Refused

STEADY_LINK_S = 10.0  # a link that held this long ends a series of failures
LAST_WORDS_S = 0.2
GOODBYE_S = 2.0


@dataclass(slots=True)
class Notice:
    """A message that is said once or not at all."""

    number: int
    action: str
    payload: Payload
    connector_id: int | None = None


def utc_now() -> datetime:
    """The present instant, aware, UTC."""
    return datetime.now(UTC)


def say_nothing(_: str) -> None:
    """For charge points whose talk nobody reads."""


class ChargePoint(Hardware):
    """One charge point; also a context manager that starts and stops it.

    `url` is the endpoint without the identity. `authorization_key` is hex text, sent as
    `Options.password_form` says; text that is not hex is sent as it is. `clock` gives the
    instants in messages and drives the meters; pauses and time-outs are real time. `answers`
    replaces entries of the table of answers: see refuse, ignore, delayed and Reply in
    chargepoint.conversation. `say` gets a readable line for each thing said and heard.
    """

    def __init__(
        self,
        url: str,
        charge_point_id: str,
        *,
        authorization_key: str | None = None,
        options: Options | None = None,
        answers: Mapping[str, Answerer] | None = None,
        clock: Callable[[], datetime] = utc_now,
        ledger: Ledger | None = None,
        say: Callable[[str], None] = say_nothing,
        ssl_context: gevent.ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(options or Options(), clock)
        self.charge_point_id = charge_point_id
        self.url = f"{url.rstrip('/')}/{quote(charge_point_id, safe='')}"
        self.authorization_key = authorization_key
        self.queue = TransactionQueue(self.options.attempts, self.options.queue_limit)
        self.known_id_tags = KnownIdTags(self.configuration, clock)
        self.certificates = Certificates(self.options.key_kind, self.options.hash_algorithm)
        self.firmware_version = self.options.firmware_version
        self.transfers = Transfers(self)
        self.registration: str | None = None  # Accepted, Pending, Rejected
        self.refusal: Refused | LinkLost | None = None  # why the last try to connect failed
        self.answers = answers_of(self)
        self.answers.update(answers or {})
        self.conversation = Conversation(
            charge_point_id, self.answers, now_text=self.now_text, ledger=ledger, say=say
        )
        self.say = say
        self._ssl_context = ssl_context
        self._numbers = itertools.count(1)
        self._notices: deque[Notice] = deque()
        self._told: dict[int, tuple[str, str]] = {}  # the status last reported, a connector
        self._boot_due_s = 0.0
        self._pinged_s = 0.0
        self._online = Event()
        self._online.set()
        self._hurry = Event()
        self._wake = Event()
        self._accepted = Event()
        self._told_all = Event()
        self._told_all.set()
        self._greenlets: list[gevent.Greenlet[[], None]] = []

    # --- life ---

    def start(self) -> "ChargePoint":
        """Power up: connect, boot and keep going by itself."""
        self._greenlets = [gevent.spawn(self._stay_connected), gevent.spawn(self._keep_house)]
        return self

    def stop(self) -> None:
        """Take it away: close the link, end its greenlets. What is queued is not sent."""
        self._online.clear()
        if self.link is not None:
            self.link.close(1001)
            gone_s = time.monotonic() + GOODBYE_S
            while self.is_linked and time.monotonic() < gone_s:
                gevent.sleep(0.005)
        gevent.killall([*self._greenlets, *self.conversation.follow_ups])

    def __enter__(self) -> "ChargePoint":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wake(self) -> None:
        """Look again at what is due."""
        self._wake.set()

    @property
    def is_linked(self) -> bool:
        """There is a link, registered or not."""
        return self.conversation.linked.is_set()

    @property
    def link(self) -> Link | None:
        """The link, for tests that hurt it: stop_reading, send something odd."""
        return self.conversation.link

    def wait_linked(self, timeout_s: float = 30.0) -> None:
        """Until there is a link. Raises TimeoutError."""
        if not self.conversation.linked.wait(timeout_s):
            raise TimeoutError(f"{self.charge_point_id} not connected: {self.refusal!r}")

    def wait_accepted(self, timeout_s: float = 30.0) -> None:
        """Until there is a link and the boot was Accepted. Raises TimeoutError."""
        if not self._accepted.wait(timeout_s):
            raise TimeoutError(f"{self.charge_point_id}: {self.registration}, {self.refusal!r}")

    def wait_delivered(self, timeout_s: float = 30.0) -> None:
        """Until nothing is left to be said. Raises TimeoutError."""
        if not self._told_all.wait(timeout_s):
            raise TimeoutError(f"{self.charge_point_id} has {len(self.queue)} messages queued")

    def go_offline(self) -> None:
        """Lose the network until `go_online`; the hardware goes on."""
        self._online.clear()
        self.cut()

    def go_online(self) -> None:
        """The network is back."""
        self._online.set()
        self._hurry.set()

    def cut(self) -> None:
        """Break the link with a reset; it is built again by itself."""
        if self.link is not None:
            # At once, not when the reader notices: a caller may wait for the next link now.
            self._accepted.clear()
            self.link.abort()

    def use_key(self, key: str) -> None:
        """Take a new AuthorizationKey (hex) and connect again with it."""
        self.authorization_key = key
        self._hurry.set()
        if self.link is not None:
            self.link.close(1000, "new key")

    def power_cycle(self, reason: str = "PowerLoss", off_s: float | None = None) -> None:
        """Lose power for `off_s` and boot again; sessions are reported as ended afterwards."""
        for connector in self.busy():
            self.stop_transaction(connector.connector_id, reason)
        self._restart(self.options.off_s if off_s is None else off_s)

    def reset(self, kind: str) -> None:
        """Boot again. Soft: sessions are ended and reported first. Hard: reported afterwards."""
        if kind == "Hard":
            # A cut takes back what the other end has not read yet: our answer should arrive.
            gevent.sleep(LAST_WORDS_S)
            return self.power_cycle("HardReset")
        for connector in self.busy():
            self.stop_transaction(connector.connector_id, "SoftReset")
        try:
            self.wait_delivered(10.0)
        except TimeoutError:
            pass  # the queue outlives the reset
        return self._restart(self.options.off_s)

    # --- talk ---

    def call(self, action: str, payload: Payload, timeout_s: float | None = None) -> Payload:
        """Send any CALL now, registered or not, and wait for the CALLRESULT's payload.

        Raises CallRefused for a CALLERROR, NoAnswer after `timeout_s` (default: the option),
        LinkLost.
        """
        limit_s = self.options.call_timeout_s if timeout_s is None else timeout_s
        return self.conversation.call(action, payload, limit_s)

    def authorize(self, id_tag: str, timeout_s: float | None = None) -> str:
        """AuthorizationStatus of a presented tag; by the offline rules when nobody answers."""
        local = self.configuration.boolean("LocalPreAuthorize")
        if local and self.known_id_tags.find(id_tag) == "Accepted":
            return "Accepted"
        if self.registration == "Accepted":
            try:
                answer = self.call("Authorize", {"idTag": id_tag}, timeout_s)
                return self.known_id_tags.remember(id_tag, answer)
            except (LinkLost, NoAnswer, CallRefused):
                pass
        return self.known_id_tags.offline_status(id_tag)

    def boot_now(self) -> None:
        """Send BootNotification next, before its interval is over."""
        if self.registration == "Accepted":
            self.registration = None
            self._accepted.clear()
        self._boot_due_s = 0.0
        self.wake()

    def queue_message(self, action: str, payload: Payload, transaction: Transaction | None) -> bool:
        """Queue a transaction message: kept, in order, until it is acknowledged."""
        message = TransactionMessage(next(self._numbers), action, payload, transaction)
        queued = self.queue.add(message)
        if queued:
            self._told_all.clear()
            self.wake()
        return queued

    def notify(self, action: str, payload: Payload, connector_id: int | None = None) -> None:
        """Say something once, if there is somebody to hear it.

        Nothing is lost by that: boot and reconnection tell the statuses anew. Before boot is
        Accepted only what was triggered is said, which the callers see to (E2 4.2).
        """
        if self.registration in {"Accepted", "Pending"} and self.is_linked:
            self._notices.append(Notice(next(self._numbers), action, payload, connector_id))
            self._told_all.clear()
            self.wake()

    def tell_status(self, connector: Connector) -> None:
        """A status changed: report it when registered."""
        if self.registration == "Accepted":
            self.repeat_status([connector.connector_id])

    def repeat_status(self, connector_ids: list[int]) -> None:
        """Report statuses, changed or not."""
        for number in connector_ids:
            connector = self.connectors[number]
            payload = {
                "connectorId": number,
                "errorCode": connector.error_code,
                "status": connector.status,
                "timestamp": self.now_text(),
            }
            self.notify("StatusNotification", payload, number)

    def report_security_event(self, kind: str, tech_info: str = "") -> None:
        """SecurityEventNotification (white paper, A04)."""
        payload = {"type": kind, "timestamp": self.now_text()}
        if tech_info:
            payload["techInfo"] = tech_info
        self.notify("SecurityEventNotification", payload)

    @property
    def received_firmware(self) -> MovedFile | None:
        """What it has fetched last, where it moves files."""
        return self.transfers.received_firmware

    @property
    def uploaded_file(self) -> MovedFile | None:
        """What it has left last, where it moves files."""
        return self.transfers.uploaded_file

    @property
    def serial_number(self) -> str:
        """What it tells in its boot, and wants its certificate to name."""
        return (self.options.serial_number or self.charge_point_id)[:25]

    def ask_for_certificate(self) -> None:
        """SignCertificate, for a key made for it (white paper, A02 and A03)."""
        csr = self.certificates.ask(self.serial_number, self.configuration.text("CpoName"))
        self.notify("SignCertificate", {"csr": csr})

    def use_certificate(self) -> None:
        """Connect again, with the certificate that was signed last."""
        identity = self.certificates.identity
        if identity is None or self._ssl_context is None:
            return  # its link is not one that a certificate belongs to
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(identity.key + identity.chain)
            file.flush()
            self._ssl_context.load_cert_chain(file.name)
        self._hurry.set()
        if self.link is not None:
            self.link.close(1000, "new certificate")

    # --- what takes time once the central system has asked for it ---

    def start_remotely(self, connector: Connector, id_tag: str) -> None:
        """Authorize where configured, then start once a vehicle is there."""
        if (
            self.configuration.boolean("AuthorizeRemoteTxRequests")
            and self.authorize(id_tag) != "Accepted"
        ):
            return
        if not connector.is_free:
            return
        if connector.is_plugged:
            self.start_transaction(connector.connector_id, id_tag)
            return
        self.await_vehicle(connector, id_tag)
        arrives_s = self.options.plug_in_after_remote_start_s
        if arrives_s is not None:
            gevent.sleep(arrives_s)
            if connector.awaited_id_tag == id_tag:
                self.plug_in(connector.connector_id)

    def _restart(self, off_s: float) -> None:
        self.registration = None
        self._accepted.clear()
        self._told.clear()
        self._notices.clear()
        self._boot_due_s = 0.0
        self._online.clear()
        self.cut()
        self.forget_all_but_books()
        gevent.sleep(off_s)
        self.go_online()

    # --- the greenlet that keeps the link ---

    def _stay_connected(self) -> None:
        failures = 0
        while True:
            self._online.wait()
            lasted_s = self._one_link()
            failures = 0 if lasted_s > STEADY_LINK_S else failures + 1
            # Bounded before the power is taken: a float overflows after a thousand failures.
            longest_s = self.options.reconnect_first_s * 2 ** min(failures, 20)
            pause_s = min(self.options.reconnect_max_s, longest_s) * random.uniform(0.5, 1.0)
            self._hurry.wait(pause_s)
            self._hurry.clear()

    def _one_link(self) -> float:
        """Connect and talk until the link ends; the seconds it lasted."""
        try:
            link = self._connect()
        except (Refused, LinkLost) as error:
            self.refusal = error
            self.say(f"! no connection: {error}")
            return 0.0
        self.refusal = None
        self.say("* connected")
        began_s = time.monotonic()
        try:
            self.conversation.lead(link, self._begin)
        finally:
            link.abort()
            self._accepted.clear()
            self._notices.clear()
            self._note_what_is_left()
        self.say(f"* disconnected ({link.close_code})")
        return time.monotonic() - began_s

    def _connect(self) -> Link:
        link = Link.connect(
            self.url,
            authorization=self._password(),
            subprotocols=self.options.subprotocols,
            timeout_s=self.options.connect_timeout_s,
            headers=self.options.headers,
            ssl_context=self._ssl_context,
        )
        if not self._online.is_set():
            link.abort()
            raise LinkLost("went offline while connecting")
        if link.subprotocol is None and self.options.subprotocols:
            link.abort()
            raise LinkLost("no subprotocol agreed")
        return link

    def _begin(self) -> None:
        # No BootNotification on a mere reconnect (OCPP-J 1.6, 5.4); a status that changed
        # meanwhile is told.
        self.queue.hasten()
        if self.registration == "Accepted":
            self._accepted.set()
            self._tell_changes()
        self.wake()

    def _password(self) -> bytes | None:
        key = self.authorization_key
        if key is None:
            return None
        if self.options.password_form == "raw":  # noqa: S105  # how, not what
            try:
                return bytes.fromhex(key)
            except ValueError:
                pass  # a password that was never a key
        return key.encode()

    # --- the greenlet that says what is due ---

    def _keep_house(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause_s = self._do_next_duty()
            except (LinkLost, NoAnswer, CallRefused) as error:
                self.say(f"! {error}")
                # The reader must get its turn to find the link gone, or this would spin.
                gevent.sleep(0.01)
                pause_s = 0.0
            self._note_what_is_left()
            if self.conversation.unanswered >= self.options.silent_calls_before_reconnect:
                self.cut()  # a half-open link never ends by itself
            if pause_s > 0:
                self._wake.wait(pause_s)

    def _do_next_duty(self) -> float:
        """Say the most urgent thing, or say how long nothing is due, in seconds."""
        local_s = self.mind_own_time()
        if not self.is_linked:
            return local_s
        now_s = time.monotonic()
        booting = self.registration != "Accepted"
        message = None if booting else self.queue.head
        due = message is not None and message.not_before <= now_s
        if self._notices and not (due and message and message.number < self._notices[0].number):
            self._say_notice(self._notices[0])
            return 0.0
        if booting:
            return min(local_s, self._boot_when_due(now_s))
        if message is not None and due:
            self._deliver(message)
            return 0.0
        wait_s = min(local_s, self._keep_alive(now_s))
        return wait_s if message is None else min(wait_s, message.not_before - now_s)

    def _boot_when_due(self, now_s: float) -> float:
        if now_s < self._boot_due_s:
            return self._boot_due_s - now_s
        # Set first, for silence and refusal; a lost link boots again at once.
        self._boot_due_s = now_s + self.options.boot_retry_s
        try:
            answer = self.call("BootNotification", self._boot_payload())
        except LinkLost:
            self._boot_due_s = 0.0
            raise
        self._register(str(answer.get("status")), float(answer.get("interval") or 0))
        return 0.0

    def _register(self, status: str, interval_s: float) -> None:
        self.registration = status
        self.conversation.is_deaf = status == "Rejected"
        if status != "Accepted":
            pause_s = interval_s or self.options.boot_retry_s
            self._boot_due_s = time.monotonic() + pause_s
            return
        if interval_s:
            self.configuration.set("HeartbeatInterval", str(int(interval_s)))
        self._accepted.set()
        self._told.clear()
        self._tell_changes()

    def _boot_payload(self) -> Payload:
        return {
            "chargePointVendor": self.options.vendor,
            "chargePointModel": self.options.model,
            "chargePointSerialNumber": self.serial_number,
            "firmwareVersion": self.firmware_version,
            "meterType": "virtual",
        }

    def _tell_changes(self) -> None:
        for number, connector in self.connectors.items():
            if self._told.get(number) != (connector.status, connector.error_code):
                self.repeat_status([number])

    def _say_notice(self, notice: Notice) -> None:
        try:
            self.call(notice.action, notice.payload)
            if notice.connector_id is not None:
                told = (notice.payload["status"], notice.payload["errorCode"])
                self._told[notice.connector_id] = told
        finally:
            # A lost link has cleared them all meanwhile, a restart put others in their place.
            if self._notices and self._notices[0] is notice:
                self._notices.popleft()

    def _deliver(self, message: TransactionMessage) -> None:
        """One try of the head of the queue."""
        if message.unique_id is None or self.options.retry_with_new_id:
            message.unique_id = str(uuid.uuid4())
        try:
            answer = self.conversation.call(
                message.action,
                message.completed_payload(),
                self.options.call_timeout_s,
                unique_id=message.unique_id,
                message=message.number,
            )
            if message.action == "StartTransaction":
                self._started(message, answer)
        except (NoAnswer, CallRefused):
            self._failed(message)
            raise
        self.queue.settle(message)
        if message.action == "StartTransaction" and message.transaction is not None:
            self._mind_refused_tag(message.transaction)

    def _started(self, message: TransactionMessage, answer: Payload) -> None:
        transaction = message.transaction
        if transaction is None:
            return
        if not isinstance(answer.get("transactionId"), int):
            raise CallRefused("FormationViolation", "no transactionId in the answer")
        transaction.transaction_id = answer["transactionId"]
        transaction.status = self.known_id_tags.remember(transaction.id_tag, answer)
        transaction.answered.set()

    def _failed(self, message: TransactionMessage) -> None:
        interval_s = self.options.retry_interval_s
        if interval_s is None:
            interval_s = float(self.configuration.integer("TransactionMessageRetryInterval"))
        kept = self.queue.fail(message, time.monotonic(), interval_s)
        if not kept and message.action == "StartTransaction" and message.transaction:
            message.transaction.answered.set()

    def _mind_refused_tag(self, transaction: Transaction) -> None:
        connector = self.connectors[transaction.connector_id]
        if transaction.status == "Accepted" or connector.transaction is not transaction:
            return
        if self.configuration.boolean("StopTransactionOnInvalidId"):
            self.stop_transaction(connector.connector_id, "DeAuthorized")
        else:
            connector.wanted_w = 0.0
            self.resume(connector.connector_id)

    def _keep_alive(self, now_s: float) -> float:
        """Heartbeat and ping; seconds until the next of them is due."""
        # Anything sent is a sign of life and moves the heartbeat back (E2 4.6).
        sent_s = self.conversation.last_sent_s
        heartbeat_s = sent_s + (self.configuration.integer("HeartbeatInterval") or 86_400)
        if now_s >= heartbeat_s:
            self.call("Heartbeat", {})
            return 0.0
        ping_s = self.configuration.integer("WebSocketPingInterval")
        if not ping_s or self.link is None:
            return heartbeat_s - now_s
        if now_s >= max(sent_s, self._pinged_s) + ping_s:
            self._pinged_s = now_s
            self.link.ping()
        return min(heartbeat_s, max(sent_s, self._pinged_s) + ping_s) - now_s

    def _note_what_is_left(self) -> None:
        if len(self.queue) or self._notices:
            self._told_all.clear()
        else:
            self._told_all.set()
