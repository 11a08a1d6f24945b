"""Certificates that were signed for charge points: which one is in force, and whose each is."""

from collections.abc import Sequence
from dataclasses import dataclass

from csms.domain.certificate_facts import CertificateFacts
from csms.domain.certificate_request import CertificateState
from csms.domain.security_event import own_event
from csms.errors import NotFound
from csms.state import keys
from csms.state.link import Command, Link, Script
from csms.state.pages import pairs, records
from csms.state.security_events import SecurityEvents

# So many that none is forgotten while it is valid: of one that is not known only its names would be
# looked at.
KEPT_PER_CHARGE_POINT = 200
# In these states it lets its charge point in.
_ADMITTING = frozenset({CertificateState.ISSUED, CertificateState.PENDING, CertificateState.ACTIVE})

_ISSUE = Script(
    "issue-certificate",
    """
    -- KEYS: 1 record, 2 certificates of the charge point
    -- ARGV: 1 fingerprint, 2 now, 3 kept, 4 key prefix of records, 5.. fields and values
    -- Answers the fingerprints of those that had to leave for it.
    if redis.call('EXISTS', KEYS[1]) == 1 then return {} end
    redis.call('HSET', KEYS[1], unpack(ARGV, 5))
    redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
    local gone = {}
    for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - tonumber(ARGV[3]))) do
      if redis.call('HGET', ARGV[4] .. other, 'state') ~= 'active' then
        redis.call('DEL', ARGV[4] .. other)
        redis.call('ZREM', KEYS[2], other)
        gone[#gone + 1] = other
      end
    end
    return gone
    """,
)
_ANSWERED = Script(
    "answer-certificate",
    """
    -- KEYS[1] record; ARGV[1] its new state. Once it was used it is not only pending any more.
    local state = redis.call('HGET', KEYS[1], 'state')
    if state ~= 'issued' and state ~= 'pending' and state ~= 'rejected' then return 0 end
    redis.call('HSET', KEYS[1], 'state', ARGV[1])
    return 1
    """,
)
_USE = Script(
    "use-certificate",
    """
    -- KEYS: 1 record, 2 certificates of the charge point
    -- ARGV: 1 fingerprint, 2 now, 3 key prefix of records
    -- Answers what it was before, and the fingerprints of those it supersedes.
    local was = redis.call('HGET', KEYS[1], 'state')
    if not was then return {''} end
    if was == 'rejected' or was == 'superseded' or was == 'revoked' then return {was} end
    redis.call('HSET', KEYS[1], 'last_used_at_ms', ARGV[2])
    if was == 'active' then return {was} end
    redis.call('HSET', KEYS[1], 'state', 'active', 'used_at_ms', ARGV[2])
    local mine = redis.call('ZSCORE', KEYS[2], ARGV[1])
    local superseded = {}
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', mine)) do
      local state = redis.call('HGET', ARGV[3] .. other, 'state')
      if other ~= ARGV[1] and state ~= 'rejected' and state ~= 'superseded'
        and state ~= 'revoked' then
        redis.call('HSET', ARGV[3] .. other, 'state', 'superseded')
        superseded[#superseded + 1] = other
      end
    end
    return {was, ARGV[1], unpack(superseded)}
    """,
)

_REVOKE = Script(
    "revoke-certificate",
    """
    -- KEYS[1] record. Answers what it was before.
    local was = redis.call('HGET', KEYS[1], 'state')
    if was then redis.call('HSET', KEYS[1], 'state', 'revoked') end
    return was
    """,
)


@dataclass(frozen=True, slots=True)
class KeptCertificate:
    """serial_number, fingerprint (SHA-256): in hex. used_at_ms: when it was used first."""

    fingerprint: str
    state: CertificateState
    common_name: str
    organisation: str
    issuer: str
    serial_number: str
    not_before_ms: int
    not_after_ms: int
    request_id: str
    issued_at_ms: int
    used_at_ms: int | None
    last_used_at_ms: int | None


class Certificates:
    def __init__(self, link: Link) -> None:
        self._link = link

    def issue(
        self, charge_point_id: str, facts: CertificateFacts, request_id: str, now_ms: int
    ) -> None:
        """Keep what was signed for a charge point; may be repeated."""
        fingerprint = facts.fingerprint
        gone = self._link.batch(
            ("HSET", keys.CERTIFICATE_OWNERS, fingerprint, charge_point_id),
            _ISSUE.call(
                [
                    keys.certificate(charge_point_id, fingerprint),
                    keys.certificates_of(charge_point_id),
                ],
                [
                    *(fingerprint, now_ms, KEPT_PER_CHARGE_POINT),
                    keys.certificate(charge_point_id, ""),
                    *("state", CertificateState.ISSUED, "request_id", request_id),
                    *("common_name", facts.common_name, "organisation", facts.organisation),
                    *("issuer", facts.issuer, "serial_number", facts.serial_number),
                    *("not_before_ms", facts.not_before_ms, "not_after_ms", facts.not_after_ms),
                    *("issued_at_ms", now_ms),
                ],
            ),
        )[1]
        if gone:
            self._link.batch(*forget_commands(gone))

    def answered(self, charge_point_id: str, fingerprint: str, *, accepted: bool) -> None:
        """The charge point took it, for the time when it is valid, or did not."""
        state = CertificateState.PENDING if accepted else CertificateState.REJECTED
        self._link.run(_ANSWERED, [keys.certificate(charge_point_id, fingerprint)], [state])

    def used(self, charge_point_id: str, fingerprint: str, now_ms: int) -> bool:
        """A charge point has come in with this certificate, which makes it the one in force and
        those before it superseded. May be repeated.

        fingerprint: SHA-256 in hex. False for one that was not signed here for this charge point,
        that it had not taken, or that a newer one has replaced.
        """
        fingerprint = fingerprint.casefold()
        record = keys.certificate(charge_point_id, fingerprint)
        is_in, not_after_ms = self._link.call("HMGET", record, "state", "not_after_ms")
        if is_in in _ADMITTING and is_in != CertificateState.ACTIVE:
            # In the list before it is in force: a crash leaves one too many, which nobody shows.
            self._link.call("ZADD", keys.CERTIFICATES_IN_FORCE, not_after_ms, fingerprint)
        was, *rows = self._link.run(
            _USE,
            [record, keys.certificates_of(charge_point_id)],
            [fingerprint, now_ms, keys.certificate(charge_point_id, "")],
        )
        if rows:
            superseded = rows[1:]
            if superseded:
                self._link.call("ZREM", keys.CERTIFICATES_IN_FORCE, *superseded)
            said = f"first use of certificate {fingerprint}"
            event = own_event("CertificateUsed", now_ms, said)
            SecurityEvents(self._link).record(charge_point_id, event)
        return was in _ADMITTING

    def revoke(self, charge_point_id: str, fingerprint: str) -> bool:
        """It admits nobody any more; False where it was revoked already. Raises NotFound."""
        was = self._link.run(_REVOKE, [keys.certificate(charge_point_id, fingerprint)], [])
        if was is None:
            raise NotFound("certificate", fingerprint)
        self._link.call("ZREM", keys.CERTIFICATES_IN_FORCE, fingerprint)
        return bool(was != CertificateState.REVOKED)

    def owner(self, fingerprint: str) -> str | None:
        """The charge point for which a certificate was signed; None for a foreign one."""
        owner: str | None = self._link.call("HGET", keys.CERTIFICATE_OWNERS, fingerprint.casefold())
        return owner

    def find(self, charge_point_id: str, fingerprint: str) -> KeptCertificate | None:
        key = keys.certificate(charge_point_id, fingerprint)
        fields = pairs(self._link.call("HGETALL", key))
        return _kept(fingerprint, fields) if fields else None

    def of(self, charge_point_id: str) -> list[KeptCertificate]:
        """Newest first."""
        fingerprints = self._link.call("ZREVRANGE", keys.certificates_of(charge_point_id), 0, -1)
        names = [keys.certificate(charge_point_id, one) for one in fingerprints]
        return [
            _kept(fingerprint, fields)
            for fingerprint, fields in zip(fingerprints, records(self._link, names), strict=True)
            if fields
        ]

    def ending_before(self, before_ms: int, limit: int) -> list[tuple[str, KeptCertificate]]:
        """Those in force that end before an instant, the first first, with their charge points."""
        fingerprints = self._link.call(
            "ZRANGEBYSCORE", keys.CERTIFICATES_IN_FORCE, "-inf", before_ms, "LIMIT", 0, limit
        )
        if not fingerprints:
            return []
        owners = self._link.call("HMGET", keys.CERTIFICATE_OWNERS, *fingerprints)
        found = [
            (owner, self.find(owner, fingerprint))
            for owner, fingerprint in zip(owners, fingerprints, strict=True)
            if owner
        ]
        return [
            (owner, kept)
            for owner, kept in found
            if kept is not None and kept.state is CertificateState.ACTIVE
        ]


def forget_commands(fingerprints: Sequence[str]) -> list[Command]:
    """Take certificates, one at least, out of the lists across charge points."""
    return [
        ("HDEL", keys.CERTIFICATE_OWNERS, *fingerprints),
        ("ZREM", keys.CERTIFICATES_IN_FORCE, *fingerprints),
    ]


def _kept(fingerprint: str, fields: dict[str, str]) -> KeptCertificate:
    def optional(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    return KeptCertificate(
        fingerprint=fingerprint,
        state=CertificateState(fields["state"]),
        common_name=fields["common_name"],
        organisation=fields["organisation"],
        issuer=fields["issuer"],
        serial_number=fields["serial_number"],
        not_before_ms=int(fields["not_before_ms"]),
        not_after_ms=int(fields["not_after_ms"]),
        request_id=fields["request_id"],
        issued_at_ms=int(fields["issued_at_ms"]),
        used_at_ms=optional("used_at_ms"),
        last_used_at_ms=optional("last_used_at_ms"),
    )
