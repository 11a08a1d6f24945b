"""Puts the indexes across charge points right where a crash came between a record and its index.

Walks the fleet a slice at a time, round and round; every step may be repeated and done beside the
living system.
"""

from csms.domain.authorization import ActiveTransaction, AuthorizationStatus, IdTag
from csms.domain.charge_point import ChargePoint
from csms.domain.connector import ChargePointStatus
from csms.domain.local_list import GROUP_PREFIX, NO_LIST
from csms.domain.reservation import Start, may_end_reservations
from csms.domain.transaction import Transaction, TransactionState
from csms.state import id_tags, keys
from csms.state.charge_points import ChargePoints, index_command, is_counted
from csms.state.link import Command, Link
from csms.state.reservations import Reservations
from csms.state.transaction_members import owner_and_id
from csms.state.transactions import Transactions, started_commands, stopped_commands

RECENT = 20


class Repair:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._charge_points = ChargePoints(link)
        self._transactions = Transactions(link)
        self._id_tags = id_tags.IdTags(link)
        self._reservations = Reservations(link)

    def step(self, limit: int) -> None:
        """Mend the next `limit` charge points, and as many open transactions and idTags."""
        cursor = self._link.call("HGET", keys.REPAIR, "charge_point") or None
        page = self._charge_points.page(cursor, limit)
        for record in page.items:
            self.mend_charge_point(record.charge_point_id)
            self._mend_watch(record)
        tag_cursor = self._link.call("HGET", keys.REPAIR, "id_tag") or None
        tags = self._id_tags.page(tag_cursor, limit)
        for tag in tags.items:
            self.mend_id_tag(tag.id_tag)
            self._mend_groups_of(tag)
        self._mend_open(limit)
        group, member = self._mend_group(limit)
        self._link.call(
            "HSET",
            keys.REPAIR,
            "charge_point",
            page.next_cursor or "",
            "id_tag",
            tags.next_cursor or "",
            "group",
            group,
            "group_member",
            member,
        )

    def mend_charge_point(self, charge_point_id: str) -> None:
        """Its newest transactions and its connectors stand in every index they belong to."""
        recent = self._transactions.page(None, RECENT, charge_point_id=charge_point_id).items
        known = {transaction.transaction_id for transaction in recent}
        still_open = [
            transaction
            for transaction_id in self._transactions.open_of(charge_point_id).values()
            if transaction_id not in known
            and (transaction := self._transactions.find(charge_point_id, transaction_id))
        ]
        commands: list[Command] = []
        for transaction in [*recent, *still_open]:
            commands += _index(transaction)
        for connector in self._charge_points.connectors(charge_point_id):
            for status in ChargePointStatus:
                here = connector.status is status and is_counted(connector.connector_id, status)
                commands.append(
                    index_command(
                        "SADD" if here else "SREM",
                        charge_point_id,
                        connector.connector_id,
                        status,
                    )
                )
        if commands:
            self._link.batch(*commands)
        self.mend_reservations(charge_point_id)

    def mend_reservations(self, charge_point_id: str) -> None:
        """Those that a transaction has used, or a failing connector has ended, while whoever was to
        write that down died."""
        if not self._reservations.active(charge_point_id):
            return
        recent = self._transactions.page(None, RECENT, charge_point_id=charge_point_id).items
        for transaction in reversed(recent):
            if transaction.authorization is AuthorizationStatus.ACCEPTED:
                self._use_reservation(transaction)
        for connector in self._charge_points.connectors(charge_point_id):
            if may_end_reservations(connector, None):
                self._reservations.report(charge_point_id, None, connector, None)

    def _use_reservation(self, transaction: Transaction) -> None:
        tag = self._id_tags.find(transaction.id_tag)
        start = Start(
            transaction.transaction_id,
            transaction.connector_id,
            transaction.id_tag,
            tag.parent_id_tag if tag is not None else None,
            transaction.reservation_id,
            transaction.started_at_ms,
            transaction.start_received_at_ms,
        )
        self._reservations.use(
            transaction.charge_point_id, None, start, transaction.start_received_at_ms
        )

    def mend_id_tag(self, id_tag: str) -> None:
        """Only transactions that are open count against an idTag."""
        for active in self._id_tags.active(id_tag):
            found = self._transactions.find(active.charge_point_id, active.transaction_id)
            if found is None or found.state is not TransactionState.OPEN:
                self._link.call(*id_tags.deactivate_command(id_tag, active))

    def _mend_groups_of(self, tag: IdTag) -> None:
        """It stands in the index of each of its groups, and its lists know it."""
        for group in tag.tag_groups:
            is_new, is_known = self._link.batch(
                id_tags.group_command("ZADD", group, tag.id_tag),
                ("HEXISTS", keys.TAG_VERSIONS, f"{GROUP_PREFIX}{group}"),
            )
            if is_new or not is_known:
                self._link.call(*id_tags.changed_command([group]))

    def _mend_group(self, limit: int) -> tuple[str, str]:
        """The index of a group holds none that is not in it, and a group without tags is none: the
        next `limit` members of one group; where to go on."""
        done, member = self._link.call("HMGET", keys.REPAIR, "group", "group_member")
        names = self._id_tags.groups()
        group = next((name for name in names if name >= (done or "")), None)
        if group is None:
            return "", ""
        lowest = f"({member}" if member and group == done else "-"
        index = keys.tag_group(group)
        members = self._link.call("ZRANGEBYLEX", index, lowest, "+", "LIMIT", 0, limit)
        for folded in members:
            tag = self._id_tags.find(folded)
            if tag is None or group not in tag.tag_groups:
                self._link.call(*id_tags.group_command("ZREM", group, folded))
        if len(members) == limit:
            return group, members[-1]
        if not self._link.call("ZCARD", index):
            # A list made of it then counts as changed: its version is another one.
            self._link.call("HDEL", keys.TAG_VERSIONS, f"{GROUP_PREFIX}{group}")
        # The first name that sorts after this one.
        return f"{group}\x00", ""

    def _mend_watch(self, record: ChargePoint) -> None:
        """Who is to be kept in step by itself is looked at."""
        if record.local_list_auto_sync and record.local_list != NO_LIST:
            self._link.call("ZADD", keys.LOCAL_LISTS_WATCHED, "NX", 0, record.charge_point_id)

    def _mend_open(self, limit: int) -> None:
        """The list of open transactions holds none that is over."""
        # The oldest first: those that have been open longest are the likeliest to be wrong.
        members = self._link.call("ZRANGE", keys.OPEN_TRANSACTIONS, 0, limit - 1)
        for member in members:
            charge_point_id, transaction_id = owner_and_id(member)
            found = self._transactions.find(charge_point_id, int(transaction_id))
            if found is None or found.state is not TransactionState.OPEN:
                self._link.batch(*stopped_commands(charge_point_id, int(transaction_id)))


def _index(transaction: Transaction) -> list[Command]:
    is_open = transaction.state is TransactionState.OPEN
    commands = started_commands(
        transaction.charge_point_id,
        transaction.transaction_id,
        transaction.started_at_ms,
        is_open=is_open,
    )
    if not is_open:
        return commands
    if transaction.authorization is AuthorizationStatus.ACCEPTED:
        active = ActiveTransaction(
            transaction.charge_point_id, transaction.connector_id, transaction.transaction_id
        )
        commands.append(id_tags.activate_command(transaction.id_tag, active))
    return commands
