"""The hardware of a charge point: connectors, vehicles, meters, reservations and limits.

No network here: what is to be said is handed to `queue_message` and `tell_status`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from chargepoint.charging_profiles import ChargingProfiles
from chargepoint.configuration import Configuration
from chargepoint.connector import Connector, Meter, Transaction, text_of
from chargepoint.errors import NotPossible
from chargepoint.options import Options
from chargepoint.reservations import Reservation, Reservations

IDLE_S = 3600.0


class Hardware(ABC):
    """What people and vehicles do to a charge point, and what it does by itself."""

    def __init__(self, options: Options, clock: Callable[[], datetime]) -> None:
        self.options = options
        self.clock = clock
        self.configuration = Configuration(
            {"NumberOfConnectors": str(options.connectors), **options.configuration}
        )
        now, first_wh = clock(), float(options.meter_start_wh)
        self.connectors = {
            number: Connector(number, options.rated_w, Meter(now, first_wh))
            for number in range(options.connectors + 1)
        }
        self.reservations = Reservations()
        self.charging_profiles = ChargingProfiles()
        self._sample_due_s = 0.0

    @abstractmethod
    def queue_message(
        self, action: str, payload: dict[str, Any], transaction: Transaction | None
    ) -> bool:
        """Take over a transaction message; False when there is no memory left for it."""

    @abstractmethod
    def tell_status(self, connector: Connector) -> None:
        """Report the status of a connector, if there is somebody to hear it."""

    @abstractmethod
    def wake(self) -> None:
        """Look again at what is due."""

    def now_text(self) -> str:
        """The charge point's clock as messages carry it."""
        return text_of(self.clock())

    # --- people and vehicles ---

    def plug_in(self, connector_id: int) -> None:
        """A vehicle is connected; starts the session that a remote start waits with."""
        connector = self._connector(connector_id)
        connector.is_plugged = True
        if connector.awaited_id_tag is not None:
            id_tag, connector.awaited_id_tag = connector.awaited_id_tag, None
            self.start_transaction(connector_id, id_tag)
        elif connector.transaction is not None:
            self.resume(connector_id)
        elif connector.status in {"Available", "Finishing"}:
            self._show(connector, "Preparing")

    def start_transaction(
        self, connector_id: int, id_tag: str, power_w: float | None = None
    ) -> Transaction:
        """Begin a session, plugging in first where needed; queues StartTransaction.

        Draws `power_w` (default: rated). Raises NotPossible when the connector is taken,
        reserved for another tag, unavailable or faulted.
        """
        connector = self._connector(connector_id)
        if not connector.is_free or not self.reservations.admits(connector_id, id_tag):
            raise NotPossible(f"connector {connector_id} is {connector.status}")
        if not connector.is_plugged or connector.status == "Finishing":
            connector.is_plugged = True
            self._show(connector, "Preparing")
        now = self.clock()
        used = self.reservations.used_by(connector_id, id_tag)
        transaction = Transaction(
            connector_id,
            id_tag,
            started_at=now,
            meter_start_wh=connector.meter.read_wh(now),
            reservation_id=used.reservation_id if used else None,
        )
        if used is not None:
            self.reservations.end(used.reservation_id)
        connector.transaction = transaction
        connector.awaited_id_tag = None
        connector.wanted_w = connector.rated_w if power_w is None else power_w
        self.queue_message("StartTransaction", _start_payload(transaction), transaction)
        self._offer(connector)
        return transaction

    def meter_values(self, connector_id: int, context: str = "Sample.Periodic") -> bool:
        """Queue MeterValues of the sampled measurands; False when memory is full."""
        connector = self._connector(connector_id)
        now = self.clock()
        values = connector.sampled_values(
            self.configuration.items("MeterValuesSampledData"), context, now
        )
        if not values:
            return True
        payload: dict[str, Any] = {
            "connectorId": connector_id,
            "meterValue": [{"timestamp": text_of(now), "sampledValue": values}],
        }
        return self.queue_message("MeterValues", payload, connector.transaction)

    def stop_transaction(
        self, connector_id: int, reason: str = "Local", id_tag: str | None = None
    ) -> Transaction:
        """End the session on a connector; queues StopTransaction. Raises NotPossible."""
        connector = self._connector(connector_id)
        transaction = connector.running()
        now = self.clock()
        data = connector.sampled_values(
            self.configuration.items("StopTxnSampledData"), "Transaction.End", now
        )
        connector.meter.draw(0.0, now)
        transaction.meter_stop_wh = connector.meter.read_wh(now)
        payload: dict[str, Any] = {
            "meterStop": transaction.meter_stop_wh,
            "timestamp": text_of(now),
            "reason": reason,
        }
        if id_tag is not None or reason == "Local":
            payload["idTag"] = id_tag or transaction.id_tag
        if data:
            payload["transactionData"] = [{"timestamp": text_of(now), "sampledValue": data}]
        connector.transaction = None
        self.charging_profiles.end_transaction(connector_id)
        self.queue_message("StopTransaction", payload, transaction)
        if connector.becomes_operative is not None:
            connector.is_operative = connector.becomes_operative
            connector.becomes_operative = None
        if connector.status != "Faulted":
            waits = connector.is_plugged and connector.is_operative
            self._show(connector, "Finishing" if waits else connector.resting_status())
        return transaction

    def unplug(self, connector_id: int) -> None:
        """The vehicle leaves; ends a session unless the configuration keeps it."""
        connector = self._connector(connector_id)
        connector.is_plugged = False
        if connector.transaction is not None:
            if not self.configuration.boolean("StopTransactionOnEVSideDisconnect"):
                return self.suspend(connector_id)
            self.stop_transaction(connector_id, "EVDisconnected")
        elif connector.status not in {"Faulted", "Reserved"}:
            self._rest(connector)
        return None

    def suspend(self, connector_id: int, by: Literal["EV", "EVSE"] = "EV") -> None:
        """The session goes on without energy."""
        connector = self._connector(connector_id)
        connector.running()
        connector.meter.draw(0.0, self.clock())
        self._show(connector, f"Suspended{by}")

    def resume(self, connector_id: int) -> None:
        """Energy flows again."""
        connector = self._connector(connector_id)
        connector.running()
        self._offer(connector)

    def fault(self, connector_id: int, error_code: str = "GroundFailure") -> None:
        """A hardware fault: ends a session, and a reservation."""
        connector = self.connectors[connector_id]
        connector.awaited_id_tag = None
        held = self.reservations.on(connector_id)
        if held is not None:
            self.reservations.end(held.reservation_id)
        self._show(connector, "Faulted", error_code)
        if connector.transaction is not None:
            self.stop_transaction(connector_id, "Other")

    def clear_fault(self, connector_id: int) -> None:
        """The fault is gone."""
        self._rest(self.connectors[connector_id])

    # --- what the central system asks for ---

    def change_availability(self, connector_ids: list[int], operative: bool) -> None:
        """Now, or at the end of the transaction that runs."""
        for number in connector_ids:
            connector = self.connectors[number]
            if connector.transaction is not None:
                connector.becomes_operative = operative
                continue
            if connector.is_operative == operative:
                continue
            connector.is_operative = operative
            held = self.reservations.on(number)
            if held is not None and not operative:
                self.reservations.end(held.reservation_id)
            if connector.status != "Faulted":
                self._rest(connector)

    def reserve(self, reservation: Reservation) -> None:
        """Keep a connector for a tag."""
        self.reservations.put(reservation)
        if reservation.connector_id:
            self._show(self.connectors[reservation.connector_id], "Reserved")
        self.wake()

    def end_reservation(self, reservation_id: int) -> None:
        """Cancelled or expired."""
        ended = self.reservations.end(reservation_id)
        if ended is not None and self.connectors[ended.connector_id].status == "Reserved":
            self._rest(self.connectors[ended.connector_id])

    def apply_limits(self) -> None:
        """Let the charging profiles act on what is being drawn."""
        for connector in self.busy():
            if connector.status in {"Charging", "SuspendedEVSE"}:
                self._offer(connector)

    def report_meters(self, connector_ids: list[int], context: str) -> None:
        """Queue MeterValues of several connectors."""
        for number in connector_ids:
            self.meter_values(number, context)

    def await_vehicle(self, connector: Connector, id_tag: str) -> None:
        """Authorized: hold the connector for ConnectionTimeOut."""
        connector.awaited_id_tag = id_tag
        timeout_s = self.configuration.integer("ConnectionTimeOut")
        connector.awaited_until = time.monotonic() + timeout_s
        self._show(connector, "Preparing")
        self.wake()

    # --- what happens by itself ---

    def forget_all_but_books(self) -> None:
        """What a loss of power does to connectors; meters, faults and reservations stay."""
        for connector in self.connectors.values():
            connector.awaited_id_tag = None
            if connector.status not in {"Faulted", "Reserved"}:
                self._rest(connector)

    def mind_own_time(self) -> float:
        """What ends by itself, linked or not; seconds until the next thing does."""
        now, now_s = self.clock(), time.monotonic()
        waits = [IDLE_S]
        for reservation in self.reservations.expired(now):
            self.end_reservation(reservation.reservation_id)
        if (expiry := self.reservations.next_expiry()) is not None:
            waits.append((expiry - now).total_seconds())
        for connector in self.connectors.values():
            if connector.awaited_id_tag is None:
                continue
            if connector.awaited_until <= now_s:
                connector.awaited_id_tag = None
                self._rest(connector)
            else:
                waits.append(connector.awaited_until - now_s)
        waits.append(self._sample(now_s))
        return max(0.01, min(waits))

    def _sample(self, now_s: float) -> float:
        interval_s = self.configuration.integer("MeterValueSampleInterval")
        busy = self.busy()
        if not self.options.samples_itself or not interval_s or not busy:
            self._sample_due_s = now_s + interval_s
            return IDLE_S
        if now_s >= self._sample_due_s:
            self._sample_due_s = now_s + interval_s
            self.apply_limits()
            self.report_meters([one.connector_id for one in busy], "Sample.Periodic")
        return self._sample_due_s - now_s

    def _connector(self, connector_id: int) -> Connector:
        if connector_id == 0 or connector_id not in self.connectors:
            raise NotPossible(f"there is no connector {connector_id}")
        return self.connectors[connector_id]

    def busy(self) -> list[Connector]:
        """The connectors with a transaction."""
        return [one for one in self.connectors.values() if one.transaction is not None]

    def _offer(self, connector: Connector) -> None:
        """Draw what the vehicle wants, or what the charging profiles leave of it."""
        now = self.clock()
        started_at = connector.running().started_at
        limit_w = self.charging_profiles.limit_w(connector.connector_id, now, started_at)
        power_w = connector.wanted_w if limit_w is None else min(connector.wanted_w, limit_w)
        connector.meter.draw(power_w, now)
        self._show(connector, "Charging" if power_w > 0 else "SuspendedEVSE")

    def _rest(self, connector: Connector) -> None:
        self._show(connector, connector.resting_status())

    def _show(self, connector: Connector, status: str, error_code: str = "NoError") -> None:
        if (connector.status, connector.error_code) != (status, error_code):
            connector.status, connector.error_code = status, error_code
            self.tell_status(connector)


def _start_payload(transaction: Transaction) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "connectorId": transaction.connector_id,
        "idTag": transaction.id_tag,
        "meterStart": transaction.meter_start_wh,
        "timestamp": text_of(transaction.started_at),
    }
    if transaction.reservation_id is not None:
        payload["reservationId"] = transaction.reservation_id
    return payload
