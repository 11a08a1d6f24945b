"""The resource `campaigns`: one piece of work for many charge points, and how far each is."""

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Response, g, request, url_for
from marshmallow import Schema, fields
from marshmallow.validate import Range

from csms import clock
from csms.commands.campaigns import DryRun
from csms.domain.campaign import (
    Campaign,
    CampaignKind,
    CampaignState,
    NewCampaign,
    Step,
    Target,
    TargetState,
    TrailEntry,
)
from csms.state.pages import Page
from csms.web import targets_csv
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.commands import idempotency_field
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.api.new_campaigns import (
    WORK_FIELDS,
    NewCampaignSchema,
    RulesSchema,
    SelectionSchema,
    WorkSchema,
)
from csms.web.parts import parts

blueprint = ApiBlueprint("campaigns", "Campaigns: one piece of work for many charge points.")

DRY_RUN_SHOWN_MAX = 1_000


class CampaignIdempotencyHeader(Schema):
    idempotency_key = idempotency_field(
        "The same key with the same body answers the same campaign, as long as it is kept."
    )


class ShownSelectionSchema(SelectionSchema):
    """Which charge points were meant."""

    by_ids = fields.Function(
        lambda selection: not selection.everything and not selection.filters,
        metadata={"type": "boolean", "description": "They were named; the targets tell which."},
    )


class CountsSchema(Schema):
    """How many targets are in each state."""

    waiting = fields.Integer(required=True)
    under_way = fields.Integer(required=True, data_key="under-way")
    done = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    unclear = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    cancelled = fields.Integer(required=True)


class CampaignSchema(WorkSchema):
    """A campaign as it stands. What it does is under its kind."""

    id = fields.String(attribute="campaign.campaign_id")
    name = fields.String(attribute="campaign.name")
    kind = fields.Enum(CampaignKind, by_value=True, attribute="campaign.kind")
    state = fields.Enum(
        CampaignState,
        by_value=True,
        attribute="campaign.state",
        metadata={
            "description": "scheduled: waits for its `start_at`. starting: its targets are being "
            "written down. paused, aborting: nothing new is begun, what is under way comes to its "
            "end. aborted, ended: over."
        },
    )
    reason = fields.String(
        attribute="campaign.reason", metadata={"description": "Why it paused or aborted."}
    )
    selection = fields.Nested(ShownSelectionSchema, attribute="campaign.selection")
    rules = fields.Nested(RulesSchema, attribute="campaign.rules")
    created_by = fields.String(attribute="campaign.created_by")
    created_at = Instant(attribute="campaign.created_at_ms")
    started_at = Instant(attribute="campaign.started_at_ms", allow_none=True)
    ended_at = Instant(attribute="campaign.ended_at_ms", allow_none=True)
    estimated_end_at = Instant(
        allow_none=True,
        metadata={"description": "By the pace so far; null while there is none."},
    )
    target_count = fields.Integer(attribute="campaign.target_count")
    canary_count = fields.Integer(attribute="campaign.canary_count")
    canaries_passed = fields.Boolean(attribute="campaign.canaries_passed")
    counts = fields.Nested(CountsSchema)


class TargetEventSchema(Schema):
    """A step of a target."""

    at = Instant(attribute="at_ms")
    attempt = fields.Integer()
    what = fields.String()


class _OnceBegun(Instant):
    """null where it was not begun yet."""

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return super()._serialize(value or None, attr, obj)


class TargetSchema(Schema):
    """A charge point of a campaign, as it stands."""

    charge_point_id = fields.String()
    state = fields.Enum(
        TargetState,
        by_value=True,
        metadata={
            "description": "waiting: for its turn or another try. unclear: it was sent and nobody "
            "knows what came of it; not repeated by itself. skipped: nothing to do, or not "
            "possible. cancelled: the campaign was over before its turn."
        },
    )
    attempt = fields.Integer(metadata={"description": "Of the newest; 0 before the first."})
    tries = fields.Integer(metadata={"description": "Attempts that failed."})
    step = fields.Enum(
        Step,
        by_value=True,
        allow_none=True,
        metadata={"description": "Where an attempt that is under way stands."},
    )
    step_at = _OnceBegun(attribute="step_at_ms", allow_none=True)
    began_at = _OnceBegun(attribute="began_at_ms", allow_none=True)
    ended_at = Instant(attribute="ended_at_ms", allow_none=True)
    reason = fields.String(metadata={"description": "What keeps it, or why it ended so."})
    fell_back = fields.Boolean(
        metadata={"description": "It was asked the other way, as it does not know the first."}
    )


class TargetHistorySchema(TargetSchema):
    """A target with its newest steps."""

    history = fields.List(fields.Nested(TargetEventSchema))


class TrailEntrySchema(Schema):
    """A line of the audit trail."""

    at = Instant(attribute="at_ms")
    who = fields.String(metadata={"description": "An operator; empty for the system itself."})
    what = fields.String()


class ForeseenSchema(Schema):
    """What would become of a charge point."""

    charge_point_id = fields.String()
    outcome = fields.String(metadata={"description": "begins, waits, skipped or fails."})
    reason = fields.String()


class DryRunSchema(Schema):
    """What would happen to whom, if the campaign were started now."""

    target_count = fields.Integer()
    canary_count = fields.Integer()
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "How many targets by `outcome`."},
    )
    targets = fields.List(fields.Nested(ForeseenSchema), attribute="foreseen")
    window_is_open = fields.Boolean(
        metadata={"description": "Whether anything would be begun at this time of day."}
    )


class DryRunQuery(Schema):
    shown = fields.Integer(
        load_default=100,
        validate=Range(0, DRY_RUN_SHOWN_MAX, error=f"must be between 0 and {DRY_RUN_SHOWN_MAX}"),
        metadata={"description": "How many targets are told of; all are counted."},
    )


class TargetsFilter(Schema):
    state = choice(TargetState, load_default=None)


class TargetsQuery(TargetsFilter, PageQuery):
    pass


_ONE = "/campaigns/<campaign_id>"
_TARGET = f"{_ONE}/targets/<charge_point:charge_point_id>"


def shown(campaign: Campaign) -> dict[str, Any]:
    """A campaign as CampaignSchema shows it."""
    return {
        "campaign": campaign,
        WORK_FIELDS[campaign.kind]: campaign.work,
        "estimated_end_at": campaign.estimated_end_ms(clock.now_ms()),
        "counts": {state.name.lower(): campaign.counts.get(state, 0) for state in TargetState},
    }


@blueprint.operation(
    "POST",
    "/campaigns",
    takes=NewCampaignSchema,
    answers=(201, CampaignSchema),
    fails=(409,),
    headers=CampaignIdempotencyHeader,
)
def create_campaign(
    headers: dict[str, Any], body: NewCampaign
) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    """Start a campaign.

    Its targets are written down when it starts, at once or at `start_at`; who comes to fit the
    selection later is none of them. Try it as a dry run first.
    """
    campaign = parts().campaigns.create(
        body, g.requested_by, clock.now_ms(), _id_for(headers["idempotency_key"])
    )
    location = url_for("campaigns.read_campaign", campaign_id=campaign.campaign_id)
    return shown(campaign), HTTPStatus.CREATED, {"Location": location}


def _id_for(idempotency_key: str | None) -> str:
    """The same for the same request; "" where it is not to be recognised."""
    if idempotency_key is None:
        return ""
    said = f"{g.requested_by}\n{idempotency_key}\n".encode() + request.get_data()
    return hashlib.blake2b(said, digest_size=16).hexdigest()


@blueprint.operation(
    "POST",
    "/campaigns/dry-run",
    query=DryRunQuery,
    takes=NewCampaignSchema,
    answers=(200, DryRunSchema),
    fails=(409,),
)
def try_campaign(query: dict[str, Any], body: NewCampaign) -> DryRun:
    """Say what a campaign would do to whom.

    Nothing is sent and nothing is kept; it is what the records say now.
    """
    return parts().campaigns.dry_run(body, query["shown"], clock.now_ms())


@blueprint.operation("GET", "/campaigns", query=PageQuery, answers=(200, page_of(CampaignSchema)))
def list_campaigns(query: dict[str, Any]) -> Page[dict[str, Any]]:
    """List campaigns, newest first."""
    found = parts().stores.campaigns.page(query["cursor"], query["limit"])
    return Page([shown(campaign) for campaign in found.items], found.next_cursor)


@blueprint.operation("GET", _ONE, answers=(200, CampaignSchema), fails=(404,))
def read_campaign(campaign_id: str) -> dict[str, Any]:
    """Read a campaign and how far it is."""
    return shown(parts().stores.campaigns.get(campaign_id))


@blueprint.operation("POST", f"{_ONE}/pause", answers=(200, CampaignSchema), fails=(404, 409))
def pause_campaign(campaign_id: str) -> dict[str, Any]:
    """Pause a campaign.

    Nothing new is begun; what is under way comes to its end.
    """
    return shown(parts().campaigns.pause(campaign_id, g.requested_by, clock.now_ms()))


@blueprint.operation("POST", f"{_ONE}/resume", answers=(200, CampaignSchema), fails=(404, 409))
def resume_campaign(campaign_id: str) -> dict[str, Any]:
    """Go on with a campaign that is paused."""
    return shown(parts().campaigns.resume(campaign_id, g.requested_by, clock.now_ms()))


@blueprint.operation("POST", f"{_ONE}/abort", answers=(200, CampaignSchema), fails=(404, 409))
def abort_campaign(campaign_id: str) -> dict[str, Any]:
    """Abort a campaign.

    Targets that wait are cancelled; what is under way comes to its end, as no charge point can be
    stopped in it.
    """
    return shown(parts().campaigns.abort(campaign_id, g.requested_by, clock.now_ms()))


@blueprint.operation("POST", f"{_ONE}/retry", answers=(200, CampaignSchema), fails=(404, 409))
def retry_campaign(campaign_id: str) -> dict[str, Any]:
    """Try those targets again that failed or are unclear, also after the campaign's end."""
    return shown(parts().campaigns.retry(campaign_id, g.requested_by, clock.now_ms()))


@blueprint.operation(
    "GET",
    f"{_ONE}/targets",
    query=TargetsQuery,
    answers=(200, page_of(TargetSchema)),
    fails=(404,),
)
def list_targets(query: dict[str, Any], campaign_id: str) -> Page[Target]:
    """List the targets of a campaign."""
    campaigns = parts().stores.campaigns
    campaigns.get(campaign_id)
    return campaigns.targets(campaign_id, query["state"], query["cursor"], query["limit"])


@blueprint.operation(
    "GET",
    f"{_ONE}/targets.csv",
    query=TargetsFilter,
    answers=(200, None),
    fails=(404,),
    content_type="text/csv",
)
def export_targets(query: dict[str, Any], campaign_id: str) -> Response:
    """Export the targets of a campaign as CSV."""
    return targets_csv.export(campaign_id, reader(campaign_id, query["state"]))


def reader(
    campaign_id: str, state: TargetState | None
) -> Callable[[str | None, int], Page[Target]]:
    """Reads pages of a campaign's targets, also after the request: an export is written while it
    is read. Raises NotFound."""
    campaigns = parts().stores.campaigns
    campaigns.get(campaign_id)
    return lambda cursor, limit: campaigns.targets(campaign_id, state, cursor, limit)


@blueprint.operation("GET", _TARGET, answers=(200, TargetHistorySchema), fails=(404,))
def read_target(campaign_id: str, charge_point_id: str) -> Target:
    """Read a target with its newest steps."""
    return parts().stores.campaigns.target(campaign_id, charge_point_id)


@blueprint.operation(
    "GET",
    f"{_ONE}/trail",
    query=PageQuery,
    answers=(200, page_of(TrailEntrySchema)),
    fails=(404,),
)
def list_trail(query: dict[str, Any], campaign_id: str) -> Page[TrailEntry]:
    """List who did what with a campaign, and what it did by itself, newest first."""
    campaigns = parts().stores.campaigns
    campaigns.get(campaign_id)
    return campaigns.trail(campaign_id, query["cursor"], query["limit"])
