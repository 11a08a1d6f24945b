"""Campaigns: one piece of work for many charge points, and what is known of each of them.

What a campaign does next to a target is in domain/campaign_steps.py.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from csms.domain.charge_point import ChargePoint
from csms.domain.secrets import is_secret_key
from csms.domain.traits import Traits
from csms.domain.transfer import LogKind
from csms.errors import FieldError

NAME_MAX = 100
TARGETS_MAX = 100_000
PARALLEL_MAX = 1_000
RETRIES_MAX = 20
HISTORY_KEPT = 40


class CampaignKind(StrEnum):
    """The five kinds of work."""

    FIRMWARE = "firmware"
    LOGS = "logs"
    CONFIGURATION = "configuration"
    RESET = "reset"
    LOCAL_LIST = "local-list"


class CampaignState(StrEnum):
    """From the wish to its end."""

    # Waits for its start_at.
    SCHEDULED = "scheduled"
    # Its targets are being written down; who comes to fit the selection later is none of them.
    STARTING = "starting"
    RUNNING = "running"
    # Nothing new is begun; what is under way comes to its end.
    PAUSED = "paused"
    ABORTING = "aborting"
    ABORTED = "aborted"
    ENDED = "ended"


OVER = frozenset({CampaignState.ABORTED, CampaignState.ENDED})


class TargetState(StrEnum):
    """What has become of one charge point: the last five are its outcome, and it has one."""

    # For its turn, or for another try: `reason` says what keeps it.
    WAITING = "waiting"
    UNDER_WAY = "under-way"
    DONE = "done"
    FAILED = "failed"
    # It was sent, and nobody knows what came of it. Not repeated by itself: it may have been done.
    UNCLEAR = "unclear"
    # Nothing to do, or not possible there at all.
    SKIPPED = "skipped"
    # The campaign was over before its turn.
    CANCELLED = "cancelled"


OUTCOMES = (
    TargetState.DONE,
    TargetState.FAILED,
    TargetState.UNCLEAR,
    TargetState.SKIPPED,
    TargetState.CANCELLED,
)
# What counts for abort_percent, and what a retry takes up again.
NOT_WELL = (TargetState.FAILED, TargetState.UNCLEAR)


class Step(StrEnum):
    """Where an attempt that is under way stands."""

    ASK = "ask"
    # A lost answer to ChangeConfiguration is looked up with GetConfiguration.
    CHECK = "check"
    DOWNLOAD = "download"
    INSTALL = "install"
    # Installed, as reported: which version comes back?
    VERIFY = "verify"
    UPLOAD = "upload"
    # Reset is accepted: does it come back?
    BOOT = "boot"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class FirmwareWork:
    """image_id: of the library. version: what a charge point reports that runs it; "" where that
    is not to be checked, None in a wish for that of the image. signed: auto, true or false, as of a
    single update. signing_key: of ours, that signs where the image has no signature. vendor, model:
    those of the image, "" for any: others are skipped."""

    image_id: str
    version: str | None = None
    signed: str = "auto"
    signing_key: str = ""
    retries: int | None = None
    retry_interval_s: int | None = None
    vendor: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class LogsWork:
    kind: LogKind = LogKind.AUTO
    oldest_at_ms: int | None = None
    latest_at_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationWork:
    """One key, as ChangeConfiguration takes it."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class ResetWork:
    """type: Soft or Hard."""

    type: str


@dataclass(frozen=True, slots=True)
class LocalListWork:
    """full: replace the whole list, whatever is acknowledged."""

    full: bool = False


Work = FirmwareWork | LogsWork | ConfigurationWork | ResetWork | LocalListWork


@dataclass(frozen=True, slots=True)
class Selection:
    """Which charge points are meant: those listed, or all that fit every field given, without
    case; everything must be said in so many words, since nothing is easier than to say nothing."""

    charge_point_ids: tuple[str, ...] = ()
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    tag: str = ""
    site: str = ""
    everything: bool = False

    @property
    def filters(self) -> dict[str, str]:
        """Those given."""
        named = ("vendor", "model", "firmware", "tag", "site")
        return {name: getattr(self, name) for name in named if getattr(self, name)}

    def fits(self, record: ChargePoint) -> bool:
        """Whether a filter means it; a list is not asked."""
        return Traits(**self.filters).fit(record)


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day in which something may be begun: from `begins` until before `ends`, "22:00" to
    "05:30" say, on the clocks of a zone such as Europe/Berlin."""

    begins: str
    ends: str
    zone: str = "UTC"

    def is_open(self, now_ms: int) -> bool:
        at, begins, ends = self._local(now_ms).time(), _clock(self.begins), _clock(self.ends)
        return begins <= at < ends if begins < ends else at >= begins or at < ends

    def opens_at_ms(self, now_ms: int) -> int:
        """When it opens next; only asked while it is closed."""
        local = self._local(now_ms)
        opening = datetime.combine(local.date(), _clock(self.begins), local.tzinfo)
        if opening <= local:
            opening = datetime.combine(
                local.date() + timedelta(days=1), _clock(self.begins), local.tzinfo
            )
        return int(opening.timestamp() * 1000)

    def _local(self, now_ms: int) -> datetime:
        return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(self.zone))


def _clock(text: str) -> time:
    return datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time()


@dataclass(frozen=True, slots=True)
class Rules:
    """How a campaign goes about it.

    canary_percent: so large a share is tried first, and the others only when all of it have an
    outcome; canary_pauses: and somebody has said to go on. max_parallel: under way at once.
    only_idle: begins only where no transaction runs. retries: further tries after one that failed,
    each retry_pause_s later. abort_percent: aborts when more than so many of all targets, or of the
    canaries while they are tried, have failed or are unclear. end_at_ms: nothing is begun
    afterwards. The limits: how long a step may take until the attempt counts as failed.
    """

    canary_percent: int = 0
    canary_pauses: bool = False
    max_parallel: int = 20
    only_idle: bool = True
    window: Window | None = None
    retries: int = 1
    retry_pause_s: int = 600
    abort_percent: int | None = None
    start_at_ms: int | None = None
    end_at_ms: int | None = None
    download_limit_s: int = 3_600
    install_limit_s: int = 3_600
    verify_limit_s: int = 900
    upload_limit_s: int = 3_600
    boot_limit_s: int = 600
    sync_limit_s: int = 1_800


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """A wish, as an operator utters it."""

    name: str
    kind: CampaignKind
    work: Work
    selection: Selection
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Campaign:
    """state, reason: what it does, and why it paused or aborted. target_count: once its targets are
    frozen. canaries_passed: the others may follow. counts: of targets by state, as far as they are
    frozen. retry_wanted: those that failed are to be tried again."""

    campaign_id: str
    name: str
    kind: CampaignKind
    work: Work
    selection: Selection
    rules: Rules
    state: CampaignState
    created_by: str
    created_at_ms: int
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    reason: str = ""
    target_count: int = 0
    canaries_passed: bool = False
    retry_wanted: bool = False
    counts: Mapping[TargetState, int] = field(default_factory=dict)
    again_count: int = 0

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def canary_count(self) -> int:
        """How many targets are tried first; 0 where there are no canaries."""
        return -(-self.target_count * self.rules.canary_percent // 100)

    @property
    def begun_count(self) -> int:
        """Targets that were asked for something, as far as that can be told by their states."""
        begun = (TargetState.UNDER_WAY, TargetState.DONE, *NOT_WELL)
        return self.again_count + sum(self.counts.get(state, 0) for state in begun)

    @property
    def ended_count(self) -> int:
        """Targets with an outcome."""
        return sum(self.counts.get(state, 0) for state in OUTCOMES)

    @property
    def not_well_count(self) -> int:
        return sum(self.counts.get(state, 0) for state in NOT_WELL)

    @property
    def is_tried_on_canaries(self) -> bool:
        """Whether only canaries may be begun."""
        return self.canary_count > 0 and not self.canaries_passed

    @property
    def too_many_failed(self) -> bool:
        """Whether abort_percent says that it is enough."""
        if self.rules.abort_percent is None:
            return False
        of = self.canary_count if self.is_tried_on_canaries else self.target_count
        return self.not_well_count * 100 > self.rules.abort_percent * of

    def estimated_end_ms(self, now_ms: int) -> int | None:
        """By the pace so far; None while there is none, or nobody works on it."""
        if self.state is not CampaignState.RUNNING or not self.ended_count:
            return None
        assert self.started_at_ms is not None  # noqa: S101  # it runs
        left = self.target_count - self.ended_count
        return now_ms + (now_ms - self.started_at_ms) * left // self.ended_count


@dataclass(frozen=True, slots=True)
class TargetEvent:
    """A step of one target, in plain words."""

    at_ms: int
    attempt: int
    what: str


@dataclass(frozen=True, slots=True)
class Target:
    """One charge point of a campaign.

    attempt: the number of the newest attempt, which names its commands: what an earlier one still
    does counts no more. tries: attempts that counted against the retries. reason: what keeps it, or
    why it ended so. step, step_at_ms: of an attempt under way. fell_back: it was asked the other
    way, too, since it does not know the first.
    """

    charge_point_id: str
    state: TargetState = TargetState.WAITING
    attempt: int = 0
    tries: int = 0
    step: Step | None = None
    step_at_ms: int = 0
    began_at_ms: int = 0
    ended_at_ms: int | None = None
    reason: str = ""
    fell_back: bool = False
    history: tuple[TargetEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """A line of a campaign's audit trail. who: an operator, or "" for the system."""

    at_ms: int
    who: str
    what: str


def command_id_of(campaign_id: str, charge_point_id: str, attempt: int, step: Step) -> str:
    """The id of the command that an attempt sends in a step: always the same, so that it is queued
    once whoever repeats it; also that of its transfer."""
    said = f"{campaign_id} {charge_point_id} {attempt} {step}"
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def check_campaign(wish: NewCampaign, now_ms: int) -> None:
    """Raises FieldError; the fields are those of the API."""
    if not wish.name.strip() or len(wish.name) > NAME_MAX:
        raise FieldError("name", f"must have 1 to {NAME_MAX} characters")
    _check_selection(wish.selection)
    _check_rules(wish.rules, now_ms)
    match wish.work:
        case ConfigurationWork(key=key) if is_secret_key(key):
            raise FieldError(
                "configuration.key", "must be set for each charge point alone, as it is secret"
            )
        case ResetWork(type=kind) if kind not in {"Soft", "Hard"}:
            raise FieldError("reset.type", "must be Soft or Hard")
        case LogsWork(oldest_at_ms=oldest, latest_at_ms=latest) if (
            oldest is not None and latest is not None and oldest > latest
        ):
            raise FieldError("logs.latest_at", "must not be before oldest_at")


def _check_selection(selection: Selection) -> None:
    listed, filters = selection.charge_point_ids, selection.filters
    ways = [bool(listed), bool(filters), selection.everything]
    if sum(ways) != 1:
        raise FieldError(
            "selection", "must have charge_point_ids, or filters, or all: one of the three"
        )
    if len(listed) > TARGETS_MAX:
        raise FieldError("selection.charge_point_ids", f"must be {TARGETS_MAX} at most")
    if len(set(listed)) < len(listed):
        raise FieldError("selection.charge_point_ids", "must name no charge point twice")


_BOUNDS: Sequence[tuple[str, int, int]] = (
    ("canary_percent", 0, 100),
    ("max_parallel", 1, PARALLEL_MAX),
    ("retries", 0, RETRIES_MAX),
    ("retry_pause_s", 0, 30 * 86_400),
    ("abort_percent", 0, 100),
    ("download_limit_s", 1, 30 * 86_400),
    ("install_limit_s", 1, 30 * 86_400),
    ("verify_limit_s", 1, 30 * 86_400),
    ("upload_limit_s", 1, 30 * 86_400),
    ("boot_limit_s", 1, 30 * 86_400),
    ("sync_limit_s", 1, 30 * 86_400),
)


def _check_rules(rules: Rules, now_ms: int) -> None:
    for name, lowest, highest in _BOUNDS:
        value = getattr(rules, name)
        if value is not None and not lowest <= value <= highest:
            raise FieldError(f"rules.{name}", f"must be {lowest} to {highest}")
    if rules.canary_percent and rules.abort_percent is None and not rules.canary_pauses:
        raise FieldError(
            "rules.canary_percent",
            "needs abort_percent or canary_pauses: else nothing follows from the canaries",
        )
    if rules.end_at_ms is not None and rules.end_at_ms <= max(now_ms, rules.start_at_ms or 0):
        raise FieldError("rules.end_at", "must be later than now, and than start_at")
    if rules.window is not None:
        _check_window(rules.window)


def _check_window(window: Window) -> None:
    for name, text in (("begins", window.begins), ("ends", window.ends)):
        try:
            _clock(text)
        except ValueError:
            raise FieldError(f"rules.window.{name}", "must be a time such as 22:00") from None
    if _clock(window.begins) == _clock(window.ends):
        raise FieldError("rules.window.ends", "must not be when it begins")
    try:
        ZoneInfo(window.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FieldError("rules.window.zone", "must be a zone such as Europe/Berlin") from None


def event_name(campaign_id: str) -> str:
    """What the page hears when a campaign has changed; no charge point is called so."""
    return f"campaign:{campaign_id}"
