"""The kit as a stranger starts it: what it selects, what it says, and what it leaves behind."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from certificates import Issued, root
from mutations.mutation import cut_off
from system import API_KEY, ROOT, Api, Web, eventually, free_port

from chargepoint.conformance.__main__ import main
from chargepoint.conformance.case import Profile
from chargepoint.conformance.cases import CASES
from chargepoint.conformance.operator import ApiAnswer, CannotBegin, Operator
from chargepoint.conformance.options import hex_key, select
from chargepoint.conformance.preflight import OPERATIONS
from chargepoint.conformance.report import DISCLAIMER
from chargepoint.conformance.run import Outcome, Run, given_run
from chargepoint.conformance.target import Target

SOMEWHERE = ("--url=ws://x", "--api=http://x", "--key=x")
Capture = pytest.CaptureFixture[str]


def assert_one_line(capsys: Capture, said: str) -> None:
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert len(lines) == 1, told
    assert lines[0].startswith("conformance: ")
    assert said in lines[0]
    assert told.out == ""


def test_cases_are_selected_by_id_with_their_variants_or_by_profile():
    assert [case.key for case in select("TC_055_CSMS, TC_054_CSMS", None)] == [
        "TC_055_CSMS",
        "TC_054_CSMS",
        "TC_054_CSMS (FirmwareStatusNotification is not implemented)",
    ]
    assert {case.profile for case in select(None, "core")} == {Profile.CORE}
    assert select(None, None) == list(CASES.values())


def test_the_list_needs_no_system(capsys: pytest.CaptureFixture[str]):
    assert main(["--list", "--profiles", "core"]) == 0

    assert "TC_001_CSMS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--url is needed"),
        (SOMEWHERE[:1], "--api is needed"),
        (("--cases=TC_999_CSMS",), "no such case: TC_999_CSMS"),
        # A variant is run with its case.
        (("--cases=TC_054_CSMS (sent by hand)",), "no such case"),
        (("--profiles=hardcore",), "no such profile: hardcore"),
        (("--colour=green",), "--colour=green"),
        ((*SOMEWHERE, "--limit=soon"), "--limit"),
        ((*SOMEWHERE, "--limit=0"), "--limit"),
        ((*SOMEWHERE, "--limit=nan"), "--limit"),
        ((*SOMEWHERE, "--authorize-samples=-1"), "--authorize-samples"),
        ((*SOMEWHERE, "--without-tls", "--url=http://x"), "--url: http://x is not an address of"),
        ((*SOMEWHERE, "--tls-url=ws://x"), "--tls-url: ws://x is not an address of"),
        (SOMEWHERE, "--without-tls leaves those cases out"),
        ((*SOMEWHERE, "--cases=TC_086_CSMS"), "--tls-url: needed by TC_086_CSMS"),
        ((*SOMEWHERE, "--without-tls", "--report=/dev/null/x"), "--report: /dev/null/x"),
        ((*SOMEWHERE, "--without-tls", "--ca=/nowhere.pem"), "--ca: /nowhere.pem can't be read"),
        ((*SOMEWHERE, "--config=/nowhere.json"), "--config: /nowhere.json can't be read"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_one_plain_sentence(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
):
    monkeypatch.delenv("CSMS_API_KEY", raising=False)

    assert main(arguments) == 2
    assert_one_line(capsys, said)


@pytest.mark.parametrize("option", ["--config", "--json-config"])
def test_a_configuration_file_gives_options_and_the_command_line_goes_before_it(
    option: str, tmp_path: Path, capsys: Capture
):
    config = tmp_path / "kit.json"
    config.write_text(json.dumps({"cases": ["TC_003_CSMS", "TC_012_CSMS"], "list": True}))

    assert main([option, str(config)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "TC_003_CSMS",
        "TC_012_CSMS",
    ]

    assert main([option, str(config), "--cases=TC_061_CSMS"]) == 0
    assert capsys.readouterr().out.startswith("TC_061_CSMS ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"colour": "green"}', "no such option: colour"),
        ('{"config": "another.json"}', "no such option: config"),
        ("[]", "must hold an object"),
        ("{", "is no JSON"),
        ('{"limit": "soon"}', "--limit"),
        ('{"tls-url": 5}', "--tls-url: 5 is not an address"),
    ],
)
def test_what_is_wrong_with_the_configuration_file_is_said(
    text: str, said: str, tmp_path: Path, capsys: Capture
):
    config = tmp_path / "kit.json"
    config.write_text(text)

    assert main(["--config", str(config), *SOMEWHERE]) == 2
    assert_one_line(capsys, said)


def test_a_key_is_hex_digits_or_characters():
    assert hex_key("00112233445566778899AABBCCDDEEFF") == "00112233445566778899aabbccddeeff"
    assert hex_key("a password 16-20") == b"a password 16-20".hex()
    for unusable in ("short", "x" * 21, "00112233445566778899aabbccddeef", "é" * 16):
        with pytest.raises(CannotBegin):
            hex_key(unusable)


# --- against the system ---


def command_line(target: Target, *options: str) -> list[str]:
    """What is said last counts."""
    return [
        f"--url={target.url}",
        f"--api={target.api}",
        f"--key={target.key}",
        f"--tls-url={target.tls_url}",
        f"--client-tls-url={target.client_tls_url}",
        f"--ca={target.ca_file}",
        "--authorize-samples=5",
        "--busy=2",
        "--limit=30",
        "--patience=30",
        *options,
    ]


@pytest.mark.e2e
def test_the_command_line_runs_what_was_selected_and_reports(
    target: Target, tmp_path: Path, capsys: Capture
):
    wanted = "--cases=TC_003_CSMS,TC_088_CSMS"

    status = main(command_line(target, wanted, f"--report={tmp_path}"))

    assert status == 0
    said = capsys.readouterr().out
    assert "AQ-1: Yes" in said
    assert "Core (incl. basic security): Incomplete, 2 of 46 cases passed" in said
    found = json.loads((tmp_path / "report.json").read_text())
    assert [row["result"] for row in found["cases"]] == ["Pass", "Pass"]
    assert found["disclaimer"] == DISCLAIMER
    assert found["system_under_test"]["version"] != "?"
    assert found["system_under_test"]["charge_points"].startswith("One of its own for each case")
    assert [row["samples"] for row in found["performance"]["figures"]] == [7, 5, 5]
    assert API_KEY not in (tmp_path / "report.json").read_text()


@pytest.mark.e2e
def test_one_failed_case_makes_the_exit_status_1(target: Target, capsys: Capture):
    status = main(command_line(target, "--cases=TC_003_CSMS", "--limit=0.000001"))

    said = capsys.readouterr().out
    assert status == 1
    assert "step 2 BootNotification.conf: in time" in said
    assert "expected within 1e-06 s" in said


@pytest.mark.e2e
def test_cases_of_tls_may_be_left_out(target: Target, tmp_path: Path, capsys: Capture):
    cases = "--cases=TC_003_CSMS,TC_086_CSMS"

    status = main(command_line(target, cases, "--without-tls", f"--report={tmp_path}"))

    assert status == 0
    assert "without --tls-url" in capsys.readouterr().out
    found = json.loads((tmp_path / "report.json").read_text())
    assert [row["result"] for row in found["cases"]] == ["Pass", "Not run"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda target: f"--key={'wrong-api-key-0123456789'}", "--key: http://127"),
        (lambda target: f"--api=http://127.0.0.1:{free_port()}/api/v1", "Connection refused"),
        (lambda target: "--api=http://nowhere.invalid/api/v1", "does not answer"),
        (lambda target: f"--api={target.api.removesuffix('/api/v1')}", "HTTP 404"),
        (lambda target: f"--api=https{target.api.removeprefix('http')}", "does not answer"),
        (lambda target: f"--url=ws://127.0.0.1:{free_port()}/ocpp", "Connection refused"),
        (lambda target: f"--url={target.url}x", "is the path right"),
        (lambda target: f"--url=wss{target.url.removeprefix('ws')}", "does not answer"),
        (lambda target: f"--tls-url=wss{target.url.removeprefix('ws')}", "--tls-url: no TLS with"),
        (lambda target: f"--client-tls-url=wss://localhost:{free_port()}/ocpp", "--client-tls-url"),
        (lambda target: f"--ca={__file__}", "--ca: "),
    ],
)
def test_a_kit_that_cannot_begin_says_why_in_one_sentence(
    target: Target, wrong: Callable[[Target], str], said: str, capsys: Capture
):
    status = main(command_line(target, wrong(target)))

    assert status == 2
    assert_one_line(capsys, said)


@pytest.mark.e2e
def test_whom_nobody_vouches_for_is_not_trusted(target: Target, tmp_path: Path, capsys: Capture):
    stranger = root("ec")
    ca_file, _ = Issued(stranger.certificate, stranger.key).write(tmp_path, "stranger")

    status = main(command_line(target, f"--ca={ca_file}"))

    assert status == 2
    assert_one_line(capsys, "certificate verify failed")


@pytest.fixture
def older_api() -> Iterator[str]:
    """One that knows nothing of certificates, as yet."""
    offered: dict[str, dict[str, Any]] = {}
    for method, path in OPERATIONS:
        if "certificate" not in path:
            named = path.replace("{}", "{name}")
            offered.setdefault(f"/api/v1{named}", {})[method.lower()] = {}

    class Older(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps({"paths": offered} if "openapi" in self.path else {"items": []})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Older) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.e2e
def test_an_endpoint_that_is_another_systems_is_found_out(
    target: Target, older_api: str, capsys: Capture
):
    elsewhere = older_api.replace("http", "ws").replace("/api/v1", "/ocpp")

    status = main(command_line(target, f"--url={elsewhere}"))

    assert status == 2
    assert_one_line(capsys, "is not let in at ws://127.0.0.1:")


@pytest.mark.e2e
def test_an_api_that_is_too_old_is_found_out_before_anything_is_tried(
    target: Target, older_api: str, capsys: Capture
):
    status = main(command_line(target, f"--api={older_api}"))

    assert status == 2
    assert_one_line(capsys, "is older than this kit: it has no GET /certificate-authority, ")


class Listening(Operator):
    """Remembers what was asked for."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.api, target.key, target.ca_file)
        self.asked: set[tuple[str, str]] = set()

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        prefix: str | None = None,
    ) -> ApiAnswer:
        if prefix is None:
            self.asked.add((method, self._template(path)))
        return super().request(method, path, body, prefix=prefix)

    @staticmethod
    def _template(path: str) -> str:
        """Every second part of a path is an id."""
        parts = path.partition("?")[0].strip("/").split("/")
        fixed = [part if number % 2 == 0 else "{}" for number, part in enumerate(parts)]
        if parts[-2:] == ["local-list", "sync"]:
            fixed[-1] = "sync"
        return "/" + "/".join(fixed)


@pytest.mark.e2e
def test_what_the_cases_ask_of_the_api_is_what_is_looked_for_beforehand(target: Target, run: Run):
    operator = Listening(target)
    listened = Run(target, operator, run.cast, f"{run.name}-L")

    results = list(listened.run_all(CASES.values()))

    assert {result.outcome for result in results} == {Outcome.PASSED}
    # Those of the cast are asked for before and after.
    unheard = set(OPERATIONS) - operator.asked
    assert operator.asked <= set(OPERATIONS)
    assert unheard <= {("POST", "/id-tags"), ("DELETE", "/id-tags/{}")}


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_kit_that_is_stopped_clears_up(
    target: Target, conformance_web: Web, tmp_path: Path, number: signal.Signals
):
    told = tmp_path / "told"
    api = Api(conformance_web.port)
    tags_before = api.ok("GET", "/api/v1/id-tags?prefix=CT-&limit=200")["items"]
    points_before = api.ok("GET", "/api/v1/charge-points?prefix=CT-&limit=200")["items"]
    with told.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "chargepoint.conformance", *command_line(target)],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        eventually(lambda: "TC_003_CSMS" in told.read_text(), "a case has been run")
        process.send_signal(number)
        status = process.wait(60)
    finally:
        process.kill()
        process.wait()

    assert status == 130
    assert told.read_text().splitlines()[-1] == ("conformance: stopped, and cleared up")
    assert "Traceback" not in told.read_text()
    assert api.ok("GET", "/api/v1/id-tags?prefix=CT-&limit=200")["items"] == tags_before
    assert api.ok("GET", "/api/v1/charge-points?prefix=CT-&limit=200")["items"] == points_before


# --- one charge point through all cases ---


@dataclass(frozen=True)
class Laboratory:
    """What an operator has entered for the kit."""

    api: Api
    settings: Mapping[str, Any]
    options: tuple[str, ...]


@pytest.fixture
def laboratory(conformance_web: Web) -> Laboratory:
    api = Api(conformance_web.port)
    name = f"LAB {secrets.token_hex(3)}"  # a blank has to be percent-encoded
    tags = {role: f"{name[4:]}-{role}" for role in ("ONE", "TWO", "BLOCKED", "EXPIRED")}
    api.create_charge_point(
        name,
        authorization_key="a password of lab",
        heartbeat_interval_s=60,
        serial_number="LAB-SERIAL",
        description="of the laboratory",
        local_list="all",
    )
    for role in ("ONE", "TWO"):
        api.create_id_tag(tags[role], parent_id_tag="LAB-GROUP", tag_groups=["laboratory"])
    api.create_id_tag(tags["BLOCKED"], status="Blocked")
    api.create_id_tag(tags["EXPIRED"], expires_at="2020-01-01T00:00:00Z")
    options = (
        f"--charge-point={name}",
        "--authorization-key=a password of lab",
        f"--id-tag={tags['ONE']}",
        f"--id-tag-2={tags['TWO']}",
        "--parent=LAB-GROUP",
        f"--blocked={tags['BLOCKED']}",
        f"--expired={tags['EXPIRED']}",
    )
    return Laboratory(api, api.ok("GET", path_of(name)), options)


def path_of(charge_point_id: str) -> str:
    return f"/api/v1/charge-points/{quote(charge_point_id)}"


@pytest.mark.e2e
def test_one_charge_point_goes_through_all_cases_as_with_the_official_tool(
    target: Target, laboratory: Laboratory, conformance_web: Web, tmp_path: Path, capsys: Capture
):
    status = main(command_line(target, *laboratory.options, f"--report={tmp_path}"))

    name = laboratory.settings["id"]
    assert (status, capsys.readouterr().err) == (0, "")
    found = json.loads((tmp_path / "report.json").read_text())
    assert {row["result"] for row in found["profiles"]} == {"Pass"}
    assert found["system_under_test"]["charge_points"].startswith(f"{name} in all cases")
    assert "a password of lab" not in (tmp_path / "report.json").read_text()
    # It came anew only where a case has it go.
    connections = sum(
        line["event"] == "charge point connected" and line["charge_point_id"] == name
        for line in conformance_web.log_lines()
    )
    assert connections < len(CASES) / 2


@pytest.mark.e2e
def test_what_an_operator_has_entered_is_afterwards_what_it_was(
    target: Target, laboratory: Laboratory
):
    # They change the key, the security profile, the settings and the groups of the idTags.
    cases = "--cases=TC_001_CSMS,TC_073_CSMS,TC_083_CSMS,TC_043_4_CSMS,TC_004_1_CSMS"

    first = main(command_line(target, *laboratory.options, cases))
    record = laboratory.api.ok("GET", path_of(laboratory.settings["id"]))
    again = main(command_line(target, *laboratory.options, cases))

    assert (first, again) == (0, 0)
    decided = set(laboratory.settings) - {
        *("client_certificate", "registration", "booted_at", "facts"),
        *("connection", "connectors"),
    }
    assert {name: record[name] for name in decided} == {
        name: laboratory.settings[name] for name in decided
    }
    tag = laboratory.options[2].partition("=")[2]
    assert laboratory.api.ok("GET", f"/api/v1/id-tags/{tag}")["tag_groups"] == ["laboratory"]
    transactions = laboratory.api.ok("GET", f"/api/v1/transactions?id_tag={tag}")["items"]
    assert {one["state"] for one in transactions} == {"stopped"}


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--id-tag-2=", "--id-tag-2 is needed"),
        ("--charge-point=NOBODY", "--charge-point: NOBODY is not entered"),
        ("--authorization-key=another password", "is not let in at ws://"),
        ("--authorization-key=short", "32 to 40 hex digits"),
        ("--id-tag=NOBODY", "--id-tag: the id tag NOBODY is not entered"),
        ("--parent=ANOTHER", "is not ANOTHER, as --parent says"),
        ("--unknown=%(tag)s", "--unknown: the id tag "),
        ("--blocked=%(tag)s", "is not blocked"),
        ("--expired=%(tag)s", "is not expired"),
    ],
)
def test_what_was_not_entered_as_it_is_said_is_found_out_beforehand(
    target: Target, laboratory: Laboratory, wrong: str, said: str, capsys: Capture
):
    tag = laboratory.options[2].partition("=")[2]

    status = main(command_line(target, *laboratory.options, wrong % {"tag": tag}))

    assert status == 2
    assert_one_line(capsys, said)


@pytest.mark.e2e
def test_a_case_that_fails_does_not_take_the_next_one_along(target: Target, run: Run):
    api_name = f"{run.name}-ONE"
    created = run.operator.must("POST", "/charge-points", {"id": api_name, "security_profile": 1})
    key = created["authorization_key"]
    try:
        with given_run(target, run.cast, api_name, key) as given:
            failed = given.run(CASES["TC_012_CSMS"], cut_off("RemoteStopTransaction.req").hook())
            passed = [given.run(CASES[name]) for name in ("TC_012_CSMS", "TC_003_CSMS")]
    finally:
        run.operator.forget(f"/charge-points/{api_name}")

    assert failed.outcome is Outcome.FAILED
    assert [result.outcome for result in passed] == [Outcome.PASSED, Outcome.PASSED]
