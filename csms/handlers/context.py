"""What a handler is given beside its request."""

from dataclasses import dataclass, field

from csms.config import Settings
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.connector import Connector
from csms.domain.transaction import Metering
from csms.domain.values import frame_value
from csms.state.stores import Stores


@dataclass(slots=True)
class OwnedChargePoint:
    """What the process that holds a charge point's socket knows of it without asking the store.

    True as long as the epoch is the newest: every write is fenced by it.

    triggered: actions the charge point may send before it is accepted, because we asked for them.
    """

    record: ChargePoint
    epoch: int
    registration: RegistrationStatus | None
    connectors: dict[int, Connector]
    triggered: set[str] = field(default_factory=set)
    # None: to be read anew, since a start, a stop or a failed write may have changed it.
    metering: Metering | None = None
    # Every frame asks for it several times; the record may be read anew, its id stays.
    charge_point_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.charge_point_id = self.record.charge_point_id


@frame_value
class CallContext:
    """now_ms: when the CALL arrived."""

    owned: OwnedChargePoint
    stores: Stores
    settings: Settings
    now_ms: int

    @property
    def charge_point_id(self) -> str:
        return self.owned.charge_point_id
