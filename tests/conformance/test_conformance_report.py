"""The kit on the command line, and what it reports."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mutations.mutation import Mutation, interrupted, put, refused, unschematic
from system import API_KEY, Api, Web

from chargepoint.conformance import questions, report_forms
from chargepoint.conformance.__main__ import main, select
from chargepoint.conformance.case import CERTIFICATION, CheckFailed, Profile
from chargepoint.conformance.cases import CASES
from chargepoint.conformance.certify import carry
from chargepoint.conformance.line import Frame
from chargepoint.conformance.masking import mask
from chargepoint.conformance.performance import figures, measure_authorize
from chargepoint.conformance.report import DISCLAIMER, Report, Subject
from chargepoint.conformance.run import Outcome, Result, Run

KEY = "00112233445566778899aabbccddeeff00112233"


def failed(case_id: str, received: str) -> Result:
    failure = CheckFailed(case_id, "4 Authorize.conf", "idTagInfo.status", "'Invalid'", received)
    frames = (Frame("2026-01-01T12:00:00.000Z", "central system", received),)
    return Result(CASES[case_id], Outcome.FAILED, 0.1234, failure, frames=frames)


def report_of(*results: Result) -> Report:
    return Report(
        subject=Subject("CSMS", "0.1.0", "ws://127.0.0.1:8000/ocpp", "WebSocket"),
        at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        results=results,
        questions=(),
        performance={
            "OCPP response time": figures([0.01, 0.02]),
            "Response time Authorize": None,
        },
        secrets=frozenset({KEY}),
    )


def passed_all(profile: Profile) -> list[Result]:
    """As many as the certification has, whether the kit has them or not."""
    case = next(case for case in CASES.values() if case.profile is profile)
    return [Result(case, Outcome.PASSED, 0.01)] * CERTIFICATION[profile]


class Reader(HTMLParser):
    """Every element that is opened is closed, in order."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_figures_are_those_of_a_list_done_by_hand():
    hundred = [number / 100 for number in range(1, 101)]

    found = figures(list(reversed(hundred)))

    assert found is not None
    assert (found.samples, found.min_s, found.max_s, found.p99_s) == (100, 0.01, 1.0, 0.99)
    assert found.average_s == pytest.approx(0.505)
    assert figures([]) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"expected {KEY}", "expected ****"),
        (f"expected {KEY.upper()}", "expected ****"),
        (
            '[2,"1","ChangeConfiguration",{"key":"authorizationKey","value":"abc"}]',
            '[2,"1","ChangeConfiguration",{"key":"authorizationKey","value":"****"}]',
        ),
        ('{"key":"AuthorizationKey","val', "(30 characters that name an AuthorizationKey)"),
        ("ftp://user:pass:word@host/file", "ftp://user:****@host/file"),
        ("http://host/file", "http://host/file"),
        ('{"key":"HeartbeatInterval","value":"60"}', '{"key":"HeartbeatInterval","value":"60"}'),
    ],
)
def test_secrets_are_masked(text: str, shown: str):
    assert mask(text, {KEY, "short"}) == shown


def test_a_profile_passes_only_when_all_its_cases_were_run_and_passed():
    whole = passed_all(Profile.CORE)
    one_failed = [*whole[1:], failed(whole[0].case.case_id, "{}")]
    not_run = Result(whole[0].case, Outcome.NOT_RUN, 0.0, reason="no --tls-url")

    def outcome(results: list[Result]) -> str:
        profiles = report_of(*results).as_object()["profiles"]
        return str(next(row["result"] for row in profiles if row["profile"] == Profile.CORE))

    assert outcome(whole) == "Pass"
    assert outcome(one_failed) == "Fail"
    assert outcome(whole[1:]) == "Incomplete"
    assert outcome([*whole[1:], not_run]) == "Incomplete"
    assert outcome([]) == "Not run"


def test_the_report_has_the_failure_in_all_three_forms_and_no_secret(tmp_path: Path):
    received = f'[3,"1",{{"idTagInfo":{{"status":"Accepted"}},"x":"<script>","key":"{KEY}"}}]'

    written = report_forms.write(report_of(failed("TC_023_1_CSMS", received)), tmp_path)

    assert [path.name for path in written] == ["report.md", "report.html", "report.json"]
    for path in written:
        text = path.read_text()
        assert "4 Authorize.conf" in text
        assert "Accepted" in text
        assert "not a certificate" in text
        assert KEY not in text
    found = json.loads(written[2].read_text())
    assert found["is_certificate"] is False
    assert found["cases"][0]["failure"]["frames"][0]["sender"] == "central system"
    reference = found["performance"]["figures"][0]["reference_certificate"]
    assert reference == {"min_s": 0.28, "max_s": 0.44, "average_s": 0.30}


def test_the_html_is_one_well_formed_file_that_needs_no_other():
    text = report_forms.html(report_of(failed("TC_023_1_CSMS", "<script>")).as_object())

    reader = Reader()
    reader.feed(text)

    assert reader.open == []
    assert {"caption", "th", "main", "title"} <= reader.seen
    assert not {"script", "link", "img"} & reader.seen


def test_the_page_carries_the_last_report_only(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- conformance: report -->\nold\n<!-- /conformance: report -->\nafter\n"
    )

    carry(page, "# New\n\ntext\n")
    carry(page, "# Newer\n")

    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "### Newer" in text
    assert "old" not in text
    assert "text" not in text


def test_cases_are_selected_by_id_or_profile():
    assert [case.case_id for case in select("TC_012_CSMS, TC_001_CSMS", None)] == [
        "TC_012_CSMS",
        "TC_001_CSMS",
    ]
    assert {case.profile for case in select(None, "core")} == {Profile.CORE}
    assert select(None, None) == list(CASES.values())
    with pytest.raises(ValueError, match="TC_999_CSMS"):
        select("TC_999_CSMS", None)
    with pytest.raises(ValueError, match="hardcore"):
        select(None, "hardcore")


def test_the_list_needs_no_system(capsys: pytest.CaptureFixture[str]):
    assert main(["--list", "--profiles", "core"]) == 0

    assert "TC_001_CSMS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--cases=TC_999_CSMS", "no such case: TC_999_CSMS"),
        ("--profiles=hardcore", "no such profile: hardcore"),
    ],
)
def test_a_wrong_selection_is_said_plainly(
    option: str, said: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(["--url=ws://x", "--api=http://x", "--key=x", option])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_configuration_file_gives_options_and_the_command_line_goes_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = tmp_path / "kit.json"
    config.write_text('{"profiles": "core", "cases": "TC_003_CSMS"}')

    assert main(["--config", str(config), "--list", "--cases", "TC_001_CSMS"]) == 0

    assert "TC_001_CSMS" in capsys.readouterr().out
    config.write_text('{"colour": "green"}')
    with pytest.raises(SystemExit):
        main(["--config", str(config), "--list"])
    assert "no such option: colour" in capsys.readouterr().err


# --- against the system ---


def command_line(web: Web, *options: str, key: str = API_KEY) -> list[str]:
    return [
        f"--url={web.ocpp_url}",
        f"--api=http://127.0.0.1:{web.port}/api/v1",
        f"--key={key}",
        "--authorize-samples=5",
        *options,
    ]


@pytest.mark.e2e
def test_the_command_line_runs_what_was_selected_and_reports(
    conformance_web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    wanted = "--cases=TC_003_CSMS,TC_088_CSMS"

    status = main(command_line(conformance_web, wanted, f"--report={tmp_path}"))

    assert status == 0
    assert "AQ-1: Yes" in capsys.readouterr().out
    found = json.loads((tmp_path / "report.json").read_text())
    assert [row["result"] for row in found["cases"]] == ["Pass", "Pass"]
    assert found["disclaimer"] == DISCLAIMER
    assert found["system_under_test"]["version"] != "?"
    samples = {row["name"]: row["samples"] for row in found["performance"]["figures"]}
    assert samples == {"OCPP response time": 7, "Response time Authorize": 5}
    assert API_KEY not in (tmp_path / "report.json").read_text()


@pytest.mark.e2e
def test_one_failed_case_makes_the_exit_status_1(
    conformance_web: Web, capsys: pytest.CaptureFixture[str]
):
    status = main(command_line(conformance_web, "--cases=TC_003_CSMS", "--limit=0.000001"))

    said = capsys.readouterr().out
    assert status == 1
    assert "step 2 BootNotification.conf: in time" in said
    assert "expected within 1e-06 s" in said


@pytest.mark.e2e
def test_a_kit_that_cannot_begin_says_why(conformance_web: Web, capsys: pytest.CaptureFixture[str]):
    status = main(command_line(conformance_web, key="wrong-api-key-0123456789"))

    assert status == 2
    assert "HTTP 401" in capsys.readouterr().err


@pytest.mark.e2e
def test_the_kit_leaves_no_charge_point_and_no_open_transaction_behind(
    conformance_web: Web, run: Run
):
    case = CASES["TC_004_1_CSMS"]
    lies = [
        unschematic("StartTransaction.conf"),
        unschematic("StatusNotification.conf 4"),
        interrupted("StatusNotification.conf 4"),
        refused("StartTransaction.conf"),
    ]

    run.run(case)
    for lie in lies:
        assert run.run(case, lie.hook()).outcome is Outcome.FAILED

    api = Api(conformance_web.port)
    entered = api.ok("GET", f"/api/v1/charge-points?prefix={run.cast.suffix}")
    transactions = api.ok("GET", f"/api/v1/transactions?id_tag={run.cast.valid}&state=open")
    assert entered["items"] == []
    assert transactions["items"] == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("lie", "answer"),
    [
        (None, "Yes"),
        (put("BootNotification.conf", "status", "Accepted"), "No"),
        (put("BootNotification.conf 2", "status", "Accepted"), "No"),
        (put("BootNotification.conf", "interval", "soon"), "No"),
    ],
)
def test_the_additional_question_is_answered_by_trying(run: Run, lie: Mutation | None, answer: str):
    asked = questions.ask(run) if lie is None else questions.ask(run, lie.hook())

    assert [(one.number, one.answer) for one in asked] == [("AQ-1", answer)]


@pytest.mark.e2e
def test_authorize_is_measured_as_often_as_asked(run: Run):
    samples = measure_authorize(run, 20)

    assert len(samples) == 20
    assert all(sample.action == "Authorize" and sample.seconds > 0 for sample in samples)
