"""The resource `firmware`: the files that charge points are updated with."""

from http import HTTPStatus
from typing import Any

from flask import Response, g, request, url_for
from marshmallow import Schema, fields
from marshmallow.validate import Length
from werkzeug.exceptions import UnsupportedMediaType

from csms import clock
from csms.domain.firmware_signature import CERTIFICATE_MAX, SIGNATURE_MAX
from csms.domain.hosted_file import FILE_NAME_MAX, FirmwareImage
from csms.errors import FieldError
from csms.state.pages import Page
from csms.web import firmware
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, Text, page_of
from csms.web.bodies import loaded
from csms.web.parts import parts

blueprint = ApiBlueprint("firmware", "The firmware library: files that charge points fetch here.")

DESCRIPTION_MAX = 500
_URL = "/firmware/<image_id>"


def _at_most(longest: int, said: str) -> dict[str, Any]:
    return {
        "validate": Length(0, longest, error=f"must have {longest} characters at most"),
        "metadata": {"description": said},
    }


class FirmwareChangesSchema(Schema):
    """What may be said of a file."""

    vendor = Text(20, metadata={"description": "As its charge points have it in their boot."})
    model = Text(20, metadata={"description": "As its charge points have it in their boot."})
    version = Text(
        50, metadata={"description": "What a charge point reports as firmwareVersion that runs it."}
    )
    description = Text(DESCRIPTION_MAX)
    signature = fields.String(
        **_at_most(SIGNATURE_MAX, "Base64, over its SHA-256; with the certificate, or neither.")
    )
    signing_certificate = fields.String(**_at_most(CERTIFICATE_MAX, "PEM."))


class FirmwareQuery(Schema):
    """What is said of a file that is the body itself; of a form it stands in fields."""

    name = Text(FILE_NAME_MAX, 1, metadata={"description": "Of the file, with its ending."})
    vendor = Text(20)
    model = Text(20)
    version = Text(50)
    description = Text(DESCRIPTION_MAX)


class FirmwareFormSchema(FirmwareChangesSchema):
    """The fields of a form beside its file."""

    name = Text(FILE_NAME_MAX, 1, metadata={"description": "Left out: that of the file."})


class FirmwareSchema(Schema):
    """A file of the firmware library."""

    id = fields.String(attribute="image_id")
    name = fields.String(attribute="file_name")
    size_bytes = fields.Integer()
    sha256 = fields.String(metadata={"description": "In hex."})
    vendor = fields.String()
    model = fields.String()
    version = fields.String()
    description = fields.String()
    signature = fields.String()
    signing_certificate = fields.String()
    warnings = fields.List(
        fields.String(),
        metadata={"description": "What charge points will hold against its signature."},
    )
    uploaded_by = fields.String()
    created_at = Instant(attribute="created_at_ms")


_BODY = {
    "required": True,
    "description": "The file itself, with what is said of it in the query; or a form with a file "
    "and fields of the same names. At most FIRMWARE_MAX_BYTES.",
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    **{
                        name: {"type": "string", "maxLength": longest}
                        for name, longest in {
                            "name": FILE_NAME_MAX,
                            "vendor": 20,
                            "model": 20,
                            "version": 50,
                            "description": DESCRIPTION_MAX,
                            "signature": SIGNATURE_MAX,
                            "signing_certificate": CERTIFICATE_MAX,
                        }.items()
                    },
                },
                "required": ["file"],
            }
        },
    },
}


@blueprint.operation("GET", "/firmware", query=PageQuery, answers=(200, page_of(FirmwareSchema)))
def list_firmware(query: dict[str, Any]) -> Page[FirmwareImage]:
    """List the firmware library, newest first."""
    return parts().stores.firmware_images.page(query["cursor"], query["limit"])


@blueprint.operation(
    "POST",
    "/firmware",
    query=FirmwareQuery,
    reads=_BODY,
    answers=(201, FirmwareSchema),
    fails=(507,),
)
def add_firmware(query: dict[str, Any]) -> tuple[FirmwareImage, HTTPStatus, dict[str, str]]:
    """Add a file. A signature is checked, and what is wrong with it is told as warnings."""
    if request.mimetype == "multipart/form-data":
        image = firmware.take_form(lambda form: loaded(FirmwareFormSchema(), {**form, **query}))
    elif request.mimetype == "application/octet-stream":
        if "name" not in query:
            raise FieldError("name", "is required")
        image = firmware.take_body(query)
    else:
        raise UnsupportedMediaType(
            "The body must be the file (Content-Type: application/octet-stream), or a form with it "
            "(multipart/form-data)."
        )
    location = url_for("firmware.read_firmware", image_id=image.image_id)
    return image, HTTPStatus.CREATED, {"Location": location}


@blueprint.operation("GET", _URL, answers=(200, FirmwareSchema), fails=(404,))
def read_firmware(image_id: str) -> FirmwareImage:
    """Read what is known of a file."""
    return parts().stores.firmware_images.get(image_id)


@blueprint.operation(
    "PATCH", _URL, takes=FirmwareChangesSchema, answers=(200, FirmwareSchema), fails=(404,)
)
def describe_firmware(body: dict[str, Any], image_id: str) -> FirmwareImage:
    """Change what is said of a file; the file itself never changes."""
    return parts().firmware_library.describe(image_id, body, clock.now_ms())


@blueprint.operation(
    "GET",
    f"{_URL}/file",
    answers=(200, None),
    fails=(404,),
    content_type="application/octet-stream",
)
def fetch_firmware(image_id: str) -> Response:
    """Download a file."""
    return firmware.download(image_id)


@blueprint.operation("DELETE", _URL, answers=(204, None), fails=(404, 409))
def remove_firmware(image_id: str) -> None:
    """Delete a file; charge points that were sent to it find nothing there any more.

    Not while a campaign sends it.
    """
    parts().firmware_library.remove(image_id, g.requested_by)
