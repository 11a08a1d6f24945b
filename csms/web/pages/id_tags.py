"""Id tags: the list, entering, blocking and deleting."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from csms import clock
from csms.domain.authorization import IdTag, TagStatus
from csms.errors import AlreadyExists, CSMSError, FieldError
from csms.web.api.id_tags import IdTagSchema
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("id_tags_page", __name__)

PER_PAGE = 50


@blueprint.get("/id-tags")
def listing() -> str:
    return _listing({}, None)


def _listing(values: Any, error: Exception | None) -> str:
    prefix = query.text("prefix", 20)
    page = parts().stores.id_tags.page(query.text("cursor") or None, PER_PAGE, prefix)
    return render_template(
        "id_tags.html",
        id_tags=page,
        prefix=prefix,
        next_query=query.address_with(cursor=page.next_cursor),
        values=values,
        error=error,
        now_ms=clock.now_ms(),
    )


@blueprint.post("/id-tags")
def create() -> Response | tuple[str, int]:
    try:
        tag = _tag(request.form)
        parts().stores.id_tags.create(tag)
    except (FieldError, AlreadyExists) as error:
        return _listing(request.form, error), HTTPStatus.UNPROCESSABLE_ENTITY
    flash(f"{tag.id_tag} is entered.")
    return _back()


def _tag(form: Any) -> IdTag:
    """Raises FieldError."""
    entered: dict[str, Any] = {
        name: form.get(name, "").strip()
        for name in ("id_tag", "parent_id_tag")
        if form.get(name, "").strip()
    }
    day = form.get("expires_on", "").strip()
    if day:
        entered["expires_at"] = f"{day}T00:00:00Z"
    most = form.get("max_active_transactions", "").strip()
    if most:
        entered["max_active_transactions"] = int(most) if most.isdecimal() else most
    try:
        fields: dict[str, Any] = IdTagSchema().load(entered)
    except ValidationError as error:
        messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        name, problems = next(iter(messages.items()))
        raise FieldError(str(name), " ".join(map(str, problems))) from None
    return IdTag(status=TagStatus.ACCEPTED, **fields)


@blueprint.post("/id-tags/status")
def set_status() -> Response:
    """The tag is a field of the form, as it may hold what a path can't."""
    id_tag = request.form.get("id_tag", "")
    status = TagStatus.BLOCKED if request.form.get("status") == "Blocked" else TagStatus.ACCEPTED
    return _change(
        lambda: parts().stores.id_tags.update(id_tag, status=status),
        f"{id_tag} is {'blocked' if status is TagStatus.BLOCKED else 'accepted again'}.",
    )


@blueprint.post("/id-tags/delete")
def delete() -> Response:
    id_tag = request.form.get("id_tag", "")
    return _change(lambda: parts().stores.id_tags.delete(id_tag), f"{id_tag} is deleted.")


def _change(change: Any, done: str) -> Response:
    try:
        change()
    except CSMSError as error:
        flash(str(error))
    else:
        flash(done)
    return _back()


def _back() -> Response:
    return redirect(url_for("id_tags_page.listing"), HTTPStatus.SEE_OTHER)
