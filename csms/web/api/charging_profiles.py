"""The resource `charging-profiles`: what charge points hold, and what it makes together."""

from functools import partial
from http import HTTPStatus
from typing import Any

from flask import g, url_for
from marshmallow import Schema, fields
from marshmallow.validate import Length, OneOf, Range

from csms import clock
from csms.commands.charging_profiles import up_to_date
from csms.domain.charging_books import OPEN_STATES, ProfileRecord, ProfileState
from csms.domain.charging_profile import Purpose, RateUnit, write_profile
from csms.domain.command import Command
from csms.state.pages import Page
from csms.web import charging
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.commands import (
    CommandSchema,
    IdempotencyHeader,
    WaitQuery,
    deadline_field,
    waited_for,
)
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.charging import Asker, Clearing, Comparison, Installation, Question
from csms.web.parts import parts

blueprint = ApiBlueprint("charging-profiles", "Charging profiles of charge points.")

ANY = "any"
_STATES = (*ProfileState, ANY)
DURATION_MAX_S = 31 * 86_400
_ID_MAX = 2**31 - 1
_PROFILES = "/charge-points/<charge_point:charge_point_id>/charging-profiles"
_COMPOSITE = "/charge-points/<charge_point:charge_point_id>/composite-schedule"


def _whole(low: int, high: int = _ID_MAX, *, strict: bool = True, **kwargs: Any) -> fields.Integer:
    """strict: in a body a number is no text; in a query everything is."""
    said = f"must be between {low} and {high}"
    return fields.Integer(strict=strict, validate=Range(low, high, error=said), **kwargs)


class ChargingProfileSchema(Schema):
    """A charging profile that a command brought to a charge point, and what became of it."""

    command_id = fields.String()
    charging_profile_id = fields.Integer(attribute="profile.charging_profile_id")
    connector_id = fields.Integer(
        allow_none=True,
        metadata={"description": "null: a remote start has left it to the charge point."},
    )
    purpose = fields.Enum(Purpose, by_value=True, attribute="profile.purpose")
    stack_level = fields.Integer(attribute="profile.stack_level")
    transaction_id = fields.Integer(
        allow_none=True,
        metadata={"description": "What a TxProfile is bound to; a remote start learns it later."},
    )
    id_tag = fields.String(metadata={"description": "Of the remote start that brought it."})
    state = fields.Enum(
        ProfileState,
        by_value=True,
        metadata={
            "description": "uncertain: it, or what replaces or clears it, was sent and never "
            "answered, so that it may be there or not. "
            "ended: its transaction is over."
        },
    )
    reason = fields.String()
    requested_by = fields.String()
    requested_at = Instant(attribute="requested_at_ms")
    changed_at = Instant(attribute="changed_at_ms")
    profile = fields.Function(
        lambda record: write_profile(record.profile),
        metadata={"type": "object", "description": "As on the wire (OCPP 1.6 ed. 2, 7.8)."},
    )


class NewChargingProfileSchema(Schema):
    """What to install: a template by its name, or a profile. What is left out is found."""

    template = fields.String(load_default=None, allow_none=True, validate=Length(1, 64))
    profile = fields.Dict(
        keys=fields.String(),
        load_default=None,
        allow_none=True,
        metadata={
            "description": "A ChargingProfile as on the wire, without chargingProfileId and "
            "transactionId."
        },
    )
    connector_id = _whole(
        0,
        load_default=None,
        allow_none=True,
        metadata={"description": "0: the whole charge point. Not needed with a transaction."},
    )
    transaction_id = _whole(
        1,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "For a TxProfile; without it that which runs on the connector. A "
            "profile of the same stack level replaces what the remote start has brought."
        },
    )
    charging_profile_id = _whole(
        1,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Without it one is chosen that no other profile there has; that of "
            "another profile replaces it."
        },
    )
    start_at = Instant(attribute="start_at_ms", load_default=None, allow_none=True)
    valid_from = Instant(attribute="valid_from_ms", load_default=None, allow_none=True)
    valid_to = Instant(attribute="valid_to_ms", load_default=None, allow_none=True)
    deadline_s = deadline_field()


class ChargingProfilesQuery(PageQuery):
    state = fields.String(
        load_default=None,
        validate=OneOf(
            [*ProfileState, ANY], error=f"must be one of {', '.join(ProfileState)}, any"
        ),
        metadata={
            "description": "Without it what is there or may come: requested, installed, uncertain."
        },
    )


class ClearQuery(WaitQuery):
    charging_profile_id = fields.Integer(
        load_default=None, metadata={"description": "The other criteria don't count then."}
    )
    connector_id = _whole(0, strict=False, load_default=None)
    purpose = choice(Purpose, load_default=None)
    stack_level = _whole(0, strict=False, load_default=None)
    all = fields.Boolean(
        attribute="is_all",
        load_default=False,
        metadata={"description": "true, and no criteria: every profile of the charge point."},
    )


@blueprint.operation(
    "GET",
    _PROFILES,
    query=ChargingProfilesQuery,
    answers=(200, page_of(ChargingProfileSchema)),
    fails=(404,),
)
def list_charging_profiles(query: dict[str, Any], charge_point_id: str) -> Page[ProfileRecord]:
    """List a charge point's charging profiles by our books, newest first."""
    stores = parts().stores
    stores.charge_points.get(charge_point_id)
    up_to_date(stores, charge_point_id, clock.now_ms())
    state = query["state"]
    states = (
        OPEN_STATES
        if state is None
        else frozenset(ProfileState if state == ANY else [ProfileState(state)])
    )
    return stores.charging_profiles.page(charge_point_id, query["cursor"], query["limit"], states)


@blueprint.operation(
    "POST",
    _PROFILES,
    query=WaitQuery,
    takes=NewChargingProfileSchema,
    answers=(202, ChargingProfileSchema),
    also=(200, "The command has ended within `wait`"),
    fails=(404, 409),
    headers=IdempotencyHeader,
)
def install_charging_profile(
    headers: dict[str, Any], query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> tuple[ProfileRecord, HTTPStatus, dict[str, str]]:
    """Install a charging profile by SetChargingProfile.

    It replaces one of the same purpose, stack level and connector. `state` says what came of it;
    a Rejected or NotSupported of the charge point is `refused`.
    """
    asker = _asker(query["wait"], body.pop("deadline_s"), headers["idempotency_key"])
    command = charging.install(
        parts(), charge_point_id, Installation(**body), asker, clock.now_ms()
    )
    command, status, location = _after(command, query["wait"])
    return charging.record_of(parts(), command, clock.now_ms()), status, location


@blueprint.operation(
    "DELETE",
    _PROFILES,
    query=ClearQuery,
    answers=(202, CommandSchema),
    also=(200, "It has ended within `wait`"),
    fails=(404, 409),
)
def clear_charging_profiles(
    query: dict[str, Any], charge_point_id: str
) -> tuple[Command, HTTPStatus, dict[str, str]]:
    """Clear charging profiles by ClearChargingProfile: those that fit every criterion given.

    The answer Unknown means that the charge point had none that fits; our books follow it.
    """
    wait_s = query.pop("wait")
    command = charging.clear(
        parts(), charge_point_id, Clearing(**query), _asker(wait_s), clock.now_ms()
    )
    return _after(command, wait_s)


def _asker(wait_s: float, deadline_s: int | None = None, once: str | None = None) -> Asker:
    reply_to = parts().process_id if wait_s else ""
    return Asker(g.requested_by, once, deadline_s, reply_to)


def _after(command: Command, wait_s: float) -> tuple[Command, HTTPStatus, dict[str, str]]:
    command, status = waited_for(command, wait_s)
    location = url_for("commands.read_command", command_id=command.command_id)
    return command, status, {"Location": location}


# -- composite schedules


class CompositePeriodSchema(Schema):
    start_s = fields.Integer(metadata={"description": "After the start of the schedule."})
    limit = fields.Float(
        attribute="rate.limit",
        dump_default=None,
        allow_none=True,
        metadata={"description": "null: no limit."},
    )
    number_phases = fields.Integer(
        attribute="rate.number_phases", dump_default=None, allow_none=True
    )


class CompositeScheduleSchema(Schema):
    start_at = Instant(attribute="start_at_ms")
    duration_s = fields.Integer(
        metadata={"description": "Less than asked for where the reckoning would take too long."}
    )
    charging_rate_unit = fields.Enum(RateUnit, by_value=True, attribute="unit")
    periods = fields.List(fields.Nested(CompositePeriodSchema))


class CompositeAnswerSchema(Schema):
    """What the charge point answered last for this connector."""

    command_id = fields.String()
    asked_at = Instant(attribute="asked_at_ms")
    answered_at = Instant(attribute="answered_at_ms")
    payload = fields.Dict(metadata={"description": "Its confirmation, as it came."})


class DifferenceSchema(Schema):
    """A stretch of time in which the two differ, in the unit of our reckoning; null: no limit."""

    start_at = Instant(attribute="start_at_ms")
    end_at = Instant(attribute="end_at_ms")
    computed = fields.Float(allow_none=True)
    reported = fields.Float(allow_none=True)


class ComparisonSchema(Schema):
    """Our reckoning of a composite schedule beside what the charge point answered."""

    connector_id = fields.Integer(attribute="computed.connector_id")
    voltage_v = fields.Float(metadata={"description": "By which amperes become watts."})
    computed = fields.Nested(CompositeScheduleSchema)
    answer = fields.Nested(CompositeAnswerSchema, allow_none=True)
    reported = fields.Nested(
        CompositeScheduleSchema,
        allow_none=True,
        metadata={"description": "What its answer says; null where it says nothing."},
    )
    compared_from = Instant(attribute="compared_from_ms", allow_none=True)
    compared_to = Instant(
        attribute="compared_to_ms",
        allow_none=True,
        metadata={"description": "null: the two speak of different times."},
    )
    differences = fields.List(fields.Nested(DifferenceSchema))


_unit = partial(
    choice,
    RateUnit,
    load_default=None,
    attribute="unit",
    metadata={"description": "Without it A, or W where the charge point takes nothing else."},
)


class CompositeQuery(Schema):
    """What to reckon."""

    connector_id = _whole(
        0, strict=False, load_default=0, metadata={"description": "0: the whole charge point."}
    )
    duration_s = _whole(1, DURATION_MAX_S, strict=False, load_default=86_400)
    charging_rate_unit = _unit()


class QuestionSchema(Schema):
    """What to reckon and to ask."""

    connector_id = _whole(0, required=True)
    duration_s = _whole(1, DURATION_MAX_S, required=True)
    charging_rate_unit = _unit()


class LongWaitQuery(WaitQuery):
    wait = fields.Float(
        load_default=30.0,
        validate=WaitQuery._declared_fields["wait"].validate,
        metadata={"description": "Seconds to wait for the charge point's answer."},
    )


@blueprint.operation(
    "GET", _COMPOSITE, query=CompositeQuery, answers=(200, ComparisonSchema), fails=(404,)
)
def read_composite_schedule(query: dict[str, Any], charge_point_id: str) -> Comparison:
    """Reckon the composite schedule from now on, beside what the charge point answered last."""
    return charging.compare(parts(), charge_point_id, Question(**query), clock.now_ms())


@blueprint.operation(
    "POST",
    _COMPOSITE,
    query=LongWaitQuery,
    takes=QuestionSchema,
    answers=(202, ComparisonSchema),
    also=(200, "The charge point's answer, or its end, came within `wait`"),
    fails=(404, 409),
)
def ask_composite_schedule(
    query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> tuple[Comparison, HTTPStatus, dict[str, str]]:
    """Ask the charge point for its composite schedule, and reckon it: both in one answer."""
    question = Question(**body)
    asker = _asker(query["wait"])
    command = charging.ask(parts(), charge_point_id, question, asker, clock.now_ms())
    _, status, location = _after(command, query["wait"])
    comparison = charging.compare(parts(), charge_point_id, question, clock.now_ms())
    return comparison, status, location
