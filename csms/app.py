"""The composition root of a web process: builds every part and joins them; no logic."""

import gc
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import gevent
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from cryptography import x509

from csms import jobs, logs
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.campaigns import CampaignDesk
from csms.commands.certificate_authority import authority_of
from csms.commands.delivery import Delivery
from csms.commands.dispatch import CommandDesk
from csms.commands.firmware_library import FirmwareLibrary
from csms.commands.sealing import Sealer
from csms.commands.sequels import Sequels
from csms.commands.signing import Signing
from csms.commands.transfer_requests import TransferDesk
from csms.commands.uploads import UploadDesk
from csms.commands.waiting import Waiting
from csms.config import Settings
from csms.errors import ConfigurationError, CSMSError
from csms.job_lists import JobLists
from csms.state import inbox
from csms.state.accounts import Accounts
from csms.state.checks import check_store
from csms.state.inbox import Inbox, Note, NoteKind
from csms.state.link import MultiplexedLink
from csms.state.stores import Stores
from csms.storage.choice import storage_of
from csms.transport.door import Door
from csms.transport.listeners import Listener, listen
from csms.transport.prefork import CONFIGURATION_ERROR
from csms.transport.process import Process, new_process_id
from csms.transport.server import Limits, Server
from csms.transport.tls import TLSFiles, UnusableFile
from csms.transport.upgrade import Proxies
from csms.web.application import WebParts, create_application
from csms.web.feed import EventFeed

if TYPE_CHECKING:
    from flask import Flask

log = logs.get_logger(__name__)
T = TypeVar("T")

# One reader, blocking up to 5 s, with nobody waiting behind it.
BLOCKING_TIMEOUT_S = 30.0


def serve_forever(environ: Mapping[str, str]) -> None:
    """Run a web process until SIGTERM; ends the process with 78 where its settings are wrong."""
    try:
        settings = Settings.from_env(environ)
        logs.configure(settings.log_level, settings.log_format)
        WebProcess(settings).run()
    except ConfigurationError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201  # logs may not be set up
        sys.exit(CONFIGURATION_ERROR)
    except CSMSError as error:
        log.error("can't serve", reason=str(error))
        sys.exit(1)


class WebProcess:
    """Everything one process is made of."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Whatever is wrong with it stops the start.
        authority = authority_of(settings)
        self.process_id = new_process_id()
        self.link = MultiplexedLink(settings.redis_url, name=self.process_id)
        self.blocking_link = MultiplexedLink(
            settings.redis_url,
            timeout_s=BLOCKING_TIMEOUT_S,
            blocking=True,
            name=f"{self.process_id}-reader",
        )
        self.job_lists = JobLists(jobs.connect(settings.rq_redis_url, jobs.LINK_TIMEOUT_S))
        self.stores = Stores.behind(self.link, settings.message_log_length)
        self.storage = storage_of(settings, _in_a_thread)
        self.waiting = Waiting()
        self.feed = EventFeed()
        sealer = Sealer(settings.credential_pepper)
        self.desk = CommandDesk(
            self.stores,
            sealer,
            settings.command_deadline_s,
            BEFORE_QUEUEING,
            settings.allowed_file_hosts,
        )
        self.signing = Signing(self.stores, sealer, _in_a_thread)
        delivery = Delivery(
            self.stores,
            sealer,
            self.waiting,
            self.process_id,
            settings.credential_pepper,
            settings.call_timeout_s,
            Sequels(self.stores, self.desk, settings, self.storage),
        )
        self.process = Process(self.process_id, self.stores, delivery, settings, self.feed.publish)
        self.tls_files = _tls_files(settings, authority.chain if authority else ())
        door = Door(self.stores, settings, self.process.serve, self._client_roots)
        self.server = Server(
            self._listeners(),
            self._application(),
            door,
            Limits(
                max_connections=settings.max_connections,
                max_connections_per_address=settings.max_connections_per_address,
                header_timeout_s=settings.header_timeout_s,
                send_deadline_s=settings.send_deadline_s,
                ping_interval_s=settings.ping_interval_s,
                max_message_bytes=settings.max_message_bytes,
            ),
            on_refused=door.refused_by_server,
            on_handshake_failed=door.tls_handshake_failed,
            proxies=Proxies(
                settings.trusted_proxies,
                settings.trusted_proxy_networks,
                (settings.client_certificate_header or "").lower(),
            ),
        )
        self.server.on_drain.append(self.process.drain)
        self.server.on_drain.append(self.feed.wake)

    def run(self) -> None:
        """Serve until SIGTERM has drained everything. Raises ConfigurationError."""
        self._check_store()
        self.process.start(Inbox(self.blocking_link, self.process_id, self.stores.events.last()))
        gevent.signal_handler(signal.SIGTERM, self.server.drain)
        # What has been made so far stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        if self.tls_files is not None:
            gevent.spawn(self.tls_files.watch_forever)
        log.info("serving", process_id=self.process_id, ports=self.server.ports)
        self.server.serve_forever()
        self.process.end()
        log.info("stopped", process_id=self.process_id)

    def _listeners(self) -> list[Listener]:
        settings, files = self.settings, self.tls_files
        listeners = [listen(settings.host, settings.port, reuse_port=True)]
        if files is not None:
            for port in settings.tls_ports:
                context = partial(files.context, port.client_certificates)
                listeners.append(listen(settings.host, port.port, context, reuse_port=True))
        return listeners

    def _client_roots(self) -> Sequence[x509.Certificate]:
        return self.tls_files.client_roots if self.tls_files is not None else ()

    def _check_store(self) -> None:
        found = check_store(self.link)
        for warning in found.warnings:
            log.warning("store", problem=warning)
        if found.problems:
            raise ConfigurationError("REDIS_URL", " ".join(found.problems))

    def _application(self) -> "Flask":
        hasher = PasswordHasher()
        return create_application(
            WebParts(
                settings=self.settings,
                stores=self.stores,
                accounts=Accounts(self.link, self.settings.credential_pepper),
                desk=self.desk,
                campaigns=CampaignDesk(self.stores, self.settings),
                storage=self.storage,
                firmware_library=FirmwareLibrary(self.stores, self.storage, self.settings),
                uploads=UploadDesk(self.stores, self.storage, self.settings.uploads_total_bytes),
                transfers=TransferDesk(self.stores, self.desk, self.signing, self.settings),
                waiting=self.waiting,
                process_id=self.process_id,
                feed=self.feed,
                is_draining=lambda: self.server.draining,
                hash_password=lambda password: _in_a_thread(lambda: hasher.hash(password)),
                verify_password=lambda stored, password: _in_a_thread(
                    lambda: _verify(hasher, stored, password)
                ),
                evict=self._evict,
                jobs=self.job_lists,
                server_certificates=lambda: (
                    self.tls_files.certificates if self.tls_files is not None else ()
                ),
            )
        )

    def _evict(self, charge_point_id: str) -> None:
        """End the connections of a charge point wherever they are."""
        owner = self.stores.presences.owner(charge_point_id)
        if owner:
            inbox.send(self.link, owner, Note(NoteKind.EVICT, f"0 {charge_point_id}"))


def _tls_files(settings: Settings, own_roots: Sequence[x509.Certificate]) -> TLSFiles | None:
    """None where neither we nor a proxy of ours speaks TLS. Raises ConfigurationError."""
    if not settings.tls_ports and settings.tls_client_ca is None and not own_roots:
        return None
    certificates = settings.tls_certificates if settings.tls_ports else ()
    try:
        return TLSFiles(certificates, settings.tls_client_ca, own_roots)
    except UnusableFile as error:
        raise ConfigurationError(error.setting, error.problem) from None


def _in_a_thread(work: Callable[[], T]) -> T:
    """Argon2 takes a third of a second, a busy disk may take longer: during which no socket would
    be served."""
    return gevent.get_hub().threadpool.apply(work)


def _verify(hasher: PasswordHasher, stored: str, password: str) -> bool:
    try:
        return hasher.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
