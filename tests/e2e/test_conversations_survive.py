"""What was asked of charge points is done once and told truly: through kill -9 of web processes, of
the store, and of both."""

import http.client
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import certificates as test_certificates
import gevent
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ledger import all_of
from system import Answer, Api, System, Web, eventually, in_a_thread, tracebacks

from chargepoint.charge_point import ChargePoint
from chargepoint.conversation import Answerer, Reply
from chargepoint.options import Options
from csms.domain.certificate_authority import Authority, pem_chain

pytestmark = pytest.mark.e2e

CHARGE_POINTS = 8
TAGS = 240
BLOWS = 9
SEED = 20261125
CALM = Options(reconnect_first_s=0.1, reconnect_max_s=0.5, step_s=0.05, call_timeout_s=8.0)
# How long a command may wait, and its answer: all is over soon after the last blow.
PATIENCE = {"CALL_TIMEOUT_S": "5", "COMMAND_DEADLINE_S": "15"}
# Each of them is sent with words of its own, so that a second one shows.
SENT_ONCE = {
    "CancelReservation",
    "CertificateSigned",
    "ChangeConfiguration",
    "ClearChargingProfile",
    "GetDiagnostics",
    "GetLog",
    "ReserveNow",
    "SetChargingProfile",
}


class Witness:
    """A charge point, and every CALL it was sent with the status it answered. It does at once what
    it is asked, and takes its time to answer: the blows fall in between."""

    def __init__(self, web: Web, number: int, key: str) -> None:
        self._chance = random.Random(number)
        self.id = f"WITNESS-{number}"
        self.heard: list[tuple[str, dict[str, Any], str | None]] = []
        self.charge_point = ChargePoint(web.ocpp_url, self.id, authorization_key=key, options=CALM)
        answers = self.charge_point.answers
        answers.update({action: self._noted(action, act) for action, act in answers.items()})

    def _noted(self, action: str, act: Answerer) -> Answerer:
        def answer(payload: dict[str, Any]) -> Any:
            given = act(payload)
            reply = given if isinstance(given, Reply) else Reply(given)
            self.heard.append((action, payload, reply.payload.get("status")))
            return replace(reply, delay_s=self._chance.uniform(0.0, 0.4))

        return answer

    def calls(self, action: str) -> list[dict[str, Any]]:
        return [payload for heard, payload, _ in self.heard if heard == action]


class Operator:
    """Asks one charge point for one thing after the other; errors are answers, too."""

    def __init__(self, webs: list[Web], witness: Witness, chance: random.Random) -> None:
        self._webs = webs
        self._chance = chance
        self._path = f"/api/v1/charge-points/{witness.id}"
        self._number = 0
        self._cancelled: set[int] = set()
        # The commands of which it was told that they are taken.
        self.promised: list[str] = []

    def work(self, over: gevent.event.Event) -> None:
        wishes: list[Callable[[], None]] = [
            *(self._sync, self._reserve, self._install, self._configure),
            *(self._renew, self._upload, self._cancel, self._clear),
        ]
        while not over.is_set():
            self._number += 1
            self._chance.choice(wishes)()
            gevent.sleep(self._chance.uniform(0.02, 0.15))

    def _ask(self, method: str, path: str, body: Any = None) -> Answer | None:
        try:
            api = Api(self._chance.choice(self._webs).port)
            return api(method, f"{self._path}{path}", body, timeout_s=10)
        except (OSError, http.client.HTTPException):
            return None

    def _command(self, action: str, payload: Mapping[str, Any]) -> None:
        body = {"action": action, "payload": payload}
        answer = self._ask("POST", "/commands?wait=2", body)
        if answer is not None and answer.status in {200, 202}:
            self.promised.append(answer.body["id"])

    def _sync(self) -> None:
        self._ask("POST", "/local-list/sync?wait=2", {"full": self._chance.random() < 0.5})

    def _reserve(self) -> None:
        wish = {"connector_id": 1, "id_tag": f"GUEST-{self._number}", "expires_in_s": 4}
        self._ask("POST", "/reservations?wait=2", wish)

    def _cancel(self) -> None:
        found = self._ask("GET", "/reservations?state=accepted&limit=1")
        items = found.body["items"] if found is not None and found.status == 200 else []
        for reservation in items:
            if reservation["id"] not in self._cancelled:
                self._cancelled.add(reservation["id"])
                self._ask("DELETE", f"/reservations/{reservation['id']}?wait=2")

    def _install(self) -> None:
        profile = {
            "stackLevel": self._number % 3,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6 + self._number % 10}],
            },
        }
        wish = {"profile": profile, "connector_id": 1, "charging_profile_id": self._number}
        self._ask("POST", "/charging-profiles?wait=2", wish)

    def _clear(self) -> None:
        self._command("ClearChargingProfile", {"id": self._number - 1})

    def _configure(self) -> None:
        value = str(1_000 + self._number)
        self._command("ChangeConfiguration", {"key": "HeartbeatInterval", "value": value})

    def _renew(self) -> None:
        self._ask("POST", "/renew-certificate?wait=2")

    def _upload(self) -> None:
        kind = self._chance.choice(["diagnostics", "security-log"])
        wish = {"location": f"ftp://files.example/{self._number}", "kind": kind}
        self._ask("POST", "/log-uploads?wait=2", wish)


def kill_a_web(system: System, webs: list[Web], chance: random.Random) -> None:
    chance.choice(webs).kill_children()


def kill_the_store(system: System, webs: list[Web], chance: random.Random) -> None:
    os.kill(system.store.pid, signal.SIGKILL)
    gevent.sleep(0.3)
    in_a_thread(system.store.restart_if_dead)


def kill_both(system: System, webs: list[Web], chance: random.Random) -> None:
    kill_a_web(system, webs, chance)
    kill_the_store(system, webs, chance)


def certifying(authority: Authority) -> dict[str, str]:
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "CERTIFICATE_AUTHORITY_KEY": key.decode(),
        "CERTIFICATE_AUTHORITY_CERTIFICATE": pem_chain(authority.chain),
        "CERTIFICATE_SIGNATURE": str(authority.algorithm),
    }


def test_what_was_asked_is_done_once_and_told_truly(own_system: System) -> None:
    environment = {**PATIENCE, **certifying(test_certificates.root())}
    webs = [own_system.start_web(**environment) for _ in range(2)]
    api = Api(webs[0].port)
    chance = random.Random(SEED)
    in_a_thread(lambda: [api.create_id_tag(f"TAG-{number:04}") for number in range(TAGS)])
    witnesses = []
    for number in range(CHARGE_POINTS):
        key = api.create_charge_point(f"WITNESS-{number}", local_list="all")
        witnesses.append(Witness(webs[number % 2], number, key))
        witnesses[-1].charge_point.start()
    for witness in witnesses:
        witness.charge_point.wait_accepted(60)
        api.command(witness.id, "GetConfiguration")

    over = gevent.event.Event()
    operators = [Operator(webs, one, random.Random(chance.random())) for one in witnesses]
    working = [gevent.spawn(operator.work, over) for operator in operators]
    for blow in [kill_a_web, kill_the_store, kill_both] * (BLOWS // 3):
        gevent.sleep(chance.uniform(1.0, 2.0))
        blow(own_system, webs, chance)
    gevent.sleep(1)
    over.set()
    gevent.joinall(working, raise_error=True)
    for web in webs:
        own_system.wait_ready(web)
    for witness in witnesses:
        witness.charge_point.wait_accepted(60)
        witness.charge_point.wait_delivered(60)

    for witness, operator in zip(witnesses, operators, strict=True):
        eventually(lambda one=witness: unended(api, one) == [], "all has its end", 120, 1.0)
        assert lies(api, witness, operator) == []
        sync_well(api, witness)
        witness.charge_point.stop()
    assert sum(len(witness.heard) for witness in witnesses) > 50
    for web in webs:
        assert tracebacks(web) == []


WAITING = {"queued", "sent", "requested", "received", "signed", "accepted", "syncing"}


def unended(api: Api, witness: Witness) -> list[Any]:
    """What still waits for something; every reservation is over by then."""
    path = f"/api/v1/charge-points/{witness.id}"
    listed = [
        *all_of(api, f"{path}/commands"),
        *all_of(api, f"{path}/reservations"),
        *all_of(api, f"{path}/charging-profiles?state=any"),
        *all_of(api, f"{path}/log-uploads"),
        api.ok("GET", f"{path}/local-list"),
    ]
    requests = all_of(api, f"/api/v1/certificate-requests?charge_point_id={witness.id}")
    listed += [request for request in requests if request["state"] != "accepted"]
    return [one for one in listed if one["state"] in WAITING]


def lies(api: Api, witness: Witness, operator: Operator) -> list[str]:
    """Where the charge point knows better, in plain words."""
    path = f"/api/v1/charge-points/{witness.id}"
    commands = all_of(api, f"{path}/commands")
    return [
        *done_twice(witness),
        *told_otherwise(commands, witness),
        *[f"{one} is gone" for one in operator.promised if one not in {c["id"] for c in commands}],
        *profiles_otherwise(all_of(api, f"{path}/charging-profiles"), witness),
        *certificates_otherwise(api, witness),
    ]


def done_twice(witness: Witness) -> list[str]:
    found = []
    seen: Counter[str] = Counter()
    versions: Counter[int] = Counter()
    for action, payload, _ in witness.heard:
        if action in SENT_ONCE:
            seen[f"{action} {payload}"] += 1
        elif action == "GetLocalListVersion":
            versions.clear()
        elif action == "SendLocalList":
            versions[payload["listVersion"]] += 1
            if versions[payload["listVersion"]] > 1:
                found.append(f"version {payload['listVersion']} was sent twice")
    return [*found, *[f"sent {times} times: {what}" for what, times in seen.items() if times > 1]]


def told_otherwise(commands: list[dict[str, Any]], witness: Witness) -> list[str]:
    """Each answer that the API shows was given, and what was never sent was never heard."""
    given = Counter((action, status) for action, _, status in witness.heard)
    shown = Counter(
        (command["action"], command["answer"].get("status"))
        for command in commands
        if command["state"] == "answered"
    )
    found = [
        f"{what} was answered {shown[what]} times, not {given[what]}" for what in shown - given
    ]
    heard = Counter(action for action, _, _ in witness.heard)
    sent = Counter(c["action"] for c in commands if c["state"] != "undeliverable")
    return [*found, *[f"{action} was sent more often" for action in heard - sent]]


def profiles_otherwise(profiles: list[dict[str, Any]], witness: Witness) -> list[str]:
    has = {
        one.profile["chargingProfileId"] for one in witness.charge_point.charging_profiles.installed
    }
    installed = {p["charging_profile_id"] for p in profiles if p["state"] == "installed"}
    possible = {p["charging_profile_id"] for p in profiles}
    return [
        *[f"profile {number} is not there" for number in installed - has],
        *[f"profile {number} is not told" for number in has - possible],
    ]


def certificates_otherwise(api: Api, witness: Witness) -> list[str]:
    requests = all_of(api, f"/api/v1/certificate-requests?charge_point_id={witness.id}")
    csrs = Counter(request["csr"] for request in requests)
    chains = {payload["certificateChain"] for payload in witness.calls("CertificateSigned")}
    return [
        *[f"{times} requests for one CSR" for times in csrs.values() if times > 1],
        *[
            f"the certificate of {request['id']} was never sent"
            for request in requests
            if request["state"] == "accepted" and request["chain"] not in chains
        ],
    ]


def sync_well(api: Api, witness: Witness) -> None:
    """However it was hurt, the next sync brings the list in step."""
    path = f"/api/v1/charge-points/{witness.id}/local-list"
    shown = api.ok("POST", f"{path}/sync?wait=60", {})
    known = witness.charge_point.known_id_tags
    assert (shown["state"], shown["acknowledged_version"]) == ("in_step", known.local_list_version)
    entries = all_of(api, f"{path}/entries")
    assert {entry["id_tag"].casefold() for entry in entries} == set(known.local_list)
    assert len(known.local_list) == TAGS
