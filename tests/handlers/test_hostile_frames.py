"""What nobody honest sends: always one answer or a clean refusal, never a traceback in the log."""

import json

import pytest
from cast import NOON, Line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from csms.errors import StaleEpoch
from csms.handlers.dispatch import ROUTES
from csms.protocol.frames import Call, Undecodable, UnknownMessageType, decode

DEEP = "[" * 100_000 + "]" * 100_000
LONG = "x" * 100_000
TIME = f'"timestamp":"{NOON}"'

ANSWERED = {
    "an object of the vendor's own": '[2,"1","Heartbeat",{"vendor":{"a":[1]}}]',
    "a list for a payload": '[2,"1","Heartbeat",[1]]',
    "a text for a payload": '[2,"1","Authorize","ALICE"]',
    "a number for a payload": '[2,"1","MeterValues",5]',
    "false for a payload": '[2,"1","StopTransaction",false]',
    "a field twice": '[2,"1","Authorize",{"idTag":"BOB","idTag":"ALICE"}]',
    "an action of 100,000 letters": f'[2,"1","{LONG}",{{}}]',
    "a tag of 100,000 letters": f'[2,"1","Authorize",{{"idTag":"{LONG}"}}]',
    "a field of 100,000 letters": f'[2,"1","Heartbeat",{{"{LONG}":1}}]',
    "10,000 fields": json.dumps([2, "1", "Heartbeat", {f"f{n}": 1 for n in range(10_000)}]),
    "control characters, escaped": '[2,"1","Authorize",{"idTag":"\\u0001\\u001b[31m\\r\\n"}]',
    "control characters, raw": '[2,"1","Authorize",{"idTag":"\x1b[31m\n"}]',
    "an emoji in two escapes": '[2,"1","Authorize",{"idTag":"\\ud83d\\ude00"}]',
    "letters of other scripts": '[2,"1","Authorize",{"idTag":"ﷺ﷽ß\u2028\u200b"}]',
    "lua and redis words": '[2,"1","Authorize",{"idTag":"\\")return redis.call(\'FLUSHALL\')--"}]',
    "a connector of 2^64": '[2,"1","MeterValues",{"connectorId":18446744073709551615,'
    f'"meterValue":[{{{TIME},"sampledValue":[{{"value":"1"}}]}}]}}]',
    "a connector of 10^300": '[2,"1","MeterValues",{"connectorId":1' + "0" * 300 + ","
    f'"meterValue":[{{{TIME},"sampledValue":[{{"value":"1"}}]}}]}}]',
    "a connector of 1e400": '[2,"1","MeterValues",{"connectorId":1e400,'
    f'"meterValue":[{{{TIME},"sampledValue":[{{"value":1e400}}]}}]}}]',
    "a register of 10^300": '[2,"1","StopTransaction",{"transactionId":1,'
    f'"meterStop":1{"0" * 300},{TIME}}}]',
    "a register of -2^63": '[2,"1","StartTransaction",{"connectorId":1,"idTag":"ALICE",'
    f'"meterStart":-9223372036854775808,{TIME}}}]',
    "an id of 10^300": f'[2,"1","StopTransaction",{{"transactionId":-1{"0" * 300},"meterStop":1,'
    f"{TIME}}}]",
    "a connector below 0": '[2,"1","StartTransaction",{"connectorId":-5,"idTag":"ALICE",'
    f'"meterStart":1,{TIME}}}]',
    "a timestamp that makes patterns slow": '[2,"1","StatusNotification",{"connectorId":1,'
    f'"status":"Available","errorCode":"NoError","timestamp":"{NOON[:-1]}{" " * 50_000}x"}}]',
    "a timestamp that is a list": '[2,"1","StatusNotification",{"connectorId":1,'
    '"status":"Available","errorCode":"NoError","timestamp":[1]}]',
    "values within values": '[2,"1","MeterValues",{"connectorId":1,"meterValue":'
    + '[{"sampledValue":' * 60
    + "[]"
    + "}]" * 60
    + "}]",
    "depth where nobody looks": '[2,"1","DataTransfer",{"vendorId":"V","data":'
    + "[" * 200
    + "]" * 200
    + "}]",
    "a status of no status": '[2,"1","StatusNotification",{"connectorId":1,"status":{},'
    '"errorCode":[]}]',
    "an id that is a number": '[2,5,"Heartbeat",{}]',
    "no payload": '[2,"1","Heartbeat"]',
    "five elements": '[2,"1","Heartbeat",{},{}]',
}


@pytest.mark.parametrize("text", ANSWERED.values(), ids=ANSWERED)
def test_a_call_that_can_be_read_is_answered(line, text):
    with capture_logs() as logged:
        answer = line.say(text)

    assert answer[0] in (3, 4)
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    if answer[0] == 4:
        assert answer[2] != "InternalError"


UNREADABLE = {
    "nothing": "",
    "no JSON": "GET / HTTP/1.1",
    "cut off": '[2,"1","Heartbeat",{',
    "deep": f'[2,"1","DataTransfer",{{"vendorId":"V","data":{DEEP}}}]',
    "deep within what JSON can hold": '[2,"1","DataTransfer",{"vendorId":"V","data":'
    + "[" * 900
    + "]" * 900
    + "}]",
    "deep objects": '[2,"1","Heartbeat",' + '{"a":' * 20_000,
    "NaN": '[2,"1","MeterValues",{"connectorId":NaN}]',
    "Infinity": '[2,"1","MeterValues",{"connectorId":Infinity}]',
    "a lone surrogate": '[2,"1","Authorize",{"idTag":"\\ud800"}]',
    "a lone surrogate in the id": '[2,"\\udfff","Heartbeat",{}]',
    "NUL": '[2,"1","Authorize",{"idTag":"\\u0000"}]',
    "raw NUL": '[2,"1","Authorize",{"idTag":"\0"}]',
    "a byte order mark": '\ufeff[2,"1","Heartbeat",{}]',
    "an object": '{"2":"1"}',
    "too few elements": "[2]",
    "no action": '[2,"1"]',
    "an empty id": '[2,"","Heartbeat",{}]',
    "an id of 256 letters": f'[2,"{"i" * 256}","Heartbeat",{{}}]',
    "a type in words": '["CALL","1","Heartbeat",{}]',
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_cleanly(text):
    with pytest.raises(Undecodable) as refusal:
        decode(text)

    assert refusal.value.problem.isprintable()


def test_a_connection_that_was_displaced_answers_nothing(line):
    Line(line.stores)
    with pytest.raises(StaleEpoch):
        line.start()


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.sampled_from([NOON, "Available", "ALICE", "1", "NoError", "Accepted"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=5,
)
_fields = st.dictionaries(
    st.sampled_from(
        [
            "connectorId",
            "idTag",
            "meterStart",
            "meterStop",
            "timestamp",
            "transactionId",
            "transactionData",
            "meterValue",
            "status",
            "errorCode",
            "info",
            "reason",
            "vendorId",
            "chargePointVendor",
            "reservationId",
        ]
    ),
    _values
    | st.just([{"timestamp": NOON, "sampledValue": [{"value": "1"}]}])
    | st.lists(
        st.fixed_dictionaries(
            {"sampledValue": st.lists(st.fixed_dictionaries({"value": _values}), max_size=3)},
            optional={"timestamp": _values},
        ),
        max_size=2,
    ),
)


@given(st.sampled_from(sorted(ROUTES)), _fields, _values)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the store may grow meanwhile
    max_examples=200,
)
def test_whatever_is_sent_there_is_an_answer_and_no_bug_of_ours(line, action, fields, unique_id):
    text = json.dumps([2, unique_id, action, fields], allow_nan=True)
    try:
        call = decode(text)
    except (Undecodable, UnknownMessageType):
        return
    assert isinstance(call, Call)

    with capture_logs() as logged:
        answer = line.answer(call)

    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    if action in {"MeterValues", "StopTransaction"}:
        assert answer[0] == 3
