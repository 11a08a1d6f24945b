"""The cases of the Local Authorization List Management profile.

What is sent follows from id tags: an operator assigns them and has the list synced. A sync asks for
the version first, which the official tool allows.
"""

from functools import partial
from typing import Any

from chargepoint.conformance.arrival import Payload
from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.operator import charge_point_path, id_tag_path
from chargepoint.conformance.states import booted
from chargepoint.conformance.tool import Command, Resource, Tool

cases = Cases(Profile.LOCAL_LIST)

SYNC = Resource("POST", "/local-list/sync", {})


@cases.add("TC_042_1_CSMS", "Get local list version: not supported", mandatory=False)
def version_not_supported(tool: Tool) -> None:
    booted(tool)
    _assign(tool, tool.cast.valid)
    command = tool.operate("local list", SYNC)
    _tell_version(tool, -1)
    # Nothing is sent to who has no lists.
    _ended(tool, command, "not_supported")
    tool.has("reported_version", -1)


@cases.add("TC_042_2_CSMS", "Get local list version: empty")
def version_of_empty_list(tool: Tool) -> None:
    booted(tool)
    tool.operation("GetLocalListVersion", {}, {"listVersion": 0})
    tool.look_below(
        "local list", "/local-list", until=lambda record: record["reported_version"] is not None
    )
    tool.has("reported_version", 0)
    tool.has("acknowledged_version", 0)
    tool.has("acknowledged_entries", 0)


@cases.add("TC_043_1_CSMS", "Send local list: not supported", mandatory=False)
def list_not_supported(tool: Tool) -> None:
    booted(tool)
    _assign(tool, tool.cast.valid)
    command, _ = _sync_full(tool, "NotSupported")
    _ended(tool, command, "not_supported")
    tool.has("acknowledged_version", 0)
    tool.has("acknowledged_entries", 0)


@cases.add("TC_043_3_CSMS", "Send local list: failed")
def list_failed(tool: Tool) -> None:
    booted(tool)
    _assign(tool, tool.cast.valid)
    command, _ = _sync_full(tool, "Failed")
    # And that is the end of it: another Full is not tried.
    _ended(tool, command, "failed")
    tool.has("acknowledged_version", 0)
    tool.has("acknowledged_entries", 0)
    tool.has("sync", None)


@cases.add("TC_043_4_CSMS", "Send local list: full")
def list_full(tool: Tool) -> None:
    booted(tool)
    _assign(tool, tool.cast.valid, tool.cast.second)
    command, version = _sync_full(tool, "Accepted")
    _ended(tool, command, "in_step")
    tool.has("acknowledged_version", version)
    tool.has("acknowledged_entries", 2)


@cases.add("TC_043_5_CSMS", "Send local list: differential")
def list_differential(tool: Tool) -> None:
    booted(tool)
    _assign(tool, tool.cast.valid)
    command, version = _sync_full(tool, "Accepted")
    _ended(tool, command, "in_step")

    _assign(tool, tool.cast.second)
    command = tool.operate("local list", SYNC)
    _tell_version(tool, version)
    listed = _expect_list(tool, "Differential")
    names = [entry["idTag"] for entry in listed]
    tool.require("only the new idTag", names == [tool.cast.second], tool.cast.second)
    newer = tool.field("listVersion")
    tool.require("listVersion", newer > version, f"above {version}")
    tool.answer({"status": "Accepted"})
    _ended(tool, command, "in_step")
    tool.has("acknowledged_version", newer)
    tool.has("acknowledged_entries", 2)


def _assign(tool: Tool, *id_tags: str) -> None:
    """Put id tags into the group of this charge point's list."""
    group = tool.charge_point_id.lower()
    tool.operator.must(
        "PATCH", charge_point_path(tool.charge_point_id), {"local_list": f"group:{group}"}
    )
    for id_tag in id_tags:
        path = id_tag_path(id_tag)
        tool.operator.must("PATCH", path, {"tag_groups": [group]})
        tool.later.append(partial(tool.operator.request, "PATCH", path, {"tag_groups": []}))


def _tell_version(tool: Tool, version: int) -> None:
    tool.expect("GetLocalListVersion")
    tool.answer({"listVersion": version})


def _sync_full(tool: Tool, status: str) -> tuple[Command, int]:
    """A sync up to the answer to its Full update; with the version sent."""
    command = tool.operate("local list", SYNC)
    _tell_version(tool, 0)
    _expect_list(tool, "Full")
    version = tool.field("listVersion")
    tool.require("listVersion", version >= 1, "1 or more")
    tool.answer({"status": status})
    return command, int(version)


def _expect_list(tool: Tool, update_type: str) -> list[Payload]:
    """The entries of a SendLocalList."""
    asked = tool.expect("SendLocalList")
    tool.has("updateType", update_type)
    listed: list[dict[str, Any]] = asked.get("localAuthorizationList", [])
    tool.require("an entry", listed, "at least one")
    bare = [entry["idTag"] for entry in listed if "idTagInfo" not in entry]
    tool.require("idTagInfo", not bare, "in every entry")
    return listed


def _ended(tool: Tool, command: Command, state: str) -> None:
    """What the operator is told of the sync."""
    tool.ended(command)
    tool.has("state", state)
