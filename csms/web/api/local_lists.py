"""The resource `local-list`: the local authorization list of a charge point, and its sync."""

from http import HTTPStatus
from typing import Any

from flask import g
from marshmallow import Schema, fields
from marshmallow.validate import Range

from csms import clock
from csms.domain.authorization import AuthorizationStatus
from csms.domain.local_list import Entry, ListState, UpdateType
from csms.state.pages import Page
from csms.web import local_list_state
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.commands import WAIT_MAX_S
from csms.web.api.fields import Instant, PageQuery, page_of
from csms.web.local_list_state import LocalListState
from csms.web.parts import parts

blueprint = ApiBlueprint(
    "local-list",
    "Local authorization lists: what each charge point should have, what it has acknowledged, and "
    "bringing the one to the other. What it should have follows from the id tags (its setting "
    "`local_list`); SendLocalList by hand is a command like any other.",
)


class DifferencesSchema(Schema):
    """How many entries a sync would add, change and remove."""

    added = fields.Integer()
    changed = fields.Integer()
    removed = fields.Integer()


class ListLimitsSchema(Schema):
    """By its configuration, where GetConfiguration has told it, within those of this system."""

    per_message = fields.Integer(
        metadata={"description": "SendLocalListMaxLength; 20 where it is not known, 500 at most."},
    )
    per_message_known = fields.Boolean()
    in_total = fields.Integer(
        metadata={"description": "LocalAuthListMaxLength; 10000 where not known, and at most."},
    )
    in_total_known = fields.Boolean()


class RunningSyncSchema(Schema):
    """A sync that runs: it asks for the version, then sends one message after the other."""

    id = fields.String(attribute="sync_id")
    requested_by = fields.String()
    started_at = Instant(attribute="started_at_ms")
    step = fields.Integer(metadata={"description": "1: asking for the version."})
    command_id = fields.String(attribute="step_command_id")


class LocalListSchema(Schema):
    """The local authorization list of a charge point."""

    charge_point_id = fields.String()
    source = fields.String(metadata={"description": "Its setting `local_list`."})
    auto_sync = fields.Boolean()
    state = fields.Enum(
        ListState,
        by_value=True,
        metadata={
            "description": "none: nothing is assigned. in_step: what is acknowledged is what it "
            "should have. out_of_step: it is not. failed, not_supported, interrupted: how the last "
            "sync ended; after interrupted nobody knows what the charge point has taken, and the "
            "next sync asks."
        },
    )
    explanation = fields.String(metadata={"description": "The state in plain words."})
    acknowledged_version = fields.Integer(
        attribute="record.version",
        metadata={"description": "0: it has acknowledged none, or an empty list."},
    )
    acknowledged_entries = fields.Integer(
        attribute="record.count",
        allow_none=True,
        metadata={"description": "null: not known. They are under `local-list/entries`."},
    )
    acknowledged_at = Instant(attribute="record.acknowledged_at_ms", allow_none=True)
    reported_version = fields.Integer(attribute="record.reported_version", allow_none=True)
    reported_at = Instant(attribute="record.reported_at_ms", allow_none=True)
    wanted_entries = fields.Integer(attribute="outlook.wanted")
    differences = fields.Nested(
        DifferencesSchema,
        attribute="outlook.differences",
        allow_none=True,
        metadata={"description": "null where what it has is not known: all would be sent."},
    )
    next_update_type = fields.Enum(
        UpdateType,
        by_value=True,
        attribute="outlook.update_type",
        allow_none=True,
        metadata={"description": "What a sync would begin with; null: nothing is to be sent."},
    )
    next_messages = fields.Integer(attribute="outlook.messages")
    problem = fields.String(
        attribute="outlook.problem", metadata={"description": "Why nothing can be sent, or empty."}
    )
    limits = fields.Nested(ListLimitsSchema)
    enabled = fields.Boolean(
        attribute="is_enabled",
        allow_none=True,
        metadata={"description": "LocalAuthListEnabled; false: its list has no effect."},
    )
    sync = fields.Nested(RunningSyncSchema, attribute="record.sync", allow_none=True)
    last_sync_ended_at = Instant(attribute="record.ended_at_ms", allow_none=True)
    last_error = fields.String(
        attribute="record.reason", metadata={"description": "Of the last sync; empty: none."}
    )


class ListEntrySchema(Schema):
    """An entry that the charge point has acknowledged."""

    id_tag = fields.String()
    status = fields.Enum(AuthorizationStatus, by_value=True, attribute="info.status")
    parent_id_tag = fields.String(attribute="info.parent_id_tag", allow_none=True)
    expires_at = Instant(attribute="info.expires_at_ms", allow_none=True)


class SyncSchema(Schema):
    """How to sync."""

    full = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={"description": "Replace the whole list, whatever it has acknowledged."},
    )


class SyncQuery(Schema):
    wait = fields.Float(
        load_default=0.0,
        validate=Range(0, WAIT_MAX_S, error=f"must be between 0 and {WAIT_MAX_S}"),
        metadata={"description": "Seconds to wait for the end of the sync."},
    )


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/local-list",
    answers=(200, LocalListSchema),
    fails=(404,),
)
def read_local_list(charge_point_id: str) -> LocalListState:
    """Read how a charge point's local list stands, and what a sync would send."""
    return local_list_state.get(parts().stores, charge_point_id, clock.now_ms())


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/local-list/entries",
    query=PageQuery,
    answers=(200, page_of(ListEntrySchema)),
    fails=(404,),
)
def list_local_list_entries(query: dict[str, Any], charge_point_id: str) -> Page[Entry]:
    """List what a charge point has acknowledged, in the order of id tags.

    Empty also where that is not known: see `acknowledged_entries` of the list.
    """
    return local_list_state.entries(
        parts().stores, charge_point_id, query["cursor"], query["limit"]
    )


@blueprint.operation(
    "POST",
    "/charge-points/<charge_point:charge_point_id>/local-list/sync",
    query=SyncQuery,
    takes=SyncSchema,
    answers=(202, LocalListSchema),
    also=(200, "It has ended within `wait`; `state` says how"),
    fails=(404, 409),
)
def sync_local_list(
    query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> tuple[LocalListState, HTTPStatus]:
    """Bring a charge point's local list to what it should be.

    Asks for its version, then sends the difference to what it has acknowledged, or the whole list
    where it has something else; in as many messages as it takes. 409: one runs already, it is not
    connected, or nothing is assigned to it.
    """
    ended = local_list_state.sync(
        parts(),
        charge_point_id,
        g.requested_by,
        clock.now_ms(),
        full=body["full"],
        wait_s=query["wait"],
    )
    state = local_list_state.get(parts().stores, charge_point_id, clock.now_ms())
    return state, HTTPStatus.OK if ended else HTTPStatus.ACCEPTED
