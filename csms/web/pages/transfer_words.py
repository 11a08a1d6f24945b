"""Firmware updates and log uploads in plain words."""

from csms.domain.transfer import BOOTED, Remark, Transfer, TransferKind, TransferState
from csms.web.pages.words import Badge
from csms.web.transfer_files import FileState

_STATES = {
    TransferState.REQUESTED: Badge(
        "Asked for", "busy", "hourglass", "The charge point has not answered yet."
    ),
    TransferState.UNCONFIRMED: Badge(
        "Not confirmed",
        "paused",
        "warning",
        "It got no answer: the charge point may have it or not. What it reports will tell.",
    ),
    TransferState.TAKEN: Badge(
        "Taken", "busy", "hourglass", "The charge point has it and has reported nothing yet."
    ),
    TransferState.RUNNING: Badge(
        "Under way", "charging", "hourglass", "The charge point is at it."
    ),
    TransferState.DONE: Badge("Done", "available", "check", "The charge point reports success."),
    TransferState.FAILED: Badge(
        "Failed", "faulted", "warning", "The charge point reports failure."
    ),
    TransferState.REFUSED: Badge(
        "Refused", "faulted", "minus", "The charge point would not do it."
    ),
    TransferState.NOTHING: Badge(
        "Nothing to upload", "off", "minus", "The charge point named no file."
    ),
    TransferState.CANCELLED: Badge("Cancelled", "off", "minus", "A later request took its place."),
    TransferState.SUPERSEDED: Badge(
        "No end reported",
        "paused",
        "warning",
        "A later request was taken; of this one's end nothing was heard.",
    ),
    TransferState.UNSENT: Badge(
        "Never sent", "faulted", "minus", "It could not be delivered to the charge point."
    ),
}
_FILES = {
    FileState.OPEN: "Its address is valid until",
    FileState.EXPIRED: "Its address was valid until",
    FileState.USED: "It has arrived.",
    FileState.WITHDRAWN: "Its address is not valid any more.",
}
_STATUSES = {
    BOOTED: "It restarted",
    "Idle": "It says that it does nothing now",
    "DownloadScheduled": "It will download later",
    "Downloading": "It downloads the file",
    "DownloadPaused": "The download pauses",
    "Downloaded": "The file is downloaded",
    "DownloadFailed": "The download failed",
    "SignatureVerified": "The signature is right",
    "InvalidSignature": "The signature is wrong: nothing was installed",
    "InstallScheduled": "It will install later",
    "InstallRebooting": "It restarts to install",
    "Installing": "It installs",
    "Installed": "The new firmware is installed",
    "InstallationFailed": "The installation failed",
    "InstallVerificationFailed": "What was installed did not pass its check",
    "Uploading": "It uploads the file",
    "Uploaded": "The file is uploaded",
    "UploadFailed": "The upload failed",
    "UploadFailure": "The upload failed",
    "BadMessage": "It could not make sense of the request",
    "PermissionDenied": "It was not let in where the file should go",
    "NotSupportedOperation": "It can't upload this way",
}
_REMARKS = {
    Remark.AFTER_THE_END: "came after the end, and changes nothing",
    Remark.IDLE_WITHOUT_AN_END: "though it has reported no end",
    Remark.STEP_BACK: "a step back",
    Remark.TRIED_AGAIN: "it tries again",
}
_NAMES = {
    TransferKind.FIRMWARE: "Firmware update",
    TransferKind.SIGNED_FIRMWARE: "Signed firmware update",
    TransferKind.DIAGNOSTICS: "Diagnostics",
    TransferKind.LOG: "Log",
}
_LOGS = {"DiagnosticsLog": "Diagnostics log", "SecurityLog": "Security log"}


def transfer_badge(transfer: Transfer) -> Badge:
    return _STATES[transfer.state]


def transfer_name(transfer: Transfer) -> str:
    return _LOGS.get(transfer.log_type, _NAMES[transfer.kind])


def status_words(status: str) -> str:
    return _STATUSES.get(status, status)


def remark_words(remark: Remark) -> str:
    return _REMARKS[remark]


def file_words(state: FileState) -> str:
    """Those of open and expired go on with the instant."""
    return _FILES[state]


WORDS = {
    "transfer_badge": transfer_badge,
    "transfer_name": transfer_name,
    "status_words": status_words,
    "remark_words": remark_words,
    "file_words": file_words,
}
