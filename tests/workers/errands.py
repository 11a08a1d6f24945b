"""Jobs of the tests: good ones, and some that no worker survives."""

import os
import time
from pathlib import Path


def leave_a_mark(directory, name, sleep_s=0):
    """One file each time it runs, and another when it has come to its end."""
    runs = Path(directory)
    number = len(list(runs.glob(f"{name}-*.begun"))) + 1
    (runs / f"{name}-{number}.begun").write_text(str(os.getpid()))
    time.sleep(sleep_s)
    (runs / f"{name}-{number}.done").touch()


def fail(directory, name):
    leave_a_mark(directory, name)
    raise ValueError("see redis://someone:secret@store.example/0")


def exit_at_once(directory, name):
    leave_a_mark(directory, name)
    os._exit(7)


def run_for_ever(directory, name):
    leave_a_mark(directory, name)
    while True:
        pass
