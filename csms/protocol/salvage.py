"""Makes a payload that breaks its schema as usable as it can be made.

Lenient in what is received: fields unknown to the schema are dropped, texts that hold numbers
become numbers, texts that are too long or not in an enumeration are kept for the handler to judge,
bad samples are left out and good ones kept (OCPP 1.6 ed. 2, 3.7.1; errata EJ 3.3: a refused
transaction message comes back for ever). What can't be mended raises the error of its rule.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from csms.protocol.call_errors import (
    FormationViolation,
    OccurenceConstraintViolation,
    OCPPError,
    PropertyConstraintViolation,
    TypeConstraintViolation,
)


class _Unusable:
    """Stands for a value nothing can be made of."""


UNUSABLE: Final = _Unusable()


@dataclass(frozen=True, slots=True)
class Policy:
    """What an action forgives beyond the rule.

    defaults: top-level fields that may be missing, and what stands in for them.
    strict_enums: top-level fields whose unknown texts have no use at all.
    """

    defaults: Mapping[str, Any]
    strict_enums: frozenset[str] = frozenset()


@dataclass(slots=True)
class Salvaged:
    payload: dict[str, Any]
    deviations: list[str]


def salvage(document: Mapping[str, Any], payload: Any, policy: Policy) -> Salvaged:
    """The payload with every field either of its schema's type or gone.

    Raises the OCPPError of the rule where a required field is missing or of no use and the policy
    has no default for it.
    """
    if not isinstance(payload, dict):
        raise FormationViolation("The payload must be an object.")
    deviations: list[str] = []
    usable: dict[str, Any] = {}
    properties = document.get("properties", {})
    for name, value in payload.items():
        schema = properties.get(name)
        if schema is None:
            deviations.append(f"{name[:50]} is not a field of this message")
            continue
        fitted = _fit(schema, value, name, deviations)
        if fitted is not UNUSABLE:
            usable[name] = fitted
    for name in policy.strict_enums:
        if name in usable and usable[name] not in properties[name]["enum"]:
            raise PropertyConstraintViolation(
                f"{name} is not one of the values of OCPP 1.6.", {"field": name}
            )
    for name in document.get("required", ()):
        if name not in usable:
            if name not in policy.defaults:
                raise _missing(name, payload)
            usable[name] = policy.defaults[name]
            deviations.append(f"{name} is missing or of no use")
    return Salvaged(usable, deviations)


def _missing(name: str, payload: Mapping[str, Any]) -> OCPPError:
    if payload.get(name) is None:
        return OccurenceConstraintViolation(f"{name} is required.", {"field": name})
    return TypeConstraintViolation(f"{name} has the wrong type.", {"field": name})


def _fit(schema: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    """The value in the schema's type, or UNUSABLE; what was changed is noted."""
    fitter = _FITTERS.get(schema.get("type", ""))
    if fitter is None:
        return value
    fitted = fitter(schema, value, path, deviations)
    if fitted is UNUSABLE:
        deviations.append(f"{path} is of no use")
    return fitted


def _fit_object(schema: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    if not isinstance(value, dict):
        return UNUSABLE
    usable: dict[str, Any] = {}
    properties = schema.get("properties", {})
    for name, item in value.items():
        if name not in properties:
            deviations.append(f"{path}/{name[:50]} is not a field of this message")
            continue
        fitted = _fit(properties[name], item, f"{path}/{name}", deviations)
        if fitted is not UNUSABLE:
            usable[name] = fitted
    if any(name not in usable and name not in _FORGIVEN for name in schema.get("required", ())):
        return UNUSABLE
    return usable


# A meter value without a timestamp was taken when it arrived, as far as anybody knows.
_FORGIVEN = frozenset({"timestamp"})


def _fit_array(schema: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    if isinstance(value, dict):  # a lone element where a list belongs: seen in the field
        deviations.append(f"{path} is an object, not a list")
        value = [value]
    if not isinstance(value, list):
        return UNUSABLE
    items = [
        fitted
        for index, item in enumerate(value)
        if (fitted := _fit(schema["items"], item, f"{path}/{index}", deviations)) is not UNUSABLE
    ]
    return UNUSABLE if not items and schema.get("minItems") else items


def _fit_string(schema: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    if isinstance(value, bool):
        deviations.append(f"{path} is a boolean, not a text")
        return "true" if value else "false"
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            return UNUSABLE
        deviations.append(f"{path} is a number, not a text")
        return str(value)
    if not isinstance(value, str):
        return UNUSABLE
    if "enum" in schema and value not in schema["enum"]:
        stripped = value.strip()
        if stripped != value:
            deviations.append(f"{path} has blanks around it")
        if stripped not in schema["enum"]:
            deviations.append(f"{path} is not one of the values of OCPP 1.6")
        return stripped
    if len(value) > schema.get("maxLength", math.inf):
        deviations.append(f"{path} is too long")
    return value


def _fit_integer(_: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return UNUSABLE
    if isinstance(value, float) and math.isfinite(value) and abs(value) < 2**63:
        deviations.append(f"{path} is not written as an integer")
        return round(value)
    return UNUSABLE


def _fit_number(_: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if math.isfinite(value) else UNUSABLE
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return UNUSABLE
        if math.isfinite(number):
            deviations.append(f"{path} is a text, not a number")
            return number
    return UNUSABLE


def _fit_boolean(_: Mapping[str, Any], value: Any, path: str, deviations: list[str]) -> Any:
    if isinstance(value, bool):
        return value
    folded = str(value).strip().casefold()
    if folded in {"true", "1", "false", "0"}:
        deviations.append(f"{path} is not written as a boolean")
        return folded in {"true", "1"}
    return UNUSABLE


_FITTERS: Mapping[str, Callable[[Mapping[str, Any], Any, str, list[str]], Any]] = {
    "object": _fit_object,
    "array": _fit_array,
    "string": _fit_string,
    "integer": _fit_integer,
    "number": _fit_number,
    "boolean": _fit_boolean,
}
