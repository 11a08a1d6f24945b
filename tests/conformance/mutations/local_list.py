"""Mutations for the cases of Local Authorization List Management."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

SEND = "SendLocalList.req"
FULL = (
    put(SEND, "updateType", "Differential"),
    put(SEND, "localAuthorizationList", [], fails="an entry"),
    drop(SEND, "localAuthorizationList", fails="an entry"),
    drop(SEND, "localAuthorizationList.0.idTagInfo", fails="idTagInfo"),
    put(SEND, "listVersion", 0),
)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_042_1_CSMS": (),
    "TC_042_2_CSMS": (),
    "TC_043_1_CSMS": FULL,
    "TC_043_3_CSMS": FULL,
    "TC_043_4_CSMS": FULL,
}
