"""The resource `id-tags`: who may charge."""

from http import HTTPStatus
from typing import Any

from flask import url_for
from marshmallow import Schema, ValidationError, fields, post_load
from marshmallow.validate import Length, Range

from csms.domain.authorization import IdTag, TagStatus
from csms.domain.local_list import (
    ALL,
    GROUP_PREFIX,
    GROUP_RULE,
    GROUPS_PER_TAG_MAX,
    read_group,
)
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, choice, page_of, printable
from csms.web.parts import parts

blueprint = ApiBlueprint("id-tags", "Identifiers that charge points ask us about.")

_CI_STRING_20 = Length(1, 20, error="must have 1 to 20 characters")


def unpadded(text: str) -> None:
    """Blanks at the ends are lost when idTags are compared."""
    if text != text.strip():
        raise ValidationError("must not begin or end with a blank")


def _id_tag(**kwargs: Any) -> fields.String:
    return fields.String(validate=[_CI_STRING_20, printable, unpadded], **kwargs)


class TagGroup(fields.String):
    """The name of a tag group, in lower case."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        name = read_group(super()._deserialize(value, *args, **kwargs) or "")
        if name is None:
            raise ValidationError(f"must have {GROUP_RULE}")
        return name


class IdTagChangesSchema(Schema):
    """What may be changed of an id tag."""

    @post_load
    def tuple_of_groups(self, given: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "tag_groups" in given:
            given["tag_groups"] = tuple(sorted(set(given["tag_groups"])))
        return given

    status = choice(TagStatus)
    parent_id_tag = _id_tag(
        allow_none=True,
        metadata={"description": "Its group in OCPP's sense: members may stop for each other."},
    )
    tag_groups = fields.List(
        TagGroup(),
        validate=Length(max=GROUPS_PER_TAG_MAX, error=f"must be {GROUPS_PER_TAG_MAX} at most"),
        metadata={
            "description": "Names by which tags are assigned to the local authorization lists of "
            f"charge points (their `local_list`): {GROUP_RULE}. Not OCPP's parentIdTag, and never "
            "sent to a charge point.",
            "example": ["staff"],
        },
    )
    expires_at = Instant(
        attribute="expires_at_ms",
        allow_none=True,
        metadata={"description": "ISO 8601 with a zone; from then on it is Expired."},
    )
    max_active_transactions = fields.Integer(
        strict=True,
        allow_none=True,
        validate=Range(1, 1_000_000, error="must be between 1 and 1000000"),
        metadata={"description": "More at once are answered ConcurrentTx; null: no limit."},
    )


class IdTagSchema(IdTagChangesSchema):
    """An identifier; compared without regard to case (CiString20Type)."""

    id_tag = _id_tag(required=True)


class IdTagsQuery(PageQuery):
    prefix = fields.String(
        load_default="", validate=Length(0, 20), metadata={"description": "Those that begin so."}
    )
    tag_group = TagGroup(load_default=None, metadata={"description": "Those of a tag group."})


@blueprint.operation("GET", "/id-tags", query=IdTagsQuery, answers=(200, page_of(IdTagSchema)))
def list_id_tags(query: dict[str, Any]) -> Page[IdTag]:
    """List id tags, in their order."""
    group = query["tag_group"]
    source = ALL if group is None else f"{GROUP_PREFIX}{group}"
    return parts().stores.id_tags.page(query["cursor"], query["limit"], query["prefix"], source)


@blueprint.operation(
    "POST", "/id-tags", takes=IdTagSchema, answers=(201, IdTagSchema), fails=(409,)
)
def create_id_tag(body: dict[str, Any]) -> tuple[IdTag, HTTPStatus, dict[str, str]]:
    """Enter an id tag; Accepted unless said otherwise."""
    tag = IdTag(**{"status": TagStatus.ACCEPTED, **body})
    parts().stores.id_tags.create(tag)
    location = url_for("id-tags.read_id_tag", id_tag=tag.id_tag)
    return tag, HTTPStatus.CREATED, {"Location": location}


@blueprint.operation("GET", "/id-tags/<path:id_tag>", answers=(200, IdTagSchema), fails=(404,))
def read_id_tag(id_tag: str) -> IdTag:
    """Read an id tag."""
    return parts().stores.id_tags.get(id_tag)


@blueprint.operation(
    "PATCH",
    "/id-tags/<path:id_tag>",
    takes=IdTagChangesSchema,
    answers=(200, IdTagSchema),
    fails=(404,),
)
def change_id_tag(body: dict[str, Any], id_tag: str) -> IdTag:
    """Change an id tag; from the next Authorize or StartTransaction on."""
    parts().stores.id_tags.update(id_tag, **body)
    return parts().stores.id_tags.get(id_tag)


@blueprint.operation("DELETE", "/id-tags/<path:id_tag>", answers=(204, None), fails=(404,))
def delete_id_tag(id_tag: str) -> None:
    """Delete an id tag; charge points are told Invalid from then on."""
    parts().stores.id_tags.delete(id_tag)
