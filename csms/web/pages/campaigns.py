"""Campaigns: listed, entered with a dry run before, and one as it goes on."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from csms import clock
from csms.commands.campaigns import DryRun
from csms.domain.campaign import (
    Campaign,
    CampaignKind,
    FirmwareWork,
    NewCampaign,
    Step,
    Target,
    TargetState,
    command_id_of,
)
from csms.domain.command import Command
from csms.domain.hosted_file import FirmwareImage
from csms.errors import CampaignClosed, FieldError, FilesNotHosted
from csms.web import targets_csv
from csms.web.api.campaigns import reader
from csms.web.errors import FieldProblem, InvalidRequest
from csms.web.jobs import trouble
from csms.web.pages import campaign_form, query
from csms.web.pages.campaign_form import Complaint
from csms.web.pages.campaign_words import (
    KINDS,
    LIMITS,
    LOG_CHOICES,
    OUTCOMES,
    SIGNED,
    TARGET_STATES,
    WORDS,
)
from csms.web.pages.commands import once_key
from csms.web.pages.entered import is_typed
from csms.web.pages.words import TRAITS
from csms.web.parts import parts

blueprint = Blueprint("campaigns_page", __name__)

PER_PAGE = 50
TARGETS_SHOWN = 25
DRY_RUN_SHOWN = 100
IMAGES_SHOWN = 200
TRAIL_SHOWN = 30
_ONE = "/campaigns/<campaign_id>"


@blueprint.get("/campaigns")
def listing() -> str:
    page = parts().stores.campaigns.page(query.text("cursor") or None, PER_PAGE)
    return render_template(
        "campaigns.html",
        campaigns=page,
        jobs_trouble=trouble(parts().jobs, clock.now_ms()),
        next_query=query.address_with(cursor=page.next_cursor),
        **WORDS,
    )


@blueprint.get("/campaigns/new")
def new() -> str:
    """The kinds to choose from, or the form of the one that is chosen."""
    kind = query.choice("kind", CampaignKind)
    if kind is None:
        return render_template("campaign_kinds.html", kinds=KINDS)
    return _form(kind, {**campaign_form.DEFAULTS, **request.args.to_dict()})


@blueprint.post("/campaigns/new")
def create() -> AnyResponse | str | tuple[str, int]:
    """Try it, or start it: what was entered is kept until it is started."""
    kind = _kind_of(request.form.get("kind", ""))
    tried: DryRun | None = None
    try:
        wish = campaign_form.wish_of(request.form, kind)
        if request.form.get("do") != "start":
            return _form(kind, request.form, tried=_try(wish))
        if is_grave(wish):
            tried = _try(wish)
            _check_typed_count(tried.target_count)
        campaign = parts().campaigns.create(
            wish,
            g.requested_by,
            clock.now_ms(),
            once_key("campaign", request.form.to_dict()) or "",
        )
    except InvalidRequest as error:
        return _not_taken(kind, error.problems, tried)
    except FieldError as error:
        return _not_taken(kind, (FieldProblem(error.field, error.problem),), tried)
    except FilesNotHosted as error:
        return _not_taken(kind, (FieldProblem("", str(error)),), tried)
    return redirect(
        url_for("campaigns_page.page", campaign_id=campaign.campaign_id), HTTPStatus.SEE_OTHER
    )


def is_grave(wish: NewCampaign) -> bool:
    """Whether the number of charge points is to be typed before it is started."""
    return wish.selection.everything or wish.kind is CampaignKind.RESET


def _check_typed_count(count: int) -> None:
    if request.form.get("typed_count", "").strip() != str(count):
        raise FieldError("typed_count", f"type {count}, the number of charge points, to start it")


def _kind_of(text: str) -> CampaignKind:
    try:
        return CampaignKind(text)
    except ValueError:
        raise FieldError("kind", f"must be one of {', '.join(CampaignKind)}") from None


def _try(wish: NewCampaign) -> DryRun:
    return parts().campaigns.dry_run(wish, DRY_RUN_SHOWN, clock.now_ms())


def _not_taken(
    kind: CampaignKind, problems: tuple[FieldProblem, ...], tried: DryRun | None
) -> tuple[str, int]:
    complaints = list(map(campaign_form.complaint_of, problems))
    return _form(kind, request.form, complaints, tried), HTTPStatus.UNPROCESSABLE_ENTITY


def _form(
    kind: CampaignKind,
    values: Any,
    complaints: Sequence[Complaint] = (),
    tried: DryRun | None = None,
) -> str:
    stores = parts().stores
    return render_template(
        "campaign_new.html",
        kind=kind,
        title=KINDS[kind][0],
        explanation=KINDS[kind][1],
        values=values,
        complaints=complaints,
        wrong={complaint.name: complaint.problem for complaint in complaints},
        tried=tried,
        needs_count=kind is CampaignKind.RESET or values.get("meant") == "all",
        limits=LIMITS[kind],
        log_choices=LOG_CHOICES,
        signed=SIGNED,
        outcomes=OUTCOMES,
        traits=TRAITS,
        images=stores.firmware_images.page(None, IMAGES_SHOWN).items,
        signing_keys=[key.name for key in stores.signing_keys.all()],
    )


@blueprint.get(_ONE)
def page(campaign_id: str) -> str:
    return _page(campaign_id)


def _page(campaign_id: str, *, is_name_wrong: bool = False) -> str:
    """is_name_wrong: that was typed to abort it."""
    campaigns = parts().stores.campaigns
    campaign = campaigns.get(campaign_id)
    now_ms = clock.now_ms()
    state = query.choice("state", TargetState)
    targets = campaigns.targets(campaign_id, state, query.text("cursor") or None, TARGETS_SHOWN)
    return render_template(
        "campaign.html",
        campaign=campaign,
        image=_image(campaign),
        estimated_end_ms=campaign.estimated_end_ms(now_ms),
        targets=targets,
        state=state,
        target_states=TARGET_STATES,
        trail=campaigns.trail(campaign_id, query.text("trail") or None, TRAIL_SHOWN),
        next_query={
            **query.address_with(cursor=targets.next_cursor),
            "campaign_id": campaign_id,
            "_anchor": "targets",
        },
        is_name_wrong=is_name_wrong,
        jobs_trouble=None if campaign.is_over else trouble(parts().jobs, now_ms),
        **WORDS,
    )


def _image(campaign: Campaign) -> FirmwareImage | None:
    if not isinstance(campaign.work, FirmwareWork):
        return None
    return parts().stores.firmware_images.find(campaign.work.image_id)


@blueprint.post(f"{_ONE}/pause")
def pause(campaign_id: str) -> AnyResponse:
    return _done(campaign_id, parts().campaigns.pause)


@blueprint.post(f"{_ONE}/resume")
def resume(campaign_id: str) -> AnyResponse:
    return _done(campaign_id, parts().campaigns.resume)


@blueprint.post(f"{_ONE}/retry")
def retry(campaign_id: str) -> AnyResponse:
    return _done(campaign_id, parts().campaigns.retry)


@blueprint.post(f"{_ONE}/abort")
def abort(campaign_id: str) -> AnyResponse | tuple[str, int]:
    """Its name must be typed: what waits is cancelled for good."""
    if not is_typed(parts().stores.campaigns.get(campaign_id).name):
        return _page(campaign_id, is_name_wrong=True), HTTPStatus.UNPROCESSABLE_ENTITY
    return _done(campaign_id, parts().campaigns.abort)


def _done(campaign_id: str, change: Callable[[str, str, int], Campaign]) -> AnyResponse:
    """What is not possible any more is said, and the page shows why."""
    try:
        change(campaign_id, g.requested_by, clock.now_ms())
    except CampaignClosed as error:
        flash(str(error))
    return redirect(url_for("campaigns_page.page", campaign_id=campaign_id), HTTPStatus.SEE_OTHER)


@blueprint.get(f"{_ONE}/targets.csv")
def export(campaign_id: str) -> Response:
    return targets_csv.export(campaign_id, reader(campaign_id, query.choice("state", TargetState)))


@blueprint.get(f"{_ONE}/targets/<charge_point:charge_point_id>")
def target(campaign_id: str, charge_point_id: str) -> str:
    stores = parts().stores
    campaign = stores.campaigns.get(campaign_id)
    found = stores.campaigns.target(campaign_id, charge_point_id)
    return render_template(
        "campaign_target.html",
        campaign=campaign,
        target=found,
        commands=_commands(campaign, found),
        **WORDS,
    )


def _commands(campaign: Campaign, found: Target) -> list[Command]:
    """Those of its attempts that are still kept, in their order."""
    ids = [
        command_id_of(campaign.campaign_id, found.charge_point_id, attempt, step)
        for attempt in range(1, found.attempt + 1)
        for step in (Step.ASK, Step.CHECK)
    ]
    commands = parts().stores.commands
    kept = (commands.find(found.charge_point_id, command_id) for command_id in ids)
    return [command for command in kept if command is not None]
