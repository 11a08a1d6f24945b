"""Charging profiles and templates as recorded: each once, bounded, read back as written."""

from dataclasses import replace

import pytest
from cast import CP001, NOON_MS

from csms.domain.charging_books import ProfileRecord, ProfileState, changed
from csms.domain.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    Kind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from csms.domain.charging_template import ChargingTemplate
from csms.domain.composite_answer import CompositeAnswer
from csms.errors import AlreadyExists, NotFound
from csms.state import charging_profiles, keys

INSTALLED, REQUESTED, CLEARED = (
    ProfileState.INSTALLED,
    ProfileState.REQUESTED,
    ProfileState.CLEARED,
)
RECORD = ProfileRecord(
    "c1",
    ChargingProfile(
        5,
        2,
        Purpose.TX,
        Kind.RECURRING,
        ChargingSchedule(
            RateUnit.W, (SchedulePeriod(0, 11_000), SchedulePeriod(60, 6.1, 1)), NOON_MS, 120, 0.3
        ),
        Recurrency.DAILY,
        7,
        NOON_MS,
        NOON_MS + 1,
    ),
    1,
    REQUESTED,
    "olga",
    NOON_MS,
    NOON_MS,
    sent_at_ms=NOON_MS + 5,
    transaction_id=7,
    id_tag="Älfa",
    reason="why",
)
BARE = ProfileRecord(
    "c2",
    ChargingProfile(
        6,
        0,
        Purpose.TX_DEFAULT,
        Kind.RELATIVE,
        ChargingSchedule(RateUnit.A, (SchedulePeriod(0, 6),)),
    ),
    None,
    REQUESTED,
    "olga",
    NOON_MS + 1,
    NOON_MS + 1,
)


@pytest.mark.parametrize("record", [RECORD, BARE])
def test_every_field_is_read_back_as_written(stores, record):
    stores.charging_profiles.add("CP001", record)

    assert stores.charging_profiles.all_of("CP001") == [record]
    assert stores.charging_profiles.page("CP001", None, 10).items == [record]


def test_a_command_told_twice_makes_one_record(stores):
    stores.charging_profiles.add("CP001", RECORD)
    stores.charging_profiles.change("CP001", [changed(RECORD, INSTALLED, NOON_MS)])
    stores.charging_profiles.add("CP001", RECORD)

    assert [r.state for r in stores.charging_profiles.all_of("CP001")] == [INSTALLED]


def test_a_change_is_made_where_the_record_is_as_it_was_looked_at(stores):
    stores.charging_profiles.add("CP001", RECORD)
    stores.charging_profiles.add("CP001", BARE)
    stores.charging_profiles.change("CP001", [changed(BARE, CLEARED, NOON_MS)])

    stores.charging_profiles.change(
        "CP001",
        [
            changed(RECORD, INSTALLED, NOON_MS + 9, "so"),
            changed(BARE, INSTALLED, NOON_MS + 9),
            changed(replace(RECORD, command_id="nobody"), INSTALLED, NOON_MS),
        ],
    )

    first, second = stores.charging_profiles.all_of("CP001")
    assert (first.state, first.reason, first.changed_at_ms) == (INSTALLED, "so", NOON_MS + 9)
    assert second.state is CLEARED


def test_of_what_is_over_the_newest_stay(stores, monkeypatch):
    monkeypatch.setattr(charging_profiles, "KEPT_PER_CHARGE_POINT", 3)
    states = [INSTALLED, CLEARED, CLEARED, REQUESTED, CLEARED, INSTALLED]
    for number, state in enumerate(states):
        record = replace(
            BARE, command_id=f"c{number}", state=state, requested_at_ms=NOON_MS + number
        )
        stores.charging_profiles.add("CP001", record)

    kept = [record.command_id for record in stores.charging_profiles.all_of("CP001")]

    assert kept == ["c0", "c3", "c5"]
    assert stores.link.call("EXISTS", keys.charging_profile("CP001", "c1")) == 0


def test_what_is_open_stays_however_much_it_is(stores, monkeypatch):
    monkeypatch.setattr(charging_profiles, "KEPT_PER_CHARGE_POINT", 1)
    for number in range(3):
        stores.charging_profiles.add("CP001", replace(BARE, command_id=f"c{number}"))

    assert len(stores.charging_profiles.all_of("CP001")) == 3


def test_a_page_has_the_states_asked_for_newest_first(stores):
    for number, state in enumerate([INSTALLED, CLEARED, INSTALLED, INSTALLED]):
        record = replace(
            BARE, command_id=f"c{number}", state=state, requested_at_ms=NOON_MS + number
        )
        stores.charging_profiles.add("CP001", record)

    first = stores.charging_profiles.page("CP001", None, 2, {INSTALLED})
    second = stores.charging_profiles.page("CP001", first.next_cursor, 2, {INSTALLED})

    assert [r.command_id for r in (*first.items, *second.items)] == ["c3", "c2", "c0"]
    assert second.next_cursor is None


def test_ids_are_given_out_once_and_around_those_taken(stores):
    new_id = stores.charging_profiles.new_id

    assert [new_id("CP001", {2, 3}, "olga", None) for _ in range(3)] == [1, 4, 5]
    assert new_id("CP002", set(), "olga", None) == 1


def test_the_same_request_gets_the_same_id(stores):
    new_id = stores.charging_profiles.new_id

    assert new_id("CP001", set(), "olga", "k") == 1
    assert new_id("CP001", {1}, "olga", "k") == 1
    assert new_id("CP001", {1}, "olga", "other") == 2
    assert new_id("CP001", {1}, "paul", "k") == 3


def test_the_newest_answer_of_each_connector_is_kept(stores):
    def answer(command_id, connector_id, asked_at_ms=NOON_MS):
        return CompositeAnswer(
            command_id, connector_id, 60, "A", asked_at_ms, NOON_MS + 1, {"status": "Rejected"}
        )

    for command_id, connector_id in (("c1", 1), ("c2", 0), ("c3", 1), ("c4", 10**9)):
        stores.charging_profiles.record_answer("CP001", answer(command_id, connector_id))

    assert stores.charging_profiles.answer("CP001", 1) == answer("c3", 1)
    assert stores.charging_profiles.answer("CP001", 0) == answer("c2", 0)
    assert stores.charging_profiles.answer("CP001", 10**9) is None
    # Done again late, as it was cut off: what was asked since stays.
    stores.charging_profiles.record_answer("CP001", answer("c0", 1, NOON_MS - 1))
    assert stores.charging_profiles.answer("CP001", 1) == answer("c3", 1)


def test_a_deleted_charge_point_leaves_no_profile(stores):
    stores.charge_points.create(CP001)
    stores.charging_profiles.add("CP001", RECORD)
    stores.charging_profiles.new_id("CP001", set(), "olga", None)
    stores.charging_profiles.record_answer(
        "CP001", CompositeAnswer("c1", 1, 60, "A", NOON_MS, NOON_MS, {})
    )

    stores.charge_points.delete("CP001")

    left = stores.link.call("KEYS", "csms:{CP001}*")
    assert left == [keys.live("CP001")]


TEMPLATE = ChargingTemplate("Night", {"stackLevel": 0, "x": [1.5]}, "cheap power", NOON_MS)


def test_a_template_is_read_back_as_written(stores):
    stores.charging_profile_templates.create(TEMPLATE)

    assert stores.charging_profile_templates.get("Night") == TEMPLATE
    with pytest.raises(AlreadyExists):
        stores.charging_profile_templates.create(replace(TEMPLATE, description="other"))
    assert stores.charging_profile_templates.get("Night") == TEMPLATE


def test_a_template_is_changed_and_deleted(stores):
    stores.charging_profile_templates.create(TEMPLATE)
    stores.charging_profile_templates.update("Night", profile={"stackLevel": 1}, changed_at_ms=5)

    assert stores.charging_profile_templates.get("Night") == replace(
        TEMPLATE, profile={"stackLevel": 1}, changed_at_ms=5
    )
    stores.charging_profile_templates.delete("Night")
    assert stores.charging_profile_templates.find("Night") is None
    assert stores.charging_profile_templates.page(None, 10).items == []


def test_a_template_that_is_not_there_is_told(stores):
    templates = stores.charging_profile_templates
    for act in (
        lambda: templates.get("Day"),
        lambda: templates.update("Day", description=""),
        lambda: templates.delete("Day"),
    ):
        with pytest.raises(NotFound, match="charging profile template Day"):
            act()


def test_templates_are_in_order_a_page_at_a_time(stores):
    for name in ("b", "a", "c"):
        stores.charging_profile_templates.create(replace(TEMPLATE, name=name))

    first = stores.charging_profile_templates.page(None, 2)
    second = stores.charging_profile_templates.page(first.next_cursor, 2)

    assert [[t.name for t in page.items] for page in (first, second)] == [["a", "b"], ["c"]]
    assert second.next_cursor is None
