"""Mutations for the checks that many cases share: the states they begin in, how commands end."""

import re
from collections.abc import Callable

from mutations.mutation import Mutation, put

_KEY = re.compile(r"(?P<step>(?P<name>\S+?)(?: \d+)?): (?P<check>.*)\Z")

_SHARED: dict[tuple[str, str], Callable[[str], Mutation]] = {
    ("upgrade", "status"): lambda step: put(step, "status", 503),
    ("upgrade", "subprotocol"): lambda step: put(step, "subprotocol", "ocpp2.0.1"),
    ("BootNotification.conf", "status"): lambda step: put(step, "status", "Rejected"),
    ("Authorize.conf", "idTagInfo.status"): lambda step: put(step, "idTagInfo.status", "Blocked"),
    ("StartTransaction.conf", "idTagInfo.status"): lambda step: put(
        step, "idTagInfo.status", "ConcurrentTx"
    ),
    (".command", "state"): lambda step: put(step, "state", "timed_out"),
    (".command", "answer"): lambda step: put(step, "answer", {"status": "Mutated"}),
}


def shared_mutation(key: str) -> Mutation | None:
    """For a check by its name, `step: check`."""
    match = _KEY.match(key)
    if match is None:
        return None
    name = ".command" if match["name"].endswith(".command") else match["name"]
    make = _SHARED.get((name, match["check"]))
    return None if make is None else make(match["step"])
