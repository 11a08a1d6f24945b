"""A web process killed between persisting and answering: what is sent again is recognised."""

import json
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.server
import gevent.socket
import pytest
import websockets
from system import Api, System, Web, eventually, in_a_thread
from websockets.sync.client import ClientConnection, connect

from csms.state import fence, transactions
from csms.state.link import Script

pytestmark = pytest.mark.e2e

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
START: dict[str, Any] = {
    "connectorId": 1,
    "idTag": "ALICE",
    "meterStart": 100,
    "timestamp": "2026-11-22T10:00:00Z",
}
FOLLOWS: dict[str, dict[str, Any]] = {
    "MeterValues": {
        "connectorId": 1,
        "meterValue": [
            {"timestamp": "2026-11-22T10:05:00Z", "sampledValue": [{"value": "150"}]},
        ],
    },
    "StopTransaction": {"meterStop": 400, "timestamp": "2026-11-22T10:10:00Z"},
}
SCRIPTS = {
    "StartTransaction": transactions.START,
    "MeterValues": fence.FENCED,
    "StopTransaction": transactions.STOP,
}


class SilencedStore:
    """A proxy to the store that does what it is asked, but keeps silent from a script on."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._silenced_by: bytes | None = None
        self.is_silent = False
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._server.server_port}"

    def silence_from(self, script: Script) -> None:
        self._silenced_by = script.sha.encode()

    def speak_again(self) -> None:
        self._silenced_by = None
        self.is_silent = False

    def stop(self) -> None:
        self._server.stop(timeout=1)

    def _serve(self, client: gevent.socket.socket, _: object) -> None:
        store = gevent.socket.socket(gevent.socket.AF_UNIX, gevent.socket.SOCK_STREAM)
        store.connect(self._path)
        back = gevent.spawn(self._pass, store, client, replies=True)
        self._pass(client, store, replies=False)
        back.kill()
        store.close()
        client.close()

    def _pass(
        self, source: gevent.socket.socket, target: gevent.socket.socket, *, replies: bool
    ) -> None:
        try:
            while data := source.recv(65_536):
                if not replies and self._silenced_by is not None and self._silenced_by in data:
                    self.is_silent = True
                if replies and self.is_silent:
                    continue
                target.sendall(data)
        except OSError:
            return  # the process at the other end was killed


@pytest.fixture
def silenced(own_system: System) -> Iterator[SilencedStore]:
    silenced = SilencedStore(own_system.store.url.removeprefix("unix://"))
    yield silenced
    for web in own_system.webs:
        in_a_thread(web.stop)
    silenced.stop()


def open_socket(web: Web) -> ClientConnection:
    return connect(
        f"{web.ocpp_url}/CP001",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        compression=None,
    )


def ask(socket: ClientConnection, unique_id: str, action: str, payload: object) -> dict[str, Any]:
    socket.send(json.dumps([2, unique_id, action, payload]))
    kind, answered, answer = json.loads(socket.recv(timeout=30))
    assert (kind, answered) == (3, unique_id), answer
    return dict(answer)


@pytest.mark.parametrize("second_id", ["same", "another"])
@pytest.mark.parametrize("action", ["StartTransaction", "MeterValues", "StopTransaction"])
def test_a_message_that_was_kept_but_not_answered_is_kept_once(
    own_system: System, silenced: SilencedStore, action: str, second_id: str
) -> None:
    web = own_system.start_web(REDIS_URL=silenced.url)
    api = Api(web.port)
    api.create_id_tag("ALICE")
    api.create_charge_point("CP001", security_profile=0)

    def before() -> dict[str, Any]:
        with open_socket(web) as socket:
            socket.send(BOOT)
            socket.recv(timeout=30)
            payload = START
            if action != "StartTransaction":
                started = ask(socket, "started", "StartTransaction", START)
                payload = FOLLOWS[action] | {"transactionId": started["transactionId"]}
            silenced.silence_from(SCRIPTS[action])
            socket.send(json.dumps([2, "same", action, payload]))
            while not silenced.is_silent:
                gevent.sleep(0.01)
            gevent.sleep(0.3)
            web.kill_children()
            return payload

    payload = in_a_thread(before)
    silenced.speak_again()
    eventually(lambda: is_up(api), "the web process is back")

    def after() -> dict[str, Any]:
        with open_socket(web) as socket:
            return ask(socket, second_id, action, payload)

    answer = in_a_thread(after)

    (transaction,) = api.ok("GET", "/api/v1/transactions")["items"]
    if action == "StartTransaction":
        assert answer["transactionId"] == transaction["id"]
        assert answer["idTagInfo"] == {"status": "Accepted"}
    if action == "MeterValues":
        values = api.ok("GET", f"/api/v1/transactions/{transaction['id']}/meter-values")
        assert len(values["items"]) == 1
        assert transaction["energy_wh"] == 50
    if action == "StopTransaction":
        assert (transaction["state"], transaction["energy_wh"]) == ("stopped", 300)


def is_up(api: Api) -> bool:
    try:
        return api("GET", "/readyz").status == 200
    except OSError:
        return False
