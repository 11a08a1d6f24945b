"""The prefork master, seen from outside: processes, signals, exit codes."""

import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0

HEAD = """
import os, signal, sys, time
from csms.transport import prefork

def say(*words):
    # One write: lines of several processes must not mix.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def serve(index):
    "Until SIGTERM."
    def leave(number, frame):
        say("term", index)
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    say("up", index, os.getpid())
    while True:
        signal.pause()
"""


class Master:
    def __init__(self, script: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *options, "-c", HEAD + textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT)},
            start_new_session=True,
            text=True,
        )
        # Ends a test that would wait forever for a line.
        self._watchdog = threading.Timer(2 * PATIENCE_S, self.kill_all)
        self._watchdog.start()

    def kill_all(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all have ended

    def end(self) -> None:
        self._watchdog.cancel()
        self.kill_all()
        self.process.communicate()

    def line(self) -> str:
        """The next line, without its end; "" when all processes have ended."""
        return self.process.stdout.readline().rstrip("\n")

    def children(self, count: int) -> dict[int, int]:
        """index: pid of as many children as come up."""
        found = {}
        while len(found) < count:
            match = re.fullmatch(r"up (\d+) (\d+)", self.line())
            assert match
            found[int(match[1])] = int(match[2])
        return found

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start() -> Iterator[Callable[..., Master]]:
    masters: list[Master] = []

    def start(*arguments: Any) -> Master:
        masters.append(Master(*arguments))
        return masters[-1]

    yield start
    for master in masters:
        master.end()


def wait_until_reaped(pid: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there")


RUN_TWO = "sys.exit(prefork.run(serve, 2))"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_every_child_and_the_master_ends_with_0(start, number):
    master = start(RUN_TWO)
    children = master.children(2)
    assert sorted(children) == [0, 1]

    master.process.send_signal(number)

    assert sorted([master.line(), master.line()]) == ["term 0", "term 1"]
    assert master.exit_code() == 0
    assert master.process.stderr.read() == ""


def test_ctrl_c_in_a_terminal_is_one_sigterm_for_each_child(start):
    """The terminal sends SIGINT to the whole process group, again when pressed again."""
    master = start(RUN_TWO)
    master.children(2)

    os.killpg(master.process.pid, signal.SIGINT)

    assert sorted([master.line(), master.line(), master.line()]) == ["", "term 0", "term 1"]
    assert master.exit_code() == 0


def test_a_second_signal_does_not_disturb_the_drain(start):
    master = start(
        """
        def child(index):
            terms = []
            def note(number, frame):
                terms.append(number)
                say("term")
            signal.signal(signal.SIGTERM, note)
            say("up", index, os.getpid())
            while not terms:
                time.sleep(0.01)
            time.sleep(0.5)
            say("drained")
        sys.exit(prefork.run(child, 1))
        """
    )
    master.children(1)

    master.process.terminate()
    assert master.line() == "term"
    master.process.terminate()
    master.process.send_signal(signal.SIGINT)

    assert [master.line(), master.line()] == ["drained", ""]
    assert master.exit_code() == 0


def test_a_child_that_is_killed_is_replaced(start):
    master = start(RUN_TWO)
    children = master.children(2)

    os.kill(children[1], signal.SIGKILL)

    replaced = master.children(1)
    assert list(replaced) == [1]
    assert replaced[1] != children[1]
    master.process.terminate()
    assert master.exit_code() == 0


def test_a_child_that_keeps_dying_is_restarted_ever_more_slowly(start):
    master = start(
        """
        def die(index):
            say("born", time.monotonic())
            os._exit(3)
        sys.exit(prefork.run(die, 1))
        """
    )
    born = [float(master.line().split()[1]) for _ in range(4)]
    pauses = [later - earlier for earlier, later in itertools.pairwise(born)]

    # The pauses are at least as long as promised, however slow the machine.
    assert pauses[0] >= 0.19
    assert pauses[1] >= 0.39
    assert pauses[2] >= 0.79


def test_a_child_with_a_wrong_configuration_stops_the_master_with_78(start):
    master = start(
        """
        def child(index):
            if index == 1:
                sys.exit(prefork.CONFIGURATION_ERROR)
            serve(index)
        sys.exit(prefork.run(child, 2))
        """
    )

    assert master.exit_code() == 78


def test_a_child_that_fails_prints_its_traceback_and_never_runs_the_masters_code(start):
    master = start(
        """
        def child(index):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            say("up", index, os.getpid())
            raise RuntimeError("our bug")
        code = prefork.run(child, 1)
        say("master ended")
        sys.exit(code)
        """
    )
    master.children(1)
    master.children(1)

    master.process.terminate()

    assert master.exit_code() in (0, 1)  # 1: the signal came while one was failing
    assert "RuntimeError: our bug" in master.process.stderr.read()
    assert master.process.stdout.read().count("master ended") == 1


def test_a_child_that_fails_to_drain_makes_the_exit_code_1(start):
    master = start(
        """
        def child(index):
            signal.signal(signal.SIGTERM, lambda number, frame: os._exit(5))
            say("up", index, os.getpid())
            while True:
                signal.pause()
        sys.exit(prefork.run(child, 1))
        """
    )
    master.children(1)

    master.process.terminate()

    assert master.exit_code() == 1


def test_a_child_that_does_not_stop_is_killed(start):
    master = start(
        """
        prefork.STOP_DEADLINE_S = 0.5
        def child(index):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("up", index, os.getpid())
            while True:
                signal.pause()
        sys.exit(prefork.run(child, 1))
        """
    )
    master.children(1)

    master.process.terminate()

    assert master.exit_code() == 1
    assert "killed" in master.process.stderr.read()


def test_the_children_of_a_killed_master_drain(start):
    master = start(RUN_TWO)
    master.children(2)

    master.process.kill()

    assert sorted([master.line(), master.line()]) == ["term 0", "term 1"]
    assert master.line() == ""


def test_it_works_where_gevent_has_patched_the_process_and_children_run_greenlets(start):
    master = start(
        """
        import gevent
        def child(index):
            stopped = []
            gevent.signal_handler(signal.SIGTERM, stopped.append, True)
            time.sleep(0.01)
            say("up", index, os.getpid())
            while not stopped:
                gevent.sleep(0.02)
            say("term", index)
        from gevent import monkey
        assert monkey.is_module_patched("os")
        sys.exit(prefork.run(child, 2))
        """,
        "-c",
        "from gevent import monkey; monkey.patch_all(); import sys; exec(sys.argv.pop(2))",
    )
    children = master.children(2)

    os.kill(children[0], signal.SIGKILL)
    master.children(1)
    master.process.terminate()

    assert sorted([master.line(), master.line()]) == ["term 0", "term 1"]
    assert master.exit_code() == 0


def test_the_order_to_stop_is_obeyed_while_a_child_waits_for_its_restart(start):
    master = start(
        """
        prefork.FIRST_PAUSE_S = prefork.LONGEST_PAUSE_S = 1000
        def die(index):
            say("up", index, os.getpid())
            os._exit(3)
        sys.exit(prefork.run(die, 1))
        """
    )
    wait_until_reaped(master.children(1)[0])

    master.process.terminate()

    assert master.exit_code() == 0
