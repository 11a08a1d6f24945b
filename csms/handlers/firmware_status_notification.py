"""FirmwareStatusNotification.req: how far the charge point has come (OCPP 1.6 ed. 2, 4.5)."""

from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.protocol import confirmations, requests

log = get_logger(__name__)


def handle(
    request: requests.FirmwareStatusNotification, context: CallContext
) -> confirmations.Empty:
    context.stores.charge_points.record_progress(
        context.charge_point_id, context.owned.epoch, "firmware", request.status, context.now_ms
    )
    context.stores.changed.add(context.charge_point_id)
    log.info("firmware status", status=request.status)
    return confirmations.Empty()
