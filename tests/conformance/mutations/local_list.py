"""Mutations for the cases of Local Authorization List Management."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

SEND = "SendLocalList.req"
ENDED = "local list.command"
OTHER = {"idTag": "SOMEBODY-ELSE", "idTagInfo": {"status": "Accepted"}}


def _sent(step: str, other_type: str) -> Sequence[Mutation]:
    """Of every update."""
    return (
        put(step, "updateType", other_type),
        put(step, "localAuthorizationList", [], fails="an entry"),
        drop(step, "localAuthorizationList", fails="an entry"),
        drop(step, "localAuthorizationList.0.idTagInfo", fails="idTagInfo"),
    )


FULL = (*_sent(SEND, "Differential"), put(SEND, "listVersion", 0))
NOT_INSTALLED = (
    put(ENDED, "acknowledged_version", 1),
    put(ENDED, "acknowledged_entries", 1),
)
BY_HAND = (*_sent(SEND, "Differential"), put(SEND, "listVersion", 7))
BY_HAND_IN_VAIN = (
    *BY_HAND,
    put("local list 2", "acknowledged_version", 1),
    put("local list 2", "acknowledged_entries", 1),
)
BY_HAND_TAKEN = (
    put("local list 2", "acknowledged_version", 0),
    put("local list 2", "acknowledged_entries", 1),
)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_042_1_CSMS": (
        put(ENDED, "state", "in_step"),
        put(ENDED, "reported_version", 0),
    ),
    "TC_042_2_CSMS": (
        put("local list", "reported_version", -1),
        put("local list", "acknowledged_version", 1),
        put("local list", "acknowledged_entries", None),
    ),
    "TC_043_1_CSMS": (*FULL, *NOT_INSTALLED, put(ENDED, "state", "in_step")),
    "TC_043_1_CSMS (sent by hand)": BY_HAND_IN_VAIN,
    "TC_043_3_CSMS (sent by hand)": BY_HAND_IN_VAIN,
    "TC_043_3_CSMS": (
        *FULL,
        *NOT_INSTALLED,
        put(ENDED, "state", "in_step"),
        put(ENDED, "sync", {"step": 3}),
    ),
    "TC_043_4_CSMS": (
        *FULL,
        put(ENDED, "state", "out_of_step"),
        put(ENDED, "acknowledged_version", 0),
        put(ENDED, "acknowledged_entries", 1),
    ),
    "TC_043_4_CSMS (sent by hand)": (*BY_HAND, *BY_HAND_TAKEN),
    "TC_043_5_CSMS (sent by hand)": (
        *BY_HAND,
        *_sent(f"{SEND} 2", "Full"),
        put(f"{SEND} 2", "localAuthorizationList.1", OTHER, fails="only the new idTag"),
        put(f"{SEND} 2", "localAuthorizationList.0", OTHER, fails="only the new idTag"),
        put(f"{SEND} 2", "listVersion", 1),
        *BY_HAND_TAKEN,
    ),
    "TC_043_5_CSMS": (
        *FULL,
        put(ENDED, "state", "failed"),
        *_sent(f"{SEND} 2", "Full"),
        put(f"{SEND} 2", "localAuthorizationList.1", OTHER, fails="only the new idTag"),
        put(f"{SEND} 2", "localAuthorizationList.0", OTHER, fails="only the new idTag"),
        put(f"{SEND} 2", "listVersion", 1),
        put(f"{ENDED} 2", "state", "out_of_step"),
        put(f"{ENDED} 2", "acknowledged_version", 1),
        put(f"{ENDED} 2", "acknowledged_entries", 1),
    ),
}
