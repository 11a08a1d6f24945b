"""Signs a firmware file where the private key is: `python -m csms.signing FILE --key … …`.

For keys that must not leave their machine; what it prints goes into the API as it is. It needs
neither the store nor any setting.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from csms.clock import now_ms
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.firmware_signature import (
    UnusableSigningKey,
    read_signing_key,
    signature_warnings,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when done; 1 with one plain line when not."""
    parser = argparse.ArgumentParser(prog="python -m csms.signing", description=__doc__)
    parser.add_argument("file", type=Path, help="the firmware")
    parser.add_argument("--key", type=Path, required=True, help="the private key, PEM")
    parser.add_argument("--certificate", type=Path, required=True, help="its certificate, PEM")
    parser.add_argument(
        "--algorithm",
        type=SignatureAlgorithm,
        choices=list(SignatureAlgorithm),
        help="rsa-pss for an RSA key, ecdsa for one on an elliptic curve, unless told otherwise",
    )
    wanted = parser.parse_args(arguments)
    try:
        key = read_signing_key(
            wanted.key.read_text(), wanted.certificate.read_text(), wanted.algorithm
        )
        with wanted.file.open("rb") as firmware:
            digest = hashlib.file_digest(firmware, "sha256")
    except UnusableSigningKey as problem:
        print(f"csms: the {problem.field} {problem}", file=sys.stderr)  # noqa: T201
        return 1
    except (OSError, UnicodeDecodeError) as problem:
        print(f"csms: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    signature = key.sign(digest.digest())
    for warning in signature_warnings(signature, key.certificate_pem, now_ms()):
        print(f"csms: warning: {warning}", file=sys.stderr)  # noqa: T201
    body = {
        "signature": signature,
        "signing_certificate": key.certificate_pem,
        "sha256": digest.hexdigest(),
    }
    print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
