"""The resource `uploads`: the files that charge points have left here."""

from typing import Any

from flask import Response, g
from marshmallow import Schema, fields
from marshmallow.validate import Length

from csms.domain.hosted_file import UploadedFile
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, page_of
from csms.web.attachments import attachment
from csms.web.parts import parts

blueprint = ApiBlueprint("uploads", "Diagnostics and logs that charge points have uploaded here.")

_URL = "/uploads/<upload_id>"


class UploadsQuery(PageQuery):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 48))


class UploadSchema(Schema):
    """A file that a charge point has uploaded."""

    id = fields.String(
        attribute="upload_id",
        metadata={"description": "Also that of its log upload, and of its command."},
    )
    charge_point_id = fields.String()
    name = fields.String(
        attribute="file_name",
        metadata={"description": "As the charge point calls it; empty where it said none."},
    )
    size_bytes = fields.Integer()
    sha256 = fields.String(metadata={"description": "In hex."})
    protocol = fields.String(metadata={"description": "https, http, ftps or ftp."})
    remote_address = fields.String()
    received_at = Instant(attribute="received_at_ms")


@blueprint.operation("GET", "/uploads", query=UploadsQuery, answers=(200, page_of(UploadSchema)))
def list_uploads(query: dict[str, Any]) -> Page[UploadedFile]:
    """List uploads, newest first."""
    return parts().stores.uploaded_files.page(
        query["cursor"], query["limit"], query["charge_point_id"]
    )


@blueprint.operation("GET", _URL, answers=(200, UploadSchema), fails=(404,))
def read_upload(upload_id: str) -> UploadedFile:
    """Read what is known of an upload."""
    return parts().stores.uploaded_files.get(upload_id)


@blueprint.operation(
    "GET",
    f"{_URL}/file",
    answers=(200, None),
    fails=(404,),
    content_type="application/octet-stream",
)
def fetch_upload(upload_id: str) -> Response:
    """Download the file, as it was sent: it is never looked into here."""
    return download(upload_id)


def download(upload_id: str) -> Response:
    """Raises NotFound, StorageUnavailable."""
    uploaded, file = parts().uploads.open(upload_id)
    name = uploaded.file_name or f"{uploaded.charge_point_id}.bin"
    return attachment(file, name, uploaded.size_bytes)


@blueprint.operation("DELETE", _URL, answers=(204, None), fails=(404,))
def delete_upload(upload_id: str) -> None:
    """Delete an upload, the file and what is known of it."""
    parts().uploads.delete(upload_id, g.requested_by)
