"""FirmwareStatusNotification.req: how far the charge point has come (OCPP 1.6 ed. 2, 4.5)."""

from csms.domain.transfer import TransferKind
from csms.handlers.context import CallContext
from csms.handlers.transfer_reports import keep
from csms.protocol import confirmations, requests
from csms.state.transfers import Report


def handle(
    request: requests.FirmwareStatusNotification, context: CallContext
) -> confirmations.Empty:
    keep(Report(TransferKind.FIRMWARE, request.status, None, "firmware"), context)
    return confirmations.Empty()
