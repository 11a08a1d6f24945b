"""What can be wrong with us or the operator; web/errors.py gives each its HTTP status.

What can be wrong with the charge point is in protocol/call_errors.py.
"""

from collections.abc import Sequence


class CSMSError(Exception):
    """Holds its facts as attributes; `str()` is one plain sentence for the operator."""


class ChargePointUnknown(CSMSError):
    def __init__(self, charge_point_id: str) -> None:
        super().__init__(f"There is no charge point {charge_point_id}.")
        self.charge_point_id = charge_point_id


class ChargePointExists(CSMSError):
    """Also raised for an id that differs only in case from one that exists."""

    def __init__(self, charge_point_id: str) -> None:
        super().__init__(f"There is already a charge point {charge_point_id}.")
        self.charge_point_id = charge_point_id


class ChargePointNotConnected(CSMSError):
    def __init__(self, charge_point_id: str) -> None:
        super().__init__(f"{charge_point_id} is not connected.")
        self.charge_point_id = charge_point_id


class FirmwareLibraryFull(CSMSError):
    def __init__(self, total_max_bytes: int) -> None:
        super().__init__(
            f"The firmware library has no room for this file: it takes {total_max_bytes} bytes in "
            "all (FIRMWARE_TOTAL_BYTES). Delete firmware that nobody needs."
        )
        self.total_max_bytes = total_max_bytes


class CommandForbidden(CSMSError):
    """The specification forbids this command now, e.g. RemoteStart while Pending."""

    def __init__(self, charge_point_id: str, action: str, rule: str) -> None:
        super().__init__(f"{action} can't be sent to {charge_point_id} now: {rule}")
        self.charge_point_id = charge_point_id
        self.action = action
        self.rule = rule


class LocalListNotAssigned(CSMSError):
    def __init__(self, charge_point_id: str) -> None:
        super().__init__(
            f"No local list is assigned to {charge_point_id}: choose in its settings which id tags "
            "it should have."
        )
        self.charge_point_id = charge_point_id


class LocalListSyncRunning(CSMSError):
    def __init__(self, charge_point_id: str) -> None:
        super().__init__(f"The local list of {charge_point_id} is being synced already.")
        self.charge_point_id = charge_point_id


class NotFound(CSMSError):
    """A record that is not there: kind is its name in plain words."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} {key}.")
        self.kind = kind
        self.key = key


class AlreadyExists(CSMSError):
    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"The {kind} {key} exists already.")
        self.kind = kind
        self.key = key


class FieldError(CSMSError):
    """Bad input: field is its path in the request, such as `payload.connectorId`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class FilesNotHosted(CSMSError):
    """Neither firmware nor uploads travel from or to here."""

    def __init__(self) -> None:
        super().__init__(
            "Files are not hosted here: set FILES_URL or FILES_FTP_URL, or give a location."
        )


class NoWayForFiles(CSMSError):
    """The charge point and we share no protocol of those by which files travel.

    supported: as it has told, with at least one; offered: the schemes of our URLs, the same.
    """

    def __init__(
        self, charge_point_id: str, supported: Sequence[str], offered: Sequence[str]
    ) -> None:
        setting = "FILES_FTP_URL" if supported[0].casefold().startswith("ftp") else "FILES_URL"
        super().__init__(
            f"{charge_point_id} supports {', '.join(supported)} only, and files are offered over "
            f"{', '.join(offered).upper()} here: set {setting} accordingly, or give a location."
        )
        self.charge_point_id = charge_point_id
        self.supported = tuple(supported)
        self.offered = tuple(offered)


class CertificateRequestClosed(CSMSError):
    """A chain for a request that waits for none: state says what became of it."""

    def __init__(self, request_id: str, state: str) -> None:
        super().__init__(f"The certificate request {request_id} waits for no chain: it is {state}.")
        self.request_id = request_id
        self.state = state


class FirmwareInUse(CSMSError):
    """A campaign that is not over sends it."""

    def __init__(self, image_id: str, campaign: str) -> None:
        super().__init__(f"This firmware is sent by the campaign {campaign}: abort that first.")
        self.image_id = image_id
        self.campaign = campaign


class CampaignClosed(CSMSError):
    """state: what the campaign does, which leaves no room for this."""

    def __init__(self, campaign_id: str, state: str, wish: str) -> None:
        super().__init__(f"The campaign can't be {wish}: it is {state}.")
        self.campaign_id = campaign_id
        self.state = state


class IdempotencyConflict(CSMSError):
    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used before with another request; use a new key."
        )


class StoreUnavailable(CSMSError):
    """The store gave no confirmation; what was asked may or may not have been done."""


class StoreRefused(CSMSError):
    """The store answered with an error (out of memory, read only, disk full …)."""


class StorageUnavailable(CSMSError):
    """What keeps the files failed: problem says how, without keys or addresses."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The storage of files can't be used now: {problem}.")
        self.problem = problem


class FileGrantUnknown(CSMSError):
    def __init__(self) -> None:
        super().__init__("This address, or this user, is for no file.")


class FileGrantExpired(CSMSError):
    def __init__(self) -> None:
        super().__init__("The time for this file is over; it has to be asked for again.")


class FileGrantWithdrawn(CSMSError):
    def __init__(self) -> None:
        super().__init__("This file is not wanted any more.")


class FileGrantUsed(CSMSError):
    def __init__(self) -> None:
        super().__init__("A file was taken here before; another one has to be asked for.")


class UploadTooLarge(CSMSError):
    """max_bytes: what one upload may have."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"A file may have {max_bytes} bytes here.")
        self.max_bytes = max_bytes


class UploadsFull(CSMSError):
    """What all uploads may take together is taken (UPLOADS_TOTAL_BYTES)."""

    def __init__(self) -> None:
        super().__init__("There is no room for uploads now.")


class UploadCutShort(CSMSError):
    def __init__(self) -> None:
        super().__init__("The file did not come to its end; it may be sent again.")


class UploadEmpty(CSMSError):
    """Over FTP a broken connection looks like this."""

    def __init__(self) -> None:
        super().__init__("The file is empty; nothing was kept, and it may be sent again.")


class StaleEpoch(CSMSError):
    """A newer connection owns the charge point's state, or it was deleted; this one must end."""

    def __init__(self, charge_point_id: str) -> None:
        super().__init__(f"A newer connection of {charge_point_id} has taken over.")
        self.charge_point_id = charge_point_id


class ConfigurationError(CSMSError):
    """The environment is wrong: variable names what to change."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable}: {problem}")
        self.variable = variable
        self.problem = problem
