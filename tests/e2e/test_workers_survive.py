"""Workers that are killed, jobs that kill, and everybody away for a while: what is due is done."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rq import Queue
from system import Api, System, eventually
from worker_processes import QUICK, Workers, kill_session

from csms import jobs
from csms.domain.command import CommandState
from csms.job_lists import JobLists
from csms.jobs import Wanted, ask
from csms.state.embedded import EmbeddedStore
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores
from workers.housekeeping import DUTIES

pytestmark = pytest.mark.e2e

START_S = 15.0


@pytest.fixture
def lists(own_system: System) -> JobLists:
    return JobLists(jobs.connect(own_system.store.url))


@pytest.fixture
def errand(own_system: System, tmp_path: Path) -> Callable[..., None]:
    """Asks for a job of errands.py."""
    connection = jobs.connect(own_system.store.url)

    def ask_for(name: str, function: str, *more: int, timeout_s: int = 60) -> None:
        wanted = Wanted(
            jobs.DEFAULT,
            f"errands.{function}",
            (str(tmp_path), name, *more),
            name,
            timeout_s,
            retry_after_s=(1, 1),
        )
        assert ask(connection, wanted)

    return ask_for


def marks(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern))


def failures(lists: JobLists) -> dict[str, str]:
    return {job.job_id: job.failure for job in lists.failed(None, 100).items}


def test_poison_is_tried_three_times_and_others_go_on(
    workers: Workers,
    lists: JobLists,
    errand: Callable[..., None],
    tmp_path: Path,
    own_system: System,
) -> None:
    """C30: an exception, a process that dies and one that never ends; and what is no JSON."""
    connection = jobs.connect(own_system.store.url)
    Queue(jobs.DEFAULT, connection=connection).enqueue(
        "errands.leave_a_mark", str(tmp_path), "pickled", job_id="pickled"
    )
    made = (str(tmp_path / "made"),)
    ask(connection, Wanted(jobs.DEFAULT, "os.mkdir", made, "foreign", 5, retry_after_s=(1, 1)))
    errand("raises", "fail")
    errand("exits", "exit_at_once")
    errand("hangs", "run_for_ever", timeout_s=1)
    errand("good", "leave_a_mark")
    workers.errand(*QUICK)

    eventually(lambda: marks(tmp_path, "good-1.done"), "the good job is done", START_S)
    poison = {"raises", "exits", "hangs", "pickled", "foreign"}
    found = eventually(
        lambda: (f := failures(lists)).keys() >= poison and f, "all poison has failed"
    )

    for name in ("raises", "exits", "hangs"):
        assert len(marks(tmp_path, f"{name}-*.begun")) == 3, name
    assert found["raises"] == "ValueError: see redis://someone:****@store.example/0"
    assert found["exits"].startswith("Work-horse terminated unexpectedly")
    assert found["hangs"].startswith("rq.timeouts.JobTimeoutException")
    assert found["pickled"] == "rq.exceptions.DeserializationError"
    assert found["foreign"] == "workers.worker.RefusedJob: os.mkdir is no job of ours"
    assert marks(tmp_path, "pickled*") == []
    assert not (tmp_path / "made").exists()

    lists.retry("raises")
    eventually(lambda: len(marks(tmp_path, "raises-*.begun")) == 4, "it is tried again")


def begun(tmp_path: Path, times: int) -> int:
    """The process of the job, once it has begun so often."""
    found = eventually(
        lambda: (m := marks(tmp_path, f"job-{times}.begun")) and m[0].read_text(),
        f"the job has begun {times} times",
        90.0,
        0.05,
    )
    return int(found)


def test_the_process_of_a_job_that_is_killed_leaves_it_to_the_next_try(
    workers: Workers, errand: Callable[..., None], tmp_path: Path
) -> None:
    workers.errand(*QUICK)
    errand("job", "leave_a_mark", 3)

    os.kill(begun(tmp_path, 1), signal.SIGKILL)

    begun(tmp_path, 2)
    eventually(lambda: marks(tmp_path, "job-2.done"), "the second try has ended")
    assert len(marks(tmp_path, "*.begun")) == 2


def test_a_job_whose_worker_alone_was_killed_ends_and_is_not_run_again(
    workers: Workers, lists: JobLists, errand: Callable[..., None], tmp_path: Path
) -> None:
    """C29, for a job that is shorter than the time after which it is thought abandoned."""
    worker = workers.errand(*QUICK)
    errand("job", "leave_a_mark", 2)
    begun(tmp_path, 1)

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(10)
    workers.errand(*QUICK)

    eventually(lambda: marks(tmp_path, "job-1.done"), "the job has ended without its worker")
    errand("after", "leave_a_mark")
    eventually(lambda: marks(tmp_path, "after-1.done"), "the other worker works", 30.0)
    time.sleep(float(QUICK[3]) + 2)  # nothing is to come: the time itself is what is tested
    assert len(marks(tmp_path, "job-*.begun")) == 1
    assert lists.counts()["default", "started"] == 0


def test_the_job_of_a_killed_worker_runs_again_within_90_s(
    workers: Workers, errand: Callable[..., None], tmp_path: Path
) -> None:
    """C28, with the pace of `python -m workers`; the killed one had the scheduler, too."""
    first = workers.errand()
    errand("job", "leave_a_mark", 600, timeout_s=900)
    begun(tmp_path, 1)
    workers.errand()

    kill_session(first)
    killed_at = time.monotonic()
    begun(tmp_path, 2)

    took_s = time.monotonic() - killed_at
    print(f"the job ran again after {took_s:.1f} s")
    assert took_s <= 90


# -- everybody away


@pytest.fixture
def stores(own_system: System) -> Iterator[Stores]:
    link = SyncLink(own_system.store.url)
    yield Stores.behind(link, 10)
    link.close()


def all_done(stores: Stores) -> bool:
    """Whether each duty of the housekeeping has been done."""
    return bool(stores.link.call("ZCARD", "csms:duties") == len(DUTIES))


def queue_a_command(api: Api) -> str:
    """One that nobody will deliver, due in two seconds."""
    body = {"action": "ClearCache", "payload": {}, "deadline_s": 2}
    queued = api.ok("POST", "/api/v1/charge-points/CP001/commands", body)
    return str(queued["id"])


@pytest.mark.parametrize("who", ["worker", "web"])
def test_what_fell_due_while_everybody_was_away_is_done_by_who_returns_first_once(
    own_system: System, workers: Workers, stores: Stores, who: str
) -> None:
    web = own_system.start_web()
    api = Api(web.port)
    api.create_charge_point("CP001")
    command_id = queue_a_command(api)
    web.stop()
    due_at_ms = stores.commands.get(command_id).deadline_at_ms
    eventually(lambda: time.time() * 1000 > due_at_ms + 500, "it is due")
    assert stores.commands.get(command_id).state is CommandState.QUEUED

    if who == "worker":
        workers.real()
    else:
        own_system.start_web()
    returned_at = time.monotonic()

    def ended() -> bool:
        return stores.commands.get(command_id).state is CommandState.UNDELIVERABLE

    eventually(ended, "the command has its end", START_S)
    print(f"{who}: {time.monotonic() - returned_at:.1f} s after its start")
    end = stores.commands.get(command_id)

    workers.real()
    if who == "worker":
        own_system.start_web()
    eventually(lambda: all_done(stores), "the others are back")
    assert stores.commands.get(command_id) == end
    assert stores.commands.due(end.deadline_at_ms + 10**9, 10) == []


def test_the_jobs_may_lie_on_a_server_of_their_own_which_may_be_gone(
    own_system: System, workers: Workers, stores: Stores, tmp_path: Path
) -> None:
    with EmbeddedStore(tmp_path / "jobs") as other:
        web = own_system.start_web(RQ_REDIS_URL=other.url)
        api = Api(web.port)
        api.create_charge_point("CP001")
        workers.real(RQ_REDIS_URL=other.url)
        eventually(lambda: api.ok("GET", "/api/v1/jobs")["workers"], "the worker is seen")
        eventually(lambda: all_done(stores), "the duties are done")
        assert stores.link.call("EXISTS", "rq:queues") == 0

        other.stop()
        assert api("GET", "/api/v1/jobs").status == 503
        command_id = queue_a_command(api)
        eventually(
            lambda: stores.commands.get(command_id).state is CommandState.UNDELIVERABLE,
            "the web process sweeps without it",
            START_S,
        )
        assert "csms_store_up 1.0" in api.ok("GET", "/metrics")

        stores.link.call("DEL", "csms:duties")
        other.start()
        eventually(
            lambda: all_done(stores),
            "the worker has found its server again",
            90.0,
        )


def test_a_worker_outlives_the_store(workers: Workers, own_system: System, lists: JobLists) -> None:
    """Also one that is away just as the worker starts: a runner of all processes would end them
    with the first."""
    own_system.store.stop()
    worker = workers.real()
    log = workers.logs[-1]
    eventually(lambda: "the store does not answer" in log.read_text(), "it was tried", START_S)
    own_system.store.start()
    eventually(lambda: len(lists.workers()) == 1, "the worker works", START_S)

    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(START_S) == 0


def test_a_worker_that_waits_for_the_store_ends_when_it_is_told_to(
    workers: Workers, own_system: System
) -> None:
    own_system.store.stop()
    worker = workers.real()
    log = workers.logs[-1]
    eventually(lambda: "the store does not answer" in log.read_text(), "it was tried", START_S)

    worker.terminate()

    worker.wait(START_S)
    own_system.store.start()
