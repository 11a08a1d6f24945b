"""MeterValues.req: kept, whatever transaction it names, and never refused (ed. 2, 4.7)."""

from csms import metrics
from csms.domain.connector import CONNECTOR_MAX
from csms.domain.metering import read_latest
from csms.domain.transaction import usable_transaction_id
from csms.handlers.context import CallContext
from csms.handlers.sampled import with_instants
from csms.protocol import confirmations, requests
from csms.state.transactions import stopped_commands


def handle(request: requests.MeterValues, context: CallContext) -> confirmations.Empty:
    if not request.meter_values:
        return confirmations.Empty()
    stores, owned = context.stores, context.owned
    meter_values = with_instants(request.meter_values, context.now_ms)
    metered = stores.transactions.meter(
        owned.charge_point_id,
        owned.epoch,
        request.connector_id,
        usable_transaction_id(request.transaction_id),
        meter_values,
        # A connector that can't be has no figures to show: they would fill the store.
        read_latest(meter_values) if 0 <= request.connector_id <= CONNECTOR_MAX else None,
    )
    if metered.transaction_id is not None and not metered.is_open:
        # Late values of a transaction that is packed already: to be packed again.
        for command in stopped_commands(owned.charge_point_id, metered.transaction_id):
            stores.link.post(*command)
    if metered.grown_wh > 0:
        stores.overviews.add_energy(metered.grown_wh, context.now_ms)
        metrics.energy_delivered.inc(metered.grown_wh)
    stores.changed.add(owned.charge_point_id)
    return confirmations.Empty()
