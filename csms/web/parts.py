"""What the web side is given by the composition root, and how a view gets at it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from flask import current_app

from csms.commands.campaigns import CampaignDesk
from csms.commands.dispatch import CommandDesk
from csms.commands.firmware_library import FirmwareLibrary
from csms.commands.transfer_requests import TransferDesk
from csms.commands.uploads import UploadDesk
from csms.commands.waiting import Waiting
from csms.config import Settings
from csms.domain.server_certificates import ServerCertificate
from csms.job_lists import JobLists
from csms.state.accounts import Accounts
from csms.state.stores import Stores
from csms.storage.interface import Storage
from csms.web.feed import EventFeed

EXTENSION = "csms"


@dataclass(frozen=True, slots=True)
class WebParts:
    """hash_password: a password to its stored form; verify_password: (stored form, password).

    evict: ends the connection of a charge point, whichever process holds it, so that it comes
    back under what has changed. is_draining: True from SIGTERM on. jobs: what the
    workers do. server_certificates: those of the TLS ports.
    """

    settings: Settings
    stores: Stores
    accounts: Accounts
    desk: CommandDesk
    campaigns: CampaignDesk
    storage: Storage
    uploads: UploadDesk
    firmware_library: FirmwareLibrary
    transfers: TransferDesk
    waiting: Waiting
    process_id: str
    feed: EventFeed
    is_draining: Callable[[], bool]
    hash_password: Callable[[str], str]
    verify_password: Callable[[str, str], bool]
    evict: Callable[[str], None]
    jobs: JobLists
    server_certificates: Callable[[], Sequence[ServerCertificate]] = tuple


def parts() -> WebParts:
    """Those of the application that serves this request."""
    return cast(WebParts, current_app.extensions[EXTENSION])
