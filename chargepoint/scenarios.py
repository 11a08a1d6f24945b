"""Small scripted days in the life of a charge point: plain functions taking a ChargePoint.

Each runs until its greenlet is ended, and keeps going whatever the link does: queues and
offline rules are the charge point's business.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import gevent

from chargepoint.charge_point import ChargePoint
from chargepoint.errors import NotPossible

Scenario = Callable[[ChargePoint], None]

ID_TAGS = ("ALICE", "DAVE", "ERIN")


def idle(charge_point: ChargePoint) -> None:
    """Connected, and nothing happens."""
    charge_point.wait_accepted(timeout_s=86_400)
    while True:
        gevent.sleep(3600)


def charging_day(
    charge_point: ChargePoint,
    *,
    id_tags: Sequence[str] = ID_TAGS,
    session_s: float = 60.0,
    pause_s: float = 20.0,
    meter_every_s: float = 5.0,
) -> None:
    """One session after the other on every connector, with meter values every few seconds."""
    charge_point.wait_accepted(timeout_s=86_400)
    connectors = [number for number in charge_point.connectors if number]
    days = [
        gevent.spawn(
            _sessions,
            charge_point,
            number,
            id_tags,
            session_s=session_s,
            pause_s=pause_s,
            meter_every_s=meter_every_s,
        )
        for number in connectors
    ]
    try:
        gevent.joinall(days, raise_error=True)
    finally:
        gevent.killall(days)


def faulted(charge_point: ChargePoint, *, error_code: str = "GroundFailure") -> None:
    """Connector 1 is broken, repaired after some minutes, and breaks again."""
    charge_point.wait_accepted(timeout_s=86_400)
    while True:
        charge_point.fault(1, error_code)
        gevent.sleep(300)
        charge_point.clear_fault(1)
        gevent.sleep(30)


def offline_soon(charge_point: ChargePoint, *, after_s: float = 20.0) -> None:
    """Connects, and loses its network for good."""
    charge_point.wait_accepted(timeout_s=86_400)
    gevent.sleep(after_s)
    charge_point.go_offline()
    while True:
        gevent.sleep(3600)


def remote_controlled(
    charge_point: ChargePoint, *, meter_every_s: float = 5.0, session_s: float = 600.0
) -> None:
    """Waits for RemoteStartTransaction, charges, and leaves after `session_s` if not stopped."""
    charge_point.wait_accepted(timeout_s=86_400)
    lasted_s: dict[int, float] = {}
    while True:
        gevent.sleep(meter_every_s)
        for number, connector in charge_point.connectors.items():
            if connector.transaction is not None:
                lasted_s[number] = lasted_s.get(number, 0.0) + meter_every_s
                charge_point.meter_values(number)
                if lasted_s[number] >= session_s:
                    charge_point.stop_transaction(number)
            elif connector.is_plugged:
                lasted_s.pop(number, None)
                charge_point.unplug(number)


def flaky_link(
    charge_point: ChargePoint, *, id_tags: Sequence[str] = ID_TAGS, cut_every_s: float = 15.0
) -> None:
    """A charging day over a link that breaks again and again."""
    day = gevent.spawn(charging_day, charge_point, id_tags=id_tags)
    try:
        while not day.ready():
            gevent.sleep(random.uniform(0.5, 1.5) * cut_every_s)
            charge_point.cut()
        day.get()
    finally:
        day.kill()


SCENARIOS: Mapping[str, Scenario] = {
    "charging_day": charging_day,
    "faulted": faulted,
    "flaky_link": flaky_link,
    "idle": idle,
    "offline_soon": offline_soon,
    "remote_controlled": remote_controlled,
}


def session(
    charge_point: ChargePoint,
    connector_id: int,
    id_tag: str,
    *,
    session_s: float,
    meter_every_s: float,
) -> bool:
    """One visit of a vehicle; False when the tag was not let in or the connector was not free."""
    try:
        charge_point.plug_in(connector_id)
        gevent.sleep(min(2.0, meter_every_s))
        if charge_point.authorize(id_tag) != "Accepted":
            return False
        wanted_w = charge_point.options.rated_w * random.uniform(0.6, 1.0)
        transaction = charge_point.start_transaction(connector_id, id_tag, wanted_w)
        connector = charge_point.connectors[connector_id]
        lasted_s = 0.0
        while lasted_s < session_s and connector.transaction is transaction:
            gevent.sleep(meter_every_s)
            lasted_s += meter_every_s
            if connector.transaction is transaction:
                charge_point.meter_values(connector_id)
        if connector.transaction is transaction:
            charge_point.stop_transaction(connector_id)
        gevent.sleep(min(2.0, meter_every_s))
        return True
    except NotPossible:
        return False  # an operator, a reservation or a fault was in the way
    finally:
        charge_point.unplug(connector_id)


def _sessions(
    charge_point: ChargePoint,
    connector_id: int,
    id_tags: Sequence[str],
    *,
    session_s: float,
    pause_s: float,
    meter_every_s: float,
) -> None:
    # A random first pause, so that a fleet started at once does not move in step.
    gevent.sleep(random.uniform(0.0, pause_s))
    while True:
        session(
            charge_point,
            connector_id,
            random.choice(id_tags),
            session_s=session_s * random.uniform(0.6, 1.4),
            meter_every_s=meter_every_s,
        )
        gevent.sleep(pause_s * random.uniform(0.5, 1.5))
