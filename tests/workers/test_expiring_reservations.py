"""The timer of a reservation: set when it is accepted, and worth no more than a wake-up."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cast import HOUR_MS
from rq.job import Job

from csms import clock, jobs
from csms.clock import now_ms
from csms.domain.reservation import Reservation, ReservationState, Terms
from workers.reservations import expire


@pytest.fixture
def reserve(stores, environment):
    """Puts a reservation of CP 001 into the books, where the worker's environment finds them."""

    def put(until_ms, state=ReservationState.ACCEPTED):
        at_ms = until_ms - HOUR_MS
        record = Reservation(
            5, "CP 001", Terms(1, "ALICE", None, until_ms), state, "operator", at_ms, at_ms
        )
        stores.reservations.change("CP 001", 5, lambda _: record, at_ms)
        return record

    return put


@pytest.fixture
def timers(store_url, stores):
    """The timers that are set."""
    connection = jobs.connect(store_url)
    yield lambda: [
        (job, registry.get_scheduled_time(job.id))
        for registry in [jobs.queue(jobs.TIMERS, connection).scheduled_job_registry]
        for job in [
            Job.fetch(one, connection=connection, serializer=jobs.JSONSerializer)
            for one in registry.get_job_ids()
        ]
    ]
    connection.close()


def test_the_job_writes_down_what_is_over_however_often_it_runs(reserve, stores):
    reserve(now_ms() - 1)

    for _ in range(3):
        expire("CP 001", 5)

    assert stores.reservations.get("CP 001", 5).state == "expired"
    assert stores.events.last() != "0-0"  # the page hears of it


def test_a_worker_whose_clock_is_ahead_ends_nobody_s_reservation(reserve, stores, monkeypatch):
    """C35: it goes by the store's clock."""
    reserve(now_ms() + HOUR_MS)
    monkeypatch.setattr(clock, "_behind_ms", 2 * HOUR_MS)

    expire("CP 001", 5)

    assert stores.reservations.get("CP 001", 5).state == "accepted"


def test_a_job_that_comes_early_changes_nothing(reserve, stores):
    record = reserve(now_ms() + HOUR_MS)

    expire("CP 001", 5)

    assert stores.reservations.get("CP 001", 5) == record


@pytest.mark.parametrize("state", [ReservationState.USED, ReservationState.CANCELLED])
def test_a_job_for_what_is_over_otherwise_changes_nothing(reserve, stores, state):
    record = reserve(now_ms() - 1, state)

    expire("CP 001", 5)

    assert stores.reservations.get("CP 001", 5) == record


def test_a_job_for_what_is_gone_does_nothing(reserve, stores):
    expire("CP 001", 4711)

    assert stores.events.last() == "0-0"


def test_a_timer_is_set_just_behind_the_expiry_and_moves_with_it(store_url, timers):
    for until_ms in (1_795_352_400_250, 1_795_356_000_250):
        jobs.wake_at_expiry(store_url, "CP 001", 5, until_ms)
    jobs.wake_at_expiry(store_url, "CP 001", 6, 1_795_352_400_250)

    found = {job.args[1]: (job, at) for job, at in timers()}
    assert set(found) == {5, 6}
    job, at = found[5]
    assert (job.func_name, list(job.args)) == ("workers.reservations.expire", ["CP 001", 5])
    assert at.astimezone(UTC) == datetime.fromtimestamp(1_795_356_001, UTC)


def test_the_timer_that_is_set_runs_the_job(reserve, stores, store_url, timers):
    record = reserve(now_ms() - 1)
    jobs.wake_at_expiry(store_url, "CP 001", 5, record.terms.expires_at_ms)

    [(job, _)] = timers()
    job.perform()

    assert stores.reservations.get("CP 001", 5) == replace(
        record, state=ReservationState.EXPIRED, changed_at_ms=record.terms.expires_at_ms
    )


def test_a_timer_that_cannot_be_set_is_no_failure(tmp_path, capsys):
    jobs.wake_at_expiry(f"unix://{tmp_path}/nobody", "CP 001", 5, 1_795_352_400_000)

    assert "job not asked for" in capsys.readouterr().out
