"""Mutations for the cases of security."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

INSTALL, LIST, DELETE = (
    f"{action}.req"
    for action in ("InstallCertificate", "GetInstalledCertificateIds", "DeleteCertificate")
)


def _refused(step: str) -> Sequence[Mutation]:
    return (put(step, "status", 101, fails="refused"), put(step, "status", 0, fails="refused"))


def _steps(name: str, count: int) -> Sequence[str]:
    return (name, *(f"{name} {nth}" for nth in range(2, count + 1)))


def _install(step: str, other: str) -> Sequence[Mutation]:
    return (
        put(step, "certificateType", other),
        put(step, "certificate", "-----BEGIN CERTIFICATE-----"),
    )


def _delete(step: str, another: str) -> Sequence[Mutation]:
    return (
        put(step, "certificateHashData.hashAlgorithm", another),
        *(
            put(step, f"certificateHashData.{name}", "0A")
            for name in ("issuerNameHash", "issuerKeyHash", "serialNumber")
        ),
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
    "TC_075_1_CSMS": (
        *_install(INSTALL, "CentralSystemRootCertificate"),
        put(LIST, "certificateType", "CentralSystemRootCertificate"),
    ),
    "TC_075_2_CSMS": (
        *_install(INSTALL, "ManufacturerRootCertificate"),
        put(LIST, "certificateType", "ManufacturerRootCertificate"),
    ),
    "TC_076_CSMS": (
        *(
            mutation
            for step in _steps(INSTALL, 3)
            for mutation in _install(step, "ManufacturerRootCertificate")
        ),
        *(put(step, "certificateType", "ManufacturerRootCertificate") for step in _steps(LIST, 3)),
        *_delete(DELETE, "SHA384"),
        *_delete(f"{DELETE} 2", "SHA256"),
        *_delete(f"{DELETE} 3", "SHA256"),
    ),
    "TC_078_CSMS": (
        *_install(INSTALL, "ManufacturerRootCertificate"),
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
    "TC_081_CSMS": (*_firmware(), *_looks("firmware update", 3)),
    "TC_085_CSMS": (*_refused("upgrade"), put("upgrade 2", "status", 401)),
    "TC_088_CSMS": (
        *_refused("upgrade"),
        put("upgrade 2", "status", 400),
        put("upgrade 2", "subprotocol", None),
        put("upgrade 2", "subprotocol", "ocpp1.6, ocpp0.1"),
    ),
}
