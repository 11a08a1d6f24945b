"""Campaigns as they are wished for: whom they mean, when they may, and what they must not say."""

from dataclasses import replace

import pytest
from cast import CP001, DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS

from csms.domain.campaign import (
    TARGETS_MAX,
    Campaign,
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    NewCampaign,
    ResetWork,
    Rules,
    Selection,
    Step,
    TargetState,
    Window,
    check_campaign,
    command_id_of,
    event_name,
)
from csms.domain.charge_point import is_charge_point_id
from csms.errors import FieldError

EVERYTHING = Selection(everything=True)
RESET = NewCampaign("Nightly", CampaignKind.RESET, ResetWork("Soft"), EVERYTHING)
NORDWERK = replace(
    CP001,
    site="Kiel",
    tags=("North", "dc"),
    facts={"chargePointVendor": "Nordwerk", "chargePointModel": "NW-5", "firmwareVersion": "1.0 "},
)


def wish(**changes):
    return replace(RESET, **changes)


def with_rules(**rules):
    return wish(rules=Rules(**rules))


def campaign(counts=None, **changes):
    given = Campaign(
        campaign_id="c" * 32,
        name="Nightly",
        kind=CampaignKind.RESET,
        work=ResetWork("Soft"),
        selection=EVERYTHING,
        rules=Rules(),
        state=CampaignState.RUNNING,
        created_by="user:olga",
        created_at_ms=NOON_MS,
        started_at_ms=NOON_MS,
        target_count=100,
        counts=counts or {},
    )
    return replace(given, **changes)


# -- whom it means


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"vendor": "NORDWERK"}, True),
        ({"vendor": "Nordwerk", "model": "nw-5", "firmware": "1.0"}, True),
        ({"firmware": "1.1"}, False),
        ({"model": "NW"}, False),
        ({"tag": "north"}, True),
        ({"tag": "south"}, False),
        ({"site": "kiel"}, True),
        ({"site": "Bonn"}, False),
        ({"site": "Kiel", "tag": "ac"}, False),
        ({"everything": True}, True),
    ],
)
def test_every_filter_given_must_fit(fields, fits):
    assert Selection(**fields).fits(NORDWERK) is fits


def test_a_charge_point_that_has_told_nothing_fits_no_vendor():
    assert not Selection(vendor="Nordwerk").fits(CP001)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(charge_point_ids=("CP001",), tag="north"),
        Selection(everything=True, tag="north"),
        Selection(everything=True, charge_point_ids=("CP001",)),
    ],
)
def test_a_selection_says_one_thing(selection):
    with pytest.raises(FieldError, match=r"^selection: must have"):
        check_campaign(wish(selection=selection), NOON_MS)


def test_a_list_names_nobody_twice():
    with pytest.raises(FieldError, match="must name no charge point twice"):
        check_campaign(wish(selection=Selection(("CP001", "CP001"))), NOON_MS)


def test_a_list_has_its_bound():
    ids = tuple(str(number) for number in range(TARGETS_MAX + 1))

    with pytest.raises(FieldError, match=r"^selection\.charge_point_ids: must be 100000 at most"):
        check_campaign(wish(selection=Selection(ids)), NOON_MS)


# -- what it must not say


@pytest.mark.parametrize(
    "good",
    [
        RESET,
        wish(selection=Selection(("CP001", "CP404"))),
        wish(selection=Selection(site="Kiel")),
        wish(work=FirmwareWork("image"), kind=CampaignKind.FIRMWARE),
        wish(work=LogsWork(), kind=CampaignKind.LOGS),
        wish(work=LogsWork(oldest_at_ms=1, latest_at_ms=1), kind=CampaignKind.LOGS),
        wish(work=LogsWork(oldest_at_ms=1), kind=CampaignKind.LOGS),
        wish(work=ConfigurationWork("HeartbeatInterval", "60"), kind=CampaignKind.CONFIGURATION),
        wish(work=LocalListWork(), kind=CampaignKind.LOCAL_LIST),
        with_rules(canary_percent=10, abort_percent=0),
        with_rules(canary_percent=10, canary_pauses=True),
        with_rules(start_at_ms=NOON_MS + HOUR_MS, end_at_ms=NOON_MS + DAY_MS),
        with_rules(end_at_ms=NOON_MS + 1),
        with_rules(window=Window("22:00", "05:30", "Europe/Berlin")),
    ],
)
def test_what_makes_sense_is_taken(good):
    check_campaign(good, NOON_MS)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (wish(name=" "), "name"),
        (wish(name="x" * 101), "name"),
        (wish(work=ResetWork("Firm")), "reset.type"),
        (wish(work=LogsWork(oldest_at_ms=2, latest_at_ms=1)), "logs.latest_at"),
        (wish(work=ConfigurationWork("authorizationKEY", "x")), "configuration.key"),
        (with_rules(max_parallel=0), "rules.max_parallel"),
        (with_rules(retries=21), "rules.retries"),
        (with_rules(abort_percent=101), "rules.abort_percent"),
        (with_rules(canary_percent=5), "rules.canary_percent"),
        (with_rules(end_at_ms=NOON_MS), "rules.end_at"),
        (with_rules(end_at_ms=NOON_MS + 1, start_at_ms=NOON_MS + 1), "rules.end_at"),
        (with_rules(window=Window("24:00", "05:30")), "rules.window.begins"),
        (with_rules(window=Window("22:00", "late")), "rules.window.ends"),
        (with_rules(window=Window("22:00", "22:00")), "rules.window.ends"),
        (with_rules(window=Window("22:00", "05:30", "Mars/Base")), "rules.window.zone"),
        (with_rules(window=Window("22:00", "05:30", "../etc/passwd")), "rules.window.zone"),
    ],
)
def test_what_makes_none_is_told_by_its_field(bad, field):
    with pytest.raises(FieldError) as problem:
        check_campaign(bad, NOON_MS)

    assert problem.value.field == field


# -- when it may


@pytest.mark.parametrize(
    ("begins", "ends", "is_open"),
    [
        ("11:00", "13:00", True),
        ("12:00", "12:01", True),
        ("11:00", "12:00", False),
        ("22:00", "12:00", False),
        ("22:00", "12:01", True),
        ("11:59", "02:00", True),
    ],
)
def test_a_window_is_open_from_its_beginning_until_before_its_end(begins, ends, is_open):
    """At noon."""
    assert Window(begins, ends).is_open(NOON_MS) is is_open


def test_a_window_goes_by_the_clocks_of_its_zone():
    """It is one o'clock in Berlin in November."""
    assert Window("13:00", "13:01", "Europe/Berlin").is_open(NOON_MS)
    assert not Window("12:00", "13:00", "Europe/Berlin").is_open(NOON_MS)


def test_a_window_opens_later_today_or_tomorrow():
    assert Window("13:30", "14:00").opens_at_ms(NOON_MS) == NOON_MS + 90 * MINUTE_MS
    assert Window("11:00", "11:30").opens_at_ms(NOON_MS) == NOON_MS + 23 * HOUR_MS
    assert Window("14:00", "15:00", "Europe/Berlin").opens_at_ms(NOON_MS) == NOON_MS + HOUR_MS


# -- how far it is


def test_canaries_are_a_share_rounded_up():
    assert campaign().canary_count == 0
    assert campaign(rules=Rules(canary_percent=1), target_count=101).canary_count == 2


def test_only_canaries_are_tried_until_they_have_passed():
    tried = campaign(rules=Rules(canary_percent=10))

    assert tried.is_tried_on_canaries
    assert not replace(tried, canaries_passed=True).is_tried_on_canaries
    assert not campaign().is_tried_on_canaries


@pytest.mark.parametrize(
    ("failed", "unclear", "passed", "enough"),
    [(5, 0, True, False), (5, 1, True, True), (1, 0, False, True), (0, 0, False, False)],
)
def test_it_is_enough_when_more_than_the_percentage_failed(failed, unclear, passed, enough):
    """5 of 100 targets, or of 10 canaries while they are tried."""
    tried = campaign(
        {TargetState.FAILED: failed, TargetState.UNCLEAR: unclear},
        rules=Rules(canary_percent=10, abort_percent=5),
        canaries_passed=passed,
    )

    assert tried.too_many_failed is enough


def test_without_a_percentage_it_is_never_enough():
    assert not campaign({TargetState.FAILED: 100}).too_many_failed


def test_its_end_is_estimated_by_its_pace():
    half = campaign({TargetState.DONE: 45, TargetState.SKIPPED: 5, TargetState.UNDER_WAY: 3})

    assert half.estimated_end_ms(NOON_MS + HOUR_MS) == NOON_MS + 2 * HOUR_MS
    assert half.ended_count == 50
    assert campaign().estimated_end_ms(NOON_MS) is None
    assert replace(half, state=CampaignState.PAUSED).estimated_end_ms(NOON_MS) is None


def test_those_begun_are_those_that_were_asked():
    tried = campaign({TargetState.DONE: 1, TargetState.UNDER_WAY: 2, TargetState.WAITING: 9})

    assert replace(tried, again_count=4).begun_count == 7


def test_it_is_over_once_it_has_ended():
    assert not campaign().is_over
    assert campaign(state=CampaignState.ABORTED).is_over
    assert not campaign(state=CampaignState.ABORTING).is_over


def test_the_id_of_a_command_is_that_of_its_attempt_and_step():
    ids = {
        command_id_of("a", "CP001", 1, Step.ASK),
        command_id_of("a", "CP001", 2, Step.ASK),
        command_id_of("a", "CP001", 1, Step.CHECK),
        command_id_of("a", "CP002", 1, Step.ASK),
        command_id_of("b", "CP001", 1, Step.ASK),
    }

    assert len(ids) == 5
    assert {len(one) for one in ids} == {32}
    assert command_id_of("a", "CP001", 1, Step.ASK) in ids


def test_no_charge_point_is_called_like_what_the_page_hears_of_a_campaign():
    assert not is_charge_point_id(event_name("a" * 32))
