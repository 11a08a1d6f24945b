"""OCPP-J over one link at a time: our CALLs one after the other, theirs answered meanwhile."""

import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import Semaphore
from gevent.pool import Group

from chargepoint.errors import CallRefused, NoAnswer, NotPossible
from chargepoint.ledger import Ledger
from chargepoint.wire import Link, LinkLost

log = logging.getLogger(__name__)

Payload = dict[str, Any]


class Silence:
    """The type of SILENCE: an answer that is never given."""


SILENCE: Final = Silence()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with manners: given after `delay_s`, then `then` runs in its own greenlet."""

    payload: Payload
    then: Callable[[], None] | None = None
    delay_s: float = 0.0


Answer = Payload | Reply | Silence
Answerer = Callable[[Payload], Answer]


def refuse(code: str, description: str = "") -> Answerer:
    """An entry for the table of answers: always this CALLERROR."""

    def answer(_: Payload) -> Answer:
        raise CallRefused(code, description)

    return answer


def ignore(_: Payload) -> Answer:
    """An entry for the table of answers: never answer."""
    return SILENCE


def delayed(delay_s: float, payload: Payload) -> Answerer:
    """An entry for the table of answers: this payload, `delay_s` late."""
    return lambda _: Reply(payload, delay_s=delay_s)


class Conversation:
    """Both directions of one charge point's talk; outlives the links it is led over."""

    def __init__(
        self,
        charge_point_id: str,
        answers: dict[str, Answerer],
        *,
        now_text: Callable[[], str],
        ledger: Ledger | None,
        say: Callable[[str], None],
    ) -> None:
        self.charge_point_id = charge_point_id
        self.answers = answers
        self.linked = Event()
        self.link: Link | None = None
        self.is_deaf = False  # a Rejected charge point answers nothing (E2 4.2)
        self.unanswered = 0  # our CALLs in a row
        self.last_sent_s = 0.0  # monotonic
        self.received: deque[tuple[str, Payload]] = deque(maxlen=200)
        self.follow_ups = Group()
        self._now_text = now_text
        self._ledger = ledger
        self._say = say
        self._turn = Semaphore(1)
        self._waiting: tuple[str, AsyncResult[Payload]] | None = None

    def lead(self, link: Link, begin: Callable[[], None]) -> None:
        """Read and dispatch until the link ends; `begin` is run before the first message."""
        self.link = link
        self.unanswered = 0
        self.linked.set()
        try:
            begin()
            while (text := link.receive()) is not None:
                self._take(text)
        finally:
            self.linked.clear()
            self.link = None
            if self._waiting is not None:
                self._waiting[1].set_exception(LinkLost("the link ended before the answer"))

    def call(
        self,
        action: str,
        payload: Payload,
        timeout_s: float,
        *,
        unique_id: str | None = None,
        message: int | None = None,
    ) -> Payload:
        """Send a CALL when the one before is settled, and wait for its answer.

        Raises CallRefused for a CALLERROR, NoAnswer after `timeout_s`, LinkLost without a
        link or when it ends first. `message` is for the ledger.
        """
        unique_id = unique_id or str(uuid.uuid4())
        with self._turn:
            link = self.link
            if link is None:
                raise LinkLost("not connected")
            waiting: AsyncResult[Payload] = AsyncResult()
            self._waiting = (unique_id, waiting)
            try:
                self._write_call(link, unique_id, action, payload, message)
                waiting.wait(timeout_s)
            finally:
                self._waiting = None
            if not waiting.ready():
                self.unanswered += 1
                raise NoAnswer(f"{action} not answered within {timeout_s} s")
            return cast(Payload, waiting.get(block=False))

    def _write_call(
        self, link: Link, unique_id: str, action: str, payload: Payload, message: int | None
    ) -> None:
        if self._ledger is not None:
            self._ledger.sent(
                self._now_text(),
                self.charge_point_id,
                unique_id,
                action=action,
                payload=payload,
                message=message,
            )
        self._say(f"> {action} {payload}")
        self._write(link, [2, unique_id, action, payload])

    def _write(self, link: Link, frame: list[Any]) -> None:
        self.last_sent_s = time.monotonic()
        link.send(json.dumps(frame, separators=(",", ":")))

    def _take(self, text: str) -> None:
        try:
            match json.loads(text):
                case [2, str(unique_id), str(action), dict() | None as payload]:
                    self._answer(unique_id, action, payload or {})
                case [3, str(unique_id), dict() | None as payload]:
                    self._acknowledged(unique_id, payload or {})
                case [4, str(unique_id), str(code), *rest]:
                    self._refused(unique_id, code, rest)
                case _:
                    self._say(f"! not a message of OCPP-J: {text[:200]}")
        except ValueError:
            self._say(f"! not JSON: {text[:200]}")

    def _acknowledged(self, unique_id: str, payload: Payload) -> None:
        if self._ledger is not None:
            self._ledger.acknowledged(self._now_text(), self.charge_point_id, unique_id, payload)
        if waiting := self._waited_for(unique_id):
            self._say(f"< {payload}")
            waiting.set(payload)

    def _refused(self, unique_id: str, code: str, rest: list[Any]) -> None:
        if self._ledger is not None:
            self._ledger.refused(self._now_text(), self.charge_point_id, unique_id, code)
        if waiting := self._waited_for(unique_id):
            self._say(f"< CALLERROR {code} {rest}")
            description = str(rest[0]) if rest else ""
            details = rest[1] if len(rest) > 1 and isinstance(rest[1], dict) else {}
            waiting.set_exception(CallRefused(code, description, details))

    def _waited_for(self, unique_id: str) -> "AsyncResult[Payload] | None":
        """What waits for this id; None for an answer too late, twice or to no CALL of ours."""
        if self._waiting is None or self._waiting[0] != unique_id:
            self._say(f"! late or foreign answer to {unique_id}")
            return None
        self.unanswered = 0
        return self._waiting[1]

    def _answer(self, unique_id: str, action: str, payload: Payload) -> None:
        self._say(f"< {action} {payload}")
        self.received.append((action, payload))
        if self.is_deaf:
            return
        match self._answer_to(action, payload):
            case CallRefused() as error:
                frame = [4, unique_id, error.code, error.description, error.details]
                self._give(frame)
            case Reply(delay_s=0) as reply:
                self._give([3, unique_id, reply.payload])
                if reply.then is not None:
                    self.follow_ups.spawn(self._follow_up, reply.then)
            case Reply() as reply:
                self.follow_ups.spawn(self._give_late, unique_id, reply)
            case dict() as plain:
                self._give([3, unique_id, plain])

    def _answer_to(self, action: str, payload: Payload) -> Answer | CallRefused:
        if action not in self.answers:
            return CallRefused("NotImplemented", f"{action} is not known here")
        try:
            return self.answers[action](payload)
        except CallRefused as error:
            return error
        except KeyError as error:
            return CallRefused("OccurenceConstraintViolation", f"{error} is missing")
        except (TypeError, ValueError) as error:
            return CallRefused("PropertyConstraintViolation", str(error))
        except Exception as error:  # the edge: a CALL is answered whatever happens
            log.exception("answer failed")
            return CallRefused("InternalError", str(error))

    def _give_late(self, unique_id: str, reply: Reply) -> None:
        gevent.sleep(reply.delay_s)
        self._give([3, unique_id, reply.payload])
        if reply.then is not None:
            self._follow_up(reply.then)

    def _follow_up(self, then: Callable[[], None]) -> None:
        try:
            then()
        except (CallRefused, LinkLost, NoAnswer, NotPossible, TimeoutError) as error:
            self._say(f"! {error}")  # the world changed since the answer was given

    def _give(self, frame: list[Any]) -> None:
        link = self.link
        if link is None:
            return
        self._say(f"> {'CALLERROR ' if frame[0] == 4 else ''}{frame[2:]}")
        try:
            self._write(link, frame)
        except LinkLost:
            pass  # the reader meets the end of the link itself
