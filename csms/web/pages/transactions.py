"""Transactions: the list with its filters, one with its meter values, the list as CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, render_template

from csms import clock
from csms.domain.transaction import TransactionState
from csms.web import transactions_csv
from csms.web.api.transactions import get_transaction, reader
from csms.web.pages import query
from csms.web.parts import parts

blueprint = Blueprint("transactions_page", __name__)

PER_PAGE = 50


def _filter() -> dict[str, Any]:
    return {
        "charge_point_id": query.text("charge_point_id", 48) or None,
        "id_tag": query.text("id_tag", 20) or None,
        "state": query.choice("state", TransactionState),
        "started_after": None,
        "started_before": None,
    }


@blueprint.get("/transactions")
def listing() -> str:
    wanted = _filter()
    page = reader(wanted)(query.text("cursor") or None, PER_PAGE)
    return render_template(
        "transactions.html",
        transactions=page,
        wanted=wanted,
        states=TransactionState,
        next_query=query.address_with(cursor=page.next_cursor),
        csv_query=query.address_with(cursor=None),
        now_ms=clock.now_ms(),
    )


@blueprint.get("/transactions.csv")
def export() -> Response:
    return transactions_csv.export(reader(_filter()))


@blueprint.get("/transactions/<transaction:transaction_id>")
def page(transaction_id: int) -> str:
    transaction = get_transaction(transaction_id)
    values = parts().stores.meter_values.of(transaction.charge_point_id, transaction_id)
    return render_template(
        "transaction.html",
        transaction=transaction,
        meter_values=_rows(values),
        now_ms=clock.now_ms(),
    )


def _rows(values: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each moment with its samples as text: `Energy.Active.Import.Register 1200 Wh, …`."""
    return [
        (
            str(value["timestamp"]),
            ", ".join(_sample(sample) for sample in value["sampled_value"]),
        )
        for value in values
    ]


def _sample(sample: Mapping[str, Any]) -> str:
    words = [
        sample.get("measurand", "Energy.Active.Import.Register"),
        sample.get("phase"),
        sample.get("value"),
        sample.get("unit"),
    ]
    return " ".join(str(word) for word in words if word not in {None, ""})
