"""SignedFirmwareStatusNotification.req: how far a signed update has come (white paper, L01)."""

from csms.domain.transfer import TransferKind
from csms.handlers.context import CallContext
from csms.handlers.transfer_reports import keep
from csms.protocol import confirmations, requests
from csms.state.transfers import Report


def handle(
    request: requests.SignedFirmwareStatusNotification, context: CallContext
) -> confirmations.Empty:
    keep(
        Report(TransferKind.SIGNED_FIRMWARE, request.status, request.request_id, "firmware"),
        context,
    )
    return confirmations.Empty()
