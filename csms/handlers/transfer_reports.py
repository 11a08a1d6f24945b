"""What the four status notifications share: a report is kept with the transfer it is about."""

from csms.domain.transfer import IDLE
from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.state.transfers import Report

log = get_logger(__name__)


def keep(report: Report, context: CallContext) -> None:
    """Whatever it says is kept: it is never refused for coming out of order."""
    stores, owned = context.stores, context.owned
    kept = stores.transfers.report(owned.charge_point_id, owned.epoch, report, context.now_ms)
    stores.changed.add(owned.charge_point_id)
    facts = {"status": report.status, "request_id": report.request_id}
    if kept is not None:
        log.info(
            f"{report.kind} status", transfer_id=kept.transfer_id, state=str(kept.state), **facts
        )
    elif report.status == IDLE:
        log.info(f"{report.kind} status", **facts)
    else:
        log.warning("status of no transfer of ours", kind=str(report.kind), **facts)
