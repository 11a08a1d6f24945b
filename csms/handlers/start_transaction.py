"""StartTransaction.req: one transaction for every resend, and always an answer (ed. 2, 4.8)."""

from csms.domain import reservation
from csms.domain.authorization import (
    ActiveTransaction,
    AuthorizationStatus,
    IdTagInfo,
    authorize_start,
)
from csms.domain.metering import REGISTER_MAX_WH
from csms.domain.timestamps import Timestamp, read_timestamp
from csms.domain.transaction import start_fingerprint, usable_reservation_id
from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.protocol import confirmations, requests
from csms.state import id_tags
from csms.state.transactions import Start, Started, started_commands, stopped_commands

log = get_logger(__name__)

# A resend comes within minutes; the same start hours after its stop, from a clock that is wrong,
# is another session (central-system rule for clocks that begin at 1970 with every boot).
CLOCK_GUARD_MS = 6 * 3_600_000
ID_TAG_MAX = 255


def handle(
    request: requests.StartTransaction, context: CallContext
) -> confirmations.StartTransaction:
    stores, owned = context.stores, context.owned
    id_tag = request.id_tag[:ID_TAG_MAX]
    timestamp = read_timestamp(request.timestamp, context.now_ms)

    tag_reply, active_reply = stores.link.batch(
        id_tags.find_command(id_tag), id_tags.active_command(id_tag)
    )
    info = authorize_start(
        id_tags.read_tag(tag_reply),
        context.now_ms,
        id_tags.read_active(active_reply),
        owned.charge_point_id,
        request.connector_id,
    )
    owned.metering = None
    start = _start(request, id_tag, timestamp, context.now_ms)
    started = stores.transactions.start(
        owned.charge_point_id,
        owned.epoch,
        stores.transaction_ids.take(context.now_ms),
        start,
        info.status,
    )
    if started.has_reservations or start.reservation_id is not None:
        _use_reservation(started.transaction_id, start, info, context)
    _index(started, request.connector_id, id_tag, timestamp.at_ms, info.status, context)
    log.info(
        "transaction started" if started.is_new else "start of a transaction sent again",
        transaction_id=started.transaction_id,
        connector_id=request.connector_id,
        authorization=str(info.status),
    )
    return confirmations.StartTransaction(started.transaction_id, info)


def _start(
    request: requests.StartTransaction, id_tag: str, timestamp: Timestamp, now_ms: int
) -> Start:
    flags = [] if timestamp.plausible else ["clock wrong"]
    meter_start_wh = request.meter_start_wh
    if meter_start_wh is None:
        meter_start_wh = 0
        flags.append("meter start missing")
    elif not 0 <= meter_start_wh <= REGISTER_MAX_WH:
        flags.append("meter start implausible")
    reservation_id = usable_reservation_id(request.reservation_id)
    return Start(
        connector_id=request.connector_id,
        id_tag=id_tag,
        fingerprint=start_fingerprint(
            request.connector_id, id_tag, timestamp.text, meter_start_wh, reservation_id
        ),
        meter_start_wh=meter_start_wh,
        started_at_ms=timestamp.at_ms,
        timestamp=timestamp.text,
        received_at_ms=now_ms,
        reservation_id=reservation_id,
        clock_guard_ms=0 if timestamp.plausible else CLOCK_GUARD_MS,
        flags=flags,
    )


def _use_reservation(
    transaction_id: int, start: Start, info: IdTagInfo, context: CallContext
) -> None:
    """Before the answer, so that a start which is not answered comes again and does it again. One
    that is refused uses none: somebody else is still expected."""
    if info.status is not AuthorizationStatus.ACCEPTED:
        return
    context.stores.reservations.use(
        context.charge_point_id,
        context.owned.epoch,
        reservation.Start(
            transaction_id,
            start.connector_id,
            start.id_tag,
            info.parent_id_tag,
            start.reservation_id,
            start.started_at_ms,
            context.now_ms,
        ),
        context.now_ms,
    )


def _index(
    started: Started,
    connector_id: int,
    id_tag: str,
    started_at_ms: int,
    status: AuthorizationStatus,
    context: CallContext,
) -> None:
    """What follows across charge points: repeated with every resend, so that a crash in between
    is mended by it; the sweep mends the rest."""
    stores, charge_point_id = context.stores, context.charge_point_id
    for command in started_commands(
        charge_point_id, started.transaction_id, started_at_ms, is_open=started.is_open
    ):
        stores.link.post(*command)
    if started.is_open and status is AuthorizationStatus.ACCEPTED:
        active = ActiveTransaction(charge_point_id, connector_id, started.transaction_id)
        stores.link.post(*id_tags.activate_command(id_tag, active))
    if started.superseded_id is not None:
        for command in stopped_commands(charge_point_id, started.superseded_id):
            stores.link.post(*command)
        over = ActiveTransaction(charge_point_id, connector_id, started.superseded_id)
        stores.link.post(*id_tags.deactivate_command(started.superseded_id_tag, over))
        log.warning(
            "transaction superseded, its stop is missing", transaction_id=started.superseded_id
        )
    stores.changed.add(charge_point_id)
