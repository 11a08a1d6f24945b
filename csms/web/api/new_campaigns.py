"""A campaign as it is asked for: its schema, whose parts also show what was asked."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range, Regexp

from csms.domain.campaign import (
    NAME_MAX,
    PARALLEL_MAX,
    RETRIES_MAX,
    TARGETS_MAX,
    CampaignKind,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    NewCampaign,
    ResetWork,
    Rules,
    Selection,
    Window,
)
from csms.domain.transfer import LogKind
from csms.web.api.charge_points import TraitsSchema
from csms.web.api.fields import Instant, Text, choice

# Under which field of a request each kind says what is to be done.
WORK_FIELDS: Mapping[CampaignKind, str] = {
    CampaignKind.FIRMWARE: "firmware",
    CampaignKind.LOGS: "logs",
    CampaignKind.CONFIGURATION: "configuration",
    CampaignKind.RESET: "reset",
    CampaignKind.LOCAL_LIST: "local_list",
}
# Kinds that can be wished for without a word more.
_SAYS_ENOUGH: Mapping[CampaignKind, type[LogsWork | LocalListWork]] = {
    CampaignKind.LOGS: LogsWork,
    CampaignKind.LOCAL_LIST: LocalListWork,
}
_MONTH_S = 30 * 86_400
_COUNT_MAX = 2**31 - 1


def _whole(low: int, high: int, said: str, **kwargs: Any) -> fields.Integer:
    return fields.Integer(
        strict=True,
        validate=Range(low, high, error=f"must be between {low} and {high}"),
        metadata={"description": said},
        **kwargs,
    )


def _optional_count(said: str) -> fields.Integer:
    return _whole(0, _COUNT_MAX, said, load_default=None, allow_none=True)


def _switch(said: str, **kwargs: Any) -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, metadata={"description": said}, **kwargs)


def _limit(default_s: int, said: str) -> fields.Integer:
    return _whole(
        1,
        _MONTH_S,
        f"{said} Later, the attempt counts as failed.",
        load_default=default_s,
    )


class Signed(fields.Field[str]):
    """auto, true or false, as a word or as a truth."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        word = str(value).lower() if isinstance(value, bool | str) else ""
        if word not in {"auto", "true", "false"}:
            raise ValidationError("must be auto, true or false")
        return word


class FirmwareWorkSchema(Schema):
    """An image of the firmware library is installed."""

    firmware_id = fields.String(
        attribute="image_id",
        required=True,
        metadata={"description": "Of the firmware library (`/firmware`)."},
    )
    version = Text(
        50,
        load_default=None,
        allow_none=True,
        metadata={
            "description": "What a charge point's boot says that runs it, to be checked after the "
            "installation, and to skip those that have it. null: that of the library's file; "
            "empty: it is not checked."
        },
    )
    signed = Signed(
        load_default="auto",
        metadata={
            "type": ["string", "boolean"],
            "enum": ["auto", "true", "false", True, False],
            "description": "auto: signed where there is a signature, and unsigned to a charge "
            "point that does not know signed updates.",
        },
    )
    signing_key = fields.String(
        load_default="",
        validate=Length(0, 64),
        metadata={"description": "Of ours, where the image has no signature."},
    )
    retries = _optional_count("How often the charge point itself tries again to download.")
    retry_interval_s = _optional_count("How long it waits in between.")

    @post_load
    def work(self, given: dict[str, Any], **_: Any) -> FirmwareWork:
        return FirmwareWork(**given)


class LogsWorkSchema(Schema):
    """Diagnostics or a log are uploaded to us."""

    kind = choice(
        LogKind,
        load_default=LogKind.AUTO,
        metadata={
            "description": "diagnostics: GetDiagnostics. diagnostics-log, security-log: GetLog of "
            "the security extension. auto: GetLog, and GetDiagnostics where it is not known."
        },
    )
    oldest_at = Instant(attribute="oldest_at_ms", load_default=None, allow_none=True)
    latest_at = Instant(attribute="latest_at_ms", load_default=None, allow_none=True)
    retries = _optional_count("How often the charge point itself tries again to upload.")
    retry_interval_s = _optional_count("How long it waits in between.")

    @post_load
    def work(self, given: dict[str, Any], **_: Any) -> LogsWork:
        return LogsWork(**given)


class ConfigurationWorkSchema(Schema):
    """A configuration key is set."""

    key = Text(50, shortest=1, required=True, metadata={"example": "HeartbeatInterval"})
    value = Text(500, required=True, metadata={"example": "300"})

    @post_load
    def work(self, given: dict[str, Any], **_: Any) -> ConfigurationWork:
        return ConfigurationWork(**given)


class ResetWorkSchema(Schema):
    """The charge point restarts."""

    type = fields.String(
        required=True, validate=OneOf(["Soft", "Hard"], error="must be Soft or Hard")
    )

    @post_load
    def work(self, given: dict[str, Any], **_: Any) -> ResetWork:
        return ResetWork(**given)


class LocalListWorkSchema(Schema):
    """The local authorization list is brought to what the id tags say."""

    full = _switch("Send the whole list, whatever was acknowledged.", load_default=False)

    @post_load
    def work(self, given: dict[str, Any], **_: Any) -> LocalListWork:
        return LocalListWork(**given)


class SelectionSchema(TraitsSchema):
    """Which charge points are meant: by their ids, by what they have in common, or all."""

    charge_point_ids = fields.List(
        fields.String(validate=Length(1, 48, error="must have 1 to 48 characters")),
        load_default=(),
        load_only=True,
        validate=Length(max=TARGETS_MAX, error=f"must be {TARGETS_MAX} at most"),
    )
    all = _switch(
        "Every charge point; nothing else may be given then.",
        attribute="everything",
        load_default=False,
    )

    @post_load
    def selection(self, given: dict[str, Any], **_: Any) -> Selection:
        return Selection(**{**given, "charge_point_ids": tuple(given["charge_point_ids"])})


class WindowSchema(Schema):
    """A time of day; it may go past midnight."""

    begins = fields.String(required=True, metadata={"example": "22:00"})
    ends = fields.String(required=True, metadata={"example": "05:30"})
    zone = fields.String(
        load_default="UTC",
        validate=[Length(1, 64), Regexp(r"[A-Za-z0-9_+\-/]*\Z", error="must be a zone's name")],
        metadata={"example": "Europe/Berlin"},
    )

    @post_load
    def window(self, given: dict[str, Any], **_: Any) -> Window:
        return Window(**given)


_DEFAULT = Rules()


class RulesSchema(Schema):
    """How a campaign goes about it."""

    canary_percent = _whole(
        0,
        100,
        "So large a share, rounded up, is tried first; the others follow when all of it have an "
        "outcome. 0: no canaries.",
        load_default=_DEFAULT.canary_percent,
    )
    canary_pauses = _switch(
        "Pause after the canaries, until somebody resumes.", load_default=_DEFAULT.canary_pauses
    )
    max_parallel = _whole(
        1, PARALLEL_MAX, "How many may be under way at once.", load_default=_DEFAULT.max_parallel
    )
    only_idle = _switch("Begin only where no transaction runs.", load_default=_DEFAULT.only_idle)
    window = fields.Nested(
        WindowSchema,
        load_default=None,
        allow_none=True,
        metadata={"description": "When something may be begun; null: at any time."},
    )
    retries = _whole(
        0, RETRIES_MAX, "Further tries after one that failed.", load_default=_DEFAULT.retries
    )
    retry_pause_s = _whole(
        0, _MONTH_S, "How long a retry waits.", load_default=_DEFAULT.retry_pause_s
    )
    abort_percent = _whole(
        0,
        100,
        "Abort when more than so many percent of the targets, or of the canaries while they are "
        "tried, have failed or are unclear; null: never.",
        load_default=None,
        allow_none=True,
    )
    start_at = Instant(
        attribute="start_at_ms",
        load_default=None,
        allow_none=True,
        metadata={"description": "null: at once. Who the targets are is decided then."},
    )
    end_at = Instant(
        attribute="end_at_ms",
        load_default=None,
        allow_none=True,
        metadata={"description": "Nothing is begun afterwards."},
    )
    download_limit_s = _limit(_DEFAULT.download_limit_s, "How long a download may take.")
    install_limit_s = _limit(_DEFAULT.install_limit_s, "How long an installation may take.")
    verify_limit_s = _limit(
        _DEFAULT.verify_limit_s, "How long it may take to come back with the new version."
    )
    upload_limit_s = _limit(_DEFAULT.upload_limit_s, "How long an upload may take.")
    boot_limit_s = _limit(_DEFAULT.boot_limit_s, "How long a restart may take.")
    sync_limit_s = _limit(_DEFAULT.sync_limit_s, "How long the sync of a local list may take.")

    @post_load
    def rules(self, given: dict[str, Any], **_: Any) -> Rules:
        return Rules(**given)


class WorkSchema(Schema):
    """What is to be done, under its kind."""

    firmware = fields.Nested(FirmwareWorkSchema)
    logs = fields.Nested(LogsWorkSchema)
    configuration = fields.Nested(ConfigurationWorkSchema)
    reset = fields.Nested(ResetWorkSchema)
    local_list = fields.Nested(LocalListWorkSchema)


class NewCampaignSchema(WorkSchema):
    """A campaign to be started. Beside its kind it has the field of that kind, and no other."""

    name = Text(NAME_MAX, shortest=1, required=True, metadata={"example": "Firmware 2.1, harbour"})
    kind = choice(CampaignKind, required=True)
    selection = fields.Nested(SelectionSchema, required=True)
    rules = fields.Nested(RulesSchema, load_default=Rules)

    @validates_schema(skip_on_field_errors=False)
    def one_piece_of_work(self, given: Mapping[str, Any], **_: Any) -> None:
        kind = given.get("kind")
        if not isinstance(kind, CampaignKind):
            return
        wanted = WORK_FIELDS[kind]
        problems = {
            name: [f"is not for a campaign of kind {kind}"]
            for name in WorkSchema().fields
            if name in given and name != wanted
        }
        if problems:
            raise ValidationError(problems)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def says_what(self, given: Mapping[str, Any], original: Any, **_: Any) -> None:
        kind = given.get("kind")
        if isinstance(kind, CampaignKind) and kind not in _SAYS_ENOUGH:
            name = WORK_FIELDS[kind]
            if name not in original:
                raise ValidationError("is required", name)

    @post_load
    def campaign(self, given: dict[str, Any], **_: Any) -> NewCampaign:
        kind = given["kind"]
        said = given.get(WORK_FIELDS[kind])
        return NewCampaign(
            name=given["name"].strip(),
            kind=kind,
            work=_SAYS_ENOUGH[kind]() if said is None else said,
            selection=given["selection"],
            rules=given["rules"],
        )
