"""Failed attempts to log in as a charge point, counted for all processes together."""

from csms.domain.attempts import AttemptLimits, Bucket, Failures
from csms.state import keys
from csms.state.link import Command, Link, Script

_FAIL = Script(
    "count-failure",
    """
    -- KEYS[1] bucket; ARGV: 1 now, 2 what a failure is worth in ms, 3 what the bucket holds in ms
    local until_ms = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1]))
    until_ms = math.min(until_ms + tonumber(ARGV[2]), tonumber(ARGV[1]) + tonumber(ARGV[3]))
    redis.call('SET', KEYS[1], string.format('%.0f', until_ms), 'PX', ARGV[3])
    return 1
    """,
)


class FailedAttempts:
    def __init__(self, link: Link) -> None:
        self._link = link

    def of(self, charge_point_id: str, remote_address: str) -> Failures:
        """One trip."""
        usual, *untils = self._link.batch(
            ("HGET", keys.live(charge_point_id), "remote_address"),
            *[("GET", key) for key in _buckets(charge_point_id, remote_address)],
        )
        pair_ms, address_ms, id_ms = (int(until or 0) for until in untils)
        return Failures(pair_ms, address_ms, id_ms, is_usual=usual == remote_address)

    def count(
        self, charge_point_id: str, remote_address: str, limits: AttemptLimits, now_ms: int
    ) -> None:
        """One more; counted before it is answered, so that the next one finds it."""
        pair, address, whole = _buckets(charge_point_id, remote_address)
        self._link.batch(
            _fail(pair, limits.pair, now_ms),
            _fail(address, limits.address, now_ms),
            _fail(whole, limits.id, now_ms),
        )


def _buckets(charge_point_id: str, remote_address: str) -> tuple[str, str, str]:
    return (
        keys.failures(charge_point_id, remote_address),
        keys.failures_from(remote_address),
        keys.failures_of(charge_point_id),
    )


def _fail(key: str, bucket: Bucket, now_ms: int) -> Command:
    return _FAIL.call([key], [now_ms, bucket.interval_ms, bucket.full_ms])
