"""The error codes as OCPP 1.6 spells them (OCPP-J 1.6, 4.2.3; errata 5.1 and 5.2)."""

import pytest

from csms.protocol import call_errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (call_errors.NotImplemented_, "NotImplemented"),
        (call_errors.NotSupported, "NotSupported"),
        (call_errors.InternalError, "InternalError"),
        (call_errors.ProtocolError, "ProtocolError"),
        (call_errors.SecurityError, "SecurityError"),
        (call_errors.FormationViolation, "FormationViolation"),
        (call_errors.PropertyConstraintViolation, "PropertyConstraintViolation"),
        (call_errors.OccurenceConstraintViolation, "OccurenceConstraintViolation"),
        (call_errors.TypeConstraintViolation, "TypeConstraintViolation"),
        (call_errors.GenericError, "GenericError"),
    ],
)
def test_a_code_is_spelled_as_in_1_6(error, code):
    assert error.code == code
    assert code in call_errors.CODES
    assert issubclass(error, call_errors.OCPPError)


def test_there_is_an_error_for_every_code():
    assert len(call_errors.CODES) == 10


def test_unknown_and_unsupported_actions_are_told_apart():
    assert "not known" in call_errors.NotImplemented_().description
    assert "known but not supported" in call_errors.NotSupported().description


def test_every_rule_has_a_code_of_1_6():
    assert {error.code for error in call_errors.CODE_OF_RULE.values()} <= call_errors.CODES
