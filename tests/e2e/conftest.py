"""One system for the tests that only look at it, and one each for those that break it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from system import Api, System, Web, running_system
from worker_processes import Workers


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("system")) as system:
        yield system


@pytest.fixture(scope="session")
def web(shared_system: System) -> Web:
    return shared_system.start_web()


@pytest.fixture(scope="session")
def api(web: Web) -> Api:
    return Api(web.port)


@pytest.fixture
def own_system(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path) as system:
        yield system


@pytest.fixture
def workers(own_system: System) -> Iterator[Workers]:
    workers = Workers(own_system)
    yield workers
    workers.end()
