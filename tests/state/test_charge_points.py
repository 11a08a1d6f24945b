"""Charge points as recorded."""

from dataclasses import fields, replace

import pytest
from cast import CP001, CP002, NOON_MS

from csms.domain.certificate_facts import CertificateFacts
from csms.domain.charge_point import Admission, ChargePoint, RegistrationStatus
from csms.domain.connector import CONNECTOR_MAX, ChargePointStatus, Connector, LastError
from csms.domain.transfer import TransferKind
from csms.errors import ChargePointExists, ChargePointUnknown, StaleEpoch
from csms.state import keys
from csms.state.charge_points import index_command
from csms.state.transfers import Report

INSTALLED = Report(TransferKind.FIRMWARE, "Installed", None, "firmware")

FULL = ChargePoint(
    charge_point_id="CP 001|x",
    security_profile=2,
    admission=Admission.PENDING,
    retry_interval_s=0,
    heartbeat_interval_s=30,
    call_timeout_s=90,
    description="Car park, level -1: \n'quotes\" ☃",
    site="Car park, level -1",
    tags=("Pilot", "row-7"),
    assume_ocpp16=True,
    key_hash="00$11",
    pending_key_hashes=("22$33", "44$55"),
    pending_security_profile=3,
    client_certificate=CertificateFacts("SN", "O", "CN=R", "1F", "ab", NOON_MS, NOON_MS + 1),
    registration=RegistrationStatus.REJECTED,
    facts={"chargePointVendor": "", "chargePointModel": "ü"},
    created_at_ms=NOON_MS,
    booted_at_ms=NOON_MS + 1,
    firmware_status="Idle",
    firmware_status_at_ms=NOON_MS + 2,
    diagnostics_status="Uploaded",
    diagnostics_status_at_ms=NOON_MS + 3,
)


def connected(stores, charge_point_id="CP001"):
    """The epoch of a new connection."""
    return stores.presences.connect(
        charge_point_id, "process-1", NOON_MS, "127.0.0.1", secure=False
    ).epoch


def connector(connector_id=1, status=ChargePointStatus.AVAILABLE, **changes):
    return replace(
        Connector(connector_id, status, "NoError", "", "", "", "", NOON_MS, NOON_MS), **changes
    )


@pytest.mark.parametrize("record", [CP001, FULL, ChargePoint("plain")], ids=["usual", "full", "-"])
def test_every_field_is_read_back_as_written(stores, record):
    stores.charge_points.create(record)

    assert stores.charge_points.get(record.charge_point_id) == record
    assert stores.charge_points.find(record.charge_point_id) == record


def test_what_is_not_there_is_none_or_told(stores):
    assert stores.charge_points.find("CP404") is None
    assert stores.charge_points.find_ignoring_case("CP404") is None
    with pytest.raises(ChargePointUnknown, match="CP404"):
        stores.charge_points.get("CP404")


@pytest.mark.parametrize("charge_point_id", ["CP001", "cp001", "Cp001"])
def test_an_id_is_taken_in_every_case(stores, charge_point_id):
    stores.charge_points.create(CP001)

    with pytest.raises(ChargePointExists, match="CP001"):
        stores.charge_points.create(replace(CP001, charge_point_id=charge_point_id))

    assert stores.charge_points.count() == 1


def test_a_charge_point_is_found_in_every_case(stores):
    """Quirk 24."""
    stores.charge_points.create(CP001)

    assert stores.charge_points.find_ignoring_case("cP001") == CP001
    assert stores.charge_points.find_ignoring_case("CP001") == CP001


def test_a_name_left_by_a_create_that_died_may_be_taken(stores):
    stores.link.call("HSET", keys.CHARGE_POINT_IDS, "cp001", "CP001")

    stores.charge_points.create(CP001)

    assert stores.charge_points.get("CP001") == CP001


@pytest.mark.parametrize(
    "changes",
    [
        {"admission": Admission.REJECTED},
        {"description": ""},
        {"site": "", "tags": ()},
        {"tags": ("one",)},
        {"retry_interval_s": 5},
        {"retry_interval_s": None},
        {"assume_ocpp16": True},
        {"facts": {"a": "b"}},
        {"security_profile": 0, "key_hash": "x$y"},
        {},
    ],
)
def test_changes_change_nothing_else(stores, changes):
    stores.charge_points.create(FULL)
    stores.charge_points.update(FULL.charge_point_id, **changes)

    assert stores.charge_points.get(FULL.charge_point_id) == replace(FULL, **changes)


def test_an_unknown_charge_point_is_not_made_by_a_change(stores):
    with pytest.raises(ChargePointUnknown):
        stores.charge_points.update("CP404", description="x")

    assert stores.charge_points.find("CP404") is None


def test_every_field_can_be_changed_by_name(stores):
    """Else update() would write what nobody reads."""
    stores.charge_points.create(CP001)
    names = [field.name for field in fields(ChargePoint) if field.name != "charge_point_id"]
    stores.charge_points.update("CP001", **{name: getattr(FULL, name) for name in names})

    assert stores.charge_points.get("CP001") == replace(FULL, charge_point_id="CP001")


def test_a_deleted_charge_point_is_gone_but_its_transactions_stay(stores):
    stores.charge_points.create(CP001)
    epoch = connected(stores)
    stores.charge_points.record_connector("CP001", epoch, connector(), None)
    stores.messages.sent("CP001", "frame", NOON_MS)
    list(stores.messages.write())
    stores.link.call("HSET", keys.transaction("CP001", 7), "state", "stopped")

    stores.charge_points.delete("CP001")

    assert stores.charge_points.find("CP001") is None
    assert stores.charge_points.find_ignoring_case("cp001") is None
    assert stores.charge_points.count() == 0
    assert stores.charge_points.connectors("CP001") == []
    assert stores.messages.page("CP001", None, 10).items == []
    assert stores.overviews.read(NOON_MS).connectors["Available"] == 0
    assert stores.link.call("HGET", keys.transaction("CP001", 7), "state") == "stopped"
    stores.charge_points.create(CP001)
    with pytest.raises(ChargePointUnknown):
        stores.charge_points.delete("CP404")


# -- lists


def ids(page):
    return [record.charge_point_id for record in page.items]


@pytest.fixture
def fleet(stores):
    for number in (3, 1, 2, 10):
        stores.charge_points.create(replace(CP001, charge_point_id=f"CP{number:03d}"))
    stores.charge_points.create(replace(CP001, charge_point_id="Depot|z"))
    return stores.charge_points


def test_a_list_is_in_the_order_of_ids_a_page_at_a_time(fleet):
    first = fleet.page(None, 2)
    second = fleet.page(first.next_cursor, 2)
    third = fleet.page(second.next_cursor, 2)

    assert [ids(page) for page in (first, second, third)] == [
        ["CP001", "CP002"],
        ["CP003", "CP010"],
        ["Depot|z"],
    ]
    assert third.next_cursor is None


def test_a_full_last_page_has_no_next(fleet):
    assert fleet.page(None, 5).next_cursor is None


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("CP00", ["CP001", "CP002", "CP003"]),
        ("Depot|", ["Depot|z"]),
        ("CP010", ["CP010"]),
        ("X", []),
    ],
)
def test_a_list_may_be_narrowed_by_a_prefix(fleet, prefix, found):
    assert ids(fleet.page(None, 10, prefix)) == found
    first = fleet.page(None, 1, prefix)
    if first.next_cursor:
        assert ids(fleet.page(first.next_cursor, 10, prefix)) == found[1:]


def test_many_are_read_in_one_trip_without_those_that_are_not(fleet):
    found = fleet.find_many(["CP002", "CP404", "CP001"])

    assert [record.charge_point_id for record in found] == ["CP002", "CP001"]
    assert fleet.find_many([]) == []


# -- connectors


def test_connectors_are_read_back_by_number(stores):
    epoch = connected(stores)
    second = connector(
        2,
        ChargePointStatus.FAULTED,
        clock_wrong=True,
        raw_error_code="Error",
        last_error=LastError("OtherError", "i", "v", NOON_MS),
    )
    for each in (connector(10), second, connector(0)):
        stores.charge_points.record_connector("CP001", epoch, each, None)

    assert stores.charge_points.connectors("CP001") == [connector(0), second, connector(10)]
    assert stores.charge_points.connectors_of_many(["CP002", "CP001"]) == [
        [],
        [connector(0), second, connector(10)],
    ]
    assert stores.charge_points.connectors_of_many([]) == []


def test_an_old_epoch_writes_no_connector(stores):
    stale = connected(stores)
    connected(stores)

    with pytest.raises(StaleEpoch):
        stores.charge_points.record_connector("CP001", stale, connector(), None)

    assert stores.charge_points.connectors("CP001") == []


def test_an_old_epoch_writes_no_boot_and_no_progress(stores):
    stores.charge_points.create(CP001)
    stale = connected(stores)
    connected(stores)

    with pytest.raises(StaleEpoch):
        stores.charge_points.record_boot(
            "CP001", stale, {"a": "b"}, RegistrationStatus.PENDING, NOON_MS
        )
    with pytest.raises(StaleEpoch):
        stores.transfers.report("CP001", stale, INSTALLED, NOON_MS)

    assert stores.charge_points.get("CP001") == CP001


def test_an_epoch_is_its_charge_point_s_alone(stores):
    stores.charge_points.create(CP001)
    stores.charge_points.create(CP002)
    epoch = connected(stores)

    with pytest.raises(StaleEpoch):
        stores.transfers.report("CP002", epoch, INSTALLED, NOON_MS)


def test_a_deleted_charge_point_is_not_brought_back_by_its_last_connection(stores):
    stores.charge_points.create(CP001)
    epoch = stores.presences.connect("CP001", "process", NOON_MS, "", secure=False).epoch
    stores.charge_points.delete("CP001")

    with pytest.raises(StaleEpoch):
        stores.transfers.report("CP001", epoch, INSTALLED, NOON_MS)

    assert stores.charge_points.find("CP001") is None
    stores.charge_points.create(CP001)


def test_a_deleted_charge_point_leaves_no_connector_in_the_figures(stores):
    stores.charge_points.create(CP001)
    for number in (1, CONNECTOR_MAX):
        command = index_command("SADD", "CP001", number, ChargePointStatus.CHARGING)
        stores.link.call(*command)

    stores.charge_points.delete("CP001")

    assert stores.link.call("SCARD", keys.connectors_in(ChargePointStatus.CHARGING)) == 0


@pytest.mark.parametrize(
    ("current", "expected", "is_taken"),
    [(0, 1, True), (1, 2, True), (1, 3, True), (1, 1, False), (2, 1, False), (3, 0, False)],
)
def test_only_a_higher_profile_is_expected(stores, current, expected, is_taken):
    """White paper, A05: never lowered."""
    stores.charge_points.create(replace(CP001, security_profile=current))

    assert stores.charge_points.expect_profile("CP001", expected) is is_taken

    pending = stores.charge_points.get("CP001").pending_security_profile
    assert pending == (expected if is_taken else None)


def test_nothing_is_expected_of_an_unknown_charge_point(stores):
    assert not stores.charge_points.expect_profile("CP404", 2)
    assert stores.charge_points.find("CP404") is None


def test_only_a_pending_profile_is_promoted_and_only_once(stores):
    charge_points = stores.charge_points
    charge_points.create(replace(CP001, security_profile=1))

    assert not charge_points.promote_profile("CP001", 2)
    charge_points.expect_profile("CP001", 3)
    assert not charge_points.promote_profile("CP001", 2)
    assert charge_points.promote_profile("CP001", 3)
    assert not charge_points.promote_profile("CP001", 3)

    record = charge_points.get("CP001")
    assert (record.security_profile, record.pending_security_profile) == (3, None)
