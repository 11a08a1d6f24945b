"""The form of a campaign: plain fields, read by the schema of the API."""

from collections.abc import Mapping
from typing import Any

from csms.domain.campaign import CampaignKind, NewCampaign, Rules
from csms.web.api.new_campaigns import WORK_FIELDS, NewCampaignSchema
from csms.web.bodies import loaded
from csms.web.errors import FieldProblem, InvalidRequest
from csms.web.pages.campaign_words import LIMITS
from csms.web.pages.entered import entered_number

TRAITS: Mapping[str, str] = {
    "vendor": "Vendor",
    "model": "Model",
    "firmware": "Firmware",
    "site": "Site",
    "tag": "Tag",
}
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
# What a field of the API is called on the form, where that is not its last word.
_LABELS: Mapping[str, str] = {
    "name": "Name",
    "selection": "Which charge points",
    "selection.charge_point_ids": "Ids",
    "firmware.firmware_id": "File",
    "configuration.key": "Key",
    "configuration.value": "Value",
    "reset.type": "Type",
    "logs.oldest_at": "From",
    "logs.latest_at": "To",
    "rules.canary_percent": "Canaries",
    "rules.max_parallel": "At once",
    "rules.retries": "Further tries",
    "rules.retry_pause_s": "Minutes before another try",
    "rules.abort_percent": "Abort",
    "rules.window.begins": "Not before",
    "rules.window.ends": "Not after",
    "rules.window.zone": "Time zone",
    "rules.start_at": "Start",
    "rules.end_at": "Begin nothing after",
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


def wish_of(form: Mapping[str, str], kind: CampaignKind) -> NewCampaign:
    """Raises InvalidRequest, with every field that is wrong by its label."""
    try:
        wish: NewCampaign = loaded(NewCampaignSchema(), _body(form, kind))
    except InvalidRequest as error:
        raise InvalidRequest(map(labelled, error.problems)) from None
    return wish


def labelled(problem: FieldProblem) -> FieldProblem:
    """By the label of the form in place of the path in the API."""
    last = problem.field.rpartition(".")[2].removesuffix("_s").replace("_", " ").capitalize()
    if problem.field.startswith("selection.charge_point_ids"):
        return FieldProblem(_LABELS["selection.charge_point_ids"], problem.problem)
    return FieldProblem(_LABELS.get(problem.field, last), problem.problem)


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
