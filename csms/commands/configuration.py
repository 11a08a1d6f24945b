"""Keeps what charge points tell of their configuration (OCPP 1.6 ed. 2, 5.3 and 5.8)."""

from collections.abc import Iterator, Mapping
from typing import Any

from csms.commands.sequel import Sequel
from csms.domain.command import Command, CommandState
from csms.domain.configuration import ConfigurationKey
from csms.domain.secrets import is_secret_key


def after_get(command: Command, sequel: Sequel) -> None:
    """Asked for all keys, what is not in the answer is not there any more."""
    answer = command.answer if command.answer is not None else command.late_answer
    if answer is None:
        return
    at_ms = command.settled_at_ms or sequel.now_ms
    told = [*_known(answer, at_ms), *_unknown(answer, at_ms)]
    is_all = not command.payload.get("key") and bool(told)
    sequel.stores.configurations.record(command.charge_point_id, told, is_all=is_all)


def after_change(command: Command, sequel: Sequel) -> None:
    """What was taken is what it has now; what needs a reboot will be."""
    key = command.payload["key"]
    at_ms = command.settled_at_ms or sequel.now_ms
    if is_secret_key(key):
        return
    if command.status in {"Accepted", "RebootRequired"}:
        told = ConfigurationKey(key, command.payload["value"], readonly=False, at_ms=at_ms)
    elif command.state is CommandState.ANSWERED and command.status == "NotSupported":
        told = ConfigurationKey(key, None, readonly=False, at_ms=at_ms, is_known=False)
    else:
        return
    sequel.stores.configurations.record(command.charge_point_id, [told], is_all=False)


def _known(answer: Mapping[str, Any], at_ms: int) -> Iterator[ConfigurationKey]:
    """Lenient: charge points write numbers and truth values where texts belong."""
    for entry in _list(answer.get("configurationKey")):
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
            continue
        if is_secret_key(entry["key"]):
            continue
        value = entry.get("value")
        yield ConfigurationKey(
            entry["key"],
            None if value is None else _text(value),
            readonly=_text(entry.get("readonly")).casefold() in {"true", "1"},
            at_ms=at_ms,
        )


def _unknown(answer: Mapping[str, Any], at_ms: int) -> Iterator[ConfigurationKey]:
    for key in _list(answer.get("unknownKey")):
        if isinstance(key, str) and not is_secret_key(key):
            yield ConfigurationKey(key, None, readonly=False, at_ms=at_ms, is_known=False)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
