"""Takes secrets out of what is shown, logged or kept."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from csms.domain.file_grant import FILES_PATH

MASK = "****"
_SECRET_KEYS = frozenset({"authorizationkey"})
_URL_PASSWORD = re.compile(
    # Greedy up to the last @ before the host: a password may hold one. The scheme's length is
    # bounded, or the search would take time that grows with the square of a hostile text.
    r'(?P<head>\b[a-z][a-z0-9+.\-]{0,15}:(?:\\?/){2}[^\s/:@"\\]*:)(?:[^\s/"\\]|\\.)+(?=@)',
    re.I,
)
_FILES = FILES_PATH.strip("/")
# Half of a token names its grant, which is no secret.
_TOKEN = re.compile(rf"(?P<head>{_FILES}(?:\\?/)+[0-9a-f]{{32}})[0-9a-f]{{32}}")
_LOGIN = re.compile(r"(?P<head>\b[0-9a-f]{32}:)[0-9a-f]{32}(?=@)")


def is_secret_key(configuration_key: object) -> bool:
    """Whether a configuration key's value is a secret; keys ignore case (CiString50)."""
    return isinstance(configuration_key, str) and configuration_key.casefold() in _SECRET_KEYS


def mask_payload(action: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """A payload fit to be shown: the keys in ChangeConfiguration, passwords and tokens in URLs."""
    if action == "ChangeConfiguration" and is_secret_key(payload.get("key")):
        return {**payload, "value": MASK}
    path = LOCATIONS.get(action)
    return _with_masked(payload, path) if path else payload


# Where the requests that move files carry their URL.
LOCATIONS: Mapping[str, tuple[str, ...]] = {
    "GetDiagnostics": ("location",),
    "GetLog": ("log", "remoteLocation"),
    "SignedUpdateFirmware": ("firmware", "location"),
    "UpdateFirmware": ("location",),
}


def _with_masked(node: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    name, *below = path
    value = node.get(name)
    if below and isinstance(value, Mapping):
        return {**node, name: _with_masked(value, tuple(below))}
    if not below and isinstance(value, str):
        return {**node, name: mask_text(value)}
    return node


def mask_text(text: str) -> str:
    """Text with the password of every URL in it masked, and the token where it leads to a file."""
    if "@" in text:
        text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return without_grants(text)


def without_grants(text: str) -> str:
    """Text with the secrets of hosted files masked, of which charge points may tell."""
    if "@" in text:
        text = _LOGIN.sub(rf"\g<head>{MASK}", text)
    return _TOKEN.sub(rf"\g<head>{MASK}", text) if _FILES in text else text


# What may hide the name of a secret from a search: the A of AuthorizationKey as \u0041.
_ESCAPED_LETTER = re.compile(r"\\u00([46][1-9a-f]|[57][0-9a])", re.I)
_VALUE = re.compile(r'(?P<head>"value"\s*:\s*)(?:"(?:[^"\\]|\\.)*|[^\s,}\]]+)')


def mask_frame(text: str) -> str:
    """A frame as it may be kept in the message log.

    Unchanged, and cheap, where there is nothing to mask. Where it names an authorization key every
    value of that name is masked; in a frame that is broken or cut off, every value.
    """
    folded = text.casefold()
    if "authorizationkey" in folded or "\\u00" in folded:
        text = _without_keys(text)
    return mask_text(text)


def _without_keys(text: str) -> str:
    try:
        frame = orjson.loads(text)
        masked = mask_values(frame)
        return text if masked is frame else orjson.dumps(masked).decode()
    except (ValueError, TypeError, RecursionError):  # no JSON, or nested to do harm
        plain = _ESCAPED_LETTER.sub(lambda match: chr(int(match[1], 16)), text)
    if "authorizationkey" not in plain.casefold():
        return text
    return _VALUE.sub(rf'\g<head>"{MASK}', plain)


def mask_values(node: Any) -> Any:
    """A payload or frame with the value of every secret configuration key masked, and the secrets
    of hosted files, which charge points may repeat; the same object where it holds none."""
    if isinstance(node, str):
        return without_grants(node)
    if isinstance(node, dict):
        masked = {name: mask_values(item) for name, item in node.items()}
        if is_secret_key(node.get("key")) and "value" in node:
            masked["value"] = MASK
        return masked if any(masked[name] is not node[name] for name in node) else node
    if isinstance(node, list):
        items = [mask_values(item) for item in node]
        return items if any(a is not b for a, b in zip(items, node, strict=True)) else node
    return node
