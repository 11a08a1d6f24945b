"""Mutations for the cases of Reservation."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

RESERVE = (
    put("ReserveNow.req", "connectorId", 2),
    put("ReserveNow.req", "idTag", "SOMEBODY-ELSE"),
    put("ReserveNow.req", "expiryDate", "2011-01-01T00:00:00Z"),
    put("ReserveNow.req", "expiryDate", "2100-01-01T00:00:00Z"),
)
USED = (
    put("reservation", "state", "accepted"),
    put("reservation", "transaction_id", 999_999),
    put("reservation", "transaction_id", None),
)
REFUSED = (put("reservation", "state", "accepted"), put("reservation", "reason", "Accepted"))
CANCEL = (put("CancelReservation.req", "reservationId", 999_999),)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_046_CSMS": (*RESERVE, *USED),
    "TC_047_CSMS": (*RESERVE, put("reservation", "state", "lost")),
    "TC_048_1_CSMS": (*RESERVE, *REFUSED),
    "TC_048_2_CSMS": (*RESERVE, *REFUSED),
    "TC_048_3_CSMS": (
        *RESERVE,
        *REFUSED,
        put("ChangeAvailability.req", "connectorId", 0),
        put("ChangeAvailability.req", "type", "Operative"),
    ),
    "TC_048_4_CSMS": (*RESERVE, *REFUSED),
    "TC_049_CSMS": (
        *RESERVE,
        put("ReserveNow.req", "connectorId", 1),
        put("reservation", "state", "requested"),
        put("reservation", "connector_id", 1),
    ),
    "TC_051_CSMS": (
        *RESERVE,
        put("ReserveNow.req", "connectorId", 0),
        *CANCEL,
        put("reservation", "state", "accepted"),
    ),
    "TC_052_CSMS": (*RESERVE, *CANCEL, put("reservation", "state", "accepted")),
    "TC_053_CSMS": (
        *RESERVE,
        put("ReserveNow.req", "connectorId", 0),
        put("ReserveNow.req", "parentIdTag", "ANOTHER-GROUP"),
        drop("ReserveNow.req", "parentIdTag"),
        put("Authorize.conf", "idTagInfo.parentIdTag", "ANOTHER-GROUP"),
        drop("Authorize.conf", "idTagInfo.parentIdTag"),
        *USED,
    ),
}
