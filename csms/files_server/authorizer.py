"""Who may log in over FTP: whoever knows the secret of a grant, for what the grant allows."""

from typing import Any

from pyftpdlib.exceptions import AuthenticationFailed

from csms.domain.file_grant import FileGrant, GrantKind
from csms.files_server.exchange import Exchange
from csms.files_server.refused import Refused

# In pyftpdlib's letters: e changes the directory, l lists and asks for sizes, r fetches, w stores.
PERMISSIONS = {GrantKind.DOWNLOAD: "elr", GrantKind.UPLOAD: "elw"}


class GrantAuthorizer:
    """What pyftpdlib asks about users, for one connection: the user is the id of a grant."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._grant: FileGrant | None = None

    @property
    def grant(self) -> FileGrant:
        """That of whoever has logged in."""
        assert self._grant is not None, "nobody has logged in"  # noqa: S101  # our own mistake
        return self._grant

    def validate_authentication(self, username: str, password: str, connection: Any) -> None:
        """Raises AuthenticationFailed, which is answered with 530, or Refused with another."""
        try:
            self._grant = self._exchange.admit(username, password)
            if not connection.server.has_place_for(username):
                raise Refused("421", "Too many connections with this user; try again later.")
        except Refused as refusal:
            if refusal.code != "530":
                raise
            raise AuthenticationFailed(refusal.text) from None

    def get_home_dir(self, _: str) -> str:
        return "/"

    def has_perm(self, username: str, permission: str, _: str | None = None) -> bool:
        return permission in self.get_perms(username)

    def get_perms(self, _: str) -> str:
        return PERMISSIONS[self.grant.kind]

    def get_msg_login(self, _: str) -> str:
        if self.grant.kind is GrantKind.DOWNLOAD:
            return "Logged in to fetch one file."
        return "Logged in to leave one file."

    def get_msg_quit(self, _: str) -> str:
        return "Goodbye."

    def impersonate_user(self, username: str, password: str) -> None:
        """Nobody here is a user of the system."""

    def terminate_impersonation(self, username: str) -> None:
        """As above."""
