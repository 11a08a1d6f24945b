"""What operators do with campaigns: begin, look ahead, pause, resume, abort, try again.

Nothing here touches a target: that is left to the run that works on the campaign
(campaign_runs.py), which finds out of the record what is wanted.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from csms import jobs
from csms.commands.campaign_views import seen_waiting
from csms.commands.file_hosting import FileHosting
from csms.commands.sequel import Sequel
from csms.config import Settings
from csms.domain.campaign import (
    OVER,
    Campaign,
    CampaignKind,
    CampaignState,
    FirmwareWork,
    LogsWork,
    NewCampaign,
    Selection,
    Target,
    TrailEntry,
    Work,
    check_campaign,
    event_name,
)
from csms.domain.campaign_steps import Decision, Ends, Waits, next_for
from csms.errors import CampaignClosed, FieldError, FilesNotHosted, NoWayForFiles
from csms.logs import get_logger
from csms.state.stores import Stores

log = get_logger(__name__)

CHUNK = 500
PER_SWEEP = 50


# Of which charge points fetch or leave files here.
_WITH_FILES = frozenset({CampaignKind.FIRMWARE, CampaignKind.LOGS})
_RETRIED = frozenset({CampaignState.RUNNING, CampaignState.PAUSED, *OVER})


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would happen to one charge point: outcome is `begins`, `waits`, `skipped` or `fails`."""

    charge_point_id: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """counts: by outcome; foreseen: of the first charge points. window_is_open: whether anything
    would be begun now."""

    target_count: int
    canary_count: int
    counts: dict[str, int]
    foreseen: Sequence[Foreseen]
    window_is_open: bool


@dataclass(frozen=True, slots=True)
class CampaignDesk:
    """Any process may do this; the worker is woken."""

    stores: Stores
    settings: Settings

    def create(
        self, wish: NewCampaign, requested_by: str, now_ms: int, campaign_id: str = ""
    ) -> Campaign:
        """campaign_id: made by who asks, so that what is asked for twice is one campaign. Raises
        FieldError, FilesNotHosted."""
        before = self.stores.campaigns.find(campaign_id) if campaign_id else None
        if before is not None:
            return before
        campaign = self._campaign(wish, requested_by, now_ms, campaign_id)
        created = TrailEntry(now_ms, requested_by, "created")
        self.stores.campaigns.create(campaign, wish.selection.charge_point_ids, created)
        self._tell(campaign.campaign_id, campaign.kind, campaign.rules.start_at_ms)
        log.info(
            "campaign created",
            campaign_id=campaign.campaign_id,
            kind=str(campaign.kind),
            requested_by=requested_by,
        )
        return self.stores.campaigns.get(campaign.campaign_id)

    def _campaign(
        self, wish: NewCampaign, requested_by: str, now_ms: int, campaign_id: str = ""
    ) -> Campaign:
        check_campaign(wish, now_ms)
        return Campaign(
            campaign_id=campaign_id or uuid.uuid4().hex,
            name=wish.name.strip(),
            kind=wish.kind,
            work=self._checked(wish.work),
            selection=wish.selection,
            rules=wish.rules,
            state=CampaignState.SCHEDULED,
            created_by=requested_by,
            created_at_ms=now_ms,
        )

    def _checked(self, work: Work) -> Work:
        has_files = isinstance(work, FirmwareWork | LogsWork)
        if has_files and not (self.settings.files_url or self.settings.files_ftp_url):
            raise FilesNotHosted
        if not isinstance(work, FirmwareWork):
            return work
        image = self.stores.firmware_images.find(work.image_id)
        if image is None:
            raise FieldError("firmware.firmware_id", "is no file of the firmware library")
        if work.signing_key and work.signing_key not in {
            key.name for key in self.stores.signing_keys.all()
        }:
            raise FieldError("firmware.signing_key", "is no signing key of ours")
        if work.signed == "true" and not (work.signing_key or image.signature):
            raise FieldError(
                "firmware.signing_key", "is needed: the file has no signature of its own"
            )
        version = image.version if work.version is None else work.version
        return replace(work, version=version, vendor=image.vendor, model=image.model)

    def dry_run(self, wish: NewCampaign, shown: int, now_ms: int) -> DryRun:
        """What would happen, and to whom, if it were begun now. Raises FieldError,
        FilesNotHosted."""
        campaign = self._campaign(wish, "", now_ms)
        counts = {"begins": 0, "waits": 0, "skipped": 0, "fails": 0}
        foreseen: list[Foreseen] = []
        total = 0
        after: str | None = ""
        while after is not None:
            selection = wish.selection
            ids, after = chunk_of(self.stores, selection, selection.charge_point_ids, after)
            total += len(ids)
            for charge_point_id, seen in seen_waiting(self.stores, "", ids).items():
                decision = next_for(campaign, Target(charge_point_id), seen, now_ms)
                found = self._foreseen(campaign, charge_point_id, decision)
                counts[found.outcome] += 1
                if len(foreseen) < shown:
                    foreseen.append(found)
        window = wish.rules.window
        return DryRun(
            target_count=total,
            canary_count=replace(campaign, target_count=total).canary_count,
            counts=counts,
            foreseen=foreseen,
            window_is_open=window is None or window.is_open(now_ms),
        )

    def _foreseen(self, campaign: Campaign, charge_point_id: str, decision: Decision) -> Foreseen:
        match decision:
            case Waits(reason):
                return Foreseen(charge_point_id, "waits", reason)
            case Ends(_, reason):
                return Foreseen(charge_point_id, "skipped", reason)
        if campaign.kind in _WITH_FILES:
            try:
                FileHosting(self.stores, self.settings).base_url(charge_point_id)
            except NoWayForFiles as problem:
                return Foreseen(charge_point_id, "fails", str(problem))
        return Foreseen(charge_point_id, "begins", "")

    def pause(self, campaign_id: str, requested_by: str, now_ms: int) -> Campaign:
        """Nothing new is begun. Raises NotFound, CampaignClosed."""
        return self._change(
            campaign_id,
            (CampaignState.RUNNING,),
            CampaignState.PAUSED,
            "paused",
            requested_by,
            now_ms,
        )

    def resume(self, campaign_id: str, requested_by: str, now_ms: int) -> Campaign:
        """Raises NotFound, CampaignClosed."""
        return self._change(
            campaign_id,
            (CampaignState.PAUSED,),
            CampaignState.RUNNING,
            "resumed",
            requested_by,
            now_ms,
        )

    def abort(self, campaign_id: str, requested_by: str, now_ms: int) -> Campaign:
        """What is under way comes to its end; all others are cancelled. Raises NotFound,
        CampaignClosed."""
        return self._change(
            campaign_id,
            (
                CampaignState.SCHEDULED,
                CampaignState.STARTING,
                CampaignState.RUNNING,
                CampaignState.PAUSED,
            ),
            CampaignState.ABORTING,
            "aborted",
            requested_by,
            now_ms,
            retry_wanted=False,
        )

    def retry(self, campaign_id: str, requested_by: str, now_ms: int) -> Campaign:
        """Try those again that failed or are unclear; a campaign that has ended goes on. Raises
        NotFound, CampaignClosed."""
        before = self.stores.campaigns.get(campaign_id)
        state = CampaignState.RUNNING if before.is_over else before.state
        if not before.not_well_count:
            raise CampaignClosed(campaign_id, "without a target that failed", "tried again")
        if now_ms >= (before.rules.end_at_ms or now_ms + 1):
            raise CampaignClosed(campaign_id, "past its end", "tried again")
        return self._change(
            campaign_id,
            (before.state,) if before.state in _RETRIED else (),
            state,
            "tried again",
            requested_by,
            now_ms,
            retry_wanted=True,
            ended_at_ms=None,
        )

    def _change(
        self,
        campaign_id: str,
        was: Iterable[CampaignState],
        state: CampaignState,
        done: str,
        requested_by: str,
        now_ms: int,
        **more: bool | None,
    ) -> Campaign:
        found = self.stores.campaigns.change(
            campaign_id,
            was,
            TrailEntry(now_ms, requested_by, done),
            look_at_ms=now_ms,
            state=state,
            reason=f"{done} by {requested_by}",
            **more,
        )
        if found is not None:
            raise CampaignClosed(campaign_id, found, done)
        campaign = self.stores.campaigns.get(campaign_id)
        self._tell(campaign_id, campaign.kind)
        log.info("campaign changed", campaign_id=campaign_id, what=done, requested_by=requested_by)
        return campaign

    def _tell(self, campaign_id: str, kind: CampaignKind, at_ms: int | None = None) -> None:
        """The page, and a worker: at an instant, where there is nothing to do before."""
        self.stores.changed.add(event_name(campaign_id))
        if at_ms is None:
            jobs.wake_campaign(self.settings.rq_redis_url, campaign_id, kind)
        else:
            jobs.wake_campaign_at(self.settings.rq_redis_url, campaign_id, kind, at_ms)


def chunk_of(
    stores: Stores, selection: Selection, listed: Sequence[str], after: str
) -> tuple[Sequence[str], str | None]:
    """Some of the charge points that a selection means now, and where the next chunk begins; None
    after the last. listed: those of a selection by list. after: "" at the beginning."""
    if selection.filters or selection.everything:
        page = stores.charge_points.page(after or None, CHUNK)
        found = [record.charge_point_id for record in page.items if selection.fits(record)]
        return found, page.next_cursor
    first = int(after or 0)
    following = str(first + CHUNK) if first + CHUNK < len(listed) else None
    return listed[first : first + CHUNK], following


def sweep(sequel: Sequel) -> None:
    """Wake a worker for every campaign that somebody should look at."""
    campaigns = sequel.stores.campaigns
    for campaign_id in campaigns.due(sequel.now_ms, PER_SWEEP):
        found = campaigns.find(campaign_id)
        if found is not None:
            jobs.wake_campaign(sequel.settings.rq_redis_url, campaign_id, found.kind)
