"""The security of one charge point: its events, its certificates, its roots."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.certificate_authority import authority_of
from csms.commands.root_certificates import CERTIFICATE_TYPES
from csms.domain.certificate_request import expected_subject
from csms.domain.certificates import tidied_pem
from csms.domain.command import Command
from csms.errors import (
    CertificateRequestClosed,
    ChargePointNotConnected,
    CommandForbidden,
    FieldError,
    NotFound,
)
from csms.web import certificates, charge_point_state
from csms.web.pages import query
from csms.web.pages.commands import WAIT_S
from csms.web.pages.entered import check_typed, is_typed
from csms.web.parts import parts

blueprint = Blueprint("charge_point_security_page", __name__)

EVENTS_SHOWN = 10
REQUESTS_SHOWN = 10
# A form holds at most this much of a certificate or chain, and what surrounds it.
PASTED_MAX = 65_536
_PATH = "/charge-points/<charge_point:charge_point_id>/security"
_PROBLEMS = (
    CertificateRequestClosed,
    ChargePointNotConnected,
    CommandForbidden,
    FieldError,
    NotFound,
)


@blueprint.get(_PATH)
def page(charge_point_id: str) -> str:
    return _page(charge_point_id, {}, None)


def _page(charge_point_id: str, values: Any, error: Exception | None) -> str:
    stores, settings, now_ms = parts().stores, parts().settings, clock.now_ms()
    state = charge_point_state.get(stores, charge_point_id)
    organisation = settings.cpo_name or stores.configurations.find(charge_point_id).text("CpoName")
    asked = query.text("command", 32)
    revoke = values.get("fingerprint") or query.text("revoke", 64)
    authority = authority_of(settings)
    held = certificates.certificates_of(stores, charge_point_id)
    return render_template(
        "charge_point_security.html",
        state=state,
        expected=expected_subject(state.record, settings.client_certificate_cn, organisation),
        signed_by=authority.words if authority is not None else None,
        certificates=held,
        revoking=next((one for one in held.issued if one.fingerprint == revoke), None),
        serial_numbers={one.fingerprint: one.serial_number for one in held.issued},
        requests=stores.certificate_requests.page(
            None, REQUESTS_SHOWN, charge_point_id=charge_point_id
        ).items,
        events=stores.security_events.page(None, EVENTS_SHOWN, charge_point_id=charge_point_id),
        certificate_types=CERTIFICATE_TYPES,
        warning_of=certificates.warning_of,
        command=stores.commands.find(charge_point_id, asked) if asked else None,
        values=values,
        error=error,
        soon_ms=now_ms + certificates.ENDS_SOON_DAYS * certificates.DAY_MS,
        now_ms=now_ms,
    )


@blueprint.post(f"{_PATH}/refresh")
def refresh(charge_point_id: str) -> Response | tuple[str, int]:
    return _do(charge_point_id, lambda a: certificates.refresh(parts(), charge_point_id, a)[-1])


@blueprint.post(f"{_PATH}/renew")
def renew(charge_point_id: str) -> Response | tuple[str, int]:
    return _do(charge_point_id, lambda a: certificates.renew(parts(), charge_point_id, a))


@blueprint.post(f"{_PATH}/install")
def install(charge_point_id: str) -> Response | tuple[str, int]:
    """What browsers do to line ends is undone; the rest is sent as it was pasted."""

    def queue(asking: certificates.Asking) -> Command:
        kind = request.form.get("certificate_type", "")
        text = tidied_pem(request.form.get("certificate", "")[:PASTED_MAX])
        asked = certificates.install(parts(), charge_point_id, kind, text, asking)
        for problem in asked.problems:
            flash(f"The charge point may refuse this certificate: {problem}.")
        return asked.command

    return _do(charge_point_id, queue)


@blueprint.post(f"{_PATH}/delete")
def delete(charge_point_id: str) -> Response | tuple[str, int]:
    """The last of a type needs the charge point's id typed."""
    return _do(
        charge_point_id,
        lambda asking: certificates.delete(
            parts(),
            charge_point_id,
            request.form.get("entry_id", ""),
            asking,
            confirmed=is_typed(charge_point_id),
        ),
    )


@blueprint.post(f"{_PATH}/revoke")
def revoke(charge_point_id: str) -> Response | tuple[str, int]:
    """It needs the charge point's id typed: it may not come back."""
    try:
        check_typed(charge_point_id, "revoke it")
    except FieldError as error:
        return _refused(charge_point_id, error)
    fingerprint = request.form.get("fingerprint", "")[:64]
    certificates.revoke(parts(), charge_point_id, fingerprint, g.requested_by)
    flash("The certificate is revoked.")
    return _to(charge_point_id)


@blueprint.post(f"{_PATH}/chain")
def enter_chain(charge_point_id: str) -> Response | tuple[str, int]:
    chain = tidied_pem(request.form.get("chain", "")[:PASTED_MAX])
    request_id = request.form.get("request_id", "")[:64]
    try:
        certificates.enter_chain(parts(), request_id, chain, g.requested_by)
    except _PROBLEMS as error:
        return _refused(charge_point_id, error)
    flash("The certificate is on its way to the charge point.")
    return _to(charge_point_id)


def _do(charge_point_id: str, queue: Any) -> Response | tuple[str, int]:
    """Queue it, and show the page anew; what is wrong with it is shown above the forms."""
    asking = certificates.Asking(g.requested_by, WAIT_S)
    try:
        command = queue(asking)
    except _PROBLEMS as error:
        return _refused(charge_point_id, error)
    return _to(charge_point_id, command.command_id)


def _refused(charge_point_id: str, error: Exception) -> tuple[str, int]:
    is_input = isinstance(error, FieldError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_input else HTTPStatus.CONFLICT
    return _page(charge_point_id, request.form, error), status


def _to(charge_point_id: str, command_id: str | None = None) -> Response:
    address = url_for(
        "charge_point_security_page.page", charge_point_id=charge_point_id, command=command_id
    )
    return redirect(address, HTTPStatus.SEE_OTHER)
