"""The cases of the Reservation profile."""

from datetime import datetime, timedelta

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import authorized, booted, charging, started
from chargepoint.conformance.tool import Tool, instant

cases = Cases(Profile.RESERVATION)

RESERVATION_ID = 46_046
LASTS = timedelta(minutes=10)
# Just long enough that it stands when the charge point is asked.
SHORT = timedelta(seconds=2)


@cases.add("TC_046_CSMS", "Reservation of a connector: transaction")
def reservation_used(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool)
    tool.status("Reserved")
    charging(tool, reservationId=reservation_id)


@cases.add("TC_047_CSMS", "Reservation of a connector: expiry")
def reservation_expires(tool: Tool) -> None:
    booted(tool)
    _reserve(tool, lasts=SHORT)
    tool.status("Reserved")
    tool.pause(SHORT.total_seconds())
    tool.status("Available")


@cases.add("TC_048_1_CSMS", "Reservation of a connector: faulted", mandatory=False)
def reservation_faulted(tool: Tool) -> None:
    booted(tool)
    _reserve(tool, "Faulted")


@cases.add("TC_048_2_CSMS", "Reservation of a connector: occupied", mandatory=False)
def reservation_occupied(tool: Tool) -> None:
    booted(tool)
    tool.status("Preparing")
    _reserve(tool, "Occupied")


@cases.add("TC_048_3_CSMS", "Reservation of a connector: unavailable", mandatory=False)
def reservation_unavailable(tool: Tool) -> None:
    booted(tool)
    tool.operation(
        "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, {"status": "Accepted"}
    )
    tool.has("connectorId", 1)
    tool.has("type", "Inoperative")
    tool.status("Unavailable")
    _reserve(tool, "Unavailable")


@cases.add("TC_048_4_CSMS", "Reservation of a connector: rejected")
def reservation_rejected(tool: Tool) -> None:
    booted(tool)
    _reserve(tool, "Rejected")


@cases.add("TC_049_CSMS", "Reservation of the whole charge point")
def reservation_of_any_connector(tool: Tool) -> None:
    booted(tool)
    _reserve(tool, connector_id=0)
    tool.status("Reserved")


@cases.add("TC_051_CSMS", "Cancel a reservation")
def reservation_cancelled(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool)
    tool.status("Reserved")
    _cancel(tool, reservation_id, "Accepted")
    tool.status("Available")


@cases.add("TC_052_CSMS", "Cancel a reservation: rejected", mandatory=False)
def reservation_not_cancelled(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool)
    tool.status("Reserved")
    _cancel(tool, reservation_id, "Rejected")


@cases.add("TC_053_CSMS", "Use a reservation with another idTag of its group", mandatory=False)
def reservation_of_a_group(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool, parent_id_tag=tool.cast.group)
    tool.status("Reserved")
    authorized(tool, tool.cast.second)
    tool.has("idTagInfo.parentIdTag", tool.cast.group)
    started(tool, tool.cast.second, reservationId=reservation_id)


def _reserve(
    tool: Tool,
    status: str = "Accepted",
    *,
    connector_id: int = 1,
    parent_id_tag: str | None = None,
    lasts: timedelta = LASTS,
) -> int:
    """Ask for a reservation for the valid idTag, answered with this status: its id."""
    expiry = instant(-lasts)
    wished = {
        "reservationId": RESERVATION_ID,
        "connectorId": connector_id,
        "idTag": tool.cast.valid,
        "expiryDate": expiry,
    }
    if parent_id_tag is not None:
        wished["parentIdTag"] = parent_id_tag
    asked = tool.operation("ReserveNow", wished, {"status": status})
    tool.has("reservationId", RESERVATION_ID)
    tool.has("connectorId", connector_id)
    tool.has("idTag", tool.cast.valid)
    if parent_id_tag is not None:
        tool.has("parentIdTag", parent_id_tag)
    tool.require("expiryDate", _is_instant(asked["expiryDate"], expiry), expiry)
    return int(asked["reservationId"])


def _cancel(tool: Tool, reservation_id: int, status: str) -> None:
    tool.operation("CancelReservation", {"reservationId": reservation_id}, {"status": status})
    tool.has("reservationId", reservation_id)


def _is_instant(told: str, expected: str) -> bool:
    return datetime.fromisoformat(told) == datetime.fromisoformat(expected)
