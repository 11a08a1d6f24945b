"""Mutations for the cases of security."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, put

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_088_CSMS": (
        put("upgrade", "status", 101, fails="refused"),
        put("upgrade", "status", 0, fails="refused"),
        put("upgrade 2", "status", 400),
        put("upgrade 2", "subprotocol", None),
        put("upgrade 2", "subprotocol", "ocpp1.6, ocpp0.1"),
    ),
}
