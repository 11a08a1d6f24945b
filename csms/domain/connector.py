"""What a connector last said of itself (OCPP 1.6 ed. 2, 4.9)."""

from dataclasses import dataclass
from enum import StrEnum

from csms.domain.timestamps import Timestamp
from csms.domain.values import frame_value


class ChargePointStatus(StrEnum):
    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


ERROR_CODES = frozenset(
    {
        "ConnectorLockFailure",
        "EVCommunicationError",
        "GroundFailure",
        "HighTemperature",
        "InternalError",
        "LocalListConflict",
        "NoError",
        "OtherError",
        "OverCurrentFailure",
        "OverVoltage",
        "PowerMeterFailure",
        "PowerSwitchFailure",
        "ReaderFailure",
        "ResetFailure",
        "UnderVoltage",
        "WeakSignal",
    }
)
# More than any charge point has; a bound, so that none can fill the store with connectors.
CONNECTOR_MAX = 100
NO_ERROR = "NoError"
OTHER_ERROR = "OtherError"


@dataclass(frozen=True, slots=True)
class LastError:
    """The last StatusNotification with an error: it outlives the return to NoError."""

    error_code: str
    info: str
    vendor_error_code: str
    at_ms: int


@frame_value
class Connector:
    """connector_id 0 is the charge point itself. raw_error_code is set where what was sent is not
    in the specification's list; error_code is then OtherError."""

    connector_id: int
    status: ChargePointStatus
    error_code: str
    info: str
    vendor_id: str
    vendor_error_code: str
    raw_error_code: str
    at_ms: int
    received_at_ms: int
    clock_wrong: bool = False
    last_error: LastError | None = None


def known_error_code(error_code: str) -> tuple[str, str]:
    """(code of the specification, raw text where that differs)."""
    if error_code in ERROR_CODES:
        return error_code, ""
    return OTHER_ERROR, error_code[:255]


def supersedes(timestamp: Timestamp, before: Connector | None) -> bool:
    """Whether a notification is news: an older one must not overwrite a newer state.

    A charge point whose clock is wrong is judged by arrival instead, and so is one that had its
    clock put right since.
    """
    if before is None or before.clock_wrong or not timestamp.plausible:
        return True
    return timestamp.at_ms >= before.at_ms
