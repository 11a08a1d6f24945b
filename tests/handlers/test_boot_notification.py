"""BootNotification.req (OCPP 1.6 ed. 2, 4.2): who is there, and whether it may begin."""

import pytest
from cast import NOON_MS, SETTINGS

from csms.domain.charge_point import Admission, RegistrationStatus

BOOT = {
    "chargePointVendor": "Vendor",
    "chargePointModel": "Model",
    "firmwareVersion": "1.2.3",
    "iccid": "",
}


@pytest.mark.parametrize(
    ("admission", "status", "interval_s"),
    [
        (Admission.ACCEPTED, "Accepted", SETTINGS.heartbeat_interval_s),
        (Admission.PENDING, "Pending", SETTINGS.boot_retry_interval_s),
        (Admission.REJECTED, "Rejected", SETTINGS.boot_retry_interval_s),
    ],
)
def test_the_answer_is_what_the_operator_decided(line, admission, status, interval_s):
    line.stores.charge_points.update("CP001", admission=admission)

    confirmation = line.call("BootNotification", BOOT)

    assert confirmation == {
        "status": status,
        "currentTime": "2026-11-22T12:00:00.000Z",
        "interval": interval_s,
    }
    assert line.owned.registration == status
    assert line.stores.charge_points.get("CP001").registration == status


def test_an_operator_s_decision_counts_from_the_next_boot(line):
    """An accepted charge point stays so until it boots again."""
    line.stores.charge_points.update("CP001", admission=Admission.REJECTED)
    assert line.call("Heartbeat", {})

    line.call("BootNotification", BOOT)

    assert line.refused("Heartbeat", {}) == "SecurityError"


@pytest.mark.parametrize("admission", [Admission.PENDING, Admission.REJECTED])
@pytest.mark.parametrize("interval_s", [0, 17])
def test_a_charge_point_may_have_a_retry_interval_of_its_own(line, admission, interval_s):
    line.stores.charge_points.update("CP001", admission=admission, retry_interval_s=interval_s)

    assert line.call("BootNotification", BOOT)["interval"] == interval_s


def test_a_charge_point_may_have_a_heartbeat_interval_of_its_own(line):
    line.stores.charge_points.update("CP001", heartbeat_interval_s=42, retry_interval_s=7)

    assert line.call("BootNotification", BOOT)["interval"] == 42


def test_its_facts_are_kept_as_sent(line):
    line.call("BootNotification", BOOT)

    record = line.stores.charge_points.get("CP001")
    assert record.facts == BOOT
    assert record.booted_at_ms == NOON_MS
    assert line.owned.record.admission is Admission.ACCEPTED


def test_a_text_without_end_is_cut(line):
    line.call("BootNotification", {**BOOT, "meterType": "x" * 5_000})

    assert len(line.stores.charge_points.get("CP001").facts["meterType"]) == 255


def test_a_boot_ends_no_transaction(line):
    """Its stop comes later, from the queue (central-system rules §3)."""
    transaction_id = line.start()["transactionId"]

    line.call("BootNotification", BOOT)

    assert line.transaction(transaction_id).state == "open"


def test_a_rejected_charge_point_is_accepted_after_the_operator_s_change(line):
    line.stores.charge_points.update("CP001", admission=Admission.REJECTED)
    line.call("BootNotification", BOOT)
    line.stores.charge_points.update("CP001", admission=Admission.ACCEPTED)

    line.call("BootNotification", BOOT)

    assert line.owned.registration is RegistrationStatus.ACCEPTED
