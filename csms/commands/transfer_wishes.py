"""What operators may wish for: a firmware update, or an upload of diagnostics or a log."""

from dataclasses import dataclass, replace
from enum import StrEnum

from csms.domain.hosted_file import FirmwareImage
from csms.domain.transfer import LogKind
from csms.errors import FieldError


class Signed(StrEnum):
    """Whether an update is to be signed; AUTO: where there is a signature, and the charge point has
    not said that it does not know signed updates."""

    AUTO = "auto"
    YES = "true"
    NO = "false"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks, and how; as in CommandRequest."""

    charge_point_id: str
    requested_by: str
    deadline_s: int | None = None
    idempotency_key: str | None = None
    reply_to: str = ""
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class FirmwareUpdate:
    """location: of a file elsewhere; or image_id: of one in the firmware library.

    signing_key: the name of ours that signs the file of digest sha256 (hex); or a signature from
    elsewhere, with its certificate, as any text. Firmware of the library has a digest, and may have
    both of the latter. retrieve_at_ms None: now.
    """

    location: str = ""
    image_id: str = ""
    retrieve_at_ms: int | None = None
    install_at_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    signed: Signed = Signed.AUTO
    signing_key: str = ""
    sha256: str = ""
    signature: str = ""
    signing_certificate: str = ""

    @property
    def has_signature(self) -> bool:
        return bool(self.signing_key or self.signature or self.signing_certificate)

    def check(self) -> None:
        """One file, and one way to sign it with all that this needs. Raises FieldError."""
        if bool(self.location) is bool(self.image_id):
            raise FieldError("location", "or firmware_id is needed, and not both")
        if self.signing_key:
            if self.signature or self.signing_certificate:
                raise FieldError(
                    "signing_key", "must not be given beside a signature from elsewhere"
                )
            if not (self.sha256 or self.image_id):
                raise FieldError(
                    "sha256", "is needed for signing_key: the digest of the file, in hex"
                )
        elif bool(self.signature) is not bool(self.signing_certificate):
            missing = "signing_certificate" if self.signature else "signature"
            raise FieldError(missing, "is needed too")

    def with_image(self, image: FirmwareImage) -> "FirmwareUpdate":
        """With its digest, and with its signature where there is none. Raises FieldError."""
        if self.sha256 not in ("", image.sha256):
            raise FieldError("sha256", "is not that of the firmware")
        if self.has_signature:
            return replace(self, sha256=image.sha256)
        return replace(
            self,
            sha256=image.sha256,
            signature=image.signature,
            signing_certificate=image.signing_certificate,
        )

    def unsigned(self) -> "FirmwareUpdate":
        return replace(self, signing_key="", signature="", signing_certificate="")


@dataclass(frozen=True, slots=True)
class LogUpload:
    """location "": here."""

    location: str = ""
    kind: LogKind = LogKind.DIAGNOSTICS
    oldest_at_ms: int | None = None
    latest_at_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
