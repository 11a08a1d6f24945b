"""A campaign over two hundred charge points gives each of them one outcome, the true one, and asks
nobody twice: through kill -9 of the worker, of web processes and of the store."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import gevent
import pytest
from system import Api, System, Web, eventually, free_port, in_a_thread, tracebacks
from worker_processes import QUICK, Workers, kill_session

from chargepoint import firmware
from chargepoint.charge_point import ChargePoint
from chargepoint.conversation import Answerer, Reply
from chargepoint.errors import CallRefused
from chargepoint.options import Options
from chargepoint.transfers import Transfers
from csms.clock import now_ms
from csms.domain.campaign import OUTCOMES, CampaignState, Target, TargetState
from csms.state import keys
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores

pytestmark = pytest.mark.e2e

CHARGE_POINTS = 200
SEED = int(os.environ.get("CAMPAIGN_SEED", "20261126"))
VERSION = "NW-9.0"
OPTIONS = Options(
    reconnect_first_s=0.1,
    reconnect_max_s=0.5,
    step_s=0.25,
    boot_retry_s=0.5,
    call_timeout_s=8.0,
    moves_files=True,
)
# Still at it when a campaign goes on whose run has died.
SLOW = replace(OPTIONS, step_s=5.0)
RULES = {
    "max_parallel": 30,
    "retries": 8,
    "retry_pause_s": 1,
    "download_limit_s": 20,
    "install_limit_s": 20,
    "verify_limit_s": 20,
}
UPDATES = ("UpdateFirmware", "SignedUpdateFirmware")
# What a charge point says when it gives up.
FAILURES = {"DownloadFailed", "InstallationFailed", "InvalidSignature", "NotSupported"}


class Watched(Transfers):
    """Notes each report, whether or not anybody is there to hear it."""

    def __init__(self, charge_point: ChargePoint, note: Callable[[str], None]) -> None:
        super().__init__(charge_point)
        self._note = note

    def report_firmware(self, status: str) -> None:
        self._note(status)
        super().report_firmware(status)

    def report_signed_firmware(self) -> None:
        self._note(self.signed_update[1])
        super().report_signed_firmware()


class Witness:
    """A charge point, and what it was asked and went through, in order. Every third does not know
    signed firmware, every sixth is slow."""

    def __init__(self, web: Web, number: int, key: str) -> None:
        self._chance = random.Random(number)
        self.id = id_of(number)
        # A pair is a CALL: its action, and the location that it names.
        self.seen: list[tuple[str, str] | str] = []
        options = SLOW if number % 6 == 1 else OPTIONS
        self.charge_point = ChargePoint(
            web.ocpp_url, self.id, authorization_key=key, options=options
        )
        self.charge_point.transfers = Watched(self.charge_point, self.seen.append)
        answers = self.charge_point.answers
        if number % 3 == 0:
            answers["SignedUpdateFirmware"] = self._does_not_know
        answers.update({action: self._noted(action, answers[action]) for action in UPDATES})

    def _does_not_know(self, _: dict[str, Any]) -> Any:
        self.seen.append("NotSupported")
        raise CallRefused("NotSupported")

    def _noted(self, action: str, act: Answerer) -> Answerer:
        """Some take their time: the blows fall in between, too."""

        def answer(payload: dict[str, Any]) -> Any:
            self.seen.append((action, payload.get("firmware", payload)["location"]))
            given = act(payload)
            assert isinstance(given, Reply)
            return Reply(given.payload, given.then, self._chance.choice((0.0, 0.2)))

        return answer

    def lies(self, target: Target) -> list[str]:
        """What the campaign has done wrong, or tells wrongly."""
        runs_it = self.charge_point.firmware_version == VERSION
        calls = Counter(one for one in self.seen if isinstance(one, tuple))
        outcomes = [event for event in target.history if event.what.split(":")[0] in OUTCOMES]
        possible = {TargetState.DONE} if runs_it else {TargetState.FAILED}
        found = [
            *[f"was sent {times} times: {call}" for call, times in calls.items() if times > 1],
            *self._asked_again(),
        ]
        if target.state not in possible | {TargetState.UNCLEAR}:
            found.append(f"{'runs it' if runs_it else 'does not run it'}, and is {target.state}")
        if len(outcomes) != 1:
            found.append(f"has {len(outcomes)} outcomes")
        return [f"{self.id} {one}: {target.reason}, {self.seen}" for one in found]

    def _asked_again(self) -> Iterator[str]:
        """It may be asked for another attempt only when the one before has failed."""
        may_be_asked = True
        for one in self.seen:
            if isinstance(one, tuple):
                if not may_be_asked:
                    yield "was asked again after it had agreed"
                may_be_asked = False
            elif one in FAILURES:
                may_be_asked = True


def id_of(number: int) -> str:
    return f"FLEET-{number:03}"


class Scene:
    """The system, with one worker and what starts it again when it is killed."""

    def __init__(self, system: System, workers: Workers, chance: random.Random) -> None:
        self.system, self.chance = system, chance
        self._workers = workers
        port = free_port()
        self._files_url = f"http://127.0.0.1:{port}"
        self.webs = [system.start_web(number, FILES_URL=self._files_url) for number in (port, None)]
        self.link = SyncLink(system.store.url)
        self.stores = Stores.behind(self.link, 10)
        self._worker = self._start_worker()
        self._last_run = 0
        self._supervisor = gevent.spawn(self._supervise)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return self._workers.errand(*QUICK, FILES_URL=self._files_url)

    def _supervise(self) -> None:
        """A worker ends when its store is gone, too; whatever ends is started again."""
        while True:
            gevent.sleep(0.3)
            if self._worker.poll() is not None:
                self._worker = self._start_worker()

    def end(self) -> None:
        self._supervisor.kill()
        self.link.close()

    def wait_for_work(self, campaign_id: str) -> None:
        """Until a worker is in the middle of it, and not the one that was hit by the last blow."""

        def is_at_work() -> bool:
            fields = ("run", "lease_until_ms")
            found = self.link.call("HMGET", keys.campaign(campaign_id), *fields)
            run, until_ms = (int(value or 0) for value in found)
            return run > self._last_run and until_ms > now_ms()

        eventually(is_at_work, "a worker is at work", every_s=0.002)
        gevent.sleep(self.chance.uniform(0, 0.2))
        self._last_run = int(self.link.call("HGET", keys.campaign(campaign_id), "run"))

    def kill_the_worker(self) -> None:
        kill_session(self._worker)

    def kill_a_web(self) -> None:
        self.chance.choice(self.webs).kill_children()

    def kill_the_store(self) -> None:
        assert self.system.store.pid
        os.kill(self.system.store.pid, signal.SIGKILL)
        gevent.sleep(0.3)
        in_a_thread(self.system.store.restart_if_dead)

    def is_over(self, campaign_id: str) -> bool:
        return self.stores.campaigns.get(campaign_id).is_over


def test_whoever_dies_each_charge_point_is_updated_once_and_told_truly(
    own_system: System, workers: Workers
) -> None:
    print(f"seed {SEED}")
    scene = Scene(own_system, workers, random.Random(SEED))
    try:
        play(scene)
    finally:
        scene.end()
    assert [line for web in scene.webs for line in tracebacks(web)] == []
    assert [entry for log in workers.logs for entry in complaints(log)] == []


def play(scene: Scene) -> None:
    webs, chance = scene.webs, scene.chance
    api = Api(webs[0].port)
    ids = [id_of(number) for number in range(CHARGE_POINTS)]
    found = in_a_thread(lambda: [api.create_charge_point(one) for one in ids])
    witnesses = [Witness(webs[number % 2], number, key) for number, key in enumerate(found)]
    for witness in witnesses:
        witness.charge_point.start()
    for witness in witnesses:
        witness.charge_point.wait_accepted(60)
    api.ok("POST", "/api/v1/signing-keys", {"name": "ours", "algorithm": "ecdsa"})
    image = api.ok(
        "POST",
        f"/api/v1/firmware?name=nw.bin&version={VERSION}",
        firmware.image(VERSION, b"x" * 100_000),
        headers={"Content-Type": "application/octet-stream"},
    )
    wish = {
        "name": "Autumn",
        "kind": "firmware",
        "firmware": {"firmware_id": image["id"], "signing_key": "ours"},
        "selection": {"all": True},
        "rules": RULES,
    }
    campaign_id = api.ok("POST", "/api/v1/campaigns", wish)["id"]
    began_s = time.monotonic()

    blows = 2 * [scene.kill_the_worker, scene.kill_a_web, scene.kill_the_store]
    chance.shuffle(blows)
    for blow in blows:
        gevent.sleep(chance.uniform(0.5, 3.0))
        scene.wait_for_work(campaign_id)
        counts = scene.stores.campaigns.get(campaign_id).counts
        print(f"{time.monotonic() - began_s:.1f} s, {blow.__name__}: {shown(counts)}", flush=True)
        blow()

    eventually(lambda: scene.is_over(campaign_id), "the campaign is over", 150, 0.5)
    ended = scene.stores.campaigns.get(campaign_id)
    print(f"{time.monotonic() - began_s:.1f} s, over: {shown(ended.counts)}")
    assert ended.state is CampaignState.ENDED
    assert sum(ended.counts[one] for one in OUTCOMES) == ended.target_count == CHARGE_POINTS
    by_state = [
        target.charge_point_id
        for state in TargetState
        for target in scene.stores.campaigns.targets(campaign_id, state, None, 1_000).items
    ]
    assert sorted(by_state) == ids
    targets = scene.stores.campaigns.targets_of(campaign_id, ids)
    lies = [
        lie
        for witness, target in zip(witnesses, targets, strict=True)
        for lie in witness.lies(target)
    ]
    assert lies == []
    assert ended.counts[TargetState.DONE] > CHARGE_POINTS // 2
    for witness in witnesses:
        witness.charge_point.stop()


def complaints(log: Path) -> Iterator[str]:
    """The tracebacks of a worker, but for those with which RQ tells that the store is gone; its
    scheduler writes plain text."""
    for is_json, lines in groupby(log.read_text().splitlines(), lambda line: line.startswith("{")):
        for entry in lines if is_json else ["\n".join(lines)]:
            if "Traceback" in entry and "redis.exceptions.ConnectionError" not in entry:
                yield entry


def shown(counts: Any) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
