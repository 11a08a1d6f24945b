"""What a case is, and how it fails."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chargepoint.conformance.tool import Tool


class Profile(StrEnum):
    """The certification profiles, as a certificate lists them."""

    CORE = "Core (incl. basic security)"
    FIRMWARE = "Firmware Management"
    LOCAL_LIST = "Local Authorization List Management"
    SMART_CHARGING = "Smart Charging"
    REMOTE_TRIGGER = "Remote Trigger"
    RESERVATION = "Reservation"
    ADVANCED_SECURITY = "Advanced Security"


# How many of the certification's 77 cases for central systems belong to each.
CERTIFICATION: Mapping[Profile, int] = {
    Profile.CORE: 46,  # 34 of Core, 12 of basic security
    Profile.FIRMWARE: 5,
    Profile.LOCAL_LIST: 6,
    Profile.SMART_CHARGING: 5,
    Profile.REMOTE_TRIGGER: 2,
    Profile.RESERVATION: 10,
    Profile.ADVANCED_SECURITY: 3,
}


class CheckFailed(Exception):
    """step: which one, with its number; check: what was looked at; received: what came instead."""

    def __init__(self, case_id: str, step: str, check: str, expected: str, received: str) -> None:
        super().__init__(f"{case_id}, step {step}: {check}: expected {expected}, got {received}")
        self.case_id = case_id
        self.step = step
        self.check = check
        self.expected = expected
        self.received = received


class NotApplicable(Exception):
    """The kit was not given what this case needs."""


Flow = Callable[["Tool"], None]


@dataclass(frozen=True, slots=True)
class Case:
    """mandatory: of every central system that declares the profile; the others are conditional.

    settings: what the charge point's record in the central system must have besides the usual.
    needs: addresses of the target without which it can't be run, `tls_url` and `client_tls_url`.
    variant: in what this run differs from the first of the same id, which has none.
    """

    case_id: str
    title: str
    profile: Profile
    mandatory: bool
    flow: Flow
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: Sequence[str] = ()
    variant: str = ""

    @property
    def key(self) -> str:
        """No two have the same."""
        return f"{self.case_id} ({self.variant})" if self.variant else self.case_id

    @property
    def full_title(self) -> str:
        return f"{self.title} ({self.variant})" if self.variant else self.title


class Cases:
    """The cases of one module and their variants, in the order in which they are written there."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._cases: list[Case] = []

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)

    def add(
        self,
        case_id: str,
        title: str,
        *,
        mandatory: bool = True,
        profile: Profile | None = None,
        settings: Mapping[str, Any] | None = None,
        needs: Sequence[str] = (),
    ) -> Callable[[Flow], Flow]:
        """Make a case of a flow."""

        def enter(flow: Flow) -> Flow:
            self._cases.append(
                Case(
                    case_id,
                    title,
                    profile or self._profile,
                    mandatory,
                    flow,
                    dict(settings or {}),
                    needs,
                )
            )
            return flow

        return enter

    def variant(
        self, case_id: str, variant: str, *, settings: Mapping[str, Any] | None = None
    ) -> Callable[[Flow], Flow]:
        """Make another run of a case of a flow: what the official tool, or a charge point, may do
        otherwise. The case passes if all its runs do."""
        first = next(case for case in self._cases if case.case_id == case_id)

        def enter(flow: Flow) -> Flow:
            wanted = first.settings if settings is None else dict(settings)
            self._cases.append(replace(first, flow=flow, variant=variant, settings=wanted))
            return flow

        return enter
