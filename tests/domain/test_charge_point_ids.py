"""Who a path names (OCPP-J 1.6, 3.1.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.domain.charge_point import is_charge_point_id, read_charge_point_id

READ = {
    "plain": ("/ocpp/CP001", "CP001"),
    "a blank, percent-encoded": ("/ocpp/RDAM%20123", "RDAM 123"),
    "doubled slashes": ("//ocpp///CP001", "CP001"),
    "a slash at the end": ("/ocpp/CP001/", "CP001"),
    "segments before it": ("/ocpp/steve/websocket/CP001", "CP001"),
    "three slashes and a plain word": ("/ocpp///charger", "charger"),
    "every character an id may have": ("/ocpp/A0._-+=@*|z", "A0._-+=@*|z"),
    "48 characters": ("/ocpp/" + "a" * 48, "a" * 48),
    "decoded once only": ("/ocpp/CP%2530", None),
    "an encoded slash": ("/ocpp/a%2Fb", None),
    "a NUL": ("/ocpp/a%00b", None),
    "a line break": ("/ocpp/a%0Ab", None),
    "braces would leave the slot": ("/ocpp/a%7Bb%7D", None),
    "no UTF-8": ("/ocpp/%FF%FE", None),
    "letters beyond ASCII": ("/ocpp/%C3%A4", None),
    "49 characters": ("/ocpp/" + "a" * 49, None),
    "a blank at the end": ("/ocpp/CP001%20", None),
    "dots of a path": ("/ocpp/..", None),
    "nobody": ("/ocpp/", None),
    "nobody at all": ("/", None),
    "another path": ("/api/CP001", None),
    "a longer word": ("/ocppx/CP001", None),
    "another case of the prefix": ("/OCPP/CP001", None),
}


@pytest.mark.parametrize(("path", "identity"), READ.values(), ids=READ)
def test_the_last_segment_of_a_path_is_the_identity(path, identity):
    assert read_charge_point_id(path, "/ocpp") == identity


def test_a_prefix_may_have_several_segments_or_none():
    assert read_charge_point_id("/a/b/CP001", "/a/b") == "CP001"
    assert read_charge_point_id("/a/CP001", "/a/b") is None
    assert read_charge_point_id("/CP001", "/") == "CP001"


@given(st.text())
def test_whatever_the_path_only_an_id_comes_out(path):
    identity = read_charge_point_id(path, "")

    assert identity is None or is_charge_point_id(identity)


@pytest.mark.parametrize("text", ["", " CP001", "CP001 ", "-CP001", "CP/001", "CP001\n", "CPä"])
def test_what_is_no_id_is_told_apart(text):
    assert not is_charge_point_id(text)
