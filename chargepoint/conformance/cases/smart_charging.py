"""The cases of the Smart Charging profile."""

from datetime import timedelta
from typing import Any

from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import authorized, booted, charging, started
from chargepoint.conformance.tool import Tool, instant

cases = Cases(Profile.SMART_CHARGING)

# What the official tool wants to be told in advance.
STACK_LEVEL = 1
UNIT = "A"
LIMIT = 6.0
DURATION_S = 3600
START_PERIOD_S = 0
NUMBER_PHASES = 1
SCHEDULE_DURATION_S = 600

ABSOLUTE = frozenset({"Absolute"})
ABSOLUTE_OR_RELATIVE = frozenset({"Absolute", "Relative"})
ACCEPTED = {"status": "Accepted"}


@cases.add("TC_056_CSMS", "Central smart charging: TxDefaultProfile")
def default_profile(tool: Tool) -> None:
    booted(tool)
    tool.operation(
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": _profile(1, "TxDefaultProfile")},
        ACCEPTED,
    )
    tool.has("connectorId", 1)
    profile, schedule = "csChargingProfiles", "csChargingProfiles.chargingSchedule"
    period = f"{schedule}.chargingSchedulePeriod.0"
    tool.has(f"{profile}.chargingProfilePurpose", "TxDefaultProfile")
    tool.has(f"{profile}.stackLevel", STACK_LEVEL)
    _check_kind(tool, profile, ABSOLUTE)
    tool.absent(f"{profile}.transactionId")
    tool.has(f"{schedule}.chargingRateUnit", UNIT)
    tool.has(f"{schedule}.duration", DURATION_S)
    tool.has(f"{period}.startPeriod", START_PERIOD_S)
    limit = tool.field(f"{period}.limit")
    tool.require(f"{period}.limit", limit == LIMIT and limit is not True, repr(LIMIT))
    # It might be left out for three phases, which is what a charge point assumes.
    tool.has(f"{period}.numberPhases", NUMBER_PHASES)


@cases.add("TC_057_CSMS", "Central smart charging: TxProfile")
def transaction_profile(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    profile = _profile(1, "TxProfile", kind="Relative", transactionId=transaction_id)
    tool.operation(
        "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}, ACCEPTED
    )
    tool.has("connectorId", 1)
    tool.has("csChargingProfiles.chargingProfilePurpose", "TxProfile")
    tool.has("csChargingProfiles.transactionId", transaction_id)
    _check_kind(tool, "csChargingProfiles", ABSOLUTE_OR_RELATIVE)


@cases.add("TC_059_CSMS", "Remote start with a charging profile")
def remote_start_with_profile(tool: Tool) -> None:
    booted(tool)
    asked = tool.operation(
        "RemoteStartTransaction",
        {
            "connectorId": 1,
            "idTag": tool.cast.valid,
            "chargingProfile": _profile(1, "TxProfile", kind="Relative"),
        },
        ACCEPTED,
    )
    tool.has("idTag", tool.cast.valid)
    tool.has("connectorId", 1)
    tool.has("chargingProfile.chargingProfilePurpose", "TxProfile")
    tool.absent("chargingProfile.transactionId")
    tool.has("chargingProfile.chargingSchedule.chargingSchedulePeriod.0.startPeriod", 0)
    _check_kind(tool, "chargingProfile", ABSOLUTE_OR_RELATIVE)
    authorized(tool, asked["idTag"])
    tool.status("Preparing")
    started(tool, asked["idTag"])
    tool.status("Charging")


@cases.add("TC_066_CSMS", "Get composite schedule")
def composite_schedule(tool: Tool) -> None:
    booted(tool)
    schedule = {
        "duration": SCHEDULE_DURATION_S,
        "chargingRateUnit": UNIT,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": LIMIT}],
    }
    answer = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": instant(),
        "chargingSchedule": schedule,
    }
    wished = {"connectorId": 1, "duration": SCHEDULE_DURATION_S, "chargingRateUnit": UNIT}
    tool.operation("GetCompositeSchedule", wished, answer)
    tool.has("connectorId", 1)
    tool.has("duration", SCHEDULE_DURATION_S)
    tool.has("chargingRateUnit", UNIT)


@cases.add("TC_067_CSMS", "Clear charging profiles")
def clear_profiles(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    known: list[int] = []
    _set(tool, known, 0, "ChargePointMaxProfile")
    _set(tool, known, 1, "TxDefaultProfile")
    _set(tool, known, 1, "TxProfile", transaction_id)

    tool.operation("ClearChargingProfile", {"id": known[0]}, ACCEPTED)
    tool.has("id", known[0])
    _only(tool, "id")
    criteria = {
        "connectorId": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "stackLevel": STACK_LEVEL,
    }
    tool.operation("ClearChargingProfile", criteria, ACCEPTED)
    for name, value in criteria.items():
        tool.has(name, value)
    tool.absent("id")
    tool.operation("ClearChargingProfile", {}, ACCEPTED)
    _only(tool)


def _set(
    tool: Tool, known: list[int], connector_id: int, purpose: str, transaction_id: int | None = None
) -> None:
    """One SetChargingProfile, whose id joins those known."""
    more: Payload = {} if transaction_id is None else {"transactionId": transaction_id}
    tool.operation(
        "SetChargingProfile",
        {
            "connectorId": connector_id,
            "csChargingProfiles": _profile(len(known) + 1, purpose, **more),
        },
        ACCEPTED,
    )
    tool.has("connectorId", connector_id)
    tool.has("csChargingProfiles.chargingProfilePurpose", purpose)
    tool.has("csChargingProfiles.stackLevel", STACK_LEVEL)
    if transaction_id is None:
        tool.absent("csChargingProfiles.transactionId")
    else:
        tool.has("csChargingProfiles.transactionId", transaction_id)
    profile_id = tool.field("csChargingProfiles.chargingProfileId")
    if known:
        tool.require("another chargingProfileId", profile_id not in known, f"none of {known}")
    known.append(profile_id)


def _check_kind(tool: Tool, profile: str, kinds: frozenset[str]) -> None:
    """What belongs to an Absolute profile and to a Relative one; none is Recurring."""
    tool.one_of(f"{profile}.chargingProfileKind", kinds)
    tool.absent(f"{profile}.recurrencyKind")
    schedule = f"{profile}.chargingSchedule"
    if tool.field(f"{profile}.chargingProfileKind") == "Relative":
        tool.absent(f"{schedule}.startSchedule")
        return
    for path in ("validFrom", "validTo"):
        tool.present(f"{profile}.{path}")
    for path in ("startSchedule", "duration"):
        tool.present(f"{schedule}.{path}")


def _only(tool: Tool, *names: str) -> None:
    unasked = sorted(set(tool.received) - set(names))
    tool.require("nothing else", not unasked, "no other criteria")


def _profile(profile_id: int, purpose: str, kind: str = "Absolute", **more: Any) -> Payload:
    period: Payload = {"startPeriod": START_PERIOD_S, "limit": LIMIT, "numberPhases": NUMBER_PHASES}
    schedule: Payload = {
        "duration": DURATION_S,
        "chargingRateUnit": UNIT,
        "chargingSchedulePeriod": [period],
    }
    profile: Payload = {
        "chargingProfileId": profile_id,
        "stackLevel": STACK_LEVEL,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
        **more,
    }
    if kind == "Absolute":
        schedule["startSchedule"] = instant()
        profile["validFrom"] = instant()
        profile["validTo"] = instant(-timedelta(seconds=DURATION_S))
    return profile
