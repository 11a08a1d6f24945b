"""What a job works with: the records, and what continues a story; built anew for every job."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

from csms import clock
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.delivery import Delivery
from csms.commands.dispatch import CommandDesk
from csms.commands.sealing import Sealer
from csms.commands.sequel import Sequel
from csms.commands.sequels import Sequels
from csms.commands.signing import Signing
from csms.commands.transfer_requests import TransferDesk
from csms.commands.waiting import Waiting
from csms.config import Settings, host_name
from csms.errors import StoreRefused, StoreUnavailable
from csms.logs import get_logger
from csms.state import shared_clock
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores
from csms.storage.choice import storage_of
from csms.storage.interface import Storage

log = get_logger(__name__)
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Parts:
    """delivery: settles commands, in the name of this job."""

    settings: Settings
    stores: Stores
    desk: CommandDesk
    transfers: TransferDesk
    delivery: Delivery
    storage: Storage

    def sequel(self) -> Sequel:
        """What sweeps and follow-ups are given, as of now."""
        return Sequel(self.stores, self.desk, self.settings, self.storage, clock.now_ms())


@contextmanager
def open_parts() -> Iterator[Parts]:
    """For one job; afterwards the page is told what has changed. Raises StoreUnavailable."""
    settings = Settings.from_env(os.environ)
    link = SyncLink(settings.redis_url)
    try:
        shared_clock.follow(link)
        stores = Stores.behind(link, settings.message_log_length)
        try:
            yield _join(settings, stores)
        finally:
            if changed := stores.changed.take():
                stores.events.publish(changed)
    finally:
        link.close()


def _join(settings: Settings, stores: Stores) -> Parts:
    sealer = Sealer(settings.credential_pepper)
    storage = storage_of(settings)
    desk = CommandDesk(
        stores,
        sealer,
        settings.command_deadline_s,
        BEFORE_QUEUEING,
        settings.allowed_file_hosts,
    )
    delivery = Delivery(
        stores,
        sealer,
        Waiting(),
        f"job-{host_name()[:32]}-{uuid.uuid4().hex[:12]}",
        settings.credential_pepper,
        settings.call_timeout_s,
        Sequels(stores, desk, settings, storage),
    )
    transfers = TransferDesk(stores, desk, Signing(stores, sealer, lambda work: work()), settings)
    return Parts(settings, stores, desk, transfers, delivery, storage)


def asked_for_again(job: Callable[P, None]) -> Callable[P, None]:
    """Marks a job that somebody asks for again while it is due: where the store does not answer,
    it is put off, and does not end in the failed list."""

    @wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            job(*args, **kwargs)
        except (StoreUnavailable, StoreRefused) as error:
            log.error("job put off", job=f"{job.__module__}.{job.__name__}", reason=str(error))

    return run
