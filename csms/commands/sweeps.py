"""What one process looks after for all, every few seconds: records whose time has come.

Each sweep looks at a bounded number of records a time, and what it does may be done twice.
"""

from collections.abc import Callable

from csms.commands import (
    campaigns,
    certificate_signing,
    local_lists,
    reservations,
    stored_files,
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
    stored_files.sweep_unclaimed,
    stored_files.sweep_unfinished,
)
