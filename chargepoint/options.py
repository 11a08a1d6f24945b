"""What one virtual charge point differs in from another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chargepoint.files import UploadMethod


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with the files of a charge point that moves them."""

    breaks_download_after: int | None = None  # bytes; once in each download
    corrupts_download: bool = False
    reports_out_of_order: bool = False  # each second status before the one it follows
    never_finishes: bool = False  # nothing is heard after the first status
    file_name: str | None = None  # of its uploads, whatever a name should be


@dataclass(frozen=True, slots=True)
class Options:
    """Everything has a default that suits a demo; tests shorten the times."""

    vendor: str = "Nordwerk"
    model: str = "NW-22"
    firmware_version: str = "4.2.0"
    serial_number: str | None = None  # None: the identity
    key_kind: Literal["ec", "rsa"] = "ec"  # of the key it asks a certificate for
    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"] = "SHA256"  # of the roots it lists
    connectors: int = 2
    rated_w: float = 11_000.0
    meter_start_wh: int = 0
    password_form: Literal["raw", "hex"] = "raw"  # noqa: S105  # how, not what
    subprotocols: tuple[str, ...] = ("ocpp1.6",)
    headers: Mapping[str, str] = field(default_factory=dict)
    connect_timeout_s: float = 10.0
    call_timeout_s: float = 30.0
    boot_retry_s: float = 10.0  # where the central system leaves it to us (interval 0)
    reconnect_first_s: float = 0.5
    reconnect_max_s: float = 60.0
    silent_calls_before_reconnect: int = 2
    retry_interval_s: float | None = None  # None: TransactionMessageRetryInterval
    attempts: int | None = None  # None: for ever, whatever TransactionMessageAttempts says
    retry_with_new_id: bool = False
    queue_limit: int = 100_000
    samples_itself: bool = False  # MeterValues each MeterValueSampleInterval, unasked
    plug_in_after_remote_start_s: float | None = 0.0  # None: no vehicle comes
    step_s: float = 2.0  # between the steps of a firmware update or an upload
    moves_files: bool = False  # False: updates and uploads are pretended
    upload_method: UploadMethod = "PUT"  # over HTTP
    log_bytes: int = 20_000  # of what it uploads
    file_ca: str | None = None  # file with the roots of file servers; None: the system's
    checks_file_servers: bool = True  # False: any certificate will do
    faults: Faults = Faults()
    off_s: float = 0.0  # how long a reset takes
    configuration: Mapping[str, str] = field(default_factory=dict)
