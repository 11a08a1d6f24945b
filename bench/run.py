"""This system beside what it is compared with, in one run: `python -m bench.run [--check]`.

In each round all servers are started, each with a fresh store, and get their bursts of load in
turn, a few seconds each: other load on the machine meets all of them, so that the ratios hold where
the figures do not. --check ends with 1 when a ratio is missed; --profile takes a profile of this
system instead of comparing it. Both write their section of docs/performance.md.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load, profiling, report
from bench.load import Fleet, Load, LoadFailed, Measured
from bench.servers import (
    CONTESTANTS,
    IN_MEMORY,
    OURS,
    WITH_REDIS,
    Contestant,
    Running,
    children,
    serving,
)

TIMES_WITH_REDIS = 10.0
TIMES_IN_MEMORY = 5.0
WARM_UP_S = 2.0
SERVER_CPU, CLIENT_CPU = 0, 1


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast this system is, beside others.")
    parser.add_argument("--check", action="store_true", help="fail when a ratio is missed")
    parser.add_argument("--profile", action="store_true", help="profile this system only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bursts", type=int, default=2, help="for each server in a round")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a burst")
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--no-report", action="store_true", help="leave docs/performance.md alone")
    asked = parser.parse_args()
    plan = Plan(asked.sockets, asked.rounds, asked.bursts, asked.seconds, _bind_ourselves())
    try:
        load.raise_file_limit(len(CONTESTANTS) * plan.sockets + 200)
        if asked.profile:
            sys.exit(_profile(plan, write=not asked.no_report))
        sys.exit(_compare(plan, check=asked.check, write=not asked.no_report))
    except LoadFailed as error:
        sys.exit(f"bench: {error}")


@dataclass(frozen=True, slots=True)
class Plan:
    """pinned: whether the servers are bound to one core, all else to another."""

    sockets: int
    rounds: int
    bursts: int
    burst_s: float
    pinned: bool

    @property
    def server_cpu(self) -> int | None:
        return SERVER_CPU if self.pinned else None


def _compare(plan: Plan, *, check: bool, write: bool) -> int:
    measured: dict[str, list[Measured]] = {contestant.name: [] for contestant in CONTESTANTS}
    for number in range(1, plan.rounds + 1):
        for name, found in _round(plan).items():
            measured[name].append(found)
            print(
                f"round {number}, {name}: {found.messages_per_cpu_s:,.0f} messages per CPU-second "
                f"({found.server_us:.1f} µs server, {found.store_us:.1f} µs store), "
                f"{found.messages_per_s:,.0f} a second",
                flush=True,
            )
    table = report.table(measured)
    print(f"\n{table}")
    if write:
        facts = report.facts(
            plan.sockets, plan.rounds, plan.bursts, plan.burst_s, pinned=plan.pinned
        )
        report.write("comparison", f"{facts}\n\n{table}")
    return _missed(measured) if check else 0


def _round(plan: Plan) -> dict[str, Measured]:
    with ExitStack() as stack:
        fleets = {contestant.name: _fleet(contestant, plan, stack) for contestant in CONTESTANTS}
        bursts: dict[str, list[Measured]] = {name: [] for name in fleets}
        for charge_points in fleets.values():
            charge_points.burst(WARM_UP_S)
        for _ in range(plan.bursts):
            for name, charge_points in fleets.items():
                bursts[name].append(charge_points.burst(plan.burst_s))
    return {name: load.total(found) for name, found in bursts.items()}


def _fleet(contestant: Contestant, plan: Plan, stack: ExitStack) -> Fleet:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="csms-bench-")))
    running = stack.enter_context(serving(contestant, directory, cpu=plan.server_cpu))
    return stack.enter_context(load.fleet(_load_on(running, plan)))


def _load_on(running: Running, plan: Plan) -> Load:
    stores = () if running.store_pid is None else (running.store_pid,)
    return Load(running.port, plan.sockets, (running.server_pid,), stores)


def _missed(measured: report.Rounds) -> int:
    """1 when a ratio is below what is promised."""
    exit_code = 0
    for other, promised in ((WITH_REDIS, TIMES_WITH_REDIS), (IN_MEMORY, TIMES_IN_MEMORY)):
        found = median(report.ratios(measured, other.name))
        if found < promised:
            print(f"missed: {found:.2f}× {other.name}, {promised:g}× is promised", file=sys.stderr)
            exit_code = 1
    return exit_code


def _profile(plan: Plan, *, write: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="csms-bench-") as name:
        directory = Path(name)
        environ = profiling.environ(directory)
        with (
            serving(OURS, directory, cpu=plan.server_cpu, environ=environ) as running,
            load.fleet(_load_on(running, plan)) as charge_points,
        ):
            charge_points.burst(WARM_UP_S)
            pids = children(running.server_pid)
            profiling.begin(pids)
            charge_points.burst(plan.bursts * plan.burst_s)
            profiling.end(pids)
            taken = profiling.read(pids, directory)
    text = report.profile_text(taken)
    print(text)
    if write:
        report.write("profile", text)
    return 0


def _bind_ourselves() -> bool:
    """Client and stores (they inherit it) beside the servers' core, where there are two."""
    if not {SERVER_CPU, CLIENT_CPU} <= os.sched_getaffinity(0):
        return False
    os.sched_setaffinity(0, {CLIENT_CPU})
    return True


if __name__ == "__main__":
    main()
