"""Security events in the store: kept once, bounded, acknowledged by whoever looks first."""

import pytest
from cast import CP001, HOUR_MS, NOON_MS, Line, instant

from csms import metrics
from csms.domain.security_event import own_event, told_event
from csms.errors import FieldError, NotFound, StaleEpoch
from csms.state import keys
from csms.state import security_events as module
from csms.state.link_sync import SyncLink
from csms.state.security_events import SYSTEM, SecurityEvents


@pytest.fixture
def epoch(stores):
    stores.charge_points.create(CP001)
    return Line(stores).epoch


def tell(stores, epoch, event_type="InvalidMessages", at_ms=0, tech_info="", now_ms=NOON_MS):
    event = told_event(event_type, instant(at_ms), tech_info, now_ms)
    stores.security_events.told("CP001", epoch, event)


def types(page):
    return [kept.event.event_type for kept in page.items]


def counted(critical):
    value = metrics.REGISTRY.get_sample_value(
        "csms_security_events_total", {"source": "charge point", "critical": critical}
    )
    return value or 0.0


def test_what_a_charge_point_sends_again_is_kept_once(stores, epoch):
    before = counted("false")
    for later in range(3):
        tell(stores, epoch, now_ms=NOON_MS + later)

    [kept] = stores.security_events.page(None, 10).items
    assert (kept.charge_point_id, kept.count, kept.event.received_at_ms) == ("CP001", 1, NOON_MS)
    assert counted("false") == before + 1


def test_the_newest_comes_first_a_page_at_a_time(stores, epoch):
    for number in range(3):
        tell(stores, epoch, f"E{number}", now_ms=NOON_MS + number)

    first = stores.security_events.page(None, 2)
    second = stores.security_events.page(first.next_cursor, 2)

    assert types(first) + types(second) == ["E2", "E1", "E0"]
    assert second.next_cursor is None


def test_a_displaced_connection_keeps_nothing(stores, epoch):
    with pytest.raises(StaleEpoch):
        tell(stores, epoch - 1, "TamperDetectionActivated")

    assert stores.security_events.page(None, 10).items == []
    assert stores.link.call("KEYS", "csms:*security*") == []


def test_critical_ones_are_open_until_somebody_acknowledges_them(stores, epoch):
    tell(stores, epoch, "TamperDetectionActivated")
    tell(stores, epoch, "InvalidMessages")
    [kept] = stores.security_events.page(None, 10, critical=True, acknowledged=False).items

    acknowledged = stores.security_events.acknowledge(kept.event_id, "user:olga", NOON_MS + 5)
    again = stores.security_events.acknowledge(kept.event_id, "user:otto", NOON_MS + 9)

    assert (acknowledged.acknowledged_by, acknowledged.acknowledged_at_ms) == (
        "user:olga",
        NOON_MS + 5,
    )
    assert again == acknowledged
    assert stores.security_events.open_count() == 0
    assert types(stores.security_events.page(None, 10, acknowledged=True)) == [
        "TamperDetectionActivated"
    ]
    assert types(stores.security_events.page(None, 10, acknowledged=False)) == ["InvalidMessages"]


def test_an_acknowledged_event_that_is_sent_again_stays_acknowledged(stores, epoch):
    tell(stores, epoch, "TamperDetectionActivated")
    [kept] = stores.security_events.page(None, 10).items
    stores.security_events.acknowledge(kept.event_id, "user:olga", NOON_MS)

    tell(stores, epoch, "TamperDetectionActivated", now_ms=NOON_MS + 1)

    assert stores.security_events.open_count() == 0
    assert stores.security_events.get(kept.event_id).acknowledged_by == "user:olga"


def test_our_own_are_counted_within_the_hour(stores, epoch):
    for minute in range(3):
        stores.security_events.record(
            "CP001", own_event("HandshakeRefused", NOON_MS + minute * 60_000, "wrong key")
        )
    stores.security_events.record("CP001", own_event("HandshakeRefused", NOON_MS + HOUR_MS, "w"))

    later, first = stores.security_events.page(None, 10).items
    assert (first.count, first.event.at_ms, first.last_at_ms) == (3, NOON_MS, NOON_MS + 120_000)
    assert later.count == 1


def test_our_own_that_goes_on_must_be_acknowledged_again(stores):
    for later in range(2):
        stores.security_events.record(
            SYSTEM, own_event("CertificateAuthorityFailed", NOON_MS + later, critical=True)
        )
        [kept] = stores.security_events.page(None, 10, critical=True, acknowledged=False).items
        stores.security_events.acknowledge(kept.event_id, "user:olga", NOON_MS + later)

    assert kept.count == 2
    assert stores.security_events.open_count() == 0


def test_of_strangers_nothing_is_kept(stores):
    stores.security_events.record("CP404", own_event("HandshakeRefused", NOON_MS, critical=True))

    assert stores.security_events.page(None, 10).items == []
    assert stores.link.call("KEYS", "csms:*security*") == []


def test_a_note_never_fails_what_it_is_about():
    link = SyncLink("redis://127.0.0.1:1/0", timeout_s=1.0)

    SecurityEvents(link).record("CP001", own_event("KeyChanged", NOON_MS))

    link.close()


def test_a_list_may_be_of_one_charge_point(stores, epoch):
    tell(stores, epoch)
    stores.security_events.record(SYSTEM, own_event("Ours", NOON_MS))

    assert types(stores.security_events.page(None, 10, charge_point_id="CP001")) == [
        "InvalidMessages"
    ]


def test_the_oldest_of_a_charge_point_leave(stores, epoch, monkeypatch):
    monkeypatch.setattr(module, "KEPT_PER_CHARGE_POINT", 2)
    for number in range(4):
        tell(stores, epoch, "TamperDetectionActivated", at_ms=number, now_ms=NOON_MS + number)

    assert len(stores.security_events.page(None, 10).items) == 2
    assert stores.security_events.open_count() == 2
    assert len(stores.link.call("KEYS", "csms:{CP001}:security-event:*")) == 2
    assert stores.link.call("HLEN", keys.SECURITY_EVENT_OWNERS) == 2


def test_what_is_old_or_too_much_leaves_the_lists(stores, epoch, monkeypatch):
    monkeypatch.setattr(module, "KEPT_IN_ALL", 1)
    tell(stores, epoch, "TamperDetectionActivated", now_ms=NOON_MS)
    tell(stores, epoch, "FirmwareUpdated", now_ms=NOON_MS + 1)

    stores.security_events.trim(NOON_MS)
    assert types(stores.security_events.page(None, 10)) == ["FirmwareUpdated"]
    assert stores.security_events.open_count() == 1

    stores.security_events.trim(NOON_MS + module.KEPT_S * 1000 + 1)
    assert stores.link.call("EXISTS", keys.SECURITY_EVENTS, keys.OPEN_SECURITY_EVENTS) == 0


def test_events_leave_with_their_charge_point(stores, epoch):
    tell(stores, epoch, "TamperDetectionActivated")

    stores.charge_points.delete("CP001")

    assert stores.link.call("KEYS", "csms:*security*") == []


def test_what_is_not_there_can_t_be_acknowledged(stores, epoch):
    tell(stores, epoch)
    [kept] = stores.security_events.page(None, 10).items
    stores.link.call("DEL", keys.security_event("CP001", kept.event_id))

    for event_id in ("of-nothing", kept.event_id):
        with pytest.raises(NotFound):
            stores.security_events.acknowledge(event_id, "user:olga", NOON_MS)
    with pytest.raises(NotFound):
        stores.security_events.get(kept.event_id)
    assert stores.security_events.page(None, 10).items == []


def test_a_foreign_cursor_is_refused(stores):
    with pytest.raises(FieldError):
        stores.security_events.page("nonsense", 10)
