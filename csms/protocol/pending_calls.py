"""Our CALLs on one link: one outstanding at a time, each settled exactly once (OCPP-J 1.6, 4.1.1).

The queue itself is the charge point's outbox in the store, so that any process may fill it; here
is what the process that owns the socket knows of the CALL that is on its way.
"""

from collections import OrderedDict
from dataclasses import dataclass

from csms.protocol.frames import Call

_LATE_REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A CALL on its way. deadline_at_ms: when it counts as unanswered."""

    call: Call
    command_id: str
    deadline_at_ms: int


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """An answer to a CALL that had timed out."""

    command_id: str
    action: str


class PendingCalls:
    """consecutive_timeouts counts CALLs in a row that got no answer: several mean that the link
    is dead one way, and only a new one helps."""

    __slots__ = ("_late", "_next_id", "_outstanding", "consecutive_timeouts")

    def __init__(self) -> None:
        self._outstanding: PendingCall | None = None
        self._late: OrderedDict[str, LateAnswer] = OrderedDict()
        self._next_id = ""
        self.consecutive_timeouts = 0

    @property
    def outstanding(self) -> PendingCall | None:
        return self._outstanding

    def next_id(self, new: str) -> str:
        """The id of the CALL to be sent next: the same until one is sent or given up, so that what
        is taken from the store without a confirmation can be asked for again by it."""
        self._next_id = self._next_id or new
        return self._next_id

    def give_up_id(self) -> None:
        """What was to be sent under the next id never will be."""
        self._next_id = ""

    def send(self, pending: PendingCall) -> None:
        """Note a CALL as sent. Raises RuntimeError while another one is on its way."""
        if self._outstanding is not None:
            raise RuntimeError("one CALL is outstanding already")
        self._outstanding = pending
        self._next_id = ""

    def settle(self, unique_id: str) -> PendingCall | LateAnswer | None:
        """The CALL an answer belongs to; None where it belongs to none of ours."""
        outstanding = self._outstanding
        if outstanding is not None and outstanding.call.unique_id == unique_id:
            self._outstanding = None
            self.consecutive_timeouts = 0
            return outstanding
        return self._late.pop(unique_id, None)

    def expire(self, now_ms: int) -> PendingCall | None:
        """The CALL whose time is over, which is outstanding no longer."""
        outstanding = self._outstanding
        if outstanding is None or now_ms < outstanding.deadline_at_ms:
            return None
        self._outstanding = None
        self.consecutive_timeouts += 1
        self._late[outstanding.call.unique_id] = LateAnswer(
            outstanding.command_id, outstanding.call.action
        )
        while len(self._late) > _LATE_REMEMBERED:
            self._late.popitem(last=False)
        return outstanding

    def lose(self) -> PendingCall | None:
        """The CALL whose answer can't come any more: the link is gone."""
        outstanding, self._outstanding = self._outstanding, None
        return outstanding
