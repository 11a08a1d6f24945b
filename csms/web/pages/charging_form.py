"""A charging profile as a plain form: periods are lines of a text, instants are in UTC."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from csms.clock import text_of
from csms.domain.charging_profile import PERIODS_MAX, read_profile
from csms.domain.charging_template import ChargingTemplate, as_instance
from csms.errors import FieldError

_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", re.ASCII)
_LINE = "must read: start in seconds, limit, and the number of phases if it is not 3"


def profile_of(form: Mapping[str, str]) -> dict[str, Any]:
    """As on the wire; what is empty is left out, what does not fit is left to the rules.

    Raises FieldError for what can't be read.
    """
    profile: dict[str, Any] = {
        "stackLevel": _whole(form, "stack_level"),
        "chargingProfilePurpose": form.get("purpose", ""),
        "chargingProfileKind": form.get("kind", ""),
        "recurrencyKind": form.get("recurrency") or None,
        "validFrom": _text(form_instant(form, "valid_from")),
        "validTo": _text(form_instant(form, "valid_to")),
        "chargingSchedule": {
            "duration": _whole(form, "duration_s"),
            "startSchedule": _text(form_instant(form, "start_at")),
            "chargingRateUnit": form.get("unit", ""),
            "chargingSchedulePeriod": list(_periods(form.get("periods", ""))),
            "minChargingRate": _decimal(form, "min_charging_rate"),
        },
    }
    profile["chargingSchedule"] = _present(profile["chargingSchedule"])
    return _present(profile)


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(at_ms: int | None) -> str | None:
    return None if at_ms is None else text_of(at_ms)


def _whole(form: Mapping[str, str], name: str) -> int | None:
    text = form.get(name, "").strip()
    if text and not _WHOLE.fullmatch(text):
        raise FieldError(name, "must be a whole number")
    return int(text) if text else None


def _decimal(form: Mapping[str, str], name: str) -> float | None:
    text = form.get(name, "").strip()
    if text and not _DECIMAL.fullmatch(text):
        raise FieldError(name, "must be a number such as 6.5")
    return _number(text) if text else None


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _periods(text: str) -> Iterator[dict[str, Any]]:
    """Of lines such as `3600 16` and `7200 10.5 1`; empty lines don't count."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if number > 2 * PERIODS_MAX:
            raise FieldError("periods", f"must have {PERIODS_MAX} lines at most")
        is_sound = (
            len(words) in (2, 3)
            and _WHOLE.fullmatch(words[0])
            and _DECIMAL.fullmatch(words[1])
            and all(_WHOLE.fullmatch(word) for word in words[2:])
        )
        if not is_sound:
            raise FieldError("periods", f"line {number} {_LINE}")
        period: dict[str, Any] = {"startPeriod": int(words[0]), "limit": _number(words[1])}
        if len(words) == 3:
            period["numberPhases"] = int(words[2])
        yield period


def form_instant(form: Mapping[str, str], name: str) -> int | None:
    """Of a field of date and time without a zone, which the form says is UTC."""
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is not None or not 2000 <= instant.year <= 9998:
        raise FieldError(name, "must be a date and a time, such as 2026-11-22T19:45")
    return round(instant.replace(tzinfo=UTC).timestamp() * 1000)


def values_of(template: ChargingTemplate) -> dict[str, str]:
    """What the form of a template holds."""
    profile = read_profile(as_instance(template.profile, "profile"))
    schedule = profile.schedule
    values: dict[str, Any] = {
        "name": template.name,
        "description": template.description,
        "purpose": profile.purpose,
        "kind": profile.kind,
        "recurrency": profile.recurrency,
        "stack_level": profile.stack_level,
        "valid_from": _field(profile.valid_from_ms),
        "valid_to": _field(profile.valid_to_ms),
        "start_at": _field(schedule.start_at_ms),
        "duration_s": schedule.duration_s,
        "unit": schedule.unit,
        "min_charging_rate": schedule.min_charging_rate,
        "periods": "\n".join(
            " ".join(
                str(word)
                for word in (period.start_s, period.limit, period.number_phases)
                if word is not None
            )
            for period in schedule.periods
        ),
    }
    return {name: "" if value is None else str(value) for name, value in values.items()}


def _field(at_ms: int | None) -> str | None:
    return None if at_ms is None else text_of(at_ms)[:19]
