"""Jobs are counted, failed ones are told of, and a server that is gone is said so."""

import pytest
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from csms import job_lists, jobs
from csms.clock import now_ms
from csms.errors import NotFound, StoreUnavailable
from csms.job_lists import JobLists, trim_failed
from csms.jobs import Wanted, ask
from workers.worker import CsmsWorker, Pace


@pytest.fixture
def connection(store_url, stores):
    connection = jobs.connect(store_url)
    yield connection
    connection.close()


@pytest.fixture
def lists(connection):
    return JobLists(connection)


def fail(connection, tmp_path, *names, queue=jobs.DEFAULT):
    """Jobs that fail, once and for good."""
    for name in names:
        arguments = (str(tmp_path), name)
        ask(connection, Wanted(queue, "errands.fail", arguments, name, 5, retry_after_s=(0,)))
        worker = SimpleWorker(
            [jobs.queue(queue, connection)], connection=connection, serializer=JSONSerializer
        )
        worker.work(burst=True, logging_level="CRITICAL")


def test_jobs_are_counted_by_queue_and_state(connection, lists, tmp_path, store_url):
    for _ in range(2):
        jobs.enqueue_duty(store_url, "packing")
    jobs.wake_campaign_at(store_url, "0123", "firmware", now_ms() + 60_000)
    fail(connection, tmp_path, "one", queue=jobs.DIAGNOSTICS)

    found = lists.counts()

    assert {place: count for place, count in found.items() if count} == {
        ("default", "queued"): 1,
        ("firmware", "scheduled"): 1,
        ("diagnostics", "failed"): 1,
    }
    assert {queue for queue, _ in found} == set(jobs.QUEUES)


def test_a_failed_job_tells_what_it_was_and_why_it_failed(connection, lists, tmp_path):
    fail(connection, tmp_path, "one")

    [job] = lists.failed(None, 10).items

    assert (job.job_id, job.queue, job.function) == ("one", "default", "errands.fail")
    assert job.arguments == f'["{tmp_path}","one"]'
    assert job.failure == "ValueError: see redis://someone:****@store.example/0"
    assert abs(job.failed_at_ms - now_ms()) < 60_000


def test_failed_jobs_of_all_queues_come_in_pages_newest_first(connection, lists, tmp_path):
    for number, queue in enumerate([jobs.DEFAULT, jobs.TIMERS, jobs.DEFAULT]):
        fail(connection, tmp_path, f"job-{number}", queue=queue)
        key = jobs.queue(queue, connection).failed_job_registry.key
        connection.zincrby(key, number, f"job-{number}")

    first = lists.failed(None, 2)
    second = lists.failed(first.next_cursor, 2)

    assert [job.job_id for job in first.items] == ["job-2", "job-1"]
    assert [job.job_id for job in second.items] == ["job-0"]
    assert second.next_cursor is None


def test_a_job_that_is_tried_again_is_tried_as_often_as_a_new_one(connection, lists, tmp_path):
    fail(connection, tmp_path, "one")

    lists.retry("one")

    assert lists.counts()["default", "queued"] == 1
    assert lists.counts()["default", "failed"] == 0
    job = Job.fetch("one", connection=connection, serializer=JSONSerializer)
    assert (job.retries_left, job.retry_intervals) == (2, [5, 30])
    with pytest.raises(NotFound):
        lists.retry("one")


def test_a_failed_job_can_be_forgotten(connection, lists, tmp_path):
    fail(connection, tmp_path, "one")

    lists.delete("one")

    assert lists.failed(None, 10).items == []
    assert not Job.exists("one", connection=connection)
    with pytest.raises(NotFound):
        lists.delete("one")


def test_only_so_many_failed_jobs_are_kept(connection, lists, tmp_path, monkeypatch):
    monkeypatch.setattr(job_lists, "FAILED_KEPT", 2)
    for number in range(4):
        fail(connection, tmp_path, f"job-{number}")
        key = jobs.queue(jobs.DEFAULT, connection).failed_job_registry.key
        connection.zincrby(key, number, f"job-{number}")

    trim_failed(connection)

    assert [job.job_id for job in lists.failed(None, 10).items] == ["job-3", "job-2"]
    assert not Job.exists("job-0", connection=connection)


def test_what_is_no_json_is_listed_as_what_nobody_can_read(connection, lists):
    Queue("default", connection=connection).enqueue("os.getcwd", job_id="pickled")
    worker = SimpleWorker(
        [jobs.queue(jobs.DEFAULT, connection)], connection=connection, serializer=JSONSerializer
    )
    worker.work(burst=True, logging_level="CRITICAL")

    [failed] = lists.failed(None, 10).items

    assert (failed.job_id, failed.function, failed.arguments) == ("pickled", "", "")
    assert failed.failure == "rq.exceptions.DeserializationError"
    lists.delete("pickled")
    assert lists.failed(None, 10).items == []


def test_what_can_not_be_read_at_all_is_not_listed(connection, lists, tmp_path):
    fail(connection, tmp_path, "one", "two")
    connection.hset(Job.key_for("two"), "created_at", "yesterday")
    connection.zadd("rq:failed:default", {b"\xff": 9e9})

    assert [job.job_id for job in lists.failed(None, 10).items] == ["one"]
    with pytest.raises(NotFound):
        lists.retry("two")


@pytest.mark.parametrize("field", ["created_at", "timeout", "status"])
def test_a_job_that_can_not_be_read_ends_no_worker(connection, store_url, field):
    class Here(SimpleWorker, CsmsWorker):
        """Without a process for each job."""

    connection.rpush("rq:queue:timers", b"\xff", "odd")
    connection.hset(Job.key_for("odd"), mapping={"data": "x", "origin": "timers", field: "odd"})
    worker = Here(
        [jobs.queue(jobs.TIMERS, connection)], connection=connection, serializer=JSONSerializer
    )
    worker.url, worker.pace = store_url, Pace()

    job, _ = worker.dequeue_job_and_maintain_ttl(None)

    assert job.id == "sweep"  # its own, behind them


def test_a_worker_is_seen_while_it_says_that_it_lives(connection, lists):
    worker = SimpleWorker(
        [jobs.queue(jobs.DEFAULT, connection)], connection=connection, serializer=JSONSerializer
    )
    assert lists.workers() == []
    worker.register_birth()
    worker.heartbeat()

    [seen] = lists.workers()
    at_ms = seen.last_heartbeat_ms

    assert (seen.name, seen.job) == (worker.name, "")
    assert seen.is_alive(at_ms + 59_999)
    assert not seen.is_alive(at_ms + 60_000)
    worker.register_death()
    assert lists.workers() == []


@pytest.mark.parametrize(
    "look",
    [
        JobLists.counts,
        JobLists.workers,
        lambda lists: lists.failed(None, 10),
        lambda lists: lists.retry("one"),
        lambda lists: lists.delete("one"),
    ],
)
def test_a_server_that_does_not_answer_is_said_so(tmp_path, look):
    connection = jobs.connect(f"unix://{tmp_path}/nobody")

    with pytest.raises(StoreUnavailable):
        look(JobLists(connection))
