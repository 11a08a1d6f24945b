"""Mutations for the cases of Reservation."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

RESERVE = (
    put("ReserveNow.req", "reservationId", 999_999),
    put("ReserveNow.req", "connectorId", 2),
    put("ReserveNow.req", "idTag", "SOMEBODY-ELSE"),
    put("ReserveNow.req", "expiryDate", "2011-01-01T00:00:00Z"),
)
CANCEL = (put("CancelReservation.req", "reservationId", 999_999),)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_046_CSMS": RESERVE,
    "TC_047_CSMS": RESERVE,
    "TC_048_1_CSMS": RESERVE,
    "TC_048_2_CSMS": RESERVE,
    "TC_048_3_CSMS": (
        *RESERVE,
        put("ChangeAvailability.req", "connectorId", 0),
        put("ChangeAvailability.req", "type", "Operative"),
    ),
    "TC_048_4_CSMS": RESERVE,
    "TC_049_CSMS": (*RESERVE, put("ReserveNow.req", "connectorId", 1)),
    "TC_051_CSMS": (*RESERVE, put("ReserveNow.req", "connectorId", 0), *CANCEL),
    "TC_052_CSMS": (*RESERVE, *CANCEL),
    "TC_053_CSMS": (
        *RESERVE,
        put("ReserveNow.req", "connectorId", 0),
        put("ReserveNow.req", "parentIdTag", "ANOTHER-GROUP"),
        drop("ReserveNow.req", "parentIdTag"),
        put("Authorize.conf", "idTagInfo.parentIdTag", "ANOTHER-GROUP"),
        drop("Authorize.conf", "idTagInfo.parentIdTag"),
    ),
}
