"""MeterValues.req: kept, whatever transaction it names, and never refused (ed. 2, 4.7)."""

from collections.abc import Sequence

from csms.domain.connector import CONNECTOR_MAX
from csms.domain.metering import MeterValue, Reading, read_latest
from csms.domain.transaction import Metering, RunningTransaction, usable_transaction_id
from csms.handlers.context import CallContext
from csms.handlers.sampled import with_instants
from csms.protocol import confirmations, requests
from csms.state.meter_values import Metered
from csms.state.transactions import stopped_commands


def handle(request: requests.MeterValues, context: CallContext) -> confirmations.Empty:
    if not request.meter_values:
        return confirmations.Empty()
    owned = context.owned
    metering = owned.metering
    if metering is None:
        metering = context.stores.meter_values.metering(owned.charge_point_id)
        owned.metering = metering
    transaction_id = usable_transaction_id(request.transaction_id)
    running = metering.transaction(transaction_id, request.connector_id)
    meter_values = with_instants(request.meter_values, context.now_ms)
    if running is None and transaction_id is not None:
        _keep_closed(request.connector_id, transaction_id, meter_values, metering, context)
    else:
        of_session, of_none = _share_out(meter_values, running, named=transaction_id is not None)
        _keep(request.connector_id, running, of_session, of_none, metering, context)
    context.stores.changed.add(owned.charge_point_id)
    return confirmations.Empty()


def _share_out(
    meter_values: Sequence[MeterValue], running: RunningTransaction | None, *, named: bool
) -> tuple[Sequence[MeterValue], Sequence[MeterValue]]:
    """The values of the running transaction, and those of none; named: the message names it."""
    if running is None:
        return (), meter_values
    if named:
        return meter_values, ()
    of_session: list[MeterValue] = []
    of_none: list[MeterValue] = []
    for value in meter_values:
        (of_session if running.owns(value.at_ms) else of_none).append(value)
    return of_session, of_none


def _keep(
    connector_id: int,
    running: RunningTransaction | None,
    of_session: Sequence[MeterValue],
    of_none: Sequence[MeterValue],
    metering: Metering,
    context: CallContext,
) -> None:
    """Values of a transaction that runs, or of none."""
    reading = read_latest([*of_none, *of_session])
    energy_wh = None
    if running is not None and reading is not None and reading.energy_wh is not None and of_session:
        energy_wh = running.energy_at(reading.energy_wh, reading.at_ms)
    shown = _to_be_shown(connector_id, reading, metering)
    context.stores.meter_values.record(
        context.charge_point_id,
        context.owned.epoch,
        Metered(
            connector_id,
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
        metering.shown_at_ms[connector_id] = shown.at_ms
    if running is not None and energy_wh is not None and reading is not None:
        _count(energy_wh - (running.energy_wh or 0), context)
        running.energy_wh, running.metered_at_ms = energy_wh, reading.at_ms


def _keep_closed(
    connector_id: int,
    transaction_id: int,
    meter_values: Sequence[MeterValue],
    metering: Metering,
    context: CallContext,
) -> None:
    """Values that name a transaction which does not run: late ones, or of one that nobody knows."""
    stores, owned = context.stores, context.owned
    reading = read_latest(meter_values)
    metered = stores.meter_values.record_closed(
        owned.charge_point_id, owned.epoch, connector_id, transaction_id, meter_values, reading
    )
    shown = _to_be_shown(connector_id, reading, metering)
    if shown is not None:
        stores.meter_values.show(owned.charge_point_id, owned.epoch, connector_id, shown)
        metering.shown_at_ms[connector_id] = shown.at_ms
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
