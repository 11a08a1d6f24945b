"""Operators and API keys from the command line: `python -m csms.accounts create-user NAME`.

For a platform where nobody sees what the first start prints.
"""

import argparse
import getpass
import os
import secrets
import sys
from collections.abc import Sequence

from argon2 import PasswordHasher

from csms.clock import now_ms
from csms.config import Settings
from csms.errors import CSMSError
from csms.state.accounts import Accounts, User
from csms.state.link_sync import SyncLink

PASSWORD_MIN = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when done; 1 with one plain line when not."""
    parser = argparse.ArgumentParser(prog="python -m csms.accounts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, purpose in (
        ("create-user", "a new operator"),
        ("set-password", "a new password for an operator"),
    ):
        user = commands.add_parser(command, help=purpose)
        user.add_argument("name")
        user.add_argument("--generate", action="store_true", help="make a password and print it")
    key = commands.add_parser("create-api-key", help="a key for a program; printed once")
    key.add_argument("name")
    wanted = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ)
        link = SyncLink(settings.redis_url)
        try:
            _run(Accounts(link, settings.credential_pepper), wanted)
        finally:
            link.close()
    except CSMSError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _run(accounts: Accounts, wanted: argparse.Namespace) -> None:
    if wanted.command == "create-api-key":
        print(accounts.create_api_key(wanted.name, now_ms()))  # noqa: T201
        return
    password = secrets.token_urlsafe(12) if wanted.generate else _ask()
    stored = PasswordHasher().hash(password)
    if wanted.command == "create-user":
        accounts.create_user(User(wanted.name, stored, now_ms()))
    else:
        accounts.set_password(wanted.name, stored)
    if wanted.generate:
        print(password)  # noqa: T201


def _ask() -> str:
    """The password from the terminal, or a line of standard input."""
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < PASSWORD_MIN:
        raise CSMSError(f"A password has at least {PASSWORD_MIN} characters.")
    return password


if __name__ == "__main__":
    sys.exit(main())
