"""Charge points: the list, one in full, entering, changing and deleting."""

from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.domain.charge_point import (
    ID_RULE,
    PROFILES_WITH_KEY,
    SECURITY_PROFILES,
    Admission,
    ChargePoint,
    is_charge_point_id,
)
from csms.domain.charging_profile import Purpose
from csms.domain.client_certificates import common_names
from csms.domain.connector import ChargePointStatus
from csms.domain.local_list import ALL, GROUP_PREFIX, NO_LIST
from csms.domain.traits import EVERYBODY, SITE_MAX, TRAIT_MAX, Traits
from csms.domain.transaction import Transaction
from csms.errors import ChargePointExists, FieldError
from csms.protocol.schemas import FROM_CHARGE_POINT, TO_CHARGE_POINT
from csms.state.messages import Direction
from csms.web import charge_point_settings, charge_point_state, message_log
from csms.web.api.charge_points import DESCRIPTION_MAX, SERIAL_NUMBER_MAX
from csms.web.charge_point_settings import Key
from csms.web.charge_point_state import ChargePointState
from csms.web.message_log import ACTION_MAX, LogQuery
from csms.web.pages import query
from csms.web.pages.command_forms import GROUPS, OTHER_ACTIONS, Rejected
from csms.web.pages.entered import check_typed
from csms.web.pages.words import TRAITS
from csms.web.parts import parts

blueprint = Blueprint("charge_points_page", __name__)

PER_PAGE = 50
TRANSACTIONS_SHOWN = 10
COMMANDS_SHOWN = 10
EXCHANGES_SHOWN = 25
TEMPLATES_LOOKED_AT = 200
CRITICAL_LOOKED_AT = 500
_ACTIONS = sorted({*FROM_CHARGE_POINT, *TO_CHARGE_POINT})


SHOWN: Mapping[str, str] = {
    "": "all",
    "connected": "connected",
    "away": "not connected",
    "faulted": "with a fault",
    "critical": "with a critical security event",
    "pending": "with a security profile pending",
}


@blueprint.get("/charge-points")
def listing() -> str:
    prefix, shown = query.text("prefix", 48), query.text("shown", 20)
    critical = with_critical_events()
    traits = Traits(**{name: query.text(name, TRAIT_MAX) for name in TRAITS})
    page = charge_point_state.page(
        parts().stores,
        query.text("cursor") or None,
        PER_PAGE,
        prefix,
        _fits(shown, critical),
        traits,
    )
    return render_template(
        "charge_points.html",
        charge_points=page,
        critical=critical,
        prefix=prefix,
        shown=shown,
        traits=traits,
        trait_names=TRAITS,
        is_traits_asked=traits != EVERYBODY,
        choices=SHOWN,
        next_query=query.address_with(cursor=page.next_cursor),
    )


def with_critical_events() -> Collection[str]:
    """Charge points of which critical events wait to be acknowledged, by the newest of those."""
    events = parts().stores.security_events.page(
        None, CRITICAL_LOOKED_AT, critical=True, acknowledged=False
    )
    return {kept.charge_point_id for kept in events.items}


def _fits(shown: str, critical: Collection[str]) -> Callable[[ChargePointState], bool] | None:
    fits: Mapping[str, Callable[[ChargePointState], bool]] = {
        "connected": lambda state: state.is_connected,
        "away": lambda state: not state.is_connected,
        "faulted": lambda state: any(
            connector.notified is not None
            and connector.notified.status is ChargePointStatus.FAULTED
            for connector in state.connectors
        ),
        "critical": lambda state: state.charge_point_id in critical,
        "pending": lambda state: state.record.pending_security_profile is not None,
    }
    return fits.get(shown)


@blueprint.get("/charge-points/new")
def new() -> str:
    values = {"id": query.text("id", 48), "security_profile": "1", "admission": "accepted"}
    return _new_form(values, None)


@blueprint.post("/charge-points/new")
def create() -> str | tuple[str, int]:
    values = request.form
    try:
        wishes = _wishes(values)
        wishes["charge_point_id"] = _identity(values.get("id", ""))
        wishes["security_profile"] = _profile(values.get("security_profile", "1"))
        record, key = charge_point_settings.create(parts(), wishes, clock.now_ms())
    except (FieldError, ChargePointExists) as error:
        return _new_form(values, error), HTTPStatus.UNPROCESSABLE_ENTITY
    # Shown in this answer and nowhere else: a redirect would have to keep the key somewhere.
    return render_template("charge_point_key.html", record=record, key=key.shown, is_new=True)


def _new_form(values: Any, error: Exception | None) -> str:
    return render_template(
        "charge_point_new.html",
        values=values,
        error=error,
        id_rule=ID_RULE,
        admissions=Admission,
        profiles=charge_point_settings.PROFILE_WORDS,
    )


def _identity(text: str) -> str:
    if not is_charge_point_id(text):
        raise FieldError("id", f"must have {ID_RULE}")
    return text


def _profile(text: str) -> int:
    profiles = {str(profile): profile for profile in SECURITY_PROFILES}
    if text not in profiles:
        raise FieldError("security_profile", f"must be one of {', '.join(profiles)}")
    return profiles[text]


def _wishes(form: Any) -> dict[str, Any]:
    description = form.get("description", "").strip()
    if len(description) > DESCRIPTION_MAX or not description.isprintable():
        raise FieldError("description", f"must be a line of {DESCRIPTION_MAX} characters at most")
    serial_number = form.get("serial_number", "").strip()
    if len(serial_number) > SERIAL_NUMBER_MAX or not serial_number.isprintable():
        raise FieldError(
            "serial_number", f"must be a line of {SERIAL_NUMBER_MAX} characters at most"
        )
    site = form.get("site", "").strip()
    if len(site) > SITE_MAX or not site.isprintable():
        raise FieldError("site", f"must be a line of {SITE_MAX} characters at most")
    return {
        "admission": charge_point_settings.admission_of(form.get("admission", "")),
        "description": description,
        "quiet": form.get("quiet") == "yes",
        "serial_number": serial_number,
        "site": site,
        "tags": charge_point_settings.tags_of(form.get("tags", "")),
    }


def _list_wishes(form: Any) -> dict[str, Any]:
    if "local_list" not in form:
        return {}
    return {
        "local_list": charge_point_settings.local_list_of(form["local_list"]),
        "local_list_auto_sync": form.get("local_list_auto_sync") == "yes",
    }


@blueprint.get("/charge-points/<charge_point:charge_point_id>")
def page(charge_point_id: str) -> str:
    return render_charge_point(charge_point_id, Rejected())


def render_charge_point(charge_point_id: str, rejected: Rejected) -> str:
    """The page of a charge point. Raises ChargePointUnknown."""
    stores = parts().stores
    state = charge_point_state.get(stores, charge_point_id)
    wanted = LogQuery(
        query.text("action", ACTION_MAX),
        query.choice("direction", Direction),
        bool(query.text("errors_only")),
    )
    cursor = query.text("messages") or None
    return render_template(
        "charge_point.html",
        state=state,
        running=_running(state),
        reservations=stores.reservations.standing(charge_point_id, clock.now_ms()),
        commands=stores.commands.page(None, COMMANDS_SHOWN, charge_point_id=charge_point_id),
        transactions=stores.transactions.page(
            None, TRANSACTIONS_SHOWN, charge_point_id=charge_point_id
        ),
        orphans=stores.transactions.orphans(charge_point_id),
        log=message_log.page(stores.messages, charge_point_id, cursor, EXCHANGES_SHOWN, wanted),
        is_newest_log=cursor is None,
        log_wanted=wanted,
        log_query=_log_query(wanted),
        logged_actions=_ACTIONS,
        groups=GROUPS,
        other_actions=OTHER_ACTIONS,
        start_templates=_start_templates(),
        rejected=rejected,
        now_ms=clock.now_ms(),
    )


def _start_templates() -> list[str]:
    """Names of those that can come with the start of a transaction."""
    templates = parts().stores.charging_profile_templates.page(None, TEMPLATES_LOOKED_AT).items
    return [t.name for t in templates if t.profile.get("chargingProfilePurpose") == Purpose.TX]


def _running(state: ChargePointState) -> dict[int, Transaction]:
    """The open transactions by connector."""
    transactions = parts().stores.transactions
    found = {
        connector.connector_id: transactions.find(state.charge_point_id, connector.transaction_id)
        for connector in state.connectors
        if connector.transaction_id is not None
    }
    return {connector_id: t for connector_id, t in found.items() if t is not None}


def _log_query(wanted: LogQuery) -> Mapping[str, str]:
    """What of the address says which messages are shown, for links and for what is live."""
    values = {
        "action": wanted.action,
        "direction": wanted.direction or "",
        "errors_only": "yes" if wanted.errors_only else "",
    }
    return {name: value for name, value in values.items() if value}


@blueprint.get("/charge-points/<charge_point:charge_point_id>/settings")
def settings(charge_point_id: str) -> str:
    return _settings_form(charge_point_id)


def _settings_form(charge_point_id: str, section: str = "", error: Exception | None = None) -> str:
    """section: the one whose form was not taken, and is shown as it was filled in."""
    settings = parts().settings
    state = charge_point_state.get(parts().stores, charge_point_id)
    record = state.record
    values: Mapping[str, Any] = {
        **{name: getattr(record, name) for name in _SETTINGS},
        **{name: "yes" if getattr(record, name) else "" for name in _SWITCHES},
        "tags": " ".join(record.tags),
    }
    return render_template(
        "charge_point_settings.html",
        state=state,
        record=record,
        values=request.form if section == "settings" else values,
        section=section,
        error=error,
        admissions=Admission,
        local_list_sources=_sources(record),
        profiles=charge_point_settings.PROFILE_WORDS,
        certificate_names=common_names(record, settings.client_certificate_cn),
        organisation=settings.cpo_name,
        missing=charge_point_settings.missing_for_next_profile(parts(), record),
    )


_SETTINGS = ("admission", "description", "local_list", "serial_number", "site")
_SWITCHES = ("local_list_auto_sync", "quiet")


def _sources(record: ChargePoint) -> list[str]:
    """What may be assigned as its local list. A group that has lost its tags, or has none yet,
    stays assigned."""
    sources = [f"{GROUP_PREFIX}{name}" for name in parts().stores.id_tags.groups()]
    if record.local_list not in {NO_LIST, ALL, *sources}:
        sources.append(record.local_list)
    return [NO_LIST, ALL, *sources]


@blueprint.post("/charge-points/<charge_point:charge_point_id>/settings")
def change(charge_point_id: str) -> Response | tuple[str, int]:
    try:
        _change(charge_point_id, {**_wishes(request.form), **_list_wishes(request.form)})
    except FieldError as error:
        return _not_taken(charge_point_id, "settings", error)
    flash("Saved.")
    return _to_settings(charge_point_id)


def _not_taken(charge_point_id: str, section: str, error: Exception) -> tuple[str, int]:
    return _settings_form(charge_point_id, section, error), HTTPStatus.UNPROCESSABLE_ENTITY


def _change(charge_point_id: str, wishes: dict[str, Any]) -> Key | None:
    return charge_point_settings.change(
        parts(), charge_point_id, wishes, g.requested_by, clock.now_ms()
    )


@blueprint.post("/charge-points/<charge_point:charge_point_id>/security-profile")
def change_profile(charge_point_id: str) -> Response | str | tuple[str, int]:
    record = parts().stores.charge_points.get(charge_point_id)
    try:
        wishes: dict[str, Any] = {
            "security_profile": _profile(request.form.get("security_profile", ""))
        }
        if wishes["security_profile"] in PROFILES_WITH_KEY and not record.key_hash:
            wishes["authorization_key"] = charge_point_settings.GENERATE
        key = _change(charge_point_id, wishes)
    except FieldError as error:
        return _not_taken(charge_point_id, "profile", error)
    if key is not None:
        return _show_key(charge_point_id, key)
    flash("Saved: from now on it connects with that security profile only.")
    return _to_settings(charge_point_id)


@blueprint.post("/charge-points/<charge_point:charge_point_id>/key")
def renew_key(charge_point_id: str) -> str | tuple[str, int]:
    record = parts().stores.charge_points.get(charge_point_id)
    wishes: dict[str, Any] = {"authorization_key": charge_point_settings.GENERATE}
    if record.security_profile == 0:
        wishes["security_profile"] = 1
    try:
        key = _change(charge_point_id, wishes)
    except FieldError as error:
        return _not_taken(charge_point_id, "key", error)
    return _show_key(charge_point_id, key)


def _show_key(charge_point_id: str, key: Key | None) -> str:
    return render_template(
        "charge_point_key.html",
        record=parts().stores.charge_points.get(charge_point_id),
        key=key.shown if key else None,
        is_new=False,
    )


@blueprint.post("/charge-points/<charge_point:charge_point_id>/delete")
def delete(charge_point_id: str) -> Response | tuple[str, int]:
    try:
        check_typed(charge_point_id, "delete it")
    except FieldError as error:
        return _not_taken(charge_point_id, "delete", error)
    charge_point_settings.delete(parts(), charge_point_id)
    flash(f"{charge_point_id} is deleted; its transactions are kept.")
    return redirect(url_for("charge_points_page.listing"), HTTPStatus.SEE_OTHER)


def _to_settings(charge_point_id: str) -> Response:
    address = url_for("charge_points_page.settings", charge_point_id=charge_point_id)
    return redirect(address, HTTPStatus.SEE_OTHER)
