"""The cases of the Local Authorization List Management profile."""

from typing import Any

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import booted
from chargepoint.conformance.tool import Tool

cases = Cases(Profile.LOCAL_LIST)


@cases.add("TC_042_1_CSMS", "Get local list version: not supported", mandatory=False)
def version_not_supported(tool: Tool) -> None:
    booted(tool)
    tool.operation("GetLocalListVersion", {}, {"listVersion": -1})


@cases.add("TC_042_2_CSMS", "Get local list version: empty")
def version_of_empty_list(tool: Tool) -> None:
    booted(tool)
    tool.operation("GetLocalListVersion", {}, {"listVersion": 0})


@cases.add("TC_043_1_CSMS", "Send local list: not supported", mandatory=False)
def list_not_supported(tool: Tool) -> None:
    booted(tool)
    _send_full(tool, "NotSupported")


@cases.add("TC_043_3_CSMS", "Send local list: failed")
def list_failed(tool: Tool) -> None:
    booted(tool)
    _send_full(tool, "Failed")


@cases.add("TC_043_4_CSMS", "Send local list: full")
def list_full(tool: Tool) -> None:
    booted(tool)
    _send_full(tool, "Accepted")


def _send_full(tool: Tool, status: str) -> int:
    """The version sent."""
    entries = [{"idTag": tool.cast.valid, "idTagInfo": {"status": "Accepted"}}]
    asked = tool.operation(
        "SendLocalList",
        {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries},
        {"status": status},
    )
    tool.has("updateType", "Full")
    listed: list[dict[str, Any]] = asked.get("localAuthorizationList", [])
    tool.require("an entry", listed, "at least one")
    bare = [entry["idTag"] for entry in listed if "idTagInfo" not in entry]
    tool.require("idTagInfo", not bare, "in every entry")
    tool.require("listVersion", asked["listVersion"] >= 1, "1 or more")
    return int(asked["listVersion"])
