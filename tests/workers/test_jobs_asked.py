"""A job stands there once, however often it is asked for; what became of it before decides."""

import socket
import time
from datetime import timedelta

import pytest
from rq import SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from csms import jobs
from csms.clock import now_ms
from csms.jobs import Wanted, ask

DAY_MS = 86_400_000


@pytest.fixture
def connection(store_url, stores):
    connection = jobs.connect(store_url)
    yield connection
    connection.close()


def errand(tmp_path, function="leave_a_mark", **more):
    arguments = (str(tmp_path), "it")
    return Wanted(jobs.DEFAULT, f"errands.{function}", arguments, "errand", 5, **more)


def work(connection):
    """Everything that waits is done."""
    queues = [jobs.queue(jobs.DEFAULT, connection)]
    worker = SimpleWorker(
        queues, connection=connection, serializer=JSONSerializer, job_class=jobs.SteadyJob
    )
    worker.work(burst=True, logging_level="CRITICAL")


def fetch(connection, job_id="errand"):
    return Job.fetch(job_id, connection=connection, serializer=JSONSerializer)


def runs(tmp_path):
    return len(list(tmp_path.glob("*.begun")))


def test_one_that_waits_is_not_asked_for_twice(connection, tmp_path):
    asked = [ask(connection, errand(tmp_path)) for _ in range(3)]
    work(connection)

    assert asked == [True, False, False]
    assert runs(tmp_path) == 1


def test_one_that_has_ended_well_is_in_nobodys_way(connection, tmp_path):
    for _ in range(2):
        assert ask(connection, errand(tmp_path))
        work(connection)

    assert runs(tmp_path) == 2


def test_one_that_runs_is_not_asked_for_again(connection, tmp_path):
    ask(connection, errand(tmp_path))
    worker = SimpleWorker(
        [jobs.queue(jobs.DEFAULT, connection)], connection=connection, serializer=JSONSerializer
    )
    job, queue = worker.dequeue_job_and_maintain_ttl(None)
    worker.prepare_execution(job)
    worker.prepare_job_execution(job)

    asked = ask(connection, errand(tmp_path))

    assert fetch(connection).is_started
    assert not asked
    assert queue.count == 0


def fail_for_good(connection, tmp_path, **more):
    ask(connection, errand(tmp_path, "fail", retry_after_s=(0,), **more))
    work(connection)
    assert fetch(connection).is_failed


def test_one_that_failed_for_good_is_left_to_a_person(connection, tmp_path):
    fail_for_good(connection, tmp_path)

    assert not ask(connection, errand(tmp_path))
    assert fetch(connection).is_failed


def test_what_recurs_is_begun_anew_a_while_after_it_failed(connection, tmp_path):
    patient = timedelta(hours=1)
    fail_for_good(connection, tmp_path, again_after=patient)
    assert not ask(connection, errand(tmp_path, again_after=patient))

    assert ask(connection, errand(tmp_path, again_after=timedelta(0)))

    assert fetch(connection).is_queued
    assert jobs.queue(jobs.DEFAULT, connection).failed_job_registry.count == 0


def test_one_that_waits_to_be_tried_again_is_let_wait(connection, tmp_path):
    ask(connection, errand(tmp_path, "fail", retry_after_s=(60, 60)))
    work(connection)
    assert fetch(connection).is_scheduled

    assert not ask(connection, errand(tmp_path, retry_after_s=(60, 60)))
    assert fetch(connection).is_scheduled


def due_at_ms(connection):
    registry = jobs.queue(jobs.DEFAULT, connection).scheduled_job_registry
    return connection.zscore(registry.key, "errand") * 1000


def test_a_timer_is_brought_forward_and_not_put_off(connection, tmp_path):
    later_ms = now_ms() + DAY_MS
    for at_ms in (later_ms, later_ms + DAY_MS, later_ms - DAY_MS // 2):
        ask(connection, errand(tmp_path), at_ms)

    assert abs(due_at_ms(connection) - (later_ms - DAY_MS // 2)) <= 1000
    assert ask(connection, errand(tmp_path))  # at once
    assert not ask(connection, errand(tmp_path), later_ms)
    work(connection)
    assert runs(tmp_path) == 1


def test_a_timer_that_moves_is_put_off_too(connection, tmp_path):
    later_ms = now_ms() + DAY_MS
    for at_ms in (later_ms, later_ms + DAY_MS):
        assert ask(connection, errand(tmp_path), at_ms, moves=True)

    assert abs(due_at_ms(connection) - later_ms - DAY_MS) <= 1000


def test_one_that_a_killed_worker_lost_is_asked_for_again(connection, tmp_path, monkeypatch):
    """Taken out of its queue, and the worker killed before it said that it runs it."""
    ask(connection, errand(tmp_path))
    connection.lpop(jobs.queue(jobs.DEFAULT, connection).key)
    assert not ask(connection, errand(tmp_path))  # it may be on its way yet
    assert not ask(connection, errand(tmp_path))

    monkeypatch.setattr(jobs, "LOST_AFTER_MS", 20)
    time.sleep(0.03)
    assert ask(connection, errand(tmp_path))
    work(connection)
    assert runs(tmp_path) == 1


def test_one_that_was_only_on_its_way_is_not_lost(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "LOST_AFTER_MS", 0)
    queue = jobs.queue(jobs.DEFAULT, connection)
    ask(connection, errand(tmp_path))
    connection.lpop(queue.key)
    ask(connection, errand(tmp_path))

    connection.rpush(queue.key, "errand")

    assert not ask(connection, errand(tmp_path))
    connection.lpop(queue.key)
    assert not ask(connection, errand(tmp_path))  # one look is none


def cut_off(connection):
    """What is left of a job when its worker was killed, and its last sign of life is too old."""
    worker = SimpleWorker(
        [jobs.queue(jobs.DEFAULT, connection)], connection=connection, serializer=JSONSerializer
    )
    job, queue = worker.dequeue_job_and_maintain_ttl(None)
    worker.prepare_execution(job)
    worker.prepare_job_execution(job)
    connection.delete(worker.execution.key, queue.started_job_registry.key)
    assert connection.exists(job.execution_registry.key)


def test_one_whose_worker_was_killed_is_run_again_and_has_ended_well(connection, tmp_path):
    ask(connection, errand(tmp_path))
    cut_off(connection)

    connection.rpush(jobs.queue(jobs.DEFAULT, connection).key, "errand")
    work(connection)

    assert runs(tmp_path) == 1
    assert connection.keys("rq:job:*") == []


def test_one_that_was_lost_with_its_worker_makes_way(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "LOST_AFTER_MS", 0)
    ask(connection, errand(tmp_path))
    cut_off(connection)

    assert [ask(connection, errand(tmp_path)) for _ in range(2)] == [False, True]
    work(connection)
    assert runs(tmp_path) == 1


def test_the_stump_of_a_job_is_in_nobodys_way(connection, tmp_path):
    """rq #1450: a sign of life that came after the job was gone."""
    connection.hset("rq:job:errand", "last_heartbeat", "2026-11-22T12:00:00Z")

    assert ask(connection, errand(tmp_path))
    work(connection)
    assert runs(tmp_path) == 1


@pytest.mark.parametrize(
    ("kind", "queue"),
    [("firmware", "firmware"), ("logs", "diagnostics"), ("reset", "default")],
)
def test_a_campaign_is_woken_in_the_queue_of_its_kind(connection, store_url, kind, queue):
    jobs.wake_campaign_at(store_url, "0123", kind, now_ms() + DAY_MS)
    for _ in range(2):
        jobs.wake_campaign(store_url, "0123", kind)
    jobs.wake_campaign_at(store_url, "0123", kind, now_ms() + DAY_MS)

    assert jobs.queue(queue, connection).job_ids == ["campaign-0123"]
    job = fetch(connection, "campaign-0123")
    assert (job.func_name, job.args) == ("workers.campaigns.advance", ["0123"])
    assert (job.retries_left, job.retry_intervals) == (2, [0, 30])
    assert jobs.queue(queue, connection).scheduled_job_registry.count == 0


def test_what_asks_for_a_job_never_fails(tmp_path, capsys):
    for number, ask_for in enumerate(
        [
            lambda url: jobs.wake_campaign(url, "0123", "reset"),
            lambda url: jobs.wake_campaign_at(url, "0123", "reset", now_ms()),
            jobs.enqueue_sweep,
            lambda url: jobs.enqueue_duty(url, "packing"),
        ]
    ):
        ask_for(f"unix://{tmp_path}/nobody-{number}")

        assert "job not asked for" in capsys.readouterr().out


def test_a_server_that_hangs_is_waited_for_once_and_asked_again_later(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        monkeypatch.setattr(jobs, "LINK_TIMEOUT_S", 0.2)
        url = f"unix://{tmp_path}/mute"

        def ask_and_measure():
            begun_at = time.monotonic()
            jobs.wake_campaign(url, "0123", "reset")
            return time.monotonic() - begun_at

        first, second = ask_and_measure(), ask_and_measure()
        monkeypatch.setattr(jobs._server(url), "left_alone_until", 0.0)
        third = ask_and_measure()

        assert second < 0.1
        assert min(first, third) >= 0.2
        jobs._server(url).connection.close()
