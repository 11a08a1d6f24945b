"""The cases of security: basic security, which is part of Core, and Advanced Security."""

import base64
import re
import secrets
from typing import Any
from urllib.parse import quote, urlsplit

import gevent.ssl
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from chargepoint.certificates import hash_data
from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, NotApplicable, Profile
from chargepoint.conformance.certificates import (
    Identity,
    KeyKind,
    certificate_facts,
    is_in_order,
    is_strong,
    make_key,
    make_request,
    make_root,
    outdated_context,
    pem,
    read_chain,
    same_key,
    suite_context,
)
from chargepoint.conformance.operator import charge_point_path
from chargepoint.conformance.states import CONNECTORS, boot, booted
from chargepoint.conformance.tool import Resource, Tool, instant
from chargepoint.wire import client_context

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
SERIAL_NUMBER = "CONFORMANCE-KIT-1"
SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}
# By the setting of the authority, None where another one signs. The white paper would rather have
# PSS, which the official tool does not understand.
SIGNATURES = {"rsa-pkcs1v15": ("RSA",), "ecdsa": ("ECDSA",), None: ("RSA", "ECDSA")}
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
    old = tool.authorization_key
    tool.played.authorization_key = asked["value"]
    # Some charge points send its bytes, and some the hex digits themselves; so do the tools.
    for password in (bytes.fromhex(asked["value"]), asked["value"].encode()):
        tool.disconnect()
        tool.connect(password=password)
    tool.disconnect()
    # A01.FR.03: the old one is not valid any more.
    tool.upgrade(password=bytes.fromhex(old))
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


@cases.add(
    "TC_086_CSMS",
    "TLS: server certificate, cipher suites",
    settings={"security_profile": 2},
    needs=("tls_url",),
)
def tls_server_certificate(tool: Tool) -> None:
    url = _given(tool.target.tls_url)
    for name, suite in SUITES.items():
        _secure(tool, url, name, suite_context(client_context(tool.target.ca_file), suite))
        tool.connect(url)
    boot(tool)
    outdated = outdated_context(tool.target.ca_file)
    if outdated is not None:
        tool.secure(url, outdated)
        tool.require("TLS 1.1", tool.field("version") is None, "no handshake")


@cases.add(
    "TC_087_CSMS",
    "TLS: client certificate",
    profile=Profile.ADVANCED_SECURITY,
    settings={"serial_number": SERIAL_NUMBER},
    needs=("client_tls_url",),
)
def tls_client_certificate(tool: Tool) -> None:
    url = _given(tool.target.client_tls_url)
    booted(tool)
    identity = _signed(tool, "EC", "Accepted")
    _set_profile_3(tool)
    foreign = Identity(pem(make_root(SERIAL_NUMBER, make_key("EC"))), make_key("EC"))
    tool.upgrade(url, anonymous=True, ssl_context=foreign.context(tool.target.ca_file))
    tool.require("refused", tool.received["status"] != 101, "no connection for a foreign one")
    for name, suite in SUITES.items():
        _secure(tool, url, name, suite_context(identity.context(tool.target.ca_file), suite))
        tool.connect(url, anonymous=True)
    # Of whatever version the two would choose.
    tool.secure(url, identity.context(tool.target.ca_file))
    tool.one_of("version", ("TLSv1.2", "TLSv1.3"))
    _check_tls(tool, url)
    tool.connect(url, anonymous=True)
    boot(tool)


@cases.add(
    "TC_083_CSMS",
    "Upgrade the security profile",
    mandatory=False,
    settings={"serial_number": SERIAL_NUMBER},
    needs=("tls_url", "client_tls_url"),
)
def upgrade_security_profile(tool: Tool) -> None:
    """From 1 to 2: the plain port is closed to it afterwards."""
    url = _given(tool.target.tls_url)
    booted(tool)
    tool.operation(
        "GetInstalledCertificateIds",
        {"certificateType": CENTRAL_SYSTEM_ROOT},
        {"status": "NotFound"},
    )
    tool.has("certificateType", CENTRAL_SYSTEM_ROOT)
    _install(tool, CENTRAL_SYSTEM_ROOT, "Accepted")
    _raise_profile(tool, 2)
    tool.connect(url)
    boot(tool)
    _check_profile(tool, 2)
    tool.disconnect()
    tool.upgrade()
    _refused(tool)
    tool.connect(url)
    boot(tool)
    _check_profile(tool, 2)


@cases.variant(
    "TC_083_CSMS",
    "from profile 2",
    settings={"serial_number": SERIAL_NUMBER, "security_profile": 2},
)
def upgrade_security_profile_from_2(tool: Tool) -> None:
    """From 2 to 3: without a client certificate it is refused in HTTP, or earlier where the port
    wants one."""
    url = _given(tool.target.tls_url)
    client_url = _given(tool.target.client_tls_url)
    booted(tool, url)
    identity = _signed(tool, "EC", "Accepted")
    _raise_profile(tool, 3)
    context = identity.context(tool.target.ca_file)
    tool.connect(client_url, anonymous=True, ssl_context=context)
    boot(tool)
    _check_profile(tool, 3)
    tool.disconnect()
    tool.upgrade(url)
    _refused(tool)
    # Until TLS 1.2 the handshake fails; with TLS 1.3 the client learns of it a moment later.
    older = client_context(tool.target.ca_file)
    older.maximum_version = gevent.ssl.TLSVersion.TLSv1_2
    tool.secure(client_url, older)
    tool.require("refused in the handshake", tool.field("version") is None, "no handshake")
    tool.upgrade(client_url)
    tool.require("refused", tool.received["status"] != 101, "no connection")
    tool.connect(client_url, anonymous=True, ssl_context=context)
    boot(tool)
    _check_profile(tool, 3)


# --- certificates of charge points ---


@cases.add(
    "TC_074_CSMS",
    "Renew the charge point's certificate",
    profile=Profile.ADVANCED_SECURITY,
    settings={"serial_number": SERIAL_NUMBER},
    needs=("client_tls_url",),
)
def renew_certificate(tool: Tool) -> None:
    """Twice: the first certificate, with an RSA key, brings it to profile 3; the second, with an
    EC key, follows it there."""
    url = _given(tool.target.client_tls_url)
    booted(tool)
    identity = _signed(tool, "RSA", "Accepted")
    _set_profile_3(tool)
    tool.connect(url, anonymous=True, ssl_context=identity.context(tool.target.ca_file))
    boot(tool)
    _check_issued(tool, identity, "active")
    renewed = _signed(tool, "EC", "Accepted", common_name=SERIAL_NUMBER)
    tool.disconnect()
    tool.connect(url, anonymous=True, ssl_context=renewed.context(tool.target.ca_file))
    boot(tool)
    _check_issued(tool, renewed, "active")
    _check_issued(tool, identity, "superseded")


@cases.add(
    "TC_077_CSMS",
    "Invalid charge point certificate: security event",
    profile=Profile.ADVANCED_SECURITY,
    settings={"serial_number": SERIAL_NUMBER},
    needs=("client_tls_url",),
)
def invalid_certificate(tool: Tool) -> None:
    url = _given(tool.target.client_tls_url)
    booted(tool)
    identity = _signed(tool, "EC", "Rejected")
    _told_event(tool, "InvalidChargePointCertificate")
    # It is nobody's: not even who has its key may come with it.
    _set_profile_3(tool)
    tool.upgrade(url, anonymous=True, ssl_context=identity.context(tool.target.ca_file))
    _refused(tool)


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
        # The last of its type is deleted only where the operator insists.
        entry_id = tool.field("certificates.0.id")
        tool.operation(
            "DeleteCertificate",
            Resource("DELETE", f"/certificates/{entry_id}?confirm=true"),
            ACCEPTED,
        )
        for name, value in told.items():
            tool.has(f"certificateHashData.{name}", value)
        _check_installed(tool, CENTRAL_SYSTEM_ROOT)


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


@cases.variant("TC_080_CSMS", "the messages in another order")
def signed_firmware_in_another_order(tool: Tool) -> None:
    booted(tool)
    request_id = _update_firmware(tool, SIGNATURE)
    _told_of_firmware(tool, request_id, "Downloading", "running")
    for connector_id in CONNECTORS:
        tool.status("Unavailable", connector_id)
    for status in ("Downloaded", "SignatureVerified", "Installing", "InstallRebooting"):
        _told_of_firmware(tool, request_id, status, "running")
    tool.disconnect()
    tool.connect()
    # Who was accepted before may say this before it boots (OCPP-J 1.6, 5.4).
    _told_of_firmware(tool, request_id, "Installed", "done")
    for connector_id in CONNECTORS:
        tool.status("Available", connector_id)
    _told_event(tool, "FirmwareUpdated")
    tool.has("critical", True)
    tool.boot(firmwareVersion="1.1")
    tool.has("status", "Accepted")
    _look_at_update(tool)
    tool.has("state", "done")
    tool.has("reported", "Installed")


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


def _given(url: str | None) -> str:
    """One that the case needs: without it, it would not be run."""
    if url is None:
        raise NotApplicable("an address is missing")
    return url


def _secure(tool: Tool, url: str, suite: str, ssl_context: gevent.ssl.SSLContext) -> None:
    """A handshake over TLS 1.2 that offers one suite only."""
    tool.secure(url, ssl_context)
    tool.require(suite, tool.field("cipher") == SUITES[suite], f"the suite {SUITES[suite]}")
    tool.has("version", "TLSv1.2")
    _check_tls(tool, url)


def _check_tls(tool: Tool, url: str) -> None:
    """What the white paper wants of a handshake and of the server's certificate (A00)."""
    tool.has("compression", None)
    kind, bits = tool.field("certificate.key"), tool.field("certificate.key_bits")
    tool.require("certificate.key", is_strong(kind, bits), "112 bits: RSA 2048, EC 224")
    tool.require(
        "certificate.serial_number", tool.field("certificate.serial_number") not in {"", "0"}, "one"
    )
    tool.has("certificate.common_name", urlsplit(url).hostname)


def _set_profile_3(tool: Tool) -> None:
    """An operator's doing, outside of OCPP."""
    tool.disconnect()
    path = charge_point_path(tool.charge_point_id)
    tool.operator.must("PATCH", path, {"security_profile": 3})


def _raise_profile(tool: Tool, profile: int) -> None:
    """Over OCPP, in two steps of the operator's; the charge point goes."""
    value = str(profile)
    tool.operation("ChangeConfiguration", {"key": "SecurityProfile", "value": value}, ACCEPTED)
    tool.has("key", "SecurityProfile")
    tool.has("value", value)
    # Until it has come with the new one, it may fall back to the old one (A05.FR.08).
    _check_profile(tool, profile - 1, pending=profile)
    tool.undisturbed()
    tool.operation("Reset", {"type": "Hard"}, ACCEPTED)
    tool.has("type", "Hard")
    tool.disconnect()


def _check_profile(tool: Tool, profile: int, pending: int | None = None) -> None:
    tool.look_at_charge_point()
    tool.has("security_profile", profile)
    tool.has("pending_security_profile", pending)


def _signed(tool: Tool, kind: KeyKind, status: str, *, common_name: str = "") -> Identity:
    """A certificate for a key of this kind, as the central system asks for it and has it signed;
    the charge point's word on it is `status`."""
    tool.look("certificate authority", "/certificate-authority")
    if tool.field("kind") == "manual":
        raise NotApplicable("an operator has to sign: there is no certificate authority")
    configured = tool.field("signature")
    tool.require("signature", configured in SIGNATURES, f"one of {', '.join(map(str, SIGNATURES))}")
    tool.operation("ExtendedTriggerMessage", Resource("POST", "/renew-certificate"), ACCEPTED)
    tool.has("requestedMessage", "SignChargePointCertificate")
    tool.absent("connectorId")
    key = make_key(kind)
    tool.call("SignCertificate", {"csr": make_request(key, common_name)})
    tool.has("status", "Accepted")
    text = str(tool.expect("CertificateSigned")["certificateChain"])
    chain = read_chain(text)
    tool.require("certificateChain", chain, "PEM with LF line ends and certificates only")
    tool.require("order", is_in_order(chain), "each certificate signed by the next")
    leaf = chain[0]
    facts = certificate_facts(leaf)
    tool.require("key strength", is_strong(facts["key"], facts["key_bits"]), "RSA 2048, EC 224")
    allowed = SIGNATURES[configured]
    tool.require("signature", facts["signature"] in allowed, f"{' or '.join(allowed)}, as set")
    tool.require("CN", facts["common_name"] == SERIAL_NUMBER, SERIAL_NUMBER)
    tool.require("key of the CSR", same_key(leaf, key), f"the {kind} key that was asked for")
    tool.answer({"status": status})
    identity = Identity(text, key)
    _check_issued(tool, identity, {"Accepted": "pending", "Rejected": "rejected"}[status])
    return identity


def _check_issued(tool: Tool, identity: Identity, state: str) -> None:
    """What the books say of a certificate that was signed for the charge point."""
    leaf = read_chain(identity.chain)[0]
    _check_book(tool, "issued", leaf, "state", state, comes_later=True)


def _check_book(
    tool: Tool,
    book: str,
    certificate: x509.Certificate,
    field: str,
    value: str,
    *,
    comes_later: bool = False,
) -> None:
    """A field of what one of the books, `issued` or `installations`, says of a certificate.

    comes_later: a moment after the message, as nobody waits for it.
    """
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()

    def pick(whole: Any) -> Payload:
        found = [one for one in whole[book] if one["fingerprint"] == fingerprint]
        return dict(found[0]) if found else {}

    def is_so(record: Payload) -> bool:
        return record.get(field) == value

    tool.look_below(book, "/certificates", pick, until=is_so if comes_later else None)
    tool.has(field, value)


def _install(tool: Tool, kind: str, status: str) -> x509.Certificate:
    root = make_root(f"Root of {tool.charge_point_id}")
    wished = {"certificate_type": kind, "certificate": pem(root)}
    tool.operation(
        "InstallCertificate", Resource("POST", "/certificates", wished), {"status": status}
    )
    tool.has("certificateType", kind)
    tool.has("certificate", pem(root))
    _check_book(tool, "installations", root, "status", status)
    tool.has("certificate_type", kind)
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
    _check_installed(tool, kind, told)
    return told


def _check_installed(tool: Tool, kind: str, *told: dict[str, str]) -> None:
    """The roots of this type in the books, by their hash data as the charge point gave it."""

    def pick(whole: Any) -> Payload:
        return dict(next(one for one in whole["installed"] if one["certificate_type"] == kind))

    shown = tool.look_below("installed certificates", "/certificates", pick)
    found = [one["hash_data"] for one in shown["certificates"]]
    tool.require("hash data", found == list(told), f"{list(told)}")


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
    _look_at_update(tool)
    tool.has("state", state)
    tool.has("reported", status)


def _look_at_update(tool: Tool) -> None:
    tool.look_below("firmware update", f"/firmware-updates/{tool.command_id}")


def _told_event(tool: Tool, kind: str) -> None:
    """A security event is told, confirmed, and shown to the operators."""
    at = instant()
    tool.call("SecurityEventNotification", {"type": kind, "timestamp": at})
    whose = quote(tool.charge_point_id, safe="")
    tool.look("security event", f"/security-events?charge_point_id={whose}", _event)
    tool.has("type", kind)
    tool.has("at", at)


def _event(page: Any) -> Payload:
    """The newest that a charge point told; ours are between them."""
    told = [event for event in page["items"] if event["source"] == "charge point"]
    return dict(told[0]) if told else {}
