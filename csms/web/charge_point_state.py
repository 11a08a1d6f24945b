"""All that is known of a charge point, gathered from its records for the API and the page."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from csms.domain.charge_point import ChargePoint
from csms.domain.connector import Connector
from csms.domain.metering import Reading
from csms.domain.traits import EVERYBODY, Traits
from csms.state.pages import Page
from csms.state.presence import Presence
from csms.state.stores import Stores

# How many charge points one page may look at to find those that fit.
_SCAN_MAX = 2_000


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """notified: its last StatusNotification, None where it has sent none."""

    connector_id: int
    notified: Connector | None
    transaction_id: int | None
    reading: Reading | None


@dataclass(frozen=True, slots=True)
class Connection:
    """is_connected: whether its socket is open, in a process that lives."""

    presence: Presence
    is_connected: bool


@dataclass(frozen=True, slots=True)
class ChargePointState:
    """connectors: by number, 0 (the charge point itself) included where it has reported."""

    record: ChargePoint
    connection: Connection
    connectors: Sequence[ConnectorState]

    @property
    def is_connected(self) -> bool:
        return self.connection.is_connected

    @property
    def charge_point_id(self) -> str:
        return self.record.charge_point_id


def get(stores: Stores, charge_point_id: str) -> ChargePointState:
    """Raises ChargePointUnknown."""
    return states_of(stores, [stores.charge_points.get(charge_point_id)])[0]


def states_of(stores: Stores, records: Sequence[ChargePoint]) -> list[ChargePointState]:
    """Six trips to the store, however many there are."""
    if not records:
        return []
    ids = [record.charge_point_id for record in records]
    alive = stores.presences.alive()
    rows = zip(
        records,
        stores.presences.find_many(ids),
        stores.charge_points.connectors_of_many(ids),
        stores.transactions.open_of_many(ids),
        stores.meter_values.readings_of_many(ids),
        strict=True,
    )
    return [
        _state(record, presence, alive, connectors, open_transactions, readings)
        for record, presence, connectors, open_transactions, readings in rows
    ]


def _state(
    record: ChargePoint,
    presence: Presence,
    alive: Collection[str],
    connectors: Sequence[Connector],
    open_transactions: Mapping[int, int],
    readings: Mapping[int, Reading],
) -> ChargePointState:
    notified = {connector.connector_id: connector for connector in connectors}
    return ChargePointState(
        record=record,
        connection=Connection(presence, presence.is_connected(alive)),
        connectors=[
            ConnectorState(
                number, notified.get(number), open_transactions.get(number), readings.get(number)
            )
            for number in sorted({*notified, *open_transactions, *readings})
        ],
    )


def page(
    stores: Stores,
    cursor: str | None,
    limit: int,
    prefix: str = "",
    fits: Callable[[ChargePointState], bool] | None = None,
    traits: Traits = EVERYBODY,
) -> Page[ChargePointState]:
    """In the order of ids; those that do not fit are left out.

    Such a page may be short, as it looks at 2,000 charge points at most.
    """
    found: list[ChargePointState] = []
    looked_at = 0
    while True:
        records = stores.charge_points.page(cursor, limit, prefix)
        looked_at += limit
        for state in states_of(stores, [each for each in records.items if traits.fit(each)]):
            if fits is None or fits(state):
                found.append(state)
                if len(found) == limit:
                    last = state.charge_point_id
                    more = records.next_cursor or last != records.items[-1].charge_point_id
                    return Page(found, last if more else None)
        cursor = records.next_cursor
        if cursor is None or looked_at >= _SCAN_MAX:
            return Page(found, cursor)
