"""Builds the Flask application of a process: the API, the page, and what guards both."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from flask import Flask, url_for
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.middleware.proxy_fix import ProxyFix

from csms import __version__
from csms.config import Settings
from csms.web import errors, files, security, system
from csms.web.api import (
    api_keys,
    campaigns,
    certificates,
    charge_points,
    charging_profile_templates,
    charging_profiles,
    commands,
    configurations,
    docs,
    firmware,
    id_tags,
    jobs,
    local_lists,
    messages,
    overview,
    refused_connections,
    reservations,
    security_events,
    signing_keys,
    transactions,
    transfers,
    uploads,
)
from csms.web.api.blueprint import ApiBlueprint, ProblemApi, create_api
from csms.web.csrf import FormProtection
from csms.web.pages import PAGES, words
from csms.web.pages import firmware as firmware_page
from csms.web.pages import sessions as sessions_page
from csms.web.parts import EXTENSION, WebParts

__all__ = ["WebParts", "create_application"]

PROJECT = Path(__file__).parents[2]
BODY_MAX = 1_048_576
# Failed logins from one address. People mistype; programs guess.
LOGIN_LIMIT = "10 per minute; 60 per hour"
STREAMED_FORMS = frozenset({firmware_page.ADD})
RESOURCES: tuple[ApiBlueprint, ...] = (
    charge_points.blueprint,
    charging_profiles.blueprint,
    charging_profile_templates.blueprint,
    commands.blueprint,
    campaigns.blueprint,
    configurations.blueprint,
    transactions.blueprint,
    reservations.blueprint,
    id_tags.blueprint,
    local_lists.blueprint,
    transfers.blueprint,
    uploads.blueprint,
    firmware.blueprint,
    signing_keys.blueprint,
    messages.blueprint,
    refused_connections.blueprint,
    security_events.blueprint,
    certificates.blueprint,
    overview.blueprint,
    jobs.blueprint,
    api_keys.blueprint,
)


def create_application(parts: WebParts) -> Flask:
    """Needs nothing of the store until the first request comes."""
    settings = parts.settings
    app = Flask(
        "csms", static_folder=PROJECT / "static", template_folder=str(PROJECT / "templates")
    )
    secure = settings.session_cookie_secure
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=BODY_MAX,
        # The prefix makes browsers refuse a cookie that another host or plain http has planted.
        SESSION_COOKIE_NAME="__Host-csms" if secure else "csms",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        # The token lives as long as the session: a page left open overnight must still work.
        WTF_CSRF_TIME_LIMIT=None,
        SEND_FILE_MAX_AGE_DEFAULT=86_400,
    )
    app.extensions[EXTENSION] = parts
    # An id tag may hold slashes, doubled ones too.
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]

    csrf = FormProtection(app, STREAMED_FORMS)
    security.register(app, secure=secure)
    errors.register(app)
    words.register(app)
    app.jinja_env.globals["asset"] = _asset_urls(PROJECT / "static")
    app.jinja_env.globals["version"] = __version__

    app.register_blueprint(system.blueprint)
    files.register(app, csrf)
    _register_api(app, csrf)
    for page in PAGES:
        app.register_blueprint(page)
    _limit_logins(app, settings)
    return app


def _register_api(app: Flask, csrf: FormProtection) -> ProblemApi:
    api = create_api(app, __version__)
    for resource in RESOURCES:
        api.register_blueprint(resource)
        # Its callers come with an API key, which no browser sends by itself.
        csrf.exempt(resource)
    docs.register(app, api)
    return api


def _limit_logins(app: Flask, settings: Settings) -> None:
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri=_limits_uri(settings.redis_url),
        storage_options={
            "key_prefix": "csms:limits",
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
        },
        # Without the store each process counts by itself: better than no limit, or no login.
        in_memory_fallback=[],
        in_memory_fallback_enabled=True,
    )
    limited = limiter.limit(
        LOGIN_LIMIT, deduct_when=lambda response: response.status_code in sessions_page.FAILED
    )
    view = app.view_functions[sessions_page.LOG_IN]
    app.view_functions[sessions_page.LOG_IN] = limited(view)  # type: ignore[assignment]


def _limits_uri(redis_url: str) -> str:
    """The store's address as the rate limiter writes it."""
    return f"redis+{redis_url}" if redis_url.startswith("unix:") else redis_url


def _asset_urls(directory: Path) -> Callable[[str], str]:
    """`asset("app.css")`: an address that changes with the file, so that browsers may keep it."""
    versions = {
        path.relative_to(directory).as_posix(): hashlib.blake2b(
            path.read_bytes(), digest_size=6
        ).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }

    def asset(name: str) -> str:
        return url_for("static", filename=name, v=versions[name])

    return asset
