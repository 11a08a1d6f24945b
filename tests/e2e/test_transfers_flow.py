"""Firmware and logs from the wish to the last report, with a virtual charge point."""

from dataclasses import replace
from typing import Any

import pytest
from system import Api, Web, eventually

from chargepoint.charge_point import ChargePoint
from chargepoint.conversation import refuse
from chargepoint.options import Options

pytestmark = pytest.mark.e2e

QUICK = Options(step_s=0.02, reconnect_first_s=0.02, boot_retry_s=0.05)
FILE = b"firmware" * 400_000


def ended(api: Api, path: str, transfer_id: str) -> dict[str, Any]:
    """A transfer once it has come to its end."""

    def look() -> dict[str, Any] | None:
        transfer: dict[str, Any] = api.ok("GET", f"{path}/{transfer_id}")
        return transfer if transfer["ended_at"] else None

    found: dict[str, Any] = eventually(look, "the transfer has ended")
    return found


def statuses(transfer: dict[str, Any]) -> list[str]:
    return [event["status"] for event in transfer["history"]]


def test_an_update_is_followed_through_its_reboot(web: Web, api: Api) -> None:
    """TC_044_1."""
    key = api.create_charge_point("UPDATE-1")
    path = "/api/v1/charge-points/UPDATE-1/firmware-updates"
    with ChargePoint(web.ocpp_url, "UPDATE-1", authorization_key=key, options=QUICK) as one:
        one.wait_accepted()
        one.wait_delivered()

        asked = api.ok("POST", f"{path}?wait=30", {"location": "http://files.example/NW-5.0"})

        assert asked["state"] in {"taken", "running"}
        update = ended(api, path, asked["id"])
        assert update["state"] == "done"
        assert statuses(update) == [
            "Downloading",
            "Downloaded",
            "Installing",
            "BootNotification",
            "Installed",
        ]
        boot = update["history"][3]
        assert (boot["firmware_before"], boot["firmware_after"]) == ("4.2.0", "NW-5.0")


def test_a_file_signed_by_an_operator_is_installed(web: Web, api: Api) -> None:
    """TC_080; the file goes through the real server, larger than its other bodies."""
    key = api.create_charge_point("UPDATE-2")
    path = "/api/v1/charge-points/UPDATE-2/firmware-updates"
    api.ok("POST", "/api/v1/signing-keys", {"name": "flow", "algorithm": "ecdsa"})
    signed = api.ok(
        "POST",
        "/api/v1/signing-keys/flow/signatures",
        FILE,
        headers={"Content-Type": "application/octet-stream"},
    )
    with ChargePoint(web.ocpp_url, "UPDATE-2", authorization_key=key, options=QUICK) as one:
        one.wait_accepted()
        one.wait_delivered()

        asked = api.ok(
            "POST",
            f"{path}?wait=30",
            {
                "location": "http://files.example/NW-6.0",
                "signature": signed["signature"],
                "signing_certificate": signed["signing_certificate"],
                "sha256": signed["sha256"],
            },
        )

        assert (asked["kind"], asked["warnings"]) == ("signed-firmware", [])
        update = ended(api, path, asked["id"])
        assert update["state"] == "done"
        assert statuses(update)[-3:] == ["InstallRebooting", "BootNotification", "Installed"]


def test_the_other_message_is_hinted_at_and_taken(web: Web, api: Api) -> None:
    """White paper, L01.FR.20."""
    key = api.create_charge_point("UPDATE-3")
    path = "/api/v1/charge-points/UPDATE-3/firmware-updates"
    answers = {"UpdateFirmware": refuse("NotSupported")}
    with ChargePoint(
        web.ocpp_url, "UPDATE-3", authorization_key=key, options=QUICK, answers=answers
    ) as one:
        one.wait_accepted()
        one.wait_delivered()

        asked = api.ok("POST", f"{path}?wait=30", {"location": "http://files.example/NW-7.0"})

        assert asked["state"] == "refused"
        assert "SignedUpdateFirmware" in asked["hint"]


def test_a_later_log_cancels_the_one_that_is_uploaded(web: Web, api: Api) -> None:
    """White paper, N01."""
    key = api.create_charge_point("LOG-1")
    path = "/api/v1/charge-points/LOG-1/log-uploads"
    wish = {"location": "ftp://user:secret@files.example/in", "kind": "security-log"}
    slow = replace(QUICK, step_s=3.0)
    with ChargePoint(web.ocpp_url, "LOG-1", authorization_key=key, options=slow) as one:
        one.wait_accepted()
        one.wait_delivered()

        first = api.ok("POST", f"{path}?wait=30", wish)
        second = api.ok("POST", f"{path}?wait=30", wish)

        assert second["file_name"] == "LOG-1-SecurityLog.log"
        assert ended(api, path, first["id"])["state"] == "cancelled"
        last = ended(api, path, second["id"])
        assert (last["state"], statuses(last)) == ("done", ["Uploading", "Uploaded"])
        assert "secret" not in str(api.ok("GET", path))


def test_a_pending_charge_point_uploads_what_it_was_asked_for(web: Web, api: Api) -> None:
    """OCPP 1.6 ed. 2, 4.2: before its boot is accepted it says only what was asked of it."""
    key = api.create_charge_point("LOG-2", admission="pending")
    path = "/api/v1/charge-points/LOG-2/log-uploads"
    with ChargePoint(web.ocpp_url, "LOG-2", authorization_key=key, options=QUICK) as one:
        eventually(lambda: one.registration == "Pending", "it is Pending")

        for kind in ("diagnostics", "security-log"):
            asked = api.ok("POST", path, {"location": "ftp://files.example/in", "kind": kind})

            assert ended(api, path, asked["id"])["state"] == "done"
