"""Stories of campaigns: what operators do with them, and runs that are cut anywhere."""

from cast import SECOND_MS
from deeds import DEEDS
from file_stories import IMAGE, check_files, check_grants, keep_firmware
from stories import Story, check_list_is_true

from csms.domain.campaign import (
    OUTCOMES,
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
    TargetState,
)

MINUTE_MS = 60 * SECOND_MS
PAUSE_MS = 4 * MINUTE_MS
RESET = CampaignKind.RESET


def begin(world, kind, work, **rules):
    """A campaign over CP001."""
    wish = NewCampaign(
        "n", kind, work, Selection(("CP001",)), Rules(retry_pause_s=PAUSE_MS // 1000, **rules)
    )
    begun = world.operator(lambda p: p.campaigns.create(wish, "olga", world.now_ms))
    if begun is not None:
        world.begun.append(begun.campaign_id)


def work(world, times=3):
    """Looks at it, and the charge point does what it is asked for."""
    for _ in range(times):
        world.advance()
        world.act()
        world.later(35 * SECOND_MS)  # longer than what has died holds a campaign


def campaign(world):
    """None where it has never come to be."""
    found = world.books.campaigns.page(None, 10).items
    assert [one.campaign_id for one in found] == world.begun or not world.begun
    assert len(found) <= 1
    return found[0] if found else None


def target(world):
    found = campaign(world)
    return None if found is None else world.books.campaigns.target(found.campaign_id, "CP001")


def trail(world):
    """What was done, oldest first, and by whom."""
    entries = world.books.campaigns.trail(campaign(world).campaign_id, None, 50).items
    return [(one.who, one.what) for one in reversed(entries)]


def check_over(world):
    """It is over, and its target, which is answered, has one outcome. None where there is none."""
    found, one = campaign(world), target(world)
    if found is None:
        return None
    assert found.is_over
    assert one.state in OUTCOMES
    assert one.ended_at_ms is not None
    assert (sum(found.counts.values()), found.counts[one.state]) == (1, 1)
    assert not world.books.campaigns.works_on(found.campaign_id, "CP001")
    done = trail(world)
    assert len(set(done)) == len(done)
    assert done[0] == ("olga", "created")
    return one


def check_asked(world, action):
    """What it was asked: once, and again only after it had refused."""
    heard = world.charge_point.calls(action)
    assert not heard or campaign(world) is not None
    for call in heard[:-1]:
        assert call.answer["status"] == "Rejected", "asked again after it had done it"
    return heard


# -- the kinds


def do_what_it_is_asked(world):
    world.deeds = DEEDS


def change_key(world):
    begin(world, CampaignKind.CONFIGURATION, ConfigurationWork("HeartbeatInterval", "77"))
    work(world)


def check_key_changed(world):
    one, heard = check_over(world), check_asked(world, "ChangeConfiguration")
    if one is not None:
        # What it holds was asked where its answer was lost.
        assert one.state is TargetState.DONE or not heard
        is_there = world.charge_point.configuration["HeartbeatInterval"] == "77"
        assert is_there is (one.state is TargetState.DONE)


def check_done(world):
    assert target(world).state is TargetState.DONE
    assert campaign(world).state is CampaignState.ENDED


def reset(world):
    begin(world, RESET, ResetWork("Soft"))
    work(world)


def check_reset(world):
    one, heard = check_over(world), check_asked(world, "Reset")
    if one is not None:
        check_proven(world, one, heard)
        assert (one.state is TargetState.DONE) is (world.charge_point.boots == 1)


def check_proven(world, one, heard):
    """What it has done is done, whether its answer was lost or not; what never reached it nobody
    knows, or it was asked again."""
    if heard:
        assert one.state is TargetState.DONE
    else:
        assert one.state is TargetState.UNCLEAR


def update(world):
    begin(world, CampaignKind.FIRMWARE, FirmwareWork(IMAGE.image_id))
    work(world)


def check_updated(world):
    one, heard = check_over(world), check_asked(world, "UpdateFirmware")
    check_grants(world)
    if one is not None:
        check_proven(world, one, heard)
        assert (one.state is TargetState.DONE) is (world.charge_point.firmware == "2.0")


def collect_log(world):
    begin(world, CampaignKind.LOGS, LogsWork())
    work(world)


def check_collected(world):
    one, heard = check_over(world), check_asked(world, "GetLog")
    check_grants(world)
    check_files(world)
    if one is not None:
        check_proven(world, one, heard)
        assert (one.state is TargetState.DONE) is (len(world.charge_point.uploaded) == 1)


def assign_list(world):
    world.books.charge_points.update("CP001", local_list="all")


def sync(world):
    begin(world, CampaignKind.LOCAL_LIST, LocalListWork())
    work(world)


def check_synced(world):
    check_list_is_true(world)
    one = check_over(world)
    if one is not None:
        assert one.state is TargetState.DONE
        assert world.charge_point.local_list == {"ALICE": "Accepted", "BOB": "Blocked"}


# -- what operators do


def refuse_once(world, **rules):
    """It is asked, refuses, and is to be asked again later, or when somebody wants it."""
    do_what_it_is_asked(world)
    world.charge_point.rejects["Reset"] = 1
    begin(world, RESET, ResetWork("Soft"), **rules)
    work(world, 2)


def by_operator(world, act):
    campaign_id = campaign(world).campaign_id
    world.operator(lambda p: getattr(p.campaigns, act)(campaign_id, "olga", world.now_ms))


def pause_and_resume(world):
    by_operator(world, "pause")
    is_paused = campaign(world).state is CampaignState.PAUSED
    world.later(PAUSE_MS)
    world.advance()
    if is_paused:
        assert len(world.charge_point.calls("Reset")) == 1
    for _ in range(3):
        if campaign(world).state is CampaignState.PAUSED:
            by_operator(world, "resume")
    work(world)


def check_paused(world):
    one, heard = check_over(world), check_asked(world, "Reset")
    paused = [what for who, what in trail(world) if who and what != "created"]
    assert paused in ([], ["paused", "resumed"])
    check_proven(world, one, heard[1:])


def abort(world):
    by_operator(world, "abort")
    work(world)


def check_aborted(world):
    """Whether it was aborted or not: what the campaign says is what was done."""
    one, heard = check_over(world), check_asked(world, "Reset")
    found = campaign(world)
    is_aborted = ("olga", "aborted") in trail(world)
    assert found.state is (CampaignState.ABORTED if is_aborted else CampaignState.ENDED)
    if is_aborted:
        assert one.state is TargetState.FAILED
        assert len(heard) == 1
    else:
        check_proven(world, one, heard[1:])


def check_aborted_well(world):
    assert campaign(world).state is CampaignState.ABORTED


def under_way(world):
    """It has accepted its reset, and has not booted yet."""
    do_what_it_is_asked(world)
    begin(world, RESET, ResetWork("Soft"))
    world.advance()


def check_ended_aborted(world):
    one, heard = check_over(world), check_asked(world, "Reset")
    is_aborted = ("olga", "aborted") in trail(world)
    state = CampaignState.ABORTED if is_aborted else CampaignState.ENDED
    assert (campaign(world).state, one.state) == (state, TargetState.DONE)
    assert len(heard) == 1


def retry(world):
    by_operator(world, "retry")
    work(world)


def check_retried(world):
    one, heard = check_over(world), check_asked(world, "Reset")
    if ("olga", "tried again") in trail(world):
        check_proven(world, one, heard[1:])
    else:
        assert (one.state, len(heard)) == (TargetState.FAILED, 1)


CAMPAIGN_STORIES = {
    "a campaign that changes a key": Story(change_key, check_key_changed, check_done),
    "a campaign that resets": Story(reset, check_reset, check_done, do_what_it_is_asked),
    "a campaign that updates firmware": Story(update, check_updated, check_done, keep_firmware),
    "a campaign that collects logs": Story(
        collect_log, check_collected, check_done, do_what_it_is_asked
    ),
    "a campaign that syncs lists": Story(sync, check_synced, check_done, assign_list),
    "a campaign that is paused": Story(pause_and_resume, check_paused, check_done, refuse_once),
    "a campaign that is aborted while it waits": Story(
        abort, check_aborted, check_aborted_well, refuse_once
    ),
    "a campaign that is aborted while it works": Story(
        abort, check_ended_aborted, check_aborted_well, under_way
    ),
    "a campaign that is tried again": Story(
        retry, check_retried, check_done, lambda w: refuse_once(w, retries=0)
    ),
}
