"""What a charge point asks, as values: one class an Action, each read from its payload.

Fields carry OCPP 1.6's names in snake_case, with units where the specification has them. Optional
fields that charge points leave empty are None or "".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csms.domain.metering import SampledValue
from csms.domain.values import frame_value
from csms.protocol.salvage import Policy, salvage
from csms.protocol.schemas import REQUESTS_RECEIVED, Schema


@frame_value
class Authorize:
    id_tag: str


@frame_value
class BootNotification:
    """facts: all fields as sent, under their OCPP names; vendor and model may be empty."""

    facts: Mapping[str, str]


@frame_value
class DataTransfer:
    vendor_id: str
    message_id: str
    data: str


@frame_value
class DiagnosticsStatusNotification:
    status: str


@frame_value
class FirmwareStatusNotification:
    status: str


@frame_value
class Heartbeat:
    pass


@frame_value
class LogStatusNotification:
    """request_id None: triggered, or left out."""

    status: str
    request_id: int | None


@frame_value
class RawMeterValue:
    """timestamp None: it was missing."""

    timestamp: str | None
    sampled_values: Sequence[SampledValue]


@frame_value
class MeterValues:
    connector_id: int
    transaction_id: int | None
    meter_values: Sequence[RawMeterValue]


@frame_value
class SecurityEventNotification:
    """event_type "" and timestamp None: they were missing or of no use."""

    event_type: str
    timestamp: str | None
    tech_info: str


@frame_value
class SignedFirmwareStatusNotification:
    """request_id None: triggered, or left out."""

    status: str
    request_id: int | None


@frame_value
class SignCertificate:
    """csr: in PEM, as sent."""

    csr: str


@frame_value
class StartTransaction:
    """meter_start_wh and timestamp None: they were missing or of no use."""

    connector_id: int
    id_tag: str
    meter_start_wh: int | None
    timestamp: str | None
    reservation_id: int | None


@frame_value
class StatusNotification:
    connector_id: int
    status: str
    error_code: str
    info: str
    timestamp: str | None
    vendor_id: str
    vendor_error_code: str


@frame_value
class StopTransaction:
    """reason absent means Local (errata EJ 2.6)."""

    transaction_id: int | None
    meter_stop_wh: int | None
    timestamp: str | None
    reason: str
    id_tag: str
    transaction_data: Sequence[RawMeterValue]


Request = (
    Authorize
    | BootNotification
    | DataTransfer
    | DiagnosticsStatusNotification
    | FirmwareStatusNotification
    | Heartbeat
    | LogStatusNotification
    | MeterValues
    | SecurityEventNotification
    | SignedFirmwareStatusNotification
    | SignCertificate
    | StartTransaction
    | StatusNotification
    | StopTransaction
)


def _meter_values(payload: Sequence[Mapping[str, Any]]) -> Sequence[RawMeterValue]:
    """Those with a sample at least: one schema lets empty ones through, the other doesn't."""
    return [
        RawMeterValue(item.get("timestamp"), item["sampledValue"])
        for item in payload
        if item["sampledValue"]
    ]


@dataclass(frozen=True, slots=True)
class _Reader:
    schema: Schema
    policy: Policy
    build: Callable[[dict[str, Any]], Request]


def _reader(
    action: str, policy: Policy, build: Callable[[dict[str, Any]], Request]
) -> tuple[str, _Reader]:
    return action, _Reader(REQUESTS_RECEIVED[action], policy, build)


_STRICT = Policy(defaults={})

_READERS: Mapping[str, _Reader] = dict(
    [
        _reader("Authorize", _STRICT, lambda p: Authorize(p["idTag"])),
        _reader(
            # A refused boot is repeated for ever, so that nothing here is worth a refusal.
            "BootNotification",
            Policy(defaults={"chargePointVendor": "", "chargePointModel": ""}),
            BootNotification,
        ),
        _reader(
            "DataTransfer",
            _STRICT,
            lambda p: DataTransfer(p["vendorId"], p.get("messageId", ""), p.get("data", "")),
        ),
        _reader(
            "DiagnosticsStatusNotification",
            Policy(defaults={}, strict_enums=frozenset({"status"})),
            lambda p: DiagnosticsStatusNotification(p["status"]),
        ),
        _reader(
            "FirmwareStatusNotification",
            Policy(defaults={}, strict_enums=frozenset({"status"})),
            lambda p: FirmwareStatusNotification(p["status"]),
        ),
        _reader("Heartbeat", _STRICT, lambda p: Heartbeat()),
        _reader(
            "LogStatusNotification",
            Policy(defaults={}, strict_enums=frozenset({"status"})),
            lambda p: LogStatusNotification(p["status"], p.get("requestId")),
        ),
        _reader(
            # Never refused: without a usable sample it is answered and there is nothing to keep.
            "MeterValues",
            Policy(defaults={"connectorId": 0, "meterValue": ()}),
            lambda p: MeterValues(
                p["connectorId"], p.get("transactionId"), _meter_values(p["meterValue"])
            ),
        ),
        _reader(
            # Never refused: charge points keep events until they are answered.
            "SecurityEventNotification",
            Policy(defaults={"type": "", "timestamp": None}),
            lambda p: SecurityEventNotification(p["type"], p["timestamp"], p.get("techInfo", "")),
        ),
        _reader("SignCertificate", _STRICT, lambda p: SignCertificate(p["csr"])),
        _reader(
            "SignedFirmwareStatusNotification",
            Policy(defaults={}, strict_enums=frozenset({"status"})),
            lambda p: SignedFirmwareStatusNotification(p["status"], p.get("requestId")),
        ),
        _reader(
            "StartTransaction",
            Policy(defaults={"meterStart": None, "timestamp": None}),
            lambda p: StartTransaction(
                p["connectorId"],
                p["idTag"],
                p["meterStart"],
                p["timestamp"],
                p.get("reservationId"),
            ),
        ),
        _reader(
            "StatusNotification",
            Policy(defaults={"errorCode": "NoError"}, strict_enums=frozenset({"status"})),
            lambda p: StatusNotification(
                p["connectorId"],
                p["status"],
                p["errorCode"],
                p.get("info", ""),
                p.get("timestamp"),
                p.get("vendorId", ""),
                p.get("vendorErrorCode", ""),
            ),
        ),
        _reader(
            # Never refused: a charge point whose stop is refused is blocked behind it.
            "StopTransaction",
            Policy(defaults={"transactionId": None, "meterStop": None, "timestamp": None}),
            lambda p: StopTransaction(
                p["transactionId"],
                p["meterStop"],
                p["timestamp"],
                p.get("reason", "Local"),
                p.get("idTag", ""),
                _meter_values(p.get("transactionData", ())),
            ),
        ),
    ]
)

ACTIONS = frozenset(_READERS)


def read(action: str, payload: Any) -> tuple[Request, Sequence[str]]:
    """The request, and how the payload deviated from its schema.

    Raises the OCPPError of the rule it breaks where it is of no use. action must be in ACTIONS.
    """
    reader = _READERS[action]
    if reader.schema.is_valid(payload):
        return reader.build(payload), ()
    salvaged = salvage(reader.schema.document, payload, reader.policy)
    return reader.build(salvaged.payload), salvaged.deviations
