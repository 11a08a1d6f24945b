"""Looks at a reservation when its time is over, should no web process have done it yet."""

import os

from csms.clock import now_ms
from csms.commands.reservations import look_at
from csms.config import Settings
from csms.state import shared_clock
from csms.state.link_sync import SyncLink
from csms.state.reservations import Due
from csms.state.stores import Stores


def expire(charge_point_id: str, reservation_id: int) -> None:
    """Nothing but what the sweep does: it may come early, late, twice or never."""
    settings = Settings.from_env(os.environ)
    link = SyncLink(settings.redis_url)
    try:
        shared_clock.follow(link)
        stores = Stores.behind(link, settings.message_log_length)
        look_at(stores, Due(charge_point_id, reservation_id), now_ms())
        if changed := stores.changed.take():
            stores.events.publish(changed)
    finally:
        link.close()
