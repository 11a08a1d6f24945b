"""A firmware campaign over ten thousand charge points, beside a job for each of them:
`python -m bench.campaigns`.

The store is a real one, the campaign is worked on by the code of the workers, and charge points are
what their records say of them: they answer, report, boot with the new version, and take no time for
it. So the figures are what the system itself takes. It writes its section of docs/performance.md.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import report
from csms import jobs, logs
from csms.clock import now_ms
from csms.commands.campaign_runs import CampaignRuns
from csms.commands.campaigns import CampaignDesk, sweep
from csms.commands.transfers import after_command
from csms.domain.campaign import (
    CampaignKind,
    FirmwareWork,
    NewCampaign,
    Rules,
    Selection,
    Step,
    TargetState,
    command_id_of,
)
from csms.domain.campaign_steps import LOOK_MS
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.command import CommandState
from csms.domain.hosted_file import FirmwareImage
from csms.domain.transfer import TransferKind
from csms.job_lists import JobLists
from csms.state import keys
from csms.state.embedded import EmbeddedStore
from csms.state.link import MultiplexedLink
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores
from csms.state.transfers import Report
from workers.parts import Parts, open_parts

PROCESS = "bench-0123456789ab"
LEASE_S = 4.0
FACTS = {"chargePointVendor": "Nordwerk", "chargePointModel": "NW-22", "firmwareVersion": "4.2.0"}
VERSION = "4.3.0"
SELECTION = Selection(vendor="Nordwerk")
IMAGE = FirmwareImage(
    image_id="0" * 32,
    storage_key="0" * 32,
    file_name="nw-4.3.0.bin",
    size_bytes=1_000_000,
    sha256="0" * 64,
    vendor="Nordwerk",
    model="NW-22",
    version=VERSION,
    description="",
    signature="",
    signing_certificate="",
    warnings=(),
    uploaded_by="bench",
    created_at_ms=0,
)


@dataclass(slots=True)
class Taken:
    """What something took: of the clock, of this process, and of the store."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    commands: int = 0


class Meter:
    def __init__(self, url: str) -> None:
        self._admin = SyncLink(url)

    @contextmanager
    def into(self, taken: Taken) -> Iterator[None]:
        commands = self._commands()
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        yield
        taken.wall_s += time.perf_counter() - wall_s
        taken.cpu_s += time.process_time() - cpu_s
        taken.commands += self._commands() - commands - 1  # the asking itself

    def of(self, work: Callable[[], object]) -> Taken:
        taken = Taken()
        with self.into(taken):
            work()
        return taken

    def bytes_of(self, names: Sequence[str]) -> int:
        """By the server's reckoning, every member counted."""
        usage = ("MEMORY", "USAGE")
        return sum(self._admin.call(*usage, name, "SAMPLES", 0) or 0 for name in names)

    def _commands(self) -> int:
        """Scripts count as one, and as what they call."""
        lines = self._admin.call("INFO", "stats").splitlines()
        found = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(found["total_commands_processed"])


class Fleet:
    """Charge points as their records have them; all are connected."""

    def __init__(self, parts: Parts, count: int) -> None:
        self._parts, self._stores = parts, parts.stores
        self.ids = [f"CP-{number:06d}" for number in range(count)]
        self._epochs: dict[str, int] = {}

    def enter(self) -> None:
        at_ms = now_ms()
        for one in self.ids:
            self._stores.charge_points.create(ChargePoint(one, created_at_ms=at_ms))
            connected = self._stores.presences.connect(one, PROCESS, at_ms, "", secure=False)
            self._epochs[one] = connected.epoch
            self.boot(one, FACTS["firmwareVersion"], at_ms)

    def boot(self, one: str, version: str, at_ms: int) -> None:
        facts = {**FACTS, "firmwareVersion": version}
        accepted = RegistrationStatus.ACCEPTED
        self._stores.charge_points.record_boot(one, self._epochs[one], facts, accepted, at_ms)

    def answer(self, one: str, command_id: str, at_ms: int) -> None:
        """Take UpdateFirmware, and say that it is heard."""
        commands = self._stores.commands
        commands.take(one, self._epochs[one], command_id, at_ms)
        commands.settle(one, command_id, CommandState.ANSWERED, at_ms, answer={})
        after_command(commands.get(command_id), self._parts.sequel())

    def tell(self, one: str, status: str, at_ms: int) -> None:
        told = Report(TransferKind.FIRMWARE, status, None, "firmware")
        self._stores.transfers.report(one, self._epochs[one], told, at_ms)


class Course:
    """A campaign on its way; its clock goes on by two seconds with each look."""

    def __init__(self, parts: Parts, fleet: Fleet, meter: Meter, parallel: int) -> None:
        self._parts, self._fleet, self._meter = parts, fleet, meter
        self._now_ms = now_ms()
        self._jobs = JobLists(jobs.connect(parts.settings.rq_redis_url))
        self.wish = NewCampaign(
            "Bench",
            CampaignKind.FIRMWARE,
            FirmwareWork(IMAGE.image_id, signed="false"),
            SELECTION,
            Rules(max_parallel=parallel),
        )
        self.id = ""
        self.jobs_standing = 0

    def begin(self) -> None:
        """Until as many are asked as may be under way."""
        desk = CampaignDesk(self._parts.stores, self._parts.settings)
        self.id = desk.create(self.wish, "bench", self._now_ms).campaign_id
        self.look()

    def look(self) -> None:
        """What the job of the campaign does."""
        sweep(self._parts.sequel())
        self.jobs_standing = max(self.jobs_standing, sum(self._jobs.counts().values()))
        parts = self._parts
        CampaignRuns(parts.stores, parts.desk, parts.transfers, lambda: self._now_ms).advance(
            self.id
        )

    def run(self) -> tuple[Taken, Taken]:
        """To its end: what all looks took, and a quiet one, with all under way and nothing new."""
        taken, quiet = Taken(), Taken()
        while ids := self._under_way():
            at_ms = self._now_ms
            for one in ids:
                self._fleet.answer(one, command_id_of(self.id, one, 1, Step.ASK), at_ms)
            for status in ("Downloading", "Installing"):
                for one in ids:
                    self._fleet.tell(one, status, at_ms)
                self._look_later(taken)
            if not quiet.commands:
                self._look_later(quiet)
            for one in ids:
                self._fleet.boot(one, VERSION, self._now_ms + 1)
            self._look_later(taken)
        return taken, quiet

    def _look_later(self, taken: Taken) -> None:
        self._now_ms += LOOK_MS
        with self._meter.into(taken):
            self.look()

    def _under_way(self) -> list[str]:
        state = TargetState.UNDER_WAY
        found = self._parts.stores.campaigns.in_state(self.id, state, len(self._fleet.ids))
        return [target.charge_point_id for target in found]

    def bytes_each(self) -> float:
        of = (keys.campaign, keys.campaign_listed, keys.campaign_trail)
        names = [name(self.id) for name in (*of, keys.campaign_targets, keys.campaign_order)]
        states = ("again", *TargetState)
        names += [keys.campaign_index(self.id, state) for state in states]
        return self._meter.bytes_of(names) / len(self._fleet.ids)


def a_job_each(url: str, ids: Sequence[str], meter: Meter) -> tuple[Taken, int, float]:
    """The other way to do it: what it takes to put them there, how many stand, bytes of each."""
    connection = jobs.connect(url)
    queue = jobs.queue("bench", connection)

    def enqueue() -> None:
        for one in ids:
            queue.enqueue("bench.nothing", one, job_timeout=120, result_ttl=0)

    taken = meter.of(enqueue)
    standing = queue.count
    names = [queue.key, *(f"rq:job:{job_id}" for job_id in queue.job_ids)]
    size = meter.bytes_of(names) / len(ids)
    connection.close()
    return taken, standing, size


def measure(count: int, parallel: int) -> str:
    """The table, as it stands on the page."""
    with (
        tempfile.TemporaryDirectory(prefix="csms-bench-") as name,
        EmbeddedStore(Path(name) / "store") as store,
    ):
        os.environ.update(
            REDIS_URL=store.url,
            SECRET_KEY="s" * 40,
            CREDENTIAL_PEPPER="p" * 40,
            FILES_URL="https://files.example",
            FILES_DIRECTORY=str(Path(name) / "files"),
        )
        with open_parts() as parts, _alive(parts.stores):
            return _measure(parts, Meter(store.url), count, parallel)


def _measure(parts: Parts, meter: Meter, count: int, parallel: int) -> str:
    fleet = Fleet(parts, count)
    fleet.enter()
    parts.stores.firmware_images.create(IMAGE, 10**12)
    course = Course(parts, fleet, meter, parallel)
    rows = {
        "a dry run, in a worker": _dry_run(parts, course, meter),
        "a dry run, in a web process": _dry_run_in_web(parts, course, meter),
        f"all targets frozen, and the first {parallel:,} asked": meter.of(course.begin),
    }
    frozen_bytes = course.bytes_each()
    looks, quiet = course.run()
    done = parts.stores.campaigns.get(course.id).counts[TargetState.DONE]
    assert done == count, done
    rows[f"a look at {parallel:,} under way of which nothing is new"] = quiet
    rows["all other looks, to the end"] = looks
    ended_bytes = course.bytes_each()
    each, standing, job_bytes = a_job_each(parts.settings.rq_redis_url, fleet.ids, meter)
    rows["*a job each: put into the queue*"] = each
    return "\n".join(
        (
            f"{report.machine()}: {count:,} charge points, `max_parallel` {parallel:,}. Commands "
            "of the store are those that scripts call, too.",
            "",
            "| | seconds | of CPU | commands of the store |",
            "|---|---|---|---|",
            *[
                f"| {what} | {took.wall_s:.2f} | {took.cpu_s:.2f} | {took.commands:,} |"
                for what, took in rows.items()
            ],
            "",
            f"- Jobs standing at once: **{course.jobs_standing}**; with a job each {standing:,}.",
            f"- Bytes in the store for a target: {frozen_bytes:,.0f} once it is frozen, "
            f"{ended_bytes:,.0f} at its end; for a job {job_bytes:,.0f}, before anything is known "
            "of its charge point.",
        )
    )


def _dry_run(parts: Parts, course: Course, meter: Meter) -> Taken:
    desk = CampaignDesk(parts.stores, parts.settings)
    return meter.of(lambda: desk.dry_run(course.wish, 100, now_ms()))


def _dry_run_in_web(parts: Parts, course: Course, meter: Meter) -> Taken:
    link = MultiplexedLink(parts.settings.redis_url)
    try:
        return _dry_run(replace(parts, stores=Stores.behind(link, 10)), course, meter)
    finally:
        link.close()


@contextmanager
def _alive(stores: Stores) -> Iterator[None]:
    """The web process that holds all sockets, by its lease."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_S):
            stores.presences.renew(PROCESS)

    stores.presences.renew(PROCESS)
    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--charge-points", type=int, default=10_000)
    parser.add_argument("--parallel", type=int, default=500)
    parser.add_argument("--no-report", action="store_true", help="leave docs/performance.md alone")
    asked = parser.parse_args()
    logs.configure("WARNING", "json")
    text = measure(asked.charge_points, asked.parallel)
    print(text)
    if not asked.no_report:
        report.write("campaigns", text)


if __name__ == "__main__":
    main()
