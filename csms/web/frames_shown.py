"""Reads a frame of the message log for people: what kind it is, and what it carries."""

from dataclasses import dataclass
from typing import Any

import orjson

_TYPES = {2: "CALL", 3: "CALLRESULT", 4: "CALLERROR"}


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """Everything None for what is no OCPP-J frame, or was cut. content: the payload, or code,
    description and details of a CALLERROR."""

    message_type: str | None = None
    unique_id: str | None = None
    action: str | None = None
    content: Any = None


def read_frame(text: str) -> ShownFrame:
    """Never raises: the log holds whatever came."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ShownFrame()
    match frame:
        case [2, str(unique_id), str(action), content]:
            return ShownFrame(_TYPES[2], unique_id, action, content)
        case [3, str(unique_id), content]:
            return ShownFrame(_TYPES[3], unique_id, None, content)
        case [4, str(unique_id), *content]:
            return ShownFrame(_TYPES[4], unique_id, None, content)
        case _:
            return ShownFrame()
