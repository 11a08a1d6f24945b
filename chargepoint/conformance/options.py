"""What the command line of the kit, and its configuration file, may say."""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from chargepoint.conformance.case import Case, Profile
from chargepoint.conformance.cases import CASES
from chargepoint.conformance.operator import CannotBegin

AUTHORIZE_SAMPLES = 500
BUSY = 20
PROFILES = {profile.name.lower().replace("_", "-"): profile for profile in Profile}
# Of the mode in which one charge point goes through all cases: all or none of them.
OF_ONE = ("charge_point", "authorization_key", "id_tag", "id_tag_2", "parent", "blocked", "expired")
_HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CannotBegin(message)


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says goes before what the file says. Raises CannotBegin."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    wanted = parser.parse_args(given)
    if wanted.config:
        wanted = parser.parse_args([*_read_config(parser, wanted.config), *given])
    return wanted


def select(case_ids: str | None, profiles: str | None) -> list[Case]:
    """The cases named with their variants, else those of the profiles named, else all.

    Raises CannotBegin.
    """
    if case_ids:
        names = [name.strip() for name in case_ids.split(",")]
        unknown = [name for name in names if name not in CASES]
        if unknown:
            raise CannotBegin(f"no such case: {', '.join(unknown)}; --list lists them")
        return [case for name in names for case in CASES.values() if case.case_id == name]
    if profiles:
        names = [name.strip() for name in profiles.split(",")]
        unknown = [name for name in names if name not in PROFILES]
        if unknown:
            raise CannotBegin(f"no such profile: {', '.join(unknown)}; of {', '.join(PROFILES)}")
        wanted = {PROFILES[name] for name in names}
        return [case for case in CASES.values() if case.profile in wanted]
    return list(CASES.values())


def hex_key(text: str) -> str:
    """An authorization key as operators enter it, in hex. Raises CannotBegin."""
    if _HEX_KEY.fullmatch(text):
        return text.lower()
    if 16 <= len(text) <= 20 and text.isascii():
        return text.encode().hex()
    raise CannotBegin("--authorization-key: 32 to 40 hex digits, or 16 to 20 characters")


def _read_config(parser: argparse.ArgumentParser, path: str) -> list[str]:
    """The same as arguments. Raises CannotBegin."""
    try:
        given = json.loads(Path(path).read_text())
    except OSError as error:
        raise CannotBegin(f"--config: {path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise CannotBegin(f"--config: {path} is no JSON: {error}") from None
    if not isinstance(given, dict):
        raise CannotBegin(f"--config: {path} must hold an object with options by their names")
    known = {action.dest for action in parser._actions} - {"config", "help"}
    arguments = []
    for name, value in given.items():
        if name.replace("-", "_") not in known:
            raise CannotBegin(f"--config: {path}: no such option: {name}")
        arguments += _argument(name.replace("_", "-"), value)
    return arguments


def _argument(name: str, value: Any) -> list[str]:
    match value:
        case None | False:
            return []
        case True:
            return [f"--{name}"]
        case list():
            return [f"--{name}={','.join(map(str, value))}"]
    return [f"--{name}={value}"]


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m chargepoint.conformance",
        description="Plays the charge point in the cases of the OCPP 1.6 certification for central "
        "systems, against a running system of ours, and reports. It enters what it needs through "
        "the API and deletes it afterwards.",
        epilog="Exit status: 0 when every case that was to be run has passed, 1 when not, 2 where "
        "it could not begin, 130 when it was stopped.",
        allow_abbrev=False,
    )
    where = parser.add_argument_group("the central system")
    where.add_argument("--url", help="endpoint without identity: ws://host:8000/ocpp")
    where.add_argument("--api", help="its API: http://host:8000/api/v1")
    where.add_argument(
        "--key", default=os.environ.get("CSMS_API_KEY"), help="API key; default: CSMS_API_KEY"
    )
    where.add_argument("--tls-url", help="endpoint of security profile 2: wss://host:8443/ocpp")
    where.add_argument("--client-tls-url", help="endpoint of security profile 3")
    where.add_argument("--ca", help="file with the roots that vouch for it over TLS (PEM)")
    what = parser.add_argument_group("what is tried")
    what.add_argument("--cases", help="ids, with commas between: TC_001_CSMS,TC_003_CSMS")
    what.add_argument("--profiles", help=f"of {', '.join(PROFILES)}; with commas between")
    what.add_argument("--without-tls", action="store_true", help="leave out what needs TLS")
    what.add_argument("--list", action="store_true", help="list the cases selected, and end")
    one = parser.add_argument_group(
        "one charge point through all cases",
        "As the official tool does, with what an operator has entered beforehand: it stays "
        "connected from case to case, and nothing is deleted. All of these but --unknown.",
    )
    one.add_argument("--charge-point", help="its id")
    one.add_argument("--authorization-key", help="32 to 40 hex digits, or 16 to 20 characters")
    one.add_argument("--id-tag", help="one that is accepted, and has the parent --parent")
    one.add_argument("--id-tag-2", help="another one like it")
    one.add_argument("--parent", help="their parentIdTag")
    one.add_argument("--blocked", help="an idTag that is blocked")
    one.add_argument("--expired", help="an idTag that is expired")
    one.add_argument("--unknown", help="an idTag that is not entered; default: made up")
    how = parser.add_argument_group("how")
    how.add_argument("--limit", type=_positive, default=5.0, help="seconds for an answer; 5")
    how.add_argument("--patience", type=_positive, default=10.0, help="seconds for a CALL; 10")
    how.add_argument(
        "--authorize-samples",
        type=_count,
        default=AUTHORIZE_SAMPLES,
        help=f"for the measurement; {AUTHORIZE_SAMPLES}, 0 for none",
    )
    how.add_argument(
        "--busy",
        type=_count,
        default=BUSY,
        help=f"charge points that charge while it is measured once more; {BUSY}, 0 for none",
    )
    how.add_argument("--report", help="directory for report.md, report.html and report.json")
    how.add_argument("--shown-as", help="what the report says instead of the address")
    how.add_argument(
        "--config", "--json-config", help="a JSON file with any of these options by their names"
    )
    return parser
