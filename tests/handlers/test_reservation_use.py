"""What a charge point's starts and statuses make of its reservations (OCPP 1.6 ed. 2, 5.13)."""

from dataclasses import replace

import pytest
from cast import ALICE, HOUR_MS, MINUTE_MS, NOON_MS, Line, instant

from csms.domain.reservation import Reservation, ReservationState, Terms
from csms.errors import StoreUnavailable
from csms.state import keys
from csms.state.link_sync import SyncLink
from csms.state.repair import Repair
from csms.state.stores import Stores

UNTIL_MS = NOON_MS + HOUR_MS


def reservation(number=5, connector_id=1, **fields):
    return Reservation(
        number,
        "CP001",
        Terms(connector_id, "ALICE", fields.pop("parent_id_tag", None), UNTIL_MS),
        ReservationState.ACCEPTED,
        "operator",
        NOON_MS,
        NOON_MS,
        accepted_at_ms=NOON_MS,
        **fields,
    )


def keep(stores, *records):
    for record in records:
        stores.reservations.change("CP001", record.reservation_id, lambda _, r=record: r, NOON_MS)


@pytest.fixture
def reserved(line):
    """CP001 keeps its connector 1 for ALICE."""
    keep(line.stores, reservation())
    return line


def look(line, number=5):
    found = line.stores.reservations.get("CP001", number)
    return found.state.value, found.transaction_id


@pytest.mark.parametrize(
    "fields", [{"reservationId": 5}, {}, {"reservationId": 0}, {"reservationId": -1}]
)
def test_an_accepted_start_uses_it_whether_it_names_it_or_not(reserved, fields):
    started = reserved.start(**fields)["transactionId"]

    assert look(reserved) == ("used", started)


@pytest.mark.parametrize("fields", [{"reservationId": 5}, {}])
def test_a_refused_start_uses_none(reserved, fields):
    reserved.stores.id_tags.update("ALICE", status="Blocked")

    assert reserved.start(**fields)["idTagInfo"]["status"] == "Blocked"
    assert look(reserved) == ("accepted", None)


def test_a_start_refused_first_and_sent_again_uses_it_once_it_is_accepted(reserved):
    reserved.stores.id_tags.update("ALICE", status="Blocked")
    started = reserved.start(reservationId=5)["transactionId"]
    reserved.stores.id_tags.update("ALICE", status="Accepted")

    assert reserved.start(reservationId=5)["transactionId"] == started
    assert look(reserved) == ("used", started)


def test_a_start_sent_again_uses_no_second_one(reserved):
    keep(reserved.stores, reservation(6, connector_id=0))
    started = reserved.start()["transactionId"]

    assert reserved.start()["transactionId"] == started
    assert (look(reserved), look(reserved, 6)) == (("used", started), ("accepted", None))


@pytest.mark.parametrize(
    "fields",
    [
        {"connectorId": 2},
        {"idTag": "DAVE"},
        {"timestamp": instant(HOUR_MS)},
        {"timestamp": instant(-HOUR_MS)},
        {"reservationId": 6, "connectorId": 2},
    ],
)
def test_a_start_that_has_nothing_to_do_with_it_leaves_it(reserved, fields):
    reserved.stores.id_tags.create(replace(ALICE, id_tag="DAVE"))

    reserved.start(**fields)
    assert look(reserved) == ("accepted", None)


def test_a_reservation_nobody_knows_is_no_problem(line):
    confirmation = line.start(reservationId=4711)

    assert confirmation["idTagInfo"]["status"] == "Accepted"
    assert line.transaction(confirmation["transactionId"]).reservation_id == 4711


def test_one_for_any_connector_is_used_on_the_connector_that_is_used(line):
    """TC_049."""
    keep(line.stores, reservation(connector_id=0))

    started = line.start(connectorId=2)["transactionId"]
    assert look(line) == ("used", started)


def test_a_start_that_was_kept_offline_uses_what_is_over_by_now(reserved):
    reserved.stores.reservations.change(
        "CP001", 5, lambda before: replace(before, state=ReservationState.EXPIRED), UNTIL_MS
    )
    started = reserved.start(
        UNTIL_MS + HOUR_MS, reservationId=5, timestamp=instant(30 * MINUTE_MS)
    )["transactionId"]

    assert look(reserved) == ("used", started)


def test_a_connection_that_was_taken_over_uses_nothing(reserved):
    Line(reserved.stores)

    with pytest.raises(Exception, match="newer connection"):
        reserved.start(reservationId=5)
    assert look(reserved) == ("accepted", None)


# -- crashes


class LinkThatDies(SyncLink):
    """Fails as soon as a reservation is to be kept."""

    def batch(self, *commands):
        if any(command[:2] == ("ZADD", keys.RESERVATIONS) for command in commands):
            raise StoreUnavailable("the link broke")
        return super().batch(*commands)


@pytest.fixture
def dying(reserved, store_url):
    link = LinkThatDies(store_url)
    yield Stores.behind(link, 200)
    link.close()


@pytest.mark.parametrize("fields", [{"reservationId": 5}, {}])
def test_a_start_whose_use_was_not_kept_is_not_answered_and_does_it_when_it_comes_again(
    reserved, dying, fields
):
    payload = {"connectorId": 1, "idTag": "ALICE", "meterStart": 1_000, "timestamp": instant(0)}
    assert Line(dying).refused("StartTransaction", {**payload, **fields}) == "InternalError"
    assert look(reserved) == ("accepted", None)
    [recorded] = reserved.stores.transactions.page(None, 10, charge_point_id="CP001").items

    again = Line(reserved.stores).call("StartTransaction", {**payload, **fields})
    assert again["transactionId"] == recorded.transaction_id
    assert look(reserved) == ("used", recorded.transaction_id)


@pytest.mark.parametrize("fields", [{"reservationId": 5}, {}])
def test_a_start_that_does_not_come_again_is_found_by_the_repair(reserved, dying, fields):
    payload = {"connectorId": 1, "idTag": "ALICE", "meterStart": 1_000, "timestamp": instant(0)}
    Line(dying).refused("StartTransaction", {**payload, **fields})
    [recorded] = reserved.stores.transactions.page(None, 10, charge_point_id="CP001").items

    for _ in range(2):
        Repair(reserved.stores.link).step(10)
    assert look(reserved) == ("used", recorded.transaction_id)


def test_the_repair_uses_none_for_a_start_that_was_refused(reserved):
    reserved.start(idTag="BOB", reservationId=5)

    Repair(reserved.stores.link).step(10)
    assert look(reserved) == ("accepted", None)


def test_the_repair_finds_a_group_by_the_idtag(line):
    line.stores.id_tags.create(replace(ALICE, id_tag="DAVE", parent_id_tag="FAMILY"))
    started = line.start(idTag="DAVE")["transactionId"]
    line.stores.id_tags.create(replace(ALICE, id_tag="ERIN"))
    line.start(idTag="ERIN", connectorId=2)
    line.stores.id_tags.delete("ERIN")
    keep(line.stores, reservation(parent_id_tag="FAMILY"))

    Repair(line.stores.link).step(10)
    assert look(line) == ("used", started)


def test_the_repair_finds_a_connector_that_has_failed_since(line):
    line.status("Faulted", 1, now_ms=NOON_MS + MINUTE_MS)
    line.status("Faulted", 2, now_ms=NOON_MS - MINUTE_MS)
    keep(line.stores, reservation(1), reservation(2, connector_id=2))

    Repair(line.stores.link).step(10)
    assert line.stores.reservations.get("CP001", 1).state == "lost"
    assert line.stores.reservations.get("CP001", 2).state == "accepted"


# -- statuses


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
def test_a_connector_that_fails_ends_its_reservation(reserved, status):
    reserved.status("Reserved")
    reserved.status(status, now_ms=NOON_MS + MINUTE_MS)

    lost = reserved.stores.reservations.get("CP001", 5)
    assert (lost.state, lost.reason) == ("lost", f"connector 1 reported {status}")


@pytest.mark.parametrize(
    ("reserved_on", "reports", "state"), [(0, 0, "lost"), (0, 1, "accepted"), (1, 0, "accepted")]
)
def test_one_for_any_connector_ends_with_the_charge_point_itself(line, reserved_on, reports, state):
    keep(line.stores, reservation(connector_id=reserved_on))
    line.status("Unavailable", reports, now_ms=NOON_MS + MINUTE_MS)

    assert look(line) == (state, None)


@pytest.mark.parametrize(("before_ms", "state"), [(1_000, "expired"), (30 * MINUTE_MS, "lost")])
def test_a_connector_set_free_tells_that_it_is_over(reserved, before_ms, state):
    """TC_047; and what somebody has taken away at the charge point."""
    reserved.status("Reserved")
    reserved.status("Available", now_ms=UNTIL_MS - before_ms)

    assert look(reserved) == (state, None)


def test_a_reserved_connector_and_a_vehicle_that_comes_leave_it(reserved):
    for number, status in enumerate(("Available", "Reserved", "Preparing")):
        reserved.status(status, now_ms=NOON_MS + number * MINUTE_MS)

    assert look(reserved) == ("accepted", None)


def test_an_old_status_delivered_late_ends_nothing(reserved):
    reserved.status("Reserved", now_ms=NOON_MS + MINUTE_MS)
    reserved.status("Faulted", now_ms=NOON_MS + 2 * MINUTE_MS, timestamp=instant(0))

    assert look(reserved) == ("accepted", None)
