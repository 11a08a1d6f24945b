"""The kit on the command line, and what it reports."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mutations.mutation import Mutation, interrupted, put, refused, unschematic
from system import Api, Web

from chargepoint.conformance import questions, report_forms
from chargepoint.conformance.case import CheckFailed, Profile
from chargepoint.conformance.cases import CASES
from chargepoint.conformance.certify import Page
from chargepoint.conformance.line import Frame
from chargepoint.conformance.masking import mask
from chargepoint.conformance.performance import (
    AUTHORIZE,
    RESPONSE,
    Measurement,
    figures,
    of_authorize,
    of_authorize_under_load,
)
from chargepoint.conformance.report import Report, Subject, performance_table
from chargepoint.conformance.run import Outcome, Result, Run

KEY = "00112233445566778899aabbccddeeff00112233"


def failed(case_id: str, received: str) -> Result:
    failure = CheckFailed(case_id, "4 Authorize.conf", "idTagInfo.status", "'Invalid'", received)
    frames = (Frame("2026-01-01T12:00:00.000Z", "central system", received),)
    return Result(CASES[case_id], Outcome.FAILED, 0.1234, failure, frames=frames)


def report_of(*results: Result) -> Report:
    return Report(
        subject=Subject("CSMS", "0.1.0", "ws://127.0.0.1:8000/ocpp", "WebSocket", "CP001"),
        at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        results=results,
        questions=(),
        performance=(
            Measurement(RESPONSE, "one after the other", figures([0.01, 0.02])),
            Measurement(AUTHORIZE, "alone", None),
            Measurement(AUTHORIZE, "beside others", figures([0.5, 5.5])),
        ),
        secrets=frozenset({KEY}),
    )


def passed_all(profile: Profile) -> list[Result]:
    of_profile = [case for case in CASES.values() if case.profile is profile]
    return [Result(case, Outcome.PASSED, 0.01) for case in of_profile]


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
        ("'AuthorizationKey'", "'AuthorizationKey'"),
        ('{"key":"AuthorizationKey","val', "(30 characters that name an AuthorizationKey)"),
        ("ftp://user:pass:word@host/file", "ftp://user:****@host/file"),
        ("http://host/file", "http://host/file"),
        ('{"key":"HeartbeatInterval","value":"60"}', '{"key":"HeartbeatInterval","value":"60"}'),
    ],
)
def test_secrets_are_masked(text: str, shown: str):
    assert mask(text, {KEY, "short"}) == shown


def test_a_profile_passes_only_when_all_its_cases_and_variants_were_run_and_passed():
    whole = passed_all(Profile.CORE)
    not_run = Result(whole[0].case, Outcome.NOT_RUN, 0.0, reason="without --tls-url")
    at = next(number for number, result in enumerate(whole) if result.case.variant)
    variant = replace(whole[at], outcome=Outcome.FAILED)

    def outcome(results: list[Result]) -> tuple[str, int]:
        profiles = report_of(*results).as_object()["profiles"]
        row = next(row for row in profiles if row["profile"] == Profile.CORE)
        assert row["cases"] == 46
        return row["result"], row["passed"]

    assert outcome(whole) == ("Pass", 46)
    assert outcome([*whole[1:], failed(whole[0].case.case_id, "{}")]) == ("Fail", 45)
    assert outcome([*whole[:at], variant, *whole[at + 1 :]]) == ("Fail", 45)
    assert outcome(whole[1:]) == ("Incomplete", 45)
    assert outcome([*whole[1:], not_run]) == ("Incomplete", 45)
    assert outcome([]) == ("Not run", 0)


def test_the_performance_table_has_each_load_and_then_the_reference():
    _, head, rows = performance_table(report_of().as_object())

    assert head[-1] == "All within 5 s"
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("OCPP response time", "one after the other", "yes"),
        ("OCPP response time", "reference certificate", "yes"),
        ("Response time Authorize", "alone", "–"),
        ("Response time Authorize", "beside others", "no"),
        ("Response time Authorize", "reference certificate", "yes"),
    ]


def test_two_runs_of_the_same_differ_in_date_and_performance_only():
    first = report_of(*passed_all(Profile.RESERVATION))
    slower = [replace(one, duration_s=9.0, frames=()) for one in first.results]
    second = replace(first, results=slower)

    assert second.as_object() == first.as_object()


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
    path = tmp_path / "page.md"
    path.write_text(
        "before\n<!-- conformance: report -->\nold\n<!-- /conformance: report -->\nafter\n"
    )

    Page.read(path).carry("# New\n\ntext\n")
    Page.read(path).carry("# Newer\n")

    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "### Newer" in text
    assert "old" not in text
    assert "text" not in text


# --- against the system ---


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
    entered = api.ok("GET", f"/api/v1/charge-points?prefix={run.name}")
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
def test_authorize_is_measured_as_often_as_asked_alone_and_beside_others(run: Run):
    alone = of_authorize(run, 20)
    beside = of_authorize_under_load(run, 50, busy_count=3)

    assert alone.figures is not None
    assert beside.figures is not None
    assert (alone.figures.samples, beside.figures.samples) == (20, 50)
    assert 0 < alone.figures.min_s <= alone.figures.average_s <= alone.figures.max_s
    assert beside.load.startswith("while 3 others charge and send ")


@pytest.mark.e2e
def test_a_load_that_breaks_down_is_no_load_to_measure_under(run: Run):
    hurried = Run(replace(run.target, answer_limit_s=1e-6), run.operator, run.cast, run.name)

    with pytest.raises(CheckFailed):
        of_authorize_under_load(hurried, 1, busy_count=1)
