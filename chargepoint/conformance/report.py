"""What a run found, in the shape of the abstract that comes with a certificate."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from chargepoint.conformance import VERSION
from chargepoint.conformance.case import CERTIFICATION, Profile
from chargepoint.conformance.masking import mask
from chargepoint.conformance.performance import HOW, LIMIT_S, REFERENCE, Figures, Measurement
from chargepoint.conformance.questions import Question
from chargepoint.conformance.run import Outcome, Result

DISCLAIMER = (
    "This is not a certificate. Certificates are given by the Open Charge Alliance, after a test "
    "in one of its laboratories with its own test tool. This report says what our own kit found."
)
_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Subject:
    """What was tried. technology: how the kit reached it; charge_points: who played them."""

    system: str
    version: str
    address: str
    technology: str
    charge_points: str


@dataclass(frozen=True, slots=True)
class Report:
    subject: Subject
    at: datetime
    results: Sequence[Result]
    questions: Sequence[Question]
    performance: Sequence[Measurement]
    secrets: frozenset[str]

    def as_object(self) -> dict[str, Any]:
        """All of it for a JSON document; the other forms are made of this. Secrets are masked."""
        return {
            "title": "OCPP 1.6 conformance: abstract of the test report",
            "disclaimer": DISCLAIMER,
            "is_certificate": False,
            "system_under_test": {**asdict(self.subject), "role": "Central System", "ocpp": "1.6J"},
            "date": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "tool": {"name": "chargepoint.conformance", "version": VERSION},
            "profiles": [self._profile(profile) for profile in Profile],
            "cases": [self._case(result) for result in self.results],
            "additional_questions": [asdict(question) for question in self.questions],
            "performance": {
                "how": HOW,
                "limit_s": LIMIT_S,
                "figures": [self._figures(measured) for measured in self.performance],
            },
        }

    def _profile(self, profile: Profile) -> dict[str, Any]:
        """Passed is what passed all cases of the certification, not only those that were run; and a
        case is passed when all its variants are."""
        found: dict[str, set[Outcome]] = {}
        for result in self.results:
            if result.case.profile is profile:
                found.setdefault(result.case.case_id, set()).add(result.outcome)
        passed = sum(outcomes == {Outcome.PASSED} for outcomes in found.values())
        if any(Outcome.FAILED in outcomes for outcomes in found.values()):
            outcome = str(Outcome.FAILED)
        elif passed >= CERTIFICATION[profile]:
            outcome = str(Outcome.PASSED)
        elif passed:
            outcome = "Incomplete"
        else:
            outcome = str(Outcome.NOT_RUN)
        return {
            "profile": str(profile),
            "result": outcome,
            "passed": passed,
            "run": sum(outcomes != {Outcome.NOT_RUN} for outcomes in found.values()),
            "cases": CERTIFICATION[profile],
        }

    def _case(self, result: Result) -> dict[str, Any]:
        failure = result.failure
        shown: dict[str, Any] = {
            "id": result.case.case_id,
            "variant": result.case.variant or None,
            "title": result.case.full_title,
            "profile": str(result.case.profile),
            "mandatory": result.case.mandatory,
            "result": str(result.outcome),
            "checks": len(result.checks),
            "reason": result.reason,
            "failure": None,
        }
        if failure is not None:
            shown["failure"] = {
                "step": failure.step,
                "check": failure.check,
                "expected": self._mask(failure.expected),
                "received": self._mask(failure.received),
                "frames": [
                    {"at": frame.at, "sender": frame.sender, "text": self._mask(frame.text)}
                    for frame in result.frames
                ],
            }
        return shown

    def _figures(self, measured: Measurement) -> dict[str, Any]:
        found, reference = measured.figures, REFERENCE.get(measured.name)
        return {
            "name": measured.name,
            "load": measured.load,
            **(_rounded(found) if found else dict.fromkeys(Figures.__dataclass_fields__)),
            "within_limit": found.max_s <= LIMIT_S if found else None,
            "reference_certificate": (
                dict(zip(("min_s", "max_s", "average_s"), reference, strict=True))
                if reference
                else None
            ),
        }

    def _mask(self, text: str) -> str:
        return mask(text, self.secrets)


def _rounded(found: Figures) -> dict[str, float]:
    """To the microsecond."""
    return {name: round(value, 6) for name, value in asdict(found).items()}


Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The head of the report, line by line."""
    subject = report["system_under_test"]
    return [
        ("System under test", f"{subject['system']}, {subject['role']}, OCPP {subject['ocpp']}"),
        ("Version", subject["version"]),
        ("Address", subject["address"]),
        ("Communication technology", subject["technology"]),
        ("Charge points", subject["charge_points"]),
        ("Date of the test", report["date"]),
        ("Test tool", f"{report['tool']['name']} {report['tool']['version']}"),
    ]


def profile_table(report: dict[str, Any]) -> Table:
    rows = [
        [row["profile"], row["result"], f"{row['passed']} of {row['cases']}"]
        for row in report["profiles"]
    ]
    return "Profiles", ("Profile", "Result", "Cases passed"), rows


def case_tables(report: dict[str, Any]) -> list[Table]:
    """One for each profile of which a case was selected."""
    head = ("Case", "Title", "Need", "Result", "Checks", "Failed step")
    found: list[Table] = []
    for profile in report["profiles"]:
        rows = [
            [
                row["id"],
                row["title"],
                "mandatory" if row["mandatory"] else "conditional",
                row["result"],
                str(row["checks"]),
                row["failure"]["step"] if row["failure"] else row["reason"] or _NOTHING,
            ]
            for row in report["cases"]
            if row["profile"] == profile["profile"]
        ]
        if rows:
            found.append((f"Cases: {profile['profile']}", head, rows))
    return found


def question_table(report: dict[str, Any]) -> Table:
    rows = [
        [row["number"], row["text"], row["answer"], row["evidence"]]
        for row in report["additional_questions"]
    ]
    return "Additional questions", ("No.", "Question", "Answer", "What was tried"), rows


def performance_table(report: dict[str, Any]) -> Table:
    limit_s = report["performance"]["limit_s"]
    rows = []
    for name, same in groupby(report["performance"]["figures"], key=itemgetter("name")):
        reference = None
        for row in same:
            within = {True: "yes", False: "no", None: _NOTHING}[row["within_limit"]]
            rows.append([name, row["load"], *_cells(row), str(row["samples"] or 0), within])
            reference = row["reference_certificate"]
        if reference:
            cells = _cells({**reference, "p99_s": None}, 2)
            rows.append([name, "reference certificate", *cells, _NOTHING, "yes"])
    last = f"All within {limit_s:g} s"
    head = ("Measured", "Load", "Min (s)", "Max (s)", "Average (s)", "p99 (s)", "Samples", last)
    return "Performance", head, rows


def _cells(row: Mapping[str, Any], digits: int = 4) -> list[str]:
    values = (row[name] for name in ("min_s", "max_s", "average_s", "p99_s"))
    return [_NOTHING if value is None else f"{value:.{digits}f}" for value in values]


def tables(report: dict[str, Any]) -> list[Table]:
    return [
        profile_table(report),
        *case_tables(report),
        question_table(report),
        performance_table(report),
    ]


def failures(report: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each failed case with what is to be said of it."""
    return [
        (
            f"{row['id']}: {row['title']}",
            [
                (name.capitalize(), row["failure"][name])
                for name in ("step", "check", "expected", "received")
            ],
        )
        for row in report["cases"]
        if row["failure"]
    ]
