"""The cases of the Firmware Management profile: firmware updates and diagnostics."""

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import CONNECTORS, boot, booted, rebooted
from chargepoint.conformance.tool import Resource, Tool

cases = Cases(Profile.FIRMWARE)

FIRMWARE = "https://firmware.example.com/conformance/1.1.bin"
# With a password, as most have it: it is masked everywhere but on the wire.
UPLOADS = "ftp://kit:conformance@uploads.example.com/conformance"


@cases.add("TC_044_1_CSMS", "Firmware update: download and install", mandatory=False)
def firmware_installed(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _downloaded_and_installing(tool)
    _told(tool, "Installed", "done")


@cases.variant("TC_044_1_CSMS", "the messages in another order")
def firmware_installed_before_reboot(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _unavailable_and_installing(tool)
    _told(tool, "Installed", "done")
    rebooted(tool)
    _look_at_update(tool)
    tool.has("state", "done")
    tool.has("reported", "Installed")


@cases.add("TC_044_2_CSMS", "Firmware update: download failed", mandatory=False)
def firmware_download_failed(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _told(tool, "Downloading", "running")
    _told(tool, "DownloadFailed", "failed")


@cases.add("TC_044_3_CSMS", "Firmware update: installation failed", mandatory=False)
def firmware_installation_failed(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _downloaded_and_installing(tool)
    _told(tool, "InstallationFailed", "failed")


@cases.variant("TC_044_3_CSMS", "the messages in another order")
def firmware_installation_failed_before_reboot(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _unavailable_and_installing(tool)
    _told(tool, "InstallationFailed", "failed")
    rebooted(tool)
    _look_at_update(tool)
    tool.has("state", "failed")
    tool.has("reported", "InstallationFailed")


@cases.add("TC_045_1_CSMS", "Get diagnostics")
def diagnostics(tool: Tool) -> None:
    booted(tool)
    _get_diagnostics(tool)
    _told_of_diagnostics(tool, "Uploading", "running")
    _told_of_diagnostics(tool, "Uploaded", "done")


@cases.add("TC_045_2_CSMS", "Get diagnostics: upload failed")
def diagnostics_upload_failed(tool: Tool) -> None:
    booted(tool)
    _get_diagnostics(tool)
    _told_of_diagnostics(tool, "Uploading", "running")
    _told_of_diagnostics(tool, "UploadFailed", "failed")


def _update(tool: Tool) -> None:
    wished = {"location": FIRMWARE}
    tool.operation("UpdateFirmware", Resource("POST", "/firmware-updates", wished), {})
    tool.has("location", FIRMWARE)


def _downloaded_and_installing(tool: Tool) -> None:
    """Up to the reboot, which must not disturb the record of the update."""
    _told(tool, "Downloading", "running")
    _told(tool, "Downloaded", "running")
    for connector_id in CONNECTORS:
        tool.status("Unavailable", connector_id)
    _told(tool, "Installing", "running")
    boot(tool)
    _look_at_update(tool)
    tool.has("state", "running")
    tool.has("reported", "Installing")


def _unavailable_and_installing(tool: Tool) -> None:
    """With nobody charging any more from the beginning on, and no reboot yet."""
    for connector_id in CONNECTORS:
        tool.status("Unavailable", connector_id)
    for status in ("Downloading", "Downloaded", "Installing"):
        _told(tool, status, "running")


def _told(tool: Tool, status: str, state: str) -> None:
    tool.call("FirmwareStatusNotification", {"status": status})
    _look_at_update(tool)
    tool.has("state", state)
    tool.has("reported", status)


def _look_at_update(tool: Tool) -> None:
    tool.look_below("firmware update", f"/firmware-updates/{tool.command_id}")


def _get_diagnostics(tool: Tool) -> None:
    file_name = f"diagnostics-{tool.charge_point_id}.zip"
    wished = {"location": UPLOADS}
    tool.operation(
        "GetDiagnostics", Resource("POST", "/log-uploads", wished), {"fileName": file_name}
    )
    tool.has("location", UPLOADS)


def _told_of_diagnostics(tool: Tool, status: str, state: str) -> None:
    tool.call("DiagnosticsStatusNotification", {"status": status})
    tool.look_below("log upload", f"/log-uploads/{tool.command_id}")
    tool.has("state", state)
    tool.has("reported", status)
