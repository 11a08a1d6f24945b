"""A worker that runs the jobs of the tests too: `python errand_worker.py <url> [<pace> ...]`."""

import sys

import errands

from csms import logs
from workers.worker import KnownJob, Pace, work


class ErrandJob(KnownJob):
    functions = KnownJob.functions | {
        f"errands.{name}" for name in vars(errands) if not name.startswith("_")
    }


if __name__ == "__main__":
    logs.configure("INFO", "json")
    sys.exit(not work(sys.argv[1], Pace(*map(int, sys.argv[2:])), ErrandJob))
