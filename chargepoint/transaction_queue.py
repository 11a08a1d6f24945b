"""The queue of transaction messages: order, retries, and what may be sent next."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from chargepoint.connector import Transaction


@dataclass(slots=True, eq=False)
class TransactionMessage:
    """A StartTransaction, StopTransaction or MeterValues that must be acknowledged.

    `number` orders it among everything the charge point wants to say. `not_before` is an
    instant of the monotonic clock, in seconds.
    """

    number: int
    action: str
    payload: dict[str, Any]
    transaction: Transaction | None
    unique_id: str | None = None
    failures: int = 0
    not_before: float = 0.0

    def completed_payload(self) -> dict[str, Any]:
        """The payload, with the transactionId its StartTransaction was answered with.

        Filled in once: a retry says the same again.
        """
        if self.transaction is not None and self.action != "StartTransaction":
            self.payload.setdefault("transactionId", self.transaction.reported_id)
        return self.payload


class TransactionQueue:
    """First in, first out; only the head is ever sent (OCPP 1.6 Edition 2, 3.7).

    Because StartTransaction stands before the rest of its session and leaves only when it is
    answered or given up, the rest always knows its transactionId.
    """

    def __init__(self, attempts: int | None, limit: int) -> None:
        """`attempts` None: tried for ever. Over `limit` waiting, new MeterValues are let go."""
        self._attempts = attempts
        self._limit = limit
        self._messages: deque[TransactionMessage] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def head(self) -> TransactionMessage | None:
        """The message to send next, due or not."""
        return self._messages[0] if self._messages else None

    def add(self, message: TransactionMessage) -> bool:
        """Queue; False when it was let go because the memory is full."""
        if message.action == "MeterValues" and len(self._messages) >= self._limit:
            return False
        self._messages.append(message)
        return True

    def settle(self, message: TransactionMessage) -> None:
        """The message was acknowledged, or is given up."""
        self._messages.remove(message)

    def fail(self, message: TransactionMessage, now: float, retry_interval_s: float) -> bool:
        """It was refused or met silence. True: it stays and waits; False: it was given up.

        The pause grows with each try: interval times the tries so far (3.7.1).
        """
        message.failures += 1
        if self._attempts is not None and message.failures >= self._attempts:
            self.settle(message)
            return False
        message.not_before = now + retry_interval_s * message.failures
        return True

    def hasten(self) -> None:
        """A new link: no pause measured on the old one counts any more."""
        if self._messages:
            self._messages[0].not_before = 0.0
