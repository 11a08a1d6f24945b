"""What a charge point answers when the central system calls: one function an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import gevent

from chargepoint.charging_profiles import instant_of
from chargepoint.connector import Connector
from chargepoint.conversation import Answer, Answerer, Payload, Reply
from chargepoint.errors import CallRefused
from chargepoint.reservations import Reservation
from chargepoint.transfers import FileRequest, Signature

if TYPE_CHECKING:
    from chargepoint.charge_point import ChargePoint

ACCEPTED: Payload = {"status": "Accepted"}
REJECTED: Payload = {"status": "Rejected"}


def change_availability(charge_point: ChargePoint, request: Payload) -> Answer:
    """Scheduled while a transaction runs on any of the connectors meant."""
    operative = request["type"] == "Operative"
    connector_id = int(request["connectorId"])
    if connector_id not in charge_point.connectors:
        return REJECTED
    meant = [connector_id] if connector_id else list(charge_point.connectors)
    busy = [n for n in meant if charge_point.connectors[n].transaction is not None]
    status = "Scheduled" if busy and not operative else "Accepted"
    charge_point.change_availability(meant, operative)
    return {"status": status}


def change_configuration(charge_point: ChargePoint, request: Payload) -> Answer:
    """A new AuthorizationKey is used on a new link, after the answer on this one."""
    key, value = str(request["key"]), str(request["value"])
    status = charge_point.configuration.change(key, value)
    if status == "Accepted":
        if charge_point.configuration.spelling(key) == "AuthorizationKey":
            return Reply({"status": status}, then=partial(charge_point.use_key, value))
        charge_point.wake()
    return {"status": status}


def clear_cache(charge_point: ChargePoint, _: Payload) -> Answer:
    """Rejected without a cache (errata 3.23)."""
    if not charge_point.configuration.boolean("AuthorizationCacheEnabled"):
        return REJECTED
    charge_point.known_id_tags.cache.clear()
    return ACCEPTED


def data_transfer(charge_point: ChargePoint, request: Payload) -> Answer:
    """Only our own vendor is known, and of it every message."""
    if request["vendorId"] != charge_point.options.vendor:
        return {"status": "UnknownVendorId"}
    return ACCEPTED


def get_configuration(charge_point: ChargePoint, request: Payload) -> Answer:
    """All keys, or those named."""
    return charge_point.configuration.report([str(key) for key in request.get("key") or []])


def remote_start_transaction(charge_point: ChargePoint, request: Payload) -> Answer:
    """Accepted means: will try."""
    if charge_point.registration != "Accepted":
        return REJECTED
    id_tag = str(request["idTag"])
    connector = _connector_for_remote_start(charge_point, request, id_tag)
    if connector is None:
        return REJECTED
    if profile := request.get("chargingProfile"):
        if profile["chargingProfilePurpose"] != "TxProfile":
            return REJECTED
        charge_point.charging_profiles.install(connector.connector_id, profile)
    return Reply(ACCEPTED, then=lambda: charge_point.start_remotely(connector, id_tag))


def remote_stop_transaction(charge_point: ChargePoint, request: Payload) -> Answer:
    """Accepted means: runs, and will be stopped."""
    for connector in charge_point.connectors.values():
        transaction = connector.transaction
        if (
            transaction is not None
            and transaction.transaction_id == request["transactionId"]
            and charge_point.registration == "Accepted"
        ):
            charge_point.stop_transaction(connector.connector_id, "Remote")
            return ACCEPTED
    return REJECTED


def reset(charge_point: ChargePoint, request: Payload) -> Answer:
    """Soft reports its transactions first, hard afterwards."""
    if request["type"] not in {"Hard", "Soft"}:
        raise ValueError(f"type {request['type']!r}")
    return Reply(ACCEPTED, then=lambda: charge_point.reset(request["type"]))


def unlock_connector(charge_point: ChargePoint, request: Payload) -> Answer:
    """Ends a transaction first; NotSupported for an unknown connector (errata 3.87)."""
    connector = charge_point.connectors.get(int(request["connectorId"]))
    if connector is None or connector.connector_id == 0:
        return {"status": "NotSupported"}
    if connector.transaction is not None:
        charge_point.stop_transaction(connector.connector_id, "UnlockCommand")
    return {"status": "Unlocked"}


def trigger_message(charge_point: ChargePoint, request: Payload) -> Answer:
    """The message follows the answer: it is only queued here, and leaves from elsewhere."""
    connector_id = request.get("connectorId")
    if connector_id is not None and connector_id not in charge_point.connectors:
        return REJECTED
    meant = list(charge_point.connectors) if connector_id is None else [int(connector_id)]
    transfers = charge_point.transfers
    send: Callable[[], None]
    match request["requestedMessage"]:
        case "BootNotification":
            if charge_point.registration == "Accepted":
                return REJECTED  # not to be asked for any more (errata 3.40)
            send = charge_point.boot_now
        case "Heartbeat":
            send = partial(charge_point.notify, "Heartbeat", {})
        case "StatusNotification":
            send = partial(charge_point.repeat_status, meant)
        case "MeterValues":
            send = partial(charge_point.report_meters, [n for n in meant if n], "Trigger")
        case "FirmwareStatusNotification":
            send = partial(transfers.report_firmware, transfers.firmware_status)
        case "DiagnosticsStatusNotification":
            send = partial(transfers.report_diagnostics, transfers.diagnostics_status)
        case _:
            return {"status": "NotImplemented"}
    send()
    return ACCEPTED


def extended_trigger_message(charge_point: ChargePoint, request: Payload) -> Answer:
    """Its firmware status is that of signed updates (white paper, L01)."""
    match request["requestedMessage"]:
        case "SignChargePointCertificate":
            return Reply(ACCEPTED, then=charge_point.ask_for_certificate)
        case "FirmwareStatusNotification":
            return Reply(ACCEPTED, then=charge_point.transfers.report_signed_firmware)
        case "LogStatusNotification":
            return Reply(ACCEPTED, then=charge_point.transfers.report_log)
    return trigger_message(charge_point, request)


def certificate_signed(charge_point: ChargePoint, request: Payload) -> Answer:
    """Rejected where it is not for the key it asked with; it reports that as an event."""
    chain = str(request["certificateChain"])
    if charge_point.certificates.take_signed(chain, charge_point.clock()):
        return Reply(ACCEPTED, then=charge_point.use_certificate)
    event = partial(charge_point.report_security_event, "InvalidChargePointCertificate")
    return Reply(REJECTED, then=event)


def install_certificate(charge_point: ChargePoint, request: Payload) -> Answer:
    """Rejected where it is no valid root, or the store is full."""
    certificates, kind = charge_point.certificates, str(request["certificateType"])
    most = charge_point.configuration.integer("CertificateStoreMaxLength")
    is_full = sum(map(len, certificates.roots.values())) >= most
    pem = str(request["certificate"])
    status = "Rejected" if is_full else certificates.install(kind, pem, charge_point.clock())
    if status == "Accepted" or kind != "CentralSystemRootCertificate":
        return {"status": status}
    event = partial(charge_point.report_security_event, "InvalidCentralSystemCertificate")
    return Reply({"status": status}, then=event)


def get_installed_certificate_ids(charge_point: ChargePoint, request: Payload) -> Answer:
    """NotFound: none of this kind."""
    found = charge_point.certificates.list(str(request["certificateType"]))
    return {"status": "Accepted", "certificateHashData": found} if found else {"status": "NotFound"}


def delete_certificate(charge_point: ChargePoint, request: Payload) -> Answer:
    """NotFound: no root has these hashes."""
    return {"status": charge_point.certificates.delete(request["certificateHashData"])}


def reserve_now(charge_point: ChargePoint, request: Payload) -> Answer:
    """The same id again replaces; a second id on a reserved connector is Occupied."""
    connector = charge_point.connectors.get(int(request["connectorId"]))
    if connector is None or (
        connector.connector_id == 0
        and not charge_point.configuration.boolean("ReserveConnectorZeroSupported")
    ):
        return REJECTED
    reservation = Reservation(
        reservation_id=int(request["reservationId"]),
        connector_id=connector.connector_id,
        id_tag=str(request["idTag"]),
        parent_id_tag=request.get("parentIdTag"),
        expires_at=instant_of(request["expiryDate"]),
    )
    status = charge_point.reservations.judge(reservation, connector)
    if connector.connector_id == 0 and not any(
        one.is_free for number, one in charge_point.connectors.items() if number
    ):
        status = "Occupied"
    if status != "Accepted":
        return {"status": status}
    charge_point.reserve(reservation)
    return ACCEPTED


def cancel_reservation(charge_point: ChargePoint, request: Payload) -> Answer:
    """Rejected: no such reservation."""
    if charge_point.reservations.find(int(request["reservationId"])) is None:
        return REJECTED
    charge_point.end_reservation(int(request["reservationId"]))
    return ACCEPTED


def get_local_list_version(charge_point: ChargePoint, _: Payload) -> Answer:
    """0: empty."""
    return {"listVersion": charge_point.known_id_tags.local_list_version}


def send_local_list(charge_point: ChargePoint, request: Payload) -> Answer:
    """Full replaces; differential adds, changes and (without idTagInfo) removes."""
    status = charge_point.known_id_tags.update_list(
        int(request["listVersion"]),
        request.get("localAuthorizationList") or [],
        full=request["updateType"] == "Full",
    )
    return {"status": status}


def set_charging_profile(charge_point: ChargePoint, request: Payload) -> Answer:
    """An unknown connector is a CALLERROR (errata 3.24)."""
    connector = charge_point.connectors.get(int(request["connectorId"]))
    if connector is None:
        raise CallRefused("PropertyConstraintViolation", "no such connector")
    profile = request["csChargingProfiles"]
    purpose = profile["chargingProfilePurpose"]
    if purpose == "ChargePointMaxProfile" and connector.connector_id != 0:
        return REJECTED
    if purpose == "TxProfile" and not _is_for_running(connector, profile):
        return REJECTED
    if profile["stackLevel"] > charge_point.configuration.integer("ChargeProfileMaxStackLevel"):
        return REJECTED
    charge_point.charging_profiles.install(connector.connector_id, profile)
    charge_point.apply_limits()
    return ACCEPTED


def clear_charging_profile(charge_point: ChargePoint, request: Payload) -> Answer:
    """Unknown: nothing matched."""
    if not charge_point.charging_profiles.clear(request):
        return {"status": "Unknown"}
    charge_point.apply_limits()
    return ACCEPTED


def get_composite_schedule(charge_point: ChargePoint, request: Payload) -> Answer:
    """For connector 0 the limits of the whole charge point."""
    connector = charge_point.connectors.get(int(request["connectorId"]))
    if connector is None:
        return REJECTED
    now = charge_point.clock()
    transaction = connector.transaction
    schedule = charge_point.charging_profiles.composite(
        connector.connector_id,
        duration_s=int(request["duration"]),
        unit=str(request.get("chargingRateUnit") or "W"),
        rated_w=connector.rated_w,
        now=now,
        started_at=None if transaction is None else transaction.started_at,
    )
    return {
        "status": "Accepted",
        "connectorId": connector.connector_id,
        "scheduleStart": charge_point.now_text(),
        "chargingSchedule": schedule,
    }


def update_firmware(charge_point: ChargePoint, request: Payload) -> Answer:
    """The answer is empty; what happens is told in FirmwareStatusNotification."""
    wait_s = _seconds_until(charge_point, request["retrieveDate"])
    wanted = FileRequest.of(request["location"], request)

    def update() -> None:
        gevent.sleep(wait_s)
        charge_point.transfers.update_firmware(wanted)

    return Reply({}, then=update)


def get_diagnostics(charge_point: ChargePoint, request: Payload) -> Answer:
    """A file name, and the upload told in DiagnosticsStatusNotification."""
    transfers = charge_point.transfers
    wanted = FileRequest.of(request["location"], request)
    file_name = transfers.file_name(f"{charge_point.clock():%Y%m%d%H%M%S}")
    then = partial(transfers.upload_diagnostics, wanted, file_name)
    return Reply({"fileName": file_name}, then=then)


def get_log(charge_point: ChargePoint, request: Payload) -> Answer:
    """AcceptedCanceled where another upload ends for this one (white paper, N01)."""
    transfers = charge_point.transfers
    wanted = FileRequest.of(request["log"]["remoteLocation"], request)
    file_name = transfers.file_name(request["logType"])
    request_id = int(request["requestId"])
    running, _ = transfers.log_upload
    transfers.log_upload = (request_id, "Idle")
    answer = {
        "status": "Accepted" if running is None else "AcceptedCanceled",
        "filename": file_name,
    }
    return Reply(answer, then=partial(transfers.upload_log, wanted, request_id, file_name))


def signed_update_firmware(charge_point: ChargePoint, request: Payload) -> Answer:
    """InvalidCertificate for what is none; what is no signature shows after the download (white
    paper, L01)."""
    transfers, firmware = charge_point.transfers, request["firmware"]
    signature = Signature(str(firmware["signature"]), str(firmware["signingCertificate"]))
    if "BEGIN CERTIFICATE" not in signature.certificate:
        return {"status": "InvalidCertificate"}
    wait_s = _seconds_until(charge_point, firmware["retrieveDateTime"])
    wanted = FileRequest.of(firmware["location"], request)
    request_id = int(request["requestId"])
    running, _ = transfers.signed_update
    transfers.signed_update = (request_id, "Idle")

    def update() -> None:
        gevent.sleep(wait_s)
        transfers.update_signed_firmware(wanted, request_id, signature)

    return Reply({"status": "Accepted" if running is None else "AcceptedCanceled"}, then=update)


def _seconds_until(charge_point: ChargePoint, instant: str) -> float:
    return max(0.0, (instant_of(instant) - charge_point.clock()).total_seconds())


def _connector_for_remote_start(
    charge_point: ChargePoint, request: Payload, id_tag: str
) -> Connector | None:
    wanted = request.get("connectorId")
    for number, connector in charge_point.connectors.items():
        if (
            number
            and wanted in (None, number)
            and connector.is_free
            and connector.awaited_id_tag is None
            and charge_point.reservations.admits(number, id_tag)
        ):
            return connector
    return None


def _is_for_running(connector: Connector, profile: Payload) -> bool:
    transaction = connector.transaction
    return transaction is not None and profile.get("transactionId") in (
        None,
        transaction.transaction_id,
    )


ANSWERS: Mapping[str, Callable[[ChargePoint, Payload], Answer]] = {
    "CancelReservation": cancel_reservation,
    "CertificateSigned": certificate_signed,
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": clear_cache,
    "ClearChargingProfile": clear_charging_profile,
    "DataTransfer": data_transfer,
    "DeleteCertificate": delete_certificate,
    "ExtendedTriggerMessage": extended_trigger_message,
    "GetCompositeSchedule": get_composite_schedule,
    "GetConfiguration": get_configuration,
    "GetDiagnostics": get_diagnostics,
    "GetInstalledCertificateIds": get_installed_certificate_ids,
    "GetLocalListVersion": get_local_list_version,
    "GetLog": get_log,
    "InstallCertificate": install_certificate,
    "RemoteStartTransaction": remote_start_transaction,
    "RemoteStopTransaction": remote_stop_transaction,
    "ReserveNow": reserve_now,
    "Reset": reset,
    "SendLocalList": send_local_list,
    "SetChargingProfile": set_charging_profile,
    "SignedUpdateFirmware": signed_update_firmware,
    "TriggerMessage": trigger_message,
    "UnlockConnector": unlock_connector,
    "UpdateFirmware": update_firmware,
}


def answers_of(charge_point: ChargePoint) -> dict[str, Answerer]:
    """The table of answers of one charge point; its owner may replace entries."""
    return {action: partial(answer, charge_point) for action, answer in ANSWERS.items()}
