"""Root certificates of charge points: the lists they told, and what was sent to them to install."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from csms.domain.certificates import hash_key
from csms.state import keys
from csms.state.link import Link, Script
from csms.state.pages import pairs

INSTALLATIONS_MAX = 50
# More than any charge point stores.
LISTED_MAX = 200

_RECORD = Script(
    "record-installation",
    """
    -- KEYS[1] record; ARGV: 1 command id, 2 JSON, 3 kept
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    while redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) do
      local rows = redis.call('HGETALL', KEYS[1])
      local oldest, oldest_at
      for i = 1, #rows, 2 do
        local at = cjson.decode(rows[i + 1]).at_ms
        if not oldest_at or at < oldest_at then oldest, oldest_at = rows[i], at end
      end
      redis.call('HDEL', KEYS[1], oldest)
    end
    return 1
    """,
)
_KEEP = Script(
    "keep-installed-list",
    """
    -- KEYS[1] record; ARGV: 1 type, 2 JSON, 3 as of. What is known since stays.
    local was = redis.call('HGET', KEYS[1], ARGV[1])
    if was and (cjson.decode(was).as_of_ms or 0) > tonumber(ARGV[3]) then return 0 end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    return 1
    """,
)


@dataclass(frozen=True, slots=True)
class InstalledList:
    """What a charge point told of one type of root. certificates: hash data exactly as received,
    without those that it has deleted since. as_of_ms: when it was told, or when one was deleted."""

    certificate_type: str
    told_at_ms: int
    certificates: Sequence[Mapping[str, Any]]
    as_of_ms: int = 0


@dataclass(frozen=True, slots=True)
class Installation:
    """A certificate that was sent, and what the charge point made of it.

    status: of its answer, or the state in which the command ended. hash_data: as we make them, to
    recognise it in the lists; problems: why it may be refused.
    """

    command_id: str
    certificate_type: str
    status: str
    at_ms: int
    requested_by: str
    subject: str = ""
    fingerprint: str = ""
    not_after_ms: int | None = None
    hash_data: Sequence[Mapping[str, str]] = ()
    problems: Sequence[str] = ()


class InstalledCertificates:
    def __init__(self, link: Link) -> None:
        self._link = link

    def told(
        self,
        charge_point_id: str,
        certificate_type: str,
        certificates: Sequence[Mapping[str, Any]],
        now_ms: int,
    ) -> None:
        """Keep the whole list of one type; may be repeated, also after one was deleted."""
        told = InstalledList(certificate_type, now_ms, tuple(certificates[:LISTED_MAX]), now_ms)
        self._keep(charge_point_id, told)

    def _keep(self, charge_point_id: str, told: InstalledList) -> None:
        self._link.run(
            _KEEP,
            [keys.installed_certificates(charge_point_id)],
            [told.certificate_type, orjson.dumps(told), told.as_of_ms],
        )

    def lists(self, charge_point_id: str) -> list[InstalledList]:
        """By type; only those that were asked for."""
        fields = pairs(self._link.call("HGETALL", keys.installed_certificates(charge_point_id)))
        return [InstalledList(**orjson.loads(text)) for _, text in sorted(fields.items())]

    def deleted(self, charge_point_id: str, deleted: Mapping[str, Any], now_ms: int) -> None:
        """Take one out of the lists, as the charge point has it no longer; may be repeated, also
        after it was told again."""
        for told in self.lists(charge_point_id):
            left = [one for one in told.certificates if hash_key(one) != hash_key(deleted)]
            if len(left) < len(told.certificates):
                self._keep(charge_point_id, replace(told, certificates=left, as_of_ms=now_ms))

    def record(self, charge_point_id: str, installation: Installation) -> None:
        """Keep what came of an InstallCertificate; may be repeated."""
        self._link.run(
            _RECORD,
            [keys.certificate_installations(charge_point_id)],
            [installation.command_id, orjson.dumps(installation), INSTALLATIONS_MAX],
        )

    def installations(self, charge_point_id: str) -> list[Installation]:
        """Newest first."""
        fields = pairs(self._link.call("HGETALL", keys.certificate_installations(charge_point_id)))
        found = [Installation(**orjson.loads(text)) for text in fields.values()]
        return sorted(found, key=lambda one: (one.at_ms, one.command_id), reverse=True)
