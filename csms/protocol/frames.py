"""OCPP-J frames: text to values and back (OCPP-J 1.6, 4.2)."""

import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import orjson

from csms.domain.values import frame_value

# Ids of more than 36 characters break the rule (4.1.4), but an answer that echoes them serves their
# sender better than none.
UNIQUE_ID_TOLERATED = 255
# What is read must be writable again, as part of a record; orjson writes 254 levels.
DEPTH_TOLERATED = 250

Payload = Mapping[str, Any]


@frame_value
class Call:
    unique_id: str
    action: str
    payload: Any  # as received: what it must be is the reader's business


@frame_value
class CallResult:
    unique_id: str
    payload: Any


@frame_value
class CallError:
    unique_id: str
    code: str
    description: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


Frame = Call | CallResult | CallError


class Undecodable(Exception):
    """Text that is no frame. unique_id is set where a CALL can still be answered with an error."""

    def __init__(self, problem: str, unique_id: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.unique_id = unique_id


class UnknownMessageType(Exception):
    """A frame of another message type: to be ignored (OCPP-J 1.6, 4.1.3)."""


_CALL_HEAD = re.compile(
    r'\s*\[\s*2\s*,\s*"((?:[^"\\\x00-\x1f\ud800-\udfff]){1,255})"\s*,', re.ASCII
)
_MISSING_VALUE = re.compile(r'("\s*:)\s*(?=[,}])')


def decode(text: str) -> Frame:
    """The frame in a text. Raises Undecodable or UnknownMessageType, nothing else."""
    try:
        array = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        array = _repaired(text, str(error))
    if "\\u0000" in text or "\0" in text:
        # Legal JSON, but never an honest text of a charge point; it ends strings elsewhere.
        raise Undecodable("a text contains a NUL character", _unique_id_in(text))
    if text.count("[") + text.count("{") > DEPTH_TOLERATED:
        _check_depth(array, text)
    if not isinstance(array, list) or not array:
        raise Undecodable("the message is not a JSON array")
    kind = array[0]
    if kind.__class__ is not int or not 2 <= kind <= 4:
        if isinstance(kind, int | float) and not isinstance(kind, bool):
            raise UnknownMessageType(str(kind)[:20])
        raise Undecodable("the message type is not a number")
    unique_id = _unique_id(array)
    if kind == 2:
        return _call(array, unique_id)
    if kind == 3:
        if len(array) < 3:
            raise Undecodable("a CALLRESULT has three elements")
        return CallResult(unique_id, {} if array[2] is None else array[2])
    return _call_error(array, unique_id)


def _call(array: list[Any], unique_id: str) -> Call:
    if len(array) < 3 or not isinstance(array[2], str):
        raise Undecodable("a CALL has an action", unique_id)
    # The payload may be null where there is nothing to say (4.2.1), and some leave it out.
    payload = array[3] if len(array) > 3 else None
    return Call(unique_id, array[2], {} if payload is None else payload)


def _call_error(array: list[Any], unique_id: str) -> CallError:
    code = array[2] if len(array) > 2 and isinstance(array[2], str) else "GenericError"
    description = array[3] if len(array) > 3 and isinstance(array[3], str) else ""
    details = array[4] if len(array) > 4 and isinstance(array[4], dict) else {}
    return CallError(unique_id, code[:255], description[:2048], details)


def _unique_id(array: list[Any]) -> str:
    unique_id = array[1] if len(array) > 1 else None
    if unique_id.__class__ is int:  # seen in the field; echoing it as text is what they expect
        unique_id = str(unique_id)
    if not isinstance(unique_id, str) or not 0 < len(unique_id) <= UNIQUE_ID_TOLERATED:
        raise Undecodable("the message has no usable id")
    return unique_id


def _unique_id_in(text: str) -> str | None:
    match = _CALL_HEAD.match(text)
    return match.group(1) if match else None


def _repaired(text: str, problem: str) -> Any:
    """What a broken text is likely to mean: some firmware leaves values out
    (`"transactionId":,`) or puts raw line breaks into strings."""
    if len(text) <= 65_536:
        try:
            mended = json.loads(
                _MISSING_VALUE.sub(r"\1null", text),
                strict=False,
                parse_int=_read_integer,
                parse_constant=_refuse_constant,
            )
            # json lets in what nothing after it can write: lone surrogates end here, and what is
            # infinite becomes null.
            return orjson.loads(orjson.dumps(mended))
        except (ValueError, TypeError, RecursionError):
            pass
    raise Undecodable(f"the message is not JSON: {problem[:120]}", _unique_id_in(text))


def _read_integer(digits: str) -> int | float:
    """As orjson reads them: what no 64 bits hold is a number all the same."""
    return int(digits) if len(digits) <= 18 else float(digits)


def _check_depth(array: Any, text: str) -> None:
    """Raises Undecodable for what can't be kept, also as part of something larger."""
    try:
        orjson.dumps([[[[array]]]])
    except TypeError:
        raise Undecodable("the message is nested too deeply", _unique_id_in(text)) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def encode(frame: Frame) -> bytes:
    """UTF-8 text of a frame; payloads are as on the wire already."""
    if isinstance(frame, CallResult):
        return orjson.dumps([3, frame.unique_id, frame.payload])
    if isinstance(frame, Call):
        return orjson.dumps([2, frame.unique_id, frame.action, frame.payload])
    return orjson.dumps(
        [4, frame.unique_id, frame.code, frame.description[:255], dict(frame.details)]
    )
