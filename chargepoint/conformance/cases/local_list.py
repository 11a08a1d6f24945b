"""The cases of the Local Authorization List Management profile.

What is sent follows from id tags: an operator assigns them and has the list synced. A sync asks for
the version first, which the official tool allows.
"""

from collections.abc import Sequence
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
    _look(tool)
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


@cases.variant("TC_043_1_CSMS", "sent by hand")
def list_by_hand_not_supported(tool: Tool) -> None:
    _send_in_vain(tool, "NotSupported")


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


@cases.variant("TC_043_3_CSMS", "sent by hand")
def list_by_hand_failed(tool: Tool) -> None:
    _send_in_vain(tool, "Failed")


@cases.add("TC_043_4_CSMS", "Send local list: full")
def list_full(tool: Tool) -> None:
    booted(tool)
    _assign(tool, tool.cast.valid, tool.cast.second)
    command, version = _sync_full(tool, "Accepted")
    _ended(tool, command, "in_step")
    tool.has("acknowledged_version", version)
    tool.has("acknowledged_entries", 2)


@cases.variant("TC_043_4_CSMS", "sent by hand")
def list_by_hand_full(tool: Tool) -> None:
    booted(tool)
    version = _next_version(tool)
    _send(tool, "Full", version, [tool.cast.valid, tool.cast.second], "Accepted")
    _look(tool)
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


@cases.variant("TC_043_5_CSMS", "sent by hand")
def list_by_hand_differential(tool: Tool) -> None:
    booted(tool)
    version = _next_version(tool)
    _send(tool, "Full", version, [tool.cast.valid], "Accepted")
    tool.operation("GetLocalListVersion", {}, {"listVersion": version})
    listed = _send(tool, "Differential", version + 1, [tool.cast.second], "Accepted")
    names = [entry["idTag"] for entry in listed]
    tool.require("only the new idTag", names == [tool.cast.second], tool.cast.second)
    _look(tool)
    tool.has("acknowledged_version", version + 1)
    tool.has("acknowledged_entries", 2)


def _send_in_vain(tool: Tool, status: str) -> None:
    """A list that the charge point does not take is not counted as installed."""
    booted(tool)
    before = _look(tool)
    known = before["acknowledged_version"], before["acknowledged_entries"]
    _send(tool, "Full", (known[0] or 0) + 1, [tool.cast.valid], status)
    _look(tool)
    tool.has("acknowledged_version", known[0])
    tool.has("acknowledged_entries", known[1])


def _send(
    tool: Tool, update_type: str, version: int, id_tags: Sequence[str], status: str
) -> list[Payload]:
    """A SendLocalList as an operator words it: the entries sent."""
    info = {"status": "Accepted", "parentIdTag": tool.cast.group}
    wished = {
        "listVersion": version,
        "updateType": update_type,
        "localAuthorizationList": [{"idTag": id_tag, "idTagInfo": info} for id_tag in id_tags],
    }
    asked = tool.operation("SendLocalList", wished, {"status": status})
    tool.has("listVersion", version)
    return _check_list(tool, asked, update_type)


def _next_version(tool: Tool) -> int:
    """Above what the charge point has, as far as is known."""
    return int(_look(tool)["acknowledged_version"] or 0) + 1


def _look(tool: Tool) -> Payload:
    return tool.look_below("local list", "/local-list")


def _assign(tool: Tool, *id_tags: str) -> None:
    """Put id tags into the group of this charge point's list."""
    group = tool.cast.tag_group
    tool.operator.must(
        "PATCH", charge_point_path(tool.charge_point_id), {"local_list": f"group:{group}"}
    )
    for id_tag in id_tags:
        path = id_tag_path(id_tag)
        before = tool.operator.must("GET", path)["tag_groups"]
        tool.operator.must("PATCH", path, {"tag_groups": [*before, group]})
        tool.later.append(partial(tool.operator.request, "PATCH", path, {"tag_groups": before}))


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
    return _check_list(tool, tool.expect("SendLocalList"), update_type)


def _check_list(tool: Tool, asked: Payload, update_type: str) -> list[Payload]:
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
