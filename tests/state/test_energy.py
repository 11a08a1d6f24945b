"""The rule about energy in Lua: the same as the one in the domain."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.domain.metering import REGISTER_MAX_WH
from csms.domain.transaction import energy_by
from csms.state.energy import ENERGY_BY
from csms.state.link import Script

ASKED = Script(
    "energy-by",
    ENERGY_BY
    + """
    local energy = energy_by(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
    return energy and string.format('%.0f', energy) or ''
    """,
)
EDGES = [-1, 0, 1, 999, 1_000, REGISTER_MAX_WH - 1, REGISTER_MAX_WH, REGISTER_MAX_WH + 1]
registers_wh = st.sampled_from(EDGES) | st.integers(-(2**50), 2**50) | st.integers(0, 10_000)


# The store is emptied once for all examples, none of which writes to it.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(registers_wh, registers_wh, st.integers(0, REGISTER_MAX_WH))
def test_the_scripts_reckon_as_the_domain_does(sync_link, start_wh, register_wh, reckoned_wh):
    answer = sync_link.run(ASKED, [], [start_wh, register_wh, reckoned_wh])

    assert (int(answer) if answer else None) == energy_by(start_wh, register_wh, reckoned_wh)
