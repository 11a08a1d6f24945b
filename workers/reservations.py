"""Looks at a reservation when its time is over, should nobody else have done it yet."""

from csms import clock
from csms.commands.reservations import look_at
from csms.state.reservations import Due
from workers.parts import asked_for_again, open_parts


@asked_for_again
def expire(charge_point_id: str, reservation_id: int) -> None:
    """Nothing but what the sweep does: it may come early, late, twice or never."""
    with open_parts() as parts:
        look_at(parts.stores, Due(charge_point_id, reservation_id), clock.now_ms())
