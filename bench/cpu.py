"""CPU time of processes and their children, from /proc (Linux)."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    cpu_s: float


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of user and system time so far, of the processes and all that descend from them.

    Children that have ended are in it too: the kernel adds their time to the parent that reaped
    them, such as the store's rewrite of its append-only file.
    """
    counted = set(pids)
    processes = {process.pid: process for process in _processes()}
    if missing := counted - processes.keys():
        raise ProcessLookupError(f"no process {sorted(missing)}")
    before = 0
    while before != len(counted):
        before = len(counted)
        counted |= {process.pid for process in processes.values() if process.parent in counted}
    return sum(processes[pid].cpu_s for pid in counted)


def _processes() -> Iterator[_Process]:
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        try:
            text = (directory / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        # The name, in parentheses, may hold spaces and parentheses of its own.
        fields = text.rpartition(")")[2].split()
        # utime, stime, and the same of reaped children: proc(5), fields 14 to 17.
        ticks = sum(int(field) for field in fields[11:15])
        yield _Process(int(directory.name), int(fields[1]), ticks / _TICKS_PER_S)
