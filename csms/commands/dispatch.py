"""Takes an operator's wish: checks it, records it, puts it into the outbox, wakes the owner.

Any process may do this; the one that holds the charge point's socket sends it (delivery.py).
"""

import hashlib
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from csms.commands.requests import Circumstances, arranged, check_payload, operation
from csms.commands.sealing import Sealer
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.command import Command
from csms.domain.file_grant import FileGrant
from csms.domain.secrets import mask_payload
from csms.errors import ChargePointNotConnected, CommandForbidden
from csms.logs import get_logger
from csms.state import inbox, keys
from csms.state.commands import Idempotency, NewCommand
from csms.state.inbox import Note, NoteKind
from csms.state.stores import Stores

log = get_logger(__name__)

# Notes what is asked for, see before_queueing.py.
BeforeQueueing = Callable[[NewCommand, Stores], None]


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """deadline_s: how long it may wait for the charge point to connect; None: it must be connected.

    reply_to: the process in which somebody waits for the answer, or "".
    unsolicited: the system asks by itself; a charge point in quiet mode is spared that.
    idempotent_as: what idempotency_key stands for where the payload holds ids or instants of our
    own making; None: the payload.
    command_id: chosen by the caller, of 32 hexadecimal digits; a second request with the same one
    gets the command of the first, for as long as that is kept. "": a new one.
    grant: what the charge point needs to get at the file that it is sent for; made just before.
    """

    charge_point_id: str
    action: str
    payload: Mapping[str, Any]
    requested_by: str
    deadline_s: int | None = None
    idempotency_key: str | None = None
    reply_to: str = ""
    unsolicited: bool = False
    idempotent_as: Any = None
    command_id: str = ""
    grant: FileGrant | None = None


class CommandDesk:
    """default_deadline_s: how long a command for a connected charge point may wait its turn.

    before_queueing: the table of before_queueing.py; given, since its entries know this class.
    file_hosts: where charge points may be sent for files; empty: anywhere.
    """

    def __init__(
        self,
        stores: Stores,
        sealer: Sealer,
        default_deadline_s: int,
        before_queueing: Mapping[str, tuple[BeforeQueueing, ...]],
        file_hosts: Collection[str],
    ) -> None:
        self._stores = stores
        self._sealer = sealer
        self._default_deadline_s = default_deadline_s
        self._before_queueing = before_queueing
        self._file_hosts = file_hosts

    def queue(self, request: CommandRequest, now_ms: int) -> Command:
        """The command as recorded; the earlier one where the Idempotency-Key recognises it.

        Raises ChargePointUnknown, FieldError, CommandForbidden, ChargePointNotConnected,
        IdempotencyConflict, StoreUnavailable.
        """
        stores = self._stores
        record = stores.charge_points.get(request.charge_point_id)
        operation(request.action)
        configuration = stores.configurations.find(request.charge_point_id)
        circumstances = Circumstances(record, configuration, now_ms, self._file_hosts)
        check_payload(request.action, request.payload, circumstances)
        if request.command_id:
            known = stores.commands.find(request.charge_point_id, request.command_id)
            if known is not None:
                return known
        idempotency = _idempotency(request)
        if idempotency is not None:
            known_id = stores.commands.recall(idempotency)
            if known_id is not None:
                return stores.commands.get(known_id)
        check_allowed(record, request.action, request.payload)
        if request.unsolicited and record.quiet:
            raise CommandForbidden(
                record.charge_point_id, request.action, "it is in quiet mode: nobody asked for this"
            )
        owner = stores.presences.owner(request.charge_point_id)
        if not owner and request.deadline_s is None:
            raise ChargePointNotConnected(request.charge_point_id)

        payload = arranged(request.action, request.payload)
        shown = mask_payload(request.action, payload)
        deadline_s = request.deadline_s or self._default_deadline_s
        command = NewCommand(
            command_id=request.command_id or uuid.uuid4().hex,
            charge_point_id=request.charge_point_id,
            action=request.action,
            payload=shown,
            sealed="" if shown == payload else self._sealer.seal(payload),
            requested_by=request.requested_by,
            reply_to=request.reply_to,
            created_at_ms=now_ms,
            deadline_at_ms=now_ms + deadline_s * 1000,
        )
        for note in self._before_queueing.get(request.action, ()):
            note(command, stores)
        if request.grant is not None:
            # Where nothing is queued after all, the sweep of transfers withdraws it.
            stores.file_grants.grant(request.grant)
        queued = stores.commands.queue(command, idempotency)
        if owner:
            inbox.send(stores.link, owner, Note(NoteKind.WAKE, request.charge_point_id))
        stores.changed.add(request.charge_point_id)
        if queued.is_new:
            log.info(
                "command queued",
                charge_point_id=request.charge_point_id,
                command_id=queued.command_id,
                action=request.action,
                requested_by=request.requested_by,
            )
        return stores.commands.get(queued.command_id)


def check_allowed(record: ChargePoint, action: str, payload: Mapping[str, Any]) -> None:
    """Raises CommandForbidden where the registration forbids it (ed. 2, 4.2; errata 3.40)."""
    registration = record.registration
    if registration is RegistrationStatus.REJECTED:
        rule = "it is Rejected and will not answer (OCPP 1.6 ed. 2, 4.2)"
    elif registration is RegistrationStatus.PENDING and not operation(action).in_pending:
        rule = "it is Pending (OCPP 1.6 ed. 2, 4.2)"
    elif (
        registration is RegistrationStatus.ACCEPTED
        and action == "TriggerMessage"
        and payload.get("requestedMessage") == "BootNotification"
    ):
        rule = "it is Accepted, and must not be asked for its boot again (errata 3.40)"
    else:
        return
    raise CommandForbidden(record.charge_point_id, action, rule)


def _idempotency(request: CommandRequest) -> Idempotency | None:
    if request.idempotency_key is None:
        return None
    meant = request.payload if request.idempotent_as is None else request.idempotent_as
    content = orjson.dumps([request.action, meant, request.deadline_s], option=orjson.OPT_SORT_KEYS)
    return Idempotency(
        keys.idempotency(request.charge_point_id, request.requested_by, request.idempotency_key),
        hashlib.blake2b(content, digest_size=16).hexdigest(),
    )
