"""Where no web process is alive, workers do what is due; and the housekeeping is theirs."""

import pytest
from cast import CP001, HOUR_MS, PEPPER, SECOND_MS

from csms import clock, jobs
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.sealing import Sealer
from csms.commands.sweeper import LEASE_MS
from csms.domain.command import CommandState
from csms.job_lists import JobLists
from csms.storage.directory import DirectoryStorage
from workers import housekeeping, timers
from workers.housekeeping import DUTIES, Duty
from workers.parts import open_parts

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def counts(store_url):
    connection = jobs.connect(store_url)
    yield JobLists(connection).counts
    connection.close()


@pytest.fixture
def overdue(stores):
    """A command that waits in vain."""
    stores.charge_points.create(CP001)
    desk = CommandDesk(stores, Sealer(PEPPER), 60, BEFORE_QUEUEING, ())
    request = CommandRequest("CP001", "ClearCache", {}, requested_by="operator", deadline_s=60)
    return desk.queue(request, clock.now_ms() - HOUR_MS)


def test_what_is_due_is_done_without_any_web_process(stores, overdue):
    timers.sweep()

    assert stores.commands.get(overdue.command_id).state is CommandState.UNDELIVERABLE
    assert stores.events.last() != "0-0"  # the page hears of it
    assert stores.presences.take_sweeper_lease("a web process", LEASE_MS)


def test_a_web_process_that_sweeps_is_let_do_it(stores, overdue):
    stores.presences.take_sweeper_lease("a web process", LEASE_MS)

    timers.sweep()

    assert stores.commands.get(overdue.command_id).state is CommandState.QUEUED


def test_each_duty_that_is_due_is_asked_for_once(stores, counts):
    for _ in range(2):
        timers.sweep()
    assert counts()["default", "queued"] == len(DUTIES)

    stores.link.call("FLUSHDB")
    for name in DUTIES:
        housekeeping.run(name)
    timers.sweep()
    assert counts()["default", "queued"] == 0


class Counted:
    """A duty that is done by as many steps as it has answers."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.steps = 0

    def __call__(self, parts):
        self.steps += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def do(environment):
    """Does a duty with the steps given, every minute."""

    def do(step, times=1):
        environment.setattr(housekeeping, "DUTIES", {"test": Duty(60, step)})
        environment.setattr(housekeeping, "PERIODS_MS", {"test": 60_000})
        for _ in range(times):
            housekeeping.run("test")

    return do


def due_in_s(stores):
    return (float(stores.link.call("ZSCORE", "csms:duties", "test")) - clock.now_ms()) / SECOND_MS


def test_a_duty_goes_on_while_there_is_more_and_is_not_done_twice(stores, do):
    step = Counted(True, True, False)

    do(step, times=3)

    assert step.steps == 3
    assert 50 < due_in_s(stores) <= 60


def test_a_duty_that_has_more_than_its_time_goes_on_with_the_next_job(stores, do, environment):
    environment.setattr(housekeeping, "BUDGET_S", 0.0)
    step = Counted(True, True)

    do(step, times=2)

    assert step.steps == 2
    assert due_in_s(stores) <= 0


def test_a_duty_that_fails_is_due_when_it_is_tried_again(stores, do):
    step = Counted(ZeroDivisionError(), False)

    with pytest.raises(ZeroDivisionError):
        do(step)
    do(step)

    assert step.steps == 2


def test_files_that_no_record_has_are_deleted(stores, environment, tmp_path):
    environment.setenv("FILES_DIRECTORY", str(tmp_path))
    storage = DirectoryStorage(tmp_path)
    storage.create("a" * 32).commit()
    stores.unclaimed_files.note("a" * 32, 0)

    housekeeping.run("files")

    assert list(tmp_path.iterdir()) == []
    assert stores.unclaimed_files.older_than(clock.now_ms(), 10) == []


def test_a_storage_that_fails_puts_that_off(stores, environment, tmp_path, capsys):
    (tmp_path / "files").write_text("no directory")
    environment.setenv("FILES_DIRECTORY", str(tmp_path / "files"))
    stores.unclaimed_files.note("a" * 32, 0)

    housekeeping.run("files")

    assert "file not deleted" in capsys.readouterr().out
    assert stores.unclaimed_files.older_than(clock.now_ms(), 10) == ["a" * 32]


def test_a_store_that_does_not_answer_only_puts_a_job_off(environment, capsys):
    environment.setenv("REDIS_URL", "redis://127.0.0.1:1/0")

    timers.sweep()
    housekeeping.run("repair")

    assert capsys.readouterr().out.count("job put off") == 2


def test_what_a_job_changed_is_told_even_if_it_fails(stores):
    with pytest.raises(ZeroDivisionError), open_parts() as parts:
        parts.stores.changed.add("CP001")
        raise ZeroDivisionError

    assert stores.events.last() != "0-0"


def test_a_job_is_given_what_continues_a_story(stores, overdue):
    with open_parts() as parts:
        sequel = parts.sequel()

    assert sequel.desk is parts.desk
    assert sequel.settings.credential_pepper == PEPPER
