"""Failed attempts, counted for all processes together."""

from cast import CP001, NOON_MS, SECOND_MS

from csms.domain.attempts import AttemptLimits, Failures

LIMITS = AttemptLimits.of(10)
HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_nothing_has_failed_before_something_has(stores):
    assert stores.failed_attempts.of("CP001", HERE) == Failures()


def test_a_failure_counts_for_the_pair_the_address_and_the_id(stores):
    stores.failed_attempts.count("CP001", HERE, LIMITS, NOON_MS)

    one = Failures(NOON_MS + 6_000, NOON_MS + 600, NOON_MS + 1_000)
    assert stores.failed_attempts.of("CP001", HERE) == one
    assert stores.failed_attempts.of("CP002", HERE) == Failures(address_ms=one.address_ms)
    assert stores.failed_attempts.of("CP001", THERE) == Failures(id_ms=one.id_ms)


def test_failures_add_up_to_what_the_bucket_holds_and_no_further(stores):
    for _ in range(30):
        stores.failed_attempts.count("CP001", HERE, LIMITS, NOON_MS)
    later_ms = NOON_MS + 3 * SECOND_MS
    stores.failed_attempts.count("CP001", HERE, LIMITS, later_ms)

    assert stores.failed_attempts.of("CP001", HERE).pair_ms == later_ms + 60 * SECOND_MS


def test_they_are_forgotten(stores, sync_link):
    stores.failed_attempts.count("CP001", HERE, LIMITS, NOON_MS)

    keys_left = sync_link.call("KEYS", "*failures*")
    assert len(keys_left) == 3
    assert all(0 < sync_link.call("PTTL", key) <= 60_000 for key in keys_left)


def test_where_a_charge_point_came_from_last_is_its_usual_address(stores):
    stores.charge_points.create(CP001)
    stores.presences.connect("CP001", "process-1", NOON_MS, HERE, secure=False)

    assert stores.failed_attempts.of("CP001", HERE).is_usual
    assert not stores.failed_attempts.of("CP001", THERE).is_usual
