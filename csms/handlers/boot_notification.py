"""BootNotification.req: who is there, and whether it may begin (OCPP 1.6 ed. 2, 4.2)."""

from csms.domain.charge_point import REGISTRATION, ChargePoint, RegistrationStatus
from csms.domain.transfer import RIVALS, STATUS_MESSAGES, TransferKind
from csms.errors import StaleEpoch
from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.protocol import confirmations, requests
from csms.state.link import Command

log = get_logger(__name__)

_UPDATES = frozenset(RIVALS[TransferKind.FIRMWARE])
# Vendors have been seen to send more than the specification's 20 or 25 characters; they are kept,
# within reason.
FACT_MAX = 255


def handle(
    request: requests.BootNotification, context: CallContext
) -> confirmations.BootNotification:
    stores, owned = context.stores, context.owned
    # Read anew: an operator may have accepted it since it connected.
    record, under_way = stores.charge_points.find_booting(owned.charge_point_id)
    if record is None:
        raise StaleEpoch(owned.charge_point_id)  # it was deleted since
    registration = REGISTRATION[record.admission]
    facts = {name: value[:FACT_MAX] for name, value in request.facts.items()}

    in_updates = [_note_in_updates(record, facts, context)] if under_way & _UPDATES else []
    stores.charge_points.record_boot(
        owned.charge_point_id, owned.epoch, facts, registration, context.now_ms, *in_updates
    )
    owned.record, owned.registration = record, registration
    # While it is Pending it may go on telling of what we asked for before its reboot.
    owned.triggered.update(STATUS_MESSAGES[kind] for kind in under_way)
    stores.changed.add(owned.charge_point_id)
    log.info("charge point booted", registration=str(registration), **_shown(facts))

    if registration is RegistrationStatus.ACCEPTED:
        interval_s = record.heartbeat_interval_s or context.settings.heartbeat_interval_s
    elif record.retry_interval_s is not None:
        interval_s = record.retry_interval_s
    else:
        interval_s = context.settings.boot_retry_interval_s
    return confirmations.BootNotification(str(registration), context.now_ms, interval_s)


def _note_in_updates(before: ChargePoint, facts: dict[str, str], context: CallContext) -> Command:
    """A reboot in the midst of an update shows which version came of it."""
    return context.stores.transfers.boot_command(
        context.charge_point_id,
        context.owned.epoch,
        before.facts.get("firmwareVersion", ""),
        facts.get("firmwareVersion", ""),
        context.now_ms,
    )


def _shown(facts: dict[str, str]) -> dict[str, str]:
    return {
        "vendor": facts.get("chargePointVendor", ""),
        "model": facts.get("chargePointModel", ""),
        "firmware": facts.get("firmwareVersion", ""),
    }
