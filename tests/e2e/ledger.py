"""Compares what charge points had acknowledged with what the system has kept."""

from collections import Counter
from typing import Any

from system import Api

from chargepoint.ledger import Ledger


def acknowledged(ledger: Ledger, action: str) -> list[dict[str, Any]]:
    """The payloads of every message of an action that was answered, each once."""
    sent = {e["unique_id"]: e for e in ledger.entries if e["event"] == "sent"}
    # A retry is the same message under another id, or the same id again.
    payload_of = {
        entry["message"]: entry["payload"]
        for acknowledgement in ledger.entries
        if acknowledgement["event"] == "acknowledged"
        and (entry := sent[acknowledgement["unique_id"]])["action"] == action
    }
    return list(payload_of.values())


def all_of(api: Api, path: str) -> list[dict[str, Any]]:
    """Every item of a paged list."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        separator = "&" if "?" in path else "?"
        page = api.ok("GET", f"{path}{separator}limit=100{cursor}")
        items += page["items"]
        if not page["next_cursor"]:
            return items
        cursor = f"&cursor={page['next_cursor']}"


def violations(api: Api, charge_point_id: str, ledger: Ledger) -> list[str]:
    """What is lost, doubled or made up, in plain words."""
    found: list[str] = []
    stored = all_of(api, f"/api/v1/transactions?charge_point_id={charge_point_id}")
    stored_starts = Counter(
        (t["connector_id"], t["id_tag"], t["start_timestamp"], t["meter_start_wh"]) for t in stored
    )
    sent_starts = {
        (p["connectorId"], p["idTag"], p["timestamp"], p["meterStart"])
        for p in _sent(ledger, "StartTransaction")
    }
    for payload in acknowledged(ledger, "StartTransaction"):
        key = (
            payload["connectorId"],
            payload["idTag"],
            payload["timestamp"],
            payload["meterStart"],
        )
        if stored_starts[key] != 1:
            found.append(f"start {key} is stored {stored_starts[key]} times")
    found += [f"start {key} was never sent" for key in stored_starts if key not in sent_starts]
    by_id = {t["id"]: t for t in stored}
    for payload in acknowledged(ledger, "StopTransaction"):
        transaction = by_id.get(payload["transactionId"])
        if transaction is None:
            found.append(f"stop of {payload['transactionId']} has no transaction")
        elif (transaction["state"], transaction["meter_stop_wh"]) != (
            "stopped",
            payload["meterStop"],
        ):
            found.append(f"stop of {payload['transactionId']} is not recorded: {transaction}")
    found += _meter_violations(api, ledger)
    return found


def _meter_violations(api: Api, ledger: Ledger) -> list[str]:
    found = []
    acknowledged_values: dict[int, list[tuple[str, str]]] = {}
    for payload in acknowledged(ledger, "MeterValues"):
        values = acknowledged_values.setdefault(payload["transactionId"], [])
        values += [(v["timestamp"], str(v["sampledValue"])) for v in payload["meterValue"]]
    for transaction_id, values in acknowledged_values.items():
        rows = all_of(api, f"/api/v1/transactions/{transaction_id}/meter-values")
        stored = Counter((row["timestamp"], str(row["sampled_value"])) for row in rows)
        found += [
            f"meter value {value} of {transaction_id} is stored {stored[value]} times"
            for value in values
            if stored[value] != 1
        ]
    return found


def _sent(ledger: Ledger, action: str) -> list[dict[str, Any]]:
    return [e["payload"] for e in ledger.entries if e["event"] == "sent" and e["action"] == action]
