"""The resource `transactions`, their meter values, and what fits no transaction."""

from collections.abc import Callable
from typing import Any

from flask import Response
from marshmallow import Schema, fields
from marshmallow.validate import Length

from csms.domain.authorization import AuthorizationStatus
from csms.domain.transaction import Transaction, TransactionState
from csms.errors import NotFound
from csms.state.pages import Page
from csms.web import transactions_csv
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.parts import parts

blueprint = ApiBlueprint("transactions", "Transactions and their meter values.")


class TransactionSchema(Schema):
    """A transaction. Its energy is null while no register has been seen."""

    id = fields.Integer(attribute="transaction_id")
    charge_point_id = fields.String()
    connector_id = fields.Integer()
    id_tag = fields.String()
    authorization = fields.Enum(AuthorizationStatus, by_value=True)
    state = fields.Enum(TransactionState, by_value=True)
    started_at = Instant(attribute="started_at_ms")
    start_timestamp = fields.String(metadata={"description": "As sent."})
    start_received_at = Instant(attribute="start_received_at_ms")
    meter_start_wh = fields.Integer()
    reservation_id = fields.Integer(allow_none=True)
    stopped_at = Instant(attribute="stopped_at_ms", allow_none=True)
    stop_timestamp = fields.String(metadata={"description": "As sent."})
    stop_received_at = Instant(attribute="stop_received_at_ms", allow_none=True)
    meter_stop_wh = fields.Integer(allow_none=True)
    stop_reason = fields.String()
    stop_id_tag = fields.String()
    energy_wh = fields.Integer(allow_none=True)
    flags = fields.List(
        fields.String(), metadata={"description": "What is odd about it, in plain words."}
    )


class MeterValueSchema(Schema):
    """Values of one moment; `sampled_value` exactly as on the wire."""

    connector_id = fields.Integer()
    timestamp = fields.String(metadata={"description": "As sent."})
    sampled_value = fields.List(fields.Dict())


class OrphanSchema(Schema):
    """A StopTransaction that fits no transaction of its charge point."""

    transaction_id = fields.Integer(allow_none=True)
    meter_stop_wh = fields.Integer(allow_none=True)
    timestamp = fields.String(metadata={"description": "As sent."})
    reason = fields.String()
    id_tag = fields.String()


class TransactionsFilter(Schema):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 48))
    id_tag = fields.String(load_default=None)
    state = choice(TransactionState, load_default=None)
    started_after = Instant(load_default=None, metadata={"description": "From this instant on."})
    started_before = Instant(load_default=None, metadata={"description": "Until just before."})


class TransactionsQuery(TransactionsFilter, PageQuery):
    pass


def reader(wanted: dict[str, Any]) -> Callable[[str | None, int], Page[Transaction]]:
    """Reads pages of the transactions that TransactionsFilter describes, also after the request:
    an export is written while it is read."""
    transactions = parts().stores.transactions
    before_ms: int | None = wanted["started_before"]

    def read(cursor: str | None, limit: int) -> Page[Transaction]:
        return transactions.page(
            cursor,
            limit,
            charge_point_id=wanted["charge_point_id"],
            id_tag=wanted["id_tag"],
            state=wanted["state"],
            since_ms=wanted["started_after"],
            until_ms=None if before_ms is None else before_ms - 1,
        )

    return read


@blueprint.operation(
    "GET", "/transactions", query=TransactionsQuery, answers=(200, page_of(TransactionSchema))
)
def list_transactions(query: dict[str, Any]) -> Page[Transaction]:
    """List transactions, newest first."""
    return reader(query)(query["cursor"], query["limit"])


@blueprint.operation(
    "GET",
    "/transactions.csv",
    query=TransactionsFilter,
    answers=(200, None),
    content_type="text/csv",
)
def export_transactions(query: dict[str, Any]) -> Response:
    """Export transactions as CSV, newest first."""
    return transactions_csv.export(reader(query))


@blueprint.operation(
    "GET",
    "/transactions/<transaction:transaction_id>",
    answers=(200, TransactionSchema),
    fails=(404,),
)
def read_transaction(transaction_id: int) -> Transaction:
    """Read a transaction."""
    return get_transaction(transaction_id)


@blueprint.operation(
    "GET",
    "/transactions/<transaction:transaction_id>/meter-values",
    answers=(200, page_of(MeterValueSchema)),
    fails=(404,),
)
def list_meter_values(transaction_id: int) -> Page[dict[str, Any]]:
    """List all meter values of a transaction, in the order of their timestamps."""
    transaction = get_transaction(transaction_id)
    values = parts().stores.meter_values.of(transaction.charge_point_id, transaction_id)
    return Page(values, None)


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/orphans",
    answers=(200, page_of(OrphanSchema)),
    fails=(404,),
)
def list_orphans(charge_point_id: str) -> Page[dict[str, Any]]:
    """List the newest StopTransactions that fit no transaction."""
    parts().stores.charge_points.get(charge_point_id)
    return Page(parts().stores.transactions.orphans(charge_point_id), None)


@blueprint.operation(
    "GET",
    "/charge-points/<charge_point:charge_point_id>/loose-meter-values",
    answers=(200, page_of(MeterValueSchema)),
    fails=(404,),
)
def list_loose_meter_values(charge_point_id: str) -> Page[dict[str, Any]]:
    """List the newest meter values outside any transaction."""
    parts().stores.charge_points.get(charge_point_id)
    return Page(parts().stores.meter_values.loose(charge_point_id), None)


def get_transaction(transaction_id: int) -> Transaction:
    """Raises NotFound."""
    owner = parts().stores.transactions.owner(transaction_id)
    if owner is None:
        raise NotFound("transaction", str(transaction_id))
    return parts().stores.transactions.get(owner, transaction_id)
