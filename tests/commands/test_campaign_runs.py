"""Campaigns at work: charge points that answer, boot, upload or stay away, and runs that die."""

from dataclasses import replace

import pytest
from cast import (
    CP001,
    ENVIRONMENT,
    FIRMWARE,
    HOUR_MS,
    MINUTE_MS,
    NOON_MS,
    PEPPER,
    SECOND_MS,
    start_payload,
)
from memory_storage import MemoryStorage
from structlog.testing import capture_logs

from csms.commands import campaign_runs, campaigns
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.campaign_runs import CampaignRuns
from csms.commands.campaigns import CampaignDesk
from csms.commands.dispatch import CommandDesk
from csms.commands.firmware_library import FirmwareLibrary
from csms.commands.sealing import Sealer
from csms.commands.sequel import Sequel
from csms.commands.signing import Signing
from csms.commands.transfer_requests import TransferDesk
from csms.config import Settings
from csms.domain.campaign import (
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
)
from csms.domain.campaign_steps import Seen
from csms.domain.configuration import ConfigurationKey
from csms.domain.file_grant import GrantKind
from csms.domain.hosted_file import UploadedFile
from csms.errors import (
    CampaignClosed,
    FieldError,
    FilesNotHosted,
    FirmwareInUse,
    StoreRefused,
    StoreUnavailable,
)
from csms.state import keys
from csms.state.campaigns import LEASE_MS

SETTINGS = Settings.from_env({**ENVIRONMENT, "FILES_URL": "https://files.example"})
ACCEPTED = {"status": "Accepted"}
OLGA = "user:olga"
IMAGE = replace(FIRMWARE, vendor="V", model="M", version="2.0")


class Fleet:
    """Charge points, each with its socket, and the worker that runs campaigns over them."""

    def __init__(self, desk, plug_in, count):
        self.stores = desk.stores
        self.now_ms = NOON_MS
        self.desk = CampaignDesk(self.stores, SETTINGS)
        self.commands = desk.requests
        self.ids = [f"FLEET-{number}" for number in range(count)]
        self.sockets = {}
        self.calls = {}
        # What each was asked, in order.
        self.heard = {one: [] for one in self.ids}
        self._plug_in = plug_in
        for one in self.ids:
            self.stores.charge_points.create(replace(CP001, charge_point_id=one))
            self.connect(one)

    def connect(self, one):
        record = self.stores.charge_points.get(one)
        self.sockets[one] = self._plug_in(record, self.now_ms)

    def disconnect(self, one):
        epoch = self.sockets[one].line.epoch
        self.stores.presences.disconnect(one, "process-1", epoch, self.now_ms, "gone")

    def runs(self, stores=None):
        stores = stores or self.stores
        signing = Signing(stores, Sealer(PEPPER), lambda work: work())
        transfers = TransferDesk(stores, self.commands, signing, SETTINGS)
        return CampaignRuns(stores, self.commands, transfers, lambda: self.now_ms)

    def begin(self, work, kind=CampaignKind.RESET, selection=None, **rules):
        chosen = selection or Selection(tuple(self.ids))
        wish = NewCampaign("Nightly", kind, work, chosen, Rules(**rules))
        campaign = self.desk.create(wish, OLGA, self.now_ms)
        self.advance(campaign.campaign_id)
        return campaign.campaign_id

    def reset(self, **rules):
        return self.begin(ResetWork("Soft"), **rules)

    def advance(self, campaign_id, after_ms=0):
        self.now_ms += after_ms
        # Its lease goes by the store's clock, and this machine may be busy.
        self.stores.presences.renew("process-1")
        self.runs().advance(campaign_id)
        return self.stores.campaigns.get(campaign_id)

    def hear(self):
        """Whatever is sent now, by charge point; it waits for its answer."""
        found = {}
        for one, socket in self.sockets.items():
            call = socket.next(self.now_ms)
            if call is not None:
                found[one] = self.calls[one] = call
                self.heard[one].append(call)
        return found

    def answer(self, payload=ACCEPTED, only=None):
        for one in list(self.calls) if only is None else only:
            self.sockets[one].answer(self.calls.pop(one), payload, self.now_ms)

    def boot(self, one, version="1.0"):
        payload = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": version}
        self.sockets[one].line.call("BootNotification", payload, self.now_ms)

    def tell(self, one, status, action="FirmwareStatusNotification"):
        self.sockets[one].line.call(action, {"status": status}, self.now_ms)

    def done(self, campaign_id, *ids):
        """Reset and back again."""
        for one in ids:
            self.hear()
            self.answer(only=[one])
            self.now_ms += SECOND_MS
            self.boot(one)

    def target(self, campaign_id, one="FLEET-0"):
        return self.stores.campaigns.target(campaign_id, one)

    def states(self, campaign_id):
        page = self.stores.campaigns.targets(campaign_id, None, None, 1_000)
        return [target.state for target in page.items]


@pytest.fixture
def fleet(desk, plug_in):
    def make(count=1):
        return Fleet(desk, plug_in, count)

    return make


LOOK_MS = 2 * SECOND_MS
WAITING, UNDER_WAY, DONE = TargetState.WAITING, TargetState.UNDER_WAY, TargetState.DONE
FAILED, UNCLEAR, SKIPPED = TargetState.FAILED, TargetState.UNCLEAR, TargetState.SKIPPED
CANCELLED = TargetState.CANCELLED


# -- beginning


def test_a_campaign_asks_all_it_may_and_ends_when_each_has_an_outcome(fleet):
    fleet = fleet(3)
    campaign_id = fleet.reset()
    assert set(fleet.hear()) == set(fleet.ids)
    fleet.answer()
    assert fleet.advance(campaign_id, LOOK_MS).state is CampaignState.RUNNING

    for one in fleet.ids:
        fleet.boot(one)
    ended = fleet.advance(campaign_id, LOOK_MS)

    assert fleet.states(campaign_id) == [DONE] * 3
    assert (ended.state, ended.ended_at_ms) == (CampaignState.ENDED, fleet.now_ms)
    assert fleet.stores.campaigns.due(fleet.now_ms * 2, 10) == []
    assert [entry.what for entry in fleet.stores.campaigns.trail(campaign_id, None, 9).items] == [
        "ended: 3 done",
        "started with 3 charge points",
        "created",
    ]


def test_who_comes_to_fit_later_is_no_target(fleet):
    fleet = fleet(2)
    fleet.stores.charge_points.update("FLEET-1", site="Kiel")
    campaign_id = fleet.reset(selection=Selection(site="kiel"))

    fleet.stores.charge_points.update("FLEET-0", site="Kiel")
    fleet.advance(campaign_id, LOOK_MS)

    page = fleet.stores.campaigns.targets(campaign_id, None, None, 10)
    assert [target.charge_point_id for target in page.items] == ["FLEET-1"]


def test_targets_are_frozen_in_chunks(fleet, monkeypatch):
    monkeypatch.setattr(campaigns, "CHUNK", 2)
    fleet = fleet(5)

    listed = fleet.reset(max_parallel=1)
    everything = fleet.reset(selection=Selection(everything=True), max_parallel=1)

    assert fleet.stores.campaigns.get(listed).target_count == 5
    assert fleet.stores.campaigns.get(everything).target_count == 6  # CP001 too


def test_a_freezing_that_died_goes_on_where_it_was(fleet, monkeypatch):
    monkeypatch.setattr(campaigns, "CHUNK", 2)
    monkeypatch.setattr(campaign_runs, "BUDGET_S", -1.0)
    fleet = fleet(5)
    campaign_id = fleet.reset()

    for _ in range(5):
        fleet.advance(campaign_id, LOOK_MS)

    found = fleet.stores.campaigns.get(campaign_id)
    assert (found.state, found.target_count) == (CampaignState.RUNNING, 5)


def test_a_campaign_without_targets_ends(fleet):
    fleet = fleet()

    campaign_id = fleet.reset(selection=Selection(site="nowhere"))

    found = fleet.stores.campaigns.get(campaign_id)
    assert (found.state, found.target_count) == (CampaignState.ENDED, 0)


def test_a_charge_point_nobody_knows_is_skipped(fleet):
    fleet = fleet()

    campaign_id = fleet.reset(selection=Selection(("CP404",)))

    assert fleet.states(campaign_id) == [SKIPPED]
    assert fleet.stores.campaigns.get(campaign_id).state is CampaignState.ENDED


def test_a_campaign_waits_for_its_start(fleet):
    fleet = fleet()
    campaign_id = fleet.reset(start_at_ms=NOON_MS + HOUR_MS)
    assert fleet.hear() == {}
    assert fleet.stores.campaigns.due(NOON_MS + HOUR_MS - 1, 10) == []

    fleet.advance(campaign_id, HOUR_MS)

    assert set(fleet.hear()) == {"FLEET-0"}


# -- who is begun, and when


def test_no_more_are_under_way_than_the_rules_say(fleet):
    fleet = fleet(5)
    campaign_id = fleet.reset(max_parallel=2)
    first = fleet.hear()
    assert len(first) == 2
    assert fleet.advance(campaign_id, LOOK_MS).counts[UNDER_WAY] == 2
    assert fleet.hear() == {}

    fleet.done(campaign_id, *first)
    fleet.advance(campaign_id, LOOK_MS)

    assert len(fleet.hear()) == 2


def test_who_is_away_waits_until_it_is_back(fleet):
    fleet = fleet()
    fleet.disconnect("FLEET-0")
    campaign_id = fleet.reset()
    assert fleet.target(campaign_id).reason == "it is not connected"

    fleet.connect("FLEET-0")
    fleet.advance(campaign_id, MINUTE_MS)

    assert set(fleet.hear()) == {"FLEET-0"}


def test_who_charges_is_left_in_peace(fleet):
    fleet = fleet()
    line = fleet.sockets["FLEET-0"].line
    started = line.call("StartTransaction", start_payload())
    campaign_id = fleet.reset()
    assert fleet.hear() == {}
    assert fleet.target(campaign_id).reason == "a transaction runs"

    line.stop(started["transactionId"])
    fleet.advance(campaign_id, MINUTE_MS)

    assert set(fleet.hear()) == {"FLEET-0"}


def test_nothing_is_begun_outside_the_window(fleet):
    fleet = fleet()
    campaign_id = fleet.reset(window=Window("12:30", "12:40"))
    assert fleet.hear() == {}
    assert fleet.stores.campaigns.due(NOON_MS + 30 * MINUTE_MS - 1, 10) == []
    assert fleet.stores.campaigns.due(NOON_MS + 30 * MINUTE_MS, 10) == [campaign_id]

    fleet.advance(campaign_id, 30 * MINUTE_MS)

    assert set(fleet.hear()) == {"FLEET-0"}


def test_what_was_not_begun_by_the_end_is_cancelled(fleet):
    fleet = fleet(2)
    campaign_id = fleet.reset(max_parallel=1, end_at_ms=NOON_MS + HOUR_MS)
    fleet.done(campaign_id, "FLEET-0")

    ended = fleet.advance(campaign_id, HOUR_MS)

    assert fleet.states(campaign_id) == [DONE, CANCELLED]
    assert fleet.target(campaign_id, "FLEET-1").reason == "the time of the campaign was over"
    assert ended.state is CampaignState.ENDED


def test_one_campaign_at_a_time_works_on_a_charge_point(fleet):
    fleet = fleet()
    first = fleet.reset()
    second = fleet.reset()
    assert fleet.target(second).reason == "another campaign works on it: Nightly"

    fleet.done(first, "FLEET-0")
    fleet.advance(first, LOOK_MS)
    fleet.advance(second, MINUTE_MS)

    assert fleet.target(second).state is UNDER_WAY
    assert len(fleet.hear()) == 1


def test_what_a_run_that_died_has_left_held_is_free(fleet):
    fleet = fleet()
    fleet.stores.campaigns.claim("FLEET-0", "one that is over")

    campaign_id = fleet.reset()

    assert fleet.target(campaign_id).state is UNDER_WAY


def test_of_two_campaigns_that_begin_at_once_one_does(fleet, monkeypatch):
    """The second finds the charge point held, and not under way yet: as if the first had died."""
    fleet = fleet()
    first = fleet.reset(start_at_ms=NOON_MS + HOUR_MS)
    second = fleet.reset(start_at_ms=NOON_MS + HOUR_MS)
    fleet.now_ms += HOUR_MS
    move = fleet.stores.campaigns.move

    def second_is_quicker(*arguments):
        monkeypatch.undo()
        fleet.advance(second)
        move(*arguments)

    monkeypatch.setattr(fleet.stores.campaigns, "move", second_is_quicker)
    fleet.advance(first)

    assert fleet.target(second).state is UNDER_WAY
    assert fleet.target(first).state is WAITING
    assert fleet.target(first).reason == f"another campaign works on it: {second}"
    assert len(fleet.hear()) == 1
    assert fleet.hear() == {}


def test_who_was_begun_since_it_was_looked_at_is_not_taken_over(fleet, monkeypatch):
    fleet = fleet()
    first = fleet.reset()
    monkeypatch.setattr(fleet.stores.campaigns, "works_on", lambda *_: False)

    second = fleet.reset()

    assert fleet.stores.campaigns.holders(["FLEET-0"]) == [first]
    assert fleet.target(second).state is WAITING


# -- canaries, and when it is enough


def test_canaries_are_tried_first(fleet):
    fleet = fleet(10)
    campaign_id = fleet.reset(canary_percent=20, abort_percent=0)
    canaries = fleet.hear()
    assert len(canaries) == 2

    first, second = canaries
    fleet.done(campaign_id, first)
    fleet.advance(campaign_id, LOOK_MS)
    assert fleet.hear() == {}
    fleet.done(campaign_id, second)
    found = fleet.advance(campaign_id, LOOK_MS)

    assert found.canaries_passed
    assert len(fleet.hear()) == 8


def test_a_canary_that_is_to_be_tried_again_keeps_the_others_waiting(fleet):
    fleet = fleet(10)
    campaign_id = fleet.reset(canary_percent=10, abort_percent=0, retries=1, retry_pause_s=60)
    [canary] = fleet.hear()
    fleet.answer({"status": "Rejected"})
    fleet.advance(campaign_id, LOOK_MS)
    assert fleet.hear() == {}

    fleet.advance(campaign_id, MINUTE_MS)

    assert set(fleet.hear()) == {canary}


def test_a_campaign_whose_canaries_fail_aborts_by_itself(fleet):
    fleet = fleet(10)
    campaign_id = fleet.reset(canary_percent=10, abort_percent=50, retries=0)
    fleet.hear()
    fleet.answer({"status": "Rejected"})

    found = fleet.advance(campaign_id, LOOK_MS)

    assert (found.state, found.reason) == (CampaignState.ABORTED, "more than 50 % failed")
    assert fleet.hear() == {}
    assert found.counts[FAILED] == 1
    assert found.counts[CANCELLED] == 9


def test_a_campaign_may_wait_for_a_word_after_its_canaries(fleet):
    fleet = fleet(4)
    campaign_id = fleet.reset(canary_percent=25, canary_pauses=True)
    fleet.done(campaign_id, *fleet.hear())
    found = fleet.advance(campaign_id, LOOK_MS)
    assert (found.state, found.reason) == (CampaignState.PAUSED, "all canaries have an outcome")
    assert fleet.stores.campaigns.due(fleet.now_ms * 2, 10) == []

    fleet.desk.resume(campaign_id, OLGA, fleet.now_ms)
    fleet.advance(campaign_id)

    assert len(fleet.hear()) == 3


def test_canaries_that_are_all_skipped_do_not_hold_up_the_rest(fleet):
    fleet = fleet(2)
    for one in fleet.ids:
        fleet.stores.charge_points.delete(one)

    campaign_id = fleet.reset(canary_percent=50, abort_percent=0)

    assert fleet.states(campaign_id) == [SKIPPED] * 2
    assert fleet.stores.campaigns.get(campaign_id).state is CampaignState.ENDED


def test_it_is_enough_once_too_many_have_failed(fleet):
    fleet = fleet(4)
    campaign_id = fleet.reset(max_parallel=1, abort_percent=25, retries=0)
    for _ in range(2):
        fleet.hear()
        fleet.answer({"status": "Rejected"})
        found = fleet.advance(campaign_id, LOOK_MS)

    assert found.state is CampaignState.ABORTED
    assert fleet.states(campaign_id) == [FAILED, FAILED, CANCELLED, CANCELLED]


# -- what operators do


def test_a_campaign_that_pauses_begins_nothing_and_looks_on(fleet):
    fleet = fleet(2)
    campaign_id = fleet.reset(max_parallel=1)
    fleet.desk.pause(campaign_id, OLGA, fleet.now_ms)
    fleet.done(campaign_id, "FLEET-0")

    found = fleet.advance(campaign_id, LOOK_MS)

    assert found.state is CampaignState.PAUSED
    assert fleet.states(campaign_id) == [DONE, WAITING]
    assert fleet.hear() == {}
    fleet.desk.resume(campaign_id, OLGA, fleet.now_ms)
    fleet.advance(campaign_id)
    assert set(fleet.hear()) == {"FLEET-1"}


def test_what_is_under_way_comes_to_its_end_when_a_campaign_is_aborted(fleet):
    fleet = fleet(3)
    campaign_id = fleet.reset(max_parallel=1)
    fleet.desk.abort(campaign_id, OLGA, fleet.now_ms)
    found = fleet.advance(campaign_id, LOOK_MS)
    assert found.state is CampaignState.ABORTING
    assert fleet.states(campaign_id) == [UNDER_WAY, CANCELLED, CANCELLED]

    fleet.done(campaign_id, "FLEET-0")
    found = fleet.advance(campaign_id, LOOK_MS)

    assert found.state is CampaignState.ABORTED
    assert fleet.states(campaign_id) == [DONE, CANCELLED, CANCELLED]


def test_a_campaign_is_aborted_before_it_starts(fleet):
    fleet = fleet()
    campaign_id = fleet.reset(start_at_ms=NOON_MS + HOUR_MS)

    fleet.desk.abort(campaign_id, OLGA, fleet.now_ms)

    assert fleet.advance(campaign_id).state is CampaignState.ABORTED


def test_those_that_failed_are_tried_again(fleet):
    fleet = fleet(2)
    campaign_id = fleet.reset(retries=0)
    fleet.hear()
    fleet.answer({"status": "Rejected"}, only=["FLEET-0"])
    fleet.done(campaign_id, "FLEET-1")
    ended = fleet.advance(campaign_id, LOOK_MS)
    assert ended.state is CampaignState.ENDED

    fleet.desk.retry(campaign_id, OLGA, fleet.now_ms)
    fleet.advance(campaign_id)

    assert set(fleet.hear()) == {"FLEET-0"}
    fleet.done(campaign_id, "FLEET-0")
    ended = fleet.advance(campaign_id, LOOK_MS)
    assert ended.state is CampaignState.ENDED
    assert fleet.states(campaign_id) == [DONE, DONE]
    assert fleet.target(campaign_id).attempt == 2


def test_a_campaign_that_is_resumed_while_a_run_ends_goes_on(fleet, monkeypatch):
    fleet = fleet(2)
    campaign_id = fleet.reset(max_parallel=1)
    fleet.done(campaign_id, *fleet.hear())
    fleet.desk.pause(campaign_id, OLGA, fleet.now_ms)
    end_run = fleet.stores.campaigns.end_run

    def resumed_before(*arguments):
        fleet.desk.resume(campaign_id, OLGA, fleet.now_ms)
        end_run(*arguments)

    monkeypatch.setattr(fleet.stores.campaigns, "end_run", resumed_before)
    fleet.advance(campaign_id, LOOK_MS)
    monkeypatch.undo()

    assert fleet.stores.campaigns.due(fleet.now_ms, 10) == [campaign_id]


def test_a_campaign_that_ends_while_it_is_to_be_tried_again_goes_on(fleet, monkeypatch):
    fleet = fleet()
    campaign_id = fleet.reset(retries=0)
    fleet.hear()
    fleet.answer({"status": "Rejected"})
    campaigns_ = fleet.stores.campaigns
    change = campaigns_.change

    def wanted_before(*arguments, **fields):
        monkeypatch.undo()
        fleet.desk.retry(campaign_id, OLGA, fleet.now_ms)
        return change(*arguments, **fields)

    monkeypatch.setattr(campaigns_, "change", wanted_before)
    assert fleet.advance(campaign_id, LOOK_MS).state is CampaignState.ENDED
    assert campaigns_.due(fleet.now_ms, 10) == [campaign_id]

    assert fleet.advance(campaign_id).state is CampaignState.RUNNING
    assert len(fleet.hear()) == 1


def test_a_campaign_past_its_end_is_not_tried_again(fleet):
    """Those that failed would be cancelled at once."""
    fleet = fleet()
    campaign_id = fleet.reset(retries=0, end_at_ms=NOON_MS + HOUR_MS)
    fleet.hear()
    fleet.answer({"status": "Rejected"})
    fleet.advance(campaign_id, LOOK_MS)

    with pytest.raises(CampaignClosed, match="it is past its end"):
        fleet.desk.retry(campaign_id, OLGA, NOON_MS + HOUR_MS)

    assert fleet.target(campaign_id).state is FAILED
    assert fleet.desk.retry(campaign_id, OLGA, NOON_MS + HOUR_MS - 1).retry_wanted


def test_what_is_not_possible_says_what_the_campaign_does(fleet):
    fleet = fleet()
    campaign_id = fleet.reset()

    for act, state in (
        (fleet.desk.resume, "running"),
        (fleet.desk.retry, "without a target that failed"),
    ):
        with pytest.raises(CampaignClosed, match=state):
            act(campaign_id, OLGA, fleet.now_ms)
    fleet.desk.abort(campaign_id, OLGA, fleet.now_ms)
    with pytest.raises(CampaignClosed, match="it is aborting"):
        fleet.desk.pause(campaign_id, OLGA, fleet.now_ms)


def test_every_deed_of_an_operator_is_in_the_trail(fleet):
    fleet = fleet(2)
    campaign_id = fleet.reset(max_parallel=1)
    fleet.desk.pause(campaign_id, OLGA, fleet.now_ms)
    fleet.desk.resume(campaign_id, OLGA, fleet.now_ms)
    fleet.desk.abort(campaign_id, OLGA, fleet.now_ms)

    trail = fleet.stores.campaigns.trail(campaign_id, None, 10).items

    assert [(entry.who, entry.what) for entry in reversed(trail)] == [
        (OLGA, "created"),
        ("", "started with 2 charge points"),
        (OLGA, "paused"),
        (OLGA, "resumed"),
        (OLGA, "aborted"),
    ]


# -- the five kinds


def test_a_key_is_changed_where_it_is_taken(fleet):
    fleet = fleet(3)
    work = ConfigurationWork("HeartbeatInterval", "60")
    campaign_id = fleet.begin(work, CampaignKind.CONFIGURATION, retries=0)
    calls = fleet.hear()
    assert {call.action for call in calls.values()} == {"ChangeConfiguration"}
    assert calls["FLEET-0"].payload == {"key": "HeartbeatInterval", "value": "60"}
    fleet.answer(ACCEPTED, only=["FLEET-0"])
    fleet.answer({"status": "RebootRequired"}, only=["FLEET-1"])
    fleet.answer({"status": "NotSupported"}, only=["FLEET-2"])

    fleet.advance(campaign_id, LOOK_MS)

    assert fleet.states(campaign_id) == [DONE, DONE, FAILED]
    assert fleet.target(campaign_id, "FLEET-1").reason == "it takes effect with the next boot"


def test_a_change_whose_answer_was_lost_is_looked_up_and_not_repeated(fleet):
    fleet = fleet()
    work = ConfigurationWork("HeartbeatInterval", "60")
    campaign_id = fleet.begin(work, CampaignKind.CONFIGURATION)
    fleet.hear()
    fleet.sockets["FLEET-0"].lose(fleet.now_ms)
    fleet.connect("FLEET-0")

    fleet.advance(campaign_id, LOOK_MS)
    fleet.hear()
    fleet.answer({"configurationKey": [{"key": "HeartbeatInterval", "value": "60"}]})
    fleet.advance(campaign_id, LOOK_MS)

    assert [call.action for call in fleet.heard["FLEET-0"]] == [
        "ChangeConfiguration",
        "GetConfiguration",
    ]
    assert fleet.target(campaign_id).state is DONE


def test_firmware_goes_through_its_steps_to_the_new_version(fleet):
    fleet = fleet()
    fleet.stores.firmware_images.create(IMAGE, 1_000)
    campaign_id = fleet.begin(FirmwareWork(IMAGE.image_id), CampaignKind.FIRMWARE)
    [call] = fleet.hear().values()
    fleet.answer({})
    grant = fleet.stores.file_grants.find(call.payload["location"].split("/files/")[1][:32])
    assert (grant.kind, grant.storage_key) == (GrantKind.DOWNLOAD, IMAGE.storage_key)
    seen = []
    for status in ("Downloading", "Downloaded", "Installing", "Installed"):
        fleet.tell("FLEET-0", status)
        fleet.advance(campaign_id, LOOK_MS)
        seen.append(fleet.target(campaign_id).step)
    assert seen == [Step.DOWNLOAD, Step.INSTALL, Step.INSTALL, Step.VERIFY]

    fleet.boot("FLEET-0", "2.0")
    fleet.advance(campaign_id, LOOK_MS)

    assert fleet.target(campaign_id).reason == "it runs 2.0"
    assert [event.what for event in fleet.target(campaign_id).history] == [
        "asked",
        "downloads",
        "installs",
        "is installed; its version is awaited",
        "done: it runs 2.0",
    ]


def test_firmware_that_is_refused_unsigned_is_sent_signed(fleet):
    fleet = fleet()
    fleet.stores.firmware_images.create(
        replace(IMAGE, signature="c2ln", signing_certificate="text"), 1_000
    )
    work = FirmwareWork(IMAGE.image_id)
    campaign_id = fleet.begin(work, CampaignKind.FIRMWARE)
    [call] = fleet.hear().values()
    assert call.action == "SignedUpdateFirmware"

    fleet.sockets["FLEET-0"].refuse(fleet.calls.pop("FLEET-0"), "NotSupported", now_ms=NOON_MS)
    fleet.advance(campaign_id, LOOK_MS)

    [call] = fleet.hear().values()
    assert call.action == "UpdateFirmware"
    target = fleet.target(campaign_id)
    assert (target.attempt, target.tries, target.fell_back) == (2, 0, True)


def test_where_there_is_no_signature_a_charge_point_that_wants_one_fails(fleet):
    fleet = fleet()
    fleet.stores.firmware_images.create(IMAGE, 1_000)
    campaign_id = fleet.begin(FirmwareWork(IMAGE.image_id), CampaignKind.FIRMWARE)
    fleet.hear()

    fleet.sockets["FLEET-0"].refuse(fleet.calls.pop("FLEET-0"), "NotSupported", now_ms=NOON_MS)
    ended = fleet.advance(campaign_id, LOOK_MS)

    assert ended.state is CampaignState.ENDED
    assert fleet.target(campaign_id).state is FAILED
    assert "wants signed firmware" in fleet.target(campaign_id).reason
    assert fleet.hear() == {}


def test_a_charge_point_that_runs_the_version_is_skipped(fleet):
    fleet = fleet(2)
    fleet.stores.firmware_images.create(IMAGE, 1_000)
    fleet.boot("FLEET-0", "2.0")

    campaign_id = fleet.begin(FirmwareWork(IMAGE.image_id), CampaignKind.FIRMWARE)

    assert fleet.states(campaign_id) == [SKIPPED, UNDER_WAY]


def test_a_charge_point_of_another_vendor_is_left_alone(fleet):
    fleet = fleet(2)
    fleet.stores.firmware_images.create(replace(IMAGE, vendor="Nordwerk"), 1_000)
    fleet.boot("FLEET-0")  # of the vendor V

    campaign_id = fleet.begin(FirmwareWork(IMAGE.image_id), CampaignKind.FIRMWARE)

    assert fleet.states(campaign_id) == [SKIPPED, UNDER_WAY]
    assert "for the vendor Nordwerk" in fleet.target(campaign_id).reason


def test_an_update_that_never_ends_is_given_up_and_tried_again(fleet):
    fleet = fleet()
    fleet.stores.firmware_images.create(IMAGE, 1_000)
    work = FirmwareWork(IMAGE.image_id)
    rules = {"download_limit_s": 60, "retries": 1, "retry_pause_s": 0}
    campaign_id = fleet.begin(work, CampaignKind.FIRMWARE, **rules)
    for _ in range(2):
        fleet.hear()
        fleet.answer({})
        fleet.tell("FLEET-0", "Downloading")
        fleet.advance(campaign_id, LOOK_MS)
        fleet.advance(campaign_id, 2 * MINUTE_MS)

    assert fleet.target(campaign_id).state is FAILED
    assert fleet.target(campaign_id).reason == (
        "it did not come to an end in time: its last report is Downloading"
    )
    ids = {call.payload["location"] for call in fleet.heard["FLEET-0"]}
    assert len(ids) == len(fleet.heard["FLEET-0"]) == 2


def uploaded(fleet, one, transfer_id):
    file = UploadedFile(
        upload_id=transfer_id,
        charge_point_id=one,
        storage_key=transfer_id,
        file_name="log",
        size_bytes=3,
        sha256="0" * 64,
        protocol="https",
        remote_address="127.0.0.1",
        received_at_ms=fleet.now_ms,
    )
    fleet.stores.uploaded_files.receive(transfer_id, file, 10**9, fleet.now_ms)


def test_logs_are_collected_by_whichever_way_a_charge_point_knows(fleet):
    fleet = fleet(2)
    campaign_id = fleet.begin(LogsWork(), CampaignKind.LOGS)
    assert {call.action for call in fleet.hear().values()} == {"GetLog"}
    fleet.sockets["FLEET-0"].refuse(fleet.calls.pop("FLEET-0"), "NotSupported", now_ms=NOON_MS)
    fleet.answer({"status": "Accepted", "filename": "log"})
    fleet.advance(campaign_id, LOOK_MS)
    assert fleet.hear()["FLEET-0"].action == "GetDiagnostics"
    fleet.answer({"fileName": "log"})
    fleet.advance(campaign_id, LOOK_MS)
    assert {fleet.target(campaign_id, one).step for one in fleet.ids} == {Step.UPLOAD}

    for one in fleet.ids:
        location = next(
            call.payload.get("location") or call.payload["log"]["remoteLocation"]
            for call in reversed(fleet.heard[one])
        )
        uploaded(fleet, one, location.split("/files/")[1][:32])
    ended = fleet.advance(campaign_id, LOOK_MS)

    assert fleet.states(campaign_id) == [DONE, DONE]
    assert ended.state is CampaignState.ENDED


def test_a_local_list_is_synced(fleet):
    fleet = fleet(2)
    fleet.stores.charge_points.update("FLEET-0", local_list="all")
    campaign_id = fleet.begin(LocalListWork(), CampaignKind.LOCAL_LIST)
    assert fleet.states(campaign_id) == [UNDER_WAY, SKIPPED]
    assert fleet.hear()["FLEET-0"].action == "GetLocalListVersion"
    fleet.answer({"listVersion": 0})
    assert fleet.hear()["FLEET-0"].action == "SendLocalList"
    fleet.advance(campaign_id, LOOK_MS)
    assert fleet.target(campaign_id).step is Step.SYNC

    fleet.answer()
    fleet.advance(campaign_id, LOOK_MS)

    assert fleet.states(campaign_id) == [DONE, SKIPPED]


def test_a_sync_that_runs_already_is_as_good(fleet):
    fleet = fleet()
    fleet.stores.charge_points.update("FLEET-0", local_list="all")
    first = fleet.begin(LocalListWork(), CampaignKind.LOCAL_LIST)
    fleet.desk.abort(first, OLGA, fleet.now_ms)
    fleet.stores.campaigns.let_go("FLEET-0", first)
    target = fleet.target(first)
    run = fleet.stores.campaigns.take_run(first, fleet.now_ms)
    cancelled = replace(target, state=CANCELLED)
    fleet.stores.campaigns.move(first, run, [campaign_runs.Move(target, cancelled, fleet.now_ms)])

    second = fleet.begin(LocalListWork(), CampaignKind.LOCAL_LIST)

    assert fleet.target(second).state is UNDER_WAY
    assert len(fleet.hear()) == 1


# -- what is not sent, and what nobody knows


def test_a_command_that_was_never_sent_is_another_attempt(fleet):
    fleet = fleet()
    campaign_id = fleet.reset()
    socket = fleet.sockets["FLEET-0"]
    socket.delivery.settle_undelivered(
        "FLEET-0", fleet.stores.commands.due(fleet.now_ms * 2, 1)[0], fleet.now_ms
    )
    fleet.advance(campaign_id, LOOK_MS)
    assert fleet.target(campaign_id).state is WAITING

    fleet.advance(campaign_id, MINUTE_MS)

    assert len(fleet.hear()) == 1
    target = fleet.target(campaign_id)
    assert (target.attempt, target.tries) == (2, 0)


def test_a_charge_point_that_leaves_before_it_is_asked_waits(fleet, monkeypatch):
    fleet = fleet()
    runs = fleet.runs()
    monkeypatch.setattr(runs.stores.presences, "owner", lambda one: "")
    wish = NewCampaign("n", CampaignKind.RESET, ResetWork("Soft"), Selection(tuple(fleet.ids)))
    campaign = fleet.desk.create(wish, OLGA, NOON_MS)

    runs.advance(campaign.campaign_id)

    target = fleet.target(campaign.campaign_id)
    assert (target.state, target.reason) == (WAITING, "FLEET-0 is not connected.")
    assert fleet.hear() == {}


def test_a_reset_whose_answer_was_lost_stays_open_and_is_not_repeated(fleet):
    fleet = fleet()
    campaign_id = fleet.reset(boot_limit_s=60)
    fleet.hear()
    fleet.sockets["FLEET-0"].lose(fleet.now_ms)
    fleet.connect("FLEET-0")
    fleet.advance(campaign_id, LOOK_MS)
    ended = fleet.advance(campaign_id, 2 * MINUTE_MS)

    assert fleet.target(campaign_id).state is UNCLEAR
    assert ended.state is CampaignState.ENDED
    assert fleet.hear() == {}


def test_a_charge_point_that_is_deleted_does_not_hold_up_the_end(fleet):
    fleet = fleet()
    campaign_id = fleet.reset()
    fleet.hear()
    fleet.stores.charge_points.delete("FLEET-0")

    ended = fleet.advance(campaign_id, LOOK_MS)

    assert fleet.states(campaign_id) == [UNCLEAR]
    assert ended.state is CampaignState.ENDED


# -- runs that die


class Dies(Exception):
    """The worker is no more."""


class DyingLink:
    """A link whose process dies before or after its number-th command."""

    def __init__(self, link, number, after):
        self._link, self._left, self._after = link, number, after

    def call(self, *command):
        return self._do(lambda: self._link.call(*command))

    def run(self, script, names, arguments):
        return self._do(lambda: self._link.run(script, names, arguments))

    def batch(self, *commands):
        return [self.call(*command) for command in commands]

    def post(self, *command):
        self.call(*command)

    def _do(self, act):
        self._left -= 1
        if self._left == 0 and self._after:
            act()
        if self._left <= 0:
            raise Dies
        return act()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 140, 3))
def test_a_run_that_dies_anywhere_asks_nobody_twice(desk, plug_in, number, after):
    fleet = Fleet(desk, plug_in, 2)
    wish = NewCampaign(
        "n", CampaignKind.RESET, ResetWork("Soft"), Selection(tuple(fleet.ids)), Rules(retries=0)
    )
    campaign_id = fleet.desk.create(wish, OLGA, NOON_MS).campaign_id
    stores = type(fleet.stores).behind(DyingLink(fleet.stores.link, number, after), 50)
    commands = CommandDesk(stores, Sealer(PEPPER), 120, BEFORE_QUEUEING, ())
    try:
        replace(fleet.runs(stores), desk=commands).advance(campaign_id)
    except Dies:
        pass

    for _ in range(8):
        fleet.advance(campaign_id, LEASE_MS)
        for one in fleet.hear():
            fleet.answer(only=[one])
            fleet.now_ms += SECOND_MS
            fleet.boot(one)

    assert [len(calls) for calls in fleet.heard.values()] == [1, 1]
    assert fleet.states(campaign_id) == [DONE, DONE]
    assert fleet.stores.campaigns.get(campaign_id).state is CampaignState.ENDED


def test_a_run_that_stood_still_asks_nobody(fleet, monkeypatch):
    fleet = fleet(2)
    wish = NewCampaign("n", CampaignKind.RESET, ResetWork("Soft"), Selection(tuple(fleet.ids)))
    campaign_id = fleet.desk.create(wish, OLGA, NOON_MS).campaign_id
    still = fleet.runs()
    move = still.stores.campaigns.move

    def meanwhile(*arguments):
        monkeypatch.undo()
        fleet.advance(campaign_id, LEASE_MS)
        move(*arguments)

    monkeypatch.setattr(still.stores.campaigns, "move", meanwhile)
    still.advance(campaign_id)

    fleet.hear()
    assert [len(calls) for calls in fleet.heard.values()] == [1, 1]
    assert fleet.target(campaign_id).attempt == 1


@pytest.mark.parametrize("failure", [StoreUnavailable, StoreRefused])
def test_a_store_that_fails_leaves_it_to_the_next_run(fleet, monkeypatch, failure):
    fleet = fleet()
    wish = NewCampaign("n", CampaignKind.RESET, ResetWork("Soft"), Selection(tuple(fleet.ids)))
    campaign_id = fleet.desk.create(wish, OLGA, NOON_MS).campaign_id

    def silent(*_):
        raise failure("It may have been queued.")

    monkeypatch.setattr(fleet.commands, "queue", silent)
    with pytest.raises(failure):
        fleet.advance(campaign_id)
    monkeypatch.undo()

    assert fleet.target(campaign_id).state is UNDER_WAY
    fleet.advance(campaign_id, LEASE_MS)
    assert len(fleet.hear()) == 1
    assert fleet.target(campaign_id).attempt == 1


def test_a_command_queued_since_it_was_looked_at_is_not_forgotten(fleet, monkeypatch):
    """A run that stood still has queued it at last, when another one has given it up."""
    fleet = fleet()
    campaign_id = fleet.reset()
    gone = Seen(fleet.stores.charge_points.get("FLEET-0"), is_connected=False)
    monkeypatch.setattr(campaign_runs, "seen_under_way", lambda *_: [gone])

    fleet.advance(campaign_id, LOOK_MS)

    assert fleet.target(campaign_id).state is UNDER_WAY
    assert fleet.stores.campaigns.under_way(campaign_id, fleet.now_ms, 10) == []
    assert len(fleet.hear()) == 1


def test_a_command_answered_since_it_was_looked_at_is_not_repeated(fleet, monkeypatch):
    """As above, and the charge point was quick."""
    fleet = fleet()
    campaign_id = fleet.reset()
    fleet.hear()
    fleet.answer()
    gone = Seen(fleet.stores.charge_points.get("FLEET-0"), is_connected=False)
    monkeypatch.setattr(campaign_runs, "seen_under_way", lambda *_: [gone])
    fleet.advance(campaign_id, LOOK_MS)
    monkeypatch.undo()

    fleet.boot("FLEET-0")
    fleet.advance(campaign_id, LOOK_MS)

    assert fleet.target(campaign_id).state is DONE
    assert len(fleet.heard["FLEET-0"]) == 1


def test_a_change_that_can_not_be_looked_up_yet_is_not_repeated(fleet, monkeypatch):
    """It has left again since it was looked at."""
    fleet = fleet()
    work = ConfigurationWork("HeartbeatInterval", "60")
    campaign_id = fleet.begin(work, CampaignKind.CONFIGURATION)
    fleet.hear()
    fleet.sockets["FLEET-0"].lose(fleet.now_ms)
    fleet.connect("FLEET-0")
    monkeypatch.setattr(fleet.stores.presences, "owner", lambda _: "")
    fleet.advance(campaign_id, LOOK_MS)
    monkeypatch.undo()

    assert fleet.target(campaign_id).state is UNDER_WAY
    fleet.advance(campaign_id, MINUTE_MS)
    fleet.hear()
    assert [call.action for call in fleet.heard["FLEET-0"]] == [
        "ChangeConfiguration",
        "GetConfiguration",
    ]


@pytest.mark.parametrize("place", ["next_for", "_send"])
def test_a_mistake_of_ours_costs_one_target_and_not_the_campaign(fleet, monkeypatch, caplog, place):
    fleet = fleet(2)
    holder = campaign_runs if place == "next_for" else campaign_runs._Round
    right = getattr(holder, place)

    def wrong(*words):
        if any(getattr(word, "charge_point_id", "") == "FLEET-0" for word in words):
            raise ZeroDivisionError
        return right(*words)

    monkeypatch.setattr(holder, place, wrong)
    with capture_logs() as logged:
        campaign_id = fleet.reset()
    fleet.done(campaign_id, "FLEET-1")

    ended = fleet.advance(campaign_id, LOOK_MS)

    assert ended.state is CampaignState.ENDED
    assert fleet.states(campaign_id) == [UNCLEAR, DONE]
    assert fleet.target(campaign_id).reason == campaign_runs.MISTAKE
    assert campaign_runs.FAILED_BY_MISTAKE in {line["event"] for line in logged}


# -- looking ahead


def test_a_dry_run_says_what_would_happen_to_whom(fleet):
    fleet = fleet(3)
    fleet.disconnect("FLEET-1")
    wish = NewCampaign(
        "n",
        CampaignKind.RESET,
        ResetWork("Soft"),
        Selection((*fleet.ids, "CP404")),
        Rules(canary_percent=25, abort_percent=0, window=Window("13:00", "14:00")),
    )

    ahead = fleet.desk.dry_run(wish, 3, NOON_MS)

    assert (ahead.target_count, ahead.canary_count) == (4, 1)
    assert ahead.counts == {"begins": 2, "waits": 1, "skipped": 1, "fails": 0}
    assert [(one.outcome, one.reason) for one in ahead.foreseen] == [
        ("begins", ""),
        ("waits", "it is not connected"),
        ("begins", ""),
    ]
    assert not ahead.window_is_open
    assert fleet.stores.campaigns.page(None, 10).items == []
    assert fleet.hear() == {}


@pytest.mark.parametrize(
    ("work", "field"),
    [
        (FirmwareWork("other"), "firmware.firmware_id"),
        (FirmwareWork(IMAGE.image_id, signing_key="other"), "firmware.signing_key"),
        (FirmwareWork(IMAGE.image_id, signed="true"), "firmware.signing_key"),
    ],
)
def test_what_firmware_needs_is_there_before_it_begins(fleet, work, field):
    fleet = fleet()
    fleet.stores.firmware_images.create(IMAGE, 1_000)
    wish = NewCampaign("n", CampaignKind.FIRMWARE, work, Selection(everything=True))

    with pytest.raises(FieldError) as problem:
        fleet.desk.create(wish, OLGA, NOON_MS)

    assert problem.value.field == field
    assert fleet.stores.campaigns.page(None, 10).items == []


def test_a_dry_run_finds_those_that_can_not_get_at_the_files(fleet):
    fleet = fleet(2)
    told = ConfigurationKey("SupportedFileTransferProtocols", "FTP", True, NOON_MS)
    fleet.stores.configurations.record("FLEET-1", [told], is_all=False)
    wish = NewCampaign("n", CampaignKind.LOGS, LogsWork(), Selection(tuple(fleet.ids)))

    ahead = fleet.desk.dry_run(wish, 9, NOON_MS)

    assert [one.outcome for one in ahead.foreseen] == ["begins", "fails"]
    assert "FLEET-1 supports FTP" in ahead.foreseen[1].reason


@pytest.mark.parametrize("work", [LogsWork(), FirmwareWork(IMAGE.image_id)])
def test_nothing_with_files_is_begun_where_none_are_hosted(fleet, work):
    desk = CampaignDesk(fleet().stores, Settings.from_env(ENVIRONMENT))
    wish = NewCampaign("n", CampaignKind.LOGS, work, Selection(everything=True))

    for begin in (lambda: desk.create(wish, OLGA, NOON_MS), lambda: desk.dry_run(wish, 1, NOON_MS)):
        with pytest.raises(FilesNotHosted):
            begin()


def test_firmware_that_is_being_sent_is_not_deleted(fleet):
    fleet = fleet()
    fleet.stores.firmware_images.create(IMAGE, 1_000)
    library = FirmwareLibrary(fleet.stores, MemoryStorage(), SETTINGS)
    other = fleet.reset()
    campaign_id = fleet.begin(FirmwareWork(IMAGE.image_id), CampaignKind.FIRMWARE)

    with pytest.raises(FirmwareInUse, match="sent by the campaign Nightly"):
        library.remove(IMAGE.image_id, OLGA)
    fleet.desk.abort(campaign_id, OLGA, fleet.now_ms)
    fleet.advance(campaign_id)
    library.remove(IMAGE.image_id, OLGA)

    assert fleet.stores.firmware_images.find(IMAGE.image_id) is None
    assert not fleet.stores.campaigns.get(other).is_over


# -- who wakes the worker


def test_a_campaign_that_starts_later_wakes_a_worker_then(fleet, monkeypatch):
    fleet = fleet()
    woken = []
    monkeypatch.setattr(campaigns.jobs, "wake_campaign", lambda *words: woken.append(words))
    monkeypatch.setattr(campaigns.jobs, "wake_campaign_at", lambda *words: woken.append(words))

    now = fleet.reset()
    later = fleet.reset(start_at_ms=NOON_MS + HOUR_MS)

    assert [words[1:] for words in woken] == [
        (now, CampaignKind.RESET),
        (later, CampaignKind.RESET, NOON_MS + HOUR_MS),
    ]


def test_the_sweep_wakes_a_worker_for_what_is_due(fleet, monkeypatch):
    fleet = fleet()
    woken = []
    monkeypatch.setattr(campaigns.jobs, "wake_campaign", lambda *words: woken.append(words))
    campaign_id = fleet.reset(start_at_ms=NOON_MS + HOUR_MS)
    fleet.stores.campaigns._link.call("ZADD", keys.CAMPAIGNS_DUE, 0, "one that is gone")
    woken.clear()
    sequel = Sequel(fleet.stores, fleet.commands, SETTINGS, MemoryStorage(), NOON_MS)

    campaigns.sweep(sequel)
    assert woken == []
    campaigns.sweep(replace(sequel, now_ms=NOON_MS + HOUR_MS))

    assert woken == [(SETTINGS.rq_redis_url, campaign_id, CampaignKind.RESET)]
