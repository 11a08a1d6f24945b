"""What an operator may ask of a charge point: the table of actions, and the rules of each that its
schema does not know (OCPP 1.6 ed. 2, chapter 5)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from csms.domain.authorization import fold
from csms.domain.charge_point import ChargePoint
from csms.domain.charging_profile import (
    ChargingLimits,
    check_clear_charging_profile,
    check_get_composite_schedule,
    check_remote_start_profile,
    check_set_charging_profile,
)
from csms.domain.configuration import Configuration
from csms.domain.reservation import RESERVATION_ID_MAX
from csms.domain.secrets import is_secret_key
from csms.domain.security_profile import check_profile_change
from csms.domain.timestamps import epoch_ms
from csms.domain.transfer import check_transfer
from csms.errors import FieldError
from csms.protocol.schemas import REQUESTS_SENT

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a rule may look at beside the payload. configuration: what is known of it, which may be
    nothing, or old."""

    charge_point: ChargePoint
    configuration: Configuration
    now_ms: int


Rule = Callable[[Payload, Circumstances], None]


def _nothing(_: Payload, __: Circumstances) -> None:
    """The schema says it all."""


def _connector_above_zero(payload: Payload, _: Circumstances) -> None:
    if payload.get("connectorId", 1) < 1:
        raise FieldError("payload.connectorId", "must be above 0 (OCPP 1.6 ed. 2, chapter 6)")


def _connector_not_negative(payload: Payload, _: Circumstances) -> None:
    if payload.get("connectorId", 0) < 0:
        raise FieldError("payload.connectorId", "must not be negative")


_HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")


def _change_configuration(payload: Payload, circumstances: Circumstances) -> None:
    check_profile_change(payload, circumstances.charge_point)
    if is_secret_key(payload["key"]) and not _HEX_KEY.fullmatch(payload["value"]):
        raise FieldError(
            "payload.value",
            "an AuthorizationKey is 16 to 20 bytes as 32 to 40 hex digits "
            "(security white paper, A01)",
        )


def _remote_start(payload: Payload, circumstances: Circumstances) -> None:
    _connector_above_zero(payload, circumstances)
    check_remote_start_profile(payload, ChargingLimits.told(circumstances.configuration))


def _set_charging_profile(payload: Payload, circumstances: Circumstances) -> None:
    check_set_charging_profile(payload, ChargingLimits.told(circumstances.configuration))


def _clear_charging_profile(payload: Payload, _: Circumstances) -> None:
    check_clear_charging_profile(payload)


def _get_composite_schedule(payload: Payload, _: Circumstances) -> None:
    check_get_composite_schedule(payload)


def _reservation(payload: Payload, circumstances: Circumstances) -> None:
    """Never whether the connector is free now: the charge point knows best, and answers."""
    _connector_not_negative(payload, circumstances)
    if not 0 < payload["reservationId"] <= RESERVATION_ID_MAX:
        raise FieldError(
            "payload.reservationId",
            f"must be between 1 and {RESERVATION_ID_MAX}: charge points say 0 and -1 for none "
            "(OCPP 1.6 ed. 2, 5.13)",
        )
    expires_at_ms = epoch_ms(payload["expiryDate"])
    if expires_at_ms is None or expires_at_ms <= circumstances.now_ms:
        raise FieldError("payload.expiryDate", "must be in the future (OCPP 1.6 ed. 2, 5.13)")
    known = circumstances.configuration.boolean("ReserveConnectorZeroSupported")
    if payload["connectorId"] == 0 and known is False:
        raise FieldError(
            "payload.connectorId",
            "must be above 0: the charge point has told that it has ReserveConnectorZeroSupported "
            "false (OCPP 1.6 ed. 2, 5.13). If that has changed, ask for its configuration first",
        )


def _transfer(action: str) -> Rule:
    return lambda payload, _: check_transfer(action, payload)


def _send_local_list(payload: Payload, _: Circumstances) -> None:
    if payload["listVersion"] < 1:
        raise FieldError(
            "payload.listVersion", "must be 1 or more: 0 and -1 have a meaning (errata 3.52)"
        )
    seen: set[str] = set()
    for number, entry in enumerate(payload.get("localAuthorizationList", ())):
        field = f"payload.localAuthorizationList.{number}"
        if payload["updateType"] == "Full" and "idTagInfo" not in entry:
            raise FieldError(
                f"{field}.idTagInfo", "is required in a Full update (OCPP 1.6 ed. 2, 5.15)"
            )
        if fold(entry["idTag"]) in seen:
            raise FieldError(
                f"{field}.idTag", "is in the list twice; case does not count (ed. 2, 3.9 and 5.15)"
            )
        seen.add(fold(entry["idTag"]))


@dataclass(frozen=True, slots=True)
class Operation:
    """check: raises FieldError; in_pending: whether it may be sent to a charge point that is
    Pending (ed. 2, 4.2); order: of all its fields on the wire, () for the sender's own."""

    check: Rule = _nothing
    in_pending: bool = True
    order: tuple[str, ...] = ()


REQUESTS: Mapping[str, Operation] = {
    "CancelReservation": Operation(),
    "CertificateSigned": Operation(),
    "ChangeAvailability": Operation(_connector_not_negative),
    "ChangeConfiguration": Operation(_change_configuration),
    "ClearCache": Operation(),
    "ClearChargingProfile": Operation(_clear_charging_profile),
    "DataTransfer": Operation(),
    "DeleteCertificate": Operation(),
    "ExtendedTriggerMessage": Operation(_connector_not_negative),
    "GetCompositeSchedule": Operation(_get_composite_schedule),
    "GetConfiguration": Operation(),
    "GetDiagnostics": Operation(_transfer("GetDiagnostics")),
    "GetInstalledCertificateIds": Operation(),
    "GetLocalListVersion": Operation(),
    "GetLog": Operation(_transfer("GetLog")),
    "InstallCertificate": Operation(),
    "RemoteStartTransaction": Operation(_remote_start, in_pending=False),
    "RemoteStopTransaction": Operation(in_pending=False),
    "ReserveNow": Operation(_reservation),
    "Reset": Operation(),
    # A conformance tool compares the order of these fields.
    "SendLocalList": Operation(
        _send_local_list, order=("listVersion", "localAuthorizationList", "updateType")
    ),
    "SetChargingProfile": Operation(_set_charging_profile),
    "SignedUpdateFirmware": Operation(_transfer("SignedUpdateFirmware")),
    "TriggerMessage": Operation(_connector_not_negative),
    "UnlockConnector": Operation(_connector_above_zero),
    "UpdateFirmware": Operation(_transfer("UpdateFirmware")),
}


def operation(action: str) -> Operation:
    """Raises FieldError for what is no operation of a central system; names are exact."""
    found = REQUESTS.get(action)
    if found is None:
        raise FieldError("action", f"must be one of {', '.join(REQUESTS)}")
    return found


def check_payload(action: str, payload: Any, circumstances: Circumstances) -> None:
    """Raises FieldError for the first rule broken: `payload.chargingSchedule.0.limit`."""
    if not isinstance(payload, dict):
        raise FieldError("payload", "must be an object")
    for violation in REQUESTS_SENT[action].violations(payload):
        path = ".".join(["payload", *[part for part in violation.path.split("/") if part]])
        raise FieldError(path, violation.message)
    operation(action).check(payload, circumstances)


def arranged(action: str, payload: Payload) -> Payload:
    """The payload with its fields in the order in which they are sent."""
    order = operation(action).order
    return {name: payload[name] for name in order if name in payload} or payload
