"""The cases of security: basic security, which is part of Core, and Advanced Security."""

import base64
import re
import secrets
from typing import Any

from cryptography import x509

from chargepoint.certificates import hash_data
from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.certificates import (
    make_root,
    pem,
)
from chargepoint.conformance.states import CONNECTORS, boot, booted
from chargepoint.conformance.tool import Resource, Tool, instant

cases = Cases(Profile.CORE)

ACCEPTED = {"status": "Accepted"}
MANUFACTURER_ROOT = "ManufacturerRootCertificate"
CENTRAL_SYSTEM_ROOT = "CentralSystemRootCertificate"
FIRMWARE = "https://firmware.example.com/conformance/1.1.bin"
# The kit installs nothing: what it is given need not be the signature of anything.
SIGNATURE = base64.b64encode(bytes(range(256))).decode()
INVALID_SIGNATURE = "no signature at all"
# With a password, as most have it: it is masked everywhere but on the wire.
UPLOADS = "ftp://kit:conformance@uploads.example.com/conformance"
# 16 to 20 bytes (security white paper, A00.FR.205).
HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")


# --- passwords and connections ---


@cases.add("TC_073_CSMS", "Update the charge point's password for HTTP Basic")
def update_password(tool: Tool) -> None:
    booted(tool)
    key = secrets.token_hex(20)
    tool.secrets.add(key)
    asked = tool.operation(
        "ChangeConfiguration", {"key": "AuthorizationKey", "value": key}, ACCEPTED
    )
    tool.has("key", "AuthorizationKey")
    tool.require("value", HEX_KEY.fullmatch(asked["value"]), "16 to 20 bytes in hex")
    # Some charge points send its bytes, and some the hex digits themselves; so do the tools.
    for password in (bytes.fromhex(asked["value"]), asked["value"].encode()):
        tool.disconnect()
        tool.connect(password=password)
    tool.disconnect()
    # A01.FR.03: the old one is not valid any more.
    tool.upgrade()
    _refused(tool)


@cases.add("TC_085_CSMS", "Basic authentication")
def basic_authentication(tool: Tool) -> None:
    tool.upgrade(anonymous=True)
    _refused(tool)
    tool.connect()
    boot(tool)


@cases.add("TC_088_CSMS", "Subprotocol negotiation")
def subprotocol(tool: Tool) -> None:
    tool.upgrade(subprotocols=("ocpp0.1",))
    _refused(tool)
    # No blank after the comma: RFC 7230, 7 allows both.
    tool.upgrade(subprotocols=("ocpp0.1", "ocpp1.6"), separator=",")
    tool.has("status", 101)
    tool.has("subprotocol", "ocpp1.6")


# --- root certificates ---


@cases.add("TC_075_1_CSMS", "Install a certificate: ManufacturerRootCertificate")
def install_manufacturer_root(tool: Tool) -> None:
    booted(tool)
    _install_and_list(tool, MANUFACTURER_ROOT, "SHA256")


@cases.add("TC_075_2_CSMS", "Install a certificate: CentralSystemRootCertificate")
def install_central_system_root(tool: Tool) -> None:
    booted(tool)
    _install_and_list(tool, CENTRAL_SYSTEM_ROOT, "SHA256")


@cases.add("TC_076_CSMS", "Delete a certificate")
def delete_certificate(tool: Tool) -> None:
    booted(tool)
    for algorithm in ("SHA256", "SHA384", "SHA512"):
        told = _install_and_list(tool, CENTRAL_SYSTEM_ROOT, algorithm)
        tool.operation("DeleteCertificate", {"certificateHashData": told}, ACCEPTED)
        for name, value in told.items():
            tool.has(f"certificateHashData.{name}", value)


@cases.add("TC_078_CSMS", "Invalid central system certificate: security event")
def invalid_root(tool: Tool) -> None:
    booted(tool)
    _install(tool, CENTRAL_SYSTEM_ROOT, "Rejected")
    _told_event(tool, "InvalidCentralSystemCertificate")


# --- the security log, and signed firmware ---


@cases.add("TC_079_CSMS", "Get the security log")
def security_log(tool: Tool) -> None:
    booted(tool)
    asked = tool.operation(
        "GetLog",
        Resource("POST", "/log-uploads", {"kind": "security-log", "location": UPLOADS}),
        {"status": "Accepted", "filename": f"security-{tool.charge_point_id}.log"},
    )
    tool.has("logType", "SecurityLog")
    tool.has("log.remoteLocation", UPLOADS)
    for status, state in (("Uploading", "running"), ("Uploaded", "done")):
        tool.call("LogStatusNotification", {"status": status, "requestId": asked["requestId"]})
        tool.look_below("log upload", f"/log-uploads/{tool.command_id}")
        tool.has("state", state)
        tool.has("reported", status)


@cases.add("TC_080_CSMS", "Secure firmware update")
def signed_firmware(tool: Tool) -> None:
    booted(tool)
    request_id = _update_firmware(tool, SIGNATURE)
    for status in ("Downloading", "Downloaded", "SignatureVerified"):
        _told_of_firmware(tool, request_id, status, "running")
    for connector_id in CONNECTORS:
        tool.status("Unavailable", connector_id)
    for status in ("Installing", "InstallRebooting"):
        _told_of_firmware(tool, request_id, status, "running")
    tool.disconnect()
    tool.connect()
    tool.boot(firmwareVersion="1.1")
    tool.has("status", "Accepted")
    _told_event(tool, "FirmwareUpdated")
    tool.has("critical", True)
    for connector_id in CONNECTORS:
        tool.status("Available", connector_id)
    _told_of_firmware(tool, request_id, "Installed", "done")


@cases.add("TC_081_CSMS", "Secure firmware update: invalid signature")
def wrongly_signed_firmware(tool: Tool) -> None:
    booted(tool)
    request_id = _update_firmware(tool, INVALID_SIGNATURE)
    for status in ("Downloading", "Downloaded"):
        _told_of_firmware(tool, request_id, status, "running")
    _told_of_firmware(tool, request_id, "InvalidSignature", "failed")


def _refused(tool: Tool) -> None:
    """By an answer of HTTP: silence and a cut connection tell a charge point nothing."""
    status = tool.received["status"]
    tool.require("refused", status not in {0, 101}, "an HTTP status other than 101")


def _install(tool: Tool, kind: str, status: str) -> x509.Certificate:
    root = make_root(f"Root of {tool.charge_point_id}")
    tool.operation(
        "InstallCertificate",
        {"certificateType": kind, "certificate": pem(root)},
        {"status": status},
    )
    tool.has("certificateType", kind)
    tool.has("certificate", pem(root))
    return root


def _install_and_list(tool: Tool, kind: str, algorithm: str) -> dict[str, str]:
    """A new root, installed and found among those installed: its hash data, as it was told."""
    told = hash_data(_install(tool, kind, "Accepted"), algorithm)
    tool.operation(
        "GetInstalledCertificateIds",
        {"certificateType": kind},
        {"status": "Accepted", "certificateHashData": [told]},
    )
    tool.has("certificateType", kind)
    return told


def _update_firmware(tool: Tool, signature: str) -> int:
    """A signed update, as far as its answer: its requestId."""
    certificate = pem(make_root("Firmware of the conformance kit"))
    wished = {
        "location": FIRMWARE,
        "signature": signature,
        "signing_certificate": certificate,
    }
    asked = tool.operation(
        "SignedUpdateFirmware", Resource("POST", "/firmware-updates", wished), ACCEPTED
    )
    tool.has("firmware.location", FIRMWARE)
    tool.has("firmware.signature", signature)
    tool.has("firmware.signingCertificate", certificate)
    return int(asked["requestId"])


def _told_of_firmware(tool: Tool, request_id: int, status: str, state: str) -> None:
    told = {"status": status, "requestId": request_id}
    tool.call("SignedFirmwareStatusNotification", told)
    tool.look_below("firmware update", f"/firmware-updates/{tool.command_id}")
    tool.has("state", state)
    tool.has("reported", status)


def _told_event(tool: Tool, kind: str) -> None:
    """A security event is told, confirmed, and shown to the operators."""
    at = instant()
    tool.call("SecurityEventNotification", {"type": kind, "timestamp": at})
    tool.look("security event", f"/security-events?charge_point_id={tool.charge_point_id}", _event)
    tool.has("type", kind)
    tool.has("at", at)


def _event(page: Any) -> Payload:
    """The newest that a charge point told; ours are between them."""
    told = [event for event in page["items"] if event["source"] == "charge point"]
    return dict(told[0]) if told else {}
