"""How often somebody may try a wrong key (CWE-307), without locking out who has the right one.

A bucket is one instant: until when the failures so far keep it from being empty. Every failure
moves it on by what one failure is worth; who finds it further ahead than it holds has to wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MINUTE_MS = 60_000
# An address may stand for a whole site, an id be tried from many addresses.
ADDRESS_FACTOR = 10
ID_FACTOR = 6


@dataclass(frozen=True, slots=True)
class Bucket:
    """burst: so many failures at once; one is forgotten every interval_ms."""

    burst: int
    interval_ms: int

    @property
    def full_ms(self) -> int:
        return self.burst * self.interval_ms

    def wait_ms(self, until_ms: int, now_ms: int) -> int:
        """How long until the next try; 0: now. until_ms: 0 where there is no failure."""
        return max(until_ms - now_ms - self.full_ms + self.interval_ms, 0)


@dataclass(frozen=True, slots=True)
class Failures:
    """Until when the failures so far count: of this id from this address, of the address with any
    id, of the id from anywhere. is_usual: the charge point came from this address last."""

    pair_ms: int = 0
    address_ms: int = 0
    id_ms: int = 0
    is_usual: bool = False


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    pair: Bucket
    address: Bucket
    id: Bucket

    @classmethod
    def of(cls, per_minute: int) -> "AttemptLimits":
        """per_minute: failures of one id from one address, 1 at least."""

        def bucket(burst: int) -> Bucket:
            return Bucket(burst, max(MINUTE_MS // burst, 1))

        return cls(
            bucket(per_minute),
            bucket(per_minute * ADDRESS_FACTOR),
            bucket(per_minute * ID_FACTOR),
        )

    def wait_ms(self, failures: Failures, now_ms: int) -> int:
        """How long until a key is looked at again; 0: now.

        Where a charge point is wont to come from only its own failures there count: what others do
        elsewhere, or with other ids, must not keep it out.
        """
        waits: Sequence[int] = (
            self.pair.wait_ms(failures.pair_ms, now_ms),
            0 if failures.is_usual else self.address.wait_ms(failures.address_ms, now_ms),
            0 if failures.is_usual else self.id.wait_ms(failures.id_ms, now_ms),
        )
        return max(waits)
