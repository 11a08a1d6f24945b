"""The WebSocket codec: whatever the bytes and however they are cut, RFC 6455 is kept."""

import importlib.util
import itertools
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csms.transport import websocket_codec
from csms.transport.websocket_codec import (
    MAX_FRAGMENTS,
    Close,
    Decoder,
    Ping,
    Pong,
    ProtocolViolation,
    encode_binary,
    encode_close,
    encode_ping,
    encode_pong,
    encode_text,
)

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
LIMIT = 100_000


def frame(opcode: int, payload: bytes = b"", *, final=True, mask=b"\x01\x02\x03\x04", rsv=0):
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes((final << 7 | rsv << 4 | opcode,)) + length + mask + masked


def events_of(*chunks: bytes, limit: int = LIMIT, decoder: Decoder | None = None) -> list:
    """All events; a violation is the last of them, as its code."""
    decoder = decoder or Decoder(limit)
    events: list = []
    try:
        for chunk in chunks:
            event = decoder.next_event(chunk)
            while event is not None:
                events.append(event)
                event = decoder.next_event()
    except ProtocolViolation as violation:
        events.append(violation.code)
    return events


masks = st.binary(min_size=4, max_size=4)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
controls = st.one_of(
    st.builds(
        lambda payload, mask: (Ping(payload), frame(PING, payload, mask=mask)),
        st.binary(max_size=125),
        masks,
    ),
    st.builds(
        lambda payload, mask: (Pong(payload), frame(PONG, payload, mask=mask)),
        st.binary(max_size=125),
        masks,
    ),
)


@st.composite
def messages(draw) -> tuple[list, bytes]:
    """Events and the bytes that mean them: a message, cut in fragments, with pings between."""
    text = draw(texts | st.binary(max_size=400))
    payload = text.encode() if isinstance(text, str) else text
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    edges = [0, *cuts, len(payload)]
    events: list = []
    wire = b""
    for i, (start, end) in enumerate(itertools.pairwise(edges)):
        opcode = CONTINUATION if i else TEXT if isinstance(text, str) else BINARY
        final = i == len(edges) - 2
        wire += frame(opcode, payload[start:end], final=final, mask=draw(masks))
        if not final:
            for event, control in draw(st.lists(controls, max_size=2)):
                events.append(event)
                wire += control
    return [*events, text], wire


@given(st.lists(messages(), max_size=4), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(conversation, data):
    wire = b"".join(part for _, part in conversation)
    expected = [event for events, _ in conversation for event in events]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    edges = [0, *cuts, len(wire)]
    chunks = [wire[start:end] for start, end in itertools.pairwise(edges)]

    assert events_of(*chunks) == expected
    assert events_of(*(bytes((byte,)) for byte in wire)) == expected


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_arbitrary_bytes_give_events_or_a_violation_and_the_split_does_not_matter(chunks):
    wire = b"".join(chunks)

    assert events_of(*chunks) == events_of(wire)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_text_of_every_length_class_comes_out_whole(size):
    text = "x" * size

    assert events_of(frame(TEXT, text.encode())) == [text]
    assert events_of(frame(BINARY, text.encode())) == [text.encode()]


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x81\x00", 1002),
        (frame(TEXT, b"x", rsv=1), 1002),
        (frame(TEXT, b"x", rsv=2), 1002),
        (frame(TEXT, b"x", rsv=4), 1002),  # compressed, though nothing was negotiated
        (frame(3, b"x"), 1002),
        (frame(7), 1002),
        (frame(11), 1002),
        (frame(15), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", final=False), 1002),
        (frame(CLOSE, b"", final=False), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
        (frame(BINARY, b"x", final=False) + frame(BINARY, b"y", final=False), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),  # a surrogate
        (frame(TEXT, b"\xc3"), 1007),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (b"\x81\xff" + (LIMIT + 1).to_bytes(8, "big"), 1009),
        (b"\x82\xff" + (1 << 63).to_bytes(8, "big"), 1009),
    ],
)
def test_a_violation_is_told_with_its_close_code(wire, code):
    assert events_of(wire) == [code]
    assert events_of(*(bytes((byte,)) for byte in wire)) == [code]


def test_a_new_message_between_fragments_is_a_violation_however_it_arrives():
    """Each frame in a recv of its own takes the decoder's short cut for whole messages."""
    for size in (1, 200):
        assert events_of(frame(TEXT, b"x", final=False), frame(TEXT, b"y" * size)) == [1002]
        assert events_of(frame(BINARY, b"x", final=False), frame(TEXT, b"y" * size)) == [1002]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_a_close_code_that_may_not_be_sent_is_a_violation(code):
    assert events_of(frame(CLOSE, code.to_bytes(2, "big"))) == [1002]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1012, 1014, 3000, 4999])
def test_a_close_frame_gives_its_code_and_reason(code):
    assert events_of(frame(CLOSE, code.to_bytes(2, "big") + b"bye")) == [Close(code, "bye")]


def test_an_empty_close_frame_has_the_code_1005():
    assert events_of(frame(CLOSE)) == [Close(1005, "")]


def test_what_follows_a_close_frame_is_dropped():
    decoder = Decoder(LIMIT)

    assert events_of(frame(CLOSE) + frame(TEXT, b"x"), decoder=decoder) == [Close(1005, "")]
    assert events_of(frame(TEXT, b"x"), frame(TEXT, b"y"), decoder=decoder) == []
    assert decoder.finished


def test_what_follows_a_violation_is_dropped():
    decoder = Decoder(LIMIT)

    assert events_of(frame(TEXT, b"\xff"), decoder=decoder) == [1007]
    assert events_of(frame(TEXT, b"x"), frame(TEXT, b"y"), decoder=decoder) == []


def test_what_came_before_a_violation_still_comes_out():
    assert events_of(frame(TEXT, b"x") + frame(PING, b"p") + frame(3)) == ["x", Ping(b"p"), 1002]


def test_invalid_utf8_ends_a_fragmented_message_before_its_last_fragment():
    """RFC 6455, 8.1; Autobahn 6.4."""
    first = frame(TEXT, "κόσμε".encode() + b"\xf4", final=False)

    assert events_of(first) == []
    # f4 90 would lie beyond U+10FFFF, whatever follows.
    assert events_of(first, frame(CONTINUATION, b"\x90", final=False)) == [1007]


def test_a_character_may_be_split_over_fragments():
    euro = "€".encode()
    wire = frame(TEXT, euro[:1], final=False) + frame(CONTINUATION, euro[1:])

    assert events_of(wire) == ["€"]


def test_a_message_of_exactly_the_limit_passes():
    assert events_of(frame(TEXT, b"x" * 50), limit=50) == ["x" * 50]
    assert events_of(frame(TEXT, b"x" * 51), limit=50) == [1009]
    assert events_of(frame(TEXT, b"x" * 300), limit=300) == ["x" * 300]
    assert events_of(frame(TEXT, b"x" * 301), limit=300) == [1009]


def test_the_limit_counts_all_fragments_of_a_message():
    fragments = [frame(TEXT, b"x" * 30, final=False), frame(CONTINUATION, b"x" * 30, final=False)]

    assert events_of(*fragments, limit=60) == []
    # The header alone is enough: no byte of the payload has to arrive.
    assert events_of(*fragments, frame(CONTINUATION, b"x")[:2], limit=60) == [1009]


def test_the_limit_counts_each_message_anew():
    pair = frame(TEXT, b"x" * 30, final=False) + frame(CONTINUATION, b"x" * 30)

    assert events_of(pair, pair, limit=60) == ["x" * 60, "x" * 60]


def test_control_frames_do_not_count_as_message_bytes():
    assert events_of(frame(PING, b"x" * 125), limit=10) == [Ping(b"x" * 125)]


def test_a_message_in_endless_empty_fragments_is_too_big():
    wire = frame(TEXT, b"", final=False) + frame(CONTINUATION, b"", final=False) * MAX_FRAGMENTS

    assert events_of(wire) == [1009]


def test_the_limit_may_be_raised_between_two_messages():
    decoder = Decoder(10)
    assert events_of(frame(TEXT, b"x" * 10), decoder=decoder) == ["x" * 10]

    decoder.max_message_bytes = 20

    assert events_of(frame(TEXT, b"x" * 20), decoder=decoder) == ["x" * 20]


def test_fed_bytes_wait_for_the_next_call():
    decoder = Decoder(LIMIT)
    decoder.feed(frame(TEXT, b"first") + frame(TEXT, b"second")[:3])

    assert decoder.next_event() == "first"
    assert decoder.next_event() is None
    assert decoder.next_event(frame(TEXT, b"second")[3:]) == "second"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_encoded_text_is_an_unmasked_final_frame_of_minimal_length(size):
    payload = b"x" * size
    length = (
        bytes((size,))
        if size < 126
        else b"\x7e" + size.to_bytes(2, "big")
        if size < 65_536
        else b"\x7f" + size.to_bytes(8, "big")
    )

    assert encode_text(payload) == b"\x81" + length + payload
    assert encode_binary(payload) == b"\x82" + length + payload


def test_control_frames_are_encoded_with_their_payload():
    assert encode_ping() == b"\x89\x00"
    assert encode_pong(b"abc") == b"\x8a\x03abc"
    assert encode_close() == b"\x88\x00"
    assert encode_close(1012, "service restart") == b"\x88\x11\x03\xf4service restart"


def test_a_long_close_reason_is_cut_between_two_characters():
    encoded = encode_close(1008, "€" * 60)

    assert len(encoded) <= 127
    assert encoded[4:].decode() == "€" * 41


def test_a_ping_of_more_than_125_bytes_is_refused():
    with pytest.raises(ValueError, match="125"):
        encode_ping(b"x" * 126)


def test_unmasking_without_the_c_extension_gives_the_same_bytes(monkeypatch):
    """As where `websockets` has no wheel for the platform."""
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    spec = importlib.util.find_spec("csms.transport.websocket_codec")
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)

    assert plain.apply_mask is not websocket_codec.apply_mask
    for size in (0, 1, 3, 4, 5, 200, 1501):
        data, mask = os.urandom(size), os.urandom(4)
        assert plain.apply_mask(data, mask) == websocket_codec.apply_mask(data, mask)
        assert plain.apply_mask(bytearray(data), bytearray(mask)) == plain.apply_mask(data, mask)
