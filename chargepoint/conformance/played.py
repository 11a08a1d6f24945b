"""The charge points that cases play: one of its own for each, or a single one through all."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from chargepoint.conformance.line import Line
from chargepoint.conformance.operator import (
    ApiUnusable,
    CannotBegin,
    Operator,
    charge_point_path,
)

# What cases expect of the record of a charge point, unless they say otherwise.
USUAL: Mapping[str, Any] = {"security_profile": 1, "quiet": True}
# What they may say otherwise; what an operator had entered is put back in the end.
CHANGED = (
    *("security_profile", "quiet", "admission", "heartbeat_interval_s"),
    *("serial_number", "local_list", "local_list_auto_sync"),
)


@dataclass(slots=True)
class Played:
    """A charge point as it is entered, and what it knows from one case to the next.

    authorization_key: in hex. stays: it stays connected when a case is over.
    open_transactions: those it has begun and not ended, with their connectors, in their order.
    """

    charge_point_id: str
    authorization_key: str
    stays: bool = False
    line: Line = field(default_factory=Line)
    has_booted: bool = False  # over the connection that is open
    open_transactions: dict[int, int] = field(default_factory=dict)
    running: dict[int, int] = field(default_factory=dict)  # by connector

    @property
    def is_booted(self) -> bool:
        return self.has_booted and self.line.is_open

    def disconnect(self) -> None:
        self.has_booted = False
        self.line.close()

    def began(self, transaction_id: int, connector_id: int) -> None:
        self.open_transactions[transaction_id] = connector_id
        self.running[connector_id] = transaction_id

    def ended(self, transaction_id: int) -> None:
        connector_id = self.open_transactions.pop(transaction_id, None)
        if connector_id is not None and self.running.get(connector_id) == transaction_id:
            del self.running[connector_id]


class ChargePoints(Protocol):
    """Who lends charge points to cases."""

    def lend(self, name: str, settings: Mapping[str, Any]) -> AbstractContextManager[Played]:
        """settings: of its record. Raises ApiUnusable."""
        ...


class EnteredForEach:
    """Each case has one of its own, entered before and deleted afterwards."""

    def __init__(self, operator: Operator, name: str) -> None:
        self._operator = operator
        self._name = name
        self._count = 0

    @contextmanager
    def lend(self, name: str, settings: Mapping[str, Any]) -> Iterator[Played]:
        self._count += 1
        charge_point_id = f"{self._name}-{name}-{self._count}"
        played = Played(charge_point_id, "")
        body = {"id": charge_point_id, **USUAL, **settings}
        try:
            created = self._operator.must("POST", "/charge-points", body)
            played.authorization_key = str(created.get("authorization_key") or "")
            yield played
        finally:
            played.disconnect()
            self._operator.forget(charge_point_path(charge_point_id))


class OneForAll:
    """One that an operator has entered goes through all cases, as with the official tool. It stays
    connected and leaves behind what it did; in the end its record is what it was."""

    def __init__(self, operator: Operator, charge_point_id: str, authorization_key: str) -> None:
        """Raises ApiUnusable, CannotBegin."""
        self._operator = operator
        self._path = charge_point_path(charge_point_id)
        self._key = authorization_key
        self._played = Played(charge_point_id, authorization_key, stays=True)
        found = operator.request("GET", self._path)
        if not found.is_ok:
            raise CannotBegin(f"--charge-point: {charge_point_id} is not entered")
        if found.body["security_profile"] not in {1, 2}:
            raise CannotBegin(f"--charge-point: {charge_point_id} needs security profile 1 or 2")
        self._before = {name: found.body[name] for name in CHANGED}

    @contextmanager
    def lend(self, name: str, settings: Mapping[str, Any]) -> Iterator[Played]:
        self._enter({**self._before, **USUAL, **settings})
        yield self._played

    def give_back(self) -> None:
        """End its connection; its record is what the operator had entered, key included."""
        self._played.disconnect()
        before = {**self._before, "authorization_key": self._key}
        try:
            self._operator.must("PATCH", self._path, before)
        except ApiUnusable as error:
            print(
                f"conformance: {self._played.charge_point_id} could not be put back: {error}",
                file=sys.stderr,
            )

    def _enter(self, wanted: Mapping[str, Any]) -> None:
        record = self._operator.must("GET", self._path)
        changes = {name: value for name, value in wanted.items() if record[name] != value}
        if record["pending_security_profile"] is not None:
            changes["security_profile"] = wanted["security_profile"]
        if not changes:
            return
        if "security_profile" in changes:
            # It has to come back under the other one.
            self._played.disconnect()
        self._operator.must("PATCH", self._path, changes)
