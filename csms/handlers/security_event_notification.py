"""SecurityEventNotification.req: something that concerns security has happened (security white
paper, A04)."""

from csms.domain.security_event import told_event
from csms.handlers.context import CallContext
from csms.protocol import confirmations, requests


def handle(
    request: requests.SecurityEventNotification, context: CallContext
) -> confirmations.Empty:
    event = told_event(request.event_type, request.timestamp, request.tech_info, context.now_ms)
    context.stores.security_events.told(context.charge_point_id, context.owned.epoch, event)
    context.stores.changed.add(context.charge_point_id)
    return confirmations.Empty()
