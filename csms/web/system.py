"""For the platform: is it alive, can it work, what does it count, which version is it."""

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from csms import __version__, metrics
from csms.errors import StoreRefused, StoreUnavailable
from csms.state.checks import confirm_write
from csms.web.metrics import FleetCollector
from csms.web.parts import parts
from csms.web.security import bearer_token, is_secret

blueprint = Blueprint("system", __name__)


def _plain(text: str, status: int = 200) -> Response:
    return Response(f"{text}\n", status, mimetype="text/plain")


@blueprint.get("/healthz")
def healthz() -> Response:
    """Alive; nothing is asked of anybody."""
    return _plain("ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Fit to serve: not draining, and the store takes a write."""
    if parts().is_draining():
        return _plain("draining: this process is about to end", 503)
    try:
        confirm_write(parts().stores.link)
    except StoreUnavailable:
        return _plain("the store does not answer", 503)
    except StoreRefused as error:
        return _plain(f"the store refuses to be written: {error}", 503)
    return _plain("ready")


@blueprint.get("/metrics")
def exposition() -> Response:
    """Prometheus text: this process's counters, and the fleet's figures from the store."""
    token = parts().settings.metrics_token
    if token and not is_secret(bearer_token(), token):
        response = _plain("this needs the metrics token: Authorization: Bearer <token>", 401)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    fleet = CollectorRegistry()
    fleet.register(FleetCollector(parts().stores, parts().jobs.counts, __version__))
    text = generate_latest(metrics.REGISTRY) + generate_latest(fleet)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


@blueprint.get("/version")
def version() -> Response:
    return jsonify({"version": __version__})
