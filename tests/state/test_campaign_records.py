"""Campaigns as records: one run at a time, and what an older one writes is refused."""

from dataclasses import replace

import pytest
from cast import CP001, MINUTE_MS, NOON_MS

from csms.domain.campaign import (
    Campaign,
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    ResetWork,
    Rules,
    Selection,
    Target,
    TargetState,
    TrailEntry,
    Window,
)
from csms.domain.campaign_steps import begun
from csms.domain.transfer import LogKind
from csms.errors import FieldError, NotFound
from csms.state import campaigns as module
from csms.state import keys
from csms.state.campaigns import KEPT, LEASE_MS, TRAIL_KEPT, Move, StaleRun

CREATED = TrailEntry(NOON_MS, "user:olga", "created")
RULES = Rules(canary_percent=10, abort_percent=5, window=Window("22:00", "05:00", "Europe/Berlin"))
CAMPAIGN = Campaign(
    campaign_id="a" * 32,
    name="Nightly",
    kind=CampaignKind.RESET,
    work=ResetWork("Soft"),
    selection=Selection(vendor="Nordwerk"),
    rules=RULES,
    state=CampaignState.RUNNING,
    created_by="user:olga",
    created_at_ms=NOON_MS,
)
ID = CAMPAIGN.campaign_id


@pytest.fixture
def campaigns(stores):
    return stores.campaigns


def with_targets(campaigns, *ids):
    """The number of the run that has frozen them."""
    campaigns.create(CAMPAIGN, (), CREATED)
    run = campaigns.take_run(ID, NOON_MS)
    campaigns.freeze(ID, run, ids, "", NOON_MS)
    return run


def moved(campaigns, run, before, after, score_ms=NOON_MS):
    campaigns.move(ID, run, [Move(before, after, score_ms)])
    return after


# -- the record


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        (CampaignKind.RESET, ResetWork("Hard")),
        (CampaignKind.FIRMWARE, FirmwareWork("image", "2.0", "true", "nordwerk", 3, 60)),
        (CampaignKind.LOGS, LogsWork(LogKind.SECURITY_LOG, 1, 2)),
        (CampaignKind.CONFIGURATION, ConfigurationWork("HeartbeatInterval", "60")),
        (CampaignKind.LOCAL_LIST, LocalListWork(full=True)),
    ],
)
def test_a_campaign_is_read_as_it_was_written(campaigns, kind, work):
    created = replace(CAMPAIGN, kind=kind, work=work)
    campaigns.create(created, (), CREATED)

    found = campaigns.get(ID)

    assert found == replace(created, counts=dict.fromkeys(TargetState, 0))
    assert campaigns.page(None, 10).items == [found]


def test_one_that_is_not_there_is_not_found(campaigns):
    assert campaigns.find(ID) is None
    with pytest.raises(NotFound, match="There is no campaign"):
        campaigns.get(ID)
    with pytest.raises(NotFound):
        campaigns.change(ID, CampaignState, state=CampaignState.PAUSED)


def test_the_charge_points_of_a_list_are_kept_apart(campaigns):
    listed = replace(CAMPAIGN, selection=Selection(("CP001", "CP404")))
    campaigns.create(listed, ("CP001", "CP404"), CREATED)

    assert campaigns.get(ID).selection == Selection()
    assert campaigns.listed(ID) == ["CP001", "CP404"]


def test_what_is_created_again_stays_as_it_is(campaigns):
    campaigns.create(CAMPAIGN, ["CP001"], CREATED)
    campaigns.change(ID, [CampaignState.RUNNING], state=CampaignState.PAUSED)

    campaigns.create(CAMPAIGN, ["CP002"], CREATED)

    assert campaigns.get(ID).state is CampaignState.PAUSED
    assert campaigns.listed(ID) == ["CP001"]
    assert campaigns.trail(ID, None, 10).items == [CREATED]


def test_a_campaign_is_due_when_it_starts(campaigns):
    later = replace(CAMPAIGN, rules=Rules(start_at_ms=NOON_MS + MINUTE_MS))
    campaigns.create(later, (), CREATED)

    assert campaigns.due(NOON_MS + MINUTE_MS - 1, 10) == []
    assert campaigns.due(NOON_MS + MINUTE_MS, 10) == [ID]


def test_of_those_that_are_over_the_oldest_go(campaigns, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    with_targets(campaigns, "CP001")
    campaigns.change(ID, CampaignState, state=CampaignState.ENDED)
    for number in range(3):
        later = replace(CAMPAIGN, campaign_id=str(number), created_at_ms=NOON_MS + number + 1)
        campaigns.create(later, (), CREATED)

    assert [c.campaign_id for c in campaigns.page(None, 10).items] == ["2", "1", "0"]
    assert campaigns._link.call("KEYS", f"*{ID}*") == []
    assert campaigns._link.call("ZSCORE", keys.CAMPAIGNS_DUE, ID) is None
    assert KEPT > 2


# -- its state, and the trail


def test_a_state_is_changed_from_those_it_may_have(campaigns):
    campaigns.create(CAMPAIGN, (), CREATED)
    paused = TrailEntry(NOON_MS + 1, "user:olga", "paused")

    was = [CampaignState.RUNNING]
    first = campaigns.change(ID, was, paused, state=CampaignState.PAUSED, retry_wanted=True)
    second = campaigns.change(ID, was, paused, state=CampaignState.PAUSED)

    assert (first, second) == (None, CampaignState.PAUSED)
    found = campaigns.get(ID)
    assert (found.state, found.retry_wanted) == (CampaignState.PAUSED, True)
    assert campaigns.trail(ID, None, 10).items == [paused, CREATED]


def test_the_trail_is_read_in_pages_and_bounded(campaigns):
    campaigns.create(CAMPAIGN, (), CREATED)
    for number in range(4):
        campaigns.change(ID, CampaignState, TrailEntry(number, "", f"step {number}"))

    first = campaigns.trail(ID, None, 3)
    second = campaigns.trail(ID, first.next_cursor, 3)

    assert [entry.what for entry in first.items] == ["step 3", "step 2", "step 1"]
    assert [entry.what for entry in second.items] == ["step 0", "created"]
    assert second.next_cursor is None
    assert campaigns.trail(ID, "5", 3).items == []
    with pytest.raises(FieldError):
        campaigns.trail(ID, "x", 3)


def test_only_the_newest_lines_of_the_trail_stay(campaigns, monkeypatch):
    monkeypatch.setattr(module, "TRAIL_KEPT", 2)
    campaigns.create(CAMPAIGN, (), CREATED)
    for number in range(3):
        campaigns.change(ID, CampaignState, TrailEntry(number, "", "again"))

    assert len(campaigns.trail(ID, None, 10).items) == 2
    assert TRAIL_KEPT > 2


# -- runs


def test_one_run_at_a_time(campaigns):
    campaigns.create(CAMPAIGN, (), CREATED)

    assert campaigns.take_run(ID, NOON_MS) == 1
    assert campaigns.take_run(ID, NOON_MS + LEASE_MS - 1) is None
    assert campaigns.due(NOON_MS, 10) == []
    assert campaigns.take_run("b" * 32, NOON_MS) is None


def test_a_run_that_died_is_followed_by_another(campaigns):
    campaigns.create(CAMPAIGN, (), CREATED)
    campaigns.take_run(ID, NOON_MS)

    assert campaigns.due(NOON_MS + LEASE_MS, 10) == [ID]
    assert campaigns.take_run(ID, NOON_MS + LEASE_MS) == 2


def test_a_run_that_goes_on_keeps_others_out(campaigns):
    campaigns.create(CAMPAIGN, (), CREATED)
    run = campaigns.take_run(ID, NOON_MS)
    campaigns.hold_run(ID, run, NOON_MS + 20_000)

    assert campaigns.take_run(ID, NOON_MS + LEASE_MS) is None
    assert campaigns.take_run(ID, NOON_MS + 20_000 + LEASE_MS) == 2


def test_a_run_says_when_the_next_is_due(campaigns):
    campaigns.create(CAMPAIGN, (), CREATED)
    campaigns.end_run(ID, campaigns.take_run(ID, NOON_MS), NOON_MS + 7)
    assert campaigns.due(NOON_MS + 6, 10) == []
    assert campaigns.due(NOON_MS + 7, 10) == [ID]

    campaigns.end_run(ID, campaigns.take_run(ID, NOON_MS + 7), None)
    assert campaigns.due(NOON_MS * 2, 10) == []
    assert campaigns.take_run(ID, NOON_MS + 8) == 3


@pytest.mark.parametrize("look_at_ms", [None, NOON_MS + 60 * MINUTE_MS])
def test_what_an_operator_does_while_a_run_ends_is_looked_at(campaigns, look_at_ms):
    campaigns.create(CAMPAIGN, (), CREATED)
    for _ in range(2):
        run = campaigns.take_run(ID, NOON_MS)
        was, state = CampaignState.RUNNING, CampaignState.ABORTING
        campaigns.change(ID, [was, state], look_at_ms=NOON_MS + 5, state=state)
        campaigns.hold_run(ID, run, NOON_MS)
        campaigns.end_run(ID, run, look_at_ms)
        assert campaigns.due(NOON_MS + 4, 10) == []
        assert campaigns.due(NOON_MS + 5, 10) == [ID]

    campaigns.end_run(ID, campaigns.take_run(ID, NOON_MS + 5), look_at_ms)
    assert campaigns.due(NOON_MS + 5, 10) == []


def test_a_run_that_stood_still_changes_nothing(campaigns):
    old = with_targets(campaigns, "CP001")
    campaigns.take_run(ID, NOON_MS + LEASE_MS)
    before = campaigns.target(ID, "CP001")

    for write in (
        lambda: campaigns.move(ID, old, [Move(before, begun(before, NOON_MS), NOON_MS)]),
        lambda: campaigns.freeze(ID, old, ["CP002"], "", NOON_MS),
        lambda: campaigns.change(ID, CampaignState, run=old, state=CampaignState.ENDED),
        lambda: campaigns.hold_run(ID, old, NOON_MS),
        lambda: campaigns.end_run(ID, old, NOON_MS),
    ):
        with pytest.raises(StaleRun):
            write()
    assert campaigns.get(ID).state is CampaignState.RUNNING
    assert campaigns.targets(ID, None, None, 10).items == [before]


# -- targets


def test_targets_are_frozen_once(campaigns):
    run = with_targets(campaigns, "CP002", "CP001")
    first = campaigns.target(ID, "CP001")
    moved(campaigns, run, first, begun(first, NOON_MS))

    campaigns.freeze(ID, run, ["CP001", "CP003"], "CP003", NOON_MS)

    assert campaigns.frozen_until(ID) == "CP003"
    assert campaigns.get(ID).target_count == 3
    assert campaigns.target(ID, "CP001").attempt == 1
    ids = [target.charge_point_id for target in campaigns.targets(ID, None, None, 10).items]
    assert ids == ["CP001", "CP002", "CP003"]


def test_a_target_is_read_as_it_was_written(campaigns):
    run = with_targets(campaigns, "CP001")
    before = campaigns.target(ID, "CP001")

    after = moved(campaigns, run, before, replace(begun(before, NOON_MS), fell_back=True))

    assert before == Target("CP001")
    assert campaigns.target(ID, "CP001") == after
    with pytest.raises(NotFound, match="There is no target CP404"):
        campaigns.target(ID, "CP404")


def test_a_target_moves_from_where_it_is(campaigns):
    """Whoever looked before sees it elsewhere, and changes nothing."""
    run = with_targets(campaigns, "CP001")
    before = campaigns.target(ID, "CP001")
    after = moved(campaigns, run, before, begun(before, NOON_MS))

    moved(campaigns, run, before, replace(before, state=TargetState.CANCELLED))

    assert campaigns.target(ID, "CP001") == after
    assert campaigns.get(ID).counts[TargetState.CANCELLED] == 0


def test_targets_are_counted_by_their_state(campaigns):
    run = with_targets(campaigns, "CP001", "CP002", "CP003", "CP004")
    one, two, three, _ = campaigns.targets(ID, None, None, 10).items
    under_way = moved(campaigns, run, one, begun(one, NOON_MS))
    moved(campaigns, run, two, replace(two, state=TargetState.SKIPPED))
    third = moved(campaigns, run, three, begun(three, NOON_MS))
    moved(campaigns, run, third, replace(third, state=TargetState.WAITING))

    found = campaigns.get(ID)

    assert found.counts == {
        **dict.fromkeys(TargetState, 0),
        TargetState.UNDER_WAY: 1,
        TargetState.SKIPPED: 1,
        TargetState.WAITING: 2,
    }
    assert found.again_count == 1
    assert campaigns.works_on(ID, under_way.charge_point_id)
    assert not campaigns.works_on(ID, "CP002")


def test_those_that_are_due_are_found_by_what_they_wait_for(campaigns):
    run = with_targets(campaigns, "CP001", "CP002", "CP003")
    one, two, three = campaigns.targets(ID, None, None, 10).items
    under_way = moved(campaigns, run, one, begun(one, NOON_MS), NOON_MS + 5)
    again = replace(begun(two, NOON_MS), state=TargetState.WAITING)
    moved(campaigns, run, two, begun(two, NOON_MS))
    moved(campaigns, run, begun(two, NOON_MS), again, NOON_MS + 9)

    assert campaigns.under_way(ID, NOON_MS + 4, 10) == []
    assert campaigns.under_way(ID, NOON_MS + 5, 10) == [under_way]
    assert campaigns.begun_before(ID, NOON_MS + 8, 10) == []
    assert campaigns.begun_before(ID, NOON_MS + 9, 10) == [again]
    assert campaigns.fresh(ID, NOON_MS, 10) == [three]
    assert campaigns.next_look_ms(ID) == NOON_MS
    assert campaigns.in_state(ID, TargetState.WAITING, 10) == [again, three]
    assert campaigns.in_state(ID, TargetState.WAITING, 1) == [again]


def test_the_first_look_is_that_of_whoever_is_due_first(campaigns):
    run = with_targets(campaigns, "CP001")
    one = campaigns.target(ID, "CP001")
    moved(campaigns, run, one, begun(one, NOON_MS), NOON_MS + 5)

    assert campaigns.next_look_ms(ID) == NOON_MS + 5
    assert campaigns.next_look_ms("b" * 32) is None


def test_targets_are_listed_in_pages(campaigns):
    run = with_targets(campaigns, *[f"CP00{number}" for number in range(5)])
    for one in campaigns.targets(ID, None, None, 2).items:
        attempt = moved(campaigns, run, one, begun(one, NOON_MS))
        moved(campaigns, run, attempt, replace(attempt, state=TargetState.WAITING))

    for state in (None, TargetState.WAITING):
        found, cursor = [], None
        for _ in range(3):
            page = campaigns.targets(ID, state, cursor, 2)
            found += [target.charge_point_id for target in page.items]
            cursor = page.next_cursor
        assert cursor is None
        assert sorted(found) == [f"CP00{number}" for number in range(5)]


@pytest.mark.parametrize("cursor", ["x", "2:", ":", "0:y"])
def test_a_foreign_cursor_is_refused(campaigns, cursor):
    with_targets(campaigns, "CP001")

    with pytest.raises(FieldError, match="cursor"):
        campaigns.targets(ID, TargetState.WAITING, cursor, 10)


# -- who works on a charge point


def test_a_charge_point_is_held_for_one_campaign(campaigns):
    assert campaigns.claim("CP001", "a") == ""
    assert campaigns.claim("CP001", "a") == ""
    assert campaigns.claim("CP001", "b") == "a"
    assert campaigns.holders(["CP001", "CP002"]) == ["a", ""]
    assert campaigns.holders([]) == []

    campaigns.let_go("CP001", "b")
    assert campaigns.claim("CP001", "b", instead_of="a") == ""
    campaigns.let_go("CP001", "b")
    assert campaigns.holders(["CP001"]) == [""]


def test_a_deleted_charge_point_is_held_for_nobody(stores):
    stores.charge_points.create(CP001)
    stores.campaigns.claim("CP001", "a")

    stores.charge_points.delete("CP001")

    assert stores.campaigns.holders(["CP001"]) == [""]
