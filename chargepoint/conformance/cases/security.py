"""The cases of security: basic security, which is part of Core, and Advanced Security."""

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.tool import Tool

cases = Cases(Profile.CORE)


@cases.add("TC_088_CSMS", "Subprotocol negotiation")
def subprotocol(tool: Tool) -> None:
    answer = tool.upgrade(subprotocols=("ocpp0.1",))
    tool.require("refused", answer["status"] not in {0, 101}, "an HTTP status other than 101")
    # No blank after the comma: RFC 7230, 7 allows both.
    tool.upgrade(subprotocols=("ocpp0.1", "ocpp1.6"), separator=",")
    tool.has("status", 101)
    tool.has("subprotocol", "ocpp1.6")
