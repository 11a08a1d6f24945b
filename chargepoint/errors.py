"""What can go wrong between a charge point and the central system, as exceptions."""

from typing import Any


class CallRefused(Exception):
    """A CALLERROR: received for our CALL, or raised by an answer to send one."""

    def __init__(
        self, code: str, description: str = "", details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description
        self.details = details or {}


class NoAnswer(Exception):
    """A CALL was written and neither CALLRESULT nor CALLERROR came in time."""


class NotPossible(Exception):
    """The hardware would not do that: no such connector, occupied, faulted, unavailable."""
