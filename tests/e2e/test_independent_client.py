"""The Core profile, both ways, with a charge point this project did not write."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action
from system import Api, Web

pytestmark = pytest.mark.e2e


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class IndependentChargePoint(ChargePoint):
    """The `ocpp` package's charge point, answering every Core operation; it keeps what it got."""

    def __init__(self, charge_point_id: str, connection: Any) -> None:
        super().__init__(charge_point_id, connection)
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.stop_asked = asyncio.Event()

    @on(Action.remote_stop_transaction)
    def on_remote_stop(self, **payload: Any) -> call_result.RemoteStopTransaction:
        self.received.append(("RemoteStopTransaction", payload))
        self.stop_asked.set()
        return call_result.RemoteStopTransaction("Accepted")

    @on(Action.remote_start_transaction)
    def on_remote_start(self, **payload: Any) -> call_result.RemoteStartTransaction:
        self.received.append(("RemoteStartTransaction", payload))
        return call_result.RemoteStartTransaction("Accepted")

    @on(Action.change_availability)
    def on_change_availability(self, **payload: Any) -> call_result.ChangeAvailability:
        self.received.append(("ChangeAvailability", payload))
        return call_result.ChangeAvailability("Scheduled")

    @on(Action.change_configuration)
    def on_change_configuration(self, **payload: Any) -> call_result.ChangeConfiguration:
        self.received.append(("ChangeConfiguration", payload))
        return call_result.ChangeConfiguration("NotSupported")

    @on(Action.clear_cache)
    def on_clear_cache(self, **payload: Any) -> call_result.ClearCache:
        self.received.append(("ClearCache", payload))
        return call_result.ClearCache("Accepted")

    @on(Action.data_transfer)
    def on_data_transfer(self, **payload: Any) -> call_result.DataTransfer:
        self.received.append(("DataTransfer", payload))
        return call_result.DataTransfer("Accepted", data="pong")

    @on(Action.get_configuration)
    def on_get_configuration(self, **payload: Any) -> call_result.GetConfiguration:
        self.received.append(("GetConfiguration", payload))
        key = {"key": "NumberOfConnectors", "readonly": True, "value": "1"}
        return call_result.GetConfiguration(configuration_key=[key], unknown_key=["Nonsense"])

    @on(Action.reset)
    def on_reset(self, **payload: Any) -> call_result.Reset:
        self.received.append(("Reset", payload))
        return call_result.Reset("Rejected")

    @on(Action.unlock_connector)
    def on_unlock(self, **payload: Any) -> call_result.UnlockConnector:
        self.received.append(("UnlockConnector", payload))
        return call_result.UnlockConnector("UnlockFailed")


@asynccontextmanager
async def connected(web: Web, charge_point_id: str, key: str) -> AsyncIterator[Any]:
    basic = base64.b64encode(charge_point_id.encode() + b":" + bytes.fromhex(key)).decode()
    async with websockets.connect(
        f"{web.ocpp_url}/{charge_point_id}",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {basic}"},
    ) as connection:
        assert connection.subprotocol == "ocpp1.6"
        charge_point = IndependentChargePoint(charge_point_id, connection)
        reading = asyncio.create_task(charge_point.start())
        try:
            yield charge_point
        finally:
            reading.cancel()


async def boot(charge_point: ChargePoint) -> None:
    booted = await charge_point.call(
        call.BootNotification(charge_point_model="Model", charge_point_vendor="Vendor")
    )
    assert booted.status == "Accepted"
    assert booted.interval > 0
    for connector_id in (0, 1):
        await charge_point.call(
            call.StatusNotification(
                connector_id=connector_id, error_code="NoError", status="Available"
            )
        )


async def in_thread(work: Any, *arguments: Any, **more: Any) -> Any:
    return await asyncio.to_thread(lambda: work(*arguments, **more))


def test_a_session_from_boot_to_remote_stop(web: Web, api: Api) -> None:
    key = api.create_charge_point("INDEPENDENT-1")
    api.create_id_tag("FLOW-ALICE", parent_id_tag="FLOW-GROUP")

    async def session() -> int:
        async with connected(web, "INDEPENDENT-1", key) as charge_point:
            await boot(charge_point)
            authorized = await charge_point.call(call.Authorize(id_tag="flow-alice"))
            assert authorized.id_tag_info["status"] == "Accepted"
            assert authorized.id_tag_info["parent_id_tag"] == "FLOW-GROUP"
            started = await charge_point.call(
                call.StartTransaction(
                    connector_id=1, id_tag="FLOW-ALICE", meter_start=1000, timestamp=now()
                )
            )
            transaction_id = int(started.transaction_id)
            assert started.id_tag_info["status"] == "Accepted"
            await charge_point.call(
                call.MeterValues(
                    connector_id=1,
                    transaction_id=transaction_id,
                    meter_value=[
                        {"timestamp": now(), "sampledValue": [{"value": "1500", "unit": "Wh"}]}
                    ],
                )
            )
            command = await in_thread(
                api.command,
                "INDEPENDENT-1",
                "RemoteStopTransaction",
                {"transactionId": transaction_id},
            )
            assert command["state"] == "answered"
            assert command["answer"] == {"status": "Accepted"}
            assert charge_point.stop_asked.is_set()
            await charge_point.call(
                call.StopTransaction(
                    meter_stop=3000, timestamp=now(), transaction_id=transaction_id, reason="Remote"
                )
            )
            return transaction_id

    transaction_id = asyncio.run(session())

    transaction = api.ok("GET", f"/api/v1/transactions/{transaction_id}")
    assert transaction["charge_point_id"] == "INDEPENDENT-1"
    assert transaction["state"] == "stopped"
    assert transaction["energy_wh"] == 2000
    assert transaction["stop_reason"] == "Remote"
    values = api.ok("GET", f"/api/v1/transactions/{transaction_id}/meter-values")
    sampled = [value["sampled_value"] for value in values["items"]]
    assert sampled == [[{"value": "1500", "unit": "Wh"}]]


CORE = [
    ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, {"status": "Scheduled"}),
    ("ChangeConfiguration", {"key": "Odd", "value": "-1"}, {"status": "NotSupported"}),
    ("ClearCache", {}, {"status": "Accepted"}),
    ("DataTransfer", {"vendorId": "V", "data": "ping"}, {"status": "Accepted", "data": "pong"}),
    (
        "GetConfiguration",
        {"key": ["NumberOfConnectors", "Nonsense"]},
        {
            "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "1"}],
            "unknownKey": ["Nonsense"],
        },
    ),
    ("RemoteStartTransaction", {"idTag": "X", "connectorId": 1}, {"status": "Accepted"}),
    ("RemoteStopTransaction", {"transactionId": 1}, {"status": "Accepted"}),
    ("Reset", {"type": "Soft"}, {"status": "Rejected"}),
    ("UnlockConnector", {"connectorId": 7}, {"status": "UnlockFailed"}),
]


def test_every_core_operation_reaches_the_charge_point_and_its_answer_the_operator(
    web: Web, api: Api
) -> None:
    key = api.create_charge_point("INDEPENDENT-2")

    async def commands() -> list[tuple[str, dict[str, Any]]]:
        async with connected(web, "INDEPENDENT-2", key) as charge_point:
            await boot(charge_point)
            for action, payload, answer in CORE:
                command = await in_thread(api.command, "INDEPENDENT-2", action, payload)
                assert (command["action"], command["state"], command["answer"]) == (
                    action,
                    "answered",
                    answer,
                )
            return list(charge_point.received)

    received = asyncio.run(commands())

    assert [action for action, _ in received] == [action for action, _, _ in CORE]
