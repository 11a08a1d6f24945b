"""Campaigns in plain words: what they are called, what they do to whom, and how far they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
    Step,
    Target,
    TargetState,
    Work,
)
from csms.domain.transfer import LogKind
from csms.web.pages.words import Badge, duration, instant

KINDS: Mapping[CampaignKind, tuple[str, str]] = {
    CampaignKind.FIRMWARE: (
        "Firmware update",
        "Install a file of the firmware library, signed or not as each charge point needs it, "
        "and check the version it comes back with.",
    ),
    CampaignKind.LOGS: (
        "Diagnostics and logs",
        "Have them uploaded to this system, each to an address of its own.",
    ),
    CampaignKind.CONFIGURATION: ("Configuration change", "Set one configuration key."),
    CampaignKind.RESET: ("Restart", "Have charge points restart, and see that they come back."),
    CampaignKind.LOCAL_LIST: (
        "Local list sync",
        "Bring local authorization lists to what the id tags say.",
    ),
}
LOG_CHOICES: Mapping[LogKind, str] = {
    LogKind.AUTO: "diagnostics, by whichever message the charge point knows",
    LogKind.DIAGNOSTICS: "diagnostics, by GetDiagnostics",
    LogKind.DIAGNOSTICS_LOG: "diagnostics log, by GetLog",
    LogKind.SECURITY_LOG: "security log, by GetLog",
}
SIGNED: Mapping[str, str] = {
    "auto": "as the charge point needs it",
    "false": "no: UpdateFirmware",
    "true": "yes: SignedUpdateFirmware",
}
STATES: Mapping[CampaignState, Badge] = {
    CampaignState.SCHEDULED: Badge("Scheduled", "off", "hourglass", "It waits for its start."),
    CampaignState.STARTING: Badge(
        "Starting", "busy", "hourglass", "Its charge points are being written down."
    ),
    CampaignState.RUNNING: Badge("Running", "charging", "bolt", "It is at work."),
    CampaignState.PAUSED: Badge(
        "Paused", "paused", "pause", "Nothing new is begun; what is under way comes to its end."
    ),
    CampaignState.ABORTING: Badge(
        "Aborting", "paused", "hourglass", "What is under way comes to its end."
    ),
    CampaignState.ABORTED: Badge("Aborted", "faulted", "minus", "It was ended before its time."),
    CampaignState.ENDED: Badge("Ended", "available", "check", "Every charge point has an outcome."),
}
# Outcomes first: a bar grows from the left.
TARGET_STATES: Mapping[TargetState, Badge] = {
    TargetState.DONE: Badge("Done", "available", "check", "As it was meant."),
    TargetState.SKIPPED: Badge("Skipped", "off", "minus", "Nothing to do, or not possible there."),
    TargetState.FAILED: Badge("Failed", "faulted", "warning", "After all its tries."),
    TargetState.UNCLEAR: Badge(
        "Unclear",
        "paused",
        "warning",
        "It was sent, and nobody knows what came of it. It is not repeated by itself.",
    ),
    TargetState.CANCELLED: Badge(
        "Cancelled", "offline", "offline", "The campaign was over before its turn."
    ),
    TargetState.UNDER_WAY: Badge("Under way", "charging", "bolt", "An attempt runs."),
    TargetState.WAITING: Badge(
        "Waiting", "off", "hourglass", "For its turn, for its condition or for another try."
    ),
}
_STEPS: Mapping[Step, str] = {
    Step.ASK: "is asked",
    Step.CHECK: "is asked what it holds, since its answer was lost",
    Step.DOWNLOAD: "downloads",
    Step.INSTALL: "installs",
    Step.VERIFY: "has installed; its version is awaited",
    Step.UPLOAD: "uploads",
    Step.BOOT: "restarts",
    Step.SYNC: "is synced",
}


# Of a dry run.
OUTCOMES: Mapping[str, str] = {
    "begins": "could begin now",
    "waits": "would wait",
    "skipped": "would be skipped",
    "fails": "would fail",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a progress bar whose whole is BAR_WIDTH wide."""

    state: TargetState
    badge: Badge
    count: int
    start: float
    width: float


BAR_WIDTH = 1_000


def campaign_badge(campaign: Campaign) -> Badge:
    return STATES[campaign.state]


def target_badge(target: Target) -> Badge:
    return TARGET_STATES[target.state]


def kind_word(kind: CampaignKind) -> str:
    return KINDS[kind][0]


def segments(campaign: Campaign) -> list[Segment]:
    """All states in their order, those without targets too: they have no width."""
    whole = sum(campaign.counts.values()) or 1
    parts: list[Segment] = []
    start = 0.0
    for state, badge in TARGET_STATES.items():
        count = campaign.counts.get(state, 0)
        width = round(count * BAR_WIDTH / whole, 2)
        parts.append(Segment(state, badge, count, round(start, 2), width))
        start += width
    return parts


def step_words(target: Target) -> str:
    """What it is at, or what keeps it, or why it ended so."""
    if target.step is not None:
        return _STEPS[target.step]
    return target.reason


def target_since_ms(target: Target) -> int | None:
    """Since when it has been as it is, where that is known."""
    if target.ended_at_ms:
        return target.ended_at_ms
    return target.step_at_ms or None if target.step is not None else None


def selection_words(selection: Selection) -> str:
    """`vendor Acme, tag pilot`, `those listed`, `every charge point`."""
    if selection.everything:
        return "every charge point"
    if not selection.filters:
        return "those listed"
    return ", ".join(f"{name} {text}" for name, text in selection.filters.items())


def work_facts(work: Work) -> list[tuple[str, str]]:
    """What is to be done, as labels and words."""
    match work:
        case FirmwareWork():
            facts = [
                ("Version", work.version or "not checked"),
                ("Signed", SIGNED[work.signed]),
                *([("Signed with", work.signing_key)] if work.signing_key else []),
            ]
            return [*facts, *_own_tries(work)]
        case LogsWork():
            facts = [("What", LOG_CHOICES[work.kind])]
            if work.oldest_at_ms is not None:
                facts.append(("From", instant(work.oldest_at_ms)))
            if work.latest_at_ms is not None:
                facts.append(("To", instant(work.latest_at_ms)))
            return [*facts, *_own_tries(work)]
        case ConfigurationWork():
            return [("Key", work.key), ("Value", work.value)]
        case ResetWork():
            return [("Type", work.type)]
        case LocalListWork():
            whole = "the whole list, whatever was acknowledged" if work.full else "what differs"
            return [("Sent", whole)]


def _own_tries(work: FirmwareWork | LogsWork) -> Iterator[tuple[str, str]]:
    if work.retries is not None:
        pause = "" if work.retry_interval_s is None else f", {work.retry_interval_s} s apart"
        yield "The charge point's own tries", f"{work.retries} more{pause}"


def rule_words(campaign: Campaign) -> list[tuple[str, str]]:
    """The rules that matter for its kind, as labels and words."""
    rules = campaign.rules
    return [
        ("First", _canaries(campaign)),
        ("At once", f"{rules.max_parallel} at most"),
        ("Begins", _begins(rules)),
        ("Tries", _tries(rules)),
        (
            "Aborts",
            "never by itself"
            if rules.abort_percent is None
            else f"when more than {rules.abort_percent} % have failed or are unclear",
        ),
        *_times(rules),
        ("Limits", _limits(campaign)),
    ]


def _canaries(campaign: Campaign) -> str:
    rules = campaign.rules
    if not rules.canary_percent:
        return "no canaries"
    number = f" ({campaign.canary_count})" if campaign.target_count else ""
    then = "then it pauses" if rules.canary_pauses else "the others follow when all have an outcome"
    return f"{rules.canary_percent} %{number} as canaries; {then}"


def _begins(rules: Rules) -> str:
    window = rules.window
    when = (
        "at any time"
        if window is None
        else f"between {window.begins} and {window.ends}, {window.zone}"
    )
    return f"{when}, {'only where no transaction runs' if rules.only_idle else 'whatever runs'}"


def _tries(rules: Rules) -> str:
    if not rules.retries:
        return "once"
    more = "once more" if rules.retries == 1 else f"{rules.retries} times more"
    return f"{more} where it fails, {duration(rules.retry_pause_s * 1000)} later"


def _times(rules: Rules) -> Iterator[tuple[str, str]]:
    if rules.start_at_ms is not None:
        yield "Starts", instant(rules.start_at_ms)
    if rules.end_at_ms is not None:
        yield "Begins nothing after", instant(rules.end_at_ms)


# Which limits matter for which kind, in the order of its steps.
LIMITS: Mapping[CampaignKind, Mapping[str, str]] = {
    CampaignKind.FIRMWARE: {
        "download_limit_s": "download",
        "install_limit_s": "installation",
        "verify_limit_s": "boot with the new version",
    },
    CampaignKind.LOGS: {"upload_limit_s": "upload"},
    CampaignKind.CONFIGURATION: {},
    CampaignKind.RESET: {"boot_limit_s": "restart"},
    CampaignKind.LOCAL_LIST: {"sync_limit_s": "sync"},
}


def _limits(campaign: Campaign) -> str:
    limits = [
        f"{label} {duration(getattr(campaign.rules, name) * 1000)}"
        for name, label in LIMITS[campaign.kind].items()
    ]
    return ", ".join(limits) or "that of a command"


WORDS = {
    "BAR_WIDTH": BAR_WIDTH,
    "campaign_badge": campaign_badge,
    "kind_word": kind_word,
    "rule_words": rule_words,
    "segments": segments,
    "selection_words": selection_words,
    "step_words": step_words,
    "target_badge": target_badge,
    "target_since_ms": target_since_ms,
    "work_facts": work_facts,
}
