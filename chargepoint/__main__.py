"""Virtual charge points on the command line: `python -m chargepoint --url … --id CP001`."""

import argparse
from typing import get_args

from gevent.ssl import SSLContext

from chargepoint.charge_point import ChargePoint
from chargepoint.files import UploadMethod
from chargepoint.options import Options
from chargepoint.running import line_printer, run
from chargepoint.scenarios import SCENARIOS, Scenario
from chargepoint.wire import client_context


def main(arguments: list[str] | None = None) -> None:
    """Run one or many charge points with one scenario until stopped."""
    parser = _parser()
    wanted = parser.parse_args(arguments)
    options = Options(
        connectors=wanted.connectors,
        password_form=wanted.password_form,
        moves_files=wanted.moves_files,
        upload_method=wanted.upload_method,
        file_ca=wanted.ca,
    )
    if wanted.count:
        names = [f"{wanted.prefix}-{number:03d}" for number in range(1, wanted.count + 1)]
    else:
        names = [wanted.id]
    scenario: Scenario = SCENARIOS[wanted.scenario]
    ssl_context: SSLContext | None = None
    if wanted.ca or wanted.certificate:
        try:
            ssl_context = client_context(wanted.ca, wanted.certificate, wanted.key_file)
        except OSError as error:
            parser.error(f"--ca, --certificate and --key-file: {error}")
    fleet = [
        (
            ChargePoint(
                wanted.url,
                name,
                authorization_key=wanted.key,
                options=options,
                ssl_context=ssl_context,
                say=line_printer(name),
            ),
            scenario,
        )
        for name in names
    ]
    run(fleet, spread_s=len(fleet) * 0.02, duration_s=wanted.duration)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chargepoint", description=__doc__)
    parser.add_argument("--url", required=True, help="endpoint without identity: ws://host/ocpp")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--id", help="identity of the one charge point")
    who.add_argument("--count", type=int, default=0, help="so many charge points, PREFIX-001 …")
    parser.add_argument("--prefix", default="DEMO", help="of the identities with --count")
    parser.add_argument("--key", help="AuthorizationKey in hex, or a password")
    parser.add_argument("--password-form", choices=("raw", "hex"), default="raw")
    parser.add_argument("--ca", help="file with the roots that the servers' certificates lead to")
    parser.add_argument("--certificate", help="file with a client certificate (security profile 3)")
    parser.add_argument("--key-file", help="its key, unless it is in the same file")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="charging_day")
    parser.add_argument("--connectors", type=int, default=2)
    parser.add_argument(
        "--moves-files",
        action="store_true",
        help="really fetch firmware (first line: VIRTUAL-FIRMWARE and a version) and upload logs",
    )
    parser.add_argument(
        "--upload-method", choices=get_args(UploadMethod), default="PUT", help="over HTTP"
    )
    parser.add_argument("--duration", type=float, help="seconds; default: until a signal")
    return parser


if __name__ == "__main__":
    main()
