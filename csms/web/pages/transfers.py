"""A charge point's firmware and logs: asking for an update or an upload, and how far each is."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from csms import clock
from csms.commands.transfer_wishes import Wish
from csms.domain.charge_point import ChargePoint
from csms.domain.command import Command
from csms.domain.file_hosting import mismatches
from csms.domain.hosted_file import FirmwareImage
from csms.domain.transfer import Subject
from csms.errors import (
    ChargePointNotConnected,
    CommandForbidden,
    CSMSError,
    FieldError,
    FilesNotHosted,
    NotFound,
    NoWayForFiles,
)
from csms.web import charge_point_state
from csms.web.api.commands import wait_for_end
from csms.web.api.transfers import (
    NewFirmwareUpdateSchema,
    NewLogUploadSchema,
    firmware_update,
    log_upload,
    transfers_of,
)
from csms.web.pages import query
from csms.web.pages.commands import WAIT_S, once_key
from csms.web.pages.entered import entered, entered_number
from csms.web.pages.transfer_words import WORDS
from csms.web.parts import parts

blueprint = Blueprint("transfers_page", __name__)

SHOWN = 20
_INSTANTS = {"retrieve_at", "install_at", "oldest_at", "latest_at"}
_NUMBERS = {"retries", "retry_interval_s"}
# Who has more of them names firmware through the API.
_IMAGES_MAX = 100


@blueprint.get("/charge-points/<charge_point:charge_point_id>/firmware-and-logs")
def page(charge_point_id: str) -> str:
    return _page(charge_point_id)


def _page(charge_point_id: str, **rejected: Any) -> str:
    """rejected: `subject`, `error` and `values` of a form that was not taken."""
    stores = parts().stores
    state = charge_point_state.get(stores, charge_point_id)
    is_hosted = bool(parts().settings.files_url or parts().settings.files_ftp_url)
    updates_from, uploads_from = query.text("updates") or None, query.text("uploads") or None
    return render_template(
        "charge_point_transfers.html",
        state=state,
        updates=transfers_of(charge_point_id, Subject.FIRMWARE, updates_from, SHOWN),
        uploads=transfers_of(charge_point_id, Subject.LOGS, uploads_from, SHOWN),
        is_newest=not (updates_from or uploads_from),
        images=_images_for(state.record) if is_hosted else {},
        is_hosted=is_hosted,
        signing_keys=[key.name for key in stores.signing_keys.all()],
        rejected={"subject": "", "error": None, "values": {}, **rejected},
        **WORDS,
    )


def _images_for(charge_point: ChargePoint) -> Mapping[str, Sequence[FirmwareImage]]:
    """The newest firmware of the library, what fits the charge point first; by what it is."""
    newest = parts().stores.firmware_images.page(None, _IMAGES_MAX).items
    others = [one for one in newest if mismatches(one.vendor, one.model, charge_point)]
    return {
        "That may fit": [image for image in newest if image not in others],
        "For others": others,
    }


@blueprint.post("/charge-points/<charge_point:charge_point_id>/firmware-updates")
def update(charge_point_id: str) -> Response | tuple[str, int]:
    """What is wrong with it is shown beside the form."""

    def ask(wish: Wish) -> Command:
        wanted = firmware_update(entered(NewFirmwareUpdateSchema(), _filled_in()))
        return parts().transfers.update_firmware(wish, wanted, clock.now_ms())

    return _ask(charge_point_id, "updates", ask)


@blueprint.post("/charge-points/<charge_point:charge_point_id>/log-uploads")
def upload(charge_point_id: str) -> Response | tuple[str, int]:
    """What is wrong with it is shown beside the form."""

    def ask(wish: Wish) -> Command:
        wanted = log_upload(entered(NewLogUploadSchema(), _filled_in()))
        return parts().transfers.upload_log(wish, wanted, clock.now_ms())

    return _ask(charge_point_id, "uploads", ask)


def _ask(
    charge_point_id: str, subject: str, ask: Callable[[Wish], Command]
) -> Response | tuple[str, int]:
    filled_in = {name: text for name, text in request.form.items() if name != "csrf_token"}
    wish = Wish(
        charge_point_id=charge_point_id,
        requested_by=g.requested_by,
        idempotency_key=once_key(subject, filled_in),
        reply_to=parts().process_id,
    )
    try:
        command = ask(wish)
    except (FieldError, NotFound) as error:
        return _rejected(charge_point_id, subject, error, HTTPStatus.UNPROCESSABLE_ENTITY)
    except (ChargePointNotConnected, CommandForbidden, FilesNotHosted, NoWayForFiles) as error:
        return _rejected(charge_point_id, subject, error, HTTPStatus.CONFLICT)
    wait_for_end(parts(), command, WAIT_S)
    address = url_for(
        "transfers_page.page",
        charge_point_id=charge_point_id,
        transfer=command.command_id,
        _anchor=subject,
    )
    return redirect(address, HTTPStatus.SEE_OTHER)


def _rejected(
    charge_point_id: str, subject: str, error: CSMSError, status: HTTPStatus
) -> tuple[str, int]:
    return _page(charge_point_id, subject=subject, error=error, values=request.form), status


def _filled_in() -> dict[str, Any]:
    values: dict[str, Any] = request.form.to_dict()
    for name, text in values.items():
        if name in _INSTANTS and text.strip() and not text.strip().endswith("Z"):
            # A browser's field for an instant knows no zone; the form says UTC.
            values[name] = f"{text.strip()}Z"
        elif name in _NUMBERS:
            values[name] = entered_number(text)
        elif name == "signing_certificate":
            # Browsers send CRLF; certificates are compared and sent with LF.
            values[name] = text.replace("\r\n", "\n")
    return values
