"""Server-sent events: tells a page which charge points have changed, so that it asks for them."""

from collections.abc import Iterator

import orjson
from flask import Blueprint, Response, request, session

from csms import metrics
from csms.errors import StoreRefused, StoreUnavailable
from csms.state.events import Event
from csms.web.parts import WebParts, parts
from csms.web.security import SESSION_TOKEN

blueprint = Blueprint("events", __name__)

# Routers cut what is silent for 55 s, and only a failing write shows that a browser is gone.
PING_S = 15.0


@blueprint.get("/events")
def stream() -> Response:
    """`since`: the newest event when the page was made; a browser that comes back says it itself.

    Where the feed has moved on meanwhile the page is told to look at everything anew.
    """
    since = request.headers.get("Last-Event-ID") or request.args.get("since")
    given, token = parts(), session[SESSION_TOKEN]
    return Response(
        _events(given, token, since),
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


def _events(given: WebParts, token: str, since: str | None) -> Iterator[str]:
    metrics.sse_clients.inc()
    try:
        with given.feed.subscribe() as subscription:
            has_missed_some = since is not None and since != given.feed.last_entry
            yield "retry: 3000\n\n"
            if has_missed_some:
                yield _resync(given.feed.last_entry)
            store_answers = True
            while not given.is_draining():
                event = subscription.take(PING_S)
                if event is not None:
                    yield _told(event)
                    continue
                yield ": ping\n\n"
                try:
                    if given.accounts.peek_session(token) is None:
                        yield "event: over\ndata: {}\n\n"
                        return
                except (StoreUnavailable, StoreRefused):
                    store_answers = False
                    yield "event: store\ndata: down\n\n"
                    continue
                if not store_answers:
                    store_answers = True
                    yield _resync(given.feed.last_entry)
    finally:
        metrics.sse_clients.dec()


def _told(event: Event) -> str:
    if event.all_changed:
        return _resync(event.entry)
    named = orjson.dumps(event.charge_points).decode("ascii")
    return f"id: {event.entry}\nevent: changed\ndata: {named}\n\n"


def _resync(entry: str) -> str:
    return f"id: {entry}\nevent: resync\ndata: {{}}\n\n"
