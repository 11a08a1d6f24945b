"""A lie about one message of the central system, and the check that must find it out."""

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chargepoint.conformance.arrival import END, Arrival, Mutate

# Given what arrived, and what arrived under the same name before.
Change = Callable[[Arrival, Sequence[Arrival]], Sequence[Arrival]]

HOUR_S = 3600.0
_UNASKED = Arrival("DataTransfer.req", [2, "unasked", "DataTransfer", {"vendorId": "unasked"}], 0.0)
_STEP = re.compile(r"(?P<name>.*?)(?: (?P<nth>\d+))?\Z")


@dataclass(frozen=True, slots=True)
class Mutation:
    """step: whose message is altered, `Authorize.conf` or `Authorize.conf 2`.

    fails: the check that must fail, as `step: check`.
    """

    step: str
    change: Change
    fails: str

    def hook(self) -> Mutate:
        """For one run of a case: it counts the messages."""
        match = _STEP.match(self.step)
        assert match is not None
        name, nth = match["name"], int(match["nth"] or 1)
        before: list[Arrival] = []

        def mutate(arrival: Arrival) -> Sequence[Arrival]:
            if arrival.name != name:
                return (arrival,)
            before.append(arrival)
            return self.change(arrival, before[:-1]) if len(before) == nth else (arrival,)

        return mutate


def put(step: str, path: str, value: Any, *, fails: str | None = None) -> Mutation:
    """Give a field another value; `fails`: the check, where it is not named by the path."""

    def change(arrival: Arrival, _: Sequence[Arrival]) -> Sequence[Arrival]:
        payload = copy.deepcopy(arrival.payload)
        node, last = _parent(payload, path)
        if isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
        return (arrival.with_payload(payload),)

    return Mutation(step, change, f"{step}: {fails or path}")


def drop(step: str, path: str, *, fails: str | None = None) -> Mutation:
    """Leave out a field."""

    def change(arrival: Arrival, _: Sequence[Arrival]) -> Sequence[Arrival]:
        payload = copy.deepcopy(arrival.payload)
        node, last = _parent(payload, path)
        del node[last]
        return (arrival.with_payload(payload),)

    return Mutation(step, change, f"{step}: {fails or path}")


def alter(
    step: str, changed: Callable[[dict[str, Any]], dict[str, Any]], *, fails: str
) -> Mutation:
    """Make another payload of a copy of the one there is."""

    def change(arrival: Arrival, _: Sequence[Arrival]) -> Sequence[Arrival]:
        return (arrival.with_payload(changed(copy.deepcopy(arrival.payload))),)

    return Mutation(step, change, f"{step}: {fails}")


def again(step: str, field: str, *, fails: str) -> Mutation:
    """A field has the value once more that it had in the first message of this name."""

    def change(arrival: Arrival, before: Sequence[Arrival]) -> Sequence[Arrival]:
        return (arrival.with_payload({**arrival.payload, field: before[0].payload[field]}),)

    return Mutation(step, change, f"{step}: {fails}")


def late(step: str) -> Mutation:
    return Mutation(
        step,
        lambda arrival, _: (replace(arrival, at_s=arrival.at_s + HOUR_S),),
        f"{step}: in time",
    )


def silent(step: str) -> Mutation:
    """Costs the whole limit."""
    return Mutation(step, lambda *_: (), f"{step}: in time")


def unschematic(step: str) -> Mutation:
    return alter(step, lambda payload: {**payload, "mutated": 1}, fails="schema")


def refused(step: str) -> Mutation:
    """A CALLERROR in place of the CALLRESULT."""

    def change(arrival: Arrival, _: Sequence[Arrival]) -> Sequence[Arrival]:
        return (replace(arrival, content=[4, arrival.content[1], "InternalError", "", {}]),)

    return Mutation(step, change, f"{step}: answered")


def interrupted(step: str) -> Mutation:
    """A CALL that nobody asked for comes before it."""
    return Mutation(step, lambda arrival, _: (_UNASKED, arrival), f"{step}: no other CALL")


def followed(step: str, check: str) -> Mutation:
    """A CALL that nobody asked for comes after it."""
    return Mutation(step, lambda arrival, _: (arrival, _UNASKED), check)


def cut_off(step: str) -> Mutation:
    end = Arrival(END, {"code": 1006, "reason": ""}, 0.0)
    return Mutation(step, lambda *_: (end,), f"{step}: still connected")


def untold(step: str) -> Mutation:
    """The API answers with an error."""
    return Mutation(step, lambda arrival, _: (replace(arrival, status=500),), f"{step}: answered")


def _parent(payload: Any, path: str) -> tuple[Any, Any]:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node = payload
    for part in parents:
        node = node[part]
    return node, last
