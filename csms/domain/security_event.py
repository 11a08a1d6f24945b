"""Security events: what charge points report (security white paper, A04), and what we see or do.

A type is a free text: unknown ones are kept like known ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from csms.domain.secrets import without_grants
from csms.domain.timestamps import read_timestamp

TYPE_MAX = 50
TECH_INFO_MAX = 255
ACTOR_MAX = 100
# What we see ourselves again within this time counts up one event: somebody who knocks all night
# must not push everything else out of the list.
REPEATED_WITHIN_MS = 3_600_000


class EventSource(StrEnum):
    CHARGE_POINT = "charge point"
    CENTRAL_SYSTEM = "central system"


# Security white paper, Edition 3, appendix A04: the events it names, and whether each is critical.
KNOWN_TYPES: Mapping[str, bool] = {
    "FirmwareUpdated": True,
    "FailedToAuthenticateAtCentralSystem": False,
    "CentralSystemFailedToAuthenticate": False,
    "SettingSystemTime": True,
    "StartupOfTheDevice": True,
    "ResetOrReboot": True,
    "SecurityLogWasCleared": True,
    "ReconfigurationOfSecurityParameters": False,
    "MemoryExhaustion": True,
    "InvalidMessages": False,
    "AttemptedReplayAttacks": False,
    "TamperDetectionActivated": True,
    "InvalidFirmwareSignature": False,
    "InvalidFirmwareSigningCertificate": False,
    "InvalidCentralSystemCertificate": False,
    "InvalidChargePointCertificate": False,
    "InvalidTLSVersion": False,
    "InvalidTLSCipherSuite": False,
}
_CRITICAL = frozenset(name.casefold() for name, critical in KNOWN_TYPES.items() if critical)


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """at_ms: when it happened, as its source states it. critical: somebody must look at it.

    actor: the operator who did it, "" where none did.
    """

    event_type: str
    at_ms: int
    received_at_ms: int
    source: EventSource
    critical: bool = False
    tech_info: str = ""
    actor: str = ""

    def name(self, charge_point_id: str) -> str:
        """What tells it from others: what a charge point sends again has the same name, and so has
        what we see ourselves again within the hour."""
        ours = self.source is EventSource.CENTRAL_SYSTEM
        instant = self.at_ms // REPEATED_WITHIN_MS if ours else self.at_ms
        said = (self.source, self.event_type, str(instant), self.actor, self.tech_info)
        content = "\n".join((charge_point_id, *said))
        return hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=16).hexdigest()


def told_event(
    event_type: str, timestamp: str | None, tech_info: str, now_ms: int
) -> SecurityEvent:
    """What a charge point reported. Its queue outlives days offline: instants may be old."""
    return SecurityEvent(
        event_type=event_type[:TYPE_MAX],
        at_ms=read_timestamp(timestamp, now_ms).at_ms,
        received_at_ms=now_ms,
        source=EventSource.CHARGE_POINT,
        critical=event_type.casefold() in _CRITICAL,
        tech_info=without_grants(tech_info)[:TECH_INFO_MAX],
    )


def own_event(
    event_type: str,
    now_ms: int,
    tech_info: str = "",
    *,
    critical: bool = False,
    actor: str = "",
) -> SecurityEvent:
    """What this system saw or did. tech_info must hold no secret."""
    return SecurityEvent(
        event_type=event_type[:TYPE_MAX],
        at_ms=now_ms,
        received_at_ms=now_ms,
        source=EventSource.CENTRAL_SYSTEM,
        critical=critical,
        tech_info=tech_info[:TECH_INFO_MAX],
        actor=actor[:ACTOR_MAX],
    )
