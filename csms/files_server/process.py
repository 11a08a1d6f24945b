"""The life of the files process: its settings, its port, what it looks after, and its end."""

import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from csms import logs
from csms.config import Settings
from csms.errors import ConfigurationError, StoreRefused, StoreUnavailable
from csms.files_server.certificates import ServerTLS
from csms.files_server.exchange import Exchange
from csms.files_server.server import FilesServer
from csms.state import shared_clock
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores
from csms.storage.choice import storage_of

log = logs.get_logger(__name__)

CONFIGURATION_ERROR = 78
# For the port, while another process has it.
TRY_AGAIN_S = 5.0
LOOK_S = 10.0
# Procfile runners kill after five seconds, in which the threads have to end, too.
DRAIN_S = 3.0


def main(environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM; 78 where the settings are wrong."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        settings = Settings.from_env(environ)
        logs.configure(settings.log_level, settings.log_format)
        if settings.files_ftp_url is None:
            # Not an end: what runs the Procfile would end the other processes, too.
            log.info("nothing to serve over ftp: FILES_FTP_URL is not set")
            stopping.wait()
            return 0
        _run(settings, settings.files_ftp_url, stopping)
    except ConfigurationError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201  # logs may not be set up yet
        return CONFIGURATION_ERROR
    return 0


def _run(settings: Settings, url: str, stopping: threading.Event) -> None:
    """Raises ConfigurationError."""
    tls = ServerTLS(settings.tls_certificates[0]) if urlsplit(url).scheme == "ftps" else None
    link = SyncLink(settings.redis_url)
    try:
        exchange = Exchange(
            Stores.behind(link, settings.message_log_length),
            storage_of(settings),
            settings.credential_pepper,
            settings.uploads_total_bytes,
        )
        server = _listen(settings, exchange, tls, stopping)
        if server is None:
            return
        log.info(
            "serving files over ftp",
            port=settings.ftp_port,
            tls=tls is not None,
            passive_ports=f"{settings.ftp_passive_ports[0]}-{settings.ftp_passive_ports[-1]}",
        )
        upkeep = Upkeep(server, link, settings, url)
        upkeep.look()
        watching = threading.Thread(target=upkeep.watch, args=(stopping,))
        watching.start()
        server.serve(stopping, DRAIN_S)
        watching.join()
        log.info("stopped serving files over ftp")
    finally:
        link.close()


def _listen(
    settings: Settings, exchange: Exchange, tls: ServerTLS | None, stopping: threading.Event
) -> FilesServer | None:
    """Waits for a port that another process has; None when told to stop meanwhile. The web
    processes serve files all the same, so nothing is ended for it."""
    said = ""
    while not stopping.is_set():
        try:
            return FilesServer(
                (settings.host, settings.ftp_port),
                exchange,
                passive_ports=settings.ftp_passive_ports,
                tls=tls,
            )
        except PermissionError:
            raise ConfigurationError(
                "FTP_PORT", f"this process may not listen on port {settings.ftp_port}."
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != said:
                log.error("can't listen for ftp", port=settings.ftp_port, reason=reason)
                said = reason
        stopping.wait(TRY_AGAIN_S)
    return None


class Upkeep:
    """What may change while the server runs: the clock, its address, its certificate."""

    def __init__(self, server: FilesServer, link: SyncLink, settings: Settings, url: str) -> None:
        self._server = server
        self._link = link
        self._told = settings.ftp_public_address
        self._url = url
        self._failing: set[str] = set()

    def watch(self, stopping: threading.Event) -> None:
        while not stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # the edge: the loop of a thread the server relies on
                log.exception("looking after the ftp server failed")

    def look(self) -> None:
        self._try("the store does not answer", self._follow_clock)
        self._try("the public ftp address is not known", self._find_address)
        if self._server.tls is not None:
            self._server.tls.look()

    def _try(self, event: str, work: Callable[[], None]) -> None:
        """A failure that goes on is said once."""
        try:
            work()
        except (StoreUnavailable, StoreRefused, OSError) as error:
            if event not in self._failing:
                log.error(event, reason=str(error))
            self._failing.add(event)
        else:
            self._failing.discard(event)

    def _follow_clock(self) -> None:
        shared_clock.follow(self._link)

    def _find_address(self) -> None:
        self._server.public_address = public_address(self._told, self._url)


def public_address(told: str | None, url: str) -> str | None:
    """What passive clients shall connect to. told: FTP_PUBLIC_ADDRESS, an address or a name; the
    host of url where it is None. None where that is this machine, so that clients connect to what
    they have connected to before.

    Raises OSError for a name that is not known now.
    """
    host = told or urlsplit(url).hostname or ""
    found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    address = str(found[0][4][0])
    return None if ipaddress.ip_address(address).is_loopback and told is None else address
