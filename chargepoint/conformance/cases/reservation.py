"""The cases of the Reservation profile."""

from datetime import UTC, datetime

from chargepoint.conformance.case import Cases, Profile
from chargepoint.conformance.states import authorized, booted, charging, started
from chargepoint.conformance.tool import Resource, Tool

cases = Cases(Profile.RESERVATION)

LASTS_S = 600
# Just long enough that it stands when the charge point is asked.
SHORT_S = 2
# How far the two clocks may be apart.
TOLERANCE_S = 5


@cases.add("TC_046_CSMS", "Reservation of a connector: transaction")
def reservation_used(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool)
    tool.status("Reserved")
    transaction_id = charging(tool, reservationId=reservation_id)
    _check_used(tool, reservation_id, transaction_id)


@cases.add("TC_047_CSMS", "Reservation of a connector: expiry")
def reservation_expires(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool, lasts_s=SHORT_S)
    tool.status("Reserved")
    tool.pause(SHORT_S)
    tool.status("Available")
    _check(tool, reservation_id, "expired")


@cases.add("TC_048_1_CSMS", "Reservation of a connector: faulted", mandatory=False)
def reservation_faulted(tool: Tool) -> None:
    booted(tool)
    _refused(tool, "Faulted")


@cases.add("TC_048_2_CSMS", "Reservation of a connector: occupied", mandatory=False)
def reservation_occupied(tool: Tool) -> None:
    booted(tool)
    tool.status("Preparing")
    _refused(tool, "Occupied")


@cases.add("TC_048_3_CSMS", "Reservation of a connector: unavailable", mandatory=False)
def reservation_unavailable(tool: Tool) -> None:
    booted(tool)
    tool.operation(
        "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, {"status": "Accepted"}
    )
    tool.has("connectorId", 1)
    tool.has("type", "Inoperative")
    tool.status("Unavailable")
    _refused(tool, "Unavailable")


@cases.add("TC_048_4_CSMS", "Reservation of a connector: rejected")
def reservation_rejected(tool: Tool) -> None:
    booted(tool)
    _refused(tool, "Rejected")


@cases.add("TC_049_CSMS", "Reservation of the whole charge point")
def reservation_of_any_connector(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool, connector_id=0)
    tool.status("Reserved")
    _check(tool, reservation_id, "accepted")
    tool.has("connector_id", 0)


@cases.add("TC_051_CSMS", "Cancel a reservation")
def reservation_cancelled(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool)
    tool.status("Reserved")
    _cancel(tool, reservation_id, "Accepted")
    tool.status("Available")
    _check(tool, reservation_id, "cancelled")


@cases.add("TC_052_CSMS", "Cancel a reservation: rejected", mandatory=False)
def reservation_not_cancelled(tool: Tool) -> None:
    """The charge point has dropped it, and says that it knows none."""
    booted(tool)
    reservation_id = _reserve(tool)
    tool.status("Reserved")
    _cancel(tool, reservation_id, "Rejected")
    _check(tool, reservation_id, "lost")


@cases.add("TC_053_CSMS", "Use a reservation with another idTag of its group", mandatory=False)
def reservation_of_a_group(tool: Tool) -> None:
    booted(tool)
    reservation_id = _reserve(tool)
    tool.has("parentIdTag", tool.cast.group)
    tool.status("Reserved")
    authorized(tool, tool.cast.second)
    tool.has("idTagInfo.parentIdTag", tool.cast.group)
    transaction_id = started(tool, tool.cast.second, reservationId=reservation_id)
    _check_used(tool, reservation_id, transaction_id)


def _reserve(
    tool: Tool, status: str = "Accepted", *, connector_id: int = 1, lasts_s: int = LASTS_S
) -> int:
    """Ask for a reservation for the valid idTag, answered with this status: its id."""
    wished = {"connector_id": connector_id, "id_tag": tool.cast.valid, "expires_in_s": lasts_s}
    now = datetime.now(UTC)
    asked = tool.operation(
        "ReserveNow", Resource("POST", "/reservations", wished), {"status": status}
    )
    tool.has("connectorId", connector_id)
    tool.has("idTag", tool.cast.valid)
    ends_in_s = (datetime.fromisoformat(asked["expiryDate"]) - now).total_seconds()
    off_s = min(TOLERANCE_S, lasts_s / 2)
    tool.require(
        "expiryDate", abs(ends_in_s - lasts_s) <= off_s, f"in {lasts_s} s, give or take {off_s:g}"
    )
    return int(asked["reservationId"])


def _refused(tool: Tool, status: str) -> None:
    """A reservation that the charge point does not take, and the operator learns why."""
    _check(tool, _reserve(tool, status), "refused")
    tool.has("reason", status)


def _cancel(tool: Tool, reservation_id: int, status: str) -> None:
    resource = Resource("DELETE", f"/reservations/{reservation_id}")
    tool.operation("CancelReservation", resource, {"status": status})
    tool.has("reservationId", reservation_id)


def _check(tool: Tool, reservation_id: int, state: str) -> None:
    tool.look_below("reservation", f"/reservations/{reservation_id}")
    tool.has("state", state)


def _check_used(tool: Tool, reservation_id: int, transaction_id: int) -> None:
    _check(tool, reservation_id, "used")
    tool.has("transaction_id", transaction_id)
