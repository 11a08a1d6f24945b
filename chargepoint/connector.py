"""A connector with its meter, and the transaction that runs on it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from gevent.event import Event

from chargepoint.errors import NotPossible

NOMINAL_V = 230.0


def text_of(instant: datetime) -> str:
    """`2026-11-22T19:45:00.123Z`."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class Meter:
    """A register in Wh that rises with the power drawn since it was last looked at."""

    read_at: datetime
    register_wh: float = 0.0
    power_w: float = 0.0

    def read_wh(self, now: datetime) -> int:
        """The register at `now`; it never falls, whatever the clock does."""
        elapsed_s = max(0.0, (now - self.read_at).total_seconds())
        self.register_wh += self.power_w * elapsed_s / 3600
        self.read_at = max(now, self.read_at)
        return int(self.register_wh)

    def draw(self, power_w: float, now: datetime) -> None:
        """From `now` on the power is `power_w`."""
        self.read_wh(now)
        self.power_w = power_w


@dataclass(slots=True, eq=False)
class Transaction:
    """A session as the charge point knows it; `transaction_id` comes with the answer.

    `answered` is set when StartTransaction was settled: answered, or given up, after which
    the rest of the session is reported as transaction -1 (errata 3.18).
    """

    connector_id: int
    id_tag: str
    started_at: datetime
    meter_start_wh: int
    reservation_id: int | None = None
    transaction_id: int | None = None
    status: str | None = None
    meter_stop_wh: int | None = None
    answered: Event = field(default_factory=Event)

    @property
    def reported_id(self) -> int:
        """What its later messages carry as transactionId."""
        return -1 if self.transaction_id is None else self.transaction_id

    def wait_answered(self, timeout_s: float = 30.0) -> int:
        """The transactionId, once StartTransaction has been answered. Raises TimeoutError."""
        if not self.answered.wait(timeout_s):
            raise TimeoutError(f"StartTransaction not answered within {timeout_s} s")
        return self.reported_id


@dataclass(slots=True)
class Connector:
    """The state of one connector; connector 0 is the charge point itself and has no meter use."""

    connector_id: int
    rated_w: float
    meter: Meter
    status: str = "Available"
    error_code: str = "NoError"
    is_plugged: bool = False
    is_operative: bool = True
    becomes_operative: bool | None = None
    transaction: Transaction | None = None
    wanted_w: float = 0.0  # what the vehicle would draw if nothing limited it
    awaited_id_tag: str | None = None  # authorized, waiting for the vehicle
    awaited_until: float = 0.0

    @property
    def is_free(self) -> bool:
        """A session may start here."""
        return (
            self.transaction is None
            and self.is_operative
            and self.status in {"Available", "Preparing", "Reserved", "Finishing"}
        )

    def resting_status(self) -> str:
        """The status without a transaction, a reservation or a fault."""
        if not self.is_operative:
            return "Unavailable"
        return "Preparing" if self.is_plugged else "Available"

    def running(self) -> Transaction:
        """The transaction on this connector. Raises NotPossible when there is none."""
        if self.transaction is None:
            raise NotPossible(f"no transaction on connector {self.connector_id}")
        return self.transaction

    def sampled_values(
        self, measurands: list[str], context: str, now: datetime
    ) -> list[dict[str, str]]:
        """SampledValue list of these measurands at `now`."""
        power_w = self.meter.power_w
        soc = 20 + (self.energy_wh(now) // 600) % 80
        readings = {
            "Energy.Active.Import.Register": (str(self.meter.read_wh(now)), "Wh"),
            "Power.Active.Import": (f"{power_w:.0f}", "W"),
            "Power.Offered": (f"{self.rated_w:.0f}", "W"),
            "Current.Import": (f"{power_w / NOMINAL_V / 3:.1f}", "A"),
            "Current.Offered": (f"{self.rated_w / NOMINAL_V / 3:.1f}", "A"),
            "Voltage": (f"{NOMINAL_V:.1f}", "V"),
            "Temperature": ("31", "Celsius"),
            "SoC": (str(soc), "Percent"),
        }
        return [
            {
                "value": readings[measurand][0],
                "context": context,
                "measurand": measurand,
                "unit": readings[measurand][1],
            }
            for measurand in measurands
            if measurand in readings
        ]

    def energy_wh(self, now: datetime) -> int:
        """What the running transaction has taken so far; 0 without one."""
        if self.transaction is None:
            return 0
        return self.meter.read_wh(now) - self.transaction.meter_start_wh
