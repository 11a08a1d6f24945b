"""Keys that sign firmware, by the names operators gave them; the private part is sealed."""

from dataclasses import dataclass

import orjson

from csms.domain.certificate_authority import SignatureAlgorithm
from csms.errors import AlreadyExists, NotFound, StoreRefused
from csms.state import keys
from csms.state.link import Link, Script
from csms.state.pages import pairs

# More than anybody has: a bound, so that the list needs no pages.
KEYS_MAX = 100

_CREATE = Script(
    "create-signing-key",
    """
    -- KEYS[1] all; ARGV: name, record, most
    if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'EXISTS' end
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'FULL' end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    return 'OK'
    """,
)


@dataclass(frozen=True, slots=True)
class SealedSigningKey:
    """certificate: PEM. sealed: the private key, for commands/sealing.py to open."""

    name: str
    algorithm: SignatureAlgorithm
    certificate: str
    sealed: str
    created_at_ms: int
    created_by: str


class SigningKeys:
    def __init__(self, link: Link) -> None:
        self._link = link

    def create(self, key: SealedSigningKey) -> None:
        """Raises AlreadyExists; StoreRefused where there are too many."""
        outcome = self._link.run(
            _CREATE, [keys.SIGNING_KEYS], [key.name, orjson.dumps(key), KEYS_MAX]
        )
        if outcome == "EXISTS":
            raise AlreadyExists("signing key", key.name)
        if outcome == "FULL":
            raise StoreRefused(f"There are {KEYS_MAX} signing keys already; delete one first.")

    def get(self, name: str) -> SealedSigningKey:
        """Raises NotFound."""
        text = self._link.call("HGET", keys.SIGNING_KEYS, name)
        if text is None:
            raise NotFound("signing key", name)
        return _key(text)

    def all(self) -> list[SealedSigningKey]:
        """By name."""
        records = pairs(self._link.call("HGETALL", keys.SIGNING_KEYS))
        return [_key(text) for _, text in sorted(records.items())]

    def delete(self, name: str) -> None:
        """What it has signed stays valid. Raises NotFound."""
        if not self._link.call("HDEL", keys.SIGNING_KEYS, name):
            raise NotFound("signing key", name)


def _key(text: str) -> SealedSigningKey:
    record = orjson.loads(text)
    return SealedSigningKey(**{**record, "algorithm": SignatureAlgorithm(record["algorithm"])})
