"""The workers, what they do, and what they could not do."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.errors import NotFound
from csms.web.jobs import queue_states
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("jobs_page", __name__)

PER_PAGE = 50
# What each queue is for, for people.
QUEUES: Mapping[str, str] = {
    "timers": "what is due",
    "firmware": "firmware campaigns",
    "diagnostics": "campaigns that collect logs",
    "default": "other campaigns, housekeeping",
}


@blueprint.get("/jobs")
def listing() -> str:
    lists = parts().jobs
    page = lists.failed(query.text("cursor") or None, PER_PAGE)
    return render_template(
        "jobs.html",
        queues=queue_states(lists.counts()),
        purposes=QUEUES,
        workers=lists.workers(),
        failed=page,
        next_query=query.address_with(cursor=page.next_cursor),
        now_ms=clock.now_ms(),
    )


@blueprint.post("/jobs/retry")
def retry() -> Response:
    return _do(parts().jobs.retry, "{} is tried again.")


@blueprint.post("/jobs/delete")
def delete() -> Response:
    return _do(parts().jobs.delete, "{} is forgotten.")


def _do(act: Callable[[str], None], words: str) -> Response:
    job_id = request.form.get("id", "")[:200]
    try:
        act(job_id)
    except NotFound as error:
        flash(str(error))
    else:
        flash(words.format(job_id))
    return redirect(url_for("jobs_page.listing"), HTTPStatus.SEE_OTHER)
