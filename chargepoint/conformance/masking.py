"""Takes secrets out of what a report shows."""

import json
import re
from collections.abc import Iterable
from typing import Any

MASK = "****"
_URL_PASSWORD = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.\-]{0,15}://[^\s/:@\"]*:)[^\s/\"]+(?=@)", re.I
)
_SHORTEST = 8


def mask(text: str, secrets: Iterable[str]) -> str:
    """Without the secrets named, in any case; without the AuthorizationKeys of JSON texts; without
    the passwords in URLs."""
    if text.startswith(("[", "{")) and "authorizationkey" in text.casefold():
        text = _without_keys(text)
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = re.sub(re.escape(secret), MASK, text, flags=re.I)
    return _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)


def _without_keys(text: str) -> str:
    try:
        return json.dumps(_masked(json.loads(text)), separators=(",", ":"))
    except ValueError:
        return f"({len(text)} characters that name an AuthorizationKey)"


def _masked(node: Any) -> Any:
    if isinstance(node, dict):
        masked = {name: _masked(item) for name, item in node.items()}
        if str(node.get("key", "")).casefold() == "authorizationkey" and "value" in node:
            masked["value"] = MASK
        return masked
    if isinstance(node, list):
        return [_masked(item) for item in node]
    return node
