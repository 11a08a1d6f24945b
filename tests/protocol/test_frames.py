"""Frames: text to values and back (OCPP-J 1.6, 4.1 and 4.2)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.frames import (
    Call,
    CallError,
    CallResult,
    Undecodable,
    UnknownMessageType,
    decode,
    encode,
)

READ = {
    "a call": ('[2,"1","Heartbeat",{}]', Call("1", "Heartbeat", {})),
    "a null payload is an empty one": ('[2,"1","Heartbeat",null]', Call("1", "Heartbeat", {})),
    "a payload left out": ('[2,"1","Heartbeat"]', Call("1", "Heartbeat", {})),
    "an element too many": ('[2,"1","Heartbeat",{},5]', Call("1", "Heartbeat", {})),
    "a payload of another type": ('[2,"1","Heartbeat",[1]]', Call("1", "Heartbeat", [1])),
    "blanks before commas": (
        '[ 2 , "1" , "Heartbeat" , { } ]',
        Call("1", "Heartbeat", {}),
    ),
    "line breaks between": ('[2,\r\n"1",\n"Heartbeat",{}]\n', Call("1", "Heartbeat", {})),
    "an id that is a number": ('[2,17,"Heartbeat",{}]', Call("17", "Heartbeat", {})),
    "an id longer than 36": (f'[2,"{"x" * 255}","A",{{}}]', Call("x" * 255, "A", {})),
    "the last of two fields": ('[2,"1","A",{"a":1,"a":2}]', Call("1", "A", {"a": 2})),
    "a missing value": (
        '[2,"1","StopTransaction",{"transactionId":,"meterStop":5}]',
        Call("1", "StopTransaction", {"transactionId": None, "meterStop": 5}),
    ),
    "a missing value at the end": (
        '[2,"1","A",{"a": }]',
        Call("1", "A", {"a": None}),
    ),
    "a raw line break in a text": (
        '[2,"1","A",{"a":"Energy\n"}]',
        Call("1", "A", {"a": "Energy\n"}),
    ),
    "a number beyond every double": (
        '[2,"1","A",{"a":1e400,"b":5}]',
        Call("1", "A", {"a": None, "b": 5}),
    ),
    "an integer of 30 digits beside a missing value": (
        '[2,"1","A",{"a":' + "9" * 30 + ',"b":}]',
        Call("1", "A", {"a": 1e30, "b": None}),
    ),
    "2^63-1": ('[2,"1","A",{"a":9223372036854775807}]', Call("1", "A", {"a": 2**63 - 1})),
    "a result": ('[3,"1",{"status":"Accepted"}]', CallResult("1", {"status": "Accepted"})),
    "a result of null": ('[3,"1",null]', CallResult("1", {})),
    "an error": (
        '[4,"1","NotSupported","no",{"a":1}]',
        CallError("1", "NotSupported", "no", {"a": 1}),
    ),
    "an error without details": ('[4,"1","GenericError",""]', CallError("1", "GenericError")),
    "an error of a later spelling": (
        '[4,"1","FormatViolation","",{}]',
        CallError("1", "FormatViolation"),
    ),
    "an error that says nothing": ('[4,"1"]', CallError("1", "GenericError")),
    "an error of wrong types": ('[4,"1",5,null,[]]', CallError("1", "GenericError")),
    "250 levels": (
        '[2,"1","A",' + "[" * 248 + "]" * 248 + "]",
        Call("1", "A", json.loads("[" * 248 + "]" * 248)),
    ),
}


@pytest.mark.parametrize(("text", "frame"), READ.values(), ids=READ)
def test_a_frame_is_read(text, frame):
    assert decode(text) == frame


UNREADABLE = {
    "nothing": ("", None),
    "blanks": ("   ", None),
    "a word": ("hello", None),
    "an object": ('{"a":1}', None),
    "a number": ("5", None),
    "null": ("null", None),
    "an empty array": ("[]", None),
    "a type in words": ('["2","1","Heartbeat",{}]', None),
    "a type that is true": ('[true,"1","Heartbeat",{}]', None),
    "no id": ("[2]", None),
    "an empty id": ('[2,"","Heartbeat",{}]', None),
    "an id of 256 characters": (f'[2,"{"x" * 256}","Heartbeat",{{}}]', None),
    "an id that is a list": ('[2,["1"],"Heartbeat",{}]', None),
    "an id that is null": ('[2,null,"Heartbeat",{}]', None),
    "no action": ('[2,"1"]', "1"),
    "an action that is a number": ('[2,"1",5,{}]', "1"),
    "a result without a payload": ('[3,"1"]', None),
    "cut off": ('[2,"1","StatusNotification",{"connectorId":1,"err', "1"),
    "cut off in the id": ('[2,"1', None),
    "two frames": ('[2,"1","Heartbeat",{}][2,"2","Heartbeat",{}]', "1"),
    "NaN": ('[2,"1","A",{"a":NaN}]', "1"),
    "Infinity": ('[2,"1","A",{"a":-Infinity}]', "1"),
    "a NUL, escaped": ('[2,"1","A",{"a":"\\u0000"}]', "1"),
    "a NUL, raw": ('[2,"1","A",{"a":"\x00"}]', "1"),
    "a NUL in the id": ('[2,"\\u0000","A",{}]', None),
    "half a character, escaped": ('[2,"1","A",{"a":"\\ud800"}]', "1"),
    "half a character in the id": ('[2,"\\ud800","A",{}]', None),
    "half a character, raw": ('[2,"1","A",{"a":"\ud800"}]', "1"),
    "half a character in the id, raw": ('[2,"\udfff","A",{}]', None),
    "a byte order mark": ('\ufeff[2,"1","Heartbeat",{}]', None),
    "100,000 levels": ('[2,"1","A",' + "[" * 100_000, "1"),
    "60,000 levels, within what is repaired": ('[2,"1","A",' + "[" * 60_000, "1"),
    "900 levels, which JSON can hold": ('[2,"1","A",' + "[" * 900 + "]" * 900 + "]", "1"),
    "900 objects": ('[2,"1","A",' + '{"a":' * 900 + "5" + "}" * 900 + "]", "1"),
    "too long to be repaired": ('[2,"1","A",{"a":,"b":"' + "x" * 70_000 + '"}]', "1"),
    "an integer of 5,000 digits, broken": ('[2,"1","A",{"a":' + "9" * 5_000 + ',"b":', "1"),
    "a comma too many": ('[2,"1","A",{"a":1,}]', "1"),
    "an id with an escape": ('[2,"a\\"b","A",{', None),
}


@pytest.mark.parametrize(("text", "unique_id"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_frame_is_told_with_its_id_where_it_can_be_answered(text, unique_id):
    """A CALL that can't be read is still answered where its id can (OCPP-J 1.6, 4.2.3)."""
    with pytest.raises(Undecodable) as refusal:
        decode(text)

    assert refusal.value.unique_id == unique_id
    assert 0 < len(refusal.value.problem) < 200


@pytest.mark.parametrize("kind", ["1", "5", "0", "-2", "2.0", "99999999999999999999", "1e300"])
def test_another_message_type_is_to_be_ignored(kind):
    """OCPP-J 1.6, 4.1.3."""
    with pytest.raises(UnknownMessageType):
        decode(f'[{kind},"1","Heartbeat",{{}}]')


def test_frames_are_written_as_on_the_wire():
    assert encode(Call("1", "Reset", {"type": "Soft"})) == b'[2,"1","Reset",{"type":"Soft"}]'
    assert encode(CallResult("1", {})) == b'[3,"1",{}]'
    assert encode(CallError("1", "NotSupported")) == b'[4,"1","NotSupported","",{}]'


def test_a_description_is_written_in_255_characters_at_most():
    """OCPP-J 1.6, 4.2.3."""
    assert len(json.loads(encode(CallError("1", "GenericError", "x" * 300)))[3]) == 255


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
_ids = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
)
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)
_objects = st.dictionaries(_text, _json, max_size=4)
_frames = (
    st.builds(Call, _ids, _text, _objects)
    | st.builds(CallResult, _ids, _objects)
    | st.builds(CallError, _ids, _text, _text, _objects)
)


@given(_frames)
def test_what_is_written_is_read_again(frame):
    if any("\\u0000" in repr(part) for part in (frame.unique_id, str(frame))):
        return

    assert decode(encode(frame).decode()) == frame


@given(st.text())
def test_any_text_is_a_frame_or_told_to_be_none(text):
    _decode_or_refuse(text)


@given(st.one_of(_json, st.lists(_json, max_size=6)).map(json.dumps))
def test_any_json_is_a_frame_or_told_to_be_none(text):
    _decode_or_refuse(text)


@given(_frames, st.data())
def test_any_damaged_frame_is_a_frame_or_told_to_be_none(frame, data):
    text = encode(frame).decode()
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))

    _decode_or_refuse(text[:begin] + data.draw(st.text(max_size=5)) + text[end:])


def _decode_or_refuse(text):
    """Nothing else is ever raised, and what is read can be written."""
    try:
        frame = decode(text)
    except Undecodable as problem:
        if problem.unique_id is not None:
            encode(CallError(problem.unique_id, "FormationViolation", problem.problem))
    except UnknownMessageType:
        pass
    else:
        encode(frame)
