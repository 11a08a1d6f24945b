"""A sampling profiler that Python loads at start where this directory is on PYTHONPATH.

So the product holds no profiler. With BENCH_PROFILE=<directory> in the environment, SIGUSR1 begins
to sample by CPU time and SIGUSR2 ends it and writes `<pid>.json`: how often each stack was seen. A
sample comes when Python next looks for signals, so that a C function counts for the line that
called it. A fork needs nothing: handlers are inherited and each process is signalled by itself.
"""

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.001
DEPTH_MAX = 60

_stacks: Counter[tuple[str, ...]] = Counter()


def _sample(_: int, frame: FrameType | None) -> None:
    stack: list[str] = []
    while frame is not None and len(stack) < DEPTH_MAX:
        code = frame.f_code
        line = frame.f_lineno if not stack else code.co_firstlineno
        stack.append(f"{code.co_filename}\t{code.co_qualname}\t{line}")
        frame = frame.f_back
    _stacks[tuple(stack)] += 1


def _begin(_: int, __: FrameType | None) -> None:
    _stacks.clear()
    signal.signal(signal.SIGPROF, _sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)


def _end(_: int, __: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    samples = [{"stack": list(stack), "count": count} for stack, count in _stacks.items()]
    path = Path(os.environ["BENCH_PROFILE"]) / f"{os.getpid()}.json"
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(samples))
    unfinished.replace(path)


if os.environ.get("BENCH_PROFILE") and sys.platform == "linux":
    signal.signal(signal.SIGUSR1, _begin)
    signal.signal(signal.SIGUSR2, _end)
