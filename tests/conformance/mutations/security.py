"""Mutations for the cases of security."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import certificates
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chargepoint.conformance.cases.security import SERIAL_NUMBER, SUITES
from chargepoint.conformance.certificates import KeyKind, make_key
from csms.domain.certificate_authority import (
    Authority,
    PublicKey,
    Purpose,
    SignatureAlgorithm,
    issue,
    pem_chain,
    subject,
)
from mutations.mutation import Mutation, alter, drop, followed, interrupted, put

INSTALL, LIST, DELETE = (
    f"{action}.req"
    for action in ("InstallCertificate", "GetInstalledCertificateIds", "DeleteCertificate")
)


def _refused(step: str) -> Sequence[Mutation]:
    return (put(step, "status", 101, fails="refused"), put(step, "status", 0, fails="refused"))


def _nth(name: str, nth: int) -> str:
    return name if nth == 1 else f"{name} {nth}"


def _steps(name: str, count: int) -> Sequence[str]:
    return [_nth(name, nth) for nth in range(1, count + 1)]


def _install(nth: int, other: str) -> Sequence[Mutation]:
    """Of the nth root that is sent, and its record."""
    step, record = _nth(INSTALL, nth), _nth("installations", nth)
    return (
        put(step, "certificateType", other),
        put(step, "certificate", "-----BEGIN CERTIFICATE-----"),
        put(record, "certificate_type", other),
        put(record, "status", "Failed"),
    )


def _delete(step: str, another: str) -> Sequence[Mutation]:
    return (
        put(step, "certificateHashData.hashAlgorithm", another),
        *(
            put(step, f"certificateHashData.{name}", "0A")
            for name in ("issuerNameHash", "issuerKeyHash", "serialNumber")
        ),
    )


def _tls(step: str) -> Sequence[Mutation]:
    """What is checked of every handshake."""
    return (
        put(step, "compression", "ZLIB"),
        put(step, "certificate.key_bits", 160, fails="certificate.key"),
        put(step, "certificate.key", "Ed25519"),
        put(step, "certificate.serial_number", "0"),
        put(step, "certificate.common_name", "elsewhere.example.com"),
    )


def _suite(step: str, name: str) -> Sequence[Mutation]:
    return (
        put(step, "cipher", "ECDHE-RSA-AES128-GCM-SHA256", fails=name),
        put(step, "version", "TLSv1.1"),
        *_tls(step),
    )


def _suites() -> Sequence[Mutation]:
    return tuple(
        mutation
        for step, name in zip(_steps("tls", len(SUITES)), SUITES, strict=True)
        for mutation in _suite(step, name)
    )


def _signed(kind: KeyKind, nth: int = 1) -> Sequence[Mutation]:
    """Of a certificate that was asked for and signed."""
    asked, confirmed, signed = (
        _nth(name, nth)
        for name in ("ExtendedTriggerMessage.req", "SignCertificate.conf", "CertificateSigned.req")
    )
    authority = _nth("certificate authority", nth)

    def key() -> PublicKey:
        return make_key(kind).public_key()

    return (
        put(authority, "signature", "rsa-pss"),
        # Set to ECDSA, it signs with RSA all the same.
        replace(put(authority, "signature", "ecdsa"), fails=f"{signed}: signature"),
        put(asked, "requestedMessage", "BootNotification"),
        put(asked, "connectorId", 1, fails="no connectorId"),
        put(confirmed, "status", "Rejected"),
        interrupted(confirmed),  # by CertificateSigned, say
        _chain(signed, lambda pem: pem.replace("\n", "\r\n"), "certificateChain"),
        _chain(signed, lambda pem: f"subject=CN\n{pem}", "certificateChain"),
        _chain(signed, lambda _: "none", "certificateChain"),
        _chain(signed, lambda pem: pem + _leaf(key()), "order"),
        _chain(signed, lambda _: _leaf(_weak_key()), "key strength"),
        _chain(signed, lambda _: _leaf(key(), SignatureAlgorithm.RSA_PSS), "signature"),
        _chain(signed, lambda _: _leaf(key(), name="SOMEBODY-ELSE"), "CN"),
        _chain(
            signed,
            lambda _: _leaf(ec.generate_private_key(ec.SECP256R1()).public_key()),
            "key of the CSR",
        ),
    )


def _chain(step: str, changed: Callable[[str], str], check: str) -> Mutation:
    return alter(
        step,
        lambda payload: {**payload, "certificateChain": changed(payload["certificateChain"])},
        fails=check,
    )


def _leaf(
    key: PublicKey,
    algorithm: SignatureAlgorithm = SignatureAlgorithm.RSA_PKCS1V15,
    name: str = SERIAL_NUMBER,
) -> str:
    """In PEM, as the right one would be but for what is said."""
    now_ms = round(time.time() * 1000)
    made = certificates.root("rsa")
    authority = Authority(made.key, made.chain, algorithm)
    issued = issue(authority, key, subject(name), 1, Purpose.CLIENT, now_ms, days=1)
    return pem_chain([issued])


@cache
def _weak_key() -> PublicKey:
    return rsa.generate_private_key(65_537, 1024).public_key()


def _raised(changed: str, reset: str, value: str) -> Sequence[Mutation]:
    """Of a raised security profile. value: the profile before."""
    return (
        put(changed, "key", "HeartbeatInterval"),
        put(changed, "value", value),
        put(reset, "type", "Soft"),
    )


def _profiles(count: int) -> Sequence[Mutation]:
    """Of as many looks at the charge point's security profile."""
    return tuple(
        mutation
        for step in _steps("charge point", count)
        for mutation in (
            put(step, "security_profile", 0),
            put(step, "pending_security_profile", 0),
        )
    )


def _firmware() -> Sequence[Mutation]:
    step = "SignedUpdateFirmware.req"
    return (
        put(step, "firmware.location", "https://elsewhere.example.com/1.1.bin"),
        put(step, "firmware.signature", "c2lnbmVk"),
        put(step, "firmware.signingCertificate", "-----BEGIN CERTIFICATE-----"),
        drop(step, "firmware.retrieveDateTime", fails="schema"),
        drop(step, "requestId", fails="schema"),
    )


def _looks(name: str, count: int) -> Sequence[Mutation]:
    """At the record of a transfer, once after each report."""
    return tuple(
        mutation
        for step in _steps(name, count)
        for mutation in (put(step, "state", "cancelled"), put(step, "reported", "Idle"))
    )


MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_073_CSMS": (
        put("ChangeConfiguration.req", "key", "AuthorizationCacheEnabled"),
        put("ChangeConfiguration.req", "value", "0123456789abcdef"),
        put("ChangeConfiguration.req", "value", "x" * 40),
        put("ChangeConfiguration.req", "value", "00" * 21),
        put("upgrade 2", "status", 401),
        put("upgrade 3", "status", 401),
        *_refused("upgrade 4"),
    ),
    "TC_074_CSMS": (
        *_signed("RSA"),
        *_signed("EC", 2),
        *(put(step, "state", "issued") for step in _steps("issued", 5)),
    ),
    "TC_075_1_CSMS": (
        *_install(1, "CentralSystemRootCertificate"),
        put(LIST, "certificateType", "CentralSystemRootCertificate"),
        put("installed certificates", "certificates", [], fails="hash data"),
    ),
    "TC_075_2_CSMS": (
        *_install(1, "ManufacturerRootCertificate"),
        put(LIST, "certificateType", "ManufacturerRootCertificate"),
        put("installed certificates", "certificates", [], fails="hash data"),
    ),
    "TC_076_CSMS": (
        *(
            mutation
            for nth in (1, 2, 3)
            for mutation in _install(nth, "ManufacturerRootCertificate")
        ),
        *(put(step, "certificateType", "ManufacturerRootCertificate") for step in _steps(LIST, 3)),
        *(
            put(step, "certificates", [], fails="hash data")
            for step in _steps("installed certificates", 6)[::2]
        ),
        *(
            put(step, "certificates", [{"hash_data": {}}], fails="hash data")
            for step in _steps("installed certificates", 6)[1::2]
        ),
        *_delete(DELETE, "SHA384"),
        *_delete(f"{DELETE} 2", "SHA256"),
        *_delete(f"{DELETE} 3", "SHA256"),
    ),
    "TC_077_CSMS": (
        *_signed("EC"),
        put("issued", "state", "pending"),
        put("security event", "type", "InvalidCentralSystemCertificate"),
        put("security event", "at", "2011-01-01T00:00:00Z"),
        *_refused("upgrade 2"),
    ),
    "TC_078_CSMS": (
        *_install(1, "ManufacturerRootCertificate"),
        put("security event", "type", "InvalidChargePointCertificate"),
        drop("security event", "type"),
        put("security event", "at", "2011-01-01T00:00:00Z"),
    ),
    "TC_079_CSMS": (
        put("GetLog.req", "logType", "DiagnosticsLog"),
        put("GetLog.req", "log.remoteLocation", "ftp://elsewhere.example.com"),
        drop("GetLog.req", "requestId", fails="schema"),
        *_looks("log upload", 2),
    ),
    "TC_080_CSMS": (
        *_firmware(),
        *_looks("firmware update", 6),
        put("security event", "type", "ResetOrReboot"),
        put("security event", "at", "2011-01-01T00:00:00Z"),
        put("security event", "critical", False),
    ),
    "TC_080_CSMS (the messages in another order)": (
        *_firmware(),
        *_looks("firmware update", 7),
        put("security event", "type", "ResetOrReboot"),
        put("security event", "at", "2011-01-01T00:00:00Z"),
        put("security event", "critical", False),
    ),
    "TC_081_CSMS": (*_firmware(), *_looks("firmware update", 3)),
    "TC_083_CSMS": (
        put(LIST, "certificateType", "ManufacturerRootCertificate"),
        *_install(1, "ManufacturerRootCertificate"),
        *_raised("ChangeConfiguration.req", "Reset.req", "1"),
        # A reset by the system's own will, say, before the operator's.
        followed("ChangeConfiguration.req", "the end: no other CALL"),
        *_refused("upgrade 3"),
        *_profiles(3),
    ),
    "TC_083_CSMS (from profile 2)": (
        *_signed("EC"),
        put("issued", "state", "issued"),
        *_raised("ChangeConfiguration.req", "Reset.req", "2"),
        followed("ChangeConfiguration.req", "the end: no other CALL"),
        *_refused("upgrade 3"),
        put("tls", "version", "TLSv1.2", fails="refused in the handshake"),
        put("upgrade 4", "status", 101, fails="refused"),
        *_profiles(3),
    ),
    "TC_085_CSMS": (*_refused("upgrade"), put("upgrade 2", "status", 401)),
    "TC_086_CSMS": (
        *_suites(),
        put("tls 5", "version", "TLSv1.1", fails="TLS 1.1"),
    ),
    "TC_087_CSMS": (
        *_signed("EC"),
        put("issued", "state", "issued"),
        put("upgrade 2", "status", 101, fails="refused"),
        *_suites(),
        put("tls 5", "version", "TLSv1.1"),
        *_tls("tls 5"),
    ),
    "TC_088_CSMS": (
        *_refused("upgrade"),
        put("upgrade 2", "status", 400),
        put("upgrade 2", "subprotocol", None),
        put("upgrade 2", "subprotocol", "ocpp1.6, ocpp0.1"),
    ),
}
