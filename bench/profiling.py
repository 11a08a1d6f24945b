"""Where the server's CPU time goes: takes a profile through bench/inject, and sums it up."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.load import LoadFailed
from bench.servers import ROOT

INJECT = ROOT / "bench" / "inject"
WRITTEN_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """A module or function; own: its share of all samples as the innermost Python code (C
    functions it calls included), total: as part of the stack."""

    name: str
    own: float
    total: float


@dataclass(frozen=True, slots=True)
class Profile:
    samples: int
    modules: tuple[Place, ...]
    functions: tuple[Place, ...]
    lines: tuple[Place, ...]


def environ(directory: Path) -> dict[str, str]:
    """What a process must be started with to be profiled."""
    return {"BENCH_PROFILE": str(directory), "PYTHONPATH": str(INJECT)}


def begin(pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)


def end(pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGUSR2)


def read(pids: Iterable[int], directory: Path) -> Profile:
    """What they write after end(). Raises LoadFailed when one of them does not."""
    wanted = [directory / f"{pid}.json" for pid in pids]
    deadline_s = time.monotonic() + WRITTEN_DEADLINE_S
    while not all(path.exists() for path in wanted):
        if time.monotonic() > deadline_s:
            raise LoadFailed("the profile was not written")
        time.sleep(0.05)
    return summed([sample for path in wanted for sample in json.loads(path.read_text())])


def summed(samples: Iterable[dict[str, object]]) -> Profile:
    """samples: `stack`, innermost first, of file, function and line parted by tabs; `count`."""
    modules, functions, lines = _Tally(), _Tally(), _Tally()
    total = 0
    for sample in samples:
        stack, count = sample["stack"], sample["count"]
        assert isinstance(stack, list)
        assert isinstance(count, int)
        total += count
        places = [_place(entry) for entry in stack]
        modules.add([module for module, _, _ in places], count)
        functions.add([f"{module}: {function}" for module, function, _ in places], count)
        module, function, line = places[0]
        lines.add([f"{module}:{line} {function}"], count)
    return Profile(total, modules.places(total), functions.places(total), lines.places(total))


class _Tally:
    def __init__(self) -> None:
        self._own: Counter[str] = Counter()
        self._total: Counter[str] = Counter()

    def add(self, names: list[str], count: int) -> None:
        self._own[names[0]] += count
        for name in set(names):
            self._total[name] += count

    def places(self, samples: int) -> tuple[Place, ...]:
        return tuple(
            Place(name, self._own[name] / samples, total / samples)
            for name, total in sorted(
                self._total.items(), key=lambda item: (-self._own[item[0]], -item[1])
            )
        )


def _place(entry: str) -> tuple[str, str, str]:
    """Module path as people know it, function, line."""
    filename, function, line = entry.split("\t")
    path = Path(filename)
    if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
        return str(path.relative_to(ROOT)), function, line
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :]), function, line
    return path.name, function, line
