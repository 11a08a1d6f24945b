"""Transactions: their states, and how a resend is told from a new one (OCPP 1.6 ed. 2, 3.7, 4.8).

Why resends happen: the link breaks before the answer arrives and the charge point sends again,
with the same message id or a new one. So content decides, never the message id.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from csms.domain.authorization import AuthorizationStatus, fold
from csms.domain.metering import REGISTER_MAX_WH

TRANSACTION_ID_MAX = 2**31 - 1
EPOCH_OF_IDS_S = 1_577_836_800  # 2020-01-01


class TransactionState(StrEnum):
    OPEN = "open"
    STOPPED = "stopped"
    # A new transaction began on its connector; its own StopTransaction has not come (yet).
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as recorded. Energy is None while no register has been seen.

    flags: plain words for what is odd about it: `clock wrong`, `meter ran backwards`,
    `stop without id`, …
    """

    transaction_id: int
    charge_point_id: str
    connector_id: int
    id_tag: str
    authorization: AuthorizationStatus
    state: TransactionState
    meter_start_wh: int
    started_at_ms: int
    start_timestamp: str
    start_received_at_ms: int
    reservation_id: int | None = None
    meter_stop_wh: int | None = None
    stopped_at_ms: int | None = None
    stop_timestamp: str = ""
    stop_received_at_ms: int | None = None
    stop_reason: str = ""
    stop_id_tag: str = ""
    energy_wh: int | None = None
    flags: tuple[str, ...] = ()


# A session's first samples may be a little older than its start.
BEFORE_START_MS = 60_000


@dataclass(slots=True)
class RunningTransaction:
    """What the process that holds the charge point's socket knows of a transaction that runs: its
    energy is reckoned there, since no other process may write it.

    metered_at_ms: the instant of the newest register that energy_wh was reckoned from.
    """

    transaction_id: int
    connector_id: int
    meter_start_wh: int
    started_at_ms: int
    energy_wh: int | None = None
    metered_at_ms: int = 0

    def owns(self, sampled_at_ms: int) -> bool:
        """Whether a sample of its connector that names no transaction was taken in it."""
        return sampled_at_ms >= self.started_at_ms - BEFORE_START_MS

    def energy_at(self, register_wh: int, at_ms: int) -> int | None:
        """Its energy by a register; None where the register says nothing new or nothing sound."""
        if at_ms < self.metered_at_ms:
            return None
        return energy_by(self.meter_start_wh, register_wh, self.energy_wh or 0)


@dataclass(slots=True)
class Metering:
    """The transactions that run at a charge point, by connector, and the instant of the newest
    figures shown of each connector."""

    running: dict[int, RunningTransaction]
    shown_at_ms: dict[int, int]

    def transaction(
        self, transaction_id: int | None, connector_id: int
    ) -> RunningTransaction | None:
        """The one that is named, or, where none is named, the one that runs on the connector;
        the main meter (0) has none of its own."""
        if transaction_id is None:
            return self.running.get(connector_id) if connector_id else None
        for running in self.running.values():
            if running.transaction_id == transaction_id:
                return running
        return None


def energy_by(meter_start_wh: int, register_wh: int, reckoned_wh: int) -> int | None:
    """The energy of a transaction by a register, after reckoned_wh by those before; None where its
    own start is not sound.

    A register below its start counts from 0 in every session, and one beyond life is broken: what
    was reckoned stays.

    Of a transaction that runs, the owner of the socket has the figures and reckons here. A stop,
    and late values of a transaction that was superseded, find them in the record only, and to
    fetch them first would be a second trip for their frames: STOP in state/transactions.py and
    METER_CLOSED in state/meter_values.py go by state/energy.py, this rule in Lua. A test holds
    the two together (tests/state/test_energy.py).
    """
    if not 0 <= meter_start_wh <= REGISTER_MAX_WH:
        return None
    if not meter_start_wh <= register_wh <= REGISTER_MAX_WH:
        return reckoned_wh
    return register_wh - meter_start_wh


def start_fingerprint(
    connector_id: int,
    id_tag: str,
    timestamp: str,
    meter_start_wh: int,
    reservation_id: int | None,
) -> str:
    """What makes two StartTransaction.req of one charge point the same event."""
    content = f"{connector_id}\n{fold(id_tag)}\n{timestamp}\n{meter_start_wh}\n{reservation_id}"
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def usable_transaction_id(value: int | None) -> int | None:
    """None for what charge points send to say none: absent, 0 and negatives (errata 3.18, 3.54)."""
    return value if value is not None and 0 < value <= TRANSACTION_ID_MAX else None


def usable_reservation_id(value: int | None) -> int | None:
    """None for 0 and -1, which many charge points put into every StartTransaction."""
    return value if value is not None and value > 0 else None


def first_transaction_id(now_ms: int) -> int:
    """Where the ids of an empty store begin: the seconds since 2020.

    A store that lost its data then hands out higher ids than ever before, as long as the system
    has averaged under one start a second, so that a late StopTransaction never meets a stranger.
    """
    return max(1, now_ms // 1000 - EPOCH_OF_IDS_S)
