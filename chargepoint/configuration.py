"""The configuration keys of a charge point: their values, and who may change them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MEASURANDS = frozenset(
    {
        "Current.Import",
        "Current.Offered",
        "Energy.Active.Import.Register",
        "Power.Active.Import",
        "Power.Offered",
        "SoC",
        "Temperature",
        "Voltage",
    }
)


def _integer(value: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", value) is not None


def _boolean(value: str) -> bool:
    return value.lower() in {"true", "false"}


def _measurands(value: str) -> bool:
    return all(item.strip() in MEASURANDS for item in value.split(",") if item)


def _text(value: str) -> bool:
    return len(value) <= 500


def _hex_key(value: str) -> bool:
    # 16 to 20 bytes: security white paper, A00.FR.205; 40 digits: OCPP-J 1.6, 6.2.2.
    return re.fullmatch(r"(?:[0-9A-Fa-f]{2}){16,20}", value) is not None


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key: its first value, what it takes, who may read and write it."""

    value: str
    accepts: Callable[[str], bool] = _text
    readonly: bool = False
    write_only: bool = False


# OCPP 1.6 Edition 2, chapter 9, with the errata; OCPP-J 1.6, 7; white paper, 7.
STANDARD_KEYS: Mapping[str, Key] = {
    "AllowOfflineTxForUnknownId": Key("true", _boolean),
    "AuthorizationCacheEnabled": Key("true", _boolean),
    "AuthorizationKey": Key("", _hex_key, write_only=True),
    "AuthorizeRemoteTxRequests": Key("true", _boolean),
    "CertificateSignedMaxChainSize": Key("10000", readonly=True),
    "CertificateStoreMaxLength": Key("10", readonly=True),
    "ChargeProfileMaxStackLevel": Key("10", readonly=True),
    "ChargingScheduleAllowedChargingRateUnit": Key("Current,Power", readonly=True),
    "ChargingScheduleMaxPeriods": Key("24", readonly=True),
    "ClockAlignedDataInterval": Key("0", _integer),
    "ConnectionTimeOut": Key("60", _integer),
    "ConnectorPhaseRotation": Key("0.RST,1.RST,2.RST"),
    "CpoName": Key(""),
    "GetConfigurationMaxKeys": Key("50", readonly=True),
    "HeartbeatInterval": Key("300", _integer),
    "LocalAuthListEnabled": Key("true", _boolean),
    "LocalAuthListMaxLength": Key("1000", readonly=True),
    "LocalAuthorizeOffline": Key("true", _boolean),
    "LocalPreAuthorize": Key("false", _boolean),
    "MaxChargingProfilesInstalled": Key("20", readonly=True),
    "MeterValueSampleInterval": Key("60", _integer),
    "MeterValuesAlignedData": Key("Energy.Active.Import.Register", _measurands),
    "MeterValuesSampledData": Key("Energy.Active.Import.Register,Power.Active.Import", _measurands),
    "NumberOfConnectors": Key("2", readonly=True),
    "ReserveConnectorZeroSupported": Key("true", readonly=True),
    "ResetRetries": Key("1", _integer),
    "SendLocalListMaxLength": Key("200", readonly=True),
    "StopTransactionOnEVSideDisconnect": Key("true", _boolean),
    "StopTransactionOnInvalidId": Key("true", _boolean),
    "StopTxnAlignedData": Key("", _measurands),
    "StopTxnSampledData": Key("", _measurands),
    "SupportedFeatureProfiles": Key(
        "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger",
        readonly=True,
    ),
    "SupportedFileTransferProtocols": Key("HTTP,HTTPS,FTP,FTPS", readonly=True),
    "TransactionMessageAttempts": Key("3", _integer),
    "TransactionMessageRetryInterval": Key("10", _integer),
    "UnlockConnectorOnEVSideDisconnect": Key("true", _boolean),
    "WebSocketPingInterval": Key("0", _integer),
}


class Configuration:
    """The keys of one charge point. Key names are compared without case (CiString)."""

    def __init__(self, values: Mapping[str, str], keys: Mapping[str, Key] = STANDARD_KEYS) -> None:
        """`values` replace the first values of the keys they name, read-only ones as well."""
        self._keys = keys
        self._values = dict(values)  # only what differs: a thousand instances share the table
        self._spelling = {name.casefold(): name for name in keys}

    def text(self, name: str) -> str:
        """The value of a known key."""
        return self._values.get(name, self._keys[name].value)

    def integer(self, name: str) -> int:
        """The value of an integer key."""
        return int(self.text(name))

    def boolean(self, name: str) -> bool:
        """The value of a boolean key."""
        return self.text(name).lower() == "true"

    def items(self, name: str) -> list[str]:
        """The value of a list key, without blanks; an empty value is an empty list."""
        return [item.strip() for item in self.text(name).split(",") if item.strip()]

    def spelling(self, name: str) -> str | None:
        """The key as the specification writes it, None when it does not exist here."""
        return self._spelling.get(name.casefold())

    def set(self, name: str, value: str) -> None:
        """Put a value in place without asking: what the charge point itself does."""
        self._values[name] = value

    def change(self, name: str, value: str) -> str:
        """The ConfigurationStatus for a ChangeConfiguration.req; Accepted has taken effect."""
        known = self.spelling(name)
        if known is None:
            return "NotSupported"
        key = self._keys[known]
        if key.readonly or not key.accepts(value):
            return "Rejected"
        self._values[known] = value
        return "Accepted"

    def report(self, wanted: list[str]) -> dict[str, Any]:
        """The payload of a GetConfiguration.conf; no wanted names means all keys."""
        known = [self.spelling(name) for name in wanted] if wanted else list(self._keys)
        found = [name for name in known if name is not None and not self._keys[name].write_only]
        answer: dict[str, Any] = {
            "configurationKey": [
                {"key": name, "readonly": self._keys[name].readonly, "value": self.text(name)}
                for name in found
            ]
        }
        unknown = [name for name in wanted if self.spelling(name) not in found]
        if unknown:
            answer["unknownKey"] = unknown
        return answer
