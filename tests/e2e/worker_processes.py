"""Starts workers as processes, and kills them."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from system import ROOT, System

HERE = Path(__file__).parent
# A pace for errand(): waits a second for work, looks every second, and thinks a job abandoned after
# four.
QUICK = ("16", "1", "1", "3")


class Workers:
    """Starts workers, each in a session of its own, and ends what is left of them."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._started: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []

    def start(self, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        log = self._system.directory / f"worker-{len(self._started)}.log"
        errands = str(HERE.parent / "workers")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={
                    **self._system.environment(8000),
                    "PYTHONPATH": os.pathsep.join((str(ROOT), errands)),
                    **environ,
                },
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        self.logs.append(log)
        return process

    def real(self, **environ: str) -> subprocess.Popen[bytes]:
        return self.start("-m", "workers", **environ)

    def errand(self, *pace: str, **environ: str) -> subprocess.Popen[bytes]:
        script = str(HERE / "errand_worker.py")
        return self.start(script, self._system.store.url, *pace, **environ)

    def end(self) -> None:
        for process in self._started:
            kill_session(process)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Parent, scheduler and the process of the job, which has a group of its own."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            session = path.read_text().rpartition(")")[2].split()[3]
            if int(session) == process.pid:
                os.kill(int(path.parent.name), signal.SIGKILL)
    process.wait(10)
