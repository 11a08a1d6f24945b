"""All cases, in the order of the report."""

from collections.abc import Mapping

from chargepoint.conformance.case import Case
from chargepoint.conformance.cases import core, security

CASES: Mapping[str, Case] = {
    case.case_id: case for module in (core, security) for case in module.cases
}
