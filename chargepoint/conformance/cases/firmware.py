"""The cases of the Firmware Management profile: firmware updates and diagnostics."""

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import CONNECTORS, boot, booted
from chargepoint.conformance.tool import Tool, instant

cases = Cases(Profile.FIRMWARE)

FIRMWARE = "https://firmware.example.com/conformance/1.1.bin"
UPLOADS = "ftp://uploads.example.com/conformance"


@cases.add("TC_044_1_CSMS", "Firmware update: download and install", mandatory=False)
def firmware_installed(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _downloaded_and_installing(tool)
    _told(tool, "Installed")


@cases.add("TC_044_2_CSMS", "Firmware update: download failed", mandatory=False)
def firmware_download_failed(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _told(tool, "Downloading")
    _told(tool, "DownloadFailed")


@cases.add("TC_044_3_CSMS", "Firmware update: installation failed", mandatory=False)
def firmware_installation_failed(tool: Tool) -> None:
    booted(tool)
    _update(tool)
    _downloaded_and_installing(tool)
    _told(tool, "InstallationFailed")


@cases.add("TC_045_1_CSMS", "Get diagnostics")
def diagnostics(tool: Tool) -> None:
    booted(tool)
    _get_diagnostics(tool)
    _told_of_diagnostics(tool, "Uploading")
    _told_of_diagnostics(tool, "Uploaded")


@cases.add("TC_045_2_CSMS", "Get diagnostics: upload failed")
def diagnostics_upload_failed(tool: Tool) -> None:
    booted(tool)
    _get_diagnostics(tool)
    _told_of_diagnostics(tool, "Uploading")
    _told_of_diagnostics(tool, "UploadFailed")


def _update(tool: Tool) -> None:
    command = tool.operate("UpdateFirmware", {"location": FIRMWARE, "retrieveDate": instant()})
    tool.expect("UpdateFirmware")
    tool.has("location", FIRMWARE)
    tool.answer({})
    tool.settled(command, {})


def _downloaded_and_installing(tool: Tool) -> None:
    """Up to the reboot, which must not disturb the record of the update."""
    _told(tool, "Downloading")
    _told(tool, "Downloaded")
    for connector_id in CONNECTORS:
        tool.status("Unavailable", connector_id)
    _told(tool, "Installing")
    boot(tool)
    tool.look_at_charge_point()
    tool.has("firmware_status", "Installing")


def _told(tool: Tool, status: str) -> None:
    tool.call("FirmwareStatusNotification", {"status": status})
    tool.look_at_charge_point()
    tool.has("firmware_status", status)


def _get_diagnostics(tool: Tool) -> None:
    command = tool.operate("GetDiagnostics", {"location": UPLOADS})
    tool.expect("GetDiagnostics")
    tool.has("location", UPLOADS)
    answer = {"fileName": f"diagnostics-{tool.charge_point_id}.zip"}
    tool.answer(answer)
    tool.settled(command, answer)


def _told_of_diagnostics(tool: Tool, status: str) -> None:
    tool.call("DiagnosticsStatusNotification", {"status": status})
    tool.look_at_charge_point()
    tool.has("diagnostics_status", status)
