"""Keys that sign firmware: made here or brought along, listed without their private part."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.signing import NAME_RULE
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.certificates import tidied_pem
from csms.errors import AlreadyExists, FieldError, NotFound, StoreRefused
from csms.state.signing_keys import SealedSigningKey
from csms.web import certificates
from csms.web.api.signing_keys import NewSigningKeySchema, keep, shown
from csms.web.pages.entered import check_typed, entered, entered_number
from csms.web.parts import parts

blueprint = Blueprint("signing_keys_page", __name__)

_URL = "/signing-keys"
_ALGORITHMS: Mapping[SignatureAlgorithm, str] = {
    SignatureAlgorithm.RSA_PSS: "RSA-PSS, as the security white paper has it",
    SignatureAlgorithm.RSA_PKCS1V15: "RSA PKCS#1 v1.5, which older charge points want",
    SignatureAlgorithm.ECDSA: "ECDSA on an elliptic curve",
}


@blueprint.get(_URL)
def listing() -> str:
    return _page()


def _page(section: str = "", error: Exception | None = None) -> str:
    """section: `make`, `bring` or `delete`, whose form was not taken; a private key is never shown
    again, not even then."""
    now_ms = clock.now_ms()
    return render_template(
        "signing_keys.html",
        keys=[shown(key) for key in parts().stores.signing_keys.all()],
        algorithms=_ALGORITHMS,
        name_rule=NAME_RULE,
        section=section,
        values=request.form if section else {},
        error=error,
        soon_ms=now_ms + certificates.ENDS_SOON_DAYS * certificates.DAY_MS,
        now_ms=now_ms,
    )


@blueprint.post(f"{_URL}/make")
def make() -> Response | tuple[str, int]:
    return _keep("make", {"valid_days": entered_number(request.form.get("valid_days", ""))})


@blueprint.post(f"{_URL}/bring")
def bring() -> Response | tuple[str, int]:
    """Both parts are needed here: without any the API would make a key."""
    pasted = {name: request.form.get(name, "") for name in ("private_key", "certificate")}
    missing = next((name for name, text in pasted.items() if not text.strip()), None)
    if missing:
        return _not_taken("bring", FieldError(missing, "is required"))
    return _keep("bring", {"certificate": tidied_pem(pasted["certificate"])})


def _keep(section: str, values: Mapping[str, Any]) -> Response | tuple[str, int]:
    try:
        key: SealedSigningKey = keep(
            entered(NewSigningKeySchema(), {**request.form.to_dict(), **values}), g.requested_by
        )
    except (FieldError, AlreadyExists, StoreRefused) as error:
        return _not_taken(section, error)
    flash(f"{key.name} is kept. Charge points must know its certificate to believe it.")
    return _to_list()


@blueprint.post(f"{_URL}/delete")
def delete() -> Response | tuple[str, int]:
    """Its name must be typed: nothing can be signed with it ever after."""
    name = request.form.get("name", "")
    try:
        check_typed(name, "delete it")
        parts().transfers.signing.delete(name, g.requested_by, clock.now_ms())
    except FieldError as error:
        return _not_taken("delete", error)
    except NotFound as error:
        flash(str(error))
    else:
        flash(f"{name} is deleted; what it has signed stays valid.")
    return _to_list()


def _not_taken(section: str, error: Exception) -> tuple[str, int]:
    return _page(section, error), HTTPStatus.UNPROCESSABLE_ENTITY


def _to_list() -> Response:
    return redirect(url_for("signing_keys_page.listing"), HTTPStatus.SEE_OTHER)
