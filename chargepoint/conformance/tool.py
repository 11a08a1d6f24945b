"""The charge point of a case: step by step it speaks, listens, and checks what it heard.

Each message of the central system is a step. A step begins when it is waited for; what is checked
afterwards belongs to it. Whatever a case does not expect fails it: silence, an answer too late, a
CALLERROR, a CALL out of turn, a broken schema, the end of the connection.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn
from urllib.parse import quote

import gevent
import gevent.ssl
from gevent.event import AsyncResult

from chargepoint.conformance.arrival import END, Arrival, Mutate, Payload
from chargepoint.conformance.case import CheckFailed
from chargepoint.conformance.cast import Cast
from chargepoint.conformance.operator import ApiAnswer, ApiUnusable, Operator, charge_point_path
from chargepoint.conformance.played import Played
from chargepoint.conformance.schemas import violation
from chargepoint.conformance.target import Target
from chargepoint.wire import LinkLost, client_context

COMMAND_WAIT_S = 30
# How often a record is looked at that is still to become what it must be.
LOOK_AGAIN_S = 0.02
RECEIVED_MAX = 4_000

# The checks that every message undergoes.
ANSWERED: Final = "answered"
IN_TIME: Final = "in time"
UNDISTURBED: Final = "no other CALL"
SCHEMA: Final = "schema"
CONNECTED: Final = "still connected"


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Sample:
    """How long an answer took: from the CALL given to the socket to the CALLRESULT read."""

    action: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Command:
    """An operation under way: what the API says at its end."""

    action: str
    end: "AsyncResult[Arrival]"


@dataclass(frozen=True, slots=True)
class Resource:
    """What of the API makes CALLs by itself of what it is told, below the charge point's path. It
    is asked to wait for their end."""

    method: str
    path: str
    body: Payload | None = None


class Tool:
    """played: the charge point. secrets: what no report may show; a case adds those it makes up."""

    def __init__(
        self,
        case_id: str,
        target: Target,
        operator: Operator,
        cast: Cast,
        played: Played,
        mutate: Mutate,
        secrets: set[str],
    ) -> None:
        self.case_id = case_id
        self.target = target
        self.operator = operator
        self.cast = cast
        self.played = played
        self.secrets = secrets
        self.line = played.line
        self.line.begin(mutate)
        self.received: Payload = {}
        self.command_id = ""  # of the command that was settled last
        self.samples: list[Sample] = []
        self.checks: list[str] = []  # every check passed, as `step: check`
        self.later: list[Callable[[], object]] = []  # undone at the end, last first
        self._mutate = mutate
        self._arrival = Arrival("nothing", {}, 0.0)
        self.steps: list[str] = []
        self._step = "start"
        self._ordinals: Counter[str] = Counter()
        self._asked = ""  # id of the CALL of the central system that is to be answered
        self._triggered_s = 0.0
        self._running: list[gevent.Greenlet[..., None]] = []
        self._has_started = False
        self._has_failed = False

    @property
    def charge_point_id(self) -> str:
        return self.played.charge_point_id

    @property
    def authorization_key(self) -> str:
        """In hex; empty for a charge point that has none."""
        return self.played.authorization_key

    # --- the connection ---

    def secure(self, url: str, ssl_context: gevent.ssl.SSLContext) -> Payload:
        """Try the TLS handshake, with which the next upgrade() to this address goes on: see
        Line.secure()."""
        self._begin("tls")
        self.played.has_booted = False
        self._look(self.line.secure(url, ssl_context, self.target.patience_s))
        return self.received

    def upgrade(
        self,
        url: str | None = None,
        *,
        password: bytes | None = None,
        anonymous: bool = False,
        subprotocols: Sequence[str] = ("ocpp1.6",),
        separator: str = ", ",
        headers: Mapping[str, str] | None = None,
        ssl_context: gevent.ssl.SSLContext | None = None,
    ) -> Payload:
        """Try the handshake: `status`, `subprotocol` as its header has it. Refused or not is for
        the case to judge; password: other than the one entered; anonymous: no credentials."""
        self._begin("upgrade")
        self.played.has_booted = False
        if password is None and self.authorization_key and not anonymous:
            password = bytes.fromhex(self.authorization_key)
        url = url or self.target.url
        if ssl_context is None and url.startswith("wss:"):
            ssl_context = client_context(self.target.ca_file)
        self._look(
            self.line.open(
                f"{url}/{quote(self.charge_point_id, safe='')}",
                authorization=password,
                subprotocols=subprotocols,
                separator=separator,
                headers=headers,
                ssl_context=ssl_context,
                timeout_s=self.target.patience_s,
            )
        )
        return self.received

    def connect(self, url: str | None = None, **how: Any) -> None:
        """The handshake, which must succeed."""
        self.upgrade(url, **how)
        self.has("status", 101)
        self.has("subprotocol", "ocpp1.6")

    def disconnect(self) -> None:
        self.played.disconnect()

    def vanish(self) -> None:
        """Be gone without a word, as with the power."""
        self.line.cut()
        self.disconnect()

    # --- the charge point asks ---

    def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL; the payload of its CALLRESULT."""
        self._begin(f"{action}.conf")
        unique_id = str(uuid.uuid4())
        try:
            sent_s = self.line.call(unique_id, action, payload)
        except LinkLost as error:
            self.fail(CONNECTED, "an open connection", str(error))
        arrival = self._next(sent_s, self.target.answer_limit_s)
        match arrival.content:
            case [3, str(answered), dict() as answer] if answered == unique_id:
                pass
            case [2, *_]:
                self.fail(UNDISTURBED, f"the answer to {action} before any CALL")
            case _:
                self.fail(ANSWERED, f"the CALLRESULT to {action}")
        self._check_time(arrival, sent_s, self.target.answer_limit_s)
        self._check_schema(f"{action}Response", answer)
        self.samples.append(Sample(action, arrival.at_s - sent_s))
        return answer

    def authorize(self, id_tag: str) -> Payload:
        return self.call("Authorize", {"idTag": id_tag})

    def send(self, action: str, payload: Payload) -> None:
        """Send a CALL, and don't wait for what comes of it."""
        try:
            self.line.call(str(uuid.uuid4()), action, payload)
        except LinkLost as error:
            self.fail(CONNECTED, "an open connection", str(error))

    def boot(self, **more: Any) -> Payload:
        answer = self.call(
            "BootNotification",
            {
                "chargePointVendor": "Conformance",
                "chargePointModel": "Kit",
                "firmwareVersion": "1.0",
                **more,
            },
        )
        self.played.has_booted = answer["status"] == "Accepted"
        return answer

    def heartbeat(self) -> Payload:
        return self.call("Heartbeat", {})

    def status(
        self, status: str, connector_id: int = 1, error_code: str = "NoError", **more: Any
    ) -> Payload:
        return self.call(
            "StatusNotification",
            {
                "connectorId": connector_id,
                "errorCode": error_code,
                "status": status,
                "timestamp": instant(),
                **more,
            },
        )

    def start_transaction(self, id_tag: str, connector_id: int = 1, **more: Any) -> int:
        """The transactionId."""
        self._has_started = True
        answer = self.call(
            "StartTransaction",
            {
                "connectorId": connector_id,
                "idTag": id_tag,
                "meterStart": 1000,
                "timestamp": instant(),
                **more,
            },
        )
        transaction_id = int(answer["transactionId"])
        self.played.began(transaction_id, connector_id)
        return transaction_id

    def stop_transaction(self, transaction_id: int, reason: str, **more: Any) -> Payload:
        """Without an idTag unless `more` has one."""
        answer = self.call(
            "StopTransaction",
            {
                "transactionId": transaction_id,
                "meterStop": 2000,
                "timestamp": instant(),
                "reason": reason,
                **more,
            },
        )
        self.played.ended(transaction_id)
        return answer

    # --- the central system asks ---

    def operate(self, action: str, wished: Payload | Resource) -> Command:
        """Have the operator ask for it, by its payload or by what of the API makes one; then
        expect() the CALL, answer() it, and see it settled().

        A refusal of the API is what expect() meets instead of the CALL.
        """
        command = Command(action, AsyncResult())
        self._triggered_s = time.perf_counter()
        self._running.append(gevent.spawn(self._operate, command, wished))
        return command

    def expect(self, action: str) -> Payload:
        """Wait for this CALL of the central system: its payload."""
        self._begin(f"{action}.req")
        since_s = self._triggered_s or time.perf_counter()
        arrival = self._next(since_s, self.target.patience_s)
        match arrival.content:
            case [2, str(unique_id), str(asked), dict() as payload] if asked == action:
                self._asked = unique_id
            case [2, *_]:
                self.fail(UNDISTURBED, f"{action} and no other CALL")
            case _:
                self.fail(ANSWERED, f"a CALL {action}")
        self._check_time(arrival, since_s, self.target.patience_s)
        self._check_schema(action, payload)
        return payload

    def answer(self, payload: Payload) -> None:
        """Answer what was expected last."""
        self._write([3, self._asked, payload])

    def settled(self, command: Command, answer: Payload | None, state: str = "answered") -> None:
        """The operator must be told how it ended, with the charge point's answer as it was."""
        self.ended(command)
        self.command_id = str(self.field("id"))
        self.has("state", state)
        if answer is not None:
            self.has("answer", answer)

    def ended(self, command: Command) -> None:
        """Take what the API says at the end of an operation."""
        self._begin(f"{command.action}.command")
        try:
            arrival = command.end.get(timeout=COMMAND_WAIT_S + 5)
        except gevent.Timeout:
            arrival = None
        if arrival is None:
            self.fail(ANSWERED, "the end of the command from the API", "nothing")
        self._take_api(arrival)

    def operation(self, action: str, wished: Payload | Resource, answer: Payload) -> Payload:
        """operate(), expect(), answer() and settled() in one: the payload of the CALL, which is
        also what the checks that follow look at."""
        command = self.operate(action, wished)
        asked = self.expect(action)
        label, arrival = self._step, self._arrival
        self.answer(answer)
        self.settled(command, answer)
        self._step, self._arrival, self.received = label, arrival, asked
        return asked

    # --- what the central system has recorded ---

    def look(
        self,
        name: str,
        path: str,
        pick: Callable[[Any], Payload] | None = None,
        until: Callable[[Payload], bool] | None = None,
    ) -> Payload:
        """An object of the API, a step of its own under this name; pick: the part that matters.

        until: for a record that becomes so a moment after a message; it is looked at again and
        again. What it is in the end is for the case to judge. What an operator has waited for the
        end of, or what was answered to the charge point, is there at once.
        """
        self._begin(name)
        end_s = time.perf_counter() + self.target.answer_limit_s
        try:
            while True:
                answer = self.operator.request("GET", path)
                body = pick(answer.body) if pick is not None and answer.is_ok else answer.body
                is_over = time.perf_counter() > end_s
                if until is None or is_over or (answer.is_ok and until(body)):
                    break
                gevent.sleep(LOOK_AGAIN_S)
        except ApiUnusable as error:
            self.fail(ANSWERED, "an answer of the API", str(error))
        self._take_api(Arrival(name, body, time.perf_counter(), answer.status))
        return self.received

    def look_below(
        self,
        name: str,
        path: str,
        pick: Callable[[Any], Payload] | None = None,
        until: Callable[[Payload], bool] | None = None,
    ) -> Payload:
        """look() at something of the charge point's."""
        return self.look(name, charge_point_path(self.charge_point_id) + path, pick, until)

    def look_at_charge_point(self) -> Payload:
        return self.look_below("charge point", "")

    def look_at_connector(self, connector_id: int = 1) -> Payload:
        """The record of one connector."""

        def pick(whole: Any) -> Payload:
            found = [one for one in whole["connectors"] if one["connector_id"] == connector_id]
            return dict(found[0]) if found else {}

        return self.look("connector", charge_point_path(self.charge_point_id), pick)

    def look_at_transaction(self, transaction_id: int) -> Payload:
        return self.look("transaction", f"/transactions/{transaction_id}")

    # --- checks of what was received last ---

    def field(self, path: str) -> Any:
        """The value under `idTagInfo.status` or `localAuthorizationList.0.idTag`, or MISSING."""
        node: Any = self.received
        for part in path.split("."):
            if isinstance(node, dict) and part in node:
                node = node[part]
            elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                return MISSING
        return node

    def has(self, path: str, expected: object) -> None:
        """This field is there with this value; True is not 1."""
        actual = self.field(path)
        same = type(actual) is type(expected) or isinstance(actual, float)
        self.require(path, same and actual == expected, repr(expected))

    def one_of(self, path: str, expected: Collection[object]) -> None:
        actual = self.field(path)
        self.require(path, actual in expected, f"one of {', '.join(map(repr, expected))}")

    def present(self, path: str) -> None:
        self.require(path, self.field(path) is not MISSING, "to be there")

    def absent(self, path: str) -> None:
        self.require(f"no {path}", self.field(path) is MISSING, "to be left out")

    def require(self, check: str, holds: object, expected: str) -> None:
        """Any other check of this step, under a name of its own."""
        if not holds:
            self.fail(check, expected)
        self.checks.append(f"{self._step}: {check}")

    def fail(self, check: str, expected: str, received: str | None = None) -> NoReturn:
        """End the case here. received: where it is not simply what arrived last."""
        self._has_failed = True
        raise CheckFailed(
            self.case_id,
            f"{len(self.steps)} {self._step}",
            check,
            expected,
            (_shown(self._arrival.content) if received is None else received)[:RECEIVED_MAX],
        )

    def stumbled(self, error: Exception) -> CheckFailed:
        """The failure of a flow that could not go on with what it had received."""
        expected = f"something to go on with; {type(error).__name__}: {error}"
        try:
            self.fail("usable", expected)
        except CheckFailed as failure:
            return failure

    # --- time, and the end ---

    def pause(self, seconds: float) -> None:
        """Let time pass as a charge point must."""
        if self.target.pauses:
            gevent.sleep(seconds)

    def undisturbed(self) -> None:
        """Nothing may have come that nobody asked for: at the end, and before a step that must be
        the operator's own."""
        arrival = self.line.waiting()
        if arrival is not None and arrival.name != END:
            self._begin("the end")
            self._arrival = arrival
            self.fail(UNDISTURBED, "nothing more")

    def leave(self) -> None:
        """The end, whether the case has passed or not. A charge point that stays goes on from where
        it is, unless that is nowhere good; of the others nothing is left open."""
        if not self.played.stays:
            self.stop_transactions()
        if not self.played.stays or self._has_failed:
            self.disconnect()
        gevent.killall(self._running)
        for undo in reversed(self.later):
            try:
                undo()
            except ApiUnusable:
                pass  # the others are to be undone all the same

    def stop_transactions(self) -> None:
        """All that are open; not checked any more."""
        shown = self._transactions_shown() if self._has_started else set()
        for transaction_id in sorted(shown | set(self.played.open_transactions)):
            self._stop_quietly(transaction_id)

    # --- inside ---

    def _transactions_shown(self) -> set[int]:
        """Those of which the case learnt nothing too: their StartTransaction.conf was no good."""
        try:
            shown = self.operator.request("GET", charge_point_path(self.charge_point_id))
        except ApiUnusable:
            return set()
        connectors = shown.body.get("connectors", []) if shown.is_ok else []
        return {one["transaction_id"] for one in connectors} - {None}

    def _stop_quietly(self, transaction_id: int) -> None:
        """The case has its result already: whatever comes meanwhile is of no interest."""
        unique_id = str(uuid.uuid4())
        payload = {
            "transactionId": transaction_id,
            "meterStop": 2000,
            "timestamp": instant(),
            "reason": "Other",
        }
        self.played.ended(transaction_id)
        try:
            since_s = self.line.call(unique_id, "StopTransaction", payload)
        except LinkLost:
            return
        end_s = since_s + self.target.answer_limit_s
        while self.line.is_open:
            arrival = self.line.next(max(0.0, end_s - time.perf_counter()))
            if arrival is None:
                return
            match arrival.content:
                case [3 | 4, str(answered), *_] if answered == unique_id:
                    return

    def _begin(self, name: str) -> None:
        self._ordinals[name] += 1
        count = self._ordinals[name]
        self._step = name if count == 1 else f"{name} {count}"
        self.steps.append(self._step)

    def _look(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self.received = arrival.payload

    def _next(self, since_s: float, limit_s: float) -> Arrival:
        arrival = self.line.next(max(0.0, since_s + limit_s - time.perf_counter()))
        if arrival is None:
            self._arrival = Arrival("nothing", {}, 0.0)
            self.fail(IN_TIME, f"within {limit_s:g} s", "nothing")
        self._look(arrival)
        if arrival.name == END:
            self.fail(CONNECTED, "an open connection")
        return arrival

    def _check_time(self, arrival: Arrival, since_s: float, limit_s: float) -> None:
        took_s = arrival.at_s - since_s
        if took_s > limit_s:
            self.fail(IN_TIME, f"within {limit_s:g} s", f"after {took_s:.3f} s")

    def _check_schema(self, schema: str, payload: Payload) -> None:
        broken = violation(schema, payload)
        if broken is not None:
            self.fail(SCHEMA, f"what the schema {schema} allows; {broken}")

    def _take_api(self, arrival: Arrival) -> None:
        seen = self._mutate(arrival)
        if not seen:
            self.fail(ANSWERED, "an answer of the API", "nothing")
        self._look(seen[0])
        if not 200 <= seen[0].status < 300:
            told = f"HTTP {seen[0].status} {_shown(seen[0].content)}"
            self.fail(ANSWERED, "HTTP 2xx", told)

    def _operate(self, command: Command, wished: Payload | Resource) -> None:
        name = f"{command.action}.command"
        try:
            answer = self._ask(command.action, wished)
            status, body = answer.status, answer.body
        except ApiUnusable as error:
            status, body = 0, {"error": str(error)}
        arrival = Arrival(name, body, time.perf_counter(), status)
        command.end.set(arrival)
        if not 200 <= status < 300:
            self.line.interrupt(arrival)

    def _ask(self, action: str, wished: Payload | Resource) -> ApiAnswer:
        """The command at its end; of a resource that makes several, or none, its own answer."""
        if not isinstance(wished, Resource):
            return self.operator.command(self.charge_point_id, action, wished, COMMAND_WAIT_S)
        where = charge_point_path(self.charge_point_id) + wished.path
        wait = f"{'&' if '?' in where else '?'}wait={COMMAND_WAIT_S}"
        answer = self.operator.request(wished.method, where + wait, wished.body)
        if not answer.is_ok:
            return answer
        if "command" in answer.body:
            return replace(answer, body=answer.body["command"])
        command_id = answer.body.get("command_id") or answer.body.get("id")
        return self.operator.request("GET", f"/commands/{command_id}") if command_id else answer

    def _write(self, frame: list[Any]) -> None:
        try:
            self.line.write(frame)
        except LinkLost as error:
            self.fail(CONNECTED, "an open connection", str(error))


def _shown(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))


def instant(ago: timedelta = timedelta()) -> str:
    """A timestamp of this moment, or of one that is past."""
    return f"{datetime.now(UTC) - ago:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def meter_value() -> Payload:
    """What the meter says at this moment."""
    sampled = {"value": "1000", "measurand": "Energy.Active.Import.Register"}
    return {"timestamp": instant(), "sampledValue": [sampled]}
