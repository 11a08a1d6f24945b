"""Puts the indexes across charge points right where a crash came between a record and its index.

Walks the fleet a slice at a time, round and round; every step may be repeated and done beside the
living system.
"""

from csms.domain.authorization import ActiveTransaction, AuthorizationStatus
from csms.domain.connector import ChargePointStatus
from csms.domain.reservation import Start, may_end_reservations
from csms.domain.transaction import Transaction, TransactionState
from csms.state import id_tags, keys
from csms.state.charge_points import ChargePoints, index_command, is_counted
from csms.state.link import Command, Link
from csms.state.reservations import Reservations
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
        tag_cursor = self._link.call("HGET", keys.REPAIR, "id_tag") or None
        tags = self._id_tags.page(tag_cursor, limit)
        for tag in tags.items:
            self.mend_id_tag(tag.id_tag)
        self._mend_open(limit)
        self._link.call(
            "HSET",
            keys.REPAIR,
            "charge_point",
            page.next_cursor or "",
            "id_tag",
            tags.next_cursor or "",
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
            if may_end_reservations(connector.status, None):
                self._reservations.report(
                    charge_point_id,
                    None,
                    connector.connector_id,
                    connector.status,
                    None,
                    connector.received_at_ms,
                )

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

    def _mend_open(self, limit: int) -> None:
        """The list of open transactions holds none that is over."""
        # The oldest first: those that have been open longest are the likeliest to be wrong.
        members = self._link.call("ZRANGE", keys.OPEN_TRANSACTIONS, 0, limit - 1)
        for member in members:
            transaction_id, _, charge_point_id = member.partition("/")
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
