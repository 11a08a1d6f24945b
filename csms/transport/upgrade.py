"""What an upgrade is decided on, and what may be decided: the server asks, the door answers."""

import base64
import binascii
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from csms.domain.client_certificates import PresentedCertificate
from csms.transport.websocket import WebSocket


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """What the door decides on.

    path is raw: neither decoded nor normalised, without the query. headers have lower-case
    names, repeated ones are joined by ","; values are latin-1. remote_address is behind as many
    proxies as are trusted; secure says the client spoke TLS to the outermost of them, or to us.
    client_certificate: what it showed in its handshake with us or with a trusted proxy.
    """

    path: str
    query: str
    headers: Mapping[str, str]
    remote_address: str
    secure: bool
    client_certificate: PresentedCertificate | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer in place of 101; reason is its plain text body."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """serve runs in the socket's own greenlet; when it returns, the socket is closed."""

    subprotocol: str | None
    serve: Callable[[WebSocket], None]


Door = Callable[[UpgradeRequest], Refusal | Admission]
OnRefused = Callable[[UpgradeRequest | None, Refusal], None]
"""Told what the server refused without the door: no room, draining, a broken handshake.

The request is None where it could not be read.
"""
OnHandshakeFailed = Callable[[str, str], None]
"""Told the address of a peer whose TLS handshake failed, and why in plain words."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whom to believe what they say of a client.

    count: how many entries at the end of X-Forwarded-For are true. networks: where the nearest of
    them is; without any it may be anywhere. certificate_header: in lower case, with the client
    certificate of who spoke TLS to it; believed from within networks only.
    """

    count: int = 0
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    certificate_header: str = ""

    def believed(self, peer: str) -> int:
        """How many proxies stand before the peer, as far as that can be believed."""
        return self.count if self.count and (not self.networks or self._is_near(peer)) else 0

    def passes_certificates(self, peer: str) -> bool:
        return bool(self.certificate_header and self.count) and self._is_near(peer)

    def _is_near(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self.networks)


def come_back_later(status: int, reason: str) -> Refusal:
    # Jittered, or all who are refused now come back in the same second.
    return Refusal(status, reason, (("Retry-After", str(random.randint(5, 30))),))  # noqa: S311


def handshake_refusal(method: str, http_version: str, headers: Mapping[str, str]) -> Refusal | None:
    """RFC 6455, 4.2.1, but for `Connection: Upgrade`, which some charge points leave out."""
    if method != "GET":
        return Refusal(405, "A WebSocket handshake is a GET.", (("Allow", "GET"),))
    if http_version != "HTTP/1.1":
        return Refusal(400, "A WebSocket handshake needs HTTP/1.1.")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return Refusal(400, "A WebSocket handshake has no body.")
    if headers.get("sec-websocket-version") != "13":
        supported = (("Sec-WebSocket-Version", "13"),)
        return Refusal(426, "Only WebSocket version 13 is spoken here.", supported)
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64.")
    return None


def remote_address_of(peer: str, headers: Mapping[str, str], trusted_proxies: int) -> str:
    """The client's address as the outermost trusted proxy saw it; the peer's without proxies."""
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",")]
    if trusted_proxies and len(hops) >= trusted_proxies and hops[-trusted_proxies]:
        return hops[-trusted_proxies]
    return peer.removeprefix("::ffff:")
