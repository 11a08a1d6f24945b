"""Mutations for the cases of Firmware Management."""

from collections.abc import Mapping, Sequence

from mutations.mutation import Mutation, drop, put

ELSEWHERE = "https://elsewhere.example.com/1.1.bin"


def _updates(statuses: int) -> Sequence[Mutation]:
    """Of a case that looks this many times at the state of the update."""
    return (
        put("UpdateFirmware.req", "location", ELSEWHERE),
        *(put(step, "firmware_status", "Idle") for step in _looks(statuses)),
    )


def _uploads() -> Sequence[Mutation]:
    return (
        put("GetDiagnostics.req", "location", ELSEWHERE),
        *(put(step, "diagnostics_status", "Idle") for step in _looks(2)),
    )


def _looks(count: int) -> Sequence[str]:
    return ("charge point", *(f"charge point {nth}" for nth in range(2, count + 1)))


MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    "TC_044_1_CSMS": (
        *_updates(5),
        drop("UpdateFirmware.req", "retrieveDate", fails="schema"),
    ),
    "TC_044_2_CSMS": _updates(2),
    "TC_044_3_CSMS": _updates(5),
    "TC_045_1_CSMS": (*_uploads(), drop("GetDiagnostics.req", "location", fails="schema")),
    "TC_045_2_CSMS": _uploads(),
}
