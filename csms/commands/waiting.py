"""Lets a request wait for the end of a command that any process may settle."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How long a lost wake-up may go unnoticed.
LOOK_AGAIN_S = 1.0


class Waiting:
    """Who waits in this process, by command. A wake-up is a hint: who wakes looks at the record."""

    def __init__(self) -> None:
        self._events: dict[str, list[threading.Event]] = {}

    def wake(self, command_id: str) -> None:
        for event in self._events.get(command_id, ()):
            event.set()

    def wait(self, command_id: str, timeout_s: float, is_final: Callable[[], bool]) -> None:
        """Until is_final() or the time is over; is_final looks at the record."""
        with self._listening(command_id) as event:
            left_s = timeout_s
            while not is_final() and left_s > 0:
                event.wait(min(LOOK_AGAIN_S, left_s))
                event.clear()
                left_s -= LOOK_AGAIN_S

    @contextmanager
    def _listening(self, command_id: str) -> Iterator[threading.Event]:
        event = threading.Event()
        self._events.setdefault(command_id, []).append(event)
        try:
            yield event
        finally:
            events = self._events[command_id]
            events.remove(event)
            if not events:
                del self._events[command_id]
