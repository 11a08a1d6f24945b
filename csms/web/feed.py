"""Hands what changed to every page that listens, without ever waiting for one.

Each page has one pending event at most: what comes meanwhile is added to it, and where that gets
too much the page is told to look at everything anew.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from csms.state.events import Event

# Beyond this many names a page had better ask for all it shows.
NAMED_MAX = 200


class Subscription:
    """What one page has not been told yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: Event | None = None
        self._woken = False

    def offer(self, event: Event) -> None:
        with self._changed:
            self._pending = event if self._pending is None else _merged(self._pending, event)
            self._changed.notify()

    def wake(self) -> None:
        """Make the next take(), or the one that waits, return at once."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def take(self, timeout_s: float) -> Event | None:
        """What has changed since the last time; None where nothing did within timeout_s, or where
        the feed was woken."""
        with self._changed:
            if self._pending is None and not self._woken:
                self._changed.wait(timeout_s)
            taken, self._pending, self._woken = self._pending, None, False
            return taken


class EventFeed:
    """The events of this process's reader, for the pages it serves."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        # The newest event published: how a page that listens anew sees whether it missed any.
        self.last_entry = ""

    def publish(self, event: Event) -> None:
        self.last_entry = event.entry
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    def wake(self) -> None:
        """Have every page's stream look up at once: a drain must not wait for their next ping."""
        for subscription in tuple(self._subscriptions):
            subscription.wake()

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)


def _merged(older: Event, newer: Event) -> Event:
    named = tuple(dict.fromkeys(older.charge_points + newer.charge_points))
    if older.all_changed or newer.all_changed or len(named) > NAMED_MAX:
        return Event(newer.entry, (), all_changed=True)
    return Event(newer.entry, named)
