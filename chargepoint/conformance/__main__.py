"""The kit on the command line: `python -m chargepoint.conformance --url … --api … --key …`.

Exit status: 0 when every selected case passed, 1 when not, 2 where it could not begin.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chargepoint.conformance import questions, report_forms
from chargepoint.conformance.case import Case, CheckFailed, Profile
from chargepoint.conformance.cases import CASES
from chargepoint.conformance.masking import mask
from chargepoint.conformance.operator import ApiUnusable
from chargepoint.conformance.performance import Figures, figures, measure_authorize
from chargepoint.conformance.report import Report, Subject
from chargepoint.conformance.run import Outcome, Result, Run, prepared_run
from chargepoint.conformance.target import Target

AUTHORIZE_SAMPLES = 500
PROFILES = {profile.name.lower().replace("_", "-"): profile for profile in Profile}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was selected, and say what was found."""
    parser = _parser()
    wanted = parser.parse_args(arguments)
    if wanted.config:
        # What the command line says goes before what the file says.
        parser.set_defaults(**_read_config(parser, wanted.config))
        wanted = parser.parse_args(arguments)
    try:
        selected = select(wanted.cases, wanted.profiles)
    except ValueError as error:
        parser.error(str(error))
    if wanted.list:
        for case in selected:
            print(f"{case.case_id:<14}  {case.profile:<36}  {case.title}")
        return 0
    for option in ("url", "api", "key"):
        if not getattr(wanted, option):
            parser.error(f"--{option} is needed")
    try:
        target = _target(wanted)
        with prepared_run(target) as run:
            report = carry_out(run, selected, wanted.authorize_samples)
    except (ApiUnusable, ValueError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    if wanted.report:
        for path in report_forms.write(report, Path(wanted.report)):
            print(path)
    return 0 if all(one.outcome is Outcome.PASSED for one in report.results) else 1


def select(case_ids: str | None, profiles: str | None) -> list[Case]:
    """The cases named, else those of the profiles named, else all. Raises ValueError."""
    if case_ids:
        names = [name.strip() for name in case_ids.split(",")]
        unknown = [name for name in names if name not in CASES]
        if unknown:
            raise ValueError(f"no such case: {', '.join(unknown)}; --list lists them")
        return [CASES[name] for name in names]
    if profiles:
        names = [name.strip() for name in profiles.split(",")]
        unknown = [name for name in names if name not in PROFILES]
        if unknown:
            raise ValueError(f"no such profile: {', '.join(unknown)}; of {', '.join(PROFILES)}")
        wanted = {PROFILES[name] for name in names}
        return [case for case in CASES.values() if case.profile in wanted]
    return list(CASES.values())


def carry_out(run: Run, selected: Iterable[Case], authorize_samples: int) -> Report:
    """The cases, the additional questions, and the measurement."""
    version = run.operator.version()
    results = []
    for result in run.run_all(selected):
        results.append(result)
        _say(result, run.secrets)
    asked = questions.ask(run)
    for question in asked:
        print(f"{question.number}: {question.answer}")
    return Report(
        subject=Subject(
            system="CSMS",
            version=version,
            address=run.target.url,
            technology=_technology(run.target.url),
        ),
        at=datetime.now(UTC),
        results=results,
        questions=asked,
        performance=_performance(run, results, authorize_samples),
        secrets=frozenset(run.secrets),
    )


def _performance(
    run: Run, results: Sequence[Result], authorize_samples: int
) -> Mapping[str, Figures | None]:
    calls = [sample.seconds for result in results for sample in result.samples]
    authorized: list[float] = []
    if authorize_samples:
        try:
            authorized = [one.seconds for one in measure_authorize(run, authorize_samples)]
        except (ApiUnusable, CheckFailed) as error:
            print(f"Authorize could not be measured: {error}")
    found = {
        "OCPP response time": figures(calls),
        "Response time Authorize": figures(authorized),
    }
    for name, one in found.items():
        if one is not None:
            print(
                f"{name}: {one.samples} samples, min {one.min_s:.4f} s, max {one.max_s:.4f} s, "
                f"average {one.average_s:.4f} s, p99 {one.p99_s:.4f} s"
            )
    return found


def _say(result: Result, secrets: Iterable[str]) -> None:
    case = result.case
    print(f"{result.outcome:<8} {case.case_id:<14} {result.duration_s:7.3f} s  {case.title}")
    if result.reason:
        print(f"         {result.reason}")
    if result.failure is not None:
        failure = result.failure
        print(f"         step {failure.step}: {failure.check}")
        print(f"         expected {mask(failure.expected, secrets)}")
        print(f"         received {mask(failure.received, secrets)}", flush=True)


def _technology(url: str) -> str:
    parts = urlsplit(url)
    over = "WebSocket over TLS" if parts.scheme == "wss" else "WebSocket over TCP"
    is_local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    return f"{over}, loopback" if is_local else over


def _target(wanted: argparse.Namespace) -> Target:
    """Raises ValueError."""
    return Target(
        url=wanted.url.rstrip("/"),
        api=wanted.api.rstrip("/"),
        key=wanted.key,
        tls_url=wanted.tls_url and wanted.tls_url.rstrip("/"),
        client_tls_url=wanted.client_tls_url and wanted.client_tls_url.rstrip("/"),
        ca_file=wanted.ca,
        answer_limit_s=wanted.limit,
        patience_s=wanted.patience,
    )


def _read_config(parser: argparse.ArgumentParser, path: str) -> dict[str, Any]:
    try:
        given = json.loads(Path(path).read_text())
        known = {action.dest for action in parser._actions}
        names = {str(name).replace("-", "_"): value for name, value in given.items()}
    except (OSError, ValueError, AttributeError) as error:
        parser.error(f"{path}: {error}")
    if unknown := names.keys() - known:
        parser.error(f"{path}: no such option: {', '.join(sorted(unknown))}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chargepoint.conformance", description=__doc__)
    where = parser.add_argument_group("the central system")
    where.add_argument("--url", help="endpoint without identity: ws://host:8000/ocpp")
    where.add_argument("--api", help="its API: http://host:8000/api/v1")
    where.add_argument(
        "--key", default=os.environ.get("CSMS_API_KEY"), help="API key; default: CSMS_API_KEY"
    )
    where.add_argument("--tls-url", help="endpoint of security profile 2: wss://host:8443/ocpp")
    where.add_argument("--client-tls-url", help="endpoint of security profile 3")
    where.add_argument("--ca", help="file with the roots that vouch for it over TLS (PEM)")
    what = parser.add_argument_group("what is tried")
    what.add_argument("--cases", help="ids, with commas between: TC_001_CSMS,TC_003_CSMS")
    what.add_argument("--profiles", help=f"of {', '.join(PROFILES)}; with commas between")
    what.add_argument("--list", action="store_true", help="list the cases selected, and end")
    how = parser.add_argument_group("how")
    how.add_argument("--limit", type=float, default=5.0, help="seconds for an answer; default 5")
    how.add_argument("--patience", type=float, default=10.0, help="seconds for a CALL; default 10")
    how.add_argument(
        "--authorize-samples",
        type=int,
        default=AUTHORIZE_SAMPLES,
        help=f"for the measurement; default {AUTHORIZE_SAMPLES}, 0 for none",
    )
    how.add_argument("--report", help="directory for report.md, report.html and report.json")
    how.add_argument("--config", help="a JSON file with any of these options by their names")
    return parser


if __name__ == "__main__":
    sys.exit(main())
