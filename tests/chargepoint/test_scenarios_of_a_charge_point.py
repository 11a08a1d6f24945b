"""Scenarios, the command line and the demo."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gevent
import pytest
from honest_central_system import HonestCentralSystem, wait_until

from chargepoint import demo, scenarios

KEY = "00112233445566778899aabbccddeeff00112233"


class RegisteringApi(BaseHTTPRequestHandler):
    """As much of the HTTP API as the demo uses; DEMO-001 exists already."""

    existing: set[str]
    requests: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(("POST", self.path, body))
        if body.get("id") in self.existing:
            self._answer(409, {"message": "exists"})
        elif self.path.endswith("/charge-points"):
            self._answer(201, {"id": body["id"], "authorization_key": KEY})
        else:
            self._answer(201, body)

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(("PATCH", self.path, body))
        self._answer(200, {"authorization_key": KEY})

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: Any) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def api() -> Iterator[tuple[str, list[Any]]]:
    requests: list[Any] = []
    handler = type("Api", (RegisteringApi,), {"existing": {"DEMO-001"}, "requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v1", requests
        server.shutdown()
        thread.join()


def test_session_of_a_scenario_authorizes_charges_and_leaves(central_system, power_up):
    charge_point = power_up()

    done = scenarios.session(charge_point, 1, "ALICE", session_s=0.05, meter_every_s=0.02)
    charge_point.wait_delivered()

    actions = [one.action for one in central_system.received if one.action != "StatusNotification"]
    assert done
    assert actions[:3] == ["BootNotification", "Authorize", "StartTransaction"]
    assert actions[-1] == "StopTransaction"
    assert actions.count("MeterValues") >= 2
    assert central_system.statuses(1)[-1] == "Available"


def test_session_of_a_blocked_tag_ends_before_it_starts(central_system, power_up):
    central_system.id_tag_status["BOB"] = "Blocked"
    charge_point = power_up()

    done = scenarios.session(charge_point, 1, "BOB", session_s=0.05, meter_every_s=0.02)
    charge_point.wait_delivered()

    assert not done
    assert central_system.payloads("StartTransaction") == []
    assert central_system.statuses(1) == ["Available", "Preparing", "Available"]


def test_charging_day_keeps_going_over_a_link_that_breaks(central_system, power_up):
    charge_point = power_up()
    day = gevent.spawn(
        scenarios.charging_day,
        charge_point,
        session_s=0.05,
        pause_s=0.01,
        meter_every_s=0.02,
    )

    wait_until(lambda: len(central_system.payloads("StopTransaction")) >= 2)
    charge_point.cut()
    before = len(central_system.payloads("StopTransaction"))
    wait_until(lambda: len(central_system.payloads("StopTransaction")) >= before + 2)

    day.kill()
    connectors = {one["connectorId"] for one in central_system.payloads("StartTransaction")}
    assert connectors == {1, 2}


def test_faulted_scenario_shows_its_fault(central_system, power_up):
    charge_point = power_up()

    scenario = gevent.spawn(scenarios.faulted, charge_point)

    wait_until(lambda: central_system.statuses(1)[-1] == "Faulted")
    scenario.kill()


def test_offline_scenario_leaves_and_does_not_come_back(central_system, power_up):
    charge_point = power_up()

    scenario = gevent.spawn(scenarios.offline_soon, charge_point, after_s=0.01)

    wait_until(lambda: not charge_point.is_linked)
    scenario.kill()
    assert len(central_system.links) == 1


def test_remote_controlled_scenario_charges_until_it_is_stopped(central_system, power_up):
    charge_point = power_up()
    scenario = gevent.spawn(scenarios.remote_controlled, charge_point, meter_every_s=0.02)

    central_system.call("RemoteStartTransaction", {"idTag": "ALICE", "connectorId": 1})
    wait_until(lambda: len(central_system.payloads("MeterValues")) >= 2)
    central_system.call("RemoteStopTransaction", {"transactionId": 42})

    wait_until(lambda: central_system.statuses(1)[-1] == "Available")
    assert not scenario.ready()
    scenario.kill()


def test_charge_point_that_exists_gets_a_new_key(api):
    url, requests = api

    key = demo.register(demo.Api(url, "secret"), "DEMO-001")

    assert key == KEY
    assert [(method, path) for method, path, _ in requests] == [
        ("POST", "/api/v1/charge-points"),
        ("PATCH", "/api/v1/charge-points/DEMO-001"),
    ]
    assert requests[1][2] == {"authorization_key": "generate"}


def test_demo_knows_a_blocked_and_an_expired_tag(api):
    url, requests = api

    demo.create_id_tags(demo.Api(url, "secret"))

    tags = {body["id_tag"]: body for _, _, body in requests}
    assert tags["BOB"]["status"] == "Blocked"
    assert tags["CAROL"]["expires_at"] < "2999"
    assert set(tags) == {*demo.DRIVERS, "BOB", "CAROL"}


def test_demo_fleet_is_varied():
    fleet = [demo.charge_point_of("ws://127.0.0.1:1", n, KEY, talkative=False) for n in range(20)]

    assert len({one.options.vendor for one in fleet}) == len(demo.MAKES)
    assert {one.options.password_form for one in fleet} == {"raw", "hex"}
    kinds = [demo.scenario_of(number) for number in range(1, 21)]
    assert kinds.count(scenarios.faulted) == 1
    assert kinds.count(scenarios.idle) == 2


@pytest.mark.e2e
def test_demo_runs_until_it_is_told_to_stop(api, central_system):
    url, _ = api

    with run("chargepoint.demo", "--url", central_system.url, "--api", url, "--key", "k") as demo:
        wait_until(lambda: len({link["identity"] for link in central_system.links}) == 20)
        wait_until(lambda: len(central_system.payloads("StartTransaction")) >= 3)
        end(demo, signal.SIGTERM)

    assert "Faulted" in {one["status"] for one in central_system.payloads("StatusNotification")}


@pytest.mark.e2e
def test_command_line_prints_what_is_said_and_stops_on_interrupt(
    central_system: HonestCentralSystem,
):
    arguments = ("--url", central_system.url, "--id", "CP001", "--key", KEY, "--scenario", "idle")

    with run("chargepoint", *arguments) as process:
        wait_until(lambda: len(central_system.payloads("StatusNotification")) == 3)
        said = end(process, signal.SIGINT)

    assert central_system.links[0]["password"] == bytes.fromhex(KEY)
    assert "CP001" in said
    assert "BootNotification" in said


@contextmanager
def run(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def end(process: "subprocess.Popen[str]", number: signal.Signals) -> str:
    """Signal, and the output of a process that ended well."""
    process.send_signal(number)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 0, said
    return said
