"""StopTransaction.req: always answered, whatever it names, since it can't be refused (4.10)."""

from csms import metrics
from csms.domain.authorization import ActiveTransaction, authorize
from csms.domain.timestamps import read_timestamp
from csms.domain.transaction import usable_transaction_id
from csms.handlers.context import CallContext
from csms.handlers.sampled import with_instants
from csms.logs import get_logger
from csms.protocol import confirmations, requests
from csms.state import id_tags
from csms.state.meter_values import Metered
from csms.state.transactions import Stop, Stopped, stopped_commands

log = get_logger(__name__)

ID_TAG_MAX = 255
REASON_MAX = 50


def handle(
    request: requests.StopTransaction, context: CallContext
) -> confirmations.StopTransaction:
    stores, owned = context.stores, context.owned
    id_tag = request.id_tag[:ID_TAG_MAX]
    stop = _stop(request, id_tag, context.now_ms)
    owned.metering = None
    command = stores.transactions.stop_command(owned.charge_point_id, owned.epoch, stop)
    if id_tag:
        reply, tag_reply = stores.link.batch(command, id_tags.find_command(id_tag))
        info = authorize(id_tags.read_tag(tag_reply), context.now_ms)
    else:
        reply, info = stores.link.call(*command), None

    stopped = stores.transactions.read_stopped(owned.charge_point_id, reply)
    if stopped.transaction_id is None:
        _keep_loose(stop, context)
        log.warning("stop of an unknown transaction kept", transaction_id=request.transaction_id)
    else:
        _follow_up(stopped.transaction_id, stopped, request.reason, context)
    return confirmations.StopTransaction(info)


def _stop(request: requests.StopTransaction, id_tag: str, now_ms: int) -> Stop:
    timestamp = read_timestamp(request.timestamp, now_ms)
    return Stop(
        transaction_id=usable_transaction_id(request.transaction_id),
        stated_transaction_id=request.transaction_id,
        meter_stop_wh=request.meter_stop_wh,
        stopped_at_ms=timestamp.at_ms,
        timestamp=timestamp.text,
        received_at_ms=now_ms,
        reason=request.reason[:REASON_MAX],
        id_tag=id_tag,
        transaction_data=with_instants(request.transaction_data, now_ms),
        flags=[] if timestamp.plausible else ["clock wrong"],
    )


def _keep_loose(stop: Stop, context: CallContext) -> None:
    """The meter values of a stop that fits no transaction; which connector they are of it does not
    say."""
    if stop.transaction_data:
        context.stores.meter_values.record(
            context.charge_point_id,
            context.owned.epoch,
            Metered(0, None, (), stop.transaction_data, None, 0, None),
        )


def _follow_up(transaction_id: int, stopped: Stopped, reason: str, context: CallContext) -> None:
    """What follows across charge points; repeated with every resend, counted with the first."""
    stores, charge_point_id = context.stores, context.charge_point_id
    for command in stopped_commands(charge_point_id, transaction_id):
        stores.link.post(*command)
    over = ActiveTransaction(charge_point_id, stopped.connector_id, transaction_id)
    stores.link.post(*id_tags.deactivate_command(stopped.id_tag, over))
    if not stopped.is_new:
        log.info("stop of a transaction sent again", transaction_id=transaction_id)
        return
    if stopped.grown_wh > 0:
        stores.overviews.add_energy(stopped.grown_wh, context.now_ms)
    metrics.transactions.labels(_reason_label(reason)).inc()
    stores.changed.add(charge_point_id)
    log.info(
        "transaction stopped",
        transaction_id=transaction_id,
        connector_id=stopped.connector_id,
        reason=reason,
        energy_wh=stopped.energy_wh,
    )


_REASONS = frozenset(
    {
        "DeAuthorized",
        "EmergencyStop",
        "EVDisconnected",
        "HardReset",
        "Local",
        "Other",
        "PowerLoss",
        "Reboot",
        "Remote",
        "SoftReset",
        "UnlockCommand",
    }
)


def _reason_label(reason: str) -> str:
    """A label of its own for the specification's reasons only: labels must stay few."""
    return reason if reason in _REASONS else "Other"
