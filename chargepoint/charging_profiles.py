"""The charging profiles a charge point holds, and the limit they set at an instant."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NOMINAL_V = 230.0
RECURRENCE_S = {"Daily": 86_400, "Weekly": 604_800}


@dataclass(frozen=True, slots=True)
class Installed:
    """One csChargingProfiles object and the connector it was set for (0: all)."""

    connector_id: int
    profile: dict[str, Any]

    @property
    def purpose(self) -> str:
        """ChargingProfilePurpose."""
        return str(self.profile["chargingProfilePurpose"])

    @property
    def stack_level(self) -> int:
        """Higher wins."""
        return int(self.profile["stackLevel"])


class ChargingProfiles:
    """What SetChargingProfile installed; OCPP 1.6 Edition 2, 3.13 with its errata."""

    def __init__(self) -> None:
        self.installed: list[Installed] = []

    def install(self, connector_id: int, profile: dict[str, Any]) -> None:
        """Add; the same id, or the same purpose, level and connector, is replaced."""
        new = Installed(connector_id, profile)
        place = (new.purpose, new.stack_level, connector_id)
        self.installed = [
            old
            for old in self.installed
            if old.profile["chargingProfileId"] != profile["chargingProfileId"]
            and (old.purpose, old.stack_level, old.connector_id) != place
        ]
        self.installed.append(new)

    def clear(self, criteria: dict[str, Any]) -> bool:
        """Remove what matches a ClearChargingProfile.req; True when anything did.

        An id overrules the other fields, which are otherwise all to match (errata 3.25, 3.26).
        """
        gone = [one for one in self.installed if _matches(one, criteria)]
        self.installed = [one for one in self.installed if one not in gone]
        return bool(gone)

    def end_transaction(self, connector_id: int) -> None:
        """TxProfiles end with their transaction."""
        self.installed = [
            one
            for one in self.installed
            if one.purpose != "TxProfile" or one.connector_id != connector_id
        ]

    def limit_w(
        self, connector_id: int, instant: datetime, started_at: datetime | None
    ) -> float | None:
        """The limit for one connector in W, None without one. `started_at` of its transaction."""
        whole = self._limit("ChargePointMaxProfile", 0, instant, started_at)
        own = self._limit("TxProfile", connector_id, instant, started_at)
        if own is None:
            for_all = not any(
                one.purpose == "TxDefaultProfile" and one.connector_id == connector_id
                for one in self.installed
            )
            own = self._limit(
                "TxDefaultProfile", 0 if for_all else connector_id, instant, started_at
            )
        limits = [limit for limit in (whole, own) if limit is not None]
        return min(limits) if limits else None

    def composite(
        self,
        connector_id: int,
        *,
        duration_s: int,
        unit: str,
        rated_w: float,
        now: datetime,
        started_at: datetime | None,
    ) -> dict[str, Any]:
        """The chargingSchedule of a GetCompositeSchedule.conf; rated power where unlimited."""
        periods: list[dict[str, Any]] = []
        for offset_s in sorted(set(self._changes(now, duration_s, started_at))):
            instant = now + timedelta(seconds=offset_s)
            limit_w = self.limit_w(connector_id, instant, started_at)
            watts = rated_w if limit_w is None else min(limit_w, rated_w)
            limit = round(watts if unit == "W" else watts / NOMINAL_V / 3, 1)
            if not periods or periods[-1]["limit"] != limit:
                periods.append({"startPeriod": offset_s, "limit": limit})
        return {
            "duration": duration_s,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        }

    def _limit(
        self, purpose: str, connector_id: int, instant: datetime, started_at: datetime | None
    ) -> float | None:
        candidates = sorted(
            (
                one
                for one in self.installed
                if one.purpose == purpose and one.connector_id == connector_id
            ),
            key=lambda one: one.stack_level,
            reverse=True,
        )
        for one in candidates:
            period = _active_period(one.profile, instant, started_at)
            if period is not None:
                return _watts(one.profile["chargingSchedule"], period)
        return None

    def _changes(
        self, now: datetime, duration_s: int, started_at: datetime | None
    ) -> Iterator[int]:
        """Offsets from `now` at which a limit may change."""
        yield 0
        for one in self.installed:
            schedule = one.profile["chargingSchedule"]
            inner = [int(p["startPeriod"]) for p in schedule["chargingSchedulePeriod"]]
            inner.append(int(schedule.get("duration") or 0))
            origin = _origin(one.profile, started_at) or now
            step_s = RECURRENCE_S.get(str(one.profile.get("recurrencyKind")), 0)
            for start_s in inner:
                offset_s = int((origin + timedelta(seconds=start_s) - now).total_seconds())
                yield from _within(offset_s, step_s, duration_s)
            for bound in ("validFrom", "validTo"):
                if bound in one.profile:
                    at = instant_of(one.profile[bound])
                    yield from _within(int((at - now).total_seconds()), 0, duration_s)


def instant_of(text: str) -> datetime:
    """A dateTime of a payload; UTC where it names no zone. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _within(offset_s: int, step_s: int, duration_s: int) -> Iterator[int]:
    if step_s:
        offset_s %= step_s
    while 0 <= offset_s < duration_s:
        yield offset_s
        if not step_s:
            return
        offset_s += step_s


def _matches(one: Installed, criteria: dict[str, Any]) -> bool:
    if "id" in criteria:
        return int(one.profile["chargingProfileId"]) == int(criteria["id"])
    return (
        int(criteria.get("connectorId", one.connector_id)) == one.connector_id
        and str(criteria.get("chargingProfilePurpose", one.purpose)) == one.purpose
        and int(criteria.get("stackLevel", one.stack_level)) == one.stack_level
    )


def _origin(profile: dict[str, Any], started_at: datetime | None) -> datetime | None:
    start = profile["chargingSchedule"].get("startSchedule")
    if profile["chargingProfileKind"] == "Relative" or start is None:
        return started_at
    return instant_of(start)


def _active_period(
    profile: dict[str, Any], instant: datetime, started_at: datetime | None
) -> dict[str, Any] | None:
    if "validFrom" in profile and instant < instant_of(profile["validFrom"]):
        return None
    if "validTo" in profile and instant >= instant_of(profile["validTo"]):
        return None
    schedule = profile["chargingSchedule"]
    origin = _origin(profile, started_at) or instant
    offset_s = (instant - origin).total_seconds()
    if profile["chargingProfileKind"] == "Recurring":
        offset_s %= RECURRENCE_S[profile["recurrencyKind"]]
    if offset_s < 0 or ("duration" in schedule and offset_s >= schedule["duration"]):
        return None
    active = [p for p in schedule["chargingSchedulePeriod"] if p["startPeriod"] <= offset_s]
    return active[-1] if active else None


def _watts(schedule: dict[str, Any], period: dict[str, Any]) -> float:
    limit = float(period["limit"])
    if schedule["chargingRateUnit"] == "W":
        return limit
    return limit * NOMINAL_V * int(period.get("numberPhases", 3))
