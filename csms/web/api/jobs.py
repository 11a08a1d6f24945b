"""The resource `jobs`: what the workers do, and what they could not do."""

from typing import Any

from marshmallow import Schema, fields

from csms.job_lists import FailedJob
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, page_of
from csms.web.jobs import QueueState, queue_states
from csms.web.parts import parts

blueprint = ApiBlueprint("jobs", "What the workers do, and what they could not do.")


class QueueSchema(Schema):
    queue = fields.String()
    queued = fields.Integer(metadata={"description": "They wait for a worker."})
    started = fields.Integer()
    scheduled = fields.Integer(metadata={"description": "Timers, and what is to be tried again."})
    failed = fields.Integer()


class WorkerSchema(Schema):
    name = fields.String()
    host = fields.String()
    pid = fields.Integer(allow_none=True)
    state = fields.String(metadata={"description": "Such as idle or busy."})
    job = fields.String(metadata={"description": "What it does at present; empty without."})
    last_heartbeat_at = Instant(attribute="last_heartbeat_ms")


class JobsSchema(Schema):
    """workers: those that have not said goodbye; one that was killed stays for up to 90 s."""

    queues = fields.List(fields.Nested(QueueSchema))
    workers = fields.List(fields.Nested(WorkerSchema))


class FailedJobSchema(Schema):
    """A job that was tried three times."""

    id = fields.String(attribute="job_id")
    queue = fields.String()
    function = fields.String(metadata={"description": "Empty where it is no job of ours."})
    arguments = fields.String(metadata={"description": "As JSON."})
    failed_at = Instant(attribute="failed_at_ms")
    failure = fields.String(metadata={"description": "The last line of what went wrong."})


@blueprint.operation("GET", "/jobs", answers=(200, JobsSchema))
def look_at_jobs() -> dict[str, Any]:
    """Look at the queues and the workers."""
    lists = parts().jobs
    queues: list[QueueState] = queue_states(lists.counts())
    return {"queues": queues, "workers": lists.workers()}


@blueprint.operation(
    "GET", "/jobs/failed", query=PageQuery, answers=(200, page_of(FailedJobSchema))
)
def list_failed_jobs(query: dict[str, Any]) -> Page[FailedJob]:
    """List failed jobs, newest first."""
    return parts().jobs.failed(query["cursor"], query["limit"])


@blueprint.operation(
    "POST", "/jobs/failed/<string:job_id>/retry", answers=(204, None), fails=(404,)
)
def retry_job(job_id: str) -> None:
    """Try a failed job again, three times."""
    parts().jobs.retry(job_id)


@blueprint.operation("DELETE", "/jobs/failed/<string:job_id>", answers=(204, None), fails=(404,))
def delete_job(job_id: str) -> None:
    """Forget a failed job."""
    parts().jobs.delete(job_id)
