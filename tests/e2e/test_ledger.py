"""What a charge point was told is kept: through kill -9 of web processes and of the store."""

import http.client
import os
import random
import signal

import gevent
import pytest
from ledger import acknowledged, all_of, violations
from system import Api, System, Web, eventually, in_a_thread, tracebacks

from chargepoint.charge_point import ChargePoint
from chargepoint.ledger import Ledger
from chargepoint.options import Options
from csms.state import repair
from csms.state.link_sync import SyncLink

pytestmark = pytest.mark.e2e

CHARGE_POINTS = 12
BLOWS = 8
SEED = 20261122


def restless(number: int) -> Options:
    """Comes back at once, sends again at once; every second one with a new message id."""
    return Options(
        reconnect_first_s=0.1,
        reconnect_max_s=1.0,
        call_timeout_s=8.0,
        retry_interval_s=0.2,
        retry_with_new_id=number % 2 == 0,
        meter_start_wh=1_000 * number,
    )


def charge(charge_point: ChargePoint, over: gevent.event.Event) -> None:
    """Sessions one after the other until it is over; messages queue while nobody answers."""
    while not over.is_set():
        charge_point.plug_in(1)
        charge_point.start_transaction(1, "LEDGER")
        for _ in range(3):
            gevent.sleep(0.15)
            charge_point.meter_values(1)
        charge_point.stop_transaction(1)
        charge_point.unplug(1)
        gevent.sleep(0.1)


def strike(system: System, webs: list[Web], chance: random.Random) -> None:
    """One blow: a web process or the store, as a kernel out of memory would."""
    if chance.random() < 0.5:
        chance.choice(webs).kill_children()
    else:
        os.kill(system.store.pid, signal.SIGKILL)
        gevent.sleep(0.3)
        in_a_thread(system.store.restart_if_dead)


def mend_indexes(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does every half a minute: how a transaction is found by its id alone is written
    without waiting, and a kill may take that. All at once, since these charge points are quick."""
    monkeypatch.setattr(repair, "RECENT", 1_000)
    link = SyncLink(system.store.url)
    try:
        repair.Repair(link).step(CHARGE_POINTS)
    finally:
        link.close()


def test_nothing_acknowledged_is_lost_or_doubled_whatever_is_killed(
    own_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    webs = [own_system.start_web(), own_system.start_web()]
    api = Api(webs[0].port)
    api.create_id_tag("LEDGER")
    chance = random.Random(SEED)
    over = gevent.event.Event()
    charge_points = []
    ledgers: dict[str, Ledger] = {}
    for number in range(CHARGE_POINTS):
        charge_point_id = f"LEDGER-{number:02d}"
        ledgers[charge_point_id] = Ledger()
        charge_points.append(
            ChargePoint(
                webs[number % 2].ocpp_url,
                charge_point_id,
                authorization_key=api.create_charge_point(charge_point_id),
                options=restless(number),
                ledger=ledgers[charge_point_id],
            )
        )
    for charge_point in charge_points:
        charge_point.start()
    for charge_point in charge_points:
        charge_point.wait_accepted(60)

    charging = [gevent.spawn(charge, charge_point, over) for charge_point in charge_points]
    commands = []
    for blow in range(BLOWS):
        gevent.sleep(chance.uniform(1.0, 2.0))
        commands += ask_around(webs[blow % 2], charge_points)
        strike(own_system, webs, chance)
    gevent.sleep(1)
    over.set()
    gevent.joinall(charging, raise_error=True)
    for web in webs:
        own_system.wait_ready(web)
    for charge_point in charge_points:
        charge_point.wait_accepted(60)
        charge_point.wait_delivered(60)

    in_a_thread(lambda: mend_indexes(own_system, monkeypatch))
    for charge_point_id, ledger in ledgers.items():
        assert len(acknowledged(ledger, "StopTransaction")) > 3
        assert violations(api, charge_point_id, ledger) == []
    assert all_of(api, "/api/v1/transactions?state=open") == []
    assert commands
    eventually(lambda: unsettled(api, commands) == [], "every command has its final state")
    for charge_point in charge_points:
        charge_point.stop()
    for web in webs:
        assert tracebacks(web) == []


def ask_around(web: Web, charge_points: list[ChargePoint]) -> list[str]:
    """Commands that are under way when the blow falls; refusals are answers, too."""
    asked = []
    for charge_point in charge_points[::3]:
        path = f"/api/v1/charge-points/{charge_point.charge_point_id}/commands"
        try:
            answer = Api(web.port)("POST", path, {"action": "GetConfiguration", "deadline_s": 20})
        except (OSError, http.client.HTTPException):
            continue  # it was the last one hit; who got no 202 was promised nothing
        if answer.status == 202:
            asked.append(answer.body["id"])
    return asked


def unsettled(api: Api, commands: list[str]) -> list[str]:
    states = {c: api.ok("GET", f"/api/v1/commands/{c}")["state"] for c in commands}
    return [c for c, state in states.items() if state in {"queued", "sent"}]
