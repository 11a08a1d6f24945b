"""What an operator wants reserved, as a ReserveNow: for the API and the page alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from csms.clock import text_of
from csms.errors import FieldError
from csms.state.stores import Stores

T = TypeVar("T")

# The group of the id tag itself, where it has one.
OWN_GROUP: Final = "\0"
# What the operator said, by what the charge point is sent of it.
_SAID = {
    "payload.connectorId": "connector_id",
    "payload.expiryDate": "expires_at",
    "payload.idTag": "id_tag",
    "payload.parentIdTag": "parent_id_tag",
    "payload.reservationId": "reservation_id",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """reservation_id: of the one to be changed; None makes a new one. parent_id_tag: OWN_GROUP, a
    group, or None for nobody but the id tag."""

    connector_id: int
    id_tag: str
    expires_at_ms: int
    reservation_id: int | None = None
    parent_id_tag: str | None = OWN_GROUP


def payload_of(stores: Stores, charge_point_id: str, wanted: Wanted, now_ms: int) -> dict[str, Any]:
    """ReserveNow.req. Raises ChargePointUnknown, StoreUnavailable."""
    stores.charge_points.get(charge_point_id)
    parent_id_tag = wanted.parent_id_tag
    if parent_id_tag == OWN_GROUP:
        tag = stores.id_tags.find(wanted.id_tag)
        parent_id_tag = tag.parent_id_tag if tag is not None else None
    payload: dict[str, Any] = {
        "connectorId": wanted.connector_id,
        # Whole seconds: all that some charge points read.
        "expiryDate": text_of(wanted.expires_at_ms // 1000 * 1000),
        "idTag": wanted.id_tag,
    }
    if parent_id_tag is not None:
        payload["parentIdTag"] = parent_id_tag
    payload["reservationId"] = wanted.reservation_id or stores.reservations.new_id(
        charge_point_id, now_ms
    )
    return payload


def named_as_asked(queue: Callable[[], T]) -> T:
    """What is wrong with a payload is said of the fields that the operator has filled in."""
    try:
        return queue()
    except FieldError as error:
        raise FieldError(_SAID.get(error.field, error.field), error.problem) from None
