"""`make certify`: the kit against a throw-away system on this machine, and the report in docs/.

The system is started as its users start it, by its command line; nothing of it is imported.
"""

import argparse
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chargepoint.conformance.__main__ import main as run_kit
from chargepoint.conformance.operator import ApiUnusable, Operator
from chargepoint.conformance.report_forms import NAME

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "docs" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- conformance: report -->", "<!-- /conformance: report -->"
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """The kit's exit status. Arguments are options of the kit."""
    parser = argparse.ArgumentParser(prog="python -m chargepoint.conformance.certify")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="where the reports go")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page that carries the last")
    wanted, options = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(prefix="certify-") as directory:
        key, port = secrets.token_hex(24), _free_port()
        with _system(Path(directory), port, key):
            status = run_kit(
                [
                    *("--url", f"ws://{HOST}:{port}/ocpp"),
                    *("--api", f"http://{HOST}:{port}/api/v1"),
                    *("--key", key),
                    *("--report", str(wanted.reports)),
                    *options,
                ]
            )
    if status != 2:
        carry(wanted.page, (wanted.reports / f"{NAME}.md").read_text())
    return status


def carry(page: Path, report: str) -> None:
    """Put the report between the page's markers, its headings two levels down."""
    before, found_begin, rest = page.read_text().partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found_begin or not found_end:
        raise ValueError(f"{page} has no place for the report")
    lines = [f"##{line}" if line.startswith("#") else line for line in report.splitlines()]
    page.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]))


@contextmanager
def _system(directory: Path, port: int, key: str) -> Iterator[None]:
    """A whole system with a store of its own, stopped and gone afterwards."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ = {
        **inherited,
        "CSMS_VAR": str(directory / "var"),
        "CSMS_API_KEY": key,
        "HOST": HOST,
        "PORT": str(port),
        "LOG_FORMAT": "json",
    }
    log = directory / "system.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "csms.local"],
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_ready(process, Operator(f"http://{HOST}:{port}", key), log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(process: "subprocess.Popen[bytes]", operator: Operator, log: Path) -> None:
    end = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if operator.request("GET", "/readyz").is_ok:
                return
        except ApiUnusable:
            pass  # not there yet
        time.sleep(0.2)
    raise SystemExit(f"the system does not start:\n{log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
