"""Our books of the profiles a charge point holds: what each of its answers makes of them.

Every function takes the records as they are and returns what changes, so that the same event may be
told twice (OCPP 1.6 ed. 2, 3.13.2, 5.5, 5.16; errata 3.25, 3.26, 3.42).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from csms.domain.authorization import fold
from csms.domain.charging_profile import ChargingProfile, Purpose
from csms.domain.charging_schedule import Placed
from csms.domain.transaction import Transaction

# A remote start that no transaction has followed for so long has failed: far beyond what
# ConnectionTimeOut is set to.
START_WITHIN_MS = 3_600_000
MAYBE_REPLACED = "one that replaces it was not answered: it may be there or not"
MAYBE_CLEARED = "clearing it was not answered: it may be there or not"


class ProfileState(StrEnum):
    # Queued or sent; not answered yet.
    REQUESTED = "requested"
    INSTALLED = "installed"
    # The charge point may have it or not: it was sent and never answered, or what replaces or
    # clears it was.
    UNCERTAIN = "uncertain"
    REFUSED = "refused"
    CLEARED = "cleared"
    REPLACED = "replaced"
    # Its transaction is over.
    ENDED = "ended"


LIVE_STATES = frozenset({ProfileState.INSTALLED, ProfileState.UNCERTAIN})
_UNANSWERED = frozenset({ProfileState.REQUESTED, ProfileState.UNCERTAIN})
OPEN_STATES = LIVE_STATES | {ProfileState.REQUESTED}


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """A profile that one command brings to a charge point; the command's id is its name.

    connector_id: None where a remote start left it to the charge point. id_tag: of that remote
    start, else "". transaction_id: what it is bound to, which a remote start learns later.
    """

    command_id: str
    profile: ChargingProfile
    connector_id: int | None
    state: ProfileState
    requested_by: str
    requested_at_ms: int
    changed_at_ms: int
    sent_at_ms: int | None = None
    transaction_id: int | None = None
    id_tag: str = ""
    reason: str = ""

    def collides(self, other: "ProfileRecord") -> bool:
        """Whether the later of the two replaces the other (3.13.2, 5.16)."""
        ours, theirs = self.profile, other.profile
        return ours.charging_profile_id == theirs.charging_profile_id or (
            self.connector_id is not None
            and self.connector_id == other.connector_id
            and ours.purpose is theirs.purpose
            and ours.stack_level == theirs.stack_level
        )

    def is_after(self, other: "ProfileRecord") -> bool:
        return (self.sent_at_ms or 0, self.requested_at_ms) > (
            other.sent_at_ms or 0,
            other.requested_at_ms,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """before: the record as it was looked at; it is changed only if it still is in that state."""

    before: ProfileRecord
    after: ProfileRecord


def changed(before: ProfileRecord, state: ProfileState, now_ms: int, reason: str = "") -> Change:
    after = replace(before, state=state, changed_at_ms=now_ms, reason=reason)
    return Change(before, after)


def after_answer(
    record: ProfileRecord,
    others: Iterable[ProfileRecord],
    outcome: ProfileState,
    reason: str,
    now_ms: int,
) -> list[Change]:
    """What the end of the command that brought it makes of a profile, and of those it replaces.

    record: with the instant it was sent at; a profile that had its answer stays as it is, one
    that waits for it may get it late.
    """
    if record.state not in _UNANSWERED or record.state is outcome:
        return []
    if outcome is ProfileState.REFUSED:
        return [changed(record, outcome, now_ms, reason)]
    collisions = [
        other
        for other in others
        if other.command_id != record.command_id
        and other.state in LIVE_STATES
        and other.collides(record)
    ]
    if any(other.is_after(record) for other in collisions):
        return [changed(record, ProfileState.REPLACED, now_ms)]
    if outcome is ProfileState.UNCERTAIN:
        # Where it was taken they are not there any more; its answer may still come.
        return [
            changed(record, outcome, now_ms, reason),
            *_doubted(collisions, MAYBE_REPLACED, now_ms),
        ]
    return [
        changed(record, outcome, now_ms, reason),
        *[changed(other, ProfileState.REPLACED, now_ms) for other in collisions],
    ]


def _doubted(records: Iterable[ProfileRecord], reason: str, now_ms: int) -> list[Change]:
    return [
        changed(record, ProfileState.UNCERTAIN, now_ms, reason)
        for record in records
        if record.state is ProfileState.INSTALLED
    ]


@dataclass(frozen=True, slots=True)
class ClearCriteria:
    """ClearChargingProfile.req: None is any."""

    charging_profile_id: int | None = None
    connector_id: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> "ClearCriteria":
        purpose = payload.get("chargingProfilePurpose")
        return cls(
            payload.get("id"),
            payload.get("connectorId"),
            Purpose(purpose) if purpose is not None else None,
            payload.get("stackLevel"),
        )

    def fits(self, record: ProfileRecord) -> bool:
        """All that is given must fit; an id overrides the rest (errata 3.25, 3.26)."""
        if self.charging_profile_id is not None:
            return record.profile.charging_profile_id == self.charging_profile_id
        return (
            self.connector_id in (None, record.connector_id)
            and self.purpose in (None, record.profile.purpose)
            and self.stack_level in (None, record.profile.stack_level)
        )


def after_clear(
    records: Iterable[ProfileRecord],
    criteria: ClearCriteria,
    sent_at_ms: int,
    reason: str,
    now_ms: int,
) -> list[Change]:
    """What a ClearChargingProfile takes out: what fits and was sent before it."""
    return [
        changed(record, ProfileState.CLEARED, now_ms, reason)
        for record in _meant(records, criteria, sent_at_ms)
    ]


def after_unanswered_clear(
    records: Iterable[ProfileRecord], criteria: ClearCriteria, sent_at_ms: int, now_ms: int
) -> list[Change]:
    """What it may have taken out, where it was not answered."""
    return _doubted(_meant(records, criteria, sent_at_ms), MAYBE_CLEARED, now_ms)


def _meant(
    records: Iterable[ProfileRecord], criteria: ClearCriteria, sent_at_ms: int
) -> list[ProfileRecord]:
    return [
        record
        for record in records
        if record.state in OPEN_STATES
        and record.sent_at_ms is not None
        and record.sent_at_ms < sent_at_ms
        and criteria.fits(record)
    ]


def after_transactions(
    records: Iterable[ProfileRecord],
    running: Sequence[Transaction],
    ended: Collection[int],
    now_ms: int,
) -> list[Change]:
    """What the transactions of the charge point make of its TxProfiles (3.13.1, 5.11).

    ended: the ids of transactions that are known to be over.
    """
    changes = []
    for record in records:
        if record.state not in LIVE_STATES or record.profile.purpose is not Purpose.TX:
            continue
        if record.transaction_id is not None:
            if record.transaction_id in ended:
                changes.append(changed(record, ProfileState.ENDED, now_ms, _OVER))
            continue
        begun = next((t for t in running if _began(record, t)), None)
        if begun is not None:
            bound = replace(
                record,
                transaction_id=begun.transaction_id,
                connector_id=begun.connector_id,
                changed_at_ms=now_ms,
            )
            changes.append(Change(record, bound))
        elif now_ms - record.changed_at_ms > START_WITHIN_MS:
            changes.append(changed(record, ProfileState.ENDED, now_ms, _NEVER_BEGAN))
    return changes


_OVER = "its transaction is over"
_NEVER_BEGAN = "no transaction has followed the remote start"


def _began(record: ProfileRecord, transaction: Transaction) -> bool:
    """Whether a transaction is the one a remote start asked for: 1.6 gives it no id of its own, so
    that connector, id tag and time must tell (errata 3.32)."""
    return (
        record.connector_id in (None, transaction.connector_id)
        and fold(record.id_tag) == fold(transaction.id_tag)
        and record.sent_at_ms is not None
        and transaction.start_received_at_ms >= record.sent_at_ms
    )


def placed(records: Iterable[ProfileRecord]) -> list[Placed]:
    """The profiles a charge point is known to hold, for the composite schedule."""
    return [
        Placed(record.connector_id, replace(record.profile, transaction_id=record.transaction_id))
        for record in records
        if record.state is ProfileState.INSTALLED and record.connector_id is not None
    ]


def installed_with(records: Iterable[ProfileRecord], new: ProfileRecord) -> int:
    """How many profiles a charge point holds once it has taken another."""
    stay = [
        record
        for record in records
        if record.state is ProfileState.INSTALLED and not record.collides(new)
    ]
    return len(stay) + 1
