"""IdTags the operator has entered, their groups, and which transactions each has running."""

from collections.abc import Collection, Sequence
from typing import Any

from csms.domain.authorization import ActiveTransaction, IdTag, TagStatus, fold
from csms.domain.local_list import ALL, GROUP_PREFIX
from csms.errors import AlreadyExists, NotFound
from csms.state import keys
from csms.state.link import Argument, Command, Link, Reply, Script
from csms.state.pages import Page, pairs, records
from csms.state.records import CREATE

# How many tags one trip reads, so that others get their turn in between.
PER_TRIP = 500

_UPDATE_TAG = Script(
    "update-tag",
    """
    -- KEYS[1] record; ARGV: fields and values. The groups it was in, or 0 where it is not there.
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    local before = redis.call('HGET', KEYS[1], 'tag_groups') or ''
    redis.call('HSET', KEYS[1], unpack(ARGV))
    return before
    """,
)
_TAGS_CHANGED = Script(
    "tags-changed",
    """
    -- KEYS[1] versions; ARGV: the sources that may have changed. A version never comes again, not
    -- even after a source was forgotten, since one counter serves all.
    local version = redis.call('HINCRBY', KEYS[1], 'last', 1)
    for _, source in ipairs(ARGV) do redis.call('HSET', KEYS[1], source, version) end
    return version
    """,
)


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
        tag_groups=tuple(fields.get("tag_groups", "").split()),
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
        text = " ".join(value) if isinstance(value, tuple) else value
        words += (name, "" if text is None else str(text))
    return words


def changed_command(groups: Collection[str]) -> Command:
    """Says that tags of these groups may have changed, and so those of all; may be repeated.

    Said before a record changes, for a crash in between, and after, for who reads meanwhile.
    """
    sources = [ALL, *(f"{GROUP_PREFIX}{name}" for name in groups)]
    return _TAGS_CHANGED.call([keys.TAG_VERSIONS], sources)


def group_command(verb: str, group: str, id_tag: str) -> Command:
    """verb: ZADD or ZREM; may be repeated. What the record says decides, so that one too many in
    the index does no harm: it is added before and taken out after the record changes."""
    if verb == "ZADD":
        return ("ZADD", keys.tag_group(group), 0, fold(id_tag))
    return (verb, keys.tag_group(group), fold(id_tag))


def index_of(source: str) -> str:
    """The key of a source's index: `all` or `group:<name>`."""
    return keys.ID_TAGS if source == ALL else keys.tag_group(source.removeprefix(GROUP_PREFIX))


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
        # The indexes first: a name there without a record is skipped by every reader.
        *_, is_new, _ = self._link.batch(
            ("ZADD", keys.ID_TAGS, 0, folded),
            *[group_command("ZADD", group, folded) for group in tag.tag_groups],
            changed_command(tag.tag_groups),
            CREATE.call([keys.id_tag(folded)], words),
            changed_command(tag.tag_groups),
        )
        if not is_new:
            raise AlreadyExists("id tag", tag.id_tag)

    def update(self, id_tag: str, **changes: Any) -> None:
        """Change fields of IdTag by name. Raises NotFound."""
        if not changes:
            return
        before = self.get(id_tag).tag_groups
        after: tuple[str, ...] = changes.get("tag_groups", before)
        touched = {*before, *after}
        *_, was, _ = self._link.batch(
            *[group_command("ZADD", group, id_tag) for group in after if group not in before],
            changed_command(touched),
            _UPDATE_TAG.call([keys.id_tag(fold(id_tag))], _fields(changes)),
            changed_command(touched),
        )
        if was == 0:
            raise NotFound("id tag", id_tag)
        # Another may have moved it between groups meanwhile.
        missed = set(was.split()) - touched
        if missed:
            self._link.call(*changed_command(missed))
        left = {*before, *missed} - {*after}
        if "tag_groups" in changes and left:
            self._link.batch(*[group_command("ZREM", group, id_tag) for group in left])

    def delete(self, id_tag: str) -> None:
        """Raises NotFound."""
        groups = self.get(id_tag).tag_groups
        folded = fold(id_tag)
        _, was_there, *_ = self._link.batch(
            changed_command(groups),
            ("DEL", keys.id_tag(folded)),
            ("ZREM", keys.ID_TAGS, folded),
            *[group_command("ZREM", group, folded) for group in groups],
            changed_command(groups),
        )
        if not was_there:
            raise NotFound("id tag", id_tag)

    def page(
        self, cursor: str | None, limit: int, prefix: str = "", source: str = ALL
    ) -> Page[IdTag]:
        """In the order of folded ids. cursor is the last folded id of the page before."""
        folded = fold(prefix)
        lowest = f"({cursor}" if cursor else f"[{folded}"
        # U+10FFFF sorts after every text an idTag may continue with.
        highest = f"[{folded}\U0010ffff"
        members: Sequence[str] = self._link.call(
            "ZRANGEBYLEX", index_of(source), lowest, highest, "LIMIT", 0, limit + 1
        )
        found = records(self._link, [keys.id_tag(member) for member in members[:limit]])
        tags = [tag for tag in map(read_tag, found) if tag is not None and _is_of(tag, source)]
        return Page(tags, members[limit - 1] if len(members) > limit else None)

    def of_source(self, source: str, limit: int) -> list[IdTag]:
        """All tags, or those of a group: `all` or `group:<name>`; `limit` at most."""
        tags: list[IdTag] = []
        cursor: str | None = None
        while True:
            page = self.page(cursor, PER_TRIP, source=source)
            tags += page.items
            cursor = page.next_cursor
            if cursor is None or len(tags) >= limit:
                return tags[:limit]

    def count(self, source: str) -> int:
        """About how many tags a source has."""
        return int(self._link.call("ZCARD", index_of(source)))

    def version(self, source: str) -> str:
        """Another one after every change of the source's tags."""
        return self._link.call("HGET", keys.TAG_VERSIONS, source) or "0"

    def groups(self) -> list[str]:
        """The names of all groups, in their order; one that has lost its last tag stays until the
        worker comes by."""
        fields = self._link.call("HKEYS", keys.TAG_VERSIONS)
        return sorted(
            name.removeprefix(GROUP_PREFIX) for name in fields if name.startswith(GROUP_PREFIX)
        )

    def active(self, id_tag: str) -> list[ActiveTransaction]:
        return read_active(self._link.call(*active_command(id_tag)))


def _is_of(tag: IdTag, source: str) -> bool:
    return source == ALL or source.removeprefix(GROUP_PREFIX) in tag.tag_groups
