"""What is known of a charge point's configuration, read as it was meant."""

import pytest
from cast import NOON_MS

from csms.domain.configuration import Configuration, ConfigurationKey, fold_key


def known(value, name="SomeKey"):
    return Configuration({fold_key(name): ConfigurationKey(name, value, False, NOON_MS)})


def test_keys_are_found_whatever_their_case():
    configuration = known("60", "HeartbeatInterval")

    assert configuration.text("heartbeatinterval") == "60"
    assert configuration.find("HEARTBEATINTERVAL ").key == "HeartbeatInterval"


def test_nothing_is_known_of_a_key_that_was_never_told():
    nothing = Configuration()

    assert nothing.find("SomeKey") is None
    assert nothing.text("SomeKey") is None
    assert nothing.integer("SomeKey") is None
    assert nothing.boolean("SomeKey") is None
    assert nothing.items("SomeKey") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [("60", 60), (" 7 ", 7), ("0", 0), ("-1", None), ("6.5", None), ("", None), ("9" * 10, None)],
)
def test_an_integer_is_digits(value, number):
    assert known(value).integer("SomeKey") == number


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        ("true", True),
        ("True", True),
        ("1", True),
        ("FALSE", False),
        ("0", False),
        ("yes", None),
        (None, None),
    ],
)
def test_a_boolean_is_true_or_false_in_any_case(value, truth):
    assert known(value).boolean("SomeKey") is truth


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("Current,Power", ("Current", "Power")),
        (" Core , SmartCharging,", ("Core", "SmartCharging")),
        ("", ()),
        (None, None),
    ],
)
def test_a_list_is_separated_by_commas(value, items):
    assert known(value).items("SomeKey") == items
