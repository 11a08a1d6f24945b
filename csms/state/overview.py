"""The figures of the whole fleet, from indexes that are kept up as things happen."""

from collections.abc import Mapping
from dataclasses import dataclass

from csms.clock import text_of
from csms.domain.connector import ChargePointStatus
from csms.state import keys
from csms.state.link import Link
from csms.state.presence import Presences

ENERGY_KEPT_S = 400 * 86_400


@dataclass(frozen=True, slots=True)
class Overview:
    """connectors: how many by the status they last reported, connector 0 only where it is Faulted;
    energy_today_wh: since midnight UTC."""

    charge_points: int
    connected: int
    connectors: Mapping[str, int]
    open_transactions: int
    energy_today_wh: int


class Overviews:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._presences = Presences(link)
        self._grown_wh: dict[str, int] = {}

    def read(self, now_ms: int) -> Overview:
        statuses = list(ChargePointStatus)
        replies = self._link.batch(
            ("ZCARD", keys.CHARGE_POINTS),
            ("ZCARD", keys.OPEN_TRANSACTIONS),
            ("GET", keys.energy_of_day(text_of(now_ms)[:10])),
            *[("SCARD", keys.connectors_in(status)) for status in statuses],
        )
        return Overview(
            charge_points=int(replies[0]),
            connected=self._presences.connected_count(),
            connectors={s: int(n) for s, n in zip(statuses, replies[3:], strict=True)},
            open_transactions=int(replies[1]),
            energy_today_wh=int(replies[2] or 0),
        )

    def add_energy(self, grown_wh: int, now_ms: int) -> None:
        """Count energy not counted before; it is written with write_energy()."""
        day = text_of(now_ms)[:10]
        self._grown_wh[day] = self._grown_wh.get(day, 0) + grown_wh

    def write_energy(self) -> int:
        """A few times a second for all charge points; nobody waits for it. How much it was."""
        grown, self._grown_wh = self._grown_wh, {}
        for day, grown_wh in grown.items():
            self._link.post("INCRBY", keys.energy_of_day(day), grown_wh)
            self._link.post("EXPIRE", keys.energy_of_day(day), ENERGY_KEPT_S)
        return sum(grown.values())
