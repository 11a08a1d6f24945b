"""The cases of the Smart Charging profile."""

from datetime import timedelta
from typing import Any

from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import authorized, booted, charging, started
from chargepoint.conformance.tool import MISSING, Resource, Tool, instant

cases = Cases(Profile.SMART_CHARGING)

# What the official tool wants to be told in advance.
STACK_LEVEL = 1
UNIT = "A"
LIMIT = 6.0
LIMIT_W = 6000.0
DURATION_S = 3600
START_PERIOD_S = 0
NUMBER_PHASES = 1
SCHEDULE_DURATION_S = 600

ABSOLUTE = frozenset({"Absolute"})
ABSOLUTE_OR_RELATIVE = frozenset({"Absolute", "Relative"})
ACCEPTED = {"status": "Accepted"}
PERIOD = "csChargingProfiles.chargingSchedule.chargingSchedulePeriod.0"


@cases.add("TC_056_CSMS", "Central smart charging: TxDefaultProfile")
def default_profile(tool: Tool) -> None:
    _install_default(tool, UNIT, LIMIT, NUMBER_PHASES)
    # It might be left out for three phases, which is what a charge point assumes.
    tool.has(f"{PERIOD}.numberPhases", NUMBER_PHASES)
    _check_profile(tool, "TxDefaultProfile", None)


@cases.variant("TC_056_CSMS", "in watts, of three phases")
def default_profile_in_watts(tool: Tool) -> None:
    _install_default(tool, "W", LIMIT_W, None)
    tool.one_of(f"{PERIOD}.numberPhases", (3, MISSING))
    _check_profile(tool, "TxDefaultProfile", None)


def _install_default(tool: Tool, unit: str, limit: float, phases: int | None) -> None:
    booted(tool)
    _install(tool, 1, _profile("TxDefaultProfile", unit=unit, limit=limit, phases=phases))
    profile, schedule = "csChargingProfiles", "csChargingProfiles.chargingSchedule"
    tool.has(f"{profile}.stackLevel", STACK_LEVEL)
    _check_kind(tool, profile, ABSOLUTE)
    tool.absent(f"{profile}.transactionId")
    tool.has(f"{schedule}.chargingRateUnit", unit)
    tool.has(f"{schedule}.duration", DURATION_S)
    tool.has(f"{PERIOD}.startPeriod", START_PERIOD_S)
    sent = tool.field(f"{PERIOD}.limit")
    tool.require(f"{PERIOD}.limit", sent == limit and sent is not True, repr(limit))


@cases.add("TC_057_CSMS", "Central smart charging: TxProfile")
def transaction_profile(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    _install(tool, 1, _profile("TxProfile", kind="Relative"))
    tool.has("csChargingProfiles.transactionId", transaction_id)
    _check_kind(tool, "csChargingProfiles", ABSOLUTE_OR_RELATIVE)
    _check_profile(tool, "TxProfile", transaction_id)


@cases.add("TC_059_CSMS", "Remote start with a charging profile")
def remote_start_with_profile(tool: Tool) -> None:
    booted(tool)
    asked = tool.operation(
        "RemoteStartTransaction",
        {
            "connectorId": 1,
            "idTag": tool.cast.valid,
            "chargingProfile": {**_profile("TxProfile", kind="Relative"), "chargingProfileId": 1},
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
    transaction_id = started(tool, asked["idTag"])
    tool.status("Charging")
    _check_profile(tool, "TxProfile", transaction_id)


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
    wished = {
        "connector_id": 1,
        "duration_s": SCHEDULE_DURATION_S,
        "charging_rate_unit": UNIT,
    }
    command = tool.operate("GetCompositeSchedule", Resource("POST", "/composite-schedule", wished))
    tool.expect("GetCompositeSchedule")
    tool.has("connectorId", 1)
    tool.has("duration", SCHEDULE_DURATION_S)
    tool.has("chargingRateUnit", UNIT)
    tool.answer(answer)
    tool.ended(command)
    # Beside our own reckoning, what the charge point says.
    question = "&".join(f"{name}={value}" for name, value in wished.items())
    tool.look_below("composite schedule", f"/composite-schedule?{question}")
    tool.has("answer.payload", answer)
    tool.has("reported.charging_rate_unit", UNIT)
    tool.has("reported.periods.0.limit", LIMIT)


@cases.add("TC_067_CSMS", "Clear charging profiles")
def clear_profiles(tool: Tool) -> None:
    booted(tool)
    transaction_id = charging(tool)
    known: list[int] = []
    _set(tool, known, 0, "ChargePointMaxProfile")
    _set(tool, known, 1, "TxDefaultProfile")
    _set(tool, known, 1, "TxProfile", transaction_id)
    _check_installed(tool, "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile")

    _clear(tool, f"charging_profile_id={known[0]}")
    tool.has("id", known[0])
    _only(tool, "id")
    _check_installed(tool, "TxDefaultProfile", "TxProfile")
    _clear(tool, f"connector_id=1&purpose=TxDefaultProfile&stack_level={STACK_LEVEL}")
    tool.has("connectorId", 1)
    tool.has("chargingProfilePurpose", "TxDefaultProfile")
    tool.has("stackLevel", STACK_LEVEL)
    tool.absent("id")
    _check_installed(tool, "TxProfile")
    _clear(tool, "all=true")
    _only(tool)
    _check_installed(tool)


def _install(tool: Tool, connector_id: int, profile: Payload) -> None:
    """One SetChargingProfile; its id, and the transaction of a TxProfile, are found for it."""
    purpose = profile["chargingProfilePurpose"]
    resource = Resource(
        "POST", "/charging-profiles", {"connector_id": connector_id, "profile": profile}
    )
    tool.operation("SetChargingProfile", resource, ACCEPTED)
    tool.has("connectorId", connector_id)
    tool.has("csChargingProfiles.chargingProfilePurpose", purpose)


def _set(
    tool: Tool, known: list[int], connector_id: int, purpose: str, transaction_id: int | None = None
) -> None:
    """A profile that is to be cleared, whose id joins those known."""
    _install(tool, connector_id, _profile(purpose))
    tool.has("csChargingProfiles.stackLevel", STACK_LEVEL)
    if transaction_id is None:
        tool.absent("csChargingProfiles.transactionId")
    else:
        tool.has("csChargingProfiles.transactionId", transaction_id)
    profile_id = tool.field("csChargingProfiles.chargingProfileId")
    if known:
        tool.require("another chargingProfileId", profile_id not in known, f"none of {known}")
    known.append(profile_id)


def _clear(tool: Tool, criteria: str) -> None:
    tool.operation(
        "ClearChargingProfile", Resource("DELETE", f"/charging-profiles?{criteria}"), ACCEPTED
    )


def _check_profile(tool: Tool, purpose: str, transaction_id: int | None) -> None:
    """The one of this purpose in the books is installed, and bound to this transaction."""

    def pick(page: Any) -> Payload:
        found = [record for record in page["items"] if record["purpose"] == purpose]
        return dict(found[0]) if found else {}

    tool.look_below("profile", "/charging-profiles", pick)
    tool.has("state", "installed")
    tool.has("transaction_id", transaction_id)


def _check_installed(tool: Tool, *purposes: str) -> None:
    """What the charge point has by the books."""
    page = tool.look_below("profiles", "/charging-profiles?state=installed")
    found = sorted(record["purpose"] for record in page["items"])
    tool.require("installed", found == sorted(purposes), ", ".join(purposes) or "none")


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


def _profile(
    purpose: str,
    kind: str = "Absolute",
    *,
    unit: str = UNIT,
    limit: float = LIMIT,
    phases: int | None = NUMBER_PHASES,
) -> Payload:
    period: Payload = {"startPeriod": START_PERIOD_S, "limit": limit}
    if phases is not None:
        period["numberPhases"] = phases
    schedule: Payload = {
        "duration": DURATION_S,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [period],
    }
    profile: Payload = {
        "stackLevel": STACK_LEVEL,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
    }
    if kind == "Absolute":
        schedule["startSchedule"] = instant()
        profile["validFrom"] = instant()
        profile["validTo"] = instant(-timedelta(seconds=DURATION_S))
    return profile
