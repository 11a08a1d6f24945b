"""All cases and their variants, in the order of the report."""

from collections.abc import Mapping

from chargepoint.conformance.case import Case
from chargepoint.conformance.cases import (
    core,
    firmware,
    local_list,
    remote_trigger,
    reservation,
    security,
    smart_charging,
)

_MODULES = (
    core,
    security,
    firmware,
    local_list,
    smart_charging,
    remote_trigger,
    reservation,
)

CASES: Mapping[str, Case] = {case.key: case for module in _MODULES for case in module.cases}
