"""`make run`: one command starts everything, Ctrl-C stops it, a second start finds its data."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from system import ROOT, Api, eventually, free_port, in_a_thread

pytestmark = pytest.mark.e2e


class Launcher:
    """`python -m csms.local`, as make run starts it."""

    def __init__(self, var: Path, port: int) -> None:
        var.parent.mkdir(parents=True, exist_ok=True)
        self.output = var.parent / f"output-{port}-{os.urandom(2).hex()}"
        self.var = var
        self.port = port
        self.ftp_port = free_port()
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "csms.local"],
                cwd=ROOT,
                env={
                    **inherited,
                    "CSMS_VAR": str(var),
                    "PORT": str(port),
                    "FTP_PORT": str(self.ftp_port),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.output.read_text()

    def printed(self, pattern: str) -> str:
        """What the first group matches, as soon as it is printed."""

        def found() -> str:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended:\n{self.text()[-3000:]}")
            match = re.search(pattern, self.text())
            return match.group(1) if match else ""

        return str(eventually(found, f"printed: {pattern}"))

    def stop(self, signal_number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(30)


def processes_naming(text: str) -> list[int]:
    """Processes with a text in their environment: what a launcher started, whoever its parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended, or it is none of ours
    return found


def serving(port: int, key: str) -> Api:
    api = Api(port, key)

    def answers() -> bool:
        try:
            return api("GET", "/readyz").status == 200
        except OSError:
            return False

    eventually(answers, "the web process answers")
    return api


def test_it_starts_stops_and_finds_its_data_again(tmp_path: Path) -> None:
    var = tmp_path / "var"
    port = free_port()
    first = Launcher(var, port)
    try:
        key = first.printed(r"API key\s+(\S+)")
        assert first.printed(r"Login\s+(admin / \S+)")
        assert first.printed(rf"(http://localhost:{port}/)\s")
        assert first.printed(rf"(ws://\S+ ?\S*:{port}/ocpp)")
        files = first.printed(r"Files\s+(.*)")
        assert files == f"http://localhost:{port} and ftp://localhost:{first.ftp_port}"
        assert first.printed("(serving files over ftp)")
        api = serving(port, key)
        api.create_charge_point("KEPT")
        store_pid = int((var / "store" / "store.pid").read_text())

        os.kill(store_pid, signal.SIGKILL)

        def is_back() -> bool:
            return api("GET", "/api/v1/charge-points/KEPT").status == 200

        eventually(is_back, "the store is started again, with what it held")
        assert first.stop() == 0
        eventually(lambda: not processes_naming(str(var)), "nothing it started is left")

        second = Launcher(var, port)
        try:
            api = serving(port, key)
            assert api.ok("GET", "/api/v1/charge-points/KEPT")["id"] == "KEPT"
            assert "Shown this once" not in second.text()
        finally:
            assert second.stop(signal.SIGTERM) == 0
    finally:
        first.stop(signal.SIGKILL)
    eventually(lambda: not processes_naming(str(var)), "nothing it started is left")


def test_a_second_one_in_the_same_place_says_so_and_leaves_the_first_alone(tmp_path: Path) -> None:
    var = tmp_path / "var"
    first = Launcher(var, free_port())
    try:
        key = first.printed(r"API key\s+(\S+)")
        serving(first.port, key)
        second = Launcher(var, free_port())
        code = in_a_thread(lambda: second.process.wait(30))

        assert code != 0
        assert "in use" in second.text()
        assert serving(first.port, key).ok("GET", "/api/v1/charge-points")["items"] == []
    finally:
        first.stop()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    first = Launcher(tmp_path / "one" / "var", free_port())
    try:
        serving(first.port, first.printed(r"API key\s+(\S+)"))
        second = Launcher(tmp_path / "two" / "var", first.port)
        code = in_a_thread(lambda: second.process.wait(30))

        assert code != 0
        assert f"{first.port}" in second.text()
        assert "in use" in second.text()
    finally:
        first.stop()


def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "csms.local"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CSMS_VAR": str(tmp_path / "var"), "PORT": "eighty"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 78
    assert result.stderr.startswith("csms: PORT: ")
    assert "Traceback" not in result.stderr
