"""Mutations for the cases of Smart Charging."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, alter, drop, put

SET = "SetChargingProfile.req"
PROFILE = "csChargingProfiles"
SCHEDULE = "csChargingProfiles.chargingSchedule"
PERIOD = "csChargingProfiles.chargingSchedule.chargingSchedulePeriod.0"
START = "RemoteStartTransaction.req"
COMPOSITE = "composite schedule"
LEFT = {"purpose": "TxProfile"}
CLEAR = "ClearChargingProfile.req"


def _recurring(step: str, profile: str) -> Sequence[Mutation]:
    """Of an Absolute or a Relative profile."""
    return (
        put(step, f"{profile}.chargingProfileKind", "Recurring"),
        put(step, f"{profile}.recurrencyKind", "Daily", fails=f"no {profile}.recurrencyKind"),
    )


def _absolute(step: str, profile: str) -> Sequence[Mutation]:
    return (
        *_recurring(step, profile),
        drop(step, f"{profile}.validFrom"),
        drop(step, f"{profile}.validTo"),
        drop(step, f"{profile}.chargingSchedule.startSchedule"),
        drop(step, f"{profile}.chargingSchedule.duration"),
    )


def _relative(step: str, profile: str) -> Sequence[Mutation]:
    schedule = f"{profile}.chargingSchedule"
    return (
        *_recurring(step, profile),
        put(
            step,
            f"{schedule}.startSchedule",
            "2011-01-01T00:00:00Z",
            fails=f"no {schedule}.startSchedule",
        ),
        # As an Absolute profile it lacks what that needs.
        put(step, f"{profile}.chargingProfileKind", "Absolute", fails=f"{profile}.validFrom"),
    )


def _set(step: str, *, has_transaction: bool) -> Sequence[Mutation]:
    """Of one of the three profiles that are cleared afterwards."""
    transaction_id = f"{PROFILE}.transactionId"
    return (
        put(step, "connectorId", 2),
        put(step, f"{PROFILE}.stackLevel", 2),
        *(
            (put(step, transaction_id, 999_999), drop(step, transaction_id))
            if has_transaction
            else (put(step, transaction_id, 999_999, fails=f"no {transaction_id}"),)
        ),
    )


def _default(other_unit: str) -> Sequence[Mutation]:
    return (
        put(SET, "connectorId", 0),
        put(SET, f"{PROFILE}.chargingProfilePurpose", "TxProfile"),
        put(SET, f"{PROFILE}.stackLevel", 0),
        put(SET, f"{PROFILE}.chargingProfileKind", "Relative"),
        *_absolute(SET, PROFILE),
        put(SET, f"{PROFILE}.transactionId", 1, fails=f"no {PROFILE}.transactionId"),
        put(SET, f"{SCHEDULE}.chargingRateUnit", other_unit),
        put(SET, f"{SCHEDULE}.duration", 60),
        put(SET, f"{PERIOD}.startPeriod", 10),
        put(SET, f"{PERIOD}.limit", 16.0),
        put("profile", "state", "requested"),
        put("profile", "transaction_id", 999_999),
    )


MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_056_CSMS": (
        *_default("W"),
        put(SET, f"{PERIOD}.numberPhases", 3),
        drop(SET, f"{PERIOD}.numberPhases"),
    ),
    "TC_056_CSMS (in watts, of three phases)": (
        *_default("A"),
        put(SET, f"{PERIOD}.numberPhases", 1),
    ),
    "TC_057_CSMS": (
        put(SET, "connectorId", 0),
        put(SET, f"{PROFILE}.chargingProfilePurpose", "TxDefaultProfile"),
        put(SET, f"{PROFILE}.transactionId", 999_999),
        drop(SET, f"{PROFILE}.transactionId"),
        *_relative(SET, PROFILE),
        put("profile", "state", "requested"),
        put("profile", "transaction_id", None),
    ),
    "TC_059_CSMS": (
        put(START, "idTag", "SOMEBODY-ELSE"),
        put(START, "connectorId", 2),
        drop(START, "connectorId"),
        put(START, "chargingProfile.chargingProfilePurpose", "TxDefaultProfile"),
        put(START, "chargingProfile.transactionId", 1, fails="no chargingProfile.transactionId"),
        put(START, "chargingProfile.chargingSchedule.chargingSchedulePeriod.0.startPeriod", 60),
        *_relative(START, "chargingProfile"),
        put("profile", "state", "requested"),
        put("profile", "transaction_id", None),
    ),
    "TC_066_CSMS": (
        put("GetCompositeSchedule.req", "connectorId", 0),
        put("GetCompositeSchedule.req", "duration", 60),
        put("GetCompositeSchedule.req", "chargingRateUnit", "W"),
        drop("GetCompositeSchedule.req", "chargingRateUnit"),
        put(COMPOSITE, "answer.payload", {"status": "Rejected"}),
        put(COMPOSITE, "reported.charging_rate_unit", "W"),
        put(COMPOSITE, "reported.periods.0.limit", 32.0),
    ),
    "TC_067_CSMS": (
        *_set(SET, has_transaction=False),
        put(SET, f"{PROFILE}.chargingProfilePurpose", "TxDefaultProfile"),
        put(SET, "connectorId", 1),
        *_set(f"{SET} 2", has_transaction=False),
        put(f"{SET} 2", f"{PROFILE}.chargingProfilePurpose", "TxProfile"),
        put(f"{SET} 2", f"{PROFILE}.chargingProfileId", 1, fails="another chargingProfileId"),
        *_set(f"{SET} 3", has_transaction=True),
        put(f"{SET} 3", f"{PROFILE}.chargingProfilePurpose", "TxDefaultProfile"),
        put(f"{SET} 3", f"{PROFILE}.chargingProfileId", 2, fails="another chargingProfileId"),
        put(CLEAR, "id", 2),
        drop(CLEAR, "id"),
        put(CLEAR, "stackLevel", 1, fails="nothing else"),
        put(f"{CLEAR} 2", "connectorId", 0),
        put(f"{CLEAR} 2", "chargingProfilePurpose", "TxProfile"),
        put(f"{CLEAR} 2", "stackLevel", 0),
        put(f"{CLEAR} 2", "id", 2, fails="no id"),
        put(f"{CLEAR} 3", "id", 3, fails="nothing else"),
        *(
            alter(step, lambda page: {**page, "items": page["items"][1:]}, fails="installed")
            for step in ("profiles", "profiles 2", "profiles 3")
        ),
        alter("profiles 4", lambda page: {**page, "items": [LEFT]}, fails="installed"),
    ),
}
