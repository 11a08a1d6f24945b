"""The error codes of OCPP 1.6 and the exceptions that carry them (OCPP-J 1.6, 4.2.3).

The `ocpp` package's exceptions, less its 2.x codes, with the two typos that stay in 1.6 (errata
5.1, 5.2) and with the descriptions of NotImplemented and NotSupported put right.
"""

from collections.abc import Mapping

from ocpp import exceptions
from ocpp.exceptions import OCPPError as OCPPError  # the family every edge catches

FormationViolation = exceptions.FormationViolationError
GenericError = exceptions.GenericError
InternalError = exceptions.InternalError
OccurenceConstraintViolation = exceptions.OccurenceConstraintViolationError
PropertyConstraintViolation = exceptions.PropertyConstraintViolationError
ProtocolError = exceptions.ProtocolError
SecurityError = exceptions.SecurityError
TypeConstraintViolation = exceptions.TypeConstraintViolationError


class NotImplemented_(exceptions.NotImplementedError):  # type: ignore[misc]
    """The action is unknown."""

    default_description = "The requested action is not known."


class NotSupported(exceptions.NotSupportedError):  # type: ignore[misc]
    """The action is known, and this system does not offer it."""

    default_description = "The requested action is known but not supported."


CODES = frozenset(
    {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
    }
)

# What the rule of a schema means in the codes of 1.6. A missing field is an occurrence of zero
# where one is required; `ProtocolError` (payload incomplete) would be defensible too.
CODE_OF_RULE: Mapping[str, type[OCPPError]] = {
    "type": TypeConstraintViolation,
    "required": OccurenceConstraintViolation,
    "minItems": OccurenceConstraintViolation,
    "maxItems": OccurenceConstraintViolation,
    "enum": PropertyConstraintViolation,
    "maxLength": PropertyConstraintViolation,
    "multipleOf": PropertyConstraintViolation,
    "format": PropertyConstraintViolation,
    "additionalProperties": FormationViolation,
}
