"""Keeps other sites from sending forms in the name of somebody who is logged in.

Flask-WTF looks for the token in the form, and so would have the whole body read, kept in memory or
a temporary file, before any view runs. A view that streams a file takes its token from the address
instead: it is checked before a byte of the body is read, by the same rules.
"""

from typing import Any

from flask import request
from flask_wtf.csrf import CSRFProtect


class FormProtection(CSRFProtect):  # type: ignore[misc]  # the package has no types
    """streamed: endpoints whose form has `?csrf_token=` in its action, and not in a field.

    In an address the token may stand in the log of a proxy. It is of use only together with the
    session's cookie, which stands nowhere.
    """

    def __init__(self, app: Any, streamed: frozenset[str]) -> None:
        self._streamed = streamed
        super().__init__(app)

    def _get_csrf_token(self) -> str | None:
        """Should Flask-WTF not ask this any more, streamed forms are refused, not let through."""
        if request.endpoint in self._streamed:
            return request.args.get("csrf_token")
        token: str | None = super()._get_csrf_token()
        return token
