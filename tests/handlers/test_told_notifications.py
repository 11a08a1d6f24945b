"""Messages that only tell: Heartbeat, DataTransfer, the progress of firmware and diagnostics."""

import pytest
from cast import NOON_MS, Line

from csms.errors import StaleEpoch

FIRMWARE = [
    "Downloaded",
    "DownloadFailed",
    "Downloading",
    "Idle",
    "InstallationFailed",
    "Installing",
    "Installed",
]
DIAGNOSTICS = ["Idle", "Uploaded", "UploadFailed", "Uploading"]


@pytest.mark.parametrize("now_ms", [NOON_MS, NOON_MS + 1, NOON_MS + 86_400_999])
def test_a_heartbeat_is_answered_with_the_time_in_utc(line, now_ms):
    """OCPP 1.6 ed. 2, 4.6: charge points set their clocks by it."""
    current_time = line.call("Heartbeat", {}, now_ms)["currentTime"]

    day, _, clock = current_time.partition("T")
    assert day == ("2026-11-22" if now_ms < NOON_MS + 2 else "2026-11-23")
    assert clock == f"12:00:00.{(now_ms - NOON_MS) % 86_400_000:03d}Z"


@pytest.mark.parametrize(
    "payload",
    [
        {"vendorId": "V"},
        {"vendorId": "V", "messageId": "m", "data": "free text"},
        {"vendorId": "V", "data": {"an": "object"}},
        {"vendorId": "", "data": "x" * 100_000},
    ],
)
def test_nobody_s_extensions_are_known(line, payload):
    """OCPP 1.6 ed. 2, 4.3: UnknownVendorId without data."""
    assert line.call("DataTransfer", payload) == {"status": "UnknownVendorId"}


@pytest.mark.parametrize("status", FIRMWARE)
def test_the_progress_of_firmware_is_recorded(line, status):
    assert line.call("FirmwareStatusNotification", {"status": status}) == {}

    record = line.stores.charge_points.get("CP001")
    assert (record.firmware_status, record.firmware_status_at_ms) == (status, NOON_MS)
    assert record.diagnostics_status == ""


@pytest.mark.parametrize("status", DIAGNOSTICS)
def test_the_progress_of_diagnostics_is_recorded(line, status):
    assert line.call("DiagnosticsStatusNotification", {"status": status}) == {}

    record = line.stores.charge_points.get("CP001")
    assert (record.diagnostics_status, record.diagnostics_status_at_ms) == (status, NOON_MS)
    assert record.firmware_status == ""


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("FirmwareStatusNotification", {"status": "Installed"}),
        ("DiagnosticsStatusNotification", {"status": "Uploaded"}),
        ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}),
    ],
)
def test_a_displaced_connection_records_nothing(line, action, payload):
    before = line.stores.charge_points.get("CP001")
    Line(line.stores)

    with pytest.raises(StaleEpoch):
        line.call(action, payload)

    assert line.stores.charge_points.get("CP001") == before


def test_what_changed_is_told_to_the_pages(line):
    line.stores.changed.take()
    line.call("FirmwareStatusNotification", {"status": "Installed"})

    assert line.stores.changed.take() == {"CP001"}
