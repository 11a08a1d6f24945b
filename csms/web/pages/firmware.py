"""The firmware library: what there is, and plain forms to add to it, describe and delete."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from csms import clock
from csms.domain.certificates import tidied_pem
from csms.errors import FieldError, FirmwareLibraryFull, NotFound, UploadTooLarge
from csms.web import firmware
from csms.web.api.firmware import FirmwareChangesSchema, FirmwareFormSchema
from csms.web.errors import STATUSES
from csms.web.pages import query
from csms.web.pages.entered import entered
from csms.web.parts import parts

blueprint = Blueprint("firmware_page", __name__)

# Its form streams a file, see csms/web/csrf.py.
ADD = "firmware_page.add"
PER_PAGE = 50
_URL = "/firmware/<image_id>"


@blueprint.get("/firmware")
def listing() -> str:
    return _page()


def _page(
    section: str = "", values: Mapping[str, str] | None = None, error: Exception | None = None
) -> str:
    """section: `add`, or the id of a file, whose form was not taken."""
    given = parts()
    images = given.stores.firmware_images
    page = images.page(query.text("cursor") or None, PER_PAGE)
    return render_template(
        "firmware.html",
        images=page.items,
        next_query=query.address_with(cursor=page.next_cursor, csrf_token=None),
        taken_bytes=images.total_bytes(),
        total_max_bytes=given.settings.firmware_total_bytes,
        max_bytes=given.settings.firmware_max_bytes,
        section=section,
        values=values or {},
        error=error,
    )


@blueprint.post("/firmware")
def add() -> AnyResponse | tuple[str, int]:
    """What was filled in beside a file that was not taken stays in the form."""
    filled: dict[str, str] = {}

    def load(form: dict[str, str]) -> dict[str, Any]:
        filled.update(form)
        return _entered(FirmwareFormSchema(), form)

    try:
        image = firmware.take_form(load)
    except (FieldError, FirmwareLibraryFull, UploadTooLarge) as error:
        return _page("add", filled, error), STATUSES[type(error)]
    flash(f"{image.file_name} is in the library.")
    return _to_list()


@blueprint.post(_URL)
def describe(image_id: str) -> AnyResponse | tuple[str, int]:
    """All of it is replaced: what was emptied is "" from now on."""
    values = request.form.to_dict()
    schema = FirmwareChangesSchema()
    try:
        changes = {**dict.fromkeys(schema.fields, ""), **_entered(schema, values)}
        image = parts().firmware_library.describe(image_id, changes, clock.now_ms())
    except FieldError as error:
        return _page(image_id, values, error), HTTPStatus.UNPROCESSABLE_ENTITY
    flash(f"The details of {image.file_name} are changed.")
    return _to_list()


def _entered(schema: FirmwareChangesSchema, values: Mapping[str, str]) -> dict[str, Any]:
    """Browsers send line ends of their own; in base64 there is room for none."""
    tidy = {
        "signature": "".join(values.get("signature", "").split()),
        "signing_certificate": tidied_pem(values.get("signing_certificate", "")),
    }
    return entered(schema, {**values, **tidy})


@blueprint.get(f"{_URL}/file")
def download(image_id: str) -> Response:
    return firmware.download(image_id)


@blueprint.post(f"{_URL}/delete")
def delete(image_id: str) -> AnyResponse:
    try:
        parts().firmware_library.remove(image_id, g.requested_by)
    except NotFound as error:
        flash(str(error))
    else:
        flash("The file is deleted.")
    return _to_list()


def _to_list() -> AnyResponse:
    return redirect(url_for("firmware_page.listing"), HTTPStatus.SEE_OTHER)
