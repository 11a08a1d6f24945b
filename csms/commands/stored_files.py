"""Takes files out of the storage: those whose record is deleted, and those a crash has left.

The storage may hang for minutes; so the sweeps are a duty of the workers.
"""

from csms.commands.sequel import Sequel
from csms.errors import StorageUnavailable
from csms.logs import get_logger
from csms.state.stores import Stores
from csms.storage.interface import Storage

log = get_logger(__name__)

# Nothing is on its way for so long.
ABANDONED_MS = 86_400_000
PER_SWEEP_MAX = 100


def delete_unclaimed(storage_key: str, stores: Stores, storage: Storage) -> None:
    """Delete a file that is noted as unclaimed; what fails is left to the sweep."""
    try:
        storage.delete(storage_key)
    except StorageUnavailable as error:
        log.warning("file not deleted", reason=str(error))
        return
    stores.unclaimed_files.claimed(storage_key)


def sweep_unclaimed(sequel: Sequel) -> bool:
    """Whether there are more. Raises StorageUnavailable: all are tried again."""
    unclaimed = sequel.stores.unclaimed_files
    found = unclaimed.older_than(sequel.now_ms - ABANDONED_MS, PER_SWEEP_MAX)
    for storage_key in found:
        sequel.storage.delete(storage_key)
        unclaimed.claimed(storage_key)
    return len(found) == PER_SWEEP_MAX


def sweep_unfinished(sequel: Sequel) -> None:
    """What was written in part when its process died."""
    if sequel.stores.unclaimed_files.look_for_unfinished():
        forgotten = sequel.storage.forget_unfinished(sequel.now_ms - ABANDONED_MS)
        if forgotten:
            log.info("unfinished files deleted", files=forgotten)
