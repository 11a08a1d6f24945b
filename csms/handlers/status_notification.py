"""StatusNotification.req: what a connector is doing (OCPP 1.6 ed. 2, 4.9).

It never begins or ends a transaction in the books; only StartTransaction and StopTransaction do.
"""

from csms.domain.connector import (
    CONNECTOR_MAX,
    NO_ERROR,
    ChargePointStatus,
    Connector,
    LastError,
    known_error_code,
    supersedes,
)
from csms.domain.reservation import may_end_reservations
from csms.domain.secrets import without_grants
from csms.domain.timestamps import Timestamp, read_timestamp
from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.protocol import confirmations, requests
from csms.protocol.call_errors import PropertyConstraintViolation

log = get_logger(__name__)

TEXT_MAX = 255


def handle(request: requests.StatusNotification, context: CallContext) -> confirmations.Empty:
    if not 0 <= request.connector_id <= CONNECTOR_MAX:
        raise PropertyConstraintViolation(
            f"connectorId must be between 0 and {CONNECTOR_MAX}.", {"field": "connectorId"}
        )
    owned = context.owned
    timestamp = (
        Timestamp(context.now_ms, "", plausible=True)
        if request.timestamp is None
        else read_timestamp(request.timestamp, context.now_ms)
    )
    before = owned.connectors.get(request.connector_id)
    if not supersedes(timestamp, before):
        return confirmations.Empty()  # an old notification, delivered late

    connector = _connector(request, timestamp, before, context.now_ms)
    context.stores.charge_points.record_connector(
        owned.charge_point_id, owned.epoch, connector, before
    )
    if may_end_reservations(connector, before):
        context.stores.reservations.report(owned.charge_point_id, owned.epoch, connector, before)
    owned.connectors[connector.connector_id] = connector
    context.stores.changed.add(owned.charge_point_id)
    if connector.error_code != NO_ERROR and (
        before is None or before.error_code != connector.error_code
    ):
        log.warning(
            "connector reports an error",
            connector_id=connector.connector_id,
            status=str(connector.status),
            error_code=connector.error_code,
            info=connector.info,
            vendor_error_code=connector.vendor_error_code,
        )
    return confirmations.Empty()


def _connector(
    request: requests.StatusNotification,
    timestamp: Timestamp,
    before: Connector | None,
    now_ms: int,
) -> Connector:
    error_code, raw_error_code = known_error_code(request.error_code)
    info = request.info[:TEXT_MAX]
    vendor_error_code = request.vendor_error_code[:TEXT_MAX]
    if error_code == NO_ERROR:
        last_error = before.last_error if before else None
    else:
        last_error = LastError(error_code, info, vendor_error_code, timestamp.at_ms)
    return Connector(
        connector_id=request.connector_id,
        status=ChargePointStatus(request.status),
        error_code=error_code,
        info=info,
        vendor_id=without_grants(request.vendor_id)[:TEXT_MAX],
        vendor_error_code=vendor_error_code,
        raw_error_code=raw_error_code,
        at_ms=timestamp.at_ms,
        received_at_ms=now_ms,
        clock_wrong=not timestamp.plausible,
        last_error=last_error,
    )
