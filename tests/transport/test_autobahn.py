"""The Autobahn test suite's cases against our transport (https://github.com/crossbario/autobahn-testsuite)."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import kosoku
import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 20 * 1_048_576
NOT_APPLICABLE = ["9.*", "12.*", "13.*"]
"""Large messages as a benchmark, and compression, which we never agree to."""


@pytest.fixture
def echo_port() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests/transport/echo_app.py", str(LIMIT_BYTES)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()


def test_all_247_applicable_autobahn_cases_pass(echo_port):
    try:
        results = asyncio.run(
            kosoku.run_fuzzingclient(f"127.0.0.1:{echo_port}", None, NOT_APPLICABLE, 2)
        )
    except kosoku.FailureError as failure:
        results = failure.results

    assert [
        f"{case.case_id}: {case.result} {case.result_close}" for case in results if not case.passed
    ] == []
    # Non-strict: 6.4.3 and 6.4.4 would have us judge UTF-8 within an unfinished frame.
    assert Counter(case.behavior.value for case in results) == {
        "OK": 242,
        "NON-STRICT": 2,
        "INFORMATIONAL": 3,
    }
    assert len(results) == 247
