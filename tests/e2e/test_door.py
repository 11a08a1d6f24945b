"""Who may connect: known, over the right transport, with the right key, speaking OCPP 1.6."""

import base64

import pytest
import websockets
from system import Api, System, Web
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.e2e

KEY = "00112233445566778899aabbccddeeff00112233"
RAW = bytes.fromhex(KEY)


def knock(
    web: Web,
    path: str,
    password: bytes | None = None,
    user: bytes = b"DOOR-1",
    subprotocols: tuple[str, ...] = ("ocpp1.6",),
) -> ClientConnection:
    headers = {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(user + b":" + password).decode()
    return connect(
        f"ws://127.0.0.1:{web.port}{path}",
        subprotocols=[websockets.Subprotocol(name) for name in subprotocols] or None,
        additional_headers=headers,
        compression=None,
    )


def refusal(web: Web, path: str, **knocking: object) -> int:
    with pytest.raises(websockets.InvalidStatus) as refused:
        knock(web, path, **knocking)  # type: ignore[arg-type]
    return refused.value.response.status_code


@pytest.fixture(scope="module")
def known(api: Api) -> str:
    api.create_charge_point("DOOR-1", authorization_key=KEY)
    return "/ocpp/DOOR-1"


@pytest.mark.parametrize(
    "path",
    ["/ocpp/DOOR-1", "//ocpp///DOOR-1", "/ocpp/D%4FOR-1", "/ocpp/extra/DOOR-1", "/ocpp/door-1"],
)
@pytest.mark.parametrize("password", [RAW, KEY.encode(), KEY.upper().encode()], ids=repr)
def test_the_right_key_opens_whatever_its_form_and_the_paths(
    web: Web, known: str, path: str, password: bytes
) -> None:
    with knock(web, path, password, user=path.rsplit("/", 1)[-1].replace("%4F", "O").encode()) as s:
        assert s.subprotocol == "ocpp1.6"


@pytest.mark.parametrize(
    ("knocking", "status"),
    [
        ({}, 401),
        ({"password": RAW[:-1] + b"x"}, 401),
        ({"password": b""}, 401),
        ({"password": RAW, "user": b"DOOR-2"}, 401),
        ({"password": RAW, "user": b""}, 401),
        ({"password": RAW, "subprotocols": ()}, 400),
        ({"password": RAW, "subprotocols": ("ocpp0.1",)}, 400),
        ({"password": RAW, "subprotocols": ("xocpp1.6x", "ocpp2.0.1")}, 400),
    ],
    ids=repr,
)
def test_everything_else_is_refused_before_the_upgrade(
    web: Web, known: str, knocking: dict[str, object], status: int
) -> None:
    assert refusal(web, known, **knocking) == status


def test_unknown_is_404_whatever_it_presents(web: Web, known: str) -> None:
    assert refusal(web, "/ocpp/NOBODY") == 404
    assert refusal(web, "/ocpp/NOBODY", password=RAW, user=b"NOBODY") == 404
    assert refusal(web, "/elsewhere/DOOR-1", password=RAW) == 404


def test_the_subprotocol_is_answered_exactly(web: Web, known: str) -> None:
    """TC_088."""
    with knock(web, known, RAW, subprotocols=("ocpp0.1", "ocpp1.6")) as socket:
        assert socket.subprotocol == "ocpp1.6"


def test_profile_0_needs_no_key_and_only_by_name(web: Web, api: Api) -> None:
    api.create_charge_point("DOOR-OPEN", security_profile=0)

    with knock(web, "/ocpp/DOOR-OPEN") as socket:
        assert socket.subprotocol == "ocpp1.6"


def test_refusals_are_counted_and_readable(web: Web, api: Api, known: str) -> None:
    for _ in range(3):
        refusal(web, "/ocpp/COUNTED")

    page = api.ok("GET", "/api/v1/refused-connections?charge_point_id=COUNTED")
    (refused,) = page["items"]
    assert refused["count"] == 3
    assert refused["reason"] == "unknown charge point"
    assert refused["remote_address"] == "127.0.0.1"
    assert refused["first_at"] <= refused["last_at"]


@pytest.mark.parametrize(("policy", "status"), [("pending", "Pending"), ("accept", "Accepted")])
def test_unknown_charge_points_may_be_let_in(own_system: System, policy: str, status: str) -> None:
    web = own_system.start_web(UNKNOWN_CHARGE_POINTS=policy)

    with knock(web, "/ocpp/STRANGER") as socket:
        boot = '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
        socket.send(boot)
        assert f'"status":"{status}"' in str(socket.recv(timeout=20))


def test_a_new_key_admits_and_the_old_one_no_longer(web: Web, api: Api) -> None:
    old = api.create_charge_point("DOOR-KEY")
    changed = api.ok("PATCH", "/api/v1/charge-points/DOOR-KEY", {"authorization_key": "generate"})

    new = changed["authorization_key"]
    assert refusal(web, "/ocpp/DOOR-KEY", password=bytes.fromhex(old), user=b"DOOR-KEY") == 401
    with knock(web, "/ocpp/DOOR-KEY", bytes.fromhex(new), user=b"DOOR-KEY"):
        pass
