"""The resources `firmware-updates` and `log-uploads`: what was asked for, and what came of it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import g, url_for
from marshmallow import Schema, fields
from marshmallow.validate import Length, OneOf, Range

from csms import clock
from csms.commands.transfer_wishes import (
    FirmwareUpdate,
    LogUpload,
    Signed,
    Wish,
)
from csms.domain.command import Command
from csms.domain.firmware_signature import CERTIFICATE_MAX, SIGNATURE_MAX
from csms.domain.transfer import LogKind, Subject, TransferKind, TransferState
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.commands import IdempotencyHeader, WaitQuery, deadline_field, waited_for
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.api.signing_keys import sha256_field
from csms.web.parts import parts
from csms.web.transfer_files import FileState, ShownTransfer, with_files

blueprint = ApiBlueprint("transfers", "Firmware updates, and uploads of diagnostics and logs.")

LOCATION_LONGEST = 2_000
NUMBER_MAX = 2**31 - 1


def _count(said: str) -> fields.Integer:
    return fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=Range(0, NUMBER_MAX, error=f"must be between 0 and {NUMBER_MAX}"),
        metadata={"description": said},
    )


def _location(example: str, otherwise: str) -> fields.String:
    """otherwise: what is done where it is left out."""
    return fields.String(
        load_default="",
        validate=Length(0, LOCATION_LONGEST, error=f"must have {LOCATION_LONGEST} characters"),
        metadata={
            "example": example,
            "description": "ftp, ftps, sftp, http or https, on a host of FILE_HOSTS where that is "
            f"set. Its password is masked everywhere but on the wire. {otherwise}",
        },
    )


class _NewTransferSchema(Schema):
    retries = _count("How often the charge point tries again.")
    retry_interval_s = _count("How long it waits in between.")
    deadline_s = deadline_field()


class NewFirmwareUpdateSchema(_NewTransferSchema):
    """Sent as SignedUpdateFirmware or UpdateFirmware, see `signed`."""

    location = _location("https://files.example/firmware.bin", "Left out: `firmware_id` is needed.")
    firmware_id = fields.String(
        load_default="",
        validate=Length(0, 64),
        metadata={
            "description": "Of the firmware library. The charge point gets an address of its own, "
            "by a protocol that it supports; what does not fit it is warned of."
        },
    )
    retrieve_at = Instant(
        load_default=None, allow_none=True, metadata={"description": "Not before; else at once."}
    )
    install_at = Instant(
        load_default=None,
        allow_none=True,
        metadata={"description": "Of a signed update only."},
    )
    signed = fields.Raw(
        load_default=Signed.AUTO.value,
        validate=OneOf(["auto", "true", "false", True, False], error="must be auto, true or false"),
        metadata={
            "type": ["string", "boolean"],
            "enum": ["auto", True, False],
            "description": "auto: signed where there is a signature, unless the charge point has "
            "said that it does not know signed updates.",
        },
    )
    signing_key = fields.String(
        load_default="",
        validate=Length(0, 64),
        metadata={"description": "The name of a signing key of ours, to sign `sha256` with."},
    )
    sha256 = sha256_field(
        load_default="",
        metadata={
            "description": "Of the firmware file; the library knows those of its own. Beside a "
            "signature it is checked, and warned of."
        },
    )
    signature = fields.String(
        load_default="",
        validate=Length(0, SIGNATURE_MAX, error=f"must have {SIGNATURE_MAX} characters at most"),
        metadata={"description": "Made elsewhere; any text is sent as it is."},
    )
    signing_certificate = fields.String(
        load_default="",
        validate=Length(
            0, CERTIFICATE_MAX, error=f"must have {CERTIFICATE_MAX} characters at most"
        ),
    )


class NewLogUploadSchema(_NewTransferSchema):
    """Sent as GetDiagnostics or GetLog, see `kind`."""

    location = _location(
        "ftp://user:password@files.example/directory",
        "Left out: here, at an address that takes one upload, by a protocol that the charge point "
        "supports.",
    )
    kind = choice(
        LogKind,
        load_default=LogKind.DIAGNOSTICS,
        metadata={
            "description": "diagnostics: GetDiagnostics of OCPP 1.6; diagnostics-log, "
            "security-log: GetLog of the security extension; auto: diagnostics-log, or diagnostics "
            "where the charge point has said that it does not know GetLog."
        },
    )
    oldest_at = Instant(load_default=None, allow_none=True)
    latest_at = Instant(load_default=None, allow_none=True)


class TransferEventSchema(Schema):
    """A status as reported, or a BootNotification in the midst of an update."""

    status = fields.String(attribute="event.status")
    at = Instant(
        attribute="event.at_ms", metadata={"description": "When it arrived: it says no time."}
    )
    remark = fields.String(
        allow_none=True,
        metadata={
            "description": "What is odd about it: `after the end`, `idle without an end`, "
            "`step back`, `tried again`."
        },
    )
    firmware_before = fields.String(attribute="event.firmware_before")
    firmware_after = fields.String(attribute="event.firmware_after")


class TransferFileSchema(Schema):
    """A file that is kept here: of an upload, what is known once it has arrived."""

    name = fields.String(metadata={"description": "Of an upload: as the charge point called it."})
    size_bytes = fields.Integer(allow_none=True)
    sha256 = fields.String()
    state = fields.Enum(
        FileState,
        by_value=True,
        metadata={
            "description": "open: the charge point may come. used: the upload has arrived. "
            "expired, withdrawn: it may not come any more."
        },
    )
    expires_at = Instant(attribute="expires_at_ms", allow_none=True)


class _TransferSchema(Schema):
    """Of a ShownTransfer."""

    id = fields.String(
        attribute="transfer_id", metadata={"description": "Also that of its command."}
    )
    charge_point_id = fields.String()
    kind = fields.Enum(TransferKind, by_value=True)
    state = fields.Enum(
        TransferState,
        by_value=True,
        metadata={
            "description": "requested: its command is not answered yet. unconfirmed: it was not "
            "answered at all, so that it may have arrived or not. taken: answered, nothing "
            "reported yet. running, done, failed: as reported. refused, unsent: see `reason`. "
            "nothing: the charge point has nothing to upload. cancelled: by a later request. "
            "superseded: a later request was taken, and this one's end was never reported."
        },
    )
    location = fields.String(metadata={"description": "Its password is masked."})
    requested_by = fields.String()
    created_at = Instant(attribute="created_at_ms")
    answered_at = Instant(attribute="answered_at_ms", allow_none=True)
    reported = fields.String(metadata={"description": "The last status reported."})
    reported_at = Instant(attribute="reported_at_ms", allow_none=True)
    ended_at = Instant(attribute="ended_at_ms", allow_none=True)
    request_id = fields.Integer(allow_none=True)
    retries = fields.Integer(allow_none=True)
    retry_interval_s = fields.Integer(allow_none=True)
    reason = fields.String()
    hint = fields.String(metadata={"description": "What to do instead, where that is known."})
    warnings = fields.List(fields.String())
    history = fields.List(fields.Nested(TransferEventSchema), attribute="steps")
    file = fields.Nested(
        TransferFileSchema,
        allow_none=True,
        metadata={"description": "Null where it is not kept here."},
    )

    def get_attribute(self, obj: ShownTransfer, attr: str, default: Any) -> Any:
        """What the transfer itself has, and what is known beside it."""
        owner = obj if attr in {"file", "upload_id"} else obj.transfer
        return super().get_attribute(owner, attr, default)


class FirmwareUpdateSchema(_TransferSchema):
    """A firmware update."""

    retrieve_at = Instant(attribute="retrieve_at_ms", allow_none=True)
    install_at = Instant(attribute="install_at_ms", allow_none=True)
    sha256 = fields.String()
    signing_key = fields.String()


class LogUploadSchema(_TransferSchema):
    """An upload of diagnostics, or of a log."""

    log_type = fields.String(metadata={"description": "DiagnosticsLog or SecurityLog."})
    oldest_at = Instant(attribute="oldest_at_ms", allow_none=True)
    latest_at = Instant(attribute="latest_at_ms", allow_none=True)
    file_name = fields.String(metadata={"description": "What the charge point says it uploads."})
    upload_id = fields.String(
        allow_none=True, metadata={"description": "Of its file, while that is kept here."}
    )


_UPDATES = "/charge-points/<charge_point:charge_point_id>/firmware-updates"
_UPLOADS = "/charge-points/<charge_point:charge_point_id>/log-uploads"
Asked = tuple[ShownTransfer, HTTPStatus, dict[str, str]]


@blueprint.operation(
    "POST",
    _UPDATES,
    query=WaitQuery,
    takes=NewFirmwareUpdateSchema,
    answers=(202, FirmwareUpdateSchema),
    also=(200, "Its command has ended within `wait`"),
    fails=(404, 409),
    headers=IdempotencyHeader,
)
def update_firmware(
    headers: dict[str, Any], query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> Asked:
    """Update the firmware of a charge point.

    Answers with the update as recorded; how far it comes is reported later and read below.
    """
    update = firmware_update(body)
    wish = _wish(charge_point_id, headers, query, body)
    command = parts().transfers.update_firmware(wish, update, clock.now_ms())
    return _asked(command, query["wait"], Subject.FIRMWARE)


@blueprint.operation(
    "POST",
    _UPLOADS,
    query=WaitQuery,
    takes=NewLogUploadSchema,
    answers=(202, LogUploadSchema),
    also=(200, "Its command has ended within `wait`"),
    fails=(404, 409),
    headers=IdempotencyHeader,
)
def upload_log(
    headers: dict[str, Any], query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> Asked:
    """Have a charge point upload its diagnostics or a log."""
    upload = log_upload(body)
    wish = _wish(charge_point_id, headers, query, body)
    command = parts().transfers.upload_log(wish, upload, clock.now_ms())
    return _asked(command, query["wait"], Subject.LOGS)


def firmware_update(body: Mapping[str, Any]) -> FirmwareUpdate:
    """A wish from what NewFirmwareUpdateSchema has loaded."""
    return FirmwareUpdate(
        location=body["location"],
        image_id=body["firmware_id"],
        retrieve_at_ms=body["retrieve_at"],
        install_at_ms=body["install_at"],
        retries=body["retries"],
        retry_interval_s=body["retry_interval_s"],
        signed=Signed(str(body["signed"]).lower()),
        signing_key=body["signing_key"],
        sha256=body["sha256"].lower(),
        signature=body["signature"],
        signing_certificate=body["signing_certificate"],
    )


def log_upload(body: Mapping[str, Any]) -> LogUpload:
    """A wish from what NewLogUploadSchema has loaded."""
    return LogUpload(
        location=body["location"],
        kind=body["kind"],
        oldest_at_ms=body["oldest_at"],
        latest_at_ms=body["latest_at"],
        retries=body["retries"],
        retry_interval_s=body["retry_interval_s"],
    )


def _wish(
    charge_point_id: str, headers: dict[str, Any], query: dict[str, Any], body: dict[str, Any]
) -> Wish:
    return Wish(
        charge_point_id=charge_point_id,
        requested_by=g.requested_by,
        deadline_s=body["deadline_s"],
        idempotency_key=headers["idempotency_key"],
        reply_to=parts().process_id if query["wait"] else "",
    )


def _asked(command: Command, wait_s: float, subject: Subject) -> Asked:
    command, status = waited_for(command, wait_s)
    shown = _get(command.charge_point_id, command.command_id, subject)
    view, name = _VIEWS[subject]
    found_by: dict[str, Any] = {name: command.command_id}
    location = url_for(view, charge_point_id=command.charge_point_id, **found_by)
    return shown, status, {"Location": location}


_VIEWS = {
    Subject.FIRMWARE: ("transfers.read_firmware_update", "update_id"),
    Subject.LOGS: ("transfers.read_log_upload", "upload_id"),
}


def _get(charge_point_id: str, transfer_id: str, subject: Subject) -> ShownTransfer:
    stores = parts().stores
    found = stores.transfers.get(charge_point_id, transfer_id, subject)
    [shown] = with_files(stores, [found], clock.now_ms())
    return shown


def _page(charge_point_id: str, query: dict[str, Any], subject: Subject) -> Page[ShownTransfer]:
    parts().stores.charge_points.get(charge_point_id)
    return transfers_of(charge_point_id, subject, query["cursor"], query["limit"])


def transfers_of(
    charge_point_id: str, subject: Subject, cursor: str | None, limit: int
) -> Page[ShownTransfer]:
    """Newest first, as they stand now."""
    stores = parts().stores
    found = stores.transfers.page(charge_point_id, subject, cursor, limit)
    return Page(with_files(stores, found.items, clock.now_ms()), found.next_cursor)


@blueprint.operation(
    "GET", _UPDATES, query=PageQuery, answers=(200, page_of(FirmwareUpdateSchema)), fails=(404,)
)
def list_firmware_updates(query: dict[str, Any], charge_point_id: str) -> Page[ShownTransfer]:
    """List a charge point's firmware updates, newest first, with what it reported of each."""
    return _page(charge_point_id, query, Subject.FIRMWARE)


@blueprint.operation(
    "GET", f"{_UPDATES}/<update_id>", answers=(200, FirmwareUpdateSchema), fails=(404,)
)
def read_firmware_update(charge_point_id: str, update_id: str) -> ShownTransfer:
    """Read a firmware update."""
    return _get(charge_point_id, update_id, Subject.FIRMWARE)


@blueprint.operation(
    "GET", _UPLOADS, query=PageQuery, answers=(200, page_of(LogUploadSchema)), fails=(404,)
)
def list_log_uploads(query: dict[str, Any], charge_point_id: str) -> Page[ShownTransfer]:
    """List a charge point's uploads of diagnostics and logs, newest first."""
    return _page(charge_point_id, query, Subject.LOGS)


@blueprint.operation("GET", f"{_UPLOADS}/<upload_id>", answers=(200, LogUploadSchema), fails=(404,))
def read_log_upload(charge_point_id: str, upload_id: str) -> ShownTransfer:
    """Read an upload."""
    return _get(charge_point_id, upload_id, Subject.LOGS)
