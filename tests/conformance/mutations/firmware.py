"""Mutations for the cases of Firmware Management."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

ELSEWHERE = "https://elsewhere.example.com/1.1.bin"


def _transfer(name: str, looks: int) -> Sequence[Mutation]:
    """Of a case that looks this many times at the record of a transfer."""
    steps = (name, *(f"{name} {nth}" for nth in range(2, looks + 1)))
    return tuple(
        mutation
        for step in steps
        for mutation in (put(step, "state", "cancelled"), put(step, "reported", "Idle"))
    )


def _updated(looks: int) -> Sequence[Mutation]:
    return (
        put("UpdateFirmware.req", "location", ELSEWHERE),
        # Neither can be left out without breaking the schema.
        drop("UpdateFirmware.req", "location", fails="schema"),
        drop("UpdateFirmware.req", "retrieveDate", fails="schema"),
        *_transfer("firmware update", looks),
    )


UPLOADED = (
    put("GetDiagnostics.req", "location", ELSEWHERE),
    put("GetDiagnostics.req", "location", "ftp://kit:****@uploads.example.com/conformance"),
    drop("GetDiagnostics.req", "location", fails="schema"),
    *_transfer("log upload", 2),
)

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_044_1_CSMS": _updated(5),
    "TC_044_1_CSMS (the messages in another order)": _updated(5),
    "TC_044_2_CSMS": _updated(2),
    "TC_044_3_CSMS": _updated(5),
    "TC_044_3_CSMS (the messages in another order)": _updated(5),
    "TC_045_1_CSMS": UPLOADED,
    "TC_045_2_CSMS": UPLOADED,
}
