"""MeterValues.req: kept, whatever transaction it names, and never refused (ed. 2, 4.7)."""

from collections.abc import Sequence

from csms.domain.connector import CONNECTOR_MAX
from csms.domain.metering import MeterValue, Reading, read_latest
from csms.domain.transaction import Metering, RunningTransaction, usable_transaction_id
from csms.handlers.context import CallContext
from csms.handlers.sampled import with_instants
from csms.protocol import confirmations, requests
from csms.state.transactions import Metered, stopped_commands


def handle(request: requests.MeterValues, context: CallContext) -> confirmations.Empty:
    if not request.meter_values:
        return confirmations.Empty()
    owned = context.owned
    metering = owned.metering
    if metering is None:
        metering = context.stores.transactions.metering(owned.charge_point_id)
        owned.metering = metering
    transaction_id = usable_transaction_id(request.transaction_id)
    running = metering.transaction(transaction_id, request.connector_id)
    if running is None and transaction_id is not None:
        _keep_closed(request, transaction_id, metering, context)
    else:
        _keep(request, running, metering, context)
    context.stores.changed.add(owned.charge_point_id)
    return confirmations.Empty()


def _keep(
    request: requests.MeterValues,
    running: RunningTransaction | None,
    metering: Metering,
    context: CallContext,
) -> None:
    """Values of a transaction that runs, or of none."""
    meter_values = with_instants(request.meter_values, context.now_ms)
    named = usable_transaction_id(request.transaction_id) is not None
    of_session = [v for v in meter_values if running and (named or running.owns(v.at_ms))]
    of_none = meter_values if not of_session else [v for v in meter_values if v not in of_session]
    reading = read_latest(meter_values)
    energy_wh = None
    if running is not None and reading is not None and reading.energy_wh is not None and of_session:
        energy_wh = running.energy_at(reading.energy_wh, reading.at_ms)
    shown = _to_be_shown(request.connector_id, reading, metering)
    context.stores.transactions.meter(
        context.charge_point_id,
        context.owned.epoch,
        Metered(
            request.connector_id,
            running.transaction_id if running else None,
            of_session,
            of_none,
            energy_wh,
            reading.at_ms if reading else 0,
            shown,
        ),
    )
    # Known only now that it is written.
    if shown is not None:
        metering.shown_at_ms[request.connector_id] = shown.at_ms
    if running is not None and energy_wh is not None and reading is not None:
        _count(energy_wh - (running.energy_wh or 0), context)
        running.energy_wh, running.metered_at_ms = energy_wh, reading.at_ms


def _keep_closed(
    request: requests.MeterValues, transaction_id: int, metering: Metering, context: CallContext
) -> None:
    """Values that name a transaction which does not run: late ones, or of one that nobody knows."""
    stores, owned = context.stores, context.owned
    meter_values: Sequence[MeterValue] = with_instants(request.meter_values, context.now_ms)
    reading = read_latest(meter_values)
    metered = stores.transactions.meter_closed(
        owned.charge_point_id,
        owned.epoch,
        request.connector_id,
        transaction_id,
        meter_values,
        reading,
    )
    shown = _to_be_shown(request.connector_id, reading, metering)
    if shown is not None:
        stores.transactions.show(owned.charge_point_id, owned.epoch, request.connector_id, shown)
        metering.shown_at_ms[request.connector_id] = shown.at_ms
    if metered.is_known:
        # Packed already, perhaps: to be packed again.
        for command in stopped_commands(owned.charge_point_id, transaction_id):
            stores.link.post(*command)
    _count(metered.grown_wh, context)


def _to_be_shown(connector_id: int, reading: Reading | None, metering: Metering) -> Reading | None:
    """Queued values come late: what people look at goes by its own instant. A connector that can't
    be has no figures to show, as they would fill the store."""
    if reading is None or not 0 <= connector_id <= CONNECTOR_MAX:
        return None
    return reading if reading.at_ms >= metering.shown_at_ms.get(connector_id, 0) else None


def _count(grown_wh: int, context: CallContext) -> None:
    if grown_wh > 0:
        context.stores.overviews.add_energy(grown_wh, context.now_ms)
