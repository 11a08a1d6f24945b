"""Smart charging of a charge point: what it holds, installing and clearing, and what it makes."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.charging_profiles import open_transactions, up_to_date
from csms.domain.charging_books import OPEN_STATES
from csms.domain.charging_profile import Purpose, RateUnit
from csms.domain.command import Command
from csms.domain.connector import CONNECTOR_MAX
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    FieldError,
    IdempotencyConflict,
)
from csms.web import charge_point_state, charging, charging_graph
from csms.web.api.commands import wait_for_end
from csms.web.charging import Asker, Clearing, Installation, Question
from csms.web.pages import query
from csms.web.pages.charging_form import form_instant
from csms.web.pages.commands import WAIT_S, once_key
from csms.web.parts import parts

blueprint = Blueprint("charging_page", __name__)

TEMPLATES_SHOWN = 200
OVER_SHOWN = 20
HOURS = (1, 6, 24, 72, 168)
HOURS_SHOWN = 24
_URL = "/charge-points/<charge_point:charge_point_id>/charging"
_REFUSALS = (FieldError, ChargePointNotConnected, CommandForbidden, IdempotencyConflict)


@blueprint.get(_URL)
def page(charge_point_id: str) -> str:
    return _page(charge_point_id, {}, None)


def _page(charge_point_id: str, values: Any, error: Exception | None) -> str:
    stores, now_ms = parts().stores, clock.now_ms()
    state = charge_point_state.get(stores, charge_point_id)
    records = up_to_date(stores, charge_point_id, now_ms)[::-1]
    question = _question()
    comparison = charging.compare(parts(), charge_point_id, question, now_ms)
    asked = query.text("command", 32)
    connectors = {one.connector_id for one in state.connectors if one.connector_id} or {1}
    return render_template(
        "charge_point_charging.html",
        state=state,
        profiles=[record for record in records if record.state in OPEN_STATES],
        over=[record for record in records if record.state not in OPEN_STATES][:OVER_SHOWN],
        templates=stores.charging_profile_templates.page(None, TEMPLATES_SHOWN).items,
        running=open_transactions(stores, charge_point_id),
        connector_ids=sorted(connectors),
        purposes=tuple(Purpose),
        question=question,
        comparison=comparison,
        graph=charging_graph.graph(comparison),
        rows=charging_graph.rows(comparison),
        hours=HOURS,
        units=tuple(RateUnit),
        command=stores.commands.find(charge_point_id, asked) if asked else None,
        values=values,
        error=error,
    )


def _question() -> Question:
    """Of the address or the form, leniently: people edit addresses by hand."""
    connector_id = _lenient("connector", 0, CONNECTOR_MAX, 0)
    hours = _lenient("hours", 1, HOURS[-1], HOURS_SHOWN)
    unit = request.values.get("unit", "")
    return Question(connector_id, hours * 3_600, RateUnit(unit) if unit in {"A", "W"} else None)


def _lenient(name: str, least: int, most: int, default: int) -> int:
    text = request.values.get(name, "")
    number = int(text) if text.isdecimal() and len(text) <= 10 else default
    return number if least <= number <= most else default


@blueprint.post(f"{_URL}/install")
def install(charge_point_id: str) -> Response | tuple[str, int]:
    form = request.form
    return _do(
        charge_point_id,
        lambda: charging.install(
            parts(),
            charge_point_id,
            Installation(
                template=form.get("template", ""),
                connector_id=_number("connector_id"),
                transaction_id=_number("transaction_id"),
                start_at_ms=form_instant(form, "start_at"),
                valid_from_ms=form_instant(form, "valid_from"),
                valid_to_ms=form_instant(form, "valid_to"),
            ),
            _asker("install"),
            clock.now_ms(),
        ),
    )


@blueprint.post(f"{_URL}/clear")
def clear(charge_point_id: str) -> Response | tuple[str, int]:
    form = request.form
    purpose = form.get("purpose", "")
    if purpose and purpose not in tuple(Purpose):
        error = FieldError("purpose", f"must be one of {', '.join(Purpose)}")
        return _refused(charge_point_id, error)
    return _do(
        charge_point_id,
        lambda: charging.clear(
            parts(),
            charge_point_id,
            Clearing(
                charging_profile_id=_number("charging_profile_id"),
                connector_id=_number("connector_id"),
                purpose=Purpose(purpose) if purpose else None,
                stack_level=_number("stack_level"),
                is_all=form.get("all") == "true",
            ),
            _asker("clear"),
            clock.now_ms(),
        ),
    )


@blueprint.post(f"{_URL}/ask")
def ask(charge_point_id: str) -> Response | tuple[str, int]:
    """GetCompositeSchedule, for what the page shows."""
    question = _question()
    return _do(
        charge_point_id,
        lambda: charging.ask(parts(), charge_point_id, question, _asker("ask"), clock.now_ms()),
    )


def _do(charge_point_id: str, queue: Any) -> Response | tuple[str, int]:
    """Send it and wait a moment; what is wrong with it is shown on the page."""
    try:
        command: Command = queue()
    except _REFUSALS as error:
        return _refused(charge_point_id, error)
    wait_for_end(parts(), command, WAIT_S)
    form = request.form
    address = url_for(
        "charging_page.page",
        charge_point_id=charge_point_id,
        command=command.command_id,
        connector=form.get("connector"),
        hours=form.get("hours"),
        unit=form.get("unit"),
    )
    return redirect(address, HTTPStatus.SEE_OTHER)


def _refused(charge_point_id: str, error: Exception) -> tuple[str, int]:
    is_input = isinstance(error, FieldError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_input else HTTPStatus.CONFLICT
    return _page(charge_point_id, request.form, error), status


def _asker(what: str) -> Asker:
    filled_in = {name: text for name, text in request.form.items() if name != "csrf_token"}
    once = once_key(what, filled_in)
    return Asker(g.requested_by, once, reply_to=parts().process_id)


def _number(name: str) -> int | None:
    text = request.form.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or len(text) > 10:
        raise FieldError(name, "must be a whole number")
    return int(text)
