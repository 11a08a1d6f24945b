"""Every CALL of a charge point gets its answer here: the routes, and the edge for errors."""

from collections.abc import Callable, Mapping
from typing import Any

from csms import metrics
from csms.domain.charge_point import RegistrationStatus
from csms.errors import StaleEpoch, StoreRefused, StoreUnavailable
from csms.handlers import (
    authorize,
    boot_notification,
    data_transfer,
    diagnostics_status_notification,
    firmware_status_notification,
    heartbeat,
    log_status_notification,
    meter_values,
    security_event_notification,
    sign_certificate,
    signed_firmware_status_notification,
    start_transaction,
    status_notification,
    stop_transaction,
)
from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.protocol.call_errors import (
    InternalError,
    NotImplemented_,
    OCPPError,
    SecurityError,
)
from csms.protocol.confirmations import Confirmation
from csms.protocol.frames import Call, CallError, CallResult
from csms.protocol.requests import read

log = get_logger(__name__)

# Each handler takes its own class of request, which read() gives it; a table can't say so.
Handler = Callable[[Any, CallContext], Confirmation]

ROUTES: Mapping[str, Handler] = {
    "Authorize": authorize.handle,
    "BootNotification": boot_notification.handle,
    "DataTransfer": data_transfer.handle,
    "DiagnosticsStatusNotification": diagnostics_status_notification.handle,
    "FirmwareStatusNotification": firmware_status_notification.handle,
    "Heartbeat": heartbeat.handle,
    "LogStatusNotification": log_status_notification.handle,
    "MeterValues": meter_values.handle,
    "SecurityEventNotification": security_event_notification.handle,
    "SignedFirmwareStatusNotification": signed_firmware_status_notification.handle,
    "SignCertificate": sign_certificate.handle,
    "StartTransaction": start_transaction.handle,
    "StatusNotification": status_notification.handle,
    "StopTransaction": stop_transaction.handle,
}


def answer(call: Call, context: CallContext) -> CallResult | CallError:
    """Read, handle, confirm. Whatever goes wrong, the charge point gets an answer, once the store
    has confirmed what the answer says.

    Raises StaleEpoch only: a newer connection has taken over and will be sent what is unanswered.
    """
    try:
        return CallResult(call.unique_id, _confirm(call, context).payload())
    except OCPPError as error:
        log.warning(
            "call refused",
            action=call.action[:50],
            unique_id=call.unique_id,
            code=error.code,
            description=error.description,
        )
        return _error(call, error.code, error.description, error.details)
    except StaleEpoch:
        raise
    except (StoreUnavailable, StoreRefused) as error:
        # The charge point keeps what is not confirmed and sends it again; it may have been done.
        context.owned.metering = None
        log.error("call not confirmed by the store", action=call.action, reason=str(error))
        metrics.store_errors.labels(type(error).__name__).inc()
        return _error(call, InternalError.code, "The record can't be kept now; send it again.")
    except Exception:  # the edge: our own bug must still be answered
        log.exception("call failed", action=call.action, unique_id=call.unique_id)
        return _error(call, InternalError.code, "An internal error occurred.")


def _confirm(call: Call, context: CallContext) -> Confirmation:
    handler = ROUTES.get(call.action)
    if handler is None:
        raise NotImplemented_
    _check_registration(call.action, context)
    request, deviations = read(call.action, call.payload)
    if deviations:
        log.warning(
            "payload deviates from its schema",
            action=call.action,
            unique_id=call.unique_id,
            deviations=list(deviations)[:5],
        )
    return handler(request, context)


def _check_registration(action: str, context: CallContext) -> None:
    """Before it is accepted a charge point may boot, and send what we asked it for (4.2)."""
    owned = context.owned
    if (
        owned.registration is RegistrationStatus.ACCEPTED
        or action == "BootNotification"
        or (owned.registration is RegistrationStatus.PENDING and action in owned.triggered)
    ):
        return
    raise SecurityError("BootNotification must be accepted first.")


def _error(
    call: Call, code: str, description: str, details: Mapping[str, Any] | None = None
) -> CallError:
    metrics.call_errors.labels(code).inc()
    return CallError(call.unique_id, code, description, details or {})
