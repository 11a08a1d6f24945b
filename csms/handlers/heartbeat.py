"""Heartbeat.req: a sign of life, answered with the time (OCPP 1.6 ed. 2, 4.6).

Every frame is a sign of life; the transport gathers them and writes them a few times a minute.
"""

from csms.handlers.context import CallContext
from csms.protocol import confirmations, requests


def handle(_: requests.Heartbeat, context: CallContext) -> confirmations.Heartbeat:
    return confirmations.Heartbeat(context.now_ms)
