"""Reads the timestamps charge points send, however they are written."""

import re
from datetime import UTC, datetime, timedelta

from csms.domain.values import frame_value

EARLIEST_MS = (
    1_420_070_400_000  # 2015-01-01: OCPP 1.6 is of that year; a clock before it is not set
)
FUTURE_MS = 86_400_000  # a charge point's clock may run ahead by a day before it is called wrong
# Nanoseconds and an offset take 35. A bound, since the pattern's time grows with the square of the
# blanks it is shown, and since what is kept must not be as long as a frame.
TEXT_MAX = 64

_LENIENT = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})[T ](\d{1,2}):(\d{2})(?::(\d{2}))?(?:[.,](\d+))?"
    r"\s*(?:([Zz])|([+-])(\d{2}):?(\d{2})?)?\s*",
    re.ASCII,
)


@frame_value
class Timestamp:
    """An instant a charge point stated.

    at_ms is what the system reckons with: the stated instant, or the time of receipt where the
    statement can't be true (unreadable, before 2015, more than a day ahead). text is what was sent,
    cut at 64 characters.
    """

    at_ms: int
    text: str
    plausible: bool


def read_timestamp(text: object, received_at_ms: int) -> Timestamp:
    """Never raises: transaction messages are answered whatever their clock says.

    A missing zone is read as UTC (OCPP 1.6 ed. 2, 3.15; central systems are told to accept any
    offset and any fraction).
    """
    if not isinstance(text, str):
        return Timestamp(received_at_ms, "", plausible=False)
    stated_ms = epoch_ms(text) if len(text) <= TEXT_MAX else None
    if stated_ms is None or not EARLIEST_MS <= stated_ms <= received_at_ms + FUTURE_MS:
        return Timestamp(received_at_ms, text[:TEXT_MAX], plausible=False)
    return Timestamp(stated_ms, text, plausible=True)


def epoch_ms(text: str) -> int | None:
    try:
        if text[10:11] == "T" and text[-1:] == "Z":  # what nearly all of them send
            return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        pass
    match = _LENIENT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, offset_h, offset_min = match.groups()
    try:
        instant = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC
        )
        if sign:
            offset = timedelta(hours=int(offset_h), minutes=int(offset_min or 0))
            instant = instant - offset if sign == "+" else instant + offset
        return round(instant.timestamp() * 1000) + int((fraction or "0")[:3].ljust(3, "0"))
    except (ValueError, OverflowError):
        return None
