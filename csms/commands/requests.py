"""What an operator may ask of a charge point: the table of actions, and the rules of each that its
schema does not know (OCPP 1.6 ed. 2, chapter 5)."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from csms.domain.authorization import fold
from csms.domain.certificates import read_pem
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
    nothing, or old. file_hosts: where it may be sent for files; empty: anywhere."""

    charge_point: ChargePoint
    configuration: Configuration
    now_ms: int
    file_hosts: Collection[str] = ()


Rule = Callable[[Payload, Circumstances], None]


def _nothing(_: Payload, __: Circumstances) -> None:
    """The schema says it all."""


def _connector_above_zero(payload: Payload, _: Circumstances) -> None:
    if payload.get("connectorId", 1) < 1:
        raise FieldError("payload.connectorId", "must be above 0")


def _connector_not_negative(payload: Payload, _: Circumstances) -> None:
    if payload.get("connectorId", 0) < 0:
        raise FieldError("payload.connectorId", "must not be negative")


def _get_configuration(payload: Payload, circumstances: Circumstances) -> None:
    most = circumstances.configuration.integer("GetConfigurationMaxKeys")
    if most is not None and len(payload.get("key", ())) > most:
        raise FieldError(
            "payload.key",
            f"names more than {most} keys, the GetConfigurationMaxKeys that the charge point has "
            "told (OCPP 1.6 ed. 2, 5.8)",
        )


def _extended_trigger(payload: Payload, circumstances: Circumstances) -> None:
    _connector_above_zero(payload, circumstances)
    is_for_a_certificate = payload["requestedMessage"] == "SignChargePointCertificate"
    if is_for_a_certificate and "connectorId" in payload:
        raise FieldError(
            "payload.connectorId",
            "must be left out: a certificate is of the whole charge point "
            "(security white paper, A02)",
        )


def _install_certificate(payload: Payload, _: Circumstances) -> None:
    """Whether it is a good root the charge point decides; doubts are shown, not enforced."""
    read_pem(payload["certificate"], "payload.certificate")


def _certificate_signed(payload: Payload, circumstances: Circumstances) -> None:
    chain = payload["certificateChain"]
    read_pem(chain, "payload.certificateChain")
    most = circumstances.configuration.integer("CertificateSignedMaxChainSize")
    if most is not None and len(chain) > most:
        raise FieldError(
            "payload.certificateChain",
            f"has more than {most} characters, the CertificateSignedMaxChainSize that the charge "
            "point has told (security white paper, A02)",
        )


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
    return lambda payload, circumstances: check_transfer(action, payload, circumstances.file_hosts)


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


OCPP = "OCPP 1.6 ed. 2"
WHITE_PAPER = "security white paper"


@dataclass(frozen=True, slots=True)
class Operation:
    """source: where its request is specified; check: raises FieldError; in_pending: whether it may
    be sent to a charge point that is Pending (ed. 2, 4.2); order: of all its fields on the wire, ()
    for the sender's own."""

    source: str
    check: Rule = _nothing
    in_pending: bool = True
    order: tuple[str, ...] = ()


REQUESTS: Mapping[str, Operation] = {
    "CancelReservation": Operation(f"{OCPP}, 6.5"),
    "CertificateSigned": Operation(f"{WHITE_PAPER}, A02", _certificate_signed),
    "ChangeAvailability": Operation(f"{OCPP}, 6.7", _connector_not_negative),
    "ChangeConfiguration": Operation(f"{OCPP}, 6.9", _change_configuration),
    "ClearCache": Operation(f"{OCPP}, 6.11"),
    "ClearChargingProfile": Operation(f"{OCPP}, 6.13", _clear_charging_profile),
    "DataTransfer": Operation(f"{OCPP}, 6.15"),
    "DeleteCertificate": Operation(f"{WHITE_PAPER}, M04"),
    "ExtendedTriggerMessage": Operation(f"{WHITE_PAPER}, A02", _extended_trigger),
    "GetCompositeSchedule": Operation(f"{OCPP}, 6.21", _get_composite_schedule),
    "GetConfiguration": Operation(f"{OCPP}, 6.23", _get_configuration),
    "GetDiagnostics": Operation(f"{OCPP}, 6.25", _transfer("GetDiagnostics")),
    "GetInstalledCertificateIds": Operation(f"{WHITE_PAPER}, M03"),
    "GetLocalListVersion": Operation(f"{OCPP}, 6.27"),
    "GetLog": Operation(f"{WHITE_PAPER}, N01", _transfer("GetLog")),
    "InstallCertificate": Operation(f"{WHITE_PAPER}, M05", _install_certificate),
    "RemoteStartTransaction": Operation(f"{OCPP}, 6.33", _remote_start, in_pending=False),
    "RemoteStopTransaction": Operation(f"{OCPP}, 6.35", in_pending=False),
    "ReserveNow": Operation(f"{OCPP}, 6.37", _reservation),
    "Reset": Operation(f"{OCPP}, 6.39"),
    # A conformance tool compares the order of these fields.
    "SendLocalList": Operation(
        f"{OCPP}, 6.41",
        _send_local_list,
        order=("listVersion", "localAuthorizationList", "updateType"),
    ),
    "SetChargingProfile": Operation(f"{OCPP}, 6.43", _set_charging_profile),
    "SignedUpdateFirmware": Operation(f"{WHITE_PAPER}, L01", _transfer("SignedUpdateFirmware")),
    "TriggerMessage": Operation(f"{OCPP}, 6.51", _connector_not_negative),
    "UnlockConnector": Operation(f"{OCPP}, 6.53", _connector_above_zero),
    "UpdateFirmware": Operation(f"{OCPP}, 6.55", _transfer("UpdateFirmware")),
}


def operation(action: str) -> Operation:
    """Raises FieldError for what is no operation of a central system; names are exact."""
    found = REQUESTS.get(action)
    if found is None:
        raise FieldError("action", f"must be one of {', '.join(REQUESTS)}")
    return found


def check_payload(action: str, payload: Any, circumstances: Circumstances) -> None:
    """Raises FieldError for the first rule broken, with its field, such as
    `payload.chargingSchedule.0.limit`, and where the rule stands."""
    known = operation(action)
    try:
        _check(action, known, payload, circumstances)
    except FieldError as error:
        if any(name in error.problem for name in _CITED):
            raise
        raise FieldError(error.field, f"{error.problem} ({known.source})") from None


# What a rule says that names its source itself.
_CITED = ("OCPP", "errata", "ed. 2", WHITE_PAPER, "FILE_HOSTS")


def _check(action: str, known: Operation, payload: Any, circumstances: Circumstances) -> None:
    if not isinstance(payload, dict):
        raise FieldError("payload", "must be an object")
    for violation in REQUESTS_SENT[action].violations(payload):
        path = ".".join(["payload", *[part for part in violation.path.split("/") if part]])
        raise FieldError(path, violation.message)
    known.check(payload, circumstances)


def arranged(action: str, payload: Payload) -> Payload:
    """The payload with its fields in the order in which they are sent."""
    order = operation(action).order
    return {name: payload[name] for name in order if name in payload} or payload
