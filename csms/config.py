"""Settings, read once from the environment; a wrong value stops the start and names it."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range

from csms.errors import ConfigurationError


class ClientCertificates(StrEnum):
    """Whether a TLS port asks for the certificate of a client, and goes on without one."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class TLSPort:
    """A port on which TLS is spoken."""

    port: int
    client_certificates: ClientCertificates


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with those above it, and its key, in PEM; both may stand in one file."""

    certificate: Path
    key: Path


Network = IPv4Network | IPv6Network


class _List(fields.Field[Any]):
    """Items between commas or blanks; problem: what is said of an item that read refuses."""

    problem = ""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[Any, ...]:
        try:
            return tuple(self.read(item) for item in re.split(r"[\s,]+", str(value)) if item)
        except ValueError:
            raise ValidationError(self.problem) from None

    def read(self, item: str) -> Any:
        """Raises ValueError."""
        raise NotImplementedError


class _TLSPorts(_List):
    problem = "must be ports such as 8443, 8443:none, 8443:optional or 8443:required"

    def read(self, item: str) -> TLSPort:
        number, _, demand = item.partition(":")
        if not number.isdecimal() or not 1 <= int(number) <= 65_535:
            raise ValueError(item)
        return TLSPort(int(number), ClientCertificates(demand or ClientCertificates.OPTIONAL))


class _CertificateFiles(_List):
    problem = "must be pairs such as chain.pem:key.pem, or files that hold both"

    def read(self, item: str) -> CertificateFiles:
        certificate, colon, key = item.partition(":")
        if not certificate or (colon and not key):
            raise ValueError(item)
        return CertificateFiles(Path(certificate), Path(key or certificate))


class _File(fields.String):
    def _deserialize(self, value: Any, *arguments: Any, **more: Any) -> Any:
        return Path(super()._deserialize(value, *arguments, **more))


class _Hosts(_List):
    problem = "must be names of hosts such as files.example"

    def read(self, item: str) -> str:
        if not re.fullmatch(r"(\*\.)?[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\]", item):
            raise ValueError(item)
        return item.casefold()


class _Networks(_List):
    problem = "must be networks such as 10.0.0.0/8 or fd00::/8"

    def read(self, item: str) -> Network:
        return ip_network(item)


def _int(variable: str, default: int, low: int, high: int) -> fields.Integer:
    return fields.Integer(data_key=variable, load_default=default, validate=Range(low, high))


def _float(variable: str, default: float, low: float, high: float) -> fields.Float:
    return fields.Float(data_key=variable, load_default=default, validate=Range(low, high))


def _text(variable: str, default: str | None) -> fields.String:
    return fields.String(data_key=variable, load_default=default)


def _secret(variable: str) -> fields.String:
    """A secret has no default: a system that starts with a known one is open to everybody."""
    return fields.String(data_key=variable, required=True, validate=Length(min=32))


def _choice(variable: str, default: str, *choices: str) -> fields.String:
    return fields.String(data_key=variable, load_default=default, validate=OneOf(choices))


class TransferProtocol(StrEnum):
    """How files travel; the names of SupportedFileTransferProtocols, as the schemes of URLs."""

    HTTPS = "https"
    HTTP = "http"
    FTPS = "ftps"
    FTP = "ftp"


class _Ports(fields.String):
    """A range such as 60000-60099."""

    def _deserialize(self, value: Any, *arguments: Any, **more: Any) -> Any:
        first, _, last = super()._deserialize(value, *arguments, **more).partition("-")
        try:
            ports = range(int(first), int(last or first) + 1)
        except ValueError:
            ports = range(0)
        if not ports or not 1 <= ports[0] <= ports[-1] <= 65_535:
            raise ValidationError("must be a range of ports such as 60000-60099")
        return ports


class _BaseURL(fields.String):
    """The beginning of URLs; schemes: those it may have."""

    def __init__(self, *schemes: str, **more: Any) -> None:
        super().__init__(**more)
        self._schemes = schemes

    def _deserialize(self, value: Any, *arguments: Any, **more: Any) -> Any:
        text = super()._deserialize(value, *arguments, **more)
        try:
            parts = urlsplit(text)
            fits = parts.scheme in self._schemes and parts.hostname and parts.port != 0
        except ValueError:
            fits = False
        if not fits or "@" in text or not text.isascii() or parts.query or parts.fragment:
            known = " or ".join(f"{scheme}://" for scheme in self._schemes)
            raise ValidationError(f"must be an address that begins with {known}")
        return text.rstrip("/")


class CommonNameRule(StrEnum):
    """What the CN of a client certificate must be: the white paper wants the serial number,
    others use the id (quirk 36)."""

    SERIAL = "serial"
    ID = "id"
    EITHER = "either"


class SubjectRule(StrEnum):
    """How the subject of a charge point's CSR is looked at. strict: its CN and O must be there and
    right. fill: what is missing is filled in, what is wrong is refused. ignore: not at all, as the
    conformance tool needs; the certificate names what is known of the charge point."""

    STRICT = "strict"
    FILL = "fill"
    IGNORE = "ignore"


def _authority(text: str) -> None:
    if text not in {"built-in", "manual"} and not text.startswith("https://"):
        raise ValidationError("must be built-in, manual, or an address that begins with https://")


class SettingsSchema(Schema):
    """Every variable; docs/configuration.md has a row for each, and a test says so."""

    class Meta:
        unknown = EXCLUDE

    redis_url = fields.String(data_key="REDIS_URL", required=True)
    rq_redis_url = _text("RQ_REDIS_URL", None)
    secret_key = _secret("SECRET_KEY")
    credential_pepper = _secret("CREDENTIAL_PEPPER")
    bootstrap_api_key = fields.String(
        data_key="CSMS_API_KEY", load_default=None, validate=Length(min=20)
    )
    metrics_token = _text("METRICS_TOKEN", None)
    host = _text("HOST", "0.0.0.0")  # noqa: S104  # charge points are outside
    port = _int("PORT", 8000, 1, 65_535)
    web_concurrency = _int("WEB_CONCURRENCY", 1, 1, 64)
    ocpp_path = _text("OCPP_PATH", "/ocpp")
    unknown_charge_points = _choice(
        "UNKNOWN_CHARGE_POINTS", "reject", "reject", "pending", "accept"
    )
    heartbeat_interval_s = _int("HEARTBEAT_INTERVAL_S", 300, 1, 86_400)
    boot_retry_interval_s = _int("BOOT_RETRY_INTERVAL_S", 60, 0, 86_400)
    call_timeout_s = _int("CALL_TIMEOUT_S", 60, 1, 600)
    command_deadline_s = _int("COMMAND_DEADLINE_S", 120, 1, 86_400)
    ping_interval_s = _float("PING_INTERVAL_S", 25.0, 0.1, 3_600)
    send_deadline_s = _float("SEND_DEADLINE_S", 10.0, 0.1, 600)
    header_timeout_s = _float("HEADER_TIMEOUT_S", 10.0, 0.1, 600)
    max_connections = _int("MAX_CONNECTIONS", 10_000, 1, 1_000_000)
    max_connections_per_address = _int("MAX_CONNECTIONS_PER_ADDRESS", 0, 0, 1_000_000)
    failed_attempts_per_minute = _int("FAILED_ATTEMPTS_PER_MINUTE", 10, 0, 10_000)
    max_message_bytes = _int("MAX_MESSAGE_BYTES", 1_048_576, 65_536, 16_777_216)
    nominal_voltage_v = _float("NOMINAL_VOLTAGE_V", 230.0, 50, 1_000)
    message_log_length = _int("MESSAGE_LOG_LENGTH", 200, 1, 100_000)
    transaction_retention_days = _int("TRANSACTION_RETENTION_DAYS", 400, 0, 36_500)
    trusted_proxies = _int("TRUSTED_PROXIES", 0, 0, 10)
    trusted_proxy_networks = _Networks(data_key="TRUSTED_PROXY_NETWORKS", load_default=())
    public_url = _text("PUBLIC_URL", None)
    public_tls_url = _text("PUBLIC_TLS_URL", None)
    files_directory = _File(data_key="FILES_DIRECTORY", load_default=Path("var/files"))
    files_s3_bucket = _text("FILES_S3_BUCKET", None)
    files_s3_endpoint = _text("FILES_S3_ENDPOINT", None)
    files_s3_prefix = _text("FILES_S3_PREFIX", "")
    files_url = _BaseURL("https", "http", data_key="FILES_URL", load_default=None)
    files_ftp_url = _BaseURL("ftp", "ftps", data_key="FILES_FTP_URL", load_default=None)
    files_protocol = fields.Enum(
        TransferProtocol, by_value=True, data_key="FILES_PROTOCOL", load_default=None
    )
    file_hosts = _Hosts(data_key="FILE_HOSTS", load_default=())
    ftp_port = _int("FTP_PORT", 2_121, 1, 65_535)
    ftp_passive_ports = _Ports(data_key="FTP_PASSIVE_PORTS", load_default=range(60_000, 60_100))
    ftp_public_address = _text("FTP_PUBLIC_ADDRESS", None)
    firmware_max_bytes = _int("FIRMWARE_MAX_BYTES", 536_870_912, 1, 2**40)
    firmware_total_bytes = _int("FIRMWARE_TOTAL_BYTES", 10 * 2**30, 1, 2**50)
    upload_max_bytes = _int("UPLOAD_MAX_BYTES", 104_857_600, 1, 2**40)
    uploads_total_bytes = _int("UPLOADS_TOTAL_BYTES", 10 * 2**30, 1, 2**50)
    upload_retention_days = _int("UPLOAD_RETENTION_DAYS", 90, 1, 36_500)
    file_link_hours = _int("FILE_LINK_HOURS", 72, 1, 8_760)
    client_certificate_cn = fields.Enum(
        CommonNameRule,
        by_value=True,
        data_key="CLIENT_CERTIFICATE_CN",
        load_default=CommonNameRule.EITHER,
    )
    cpo_name = _text("CPO_NAME", None)
    certificate_authority = fields.String(
        data_key="CERTIFICATE_AUTHORITY", load_default=None, validate=_authority
    )
    certificate_authority_certificate = _text("CERTIFICATE_AUTHORITY_CERTIFICATE", None)
    certificate_authority_key = _text("CERTIFICATE_AUTHORITY_KEY", None)
    certificate_authority_roots = _text("CERTIFICATE_AUTHORITY_ROOTS", None)
    certificate_authority_timeout_s = _float("CERTIFICATE_AUTHORITY_TIMEOUT_S", 20.0, 0.1, 40)
    certificate_signature = _choice(
        "CERTIFICATE_SIGNATURE", "rsa-pkcs1v15", "rsa-pkcs1v15", "rsa-pss", "ecdsa"
    )
    certificate_subject = fields.Enum(
        SubjectRule, by_value=True, data_key="CERTIFICATE_SUBJECT", load_default=SubjectRule.FILL
    )
    certificate_days = _int("CERTIFICATE_DAYS", 365, 1, 3_650)
    tls_ports = _TLSPorts(data_key="TLS_PORTS", load_default=())
    tls_certificates = _CertificateFiles(data_key="TLS_CERTIFICATES", load_default=())
    tls_client_ca = _File(data_key="TLS_CLIENT_CA", load_default=None)
    client_certificate_header = _text("CLIENT_CERTIFICATE_HEADER", None)
    session_cookie_secure = fields.Boolean(data_key="SESSION_COOKIE_SECURE", load_default=False)
    log_level = _choice("LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR")
    log_format = _choice("LOG_FORMAT", "auto", "auto", "json", "pretty")


VARIABLES = frozenset(
    str(schema_field.data_key) for schema_field in SettingsSchema().fields.values()
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What SettingsSchema reads; docs/configuration.md says what each is for."""

    redis_url: str = field(repr=False)
    rq_redis_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    credential_pepper: str = field(repr=False)
    bootstrap_api_key: str | None = field(repr=False)
    metrics_token: str | None = field(repr=False)
    host: str
    port: int
    web_concurrency: int
    ocpp_path: str
    unknown_charge_points: str
    heartbeat_interval_s: int
    boot_retry_interval_s: int
    call_timeout_s: int
    command_deadline_s: int
    ping_interval_s: float
    send_deadline_s: float
    header_timeout_s: float
    max_connections: int
    max_connections_per_address: int
    failed_attempts_per_minute: int
    max_message_bytes: int
    nominal_voltage_v: float
    message_log_length: int
    transaction_retention_days: int
    trusted_proxies: int
    trusted_proxy_networks: tuple[Network, ...]
    public_url: str | None
    public_tls_url: str | None
    files_directory: Path
    files_s3_bucket: str | None
    files_s3_endpoint: str | None
    files_s3_prefix: str
    files_url: str | None
    files_ftp_url: str | None
    files_protocol: TransferProtocol | None
    file_hosts: tuple[str, ...]
    ftp_port: int
    ftp_passive_ports: range
    ftp_public_address: str | None
    firmware_max_bytes: int
    firmware_total_bytes: int
    upload_max_bytes: int
    uploads_total_bytes: int
    upload_retention_days: int
    file_link_hours: int
    client_certificate_cn: CommonNameRule
    cpo_name: str | None
    certificate_authority: str | None = field(repr=False)
    certificate_authority_certificate: str | None = field(repr=False)
    certificate_authority_key: str | None = field(repr=False)
    certificate_authority_roots: str | None
    certificate_authority_timeout_s: float
    certificate_signature: str
    certificate_subject: SubjectRule
    certificate_days: int
    tls_ports: tuple[TLSPort, ...]
    tls_certificates: tuple[CertificateFiles, ...]
    tls_client_ca: Path | None
    client_certificate_header: str | None
    session_cookie_secure: bool
    log_level: str
    log_format: str

    @property
    def chosen_authority(self) -> str:
        """Who signs the certificates of charge points: built-in, manual, or an address."""
        by_default = "built-in" if self.certificate_authority_key else "manual"
        return self.certificate_authority or by_default

    @property
    def allowed_file_hosts(self) -> tuple[str, ...]:
        """Where charge points may be sent for files, those kept here included; (): anywhere."""
        if not self.file_hosts:
            return ()
        own = [urlsplit(url).hostname for url in (self.files_url, self.files_ftp_url) if url]
        return (*self.file_hosts, *filter(None, own))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Empty variables count as unset. Raises ConfigurationError, naming the variable."""
        try:
            values: dict[str, Any] = SettingsSchema().load(
                {name: value for name, value in environ.items() if value and name in VARIABLES}
            )
        except ValidationError as error:
            messages: dict[str, list[str]] = error.messages_dict
            variable, problems = next(iter(messages.items()))
            raise ConfigurationError(str(variable), " ".join(map(str, problems))) from None
        values["rq_redis_url"] = values["rq_redis_url"] or values["redis_url"]
        settings = cls(**values)
        _check_together(settings)
        return settings


def _check_together(settings: Settings) -> None:
    """Raises ConfigurationError for a setting that another one needs."""
    if settings.tls_ports and not settings.tls_certificates:
        raise ConfigurationError("TLS_CERTIFICATES", "is needed for TLS_PORTS.")
    required = [p for p in settings.tls_ports if p.client_certificates == "required"]
    if required and not settings.tls_client_ca and settings.chosen_authority != "built-in":
        raise ConfigurationError("TLS_CLIENT_CA", f"is needed for port {required[0].port}.")
    ports = [settings.port, *[p.port for p in settings.tls_ports]]
    if len(set(ports)) < len(ports):
        raise ConfigurationError("TLS_PORTS", "must differ from each other and from PORT.")
    if settings.files_ftp_url is not None:
        is_secure = urlsplit(settings.files_ftp_url).scheme == TransferProtocol.FTPS
        if is_secure and not settings.tls_certificates:
            raise ConfigurationError("TLS_CERTIFICATES", "is needed for FILES_FTP_URL with ftps.")
        if settings.ftp_port in ports:
            raise ConfigurationError("FTP_PORT", "must differ from PORT and TLS_PORTS.")
    if settings.client_certificate_header and not (
        settings.trusted_proxies and settings.trusted_proxy_networks
    ):
        raise ConfigurationError(
            "CLIENT_CERTIFICATE_HEADER", "needs TRUSTED_PROXIES and TRUSTED_PROXY_NETWORKS."
        )


def host_name() -> str:
    """What this machine calls itself; for the names of processes in logs and leases."""
    return socket.gethostname()
