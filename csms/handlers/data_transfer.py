"""DataTransfer.req: nobody's extensions are known here yet (OCPP 1.6 ed. 2, 4.3)."""

from csms.handlers.context import CallContext
from csms.protocol import confirmations, requests


def handle(_: requests.DataTransfer, context: CallContext) -> confirmations.DataTransfer:
    return confirmations.DataTransfer("UnknownVendorId")
