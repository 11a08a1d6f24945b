"""What charge points asked to have signed, from the CSR to what they made of the certificate.

A charge point has one open request. Every step looks at the state it leaves, so that a request is
signed, sent and settled once, whoever takes it up again after a crash.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from csms.domain.certificate_request import RequestState
from csms.errors import NotFound
from csms.state import keys
from csms.state.fence import check
from csms.state.link import Argument, Command, Link, Script
from csms.state.pages import Page, newest_first, owned_records, pairs, scored

KEPT_PER_CHARGE_POINT = 50
KEPT_IN_ALL = 10_000
KEPT_S = 400 * 86_400
PER_HOUR = 40
HOUR_MS = 3_600_000
# The greenlet that answered takes a request up at once; the sweep only what it has left lying.
LEFT_MS = 15_000
# Longer than any authority may take.
CLAIM_MS = 60_000
CLAIMS_MAX = 5
# A charge point whose certificate has come may repeat its request, as it was never answered.
AGAIN_MS = 10 * 60_000

_RECEIVE = Script(
    "receive-certificate-request",
    """
    -- KEYS: 1 live, 2 open request, 3 requests of the charge point, 4 record
    -- ARGV: 1 epoch, 2 id, 3 digest of the CSR, 4 now, 5 kept, 6 key prefix of records, 7 kept s,
    --   8 an hour ago, 9 most in an hour, 10 whether it is refused, 11 earliest end of one that
    --   is sent again, 12.. fields and values
    -- Answers NEW, KNOWN with the id of the one with the same CSR, or MANY.
    if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'STALE'} end
    local refused = ARGV[10] == '1'
    local open = redis.call('GET', KEYS[2])
    local was = open and redis.call('HMGET', ARGV[6] .. open, 'digest', 'state') or {}
    if not refused and was[1] == ARGV[3] then return {'KNOWN', open} end
    -- Its answer may have been lost, and the certificate come all the same before it asks again.
    local last = redis.call('ZREVRANGE', KEYS[3], 0, 0)[1]
    local is = last and redis.call('HMGET', ARGV[6] .. last, 'digest', 'state', 'settled_at_ms')
      or {}
    if is[1] == ARGV[3] and is[2] == 'accepted' and tonumber(is[3]) > tonumber(ARGV[11]) then
      return {'KNOWN', last}
    end
    if redis.call('ZCOUNT', KEYS[3], ARGV[8], '+inf') >= tonumber(ARGV[9]) then return {'MANY'} end
    if not refused then
      if was[2] == 'received' or was[2] == 'signed' then
        redis.call('HSET', ARGV[6] .. open, 'state', 'failed', 'settled_at_ms', ARGV[4],
          'reason', 'another request came after it')
      end
      redis.call('SET', KEYS[2], ARGV[2])
    end
    redis.call('HSET', KEYS[4], 'digest', ARGV[3], unpack(ARGV, 12))
    redis.call('EXPIRE', KEYS[4], ARGV[7])
    redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
    redis.call('EXPIRE', KEYS[3], ARGV[7])
    local excess = redis.call('ZRANGE', KEYS[3], 0, -1 - tonumber(ARGV[5]))
    for _, id in ipairs(excess) do
      redis.call('DEL', ARGV[6] .. id)
      redis.call('ZREM', KEYS[3], id)
    end
    return {'NEW', ARGV[2], unpack(excess)}
    """,
)
_CLAIM = Script(
    "claim-certificate-request",
    """
    -- KEYS[1] record; ARGV: 1 now, 2 until. How often it was claimed; 0: not to be had, -1: closed.
    local was = redis.call('HMGET', KEYS[1], 'state', 'claimed_until_ms')
    if was[1] ~= 'received' and was[1] ~= 'signed' then return -1 end
    if was[2] and tonumber(was[2]) > tonumber(ARGV[1]) then return 0 end
    redis.call('HSET', KEYS[1], 'claimed_until_ms', ARGV[2])
    return redis.call('HINCRBY', KEYS[1], 'claims', 1)
    """,
)
_MOVE = Script(
    "move-certificate-request",
    """
    -- KEYS: 1 record, 2 open request
    -- ARGV: 1 id, 2 states it may be in, 3 whether this is its end, 4.. fields and values
    local state = redis.call('HGET', KEYS[1], 'state')
    if not state or not string.find(' ' .. ARGV[2] .. ' ', ' ' .. state .. ' ', 1, true) then
      return 0
    end
    redis.call('HSET', KEYS[1], unpack(ARGV, 4))
    if ARGV[3] == '1' and redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
    return 1
    """,
)


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as recorded. key: its kind and length. common_name, organisation: of the
    certificate it gets. chain: what was signed. fingerprint: of its first certificate."""

    request_id: str
    charge_point_id: str
    state: RequestState
    csr: str
    key: str
    common_name: str
    organisation: str
    received_at_ms: int
    reason: str = ""
    chain: str = ""
    fingerprint: str = ""
    signed_by: str = ""
    command_id: str = ""
    settled_at_ms: int | None = None


class CertificateRequests:
    def __init__(self, link: Link) -> None:
        self._link = link

    def receive(
        self,
        charge_point_id: str,
        epoch: int,
        csr: str,
        now_ms: int,
        *,
        key: str = "",
        common_name: str = "",
        organisation: str = "",
        refused: str = "",
        to_be_signed: bool = True,
    ) -> str | None:
        """Keep a CSR, before its answer; the id of its request. None: too many within an hour.

        refused: why it can't be processed. The same CSR again, while its request is open or
        shortly after its certificate was taken, is the same request; another one ends that.
        to_be_signed: not by an operator, so that the sweep must see to it. Raises StaleEpoch.
        """
        request_id = uuid.uuid4().hex
        state = RequestState.REFUSED if refused else RequestState.RECEIVED
        indexes: list[Command] = [
            ("HSET", keys.CERTIFICATE_REQUEST_OWNERS, request_id, charge_point_id),
            ("ZADD", keys.CERTIFICATE_REQUESTS, now_ms, request_id),
        ]
        if not refused and to_be_signed:
            due_ms = now_ms + LEFT_MS
            indexes.append(("ZADD", keys.CERTIFICATE_REQUESTS_DUE, due_ms, request_id))
        fields: list[Argument] = [
            *("state", state, "csr", csr, "key", key, "received_at_ms", now_ms),
            *("common_name", common_name, "organisation", organisation, "reason", refused),
        ]
        if refused:
            fields += ("settled_at_ms", now_ms)
        receive = _RECEIVE.call(
            [
                keys.live(charge_point_id),
                keys.open_certificate_request(charge_point_id),
                keys.certificate_requests_of(charge_point_id),
                keys.certificate_request(charge_point_id, request_id),
            ],
            [
                *(epoch, request_id, _digest(csr), now_ms, KEPT_PER_CHARGE_POINT),
                *(keys.certificate_request(charge_point_id, ""), KEPT_S),
                *(now_ms - HOUR_MS, PER_HOUR, int(bool(refused)), now_ms - AGAIN_MS, *fields),
            ],
        )
        reply = self._link.batch(*indexes, receive)[-1]
        outcome, *ids = map(str, reply)
        gone = ids[1:] if outcome == "NEW" else [request_id]
        if gone:
            self._link.batch(*forget_commands(gone))
        check(reply, charge_point_id)
        return ids[0] if ids else None

    def claim(self, request_id: str, now_ms: int) -> KeptRequest | None:
        """Take up a request that waits to be signed or sent; None where somebody else is at it, or
        nothing is left to be done. After CLAIMS_MAX times it is given up."""
        owner = self._owner(request_id)
        if owner is None:
            self.no_longer_due(request_id)
            return None
        key = keys.certificate_request(owner, request_id)
        claims = int(self._link.run(_CLAIM, [key], [now_ms, now_ms + CLAIM_MS]))
        if claims == 0:
            return None
        if claims < 0:
            self.no_longer_due(request_id)
            return None
        if claims > CLAIMS_MAX:
            self.fail(owner, request_id, "given up: it failed each time", now_ms)
            return None
        self._link.call("ZADD", keys.CERTIFICATE_REQUESTS_DUE, now_ms + CLAIM_MS, request_id)
        return self.get(request_id)

    def sign(
        self,
        charge_point_id: str,
        request_id: str,
        chain: str,
        fingerprint: str,
        signed_by: str,
        now_ms: int,
    ) -> bool:
        """Keep what was signed; False where the request has moved on."""
        fields: list[Argument] = [
            *("state", RequestState.SIGNED, "chain", chain, "fingerprint", fingerprint),
            *("signed_by", signed_by, "signed_at_ms", now_ms),
        ]
        moved = self._move(charge_point_id, request_id, [RequestState.RECEIVED], fields)
        if moved:
            self._link.call("ZADD", keys.CERTIFICATE_REQUESTS_DUE, now_ms + CLAIM_MS, request_id)
        return moved

    def sent(self, charge_point_id: str, request_id: str, command_id: str) -> None:
        """CertificateSigned is queued."""
        fields: list[Argument] = ["state", RequestState.SENT, "command_id", command_id]
        self._move(charge_point_id, request_id, [RequestState.SIGNED], fields)
        self.no_longer_due(request_id)

    def settle(
        self, charge_point_id: str, request_id: str, state: RequestState, reason: str, now_ms: int
    ) -> bool:
        """What the charge point made of it; False where it is known already. An answer that comes
        late outweighs that none came."""
        before = [RequestState.SIGNED, RequestState.SENT]
        if state is not RequestState.FAILED:
            before.append(RequestState.FAILED)
        return self._end(charge_point_id, request_id, before, state, reason, now_ms)

    def fail(self, charge_point_id: str, request_id: str, reason: str, now_ms: int) -> bool:
        """There will be no certificate; False where it has moved on."""
        before = [RequestState.RECEIVED, RequestState.SIGNED]
        return self._end(charge_point_id, request_id, before, RequestState.FAILED, reason, now_ms)

    def _end(
        self,
        charge_point_id: str,
        request_id: str,
        before: Sequence[RequestState],
        state: RequestState,
        reason: str,
        now_ms: int,
    ) -> bool:
        fields: list[Argument] = ["state", state, "reason", reason, "settled_at_ms", now_ms]
        moved = self._move(charge_point_id, request_id, before, fields, is_end=True)
        self.no_longer_due(request_id)
        return moved

    def _move(
        self,
        charge_point_id: str,
        request_id: str,
        before: Sequence[RequestState],
        fields: Sequence[Argument],
        *,
        is_end: bool = False,
    ) -> bool:
        names = [
            keys.certificate_request(charge_point_id, request_id),
            keys.open_certificate_request(charge_point_id),
        ]
        arguments = [request_id, " ".join(before), int(is_end), *fields]
        return bool(self._link.run(_MOVE, names, arguments))

    def no_longer_due(self, request_id: str) -> None:
        self._link.call("ZREM", keys.CERTIFICATE_REQUESTS_DUE, request_id)

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Requests that nobody has signed or sent in their time."""
        due: list[str] = self._link.call(
            "ZRANGEBYSCORE", keys.CERTIFICATE_REQUESTS_DUE, "-inf", now_ms, "LIMIT", 0, limit
        )
        return due

    def open_of(self, charge_point_id: str) -> str | None:
        """The request of a charge point that has no end yet."""
        open_: str | None = self._link.call("GET", keys.open_certificate_request(charge_point_id))
        return open_

    def _owner(self, request_id: str) -> str | None:
        owner: str | None = self._link.call("HGET", keys.CERTIFICATE_REQUEST_OWNERS, request_id)
        return owner

    def find(self, charge_point_id: str, request_id: str) -> KeptRequest | None:
        key = keys.certificate_request(charge_point_id, request_id)
        fields = pairs(self._link.call("HGETALL", key))
        return _kept(request_id, charge_point_id, fields) if fields else None

    def get(self, request_id: str) -> KeptRequest:
        """Raises NotFound, also for one that is no longer kept."""
        owner = self._owner(request_id)
        found = self.find(owner, request_id) if owner else None
        if found is None:
            raise NotFound("certificate request", request_id)
        return found

    def page(
        self,
        cursor: str | None,
        limit: int,
        *,
        charge_point_id: str | None = None,
        state: RequestState | None = None,
    ) -> Page[KeptRequest]:
        """Newest first. Raises FieldError for a foreign cursor."""

        def load(request_ids: Sequence[str]) -> Sequence[KeptRequest | None]:
            found = [
                _kept(request_id, owner, fields) if fields else None
                for owner, request_id, fields in owned_records(
                    self._link,
                    keys.CERTIFICATE_REQUEST_OWNERS,
                    request_ids,
                    keys.certificate_request,
                )
            ]
            return [kept if kept and state in (None, kept.state) else None for kept in found]

        key = (
            keys.CERTIFICATE_REQUESTS
            if charge_point_id is None
            else keys.certificate_requests_of(charge_point_id)
        )
        return newest_first(self._link, key, cursor, limit, load)

    def trim(self) -> None:
        """Take the oldest out of the list of all; their records leave by themselves."""
        excess = scored(
            self._link.call("ZRANGE", keys.CERTIFICATE_REQUESTS, 0, -1 - KEPT_IN_ALL, "WITHSCORES")
        )
        for start in range(0, len(excess), 500):
            ids = [request_id for request_id, _ in excess[start : start + 500]]
            self._link.batch(*forget_commands(ids))


def forget_commands(request_ids: Sequence[str]) -> list[Command]:
    """Take requests, one at least, out of the lists across charge points."""
    return [
        ("ZREM", keys.CERTIFICATE_REQUESTS, *request_ids),
        ("ZREM", keys.CERTIFICATE_REQUESTS_DUE, *request_ids),
        ("HDEL", keys.CERTIFICATE_REQUEST_OWNERS, *request_ids),
    ]


def _digest(csr: str) -> str:
    return hashlib.blake2b(csr.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _kept(request_id: str, charge_point_id: str, fields: dict[str, str]) -> KeptRequest:
    texts = ("csr", "key", "common_name", "organisation", "reason", "chain", "fingerprint")
    settled_at_ms = fields.get("settled_at_ms", "")
    return KeptRequest(
        request_id=request_id,
        charge_point_id=charge_point_id,
        state=RequestState(fields["state"]),
        received_at_ms=int(fields["received_at_ms"]),
        settled_at_ms=int(settled_at_ms) if settled_at_ms else None,
        signed_by=fields.get("signed_by", ""),
        command_id=fields.get("command_id", ""),
        **{name: fields.get(name, "") for name in texts},
    )
