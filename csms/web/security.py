"""Who may do what, decided in one place before any view runs, and the headers that keep browsers
from being used against us.

Everything is closed but what OPEN names: programs come with an API key to the API, people with a
session to the page, and neither serves for the other, so that the API needs no CSRF protection.
"""

import hmac
from http import HTTPStatus

from flask import Flask, Response, g, redirect, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from csms.web.errors import Problem, answer
from csms.web.parts import parts

# Endpoints for everybody; system.exposition and those of files ask for tokens of their own.
OPEN = frozenset(
    {
        "static",
        "api-docs.openapi_json",
        "docs.page",
        "files.fetch",
        "files.leave",
        "sessions.form",
        "sessions.log_in",
        "system.healthz",
        "system.readyz",
        "system.exposition",
        "system.version",
    }
)
# What a page asks for by itself, to stay true: it keeps no session alive, and is sent to no login.
LIVE_HEADER = "X-Live"
EVENTS = "events.stream"
SESSION_TOKEN = "token"  # noqa: S105  # the name of a field

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self'",
        "script-src 'self'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: the CSRF protection compares it under https.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def register(app: Flask, *, secure: bool) -> None:
    app.before_request(_admit)

    @app.after_request
    def harden(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if secure:
            response.headers.setdefault(
                "Strict-Transport-Security", "max-age=31536000; includeSubDomains"
            )
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _admit() -> AnyResponse | None:
    """None lets the request through, with `g.requested_by` set where it has an identity."""
    if request.endpoint is None or request.endpoint in OPEN:
        return None
    if request.path.startswith("/api/"):
        return _admit_program()
    return _admit_person()


def _admit_program() -> AnyResponse | None:
    name = _key_name(bearer_token())
    if name is None:
        return answer(
            Problem(
                HTTPStatus.UNAUTHORIZED,
                "This needs an API key: Authorization: Bearer <key>.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        )
    g.requested_by = f"api:{name}"
    return None


def bearer_token() -> str:
    """What the Authorization header presents, "" where it presents nothing of the kind."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _key_name(token: str) -> str | None:
    if not token:
        return None
    if is_secret(token, parts().settings.bootstrap_api_key):
        return "bootstrap"
    key = parts().accounts.find_api_key(token)
    return key.name if key else None


def is_secret(presented: str, expected: str | None) -> bool:
    """Whether they are the same, in constant time; nothing is the same as no secret."""
    if not expected:
        return False
    return hmac.compare_digest(presented.encode("utf-8", "replace"), expected.encode())


def _admit_person() -> AnyResponse | None:
    by_script = request.endpoint == EVENTS or LIVE_HEADER in request.headers
    token = session.get(SESSION_TOKEN)
    user = None
    if token:
        user = (
            parts().accounts.peek_session(token)
            if by_script
            else parts().accounts.session_user(token)
        )
    if user is None:
        if by_script:
            return Response("The session is over.\n", 401, mimetype="text/plain")
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("sessions.form", next=wanted), HTTPStatus.SEE_OTHER)
    g.user = user
    g.requested_by = f"user:{user}"
    return None
