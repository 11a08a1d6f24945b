"""LogStatusNotification.req: how far the upload of a log has come (white paper, N01)."""

from csms.domain.transfer import TransferKind
from csms.handlers.context import CallContext
from csms.handlers.transfer_reports import keep
from csms.protocol import confirmations, requests
from csms.state.transfers import Report


def handle(request: requests.LogStatusNotification, context: CallContext) -> confirmations.Empty:
    keep(Report(TransferKind.LOG, request.status, request.request_id, ""), context)
    return confirmations.Empty()
