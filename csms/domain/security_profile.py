"""Raising the security profile of a charge point by ChangeConfiguration (white paper, A05)."""

from collections.abc import Mapping
from typing import Any

from csms.domain.charge_point import SECURITY_PROFILES, ChargePoint
from csms.domain.command import INVALID_ANSWER, Command, CommandState
from csms.errors import FieldError

_KEY = "securityprofile"
_TEXTS = {str(profile): profile for profile in SECURITY_PROFILES}
_MAYBE = frozenset({CommandState.TIMED_OUT, CommandState.UNKNOWN})


def is_profile_change(payload: Mapping[str, Any]) -> bool:
    """Of a ChangeConfiguration; keys ignore case (CiString50)."""
    return str(payload["key"]).casefold() == _KEY


def check_profile_change(payload: Mapping[str, Any], charge_point: ChargePoint) -> None:
    """Raises FieldError for what is no profile, or lower than the one in force.

    The one in force may be sent: the charge point's own setting may lag behind what it does.
    """
    if not is_profile_change(payload):
        return
    profile = _TEXTS.get(payload["value"])
    if profile is None:
        raise FieldError(
            "payload.value", "a SecurityProfile is 0, 1, 2 or 3 (security white paper, A00)"
        )
    if profile < charge_point.security_profile:
        raise FieldError(
            "payload.value",
            f"must not be below {charge_point.security_profile}, which is in force: a security "
            "profile is never lowered through OCPP (security white paper, A00.FR.005); lower it in "
            "the charge point itself and in its settings here",
        )


def profile_to_expect(command: Command) -> int | None:
    """The profile with which a charge point may come after a ChangeConfiguration; None where it
    has said no, or the command was about something else.

    Where nobody knows whether it has taken the change (no answer, one that makes no sense,
    RebootRequired) it may.
    """
    if not is_profile_change(command.payload):
        return None
    nonsense = command.error is not None and command.error.code == INVALID_ANSWER
    if command.status in {"Accepted", "RebootRequired"} or (
        command.status is None and (command.state in _MAYBE or nonsense)
    ):
        return _TEXTS.get(command.payload["value"])
    return None


def missing_for_next_profile(
    charge_point: ChargePoint, *, has_root: bool, has_certificate: bool
) -> str:
    """What a charge point needs, as far as we know, before it can come with the next profile: a
    warning, since it may have got that elsewhere (white paper, A05). "" where nothing is known to
    be missing.

    has_root: a CentralSystemRootCertificate is known to be installed. has_certificate: a client
    certificate was issued for it here, or it has come with one.
    """
    if charge_point.security_profile == 0 and not charge_point.key_hash:
        return "it has no key: make one, or send it with ChangeConfiguration AuthorizationKey"
    if charge_point.security_profile == 1 and not has_root:
        return (
            "no CentralSystemRootCertificate is known to be installed: send the root of this "
            "system's certificate with InstallCertificate, or ask with GetInstalledCertificateIds"
        )
    if charge_point.security_profile == 2 and not has_certificate:
        return (
            "no client certificate is known: set CpoName, then send ExtendedTriggerMessage "
            "SignChargePointCertificate"
        )
    return ""
