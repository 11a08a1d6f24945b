"""What one process does for all: whatever is due and nobody else has done.

A web process does it every few seconds, and a worker where no web process is alive. Who holds the
lease sweeps; all that it does may be done twice, should the lease have gone to another meanwhile.
"""

from csms.commands.delivery import Delivery
from csms.commands.sequels import TRY_AGAIN_MS
from csms.domain.command import CommandState
from csms.errors import CSMSError
from csms.logs import get_logger

log = get_logger(__name__)

LEASE_MS = 10_000
PER_SWEEP_MAX = 500


class Sweeper:
    """delivery: settles what was left behind, in the name of its process."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._stores = delivery.stores

    def sweep(self, now_ms: int) -> bool:
        """Do what is due; False where another process has the lease. Raises StoreUnavailable."""
        stores = self._stores
        if not stores.presences.take_sweeper_lease(self._delivery.process_id, LEASE_MS):
            return False
        for charge_point_id in stores.presences.bury_the_dead(now_ms):
            log.warning("charge point lost with its process", charge_point_id=charge_point_id)
            stores.changed.add(charge_point_id)
        for command_id in stores.commands.due(now_ms, PER_SWEEP_MAX):
            self._settle(command_id, now_ms)
        self._delivery.sequels.sweep(now_ms)
        stores.commands.trim()
        stores.refusals.trim(now_ms)
        stores.security_events.trim(now_ms)
        return True

    def rest(self) -> None:
        """Leave the next sweep to whoever comes first. Raises StoreUnavailable."""
        self._stores.presences.return_sweeper_lease(self._delivery.process_id)

    def _settle(self, command_id: str, now_ms: int) -> None:
        """One that fails by a mistake of ours does not keep the others from their end."""
        try:
            self._settle_overdue(command_id, now_ms)
        except CSMSError:
            raise
        except Exception:  # the edge: a record that nobody can read must not stop the sweep
            log.exception("overdue command not settled", command_id=command_id)
            self._stores.commands.due_again(command_id, now_ms + TRY_AGAIN_MS)

    def _settle_overdue(self, command_id: str, now_ms: int) -> None:
        commands = self._stores.commands
        owner = commands.owner(command_id)
        command = commands.find(owner, command_id) if owner else None
        if command is None or owner is None:
            commands.no_longer_due(command_id)
        elif command.state is CommandState.QUEUED:
            self._delivery.settle_undelivered(owner, command_id, now_ms)
            commands.forget_empty_outbox(owner)
        elif command.state is CommandState.SENT:
            self._delivery.settle_left_behind(owner, command_id, now_ms)
        else:
            self._delivery.settle_again(owner, command, now_ms)
