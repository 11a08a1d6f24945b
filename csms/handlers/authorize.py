"""Authorize.req: may this idTag charge, or stop what its group began (OCPP 1.6 ed. 2, 4.1)."""

from csms.domain.authorization import authorize
from csms.handlers.context import CallContext
from csms.protocol import confirmations, requests


def handle(request: requests.Authorize, context: CallContext) -> confirmations.Authorize:
    tag = context.stores.id_tags.find(request.id_tag)
    return confirmations.Authorize(authorize(tag, context.now_ms))
