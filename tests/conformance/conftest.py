"""One system, and one run of the kit against it, for all cases."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parent))

from certificates import Issued, root, server
from system import API_KEY, Web, free_port, running_system

from chargepoint.conformance.cases import CASES
from chargepoint.conformance.run import Result, Run, prepared_run
from chargepoint.conformance.target import Target


@dataclass(frozen=True)
class TLS:
    """An authority for everybody, and the ports of security profiles 2 and 3."""

    ca_file: str
    port: int
    client_port: int
    environment: Mapping[str, str]


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLS:
    directory = tmp_path_factory.mktemp("certificates")
    authority = root("rsa")
    ca_file, ca_key = Issued(authority.certificate, authority.key).write(directory, "root")
    pairs = [server(authority, kind).write(directory, kind) for kind in ("rsa", "ec")]
    port, client_port = free_port(), free_port()
    return TLS(
        str(ca_file),
        port,
        client_port,
        {
            "TLS_PORTS": f"{port}:none {client_port}:required",
            "TLS_CERTIFICATES": " ".join(f"{chain}:{key}" for chain, key in pairs),
            "TLS_CLIENT_CA": str(ca_file),
            "CERTIFICATE_AUTHORITY_CERTIFICATE": str(ca_file),
            "CERTIFICATE_AUTHORITY_KEY": str(ca_key),
        },
    )


@pytest.fixture(scope="session")
def conformance_web(tmp_path_factory: pytest.TempPathFactory, tls: TLS) -> Iterator[Web]:
    with running_system(tmp_path_factory.mktemp("conformance")) as system:
        # Two processes: who serves the operator need not be who holds the charge point's socket.
        yield system.start_web(WEB_CONCURRENCY="2", **tls.environment)


@pytest.fixture(scope="session")
def target(conformance_web: Web, tls: TLS) -> Target:
    return Target(
        conformance_web.ocpp_url,
        f"http://127.0.0.1:{conformance_web.port}/api/v1",
        API_KEY,
        # The name in the certificates.
        tls_url=f"wss://localhost:{tls.port}/ocpp",
        client_tls_url=f"wss://localhost:{tls.client_port}/ocpp",
        ca_file=tls.ca_file,
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
    """The result of a case without any mutation; each case and variant runs once."""
    results: dict[str, Result] = {}

    def result(case_key: str) -> Result:
        if case_key not in results:
            results[case_key] = run.run(CASES[case_key])
        return results[case_key]

    return result
