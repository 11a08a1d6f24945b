"""How often a wrong key may be tried, and that nobody is kept out by what others try."""

import pytest
from cast import MINUTE_MS, NOON_MS

from csms.domain.attempts import AttemptLimits, Bucket, Failures

BUCKET = Bucket(burst=3, interval_ms=20_000)
LIMITS = AttemptLimits.of(10)


def after(failures, bucket=BUCKET, now_ms=NOON_MS):
    """The instant of a bucket after so many failures at once."""
    return now_ms + failures * bucket.interval_ms if failures else 0


@pytest.mark.parametrize(("failures", "wait_ms"), [(0, 0), (1, 0), (2, 0), (3, 20_000)])
def test_a_bucket_lets_as_many_fail_as_it_holds(failures, wait_ms):
    assert BUCKET.wait_ms(after(failures), NOON_MS) == wait_ms


def test_a_bucket_empties_with_time():
    until_ms = after(3)

    assert BUCKET.wait_ms(until_ms, NOON_MS + 19_999) == 1
    assert BUCKET.wait_ms(until_ms, NOON_MS + 20_000) == 0
    assert BUCKET.wait_ms(until_ms, NOON_MS + 10 * MINUTE_MS) == 0


def test_limits_follow_from_one_number():
    assert LIMITS.pair == Bucket(10, 6_000)
    assert LIMITS.address == Bucket(100, 600)
    assert LIMITS.id == Bucket(60, 1_000)
    assert AttemptLimits.of(10_000).address.interval_ms == 1


FULL = {
    "pair_ms": after(10, LIMITS.pair),
    "address_ms": after(100, LIMITS.address),
    "id_ms": after(60, LIMITS.id),
}


@pytest.mark.parametrize(
    ("name", "wait_ms"), [("pair_ms", 6_000), ("address_ms", 600), ("id_ms", 1_000)]
)
def test_each_full_bucket_makes_a_stranger_wait(name, wait_ms):
    assert LIMITS.wait_ms(Failures(**{name: FULL[name]}), NOON_MS) == wait_ms


def test_who_comes_from_where_it_always_does_waits_for_its_own_failures_only():
    others = {name: FULL[name] for name in ("address_ms", "id_ms")}

    assert LIMITS.wait_ms(Failures(**others, is_usual=True), NOON_MS) == 0
    assert LIMITS.wait_ms(Failures(**FULL, is_usual=True), NOON_MS) == 6_000
