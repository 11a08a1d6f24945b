"""A lively fleet for the page: `python -m chargepoint.demo --url ws://… --api http://… --key …`.

Registers id tags and charge points over the HTTP API, with plain blocking requests before any
greenlet runs, and then lets the charge points live until SIGTERM or SIGINT.
"""

import argparse
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from chargepoint.charge_point import ChargePoint, say_nothing
from chargepoint.options import Options
from chargepoint.running import line_printer, run
from chargepoint.scenarios import (
    Scenario,
    charging_day,
    faulted,
    flaky_link,
    idle,
    offline_soon,
    remote_controlled,
)

API_TIMEOUT_S = 15.0
DRIVERS = ("ALICE", "DAVE", "ERIN", "FRANK", "GRACE", "HEIDI", "IVAN", "JUDY")
# Now and then somebody tries who should not: those refusals belong on the page too.
VISITORS = (*DRIVERS * 3, "BOB", "CAROL")


@dataclass(frozen=True, slots=True)
class Make:
    """An invented product: what BootNotification says and how strong it is."""

    vendor: str
    model: str
    firmware_version: str
    connectors: int
    rated_w: float


MAKES = (
    Make("Nordwerk", "NW-22 Duo", "4.2.0", 2, 22_000),
    Make("Voltalia Systems", "Piazza 11", "2024.11-r3", 1, 11_000),
    Make("Hanbit Charge", "HB-7S", "1.18.2", 1, 7_400),
    Make("Aurora Grid", "AG Twin", "v7.0.1+b88", 2, 11_000),
    Make("Kestrel Power", "K2", "3.9", 2, 22_000),
)


class Api:
    """The central system's HTTP API, as far as the demo needs it."""

    def __init__(self, url: str, key: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url} is not an HTTP address")
        self._url = url.rstrip("/")
        self._key = key

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of the answer; refusals are statuses, not exceptions."""
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=API_TIMEOUT_S) as response:  # noqa: S310
                return response.status, _object(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _object(error.read())
        except urllib.error.URLError as error:
            raise SystemExit(f"{self._url} does not answer: {error.reason}") from error


def wait_for(api: Api, patience_s: float) -> None:
    """Until the API answers; a system that was started together with us takes a moment."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            if api.request("GET", "/overview")[0] == HTTPStatus.OK:
                return
        except SystemExit:
            pass  # not there yet
        time.sleep(0.3)


def create_id_tags(api: Api) -> None:
    """Drivers that may charge, BOB who is blocked, CAROL whose tag has run out."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    tags: list[dict[str, Any]] = [{"id_tag": name, "status": "Accepted"} for name in DRIVERS]
    tags.append({"id_tag": "BOB", "status": "Blocked"})
    tags.append(
        {"id_tag": "CAROL", "status": "Accepted", "expires_at": f"{yesterday:%Y-%m-%dT%H:%M:%SZ}"}
    )
    for tag in tags:
        status, answer = api.request("POST", "/id-tags", tag)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            raise SystemExit(f"id tag {tag['id_tag']}: HTTP {status} {answer}")


def serial_of(number: int) -> str:
    return f"SN{20_260_000 + number}"


def register(api: Api, charge_point_id: str, serial_number: str = "") -> str:
    """Register a charge point, anew if need be; its AuthorizationKey in hex."""
    wanted = {
        "id": charge_point_id,
        "security_profile": 1,
        # What its certificates name it by; what it says of itself would not do.
        "serial_number": serial_number,
    }
    status, answer = api.request("POST", "/charge-points", wanted)
    if status == HTTPStatus.CONFLICT:
        # Its key was shown once, to an earlier run: it gets a new one.
        path = f"/charge-points/{urllib.parse.quote(charge_point_id, safe='')}"
        status, answer = api.request("PATCH", path, {"authorization_key": "generate"})
    key = answer.get("authorization_key")
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED) or not isinstance(key, str):
        raise SystemExit(f"charge point {charge_point_id}: HTTP {status} {answer}")
    return key


def scenario_of(number: int) -> Scenario:
    """Most charge; some wait, one is broken, one goes offline, one has a bad link."""
    match number % 20:
        case 3:
            return faulted
        case 7:
            return partial(offline_soon, after_s=25.0)
        case 11 | 16:
            return idle
        case 13 | 18:
            return remote_controlled
        case 14:
            return partial(flaky_link, id_tags=DRIVERS, cut_every_s=45.0)
        case _:
            return partial(
                charging_day,
                id_tags=VISITORS,
                session_s=45.0 + 10.0 * (number % 5),
                pause_s=12.0,
                meter_every_s=5.0,
            )


def charge_point_of(url: str, number: int, key: str, *, talkative: bool) -> ChargePoint:
    """The virtual charge point with this number; makes differ."""
    name = identity(number)
    make = MAKES[number % len(MAKES)]
    options = Options(
        vendor=make.vendor,
        model=make.model,
        firmware_version=make.firmware_version,
        serial_number=serial_of(number),
        connectors=make.connectors,
        rated_w=make.rated_w,
        meter_start_wh=1_000_000 + 173_000 * number,
        password_form="hex" if number % 4 == 0 else "raw",
        reconnect_max_s=15.0,
        queue_limit=2_000,
        samples_itself=False,
        moves_files=True,
    )
    say = line_printer(name) if talkative else say_nothing
    return ChargePoint(url, name, authorization_key=key, options=options, say=say)


def identity(number: int) -> str:
    """DEMO-001 and so on."""
    return f"DEMO-{number:03d}"


def main(arguments: list[str] | None = None) -> None:
    """Register, then run until stopped."""
    parser = argparse.ArgumentParser(prog="python -m chargepoint.demo", description=__doc__)
    parser.add_argument("--url", required=True, help="OCPP endpoint: ws://127.0.0.1:8000/ocpp")
    parser.add_argument("--api", required=True, help="API: http://127.0.0.1:8000/api/v1")
    parser.add_argument(
        "--key", default=os.environ.get("CSMS_API_KEY"), help="API key; default: $CSMS_API_KEY"
    )
    parser.add_argument(
        "--patience", type=float, default=0.0, help="seconds to wait for the API to answer"
    )
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--duration", type=float, help="seconds; default: until a signal")
    parser.add_argument("--talkative", action="store_true", help="print every message")
    wanted = parser.parse_args(arguments)

    if not wanted.key:
        parser.error("an API key is needed: --key or CSMS_API_KEY")
    api = Api(wanted.api, wanted.key)
    wait_for(api, wanted.patience)
    create_id_tags(api)
    fleet = []
    for number in range(1, wanted.count + 1):
        key = register(api, identity(number), serial_of(number))
        charge_point = charge_point_of(wanted.url, number, key, talkative=wanted.talkative)
        fleet.append((charge_point, scenario_of(number)))
    print(f"{len(fleet)} charge points registered at {wanted.api}; starting", flush=True)
    run(fleet, spread_s=5.0, duration_s=wanted.duration)


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content or b"{}")
    except ValueError:
        return {"text": content[:300].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"items": answer}


if __name__ == "__main__":
    main()
