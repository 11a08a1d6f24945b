"""The form of a campaign: plain fields, read by the schema of the API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from csms.domain.campaign import CampaignKind, NewCampaign, Rules
from csms.web.api.new_campaigns import WORK_FIELDS, NewCampaignSchema
from csms.web.bodies import loaded
from csms.web.errors import FieldProblem
from csms.web.pages.campaign_words import LIMITS
from csms.web.pages.entered import entered_number
from csms.web.pages.words import TRAITS

# The fields of each kind's work: by its name in the API, that on the form.
_WORK: Mapping[CampaignKind, Mapping[str, str]] = {
    CampaignKind.FIRMWARE: {
        "firmware_id": "firmware_id",
        "version": "version",
        "signed": "signed",
        "signing_key": "signing_key",
        "retries": "work_retries",
        "retry_interval_s": "work_retry_interval_s",
    },
    CampaignKind.LOGS: {
        "kind": "log_kind",
        "oldest_at": "oldest_at",
        "latest_at": "latest_at",
        "retries": "work_retries",
        "retry_interval_s": "work_retry_interval_s",
    },
    CampaignKind.CONFIGURATION: {"key": "key", "value": "value"},
    CampaignKind.RESET: {"type": "type"},
    CampaignKind.LOCAL_LIST: {"full": "full"},
}
_NUMBERS = frozenset({"retries", "retry_interval_s"})
_INSTANTS = frozenset({"oldest_at", "latest_at"})
_PLAIN_NUMBERS = ("canary_percent", "max_parallel", "retries", "abort_percent")
# Those that may be empty on the wire, too: the empty text is a value like any other.
_MAY_BE_EMPTY = frozenset({"value"})
# By its path in the API: a field's name on the form, and what it is called there.
_PLACES: Mapping[str, tuple[str, str]] = {
    "name": ("name", "Name"),
    "selection": ("meant", "Which charge points"),
    "selection.charge_point_ids": ("charge_point_ids", "Ids"),
    **{f"selection.{name}": (name, label) for name, label in TRAITS.items()},
    "firmware.firmware_id": ("firmware_id", "File"),
    "firmware.version": ("version", "Version to check"),
    "firmware.signing_key": ("signing_key", "Sign with"),
    "firmware.retries": ("work_retries", "Retries of its own"),
    "firmware.retry_interval_s": ("work_retry_interval_s", "Seconds between them"),
    "logs.oldest_at": ("oldest_at", "From"),
    "logs.latest_at": ("latest_at", "To"),
    "logs.retries": ("work_retries", "Retries of its own"),
    "logs.retry_interval_s": ("work_retry_interval_s", "Seconds between them"),
    "configuration.key": ("key", "Key"),
    "configuration.value": ("value", "Value"),
    "reset.type": ("type", "Type"),
    "rules.canary_percent": ("canary_percent", "Canaries"),
    "rules.canary_pauses": ("canary_pauses", "Pause after the canaries"),
    "rules.max_parallel": ("max_parallel", "At once"),
    "rules.retries": ("retries", "Further tries"),
    "rules.retry_pause_s": ("retry_pause_min", "Pause between tries"),
    "rules.abort_percent": ("abort_percent", "Abort"),
    "rules.window.begins": ("window_begins", "Daily from"),
    "rules.window.ends": ("window_ends", "Daily until"),
    "rules.window.zone": ("window_zone", "Time zone"),
    "rules.start_at": ("start_at", "Start"),
    "rules.end_at": ("end_at", "Begin nothing after"),
    **{
        f"rules.{name}": (f"{name.removesuffix('_s')}_min", f"Minutes for the {label}")
        for limits in LIMITS.values()
        for name, label in limits.items()
    },
    "typed_count": ("typed_count", "Number"),
}
_CALLED: Mapping[str, str] = {
    path.rpartition(".")[2]: label for path, (_, label) in _PLACES.items() if "_" in path
}
_API_NAME = re.compile("|".join(sorted(_CALLED, key=len, reverse=True)))
_BOUNDS = re.compile(r"between (\d+) and (\d+)")
_PLAINER: Mapping[tuple[str, str], str] = {
    ("meant", "must have charge_point_ids, or filters, or all: one of the three"): (
        "must be said: fill in at least one field, list ids, or choose every charge point"
    ),
}
_RULES = Rules()
DEFAULTS: Mapping[str, str] = {
    "meant": "filter",
    "max_parallel": str(_RULES.max_parallel),
    "canary_percent": "5",
    "only_idle": "yes",
    "retries": str(_RULES.retries),
    "retry_pause_min": str(_RULES.retry_pause_s // 60),
    "abort_percent": "10",
    "window_zone": "UTC",
    **{
        f"{name.removesuffix('_s')}_min": str(getattr(_RULES, name) // 60)
        for limits in LIMITS.values()
        for name in limits
    },
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a field. name: the field's, "" where it is about the form as a whole;
    label: what the form calls it."""

    name: str
    label: str
    problem: str


def wish_of(form: Mapping[str, str], kind: CampaignKind) -> NewCampaign:
    """Raises InvalidRequest, with every field that is wrong by its path in the API."""
    wish: NewCampaign = loaded(NewCampaignSchema(), _body(form, kind))
    return wish


def complaint_of(found: FieldProblem) -> Complaint:
    """A problem the API has with a field, in the words of the form."""
    path = found.field
    if path.startswith("selection.charge_point_ids"):
        path = "selection.charge_point_ids"
    name, label = _PLACES.get(path, ("", path))
    problem = found.problem.replace("an integer", "a whole number")
    if name.endswith("_min"):
        problem = _BOUNDS.sub(_in_minutes, problem)
    plainer = _API_NAME.sub(lambda match: f"“{_CALLED[match.group()]}”", problem)
    return Complaint(name, label, _PLAINER.get((name, problem), plainer))


def _in_minutes(bounds: re.Match[str]) -> str:
    low_s, high_s = map(int, bounds.groups())
    return f"between {-(-low_s // 60)} and {high_s // 60}"


def _body(form: Mapping[str, str], kind: CampaignKind) -> dict[str, Any]:
    return {
        "name": form.get("name", "").strip(),
        "kind": str(kind),
        WORK_FIELDS[kind]: _work(form, kind),
        "selection": _selection(form),
        "rules": _rules(form),
    }


def _work(form: Mapping[str, str], kind: CampaignKind) -> dict[str, Any]:
    if kind is CampaignKind.LOCAL_LIST:
        return {"full": form.get("full") == "yes"}
    work: dict[str, Any] = {}
    for name, on_form in _WORK[kind].items():
        text = form.get(on_form, "").strip()
        if text or name in _MAY_BE_EMPTY:
            work[name] = _read(name, text)
    return work


def _read(name: str, text: str) -> Any:
    if name in _NUMBERS:
        return entered_number(text)
    return _utc(text) if name in _INSTANTS else text


def _utc(text: str) -> str:
    """A browser's field for an instant knows no zone; the form says UTC."""
    return text if text.endswith("Z") else f"{text}Z"


def _selection(form: Mapping[str, str]) -> dict[str, Any]:
    meant = form.get("meant")
    if meant == "all":
        return {"all": True}
    if meant == "list":
        lines = form.get("charge_point_ids", "").replace(",", "\n").splitlines()
        return {"charge_point_ids": [line.strip() for line in lines if line.strip()]}
    return {name: text for name in TRAITS if (text := form.get(name, "").strip())}


def _rules(form: Mapping[str, str]) -> dict[str, Any]:
    rules: dict[str, Any] = {
        "canary_pauses": form.get("canary_pauses") == "yes",
        "only_idle": form.get("only_idle") == "yes",
    }
    for name in _PLAIN_NUMBERS:
        if text := form.get(name, "").strip():
            rules[name] = entered_number(text)
    for on_form, text in form.items():
        if on_form.endswith("_min") and text.strip():
            minutes = entered_number(text)
            seconds = minutes * 60 if isinstance(minutes, int) else minutes
            rules[f"{on_form.removesuffix('_min')}_s"] = seconds
    for name in ("start_at", "end_at"):
        if text := form.get(name, "").strip():
            rules[name] = _utc(text)
    window = {
        name: text
        for name in ("begins", "ends", "zone")
        if (text := form.get(f"window_{name}", "").strip())
    }
    if "begins" in window or "ends" in window:
        rules["window"] = window
    return rules
