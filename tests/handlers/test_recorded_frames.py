"""Frames that real charge points sent, as they were on the wire (tests/fixtures/traces).

Every CALL is answered once and validly, and nothing usable in it is lost. Refused is only
`TransactionStarted` (blink), which no specification knows: NotImplemented.
Heads of frames that were cut in the source are closed again there, so that all of them are JSON.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from cast import NOON_MS, Line
from structlog.testing import capture_logs

from csms.domain.timestamps import read_timestamp
from csms.protocol.frames import Call, CallResult, decode
from csms.protocol.requests import ACTIONS

TRACES = Path(__file__).parents[1] / "fixtures" / "traces"
VENDORS = sorted(path.stem for path in TRACES.glob("*.jsonl"))
EXPECTED_REFUSALS = {"TransactionStarted": "NotImplemented"}


def frames_of(vendor):
    """The texts a charge point sent, in order."""
    with (TRACES / f"{vendor}.jsonl").open(encoding="utf-8") as lines:
        recorded = [json.loads(line) for line in lines]
    return [record["raw"] for record in recorded if record["dir"] == "cp>cs"]


def calls_of(vendor):
    return [frame for frame in map(decode, frames_of(vendor)) if isinstance(frame, Call)]


def sampled(meter_values):
    return [sample for value in meter_values for sample in value["sampledValue"]]


class Replay:
    """One charge point's recorded frames, said again; keeps what was answered."""

    def __init__(self, stores, vendor):
        self.line = Line(stores)
        self.answers = []
        for call in calls_of(vendor):
            self.answers.append((call, self.line.answer(call)))

    def of(self, action):
        return [(call.payload, answer) for call, answer in self.answers if call.action == action]

    def stored_samples(self):
        """Every sampled value in the store, of transactions and loose."""
        transactions = self.line.stores.transactions
        stored = [
            sample
            for transaction in transactions.page(None, 500, charge_point_id="CP001").items
            for sample in self.line.values_of(transaction.transaction_id)
        ]
        return stored + self.line.loose_values()


@pytest.fixture
def replay(line):
    return lambda vendor: Replay(line.stores, vendor)


def test_the_traces_are_all_there():
    actions = Counter(call.action for vendor in VENDORS for call in calls_of(vendor))

    assert len(VENDORS) == 17
    assert actions["MeterValues"] >= 10
    assert actions["StartTransaction"] >= 3
    assert set(actions) - ACTIONS == set(EXPECTED_REFUSALS)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_call_is_answered_once_and_validly(replay, vendor):
    """Validity is checked by the line, for every answer."""
    with capture_logs() as logged:
        replayed = replay(vendor)

    for call, answer in replayed.answers:
        if call.action in EXPECTED_REFUSALS:
            assert answer[:3] == [4, call.unique_id, EXPECTED_REFUSALS[call.action]]
        else:
            assert answer[:2] == [3, call.unique_id]
    assert [entry for entry in logged if entry["log_level"] == "error"] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_answer_of_a_charge_point_is_read(vendor):
    for text in frames_of(vendor):
        frame = decode(text)
        if not isinstance(frame, Call):
            assert isinstance(frame, CallResult)
            assert frame.unique_id == json.loads(text)[1]
            assert frame.payload == json.loads(text)[2]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_sampled_value_is_stored(replay, vendor):
    replayed = replay(vendor)

    sent = [s for payload, _ in replayed.of("MeterValues") for s in sampled(payload["meterValue"])]
    sent += [
        sample
        for payload, _ in replayed.of("StopTransaction")
        for sample in sampled(payload.get("transactionData", []))
    ]
    stored = replayed.stored_samples()
    assert [sample for sample in sent if sample not in stored] == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_start_has_its_transaction(replay, vendor):
    replayed = replay(vendor)

    for payload, answer in replayed.of("StartTransaction"):
        transaction = replayed.line.transaction(answer[2]["transactionId"])
        assert transaction.id_tag == payload["idTag"]
        assert transaction.meter_start_wh == payload["meterStart"]
        assert transaction.start_timestamp == payload["timestamp"]
        assert transaction.connector_id == payload["connectorId"]
        assert transaction.reservation_id is None


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_stop_is_kept(replay, vendor):
    """The recorded stops name ids of other systems: they are orphans here."""
    replayed = replay(vendor)

    orphans = replayed.line.stores.transactions.orphans("CP001")
    kept = {(orphan["transaction_id"], orphan["meter_stop_wh"]) for orphan in orphans}
    for payload, _ in replayed.of("StopTransaction"):
        assert (payload["transactionId"], payload["meterStop"]) in kept


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_status_is_the_connector_s_or_older_than_it(replay, vendor):
    replayed = replay(vendor)

    for payload, _ in replayed.of("StatusNotification"):
        connector = replayed.line.connector(payload["connectorId"])
        at_ms = read_timestamp(payload.get("timestamp"), NOON_MS).at_ms
        if connector.status != payload["status"]:
            assert at_ms <= connector.at_ms
        elif connector.at_ms == at_ms:
            assert connector.info == payload.get("info", "")
            assert payload["errorCode"] in (connector.error_code, connector.raw_error_code)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_boot_s_facts_are_kept(replay, vendor):
    replayed = replay(vendor)

    boots = [payload for payload, _ in replayed.of("BootNotification")]
    facts = replayed.line.stores.charge_points.get("CP001").facts
    assert dict(facts) == (boots[-1] if boots else {})


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_same_frames_again_add_nothing(replay, vendor):
    first = replay(vendor)
    stored = first.stored_samples()
    transactions = first.line.stores.transactions.page(None, 500).items
    orphans = first.line.stores.transactions.orphans("CP001")

    again = replay(vendor)

    assert again.stored_samples() == stored
    assert again.line.stores.transactions.page(None, 500).items == transactions
    assert again.line.stores.transactions.orphans("CP001") == orphans
    assert [answer for _, answer in again.answers if "transactionId" in answer[2]] == [
        answer for _, answer in first.answers if "transactionId" in answer[2]
    ]
