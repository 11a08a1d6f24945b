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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chargepoint.conformance.__main__ import (
    CANNOT_BEGIN,
    FAILED,
    OK,
    STOPPED,
    stop_in_good_order,
)
from chargepoint.conformance.__main__ import main as run_kit
from chargepoint.conformance.operator import ApiUnusable, CannotBegin, Operator
from chargepoint.conformance.report_forms import NAME
from chargepoint.conformance.throwaway_authority import ROOT as AUTHORITY
from chargepoint.conformance.throwaway_authority import make_certificates

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "docs" / "conformance"
PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- conformance: report -->", "<!-- /conformance: report -->"
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
HOST = "127.0.0.1"
TLS_HOST = "localhost"  # in the CN of the servers' certificates


@dataclass(frozen=True, slots=True)
class Ports:
    """tls: for security profile 2; client_tls: for 3, which demands client certificates."""

    plain: int
    tls: int
    client_tls: int


def main(arguments: Sequence[str] | None = None) -> int:
    """The kit's exit status. Arguments are options of the kit."""
    parser = argparse.ArgumentParser(
        prog="python -m chargepoint.conformance.certify",
        description=__doc__,
        epilog="All other options are the kit's.",
        allow_abbrev=False,
    )
    parser.add_argument("--reports", type=Path, default=REPORTS, help="where the reports go")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page that carries the last")
    parser.add_argument("--web-processes", type=int, default=1, help="of the system; 1")
    wanted, options = parser.parse_known_args(arguments)
    try:
        page = Page.read(wanted.page)
        status = _run(wanted.reports, wanted.web_processes, options)
    except CannotBegin as error:
        print(f"certify: {error}", file=sys.stderr)
        return CANNOT_BEGIN
    except KeyboardInterrupt:
        print("certify: stopped", file=sys.stderr)
        return STOPPED
    if status in {OK, FAILED}:
        page.carry((wanted.reports / f"{NAME}.md").read_text())
    return status


def _run(reports: Path, web_processes: int, options: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="certify-") as name:
        directory = Path(name)
        key, ports = secrets.token_hex(24), Ports(*_free_ports(3))
        certificates = make_certificates(directory, TLS_HOST)
        environ = {
            **_environ(directory, ports, key, certificates),
            "WEB_CONCURRENCY": str(web_processes),
        }
        with _system(directory, Operator(f"http://{HOST}:{ports.plain}", key), environ):
            return run_kit(
                [
                    *("--url", f"ws://{HOST}:{ports.plain}/ocpp"),
                    *("--api", f"http://{HOST}:{ports.plain}/api/v1"),
                    *("--key", key),
                    *("--tls-url", f"wss://{TLS_HOST}:{ports.tls}/ocpp"),
                    *("--client-tls-url", f"wss://{TLS_HOST}:{ports.client_tls}/ocpp"),
                    *("--ca", str(certificates[AUTHORITY][0])),
                    *("--report", str(reports)),
                    # Its ports are others each time, and say nothing.
                    *("--shown-as", _shown_as(web_processes)),
                    *options,
                ]
            )


def _shown_as(web_processes: int) -> str:
    processes = "one web process" if web_processes == 1 else f"{web_processes} web processes"
    return f"a throw-away system with {processes}, on the machine of the kit"


@dataclass(frozen=True, slots=True)
class Page:
    """A page with a place for the report."""

    path: Path
    before: str
    after: str

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Raises CannotBegin."""
        try:
            text = path.read_text()
        except OSError as error:
            raise CannotBegin(f"--page: {path}: {error.strerror}") from None
        before, found_begin, rest = text.partition(BEGIN)
        _, found_end, after = rest.partition(END)
        if not found_begin or not found_end:
            raise CannotBegin(f"--page: {path} has no place for the report: {BEGIN} and {END}")
        return cls(path, before, after)

    def carry(self, report: str) -> None:
        """Put the report in its place, its headings two levels down."""
        lines = [f"##{line}" if line.startswith("#") else line for line in report.splitlines()]
        self.path.write_text("\n".join([self.before + BEGIN, "", *lines, "", END + self.after]))


def _environ(
    directory: Path, ports: Ports, key: str, certificates: Mapping[str, tuple[Path, Path]]
) -> dict[str, str]:
    """Of the system: nothing of this process's but where programs are."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **inherited,
        "CSMS_VAR": str(directory / "var"),
        "CSMS_API_KEY": key,
        "HOST": HOST,
        "PORT": str(ports.plain),
        "LOG_FORMAT": "json",
        "TLS_PORTS": f"{ports.tls}:none {ports.client_tls}:required",
        "TLS_CERTIFICATES": " ".join(
            f"{certificate}:{own_key}"
            for name, (certificate, own_key) in certificates.items()
            if name != AUTHORITY
        ),
        "TLS_CLIENT_CA": str(certificates[AUTHORITY][0]),
        "CERTIFICATE_AUTHORITY_CERTIFICATE": str(certificates[AUTHORITY][0]),
        "CERTIFICATE_AUTHORITY_KEY": str(certificates[AUTHORITY][1]),
    }


@contextmanager
def _system(directory: Path, operator: Operator, environ: Mapping[str, str]) -> Iterator[None]:
    """A whole system with a store of its own, stopped and gone afterwards. Raises CannotBegin."""
    log = directory / "system.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "csms.local"],
            cwd=ROOT,
            env=dict(environ),
            stdout=output,
            stderr=output,
            # Ctrl-C is for the kit, which still has to clear up; then it is stopped from here.
            process_group=0,
        )
    try:
        _wait_ready(process, operator, log)
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
    raise CannotBegin(f"the system does not start:\n{log.read_text()[-3000:]}")


def _free_ports(count: int) -> list[int]:
    """Held until all are known, so that no two are the same."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


if __name__ == "__main__":
    stop_in_good_order()
    sys.exit(main())
