"""The reservations a charge point keeps, and whom they let charge."""

from dataclasses import dataclass
from datetime import datetime

from chargepoint.connector import Connector


@dataclass(frozen=True, slots=True)
class Reservation:
    """What ReserveNow.req asked for; connector 0 is any one connector."""

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None
    expires_at: datetime


class Reservations:
    """By id; at most one a connector."""

    def __init__(self) -> None:
        self._by_id: dict[int, Reservation] = {}

    def find(self, reservation_id: int) -> Reservation | None:
        """The reservation with this id."""
        return self._by_id.get(reservation_id)

    def on(self, connector_id: int) -> Reservation | None:
        """The reservation of exactly this connector."""
        for reservation in self._by_id.values():
            if reservation.connector_id == connector_id:
                return reservation
        return None

    def judge(self, reservation: Reservation, connector: Connector) -> str:
        """The ReservationStatus for a request, before it is put in place."""
        if connector.status in {"Faulted", "Unavailable"}:
            return connector.status
        held = self.on(connector.connector_id)
        if held is not None:
            same = held.reservation_id == reservation.reservation_id
            return "Accepted" if same else "Occupied"
        return "Accepted" if connector.status == "Available" else "Occupied"

    def put(self, reservation: Reservation) -> None:
        """Keep; replaces the one with the same id."""
        self._by_id[reservation.reservation_id] = reservation

    def end(self, reservation_id: int) -> Reservation | None:
        """Forget, and say what it was."""
        return self._by_id.pop(reservation_id, None)

    def admits(self, connector_id: int, id_tag: str) -> bool:
        """Whether this tag may start here as far as reservations go."""
        held = self.on(connector_id)
        return held is None or _same(held.id_tag, id_tag)

    def used_by(self, connector_id: int, id_tag: str) -> Reservation | None:
        """The reservation that a start of this tag on this connector uses up."""
        for reservation in self._by_id.values():
            if reservation.connector_id in (connector_id, 0) and _same(reservation.id_tag, id_tag):
                return reservation
        return None

    def expired(self, now: datetime) -> list[Reservation]:
        """Those whose time is over."""
        return [one for one in self._by_id.values() if one.expires_at <= now]

    def next_expiry(self) -> datetime | None:
        """When the next one ends by itself."""
        return min((one.expires_at for one in self._by_id.values()), default=None)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
