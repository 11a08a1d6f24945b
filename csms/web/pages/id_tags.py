"""Id tags: the list, entering, blocking and deleting."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from marshmallow import Schema, ValidationError
from werkzeug.wrappers import Response

from csms import clock
from csms.domain.authorization import IdTag, TagStatus
from csms.domain.local_list import ALL, GROUP_PREFIX, read_group
from csms.errors import AlreadyExists, CSMSError, FieldError
from csms.web.api.id_tags import IdTagChangesSchema, IdTagSchema
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("id_tags_page", __name__)

PER_PAGE = 50


@blueprint.get("/id-tags")
def listing() -> str:
    return _listing({}, None)


def _listing(values: Any, error: Exception | None) -> str:
    prefix = query.text("prefix", 20)
    group = read_group(query.text("tag_group", 40))
    source = f"{GROUP_PREFIX}{group}" if group else ALL
    stores = parts().stores
    page = stores.id_tags.page(query.text("cursor") or None, PER_PAGE, prefix, source)
    return render_template(
        "id_tags.html",
        id_tags=page,
        prefix=prefix,
        group=group,
        groups=stores.id_tags.groups(),
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
    groups = _groups(form)
    if groups:
        entered["tag_groups"] = groups
    most = form.get("max_active_transactions", "").strip()
    if most:
        entered["max_active_transactions"] = int(most) if most.isdecimal() else most
    return IdTag(status=TagStatus.ACCEPTED, **_read(IdTagSchema(), entered))


def _groups(form: Any) -> list[str]:
    """As people write lists: with commas, blanks or both."""
    return form.get("tag_groups", "").replace(",", " ").split()  # type: ignore[no-any-return]


def _read(schema: Schema, entered: dict[str, Any]) -> dict[str, Any]:
    """Raises FieldError."""
    try:
        fields: dict[str, Any] = schema.load(entered)
    except ValidationError as error:
        messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        name, problems = next(iter(messages.items()))
        while isinstance(problems, dict):
            problems = next(iter(problems.values()))
        raise FieldError(str(name), " ".join(map(str, problems))) from None
    return fields


@blueprint.post("/id-tags/status")
def set_status() -> Response:
    """The tag is a field of the form, as it may hold what a path can't."""
    id_tag = request.form.get("id_tag", "")
    status = TagStatus.BLOCKED if request.form.get("status") == "Blocked" else TagStatus.ACCEPTED
    return _change(
        lambda: parts().stores.id_tags.update(id_tag, status=status),
        f"{id_tag} is {'blocked' if status is TagStatus.BLOCKED else 'accepted again'}.",
    )


@blueprint.post("/id-tags/groups")
def set_groups() -> Response | tuple[str, int]:
    id_tag = request.form.get("id_tag", "")
    try:
        changes = _read(IdTagChangesSchema(), {"tag_groups": _groups(request.form)})
    except FieldError as error:
        return _listing({}, error), HTTPStatus.UNPROCESSABLE_ENTITY
    groups = ", ".join(changes["tag_groups"])
    return _change(
        lambda: parts().stores.id_tags.update(id_tag, **changes),
        f"{id_tag} is in {f'the tag groups {groups}' if groups else 'no tag group'} now.",
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
