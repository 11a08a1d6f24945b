"""Logging in and out."""

import secrets
from http import HTTPStatus

from flask import Blueprint, current_app, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from csms import clock, metrics
from csms.logs import get_logger
from csms.web.parts import parts
from csms.web.security import SESSION_TOKEN

log = get_logger(__name__)
blueprint = Blueprint("sessions", __name__)

LOG_IN = "sessions.log_in"
# What counts against the limit of attempts.
FAILED = frozenset({HTTPStatus.UNAUTHORIZED})
_NAME_MAX = 100
_PASSWORD_MAX = 1024
_DECOY = "csms.decoy"


@blueprint.get("/login")
def form() -> str:
    return render_template("login.html", next=_local(request.args.get("next", "")))


@blueprint.post("/login")
def log_in() -> Response | tuple[str, int]:
    name = request.form.get("name", "").strip()[:_NAME_MAX]
    wanted = _local(request.form.get("next", ""))
    if not _is_right(name, request.form.get("password", "")):
        metrics.auth_failures.labels("login").inc()
        log.warning("login refused", user=name, remote_address=request.remote_addr)
        page = render_template("login.html", next=wanted, name=name, failed=True)
        return page, HTTPStatus.UNAUTHORIZED
    # Everything new: a cookie planted before the login is worth nothing after it.
    session.clear()
    session[SESSION_TOKEN] = parts().accounts.open_session(name, clock.now_ms())
    log.info("logged in", user=name, remote_address=request.remote_addr)
    return redirect(wanted or url_for("overview_page.page"), HTTPStatus.SEE_OTHER)


@blueprint.post("/logout")
def log_out() -> Response:
    parts().accounts.close_session(session[SESSION_TOKEN])
    session.clear()
    log.info("logged out", user=g.user)
    return redirect(url_for("sessions.form"), HTTPStatus.SEE_OTHER)


def _is_right(name: str, password: str) -> bool:
    """As slow for a name that does not exist as for a wrong password."""
    user = parts().accounts.find_user(name) if name else None
    stored = user.password_hash if user else _decoy()
    matches = parts().verify_password(stored, password[:_PASSWORD_MAX])
    return matches and user is not None


def _decoy() -> str:
    """The hash of a password nobody has."""
    if _DECOY not in current_app.extensions:
        decoy = parts().hash_password(secrets.token_urlsafe(16))
        current_app.extensions[_DECOY] = decoy
    return str(current_app.extensions[_DECOY])


def _local(address: str) -> str:
    """A path of this page, or "": nobody is sent elsewhere after the login."""
    safe = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if safe and address.isprintable() else ""
