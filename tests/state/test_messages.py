"""The message log: both directions, capped, secrets masked."""

import pytest
from cast import NOON_MS

from csms.errors import FieldError
from csms.state.messages import FRAME_MAX, Message
from csms.state.stores import Stores

CALL = '[2,"1","Heartbeat",{}]'
RESULT = '[3,"1",{"currentTime":"2026-11-22T12:00:00.000Z"}]'


def shown(page):
    return [(m.direction, m.at_ms, m.frame) for m in page.items]


def test_an_exchange_is_shown_newest_first(stores):
    stores.messages.received("CP001", CALL, NOON_MS, RESULT, NOON_MS + 1)
    stores.messages.sent("CP001", '[2,"2","ClearCache",{}]', NOON_MS + 2)
    stores.messages.received("CP001", '[3,"2",{"status":"Accepted"}]', NOON_MS + 3)

    assert shown(stores.messages.page("CP001", None, 10)) == [
        ("received", NOON_MS + 3, '[3,"2",{"status":"Accepted"}]'),
        ("sent", NOON_MS + 2, '[2,"2","ClearCache",{}]'),
        ("sent", NOON_MS + 1, RESULT),
        ("received", NOON_MS, CALL),
    ]


def test_a_charge_point_has_a_log_of_its_own(stores):
    stores.messages.sent("CP001", CALL, NOON_MS)

    assert stores.messages.page("CP002", None, 10).items == []


def test_a_page_leads_to_the_next(stores):
    for number in range(5):
        stores.messages.sent("CP001", str(number), NOON_MS + number)

    frames, cursor = [], None
    while True:
        page = stores.messages.page("CP001", cursor, 2)
        frames.append([message.frame for message in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break

    assert frames == [["4", "3"], ["2", "1"], ["0"]]


@pytest.mark.parametrize(
    "cursor", ["", "x", "-", "5-", "-5", "5-5-5", "٣-٣", "+", "(5-5", "9" * 30 + "-1"]
)
def test_a_foreign_cursor_is_told(stores, cursor):
    with pytest.raises(FieldError) as refusal:
        stores.messages.page("CP001", cursor, 5)

    assert refusal.value.field == "cursor"


def test_what_is_chosen_is_looked_for_in_all_of_the_log(sync_link):
    messages = Stores.behind(sync_link, message_log_length=1_000).messages
    for number in range(900):
        messages.sent("CP001", str(number), NOON_MS + number)
        if number % 100 == 0:
            assert sum(1 for _ in messages.write()) == 1

    def chosen(cursor):
        return messages.chosen(
            "CP001", cursor, 2, lambda exchange: [m.frame for m in exchange if m.frame[-2:] == "50"]
        )

    found, cursor = [], None
    while cursor is not None or not found:
        page = chosen(cursor)
        found.append(page.items)
        cursor = page.next_cursor

    assert found == [["850", "750"], ["650", "550"], ["450", "350"], ["250", "150"], ["50"]]


def test_our_calls_are_told_from_our_answers(stores):
    stores.messages.received("CP001", CALL, NOON_MS, RESULT, NOON_MS)
    stores.messages.sent("CP001", '[2,"2","ClearCache",{}]', NOON_MS)
    stores.messages.received("CP001", '[3,"2",{}]', NOON_MS)

    assert [m.frame for m in stores.messages.calls_sent("CP001")] == ['[2,"2","ClearCache",{}]']


def test_a_key_is_never_kept(stores):
    key = "00112233445566778899aabbccddeeff"
    frame = f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{key}"}}]'
    stores.messages.sent("CP001", frame, NOON_MS)
    stores.messages.received("CP001", frame.upper(), NOON_MS)
    stores.messages.sent("CP001", '["ftp://me:secret@host"]', NOON_MS)

    kept = str(stores.messages.page("CP001", None, 10).items)
    assert key not in kept
    assert "secret" not in kept


def test_a_long_frame_is_cut(stores):
    stores.messages.received("CP001", "x" * 100_000, NOON_MS, "y" * 100_000, NOON_MS)

    assert [len(m.frame) for m in stores.messages.page("CP001", None, 10).items] == [FRAME_MAX] * 2


def test_any_text_is_kept_as_it_was(stores):
    """Broken frames are the ones people look for."""
    for text in ("", "no JSON", "\x00\x01\x1b[31m\r\n", "☃" * 10):
        stores.messages.received("CP001", text, NOON_MS)

    frames = [m.frame for m in stores.messages.page("CP001", None, 10).items]
    assert frames == ["☃" * 10, "\x00\x01\x1b[31m\r\n", "no JSON", ""]


def test_the_log_is_capped(sync_link):
    stores = Stores.behind(sync_link, message_log_length=100)
    for number in range(1_000):
        stores.messages.sent("CP001", str(number), NOON_MS)

    items = stores.messages.page("CP001", None, 1_000).items
    # The store trims by whole nodes of its list.
    assert 100 <= len(items) < 400
    assert items[0].frame == "999"


def test_a_message_has_its_place_in_the_log(stores):
    stores.messages.sent("CP001", CALL, NOON_MS)

    [message] = stores.messages.page("CP001", None, 10).items
    assert message == Message(message.entry, "sent", NOON_MS, CALL)


def test_a_key_in_a_frame_longer_than_the_log_keeps_is_masked(stores):
    """Masked before it is cut: a frame without its end does not say what is a key."""
    key = "00112233445566778899aabbccddeeff"
    frame = f'[3,"1",{{"a":"{"x" * 8_120}","value":"{key}","key":"AuthorizationKey"}}]'
    stores.messages.received("CP001", frame, NOON_MS)

    assert key not in str(stores.messages.page("CP001", None, 5).items)


def test_what_is_said_while_the_log_is_written_waits_for_the_next_time(stores):
    """A process that is busy would otherwise never come to its other work."""
    stores.messages.sent("CP001", CALL, NOON_MS)

    for steps, _ in enumerate(stores.messages.write(), start=1):
        assert steps == 1
        stores.messages.sent("CP001", CALL, NOON_MS + steps)

    assert len(stores.messages.page("CP001", None, 10).items) == 2
