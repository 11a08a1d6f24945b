"""Charging profiles kept under a name, to be installed on any charge point."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csms.clock import text_of
from csms.domain.charging_profile import check_profile, read_profile
from csms.errors import FieldError

NAME_RULE = (
    "1 to 64 characters: letters, digits, blank and ._- ; "
    "it begins with a letter or digit and does not end with a blank"
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._\-]{0,62}[A-Za-z0-9._\-])?", re.ASCII)
# What belongs to an installed profile only; a template is checked as if it had the first id.
_OF_INSTANCE = ("chargingProfileId", "transactionId")
_AS_IF = {"chargingProfileId": 1}


@dataclass(frozen=True, slots=True)
class ChargingTemplate:
    """profile: as on the wire (7.8), without the id and the transaction it gets when installed."""

    name: str
    profile: Mapping[str, Any]
    description: str = ""
    changed_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Installing:
    """What an instance has of its own; the instants replace those of the template, None keeps
    them."""

    charging_profile_id: int
    transaction_id: int | None = None
    start_at_ms: int | None = None
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None


def is_template_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def as_instance(profile: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A template's profile as if it were installed, for the schema to check. Raises FieldError."""
    for name in _OF_INSTANCE:
        if name in profile:
            raise FieldError(
                f"{path}.{name}", "is given when the profile is installed: leave it out"
            )
    return {**_AS_IF, **profile}


def check_template(profile: Mapping[str, Any], path: str) -> None:
    """Every rule that holds wherever it is installed; the profile is valid by the schema.

    Raises FieldError.
    """
    check_profile(read_profile({**_AS_IF, **profile}, path), path)


def instance(profile: Mapping[str, Any], installing: Installing) -> dict[str, Any]:
    """The profile as it is sent. What does not fit is left for the rules of sending to find."""
    made: dict[str, Any] = {"chargingProfileId": installing.charging_profile_id, **profile}
    if installing.transaction_id is not None:
        made["transactionId"] = installing.transaction_id
    if installing.valid_from_ms is not None:
        made["validFrom"] = text_of(installing.valid_from_ms)
    if installing.valid_to_ms is not None:
        made["validTo"] = text_of(installing.valid_to_ms)
    if installing.start_at_ms is not None:
        start = {"startSchedule": text_of(installing.start_at_ms)}
        made["chargingSchedule"] = {**made["chargingSchedule"], **start}
    return made
