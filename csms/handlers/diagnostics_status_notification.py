"""DiagnosticsStatusNotification.req: how far the charge point has come (OCPP 1.6 ed. 2, 4.4)."""

from csms.domain.transfer import TransferKind
from csms.handlers.context import CallContext
from csms.handlers.transfer_reports import keep
from csms.protocol import confirmations, requests
from csms.state.transfers import Report


def handle(
    request: requests.DiagnosticsStatusNotification, context: CallContext
) -> confirmations.Empty:
    keep(Report(TransferKind.DIAGNOSTICS, request.status, None, "diagnostics"), context)
    return confirmations.Empty()
