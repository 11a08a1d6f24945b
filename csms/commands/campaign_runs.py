"""Works on a campaign: looks at what is due, decides by the rules, writes it down, then asks.

A run may die anywhere. What it has written says which attempt each target is in, and the id of a
command follows from that, so that whoever comes next asks again with the same id: the command is
queued once. A run that stood still meanwhile finds that it is not the newest, and writes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from csms.commands.campaign_views import seen_under_way, seen_waiting
from csms.commands.campaigns import chunk_of
from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.local_lists import SyncRequest, start
from csms.commands.transfer_requests import TransferDesk
from csms.commands.transfer_wishes import (
    FirmwareUpdate,
    LogUpload,
    Signed,
    Wish,
)
from csms.domain.campaign import (
    NOT_WELL,
    Campaign,
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    ResetWork,
    Step,
    Target,
    TargetState,
    TrailEntry,
    command_id_of,
    event_name,
)
from csms.domain.campaign_steps import (
    LOOK_MS,
    Asks,
    Begins,
    Decision,
    Ends,
    Fails,
    Goes,
    Returns,
    Seen,
    cancelled,
    decided,
    next_for,
    retried,
)
from csms.domain.command import CommandState
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    CSMSError,
    LocalListSyncRunning,
    StoreRefused,
    StoreUnavailable,
)
from csms.logs import get_logger
from csms.state.campaigns import Move, StaleRun
from csms.state.stores import Stores

log = get_logger(__name__)

# How many targets one round looks at; the lease is renewed between rounds.
PER_ROUND = 200
# A run ends after so long, so that other campaigns of its queue get their turn.
BUDGET_S = 15.0
FAILED_BY_MISTAKE = "campaign target failed by a mistake of ours"
MISTAKE = "a mistake of ours; the log of the worker has more"


@dataclass(frozen=True, slots=True)
class CampaignRuns:
    """now: the present instant in ms; a run lasts."""

    stores: Stores
    desk: CommandDesk
    transfers: TransferDesk
    now: Callable[[], int]

    def advance(self, campaign_id: str) -> None:
        """Bring a campaign forward as far as it goes now; nothing where somebody else does.

        Raises StoreUnavailable, StoreRefused: the next run goes on where this one was.
        """
        campaigns = self.stores.campaigns
        run = campaigns.take_run(campaign_id, self.now())
        if run is None:
            return
        until_s = monotonic() + BUDGET_S
        try:
            while _Round(self, campaigns.get(campaign_id), run, self.now()).work():
                campaigns.hold_run(campaign_id, run, self.now())
                if monotonic() > until_s:
                    break
            look_at_ms = self._next_look(campaigns.get(campaign_id))
            campaigns.end_run(campaign_id, run, look_at_ms)
        except StaleRun:
            log.warning("campaign run overtaken", campaign_id=campaign_id)

    def _next_look(self, campaign: Campaign) -> int | None:
        now_ms = self.now()
        if campaign.is_over:
            return None
        if campaign.state is CampaignState.SCHEDULED:
            return max(campaign.rules.start_at_ms or 0, now_ms)
        if campaign.retry_wanted or campaign.state in {
            CampaignState.STARTING,
            CampaignState.ABORTING,
        }:
            return now_ms + LOOK_MS
        if not campaign.counts[TargetState.UNDER_WAY]:
            if campaign.state is CampaignState.PAUSED:
                return None
            window = campaign.rules.window
            if window is not None and not window.is_open(now_ms):
                opens_at_ms = window.opens_at_ms(now_ms)
                return min(opens_at_ms, campaign.rules.end_at_ms or opens_at_ms)
        first_ms = self.stores.campaigns.next_look_ms(campaign.campaign_id)
        return max(first_ms or 0, now_ms + LOOK_MS)


@dataclass(frozen=True, slots=True)
class _Round:
    """A look at a campaign as it was a moment ago."""

    runs: CampaignRuns
    campaign: Campaign
    run: int
    now_ms: int

    def work(self) -> bool:
        """Whether there is more to do at once."""
        match self.campaign.state:
            case CampaignState.SCHEDULED:
                return self._begin()
            case CampaignState.STARTING:
                return self._freeze()
            case CampaignState.ENDED if self.campaign.retry_wanted:
                # An operator wanted it just before the last run ended it.
                self._change((CampaignState.ENDED,), state=CampaignState.RUNNING, ended_at_ms=None)
                return True
            case CampaignState.ENDED | CampaignState.ABORTED:
                return False
        more = self._look_at_those_under_way()
        now = self.runs.stores.campaigns.get(self.campaign.campaign_id)
        return replace(self, campaign=now)._go_on() or more

    def _go_on(self) -> bool:
        """Once what is under way has been looked at."""
        match self.campaign.state:
            case CampaignState.ABORTING:
                return self._cancel_the_waiting("the campaign was aborted")
            case CampaignState.RUNNING | CampaignState.PAUSED if self.campaign.retry_wanted:
                return self._take_up_again()
            case CampaignState.RUNNING:
                return self._run_on() or self._end_if_all_have()
        return self._end_if_all_have()

    # -- beginning and ending

    def _begin(self) -> bool:
        if self.now_ms < (self.campaign.rules.start_at_ms or 0):
            return False
        self._change((CampaignState.SCHEDULED,), state=CampaignState.STARTING)
        return True

    def _freeze(self) -> bool:
        stores, campaign = self.runs.stores, self.campaign
        campaign_id = campaign.campaign_id
        until = stores.campaigns.frozen_until(campaign_id)
        listed = stores.campaigns.listed(campaign_id)
        ids, following = chunk_of(stores, campaign.selection, listed, until)
        stores.campaigns.freeze(campaign_id, self.run, ids, following or until, self.now_ms)
        if following is None:
            count = stores.campaigns.get(campaign_id).target_count
            self._change(
                (CampaignState.STARTING,),
                f"started with {count} charge point{'' if count == 1 else 's'}",
                state=CampaignState.RUNNING,
                started_at_ms=self.now_ms,
            )
        return True

    def _end_if_all_have(self) -> bool:
        counts = self.runs.stores.campaigns.get(self.campaign.campaign_id).counts
        if counts[TargetState.UNDER_WAY] or counts[TargetState.WAITING]:
            return False
        outcome = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        self._change(
            (CampaignState.RUNNING, CampaignState.PAUSED),
            f"ended: {outcome or 'no charge point'}",
            state=CampaignState.ENDED,
            ended_at_ms=self.now_ms,
        )
        return False

    def _cancel_the_waiting(self, reason: str) -> bool:
        campaigns, campaign_id = self.runs.stores.campaigns, self.campaign.campaign_id
        waiting = campaigns.in_state(campaign_id, TargetState.WAITING, PER_ROUND)
        self._move([(one, cancelled(one, reason, self.now_ms), self.now_ms) for one in waiting])
        if waiting:
            return True
        if self.campaign.state is CampaignState.ABORTING:
            left = campaigns.get(campaign_id).counts[TargetState.UNDER_WAY]
            if not left:
                self._change(
                    (CampaignState.ABORTING,),
                    "nothing is under way any more",
                    state=CampaignState.ABORTED,
                    ended_at_ms=self.now_ms,
                )
        return False

    def _take_up_again(self) -> bool:
        """Those that failed, for an operator wants it."""
        campaigns, campaign_id = self.runs.stores.campaigns, self.campaign.campaign_id
        for state in NOT_WELL:
            failed = campaigns.in_state(campaign_id, state, PER_ROUND)
            if failed:
                again = [(one, retried(one, self.now_ms), self.now_ms) for one in failed]
                self._move(again)
                return True
        self._change((CampaignState.RUNNING, CampaignState.PAUSED), retry_wanted=False)
        return True

    # -- targets

    def _look_at_those_under_way(self) -> bool:
        stores = self.runs.stores
        due = stores.campaigns.under_way(self.campaign.campaign_id, self.now_ms, PER_ROUND)
        seen = seen_under_way(stores, self.campaign, due)
        self._decide(
            [(target, self._next_for(target, one)) for target, one in zip(due, seen, strict=True)]
        )
        return len(due) == PER_ROUND

    def _run_on(self) -> bool:
        campaign, rules = self.campaign, self.campaign.rules
        if campaign.too_many_failed:
            self._change(
                (CampaignState.RUNNING,),
                f"aborted by itself: more than {rules.abort_percent} % failed",
                state=CampaignState.ABORTING,
                reason=f"more than {rules.abort_percent} % failed",
            )
            return True
        if self._canaries_are_through():
            paused = {"state": CampaignState.PAUSED, "reason": "all canaries have an outcome"}
            self._change(
                (CampaignState.RUNNING,),
                "all canaries have an outcome",
                canaries_passed=True,
                **(paused if rules.canary_pauses else {}),
            )
            return True
        if rules.end_at_ms is not None and self.now_ms >= rules.end_at_ms:
            return self._cancel_the_waiting("the time of the campaign was over")
        if rules.window is not None and not rules.window.is_open(self.now_ms):
            return False
        return self._begin_some()

    def _canaries_are_through(self) -> bool:
        campaign = self.campaign
        busy = campaign.counts[TargetState.UNDER_WAY] + campaign.again_count
        if not campaign.is_tried_on_canaries or busy:
            return False
        has_others = campaign.counts[TargetState.WAITING] > 0
        return campaign.begun_count >= campaign.canary_count or not has_others

    def _begin_some(self) -> bool:
        campaign, campaigns = self.campaign, self.runs.stores.campaigns
        campaign_id = campaign.campaign_id
        room = campaign.rules.max_parallel - campaign.counts[TargetState.UNDER_WAY]
        if room <= 0:
            return False
        again = campaigns.begun_before(campaign_id, self.now_ms, PER_ROUND)
        room -= self._begin_of(again, room)
        if campaign.is_tried_on_canaries:
            room = min(room, campaign.canary_count - campaign.begun_count)
        if room <= 0:
            return False
        fresh = campaigns.fresh(campaign_id, self.now_ms, PER_ROUND)
        room -= self._begin_of(fresh, room)
        return room > 0 and PER_ROUND in {len(again), len(fresh)}

    def _begin_of(self, candidates: Sequence[Target], room: int) -> int:
        """Begin as many as there is room for; how many were."""
        stores, campaign_id = self.runs.stores, self.campaign.campaign_id
        ids = [target.charge_point_id for target in candidates]
        seen = seen_waiting(stores, campaign_id, ids) if ids else {}
        decisions: list[tuple[Target, Decision]] = []
        begun = 0
        for target in candidates:
            one = seen[target.charge_point_id]
            decision = self._next_for(target, one)
            if isinstance(decision, Begins):
                if begun == room:
                    continue
                holder = stores.campaigns.holders([target.charge_point_id])[0]
                if stores.campaigns.claim(target.charge_point_id, campaign_id, holder):
                    continue
                begun += 1
            decisions.append((target, decision))
        self._decide(decisions)
        return begun

    def _next_for(self, target: Target, seen: Seen) -> Decision:
        try:
            return next_for(self.campaign, target, seen, self.now_ms)
        except Exception:  # the edge: one target must not hold up all others
            log.exception(FAILED_BY_MISTAKE, **self._named(target))
            return Ends(TargetState.UNCLEAR, MISTAKE)

    def _decide(self, decisions: Sequence[tuple[Target, Decision]]) -> None:
        """Write down what was decided, then ask those that are to be asked."""
        rules = self.campaign.rules
        moves = [
            (target, *decided(target, self._heeding_commands(target, decision), rules, self.now_ms))
            for target, decision in decisions
        ]
        self._move(moves)
        asked = {
            target.charge_point_id: decision.step
            for target, decision in decisions
            if isinstance(decision, Asks)
        }
        for before, after, _ in moves:
            is_new = after.state is TargetState.UNDER_WAY and after.attempt > before.attempt
            if is_new or before.charge_point_id in asked:
                self._ask(after, asked.get(before.charge_point_id, Step.ASK))

    def _heeding_commands(self, target: Target, decision: Decision) -> Decision:
        """The decision; but where a target would go back to those that wait although its command is
        there, since it has been queued since it was looked at, it goes on."""
        if not isinstance(decision, Returns) or self.campaign.kind is CampaignKind.LOCAL_LIST:
            return decision
        step = target.step or Step.ASK
        return decision if step is Step.ASK and self._was_never_sent(target) else Goes(step)

    def _was_never_sent(self, target: Target) -> bool:
        """If it was not even queued, it can't be from now on."""
        command_id = self._command_id(target, Step.ASK)
        commands = self.runs.stores.commands
        found = commands.find(target.charge_point_id, command_id)
        if found is None:
            return commands.never_was(target.charge_point_id, command_id)
        return found.state is CommandState.UNDELIVERABLE

    def _ask(self, target: Target, step: Step) -> None:
        # Another campaign may have found it held for nothing just before it was begun here.
        claim = self.runs.stores.campaigns.claim
        holder = claim(target.charge_point_id, self.campaign.campaign_id)
        if holder:
            self._decide([(target, Returns(f"another campaign works on it: {holder}"))])
            return
        try:
            self._send(target, step)
        except (StoreUnavailable, StoreRefused):
            raise  # it may have been queued: the next look tells
        except (ChargePointNotConnected, CommandForbidden) as error:
            self._decide([(target, Returns(str(error)))])
        except LocalListSyncRunning:
            pass  # that one's end is as good
        except CSMSError as error:
            self._decide([(target, Fails(str(error), may_retry=False))])
        except Exception:  # the edge: one target must not hold up all others
            log.exception(FAILED_BY_MISTAKE, **self._named(target))
            self._decide([(target, Ends(TargetState.UNCLEAR, MISTAKE))])

    def _named(self, target: Target) -> dict[str, str]:
        return {
            "campaign_id": self.campaign.campaign_id,
            "charge_point_id": target.charge_point_id,
        }

    def _send(self, target: Target, step: Step) -> None:
        campaign, charge_point_id = self.campaign, target.charge_point_id
        requested_by = f"{campaign.created_by}, campaign {campaign.name}"
        command_id = self._command_id(target, step)
        wish = Wish(charge_point_id, requested_by, command_id=command_id)
        match campaign.work:
            case FirmwareWork() as work:
                update = FirmwareUpdate(
                    image_id=work.image_id,
                    retries=work.retries,
                    retry_interval_s=work.retry_interval_s,
                    signed=Signed(work.signed),
                    signing_key=work.signing_key,
                )
                self.runs.transfers.update_firmware(wish, update, self.now_ms)
            case LogsWork() as work:
                upload = LogUpload(
                    kind=work.kind,
                    oldest_at_ms=work.oldest_at_ms,
                    latest_at_ms=work.latest_at_ms,
                    retries=work.retries,
                    retry_interval_s=work.retry_interval_s,
                )
                self.runs.transfers.upload_log(wish, upload, self.now_ms)
            case ConfigurationWork(key=key) if step is Step.CHECK:
                self._queue(wish, "GetConfiguration", {"key": [key]})
            case ConfigurationWork(key=key, value=value):
                self._queue(wish, "ChangeConfiguration", {"key": key, "value": value})
            case ResetWork(type=kind):
                self._queue(wish, "Reset", {"type": kind})
            case LocalListWork(full=full):
                request = SyncRequest(charge_point_id, requested_by, full=full)
                start(self.runs.stores, self.runs.desk, request, self.now_ms)

    def _queue(self, wish: Wish, action: str, payload: dict[str, Any]) -> None:
        request = CommandRequest(
            wish.charge_point_id,
            action,
            payload,
            wish.requested_by,
            command_id=wish.command_id,
        )
        self.runs.desk.queue(request, self.now_ms)

    def _command_id(self, target: Target, step: Step) -> str:
        return command_id_of(
            self.campaign.campaign_id, target.charge_point_id, target.attempt, step
        )

    # -- writing

    def _move(self, moves: Sequence[tuple[Target, Target, int]]) -> None:
        stores, campaign_id = self.runs.stores, self.campaign.campaign_id
        if not moves:
            return
        stores.campaigns.move(campaign_id, self.run, [Move(*move) for move in moves])
        stores.changed.add(event_name(campaign_id))
        for before, after, _ in moves:
            if after.state is before.state:
                continue
            if before.state is TargetState.UNDER_WAY:
                stores.campaigns.let_go(after.charge_point_id, campaign_id)
            if after.ended_at_ms is not None:
                log.info(
                    "campaign target ended",
                    campaign_id=campaign_id,
                    charge_point_id=after.charge_point_id,
                    state=str(after.state),
                    reason=after.reason,
                )

    def _change(self, was: Sequence[CampaignState], trail: str = "", **fields: Any) -> None:
        campaign_id = self.campaign.campaign_id
        entry = TrailEntry(self.now_ms, "", trail) if trail else None
        campaigns = self.runs.stores.campaigns
        if campaigns.change(campaign_id, was, entry, run=self.run, **fields) is not None:
            return  # an operator was quicker
        self.runs.stores.changed.add(event_name(campaign_id))
        if trail:
            log.info("campaign changed", campaign_id=campaign_id, what=trail, requested_by="")
