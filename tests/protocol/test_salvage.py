"""What can be made of a payload that breaks its schema (central-system rules §2, quirks 6 and 39).

What is left is of the schema's types throughout; for MeterValues and StopTransaction something is
always left (OCPP 1.6 ed. 2, 3.7.1: a refused transaction message comes back for ever).
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.protocol.call_errors import CODES, OCPPError
from csms.protocol.requests import ACTIONS, MeterValues, StopTransaction, read
from csms.protocol.salvage import Policy, salvage
from csms.protocol.schemas import CONFIRMATIONS_RECEIVED, REQUESTS_RECEIVED

LENIENT = Policy(defaults={})


def one_field(schema, value):
    """What a value becomes in a message of one optional field, and what was noted."""
    found = salvage({"properties": {"field": schema}}, {"field": value}, LENIENT)
    return found.payload.get("field", "gone"), found.deviations


TEXT = {"type": "string", "maxLength": 5}
CHOICE = {"type": "string", "enum": ["Raw", "SignedData"]}
INTEGER, NUMBER, BOOLEAN = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
LIST = {"type": "array", "items": INTEGER}
FULL_LIST = {**LIST, "minItems": 1}
THING = {"type": "object", "properties": {"a": INTEGER, "b": TEXT}, "required": ["a"]}

MENDED = {
    "a number for a text": (TEXT, 5, "5"),
    "a fraction for a text": (TEXT, 2.5, "2.5"),
    "true for a text": (TEXT, True, "true"),
    "false for a text": (TEXT, False, "false"),
    "infinity for a text": (TEXT, math.inf, "gone"),
    "null for a text": (TEXT, None, "gone"),
    "a list for a text": (TEXT, ["a"], "gone"),
    "a text that is too long": (TEXT, "123456", "123456"),
    "a choice with a line break": (CHOICE, "Raw\n", "Raw"),
    "an unknown choice": (CHOICE, "Hertz", "Hertz"),
    "an unknown choice with blanks": (CHOICE, " Hz ", "Hz"),
    "a text for an integer": (INTEGER, "5", 5),
    "a fraction for an integer": (INTEGER, 4.6, 5),
    "a text of a fraction for an integer": (INTEGER, "4.6", 5),
    "a word for an integer": (INTEGER, "five", "gone"),
    "an empty text for an integer": (INTEGER, "", "gone"),
    "true for an integer": (INTEGER, True, "gone"),
    "infinity for an integer": (INTEGER, math.inf, "gone"),
    "NaN in words for an integer": (INTEGER, "nan", "gone"),
    "a fraction beyond 64 bits for an integer": (INTEGER, 1e30, "gone"),
    "a text for a number": (NUMBER, "2.5", 2.5),
    "a word for a number": (NUMBER, "much", "gone"),
    "infinity in words for a number": (NUMBER, "inf", "gone"),
    "infinity for a number": (NUMBER, math.inf, "gone"),
    "true for a number": (NUMBER, True, "gone"),
    "null for a number": (NUMBER, None, "gone"),
    "true in words": (BOOLEAN, "True", True),
    "one for true": (BOOLEAN, 1, True),
    "zero for false": (BOOLEAN, "0", False),
    "false in words": (BOOLEAN, "FALSE ", False),
    "a word for a boolean": (BOOLEAN, "yes", "gone"),
    "null for a boolean": (BOOLEAN, None, "gone"),
    "one element for a list": ({**LIST, "items": THING}, {"a": 1}, [{"a": 1}]),
    "bad elements in a list": (LIST, [1, "x", "3", None], [1, 3]),
    "no good element": (LIST, ["x"], []),
    "no good element where one must be": (FULL_LIST, ["x"], "gone"),
    "an empty list where one must be": (FULL_LIST, [], "gone"),
    "a number for a list": (LIST, 5, "gone"),
    "a list for an object": (THING, [1], "gone"),
    "an object with an unknown field": (THING, {"a": 1, "z": 2}, {"a": 1}),
    "an object with a bad optional field": (THING, {"a": 1, "b": []}, {"a": 1}),
    "an object without what it needs": (THING, {"b": "x"}, "gone"),
    "an object with nothing for what it needs": (THING, {"a": "x"}, "gone"),
}


@pytest.mark.parametrize(("schema", "value", "usable"), MENDED.values(), ids=MENDED)
def test_a_value_is_mended_or_left_out_and_that_is_noted(schema, value, usable):
    mended, deviations = one_field(schema, value)

    assert (mended, type(mended)) == (usable, type(usable))
    assert deviations


GOOD = {
    "a text": (TEXT, "12345"),
    "a choice": (CHOICE, "Raw"),
    "an integer": (INTEGER, -5),
    "a number": (NUMBER, 2.5),
    "an integer for a number": (NUMBER, 2),
    "a boolean": (BOOLEAN, False),
    "a list": (LIST, [1, 2]),
    "an object": (THING, {"a": 1, "b": "x"}),
    "what the schema leaves open": ({}, {"any": [1]}),
}


@pytest.mark.parametrize(("schema", "value"), GOOD.values(), ids=GOOD)
def test_a_good_value_stays_itself_without_a_note(schema, value):
    assert one_field(schema, value) == (value, [])


def test_a_meter_value_without_a_timestamp_is_kept():
    request, _ = read("MeterValues", {"connectorId": 1, "meterValue": [{"sampledValue": [SAMPLE]}]})

    assert request.meter_values[0].timestamp is None
    assert request.meter_values[0].sampled_values == [SAMPLE]


SAMPLE = {"value": "5"}
TIME = "2026-11-22T12:00:00Z"

SAMPLES = {
    "all good": ([SAMPLE, {"value": "6", "unit": "Wh"}], ["5", "6"]),
    "a bad one between": ([SAMPLE, {"unit": "Wh"}, "x", None, {"value": "7"}], ["5", "7"]),
    "a number": ([{"value": 5.5}], ["5.5"]),
    "unknown fields": ([{"value": "5", "vendor": 1}], ["5"]),
    "unknown unit": ([{"value": "50.01", "measurand": "Frequency", "unit": "Hz"}], ["50.01"]),
    "none": ([], []),
    "a lone one": (SAMPLE, ["5"]),
    "no list": ("5", []),
}


@pytest.mark.parametrize(("samples", "values"), SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("lone", [False, True], ids=["in a list", "alone"])
def test_good_samples_are_kept_and_bad_ones_left_out(samples, values, lone):
    meter_value = {"timestamp": TIME, "sampledValue": samples}
    payload = {"connectorId": 1, "meterValue": meter_value if lone else [meter_value]}

    request, _ = read("MeterValues", payload)

    assert [s["value"] for v in request.meter_values for s in v.sampled_values] == values


def test_an_empty_meter_value_of_a_stop_is_left_out():
    data = [{"timestamp": TIME, "sampledValue": []}, {"timestamp": TIME, "sampledValue": [SAMPLE]}]

    request, _ = read(
        "StopTransaction",
        {"transactionId": 1, "meterStop": 5, "timestamp": TIME, "transactionData": data},
    )

    assert [value.sampled_values for value in request.transaction_data] == [[SAMPLE]]


# -- the codes of what can't be mended (OCPP-J 1.6, 4.2.3 in the spelling of 1.6)

REFUSED = {
    "no object": ("Heartbeat", [], "FormationViolation"),
    "a text": ("StatusNotification", "x", "FormationViolation"),
    "a missing field": ("Authorize", {}, "OccurenceConstraintViolation"),
    "a field of null": ("Authorize", {"idTag": None}, "OccurenceConstraintViolation"),
    "a field of another type": ("Authorize", {"idTag": ["x"]}, "TypeConstraintViolation"),
    "an unknown status": (
        "StatusNotification",
        {"connectorId": 1, "status": "Exploded", "errorCode": "NoError"},
        "PropertyConstraintViolation",
    ),
    "an unknown progress": (
        "FirmwareStatusNotification",
        {"status": "Almost"},
        "PropertyConstraintViolation",
    ),
    "an unknown upload": (
        "DiagnosticsStatusNotification",
        {"status": "Almost"},
        "PropertyConstraintViolation",
    ),
    "no vendor": ("DataTransfer", {"data": "x"}, "OccurenceConstraintViolation"),
    "a start without an idTag": (
        "StartTransaction",
        {"connectorId": 1, "meterStart": 1, "timestamp": TIME},
        "OccurenceConstraintViolation",
    ),
    "a start on no connector": (
        "StartTransaction",
        {"connectorId": [], "idTag": "A", "meterStart": 1, "timestamp": TIME},
        "TypeConstraintViolation",
    ),
}


@pytest.mark.parametrize(("action", "payload", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_of_no_use_is_refused_with_its_code(action, payload, code):
    with pytest.raises(OCPPError) as refusal:
        read(action, payload)

    assert refusal.value.code == code
    assert refusal.value.description


def test_a_refusal_names_the_field():
    with pytest.raises(OCPPError) as refusal:
        read("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "?"})

    assert refusal.value.details == {"field": "status"}


# -- whatever comes

_words = st.sampled_from(
    ["", "5", "-1", "NoError", "Charging", "Energy.Active.Import.Register", TIME, "Raw", "true"]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def _like(schema):
    """Values such as the schema wants, with anything mixed in."""
    if schema.get("type") == "object":
        fields = {n: _like(s) for n, s in schema.get("properties", {}).items()}
        right = st.fixed_dictionaries({}, optional={**fields, "vendorField": _values})
    elif schema.get("type") == "array":
        right = st.lists(_like(schema["items"]), max_size=3)
    elif "enum" in schema:
        right = st.sampled_from(schema["enum"])
    else:
        right = _words
    return st.one_of(right, right, _values)


_messages = st.sampled_from(sorted(ACTIONS)).flatmap(
    lambda action: st.tuples(st.just(action), _like(REQUESTS_RECEIVED[action].document))
)


@given(_messages)
def test_every_payload_is_read_or_refused_with_a_code_of_1_6(message):
    action, payload = message
    try:
        read(action, payload)
    except OCPPError as refusal:
        assert refusal.code in CODES
    else:
        assert isinstance(payload, dict)


@given(_messages)
def test_what_is_salvaged_has_the_types_of_the_schema(message):
    action, payload = message
    document = REQUESTS_RECEIVED[action].document
    try:
        found = salvage(document, payload, Policy(defaults={}))
    except OCPPError:
        return

    assert set(document.get("required", ())) <= set(found.payload)
    assert _fits(document, found.payload)


@given(
    st.sampled_from(sorted(CONFIRMATIONS_RECEIVED)).flatmap(
        lambda action: st.tuples(st.just(action), _like(CONFIRMATIONS_RECEIVED[action].document))
    )
)
def test_every_answer_is_salvaged_or_refused(message):
    action, payload = message
    try:
        salvage(CONFIRMATIONS_RECEIVED[action].document, payload, Policy(defaults={}))
    except OCPPError as refusal:
        assert refusal.code in CODES


@given(
    st.sampled_from(["MeterValues", "StopTransaction"]).flatmap(
        lambda action: st.tuples(
            st.just(action),
            _like(REQUESTS_RECEIVED[action].document).filter(lambda p: isinstance(p, dict)),
        )
    )
)
def test_meter_values_and_stops_are_never_refused(message):
    request, _ = read(*message)

    assert isinstance(request, MeterValues | StopTransaction)


_PYTHON = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
}


def _fits(schema, value):
    kind = schema.get("type")
    if kind is None:
        return True
    if not isinstance(value, _PYTHON[kind]) or (kind != "boolean" and isinstance(value, bool)):
        return False
    if kind == "object":
        return all(_fits(schema["properties"][name], item) for name, item in value.items())
    if kind == "array":
        return all(_fits(schema["items"], item) for item in value)
    return True
