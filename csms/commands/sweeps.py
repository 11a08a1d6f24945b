"""What one process looks after for all, every few seconds: records whose time has come.

Each sweep looks at a bounded number of records a time, and what it does may be done twice. None
waits for anything but the store: timers would wait with it.
"""

from collections.abc import Callable

from csms.commands import (
    campaigns,
    certificate_signing,
    local_lists,
    reservations,
    transfers,
    uploads,
)
from csms.commands.sequel import Sequel

Sweep = Callable[[Sequel], None]

SWEEPS: tuple[Sweep, ...] = (
    campaigns.sweep,
    certificate_signing.sweep,
    local_lists.sweep_syncs,
    local_lists.sweep_watched,
    reservations.sweep,
    transfers.sweep,
    uploads.sweep,
)
