"""What we answer is valid, whatever it says (strict writing)."""

import pytest
from cast import NOON_MS

from csms.domain.authorization import AuthorizationStatus, IdTagInfo
from csms.protocol import confirmations
from csms.protocol.schemas import CONFIRMATIONS_SENT

INFOS = [
    IdTagInfo(status, parent, expires)
    for status in AuthorizationStatus
    for parent in (None, "", "FAMILY")
    for expires in (None, 0, NOON_MS)
]
WRITTEN = [
    *[("Authorize", confirmations.Authorize(info)) for info in INFOS],
    *[("StartTransaction", confirmations.StartTransaction(2**31 - 1, info)) for info in INFOS],
    *[("StopTransaction", confirmations.StopTransaction(info)) for info in [*INFOS, None]],
    *[
        ("BootNotification", confirmations.BootNotification(status, NOON_MS, 0))
        for status in ("Accepted", "Pending", "Rejected")
    ],
    *[
        ("DataTransfer", confirmations.DataTransfer(status))
        for status in ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId")
    ],
    ("Heartbeat", confirmations.Heartbeat(NOON_MS)),
    *[
        ("SignCertificate", confirmations.SignCertificate(status))
        for status in ("Accepted", "Rejected")
    ],
    *[
        (action, confirmations.Empty())
        for action in (
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "MeterValues",
            "SecurityEventNotification",
            "StatusNotification",
        )
    ],
]


@pytest.mark.parametrize(("action", "confirmation"), WRITTEN)
def test_a_confirmation_is_valid(action, confirmation):
    assert CONFIRMATIONS_SENT[action].is_valid(confirmation.payload())


def test_instants_are_written_in_utc_with_milliseconds():
    assert confirmations.Heartbeat(NOON_MS + 7).payload() == {
        "currentTime": "2026-11-22T12:00:00.007Z"
    }


def test_what_is_not_known_of_a_tag_is_left_out():
    info = IdTagInfo(AuthorizationStatus.INVALID)

    assert confirmations.Authorize(info).payload() == {"idTagInfo": {"status": "Invalid"}}


def test_what_is_known_of_a_tag_is_told():
    info = IdTagInfo(AuthorizationStatus.ACCEPTED, "FAMILY", NOON_MS)

    assert confirmations.StopTransaction(info).payload() == {
        "idTagInfo": {
            "status": "Accepted",
            "parentIdTag": "FAMILY",
            "expiryDate": "2026-11-22T12:00:00.000Z",
        }
    }
