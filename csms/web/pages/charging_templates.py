"""Charging profile templates: the list, and a plain form to write and to change them."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.domain.charging_profile import Kind, Purpose, RateUnit, Recurrency, read_profile
from csms.domain.charging_template import (
    NAME_RULE,
    ChargingTemplate,
    as_instance,
    is_template_name,
)
from csms.errors import AlreadyExists, FieldError
from csms.web import charging
from csms.web.api.charging_profile_templates import DESCRIPTION_MAX
from csms.web.pages import query
from csms.web.pages.charging_form import profile_of, values_of
from csms.web.parts import parts

blueprint = Blueprint("charging_templates_page", __name__)

PER_PAGE = 50
_URL = "/charging-templates/<name>"
_FRESH = {
    "purpose": Purpose.TX_DEFAULT,
    "kind": Kind.RELATIVE,
    "stack_level": "0",
    "unit": RateUnit.A,
    "periods": "0 16",
}


@blueprint.get("/charging-templates")
def listing() -> str:
    page = parts().stores.charging_profile_templates.page(query.text("cursor") or None, PER_PAGE)
    return render_template(
        "charging_templates.html",
        templates=[
            (template, read_profile(as_instance(template.profile, "profile")))
            for template in page.items
        ],
        next_query=query.address_with(cursor=page.next_cursor),
    )


@blueprint.get("/charging-templates/new")
def new() -> str:
    return _form(_FRESH, None, None)


@blueprint.post("/charging-templates/new")
def create() -> Response | tuple[str, int]:
    try:
        name = request.form.get("name", "").strip()
        if not is_template_name(name):
            raise FieldError("name", f"must have {NAME_RULE}")
        parts().stores.charging_profile_templates.create(_template(name))
    except (FieldError, AlreadyExists) as error:
        return _form(request.form, error, None), HTTPStatus.UNPROCESSABLE_ENTITY
    flash(f"{name} is kept; install it on the Charging page of a charge point.")
    return _back()


@blueprint.get(_URL)
def edit(name: str) -> str:
    template = parts().stores.charging_profile_templates.get(name)
    return _form(values_of(template), None, name)


@blueprint.post(_URL)
def change(name: str) -> Response | tuple[str, int]:
    try:
        template = _template(name)
    except FieldError as error:
        return _form(request.form, error, name), HTTPStatus.UNPROCESSABLE_ENTITY
    parts().stores.charging_profile_templates.update(
        name,
        description=template.description,
        profile=template.profile,
        changed_at_ms=template.changed_at_ms,
    )
    flash(f"{name} is changed; what was installed of it stays as it is.")
    return _back()


@blueprint.post(f"{_URL}/delete")
def delete(name: str) -> Response:
    parts().stores.charging_profile_templates.delete(name)
    flash(f"{name} is deleted; what was installed of it stays installed.")
    return _back()


def _template(name: str) -> ChargingTemplate:
    """What the form says. Raises FieldError."""
    description = request.form.get("description", "").strip()
    if len(description) > DESCRIPTION_MAX or not description.isprintable():
        raise FieldError("description", f"must be a line of {DESCRIPTION_MAX} characters at most")
    profile = profile_of(request.form)
    return charging.checked_template(ChargingTemplate(name, profile, description, clock.now_ms()))


def _form(values: Any, error: Exception | None, name: str | None) -> str:
    """name: of the template that is changed; None for a new one."""
    return render_template(
        "charging_template.html",
        values=values,
        error=error,
        name=name,
        name_rule=NAME_RULE,
        purposes=tuple(Purpose),
        kinds=tuple(Kind),
        recurrencies=tuple(Recurrency),
        units=tuple(RateUnit),
    )


def _back() -> Response:
    return redirect(url_for("charging_templates_page.listing"), HTTPStatus.SEE_OTHER)
