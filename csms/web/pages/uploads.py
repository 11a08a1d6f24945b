"""What charge points have uploaded: to be downloaded and deleted."""

from http import HTTPStatus

from flask import Blueprint, Response, flash, g, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from csms.errors import NotFound
from csms.web.api import uploads
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("uploads_page", __name__)

PER_PAGE = 50
_URL = "/uploads/<upload_id>"


@blueprint.get("/uploads")
def listing() -> str:
    given = parts()
    charge_point_id = query.text("charge_point_id")
    stored = given.stores.uploaded_files
    page = stored.page(query.text("cursor") or None, PER_PAGE, charge_point_id or None)
    return render_template(
        "uploads.html",
        uploads=page.items,
        next_query=query.address_with(cursor=page.next_cursor),
        charge_point_id=charge_point_id,
        taken_bytes=stored.total_bytes(),
        total_max_bytes=given.settings.uploads_total_bytes,
        retention_days=given.settings.upload_retention_days,
    )


@blueprint.get(f"{_URL}/file")
def download(upload_id: str) -> Response:
    return uploads.download(upload_id)


@blueprint.post(f"{_URL}/delete")
def delete(upload_id: str) -> AnyResponse:
    try:
        parts().uploads.delete(upload_id, g.requested_by)
    except NotFound as error:
        flash(str(error))
    else:
        flash("The upload is deleted.")
    return redirect(url_for("uploads_page.listing"), HTTPStatus.SEE_OTHER)
