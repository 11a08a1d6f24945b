"""Transaction messages: order, retries, transaction ids, and the ledger that proves it."""

import random

import gevent
import pytest
from honest_central_system import CUT, SILENCE, CallError, wait_until

from chargepoint.errors import CallRefused, NoAnswer
from chargepoint.ledger import Ledger

BOOKED = ("StartTransaction", "MeterValues", "StopTransaction")


def test_session_held_offline_is_delivered_in_order_once(central_system, power_up):
    charge_point = power_up()

    charge_point.go_offline()
    charge_point.start_transaction(1, "ALICE")
    charge_point.meter_values(1)
    charge_point.meter_values(1)
    charge_point.stop_transaction(1)
    charge_point.go_online()
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    booked = [one for one in central_system.received if one.action in BOOKED]
    assert [one.action for one in booked] == [
        "StartTransaction",
        "MeterValues",
        "MeterValues",
        "StopTransaction",
    ]
    assert [one.payload["transactionId"] for one in booked[1:]] == [42, 42, 42]


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("trouble", [CUT, SILENCE, CallError("InternalError")])
def test_message_in_trouble_is_repeated_until_acknowledged(
    central_system, power_up, trouble, new_id
):
    charge_point = power_up(
        retry_with_new_id=new_id, call_timeout_s=0.3 if trouble == SILENCE else 20.0
    )
    central_system.next_answers("StartTransaction", trouble, trouble)
    central_system.next_answers("MeterValues", trouble)

    transaction = charge_point.start_transaction(1, "ALICE")
    charge_point.meter_values(1)
    charge_point.stop_transaction(1)
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    # On a slow machine an answer may miss the short time-out of the silent case too.
    answered = [one.action for one in central_system.acknowledged(*BOOKED)]
    assert list(dict.fromkeys(answered)) == list(BOOKED)
    starts = [one for one in central_system.received if one.action == "StartTransaction"]
    assert len(starts) == 3 or (trouble == SILENCE and len(starts) > 3)
    assert all(one.payload == starts[0].payload for one in starts)
    assert len({one.unique_id for one in starts}) == (len(starts) if new_id else 1)
    assert transaction.transaction_id is not None


def test_pause_before_a_retry_grows_with_the_tries(central_system, power_up):
    charge_point = power_up(retry_interval_s=1000.0)
    central_system.next_answers("StartTransaction", CallError("InternalError"))

    charge_point.start_transaction(1, "ALICE")
    wait_until(lambda: charge_point.queue.head.failures == 1)

    message = charge_point.queue.head
    assert charge_point.queue.fail(message, now=0.0, retry_interval_s=10.0)
    assert message.not_before == 20.0


def test_waiting_retry_lets_other_messages_pass(central_system, power_up):
    charge_point = power_up(retry_interval_s=1000.0)
    central_system.next_answers("StartTransaction", CallError("InternalError"))

    charge_point.start_transaction(1, "ALICE")

    wait_until(lambda: central_system.statuses(1)[-1:] == ["Charging"])
    assert len(charge_point.queue) == 1


def test_given_up_start_leaves_the_rest_of_its_session_with_minus_one(central_system, power_up):
    charge_point = power_up(attempts=2)
    central_system.next_answers("StartTransaction", *[CallError("InternalError")] * 2)

    transaction = charge_point.start_transaction(1, "ALICE")
    charge_point.stop_transaction(1)
    charge_point.wait_delivered()

    assert transaction.wait_answered() == -1
    assert central_system.payloads("StopTransaction")[0]["transactionId"] == -1


def test_tag_refused_at_start_ends_the_session(central_system, power_up):
    central_system.id_tag_status["BOB"] = "Blocked"
    charge_point = power_up()

    charge_point.start_transaction(1, "BOB")

    wait_until(lambda: central_system.payloads("StopTransaction"))
    assert central_system.payloads("StopTransaction")[0]["reason"] == "DeAuthorized"


def test_full_memory_lets_meter_values_go_but_never_a_stop(central_system, power_up):
    charge_point = power_up(queue_limit=2)
    charge_point.go_offline()

    charge_point.start_transaction(1, "ALICE")
    kept = [charge_point.meter_values(1) for _ in range(3)]
    charge_point.stop_transaction(1)
    charge_point.go_online()
    charge_point.wait_accepted()
    charge_point.wait_delivered()

    assert kept == [True, False, False]
    assert [one.action for one in central_system.acknowledged(*BOOKED)] == list(BOOKED)


def test_ledger_knows_every_message_sent_and_what_was_acknowledged(
    central_system, power_up, tmp_path
):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    charge_point = power_up(ledger=ledger, retry_with_new_id=True)
    central_system.next_answers("StartTransaction", CUT, CallError("InternalError"))

    charge_point.start_transaction(1, "ALICE")
    charge_point.stop_transaction(1)
    charge_point.wait_accepted()
    charge_point.wait_delivered()
    ledger.close()

    entries = Ledger.load(tmp_path / "ledger.jsonl")
    sent = [one for one in entries if one["event"] == "sent"]
    assert [(one["unique_id"], one["action"], one["payload"]) for one in sent] == [
        (one.unique_id, one.action, one.payload) for one in central_system.received
    ]
    starts = [one for one in sent if one["action"] == "StartTransaction"]
    assert len({one["message"] for one in starts}) == 1
    outcomes = {one["unique_id"]: one["event"] for one in entries if one["event"] != "sent"}
    assert [outcomes.get(one["unique_id"]) for one in starts] == [None, "refused", "acknowledged"]
    acknowledged = {one["unique_id"] for one in entries if one["event"] == "acknowledged"}
    assert acknowledged == {one.unique_id for one in central_system.received if one.answered}


def test_ledger_in_memory_needs_no_file(power_up):
    ledger = Ledger()

    power_up(ledger=ledger)

    assert ledger.entries[0]["action"] == "BootNotification"
    assert ledger.entries[1]["payload"]["status"] == "Accepted"


def test_own_call_reports_refusal_and_silence(central_system, power_up):
    charge_point = power_up()
    central_system.next_answers("DataTransfer", CallError("NotSupported"), SILENCE)

    with pytest.raises(CallRefused) as refusal:
        charge_point.call("DataTransfer", {"vendorId": "x"})
    with pytest.raises(NoAnswer):
        charge_point.call("DataTransfer", {"vendorId": "x"}, timeout_s=0.05)

    assert refusal.value.code == "NotSupported"


def test_days_of_trouble_lose_nothing_and_keep_the_order(central_system, power_up):
    dice = random.Random(16)
    ledger = Ledger()
    charge_point = power_up(ledger=ledger, call_timeout_s=0.2, retry_interval_s=0.001)
    for action in BOOKED:
        troubles = [CUT, SILENCE, CallError("InternalError"), None, None, None]
        central_system.next_answers(action, *dice.choices(troubles, k=30))

    for _ in range(8):
        charge_point.start_transaction(1, "ALICE")
        charge_point.meter_values(1)
        if dice.random() < 0.5:
            charge_point.cut()
        charge_point.stop_transaction(1)
        gevent.sleep(dice.random() * 0.02)
    wait_until(lambda: not len(charge_point.queue), "delivery")

    numbers = {one["unique_id"]: one["message"] for one in ledger.entries if one["event"] == "sent"}
    settled = [
        numbers[one["unique_id"]]
        for one in ledger.entries
        if one["event"] == "acknowledged" and numbers[one["unique_id"]] is not None
    ]
    assert len(set(settled)) == 24
    assert list(dict.fromkeys(settled)) == sorted(set(settled))
    starts = [one for one in ledger.entries if one.get("action") == "StartTransaction"]
    assert len({one["message"] for one in starts}) == 8
