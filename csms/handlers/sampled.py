"""Turns meter values as sent into meter values with instants."""

from collections.abc import Sequence

from csms.domain.metering import MeterValue
from csms.domain.timestamps import read_timestamp
from csms.protocol.requests import RawMeterValue


def with_instants(raw: Sequence[RawMeterValue], received_at_ms: int) -> list[MeterValue]:
    """A value whose clock is wrong or missing counts as taken when it arrived."""
    return [
        MeterValue(
            read_timestamp(value.timestamp, received_at_ms).at_ms,
            value.timestamp or "",
            value.sampled_values,
        )
        for value in raw
    ]
