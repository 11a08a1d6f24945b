"""A session's energy is the same wherever it is reckoned: by the owner of the socket while it runs,
by a script once another transaction has taken its connector."""

import itertools

from cast import HOUR_MS, SECOND_MS, instant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Each example's sessions are starts of their own.
numbers = itertools.count(1)
registers_wh = st.integers(0, 3_000) | st.sampled_from([10**12, 10**12 + 1])
meter_values = st.tuples(st.integers(0, 5), registers_wh)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    meter_start=st.integers(0, 2_000) | st.sampled_from([-1, 10**12 + 1]),
    told=st.lists(meter_values, max_size=6),
    superseded_after=st.integers(0, 6),
    resent=st.booleans(),
    meter_stop=st.none() | st.integers(-1, 4_000) | st.just(10**12 + 1),
)
def test_a_superseded_session_has_the_energy_it_would_have_had(
    line, meter_start, told, superseded_after, resent, meter_stop
):
    """And as much of it is counted."""

    def charge(connector_id, is_superseded):
        def start(timestamp_ms):
            return line.start(
                connectorId=connector_id, meterStart=meter_start, timestamp=instant(timestamp_ms)
            )["transactionId"]

        counted_wh = []
        seen = []

        def look():
            transaction = line.transaction(session)
            counted_wh.append(line.stores.overviews.write_energy())
            seen.append((transaction.energy_wh, transaction.flags))

        began_ms = next(numbers) * SECOND_MS
        session = start(began_ms)
        for number, (second, register_wh) in enumerate(told):
            if is_superseded and number == superseded_after:
                start(began_ms + HOUR_MS)
            for _ in range(1 + resent):
                line.meter(
                    connector_id,
                    samples=[{"value": str(register_wh)}],
                    timestamp=instant(second * SECOND_MS),
                    transactionId=session,
                )
                look()
        for _ in range(1 + resent):
            line.stop(session, meterStop=meter_stop)
            look()
        return seen, counted_wh

    assert charge(1, is_superseded=True) == charge(2, is_superseded=False)
