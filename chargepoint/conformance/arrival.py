"""What comes from the central system, whichever way, and the hook by which tests alter it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
TLS = "tls"
UPGRADE = "upgrade"
END = "end"

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arrival:
    """name: `Authorize.conf` and `Reset.req` for messages, `tls` for what a TLS handshake led to,
    `upgrade` for the answer to that of WebSocket, `end` for the end of the connection,
    `Reset.command` and `transaction`, say, for the API.

    content: the frame as a list (as text where it is no JSON), or an object for all others.
    at_s: when it was read, on the clock of time.perf_counter. status: of HTTP, 0 for frames.
    """

    name: str
    content: Any
    at_s: float
    status: int = 0

    @property
    def payload(self) -> Payload:
        """The part with the fields: of a frame its payload, of all others the whole."""
        match self.content:
            case [_, _, _, dict() as payload] | [_, _, dict() as payload]:
                return payload
            case dict() as whole:
                return whole
        return {}

    def with_payload(self, payload: Payload) -> "Arrival":
        match self.content:
            case [2, unique_id, action, _]:
                return replace(self, content=[CALL, unique_id, action, payload])
            case [3, unique_id, _]:
                return replace(self, content=[CALL_RESULT, unique_id, payload])
        return replace(self, content=payload)


# Given what arrived, what the kit shall see instead: itself, changed, nothing, or more.
Mutate = Callable[[Arrival], Sequence[Arrival]]


def unchanged(arrival: Arrival) -> Sequence[Arrival]:
    return (arrival,)
