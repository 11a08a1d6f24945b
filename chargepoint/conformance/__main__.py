"""The kit on the command line: `python -m chargepoint.conformance --url … --api … --key …`.

Exit status: 0 when every case that was to be run has passed, 1 when not, 2 where it could not
begin, 130 when it was stopped.
"""

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import gevent

from chargepoint.conformance import performance, preflight, questions, report_forms
from chargepoint.conformance.case import Case, CheckFailed
from chargepoint.conformance.cast import Cast
from chargepoint.conformance.masking import mask
from chargepoint.conformance.operator import ApiUnusable, CannotBegin
from chargepoint.conformance.options import OF_ONE, hex_key, read_options, select
from chargepoint.conformance.performance import Measurement
from chargepoint.conformance.report import Report, Subject
from chargepoint.conformance.run import Outcome, Result, Run, given_run, prepared_run
from chargepoint.conformance.target import Target

OK, FAILED, CANNOT_BEGIN, STOPPED = 0, 1, 2, 130
# A terminal is no place for whole certificates; the report has it all.
SHOWN_MAX = 600


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was selected, and say what was found."""
    try:
        return _main(read_options(arguments))
    except (ApiUnusable, CannotBegin) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return CANNOT_BEGIN
    except KeyboardInterrupt:
        print("conformance: stopped, and cleared up", file=sys.stderr)
        return STOPPED


def _main(wanted: argparse.Namespace) -> int:
    selected = select(wanted.cases, wanted.profiles)
    if wanted.list:
        for case in selected:
            print(f"{case.case_id:<14}  {case.profile:<36}  {case.full_title}")
        return OK
    for option in ("url", "api", "key"):
        if not getattr(wanted, option):
            raise CannotBegin(f"--{option} is needed; --help says more")
    target = _target(wanted)
    if not wanted.without_tls:
        preflight.check_needs(target, selected)
    reports = _report_directory(wanted.report) if wanted.report else None
    preflight.check_api(target)
    with _run(target, wanted) as run:
        preflight.check_endpoints(run)
        report = carry_out(run, selected, wanted)
    if reports is not None:
        for path in report_forms.write(report, reports):
            print(path)
    missed = [
        result
        for result in report.results
        if result.outcome is Outcome.FAILED
        or (result.outcome is Outcome.NOT_RUN and not (wanted.without_tls and result.case.needs))
    ]
    return FAILED if missed else OK


@contextmanager
def _run(target: Target, wanted: argparse.Namespace) -> Iterator[Run]:
    """Raises ApiUnusable, CannotBegin."""
    if not any(getattr(wanted, name) for name in OF_ONE):
        with prepared_run(target) as run:
            yield run
        return
    for name in OF_ONE:
        if not getattr(wanted, name):
            raise CannotBegin(f"--{name.replace('_', '-')} is needed with the others of its kind")
    more = {"unknown": wanted.unknown} if wanted.unknown else {}
    cast = Cast(
        wanted.id_tag, wanted.id_tag_2, wanted.parent, wanted.blocked, wanted.expired, **more
    )
    key = hex_key(wanted.authorization_key)
    with given_run(target, cast, wanted.charge_point, key) as run:
        run.secrets.add(wanted.authorization_key)
        yield run


def carry_out(run: Run, selected: Iterable[Case], wanted: argparse.Namespace) -> Report:
    """The cases, the additional questions, and the measurement."""
    version = run.operator.version()
    results = []
    for result in run.run_all(selected):
        results.append(result)
        _say(result, run.secrets)
    asked = questions.ask(run)
    for question in asked:
        print(f"{question.number}: {question.answer}")
    report = Report(
        subject=Subject(
            system="CSMS",
            version=version,
            address=wanted.shown_as or run.target.url,
            technology=_technology(run.target),
            charge_points=_charge_points(wanted),
        ),
        at=datetime.now(UTC),
        results=results,
        questions=asked,
        performance=_performance(run, results, wanted.authorize_samples, wanted.busy),
        secrets=frozenset(run.secrets),
    )
    for row in report.as_object()["profiles"]:
        print(f"{row['profile']}: {row['result']}, {row['passed']} of {row['cases']} cases passed")
    return report


def _performance(
    run: Run, results: Sequence[Result], count: int, busy: int
) -> Sequence[Measurement]:
    found = [performance.of_cases([sample for result in results for sample in result.samples])]
    try:
        if count:
            found.append(performance.of_authorize(run, count))
        if count and busy:
            found.append(performance.of_authorize_under_load(run, count, busy))
    except (ApiUnusable, CheckFailed) as error:
        print(f"Authorize could not be measured: {error}")
    for one in found:
        if one.figures is not None:
            print(
                f"{one.name}, {one.load}: {one.figures.samples} samples, "
                f"min {one.figures.min_s:.4f} s, max {one.figures.max_s:.4f} s, "
                f"average {one.figures.average_s:.4f} s, p99 {one.figures.p99_s:.4f} s"
            )
    return found


def _say(result: Result, secrets: Iterable[str]) -> None:
    case = result.case
    print(f"{result.outcome:<8} {case.case_id:<14} {result.duration_s:7.3f} s  {case.full_title}")
    if result.reason:
        print(f"         {result.reason}")
    if result.failure is not None:
        failure = result.failure
        print(f"         step {failure.step}: {failure.check}")
        print(f"         expected {_shortened(mask(failure.expected, secrets))}")
        print(f"         received {_shortened(mask(failure.received, secrets))}")
    sys.stdout.flush()


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]} … ({len(text)} characters)"


def _technology(target: Target) -> str:
    parts = urlsplit(target.url)
    over = "WebSocket over TLS" if parts.scheme == "wss" else "WebSocket over TCP"
    if parts.scheme == "ws" and (target.tls_url or target.client_tls_url):
        over += ", and over TLS where a case wants it"
    is_local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    return f"{over}; loopback interface" if is_local else over


def _charge_points(wanted: argparse.Namespace) -> str:
    if not wanted.charge_point:
        return "One of its own for each case, entered by the kit and deleted afterwards"
    return (
        f"{wanted.charge_point} in all cases, connected from one to the next and leaving its "
        "transactions open; entered by an operator beforehand, as were the idTags"
    )


def _target(wanted: argparse.Namespace) -> Target:
    """Raises CannotBegin."""

    def address(url: str | None) -> str | None:
        return url.rstrip("/") if url and not wanted.without_tls else None

    try:
        return Target(
            url=wanted.url.rstrip("/"),
            api=wanted.api.rstrip("/"),
            key=wanted.key,
            tls_url=address(wanted.tls_url),
            client_tls_url=address(wanted.client_tls_url),
            ca_file=wanted.ca,
            answer_limit_s=wanted.limit,
            patience_s=wanted.patience,
        )
    except ValueError as error:
        raise CannotBegin(str(error)) from None


def _report_directory(path: str) -> Path:
    """Found out before the cases are run. Raises CannotBegin."""
    directory = Path(path)
    try:
        report_forms.prepare(directory)
    except OSError as error:
        raise CannotBegin(f"--report: {path}: {error.strerror}") from None
    return directory


def stop_in_good_order() -> None:
    """Ctrl-C and SIGTERM end this greenlet where it waits, once; it then clears up."""
    waiting, loop = gevent.getcurrent(), gevent.get_hub().loop

    def interrupt() -> None:
        for handler in handlers:
            handler.cancel()
        loop.run_callback(waiting.throw, KeyboardInterrupt)

    handlers = [gevent.signal_handler(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)]


if __name__ == "__main__":
    stop_in_good_order()
    sys.exit(main())
