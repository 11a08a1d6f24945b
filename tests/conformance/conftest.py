"""One system, and one run of the kit against it, for all cases."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from system import API_KEY, Web, running_system

from chargepoint.conformance.cases import CASES
from chargepoint.conformance.run import Result, Run, prepared_run
from chargepoint.conformance.target import Target


@pytest.fixture(scope="session")
def conformance_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with running_system(tmp_path_factory.mktemp("conformance")) as system:
        yield system.start_web()


@pytest.fixture(scope="session")
def target(conformance_web: Web) -> Target:
    return Target(
        conformance_web.ocpp_url,
        f"http://127.0.0.1:{conformance_web.port}/api/v1",
        API_KEY,
        # A busy machine is no reason to fail, and nothing is proved by waiting.
        answer_limit_s=30.0,
        patience_s=30.0,
        pauses=False,
    )


@pytest.fixture(scope="session")
def run(target: Target) -> Iterator[Run]:
    with prepared_run(target) as run:
        yield run


@pytest.fixture(scope="session")
def honest(run: Run) -> Callable[[str], Result]:
    """The result of a case without any mutation; each case runs once."""
    results: dict[str, Result] = {}

    def result(case_id: str) -> Result:
        if case_id not in results:
            results[case_id] = run.run(CASES[case_id])
        return results[case_id]

    return result
