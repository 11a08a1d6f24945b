"""IdTags the operator has entered, and which transactions each has running."""

from collections.abc import Sequence
from typing import Any

from csms.domain.authorization import ActiveTransaction, IdTag, TagStatus, fold
from csms.errors import AlreadyExists, NotFound
from csms.state import keys
from csms.state.link import Argument, Command, Link, Reply
from csms.state.pages import Page, pairs
from csms.state.records import CREATE, UPDATE


def find_command(id_tag: str) -> Command:
    """The command whose reply read_tag reads: for callers that share a trip."""
    return ("HGETALL", keys.id_tag(fold(id_tag)))


def active_command(id_tag: str) -> Command:
    """The command whose reply read_active reads."""
    return ("SMEMBERS", keys.active_transactions(fold(id_tag)))


def activate_command(id_tag: str, active: ActiveTransaction) -> Command:
    """Counts a transaction as running; may be repeated."""
    return ("SADD", keys.active_transactions(fold(id_tag)), _member(active))


def deactivate_command(id_tag: str, active: ActiveTransaction) -> Command:
    """Counts a transaction as over; may be repeated."""
    return ("SREM", keys.active_transactions(fold(id_tag)), _member(active))


def _member(active: ActiveTransaction) -> str:
    return f"{active.transaction_id}/{active.connector_id}/{active.charge_point_id}"


def read_tag(reply: Reply) -> IdTag | None:
    fields = pairs(reply)
    if not fields:
        return None
    expires_at_ms = fields.get("expires_at_ms", "")
    max_active = fields.get("max_active_transactions", "")
    return IdTag(
        id_tag=fields["id_tag"],
        status=TagStatus(fields.get("status", TagStatus.ACCEPTED)),
        parent_id_tag=fields.get("parent_id_tag") or None,
        expires_at_ms=int(expires_at_ms) if expires_at_ms else None,
        max_active_transactions=int(max_active) if max_active else None,
    )


def read_active(reply: Reply) -> list[ActiveTransaction]:
    active = []
    for member in reply:
        transaction_id, connector_id, charge_point_id = member.split("/", 2)
        active.append(ActiveTransaction(charge_point_id, int(connector_id), int(transaction_id)))
    return active


def _fields(changes: dict[str, Any]) -> list[Argument]:
    words: list[Argument] = []
    for name, value in changes.items():
        words += (name, "" if value is None else str(value))
    return words


class IdTags:
    def __init__(self, link: Link) -> None:
        self._link = link

    def find(self, id_tag: str) -> IdTag | None:
        return read_tag(self._link.call(*find_command(id_tag)))

    def get(self, id_tag: str) -> IdTag:
        """Raises NotFound."""
        found = self.find(id_tag)
        if found is None:
            raise NotFound("id tag", id_tag)
        return found

    def create(self, tag: IdTag) -> None:
        """Raises AlreadyExists, also for one that differs in case only."""
        folded = fold(tag.id_tag)
        words = _fields({name: getattr(tag, name) for name in IdTag.__dataclass_fields__})
        # The index first: a name there without a record is skipped by every reader.
        self._link.call("ZADD", keys.ID_TAGS, 0, folded)
        if not self._link.run(CREATE, [keys.id_tag(folded)], words):
            raise AlreadyExists("id tag", tag.id_tag)

    def update(self, id_tag: str, **changes: Any) -> None:
        """Change fields of IdTag by name. Raises NotFound."""
        if changes and not self._link.run(UPDATE, [keys.id_tag(fold(id_tag))], _fields(changes)):
            raise NotFound("id tag", id_tag)

    def delete(self, id_tag: str) -> None:
        """Raises NotFound."""
        if not self._link.call("DEL", keys.id_tag(fold(id_tag))):
            raise NotFound("id tag", id_tag)
        self._link.call("ZREM", keys.ID_TAGS, fold(id_tag))

    def page(self, cursor: str | None, limit: int, prefix: str = "") -> Page[IdTag]:
        """In the order of folded ids. cursor is the last folded id of the page before."""
        folded = fold(prefix)
        lowest = f"({cursor}" if cursor else f"[{folded}"
        # U+10FFFF sorts after every text an idTag may continue with.
        highest = f"[{folded}\U0010ffff"
        members: Sequence[str] = self._link.call(
            "ZRANGEBYLEX", keys.ID_TAGS, lowest, highest, "LIMIT", 0, limit + 1
        )
        shown = members[:limit]
        replies = (
            self._link.batch(*[("HGETALL", keys.id_tag(member)) for member in shown])
            if shown
            else []
        )
        tags = [tag for tag in map(read_tag, replies) if tag is not None]
        return Page(tags, members[limit - 1] if len(members) > limit else None)

    def active(self, id_tag: str) -> list[ActiveTransaction]:
        return read_active(self._link.call(*active_command(id_tag)))
