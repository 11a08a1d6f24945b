"""What must be true of the store before the system starts, read from its INFO."""

import re
from dataclasses import dataclass

from csms.errors import StoreRefused
from csms.state import keys
from csms.state.link import Link

_OLDEST_REDIS = (6, 2)
_READY_KEPT_S = 60


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """Plain sentences for the operator; any problem stops the start."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def check_store(link: Link) -> StoreCheck:
    """Read INFO, since many platforms forbid CONFIG. Raises StoreUnavailable."""
    try:
        facts = _facts(link.call("INFO", "server"))
        facts |= _facts(link.call("INFO", "memory"))
        facts |= _facts(link.call("INFO", "persistence"))
    except StoreRefused as refusal:
        return StoreCheck((), (f"The store does not let itself be checked: {refusal}.",))
    return judge(facts)


def confirm_write(link: Link) -> None:
    """One small write; raises StoreUnavailable or StoreRefused where the store takes none."""
    link.call("SET", keys.READY, 1, "EX", _READY_KEPT_S)


def judge(facts: dict[str, str]) -> StoreCheck:
    """What the fields of INFO mean for us; a field that is not there says nothing."""
    problems = []
    warnings = []
    version = facts.get("redis_version", "")
    if "valkey_version" not in facts and version and _numbers(version) < _OLDEST_REDIS:
        problems.append(
            f"The store is Redis {version}; it must be Redis 6.2 or newer, or any Valkey."
        )
    mode = facts.get("server_mode") or facts.get("redis_mode", "standalone")
    if mode == "cluster":
        problems.append(
            "The store is a cluster, whose parts this system would not find; use one server."
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        problems.append(
            f"The store's maxmemory-policy is {policy}, which deletes open transactions when "
            "memory is full; set it to noeviction."
        )
    if facts.get("aof_enabled") == "0":
        warnings.append(
            "The store keeps no append-only file: what charge points were told is recorded "
            "is lost when it stops; set appendonly to yes."
        )
    return StoreCheck(tuple(problems), tuple(warnings))


def _facts(info: str) -> dict[str, str]:
    lines = (line.partition(":") for line in info.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
