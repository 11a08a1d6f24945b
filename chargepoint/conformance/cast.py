"""Who takes part in a run: id tags of its own, so that it may run beside anybody's business."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chargepoint.conformance.operator import Operator, id_tag_path


@dataclass(frozen=True, slots=True)
class Cast:
    """Names of at most 20 characters. group: the parent of `valid` and `second`."""

    suffix: str

    @property
    def valid(self) -> str:
        return f"{self.suffix}-VALID"

    @property
    def second(self) -> str:
        return f"{self.suffix}-SECOND"

    @property
    def group(self) -> str:
        return f"{self.suffix}-GROUP"

    @property
    def blocked(self) -> str:
        return f"{self.suffix}-BLOCKED"

    @property
    def expired(self) -> str:
        return f"{self.suffix}-EXPIRED"

    @property
    def unknown(self) -> str:
        """Entered nowhere."""
        return f"{self.suffix}-UNKNOWN"


def enter_cast(operator: Operator) -> Cast:
    """Enter the id tags of a run. Raises ApiUnusable."""
    cast = Cast(f"CT-{secrets.token_hex(4).upper()}")
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    for body in (
        {"id_tag": cast.valid, "status": "Accepted", "parent_id_tag": cast.group},
        {"id_tag": cast.second, "status": "Accepted", "parent_id_tag": cast.group},
        {"id_tag": cast.blocked, "status": "Blocked"},
        {"id_tag": cast.expired, "status": "Accepted", "expires_at": yesterday},
    ):
        operator.must("POST", "/id-tags", body)
    return cast


def dismiss_cast(operator: Operator, cast: Cast) -> None:
    """Delete what enter_cast entered."""
    for id_tag in (cast.valid, cast.second, cast.blocked, cast.expired):
        operator.request("DELETE", id_tag_path(id_tag))
